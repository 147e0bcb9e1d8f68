"""One OpenAI-compatible server: its connections, what it serves, one request sent to it, and its answer read.

What comes back is judged as bytes: only a body of bounded size that is UTF-8, JSON and a chat completion is an answer.
Nothing is tried again here, and nothing decides here where a request goes; client.py does both.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import httpx2
import openai
from openai import AsyncOpenAI, DefaultAioHttpClient

from pipeline.recipe import RecipeError, is_private
from pipeline.records import text_hash
from unify.request import Request, Response, whole_characters

MAX_BODY = 16 << 20  # bytes of an answer that are read
MAX_UNPACKING = 1000  # a compressed body may grow by this factor, that of DEFLATE
MAX_TOKEN_CHARS = 256  # of a text, per token that was asked for: no tokenizer has longer ones but of spaces
CONNECT_WITHIN = 20.0  # seconds
KEEP_ALIVE = 4.0  # seconds that an idle connection is kept: vLLM closes its end after 5
LATER = frozenset({408, 409, 425, 429})  # beside 5xx: the same request may succeed later
SETUP = frozenset({401, 402, 404, 405, 410})  # beside 3xx: no request succeeds until a person mends something
TOO_LONG = re.compile(
    r"context_length_exceeded|maximum context length|maximum model length|max_model_len|longer than the maximum",
    re.IGNORECASE,
)
FORMAT = re.compile(r"response_format|json_schema|structured.?output|guided|grammar", re.IGNORECASE)


class Failed(Exception):
    """A request that may succeed later: no connection, no answer in time, an answer that is none."""

    def __init__(self, gist: str, *, wait: float = 0.0, busy: bool = False) -> None:
        super().__init__(gist)
        self.wait = wait  # seconds that the server asks for
        self.busy = busy  # HTTP 429: the server lives, and asks for fewer requests


class Refused(Exception):
    """A request that the server will not answer (HTTP 4xx)."""

    def __init__(self, gist: str, status: int, *, too_long: bool = False) -> None:
        super().__init__(gist)
        self.status = status
        self.too_long = too_long


@dataclass(eq=False)
class Endpoint:
    """An open server. `load` and what follows are the client's account of it."""

    url: str
    client: AsyncOpenAI
    key: str
    serves: Mapping[str, Any] | None = None  # what its list says of the model, once it was greeted
    says: tuple[str, str] | None = None  # model and fingerprint in its answers
    without_format: bool = False  # it refuses `response_format`
    load: int = 0  # texts asked for and not yet received
    failures: int = 0  # in a row
    aside: bool = True  # gets no requests: not yet greeted, or set aside
    awaited: bool = False  # set aside, and greeted again and again


def open_endpoint(url: str, key: str) -> Endpoint:
    """Make the connection pool of a server; nothing is sent yet."""
    http = DefaultAioHttpClient(
        trust_env=not is_private(url),  # a proxy from the environment is for the outside, not for a server in the house
        follow_redirects=False,  # text goes where the recipe says, nowhere else
        limits=httpx2.Limits(max_connections=0, keepalive_expiry=KEEP_ALIVE),  # 0: as many as are in flight
        timeout=httpx2.Timeout(None, connect=CONNECT_WITHIN),
        headers={"Accept-Encoding": "identity"},
        event_hooks={"response": [_bound]},
    )
    return Endpoint(url, AsyncOpenAI(base_url=url, api_key=key, max_retries=0, http_client=http), key)


async def served(endpoint: Endpoint, model: str, timeout: float) -> Mapping[str, Any]:
    """Read what a server's list says of a model, without what changes from call to call; a server may have no list.

    Raises:
        Failed: no server there, or none that answers.
        RecipeError: it does not serve the model.
    """
    try:
        content = await _within(timeout, endpoint.client.get("/models", cast_to=httpx2.Response), endpoint)
        entries = {str(entry["id"]): entry for entry in json.loads(content)["data"]}
    except Refused as refused:
        if refused.status == 404:
            return {"id": model}
        raise RecipeError(f"{endpoint.url}/models: {refused}, expected a list of models") from None
    except (ValueError, KeyError, TypeError) as error:
        raise RecipeError(f"{endpoint.url}/models: {gist(error, endpoint.key)}, expected a list of models") from None
    if model not in entries:
        raise RecipeError(f"{endpoint.url}: got models {', '.join(sorted(entries)) or 'none'}, expected {model}")
    stable = ("id", "owned_by", "root", "max_model_len")
    return {name: entries[model][name] for name in stable if entries[model].get(name) is not None}


async def send(endpoint: Endpoint, request: Request, timeout: float) -> tuple[Response, tuple[str, str]]:
    """Send a request once and read the answer; return it with the model and fingerprint that it names.

    A server that refuses `response_format` gets the same request without it, now and from then on.

    Raises:
        Failed: what may succeed later. Refused: what this server will not answer.
        RecipeError: no request succeeds there: a key it refuses, a model or path it does not have, a redirect.
    """
    body = {"model": request.model, "messages": request.messages, **request.parameters}
    body.update(body.pop("extra_body", {}))
    if endpoint.without_format:
        body.pop("response_format", None)
    try:
        content = await _post(endpoint, body, timeout)
    except Refused as refused:
        if refused.status in SETUP or refused.status < 400:
            raise RecipeError(f"{endpoint.url}: {refused}") from None
        if "response_format" not in body or not FORMAT.search(str(refused)):
            raise
        endpoint.without_format = True
        del body["response_format"]
        content = await _post(endpoint, body, timeout)
    try:
        return _completion(content, body, endpoint)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise Failed(f"no chat completion: {gist(error, endpoint.key)}") from None


def gist(error: BaseException, key: str) -> str:
    """Say in one line, and without the key, what a server or the way to it did."""
    cause = f": {error.__cause__}" if isinstance(error, openai.APIConnectionError) and error.__cause__ else ""
    status = f"HTTP {error.status_code}: " if isinstance(error, openai.APIStatusError) else ""
    said = f"{status}{str(error) or type(error).__name__}{cause}".replace(key, "<key>")  # before a cut could halve it
    return " ".join(said[:2000].split())[:300]


async def _post(endpoint: Endpoint, body: Mapping[str, Any], timeout: float) -> bytes:
    asked = endpoint.client.post("/chat/completions", cast_to=httpx2.Response, body=body)
    return await _within(timeout, asked, endpoint)


async def _within(timeout: float, asked: Any, endpoint: Endpoint) -> bytes:
    """Await a response within so many seconds, all of it, and tell what went wrong if anything did."""
    try:
        async with asyncio.timeout(timeout):
            response: httpx2.Response = await asked
        return response.content
    except TimeoutError:
        raise Failed(f"no answer within {timeout:g} s") from None
    except openai.APIStatusError as error:
        told = gist(error, endpoint.key)
        if error.status_code in LATER or error.status_code >= 500:
            raise Failed(told, wait=_retry_after(error.response), busy=error.status_code == 429) from None
        raise Refused(told, error.status_code, too_long=bool(TOO_LONG.search(str(error)))) from None
    except (openai.APIError, httpx2.HTTPError, aiohttp.ClientError, OSError) as error:
        raise Failed(gist(error, endpoint.key)) from None


def _completion(content: bytes, body: Mapping[str, Any], endpoint: Endpoint) -> tuple[Response, tuple[str, str]]:
    read = json.loads(content)  # UTF-8 or an error, which is a ValueError like that of cut JSON
    choices = sorted(read["choices"], key=lambda choice: choice.get("index", 0))
    texts = tuple(_text(choice["message"].get("content")) for choice in choices)
    if not texts:
        raise ValueError("no choices")
    longest = MAX_TOKEN_CHARS * int(body["max_tokens"])
    if max(map(len, texts)) > longest:
        raise ValueError(f"a text of {max(map(len, texts))} characters for {body['max_tokens']} tokens")
    usage = read.get("usage") or {}
    says = str(read.get("model") or ""), str(read.get("system_fingerprint") or "")
    response = Response(
        texts=texts,
        finish_reasons=tuple(str(choice.get("finish_reason")) for choice in choices),
        fingerprint=says[1] or _fingerprint(endpoint),
        prompt_tokens=int(usage.get("prompt_tokens") or 0),
        output_tokens=int(usage.get("completion_tokens") or 0),
    )
    return response, says


def _fingerprint(endpoint: Endpoint) -> str:
    """Name what a server's list says of its model, for answers that carry no fingerprint; alike in all replicas."""
    alike = {name: value for name, value in (endpoint.serves or {}).items() if name != "root"}
    return text_hash(json.dumps(alike, sort_keys=True), 8)


def _text(content: object) -> str:
    """Read the content of a message."""
    if content is None:
        return ""
    if not isinstance(content, str):
        raise TypeError(f"content is no text: {type(content).__name__}")
    return whole_characters(content)


def _retry_after(response: httpx2.Response) -> float:
    """Read the seconds that a server asks to wait; a date or nonsense counts as none."""
    try:
        return min(max(float(response.headers.get("retry-after", "0")), 0.0), 3600.0)
    except ValueError:
        return 0.0


async def _bound(response: httpx2.Response) -> None:
    """Let no more than MAX_BODY bytes of a response be read."""
    packed = response.headers.get("content-encoding", "identity") != "identity"
    if isinstance(response.stream, httpx2.AsyncByteStream):
        response.stream = _Bounded(response.stream, MAX_BODY // (MAX_UNPACKING if packed else 1))


class _Bounded(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream, limit: int) -> None:
        self._stream, self._left = stream, limit

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._stream:
            self._left -= len(chunk)
            if self._left < 0:
                raise httpx2.ReadError(f"a body of more than {MAX_BODY >> 20} MiB")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()
