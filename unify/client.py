"""Requests against one or many OpenAI-compatible servers: where to send, what to retry, who answered.

This is the only module that reads a key or retries. A request goes to the server with the fewest of ours in flight.
What can heal (timeouts, lost connections, HTTP 429 and 5xx) is tried again after a wait that doubles, with jitter;
any other error of a server stops the run.
"""

import asyncio
import json
import os
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, cast

import openai
from openai import AsyncOpenAI, DefaultAioHttpClient
from openai.types.chat import ChatCompletion

from pipeline.recipe import RecipeError, RunConfig, is_private
from pipeline.records import text_hash
from unify.request import REFUSED_LENGTH, Ask, Request, Response

FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0  # seconds before the first retry, and at most
HEALING = (openai.APITimeoutError, openai.APIConnectionError, openai.RateLimitError, openai.InternalServerError)
TOO_LONG = (
    "context_length_exceeded",
    "maximum context length",
    "maximum model length",
    "max_model_len",
    "longer than the maximum",
)


@asynccontextmanager
async def connected(
    run: RunConfig, base_urls: Sequence[str], preflight: Request, say: Callable[[str], None]
) -> AsyncIterator[Ask]:
    """Open clients of the servers, see that each has the model and answers, and yield the function that asks them.

    Args:
        preflight: sent once to each server; the first characters of its answer are shown.

    Raises:
        RecipeError: no server there, a model it does not serve, a key it refuses; when asking, an error that did not
            heal in `run.retries` retries, or cannot.
    """
    key = os.environ.get(run.api_key_env) or "EMPTY"
    async with AsyncExitStack() as stack:
        clients: list[tuple[str, AsyncOpenAI, str]] = []
        for url in base_urls:
            # trust_env: a proxy from the environment is for the outside, not for a server in the house
            http = DefaultAioHttpClient(trust_env=not is_private(url))
            client = AsyncOpenAI(base_url=url, api_key=key, max_retries=0, timeout=run.timeout, http_client=http)
            await stack.enter_async_context(client)
            fingerprint = await _served(url, client, preflight.model, key)
            response = await _first_answer(url, client, preflight, fingerprint, key)
            beginning = " ".join("".join(response.texts[:1]).split())[:60]
            say(f"{url}: {preflight.model} ({response.fingerprint}) answers {beginning!r}")
            clients.append((url, client, fingerprint))
        in_flight = [0] * len(clients)

        async def complete(request: Request) -> Response:
            wait = FIRST_WAIT
            for left in range(run.retries, -1, -1):
                server = min(range(len(clients)), key=in_flight.__getitem__)
                url, client, fingerprint = clients[server]
                in_flight[server] += 1
                try:
                    return await _send(client, request, fingerprint)
                except HEALING as error:
                    if not left:
                        raise RecipeError(f"{url}: {_gist(error, key)}, after {run.retries} retries") from None
                except openai.APIError as error:
                    raise RecipeError(f"{url}: {_gist(error, key)}") from None
                finally:
                    in_flight[server] -= 1
                await asyncio.sleep(wait * random.uniform(0.5, 1.0))
                wait = min(2 * wait, LONGEST_WAIT)
            raise AssertionError("unreachable: the last round returns or raises")

        yield complete


async def _send(client: AsyncOpenAI, request: Request, fingerprint: str) -> Response:
    create = cast(Callable[..., Any], client.chat.completions.create)
    try:
        completion: ChatCompletion = await create(
            model=request.model, messages=list(request.messages), **request.parameters
        )
    except openai.BadRequestError as error:
        if not any(sign in str(error).lower() for sign in TOO_LONG):
            raise
        return Response((), (REFUSED_LENGTH,), fingerprint, 0, 0)
    return Response(
        texts=tuple(choice.message.content or "" for choice in completion.choices),
        finish_reasons=tuple(str(choice.finish_reason) for choice in completion.choices),
        fingerprint=completion.system_fingerprint or fingerprint,
        prompt_tokens=completion.usage.prompt_tokens if completion.usage else 0,
        output_tokens=completion.usage.completion_tokens if completion.usage else 0,
    )


async def _served(url: str, client: AsyncOpenAI, model: str, key: str) -> str:
    """Return a fingerprint of the model's entry in the server's list, for responses that carry none."""
    try:
        served = {entry.id: entry for entry in (await client.models.list()).data}
    except openai.NotFoundError:
        return text_hash(model, 8)  # an endpoint without a list: the preflight decides
    except openai.APIConnectionError as error:
        raise RecipeError(f"{url}: no server there ({_gist(error, key)}), expected an OpenAI-compatible one") from None
    except (openai.APIError, json.JSONDecodeError) as error:
        raise RecipeError(f"{url}/models: {_gist(error, key)}, expected a list of models") from None
    if model not in served:
        raise RecipeError(f"{url}: got models {', '.join(sorted(served)) or 'none'}, expected {model}")
    stable = {
        name: value for name, value in served[model].model_dump().items() if name in ("id", "owned_by", "max_model_len")
    }
    return text_hash(json.dumps(stable, sort_keys=True), 8)


async def _first_answer(url: str, client: AsyncOpenAI, preflight: Request, fingerprint: str, key: str) -> Response:
    try:
        response = await _send(client, preflight, fingerprint)
    except openai.APIError as error:
        raise RecipeError(f"{url}: preflight: {_gist(error, key)}, expected an answer") from None
    if not response.texts:
        raise RecipeError(f"{url}: preflight: got {response.finish_reasons[0]}, expected an answer")
    return response


def _gist(error: Exception, key: str) -> str:
    """Say in one line, and without the key, what a server or the way to it did."""
    cause = f": {error.__cause__}" if isinstance(error, openai.APIConnectionError) and error.__cause__ else ""
    status = f"HTTP {error.status_code}: " if isinstance(error, openai.APIStatusError) else ""
    return " ".join(f"{status}{error}{cause}".replace(key, "<key>").split())[:300]
