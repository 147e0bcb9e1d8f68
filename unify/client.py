"""Requests against one or many OpenAI-compatible servers: where each goes, what is tried again, who is set aside.

This is the only module that reads a key or retries. A passage's requests go to one server, whose cache holds its
prompt, unless that server has clearly more to do than another. What can heal (timeouts, lost connections, HTTP 429 and
5xx, bodies that are no answer) is tried again after a wait that doubles, with jitter. A server that fails again and
again is set aside and greeted now and then until it is back. A prompt that alone gets no answer, while the server
answers another, ends in a response without texts that says why; what no prompt survives ends the run.
"""

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from pipeline.recipe import RecipeError, RunConfig
from pipeline.records import uniform
from unify.endpoint import Endpoint, Failed, Refused, open_endpoint, send, served
from unify.request import PROMPT_REFUSED, REFUSED_LENGTH, UNANSWERED, Request, Response

FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0  # seconds before the first retry, and at most
TOLERATED = 4  # failures in a row of a server before it is set aside
GIVEN_UP = 20  # prompts in a row without an answer, beside those under way, before the run stops
SLACK, SHARE = (
    4,
    1.25,
)  # a passage's server has clearly more to do: beyond SHARE times the least loaded one's, plus SLACK
GO_ON = "run the same command again to go on"


@dataclass
class Traffic:
    """What was sent, counted since the client was opened."""

    sent: int = 0  # requests, retries included, greetings not
    retried: int = 0
    busy: int = 0  # answers of HTTP 429
    in_flight: int = 0
    set_aside: int = 0  # times that a server was
    prompts_given_up: int = 0


@dataclass
class Client:
    """The servers of a run as one function from a request to its response; `endpoints` are open while the run lasts.

    Args:
        run: gives the settings as they are now; they may change at any time.
        base_urls: gives the servers to use now.
    """

    run: Callable[[], RunConfig]
    base_urls: Callable[[], Sequence[str]]
    preflight: Request
    say: Callable[[str], None]
    key: str
    endpoints: list[Endpoint] = field(default_factory=list)
    traffic: Traffic = field(default_factory=Traffic)
    _back: asyncio.Event = field(default_factory=asyncio.Event)
    _down_since: float | None = None
    _last_words: str = ""
    _under_way: int = 0
    _given_up: int = 0  # since the last answer
    _changing: asyncio.Lock = field(default_factory=asyncio.Lock)
    _known: tuple[str, ...] = ()
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _broken: RecipeError | None = None

    async def __call__(self, request: Request) -> Response:
        """Answer a request; `_until_answered` says what it raises."""
        self._under_way += 1
        try:
            return await self._until_answered(request)
        finally:
            self._under_way -= 1

    async def _until_answered(self, request: Request) -> Response:
        """Ask until there is an answer, or a reason why this prompt gets none.

        Raises:
            RecipeError: no server for `max_outage` seconds; a key or model that is refused, a model that changed behind
                its name; more than GIVEN_UP prompts in a row without an answer.
        """
        wait, tries, began = FIRST_WAIT, 0, time.monotonic()
        while True:
            endpoint = await self._choose(request)
            try:
                return await self._ask(endpoint, request)
            except Refused as refused:
                if refused.too_long:
                    return _without_texts(endpoint, REFUSED_LENGTH, str(refused))
                if await self._greets(endpoint):
                    return self._give_up(endpoint, PROMPT_REFUSED, str(refused))
                self._set_aside(endpoint, str(refused))
                pause = wait
            except Failed as failed:
                tries += not failed.busy or time.monotonic() - began > self.run().max_outage
                self._failed(endpoint, failed)
                if tries > self.run().retries:
                    if await self._greets(endpoint):
                        return self._give_up(endpoint, UNANSWERED, str(failed))
                    self._set_aside(endpoint, str(failed))
                pause = max(wait * random.uniform(0.5, 1.0), failed.wait)
            self.traffic.retried += 1
            await asyncio.sleep(pause)
            wait = min(2 * wait, LONGEST_WAIT)

    async def connect(self) -> None:
        """Open the servers that the settings name and close others; at least one must answer."""
        async with self._changing:
            wanted = tuple(dict.fromkeys(self.base_urls()))
            if wanted == self._known:
                return
            first, self._known = not self._known, wanted
            for endpoint in [known for known in self.endpoints if known.url not in wanted]:
                self.endpoints.remove(endpoint)
                self._later(_close_when_idle(endpoint))
            known = {endpoint.url for endpoint in self.endpoints}
            fresh = [open_endpoint(url, self.key) for url in wanted if url not in known]
            self.endpoints += fresh
            found = await asyncio.gather(*map(self._greet, fresh), return_exceptions=True)
            unreachable = [error for error in found if isinstance(error, Failed)]
            if first and len(unreachable) == len(fresh):
                raise RecipeError(
                    f"{fresh[0].url}: no server there ({unreachable[0]}), expected an OpenAI-compatible one"
                )
            for endpoint, error in zip(fresh, found, strict=True):
                if isinstance(error, Failed):
                    self._set_aside(endpoint, str(error))
                elif error is None:
                    endpoint.aside = False
                elif first or not isinstance(error, RecipeError):
                    raise error
                else:
                    self.say(f"{error}; it is not used")
                    self.endpoints.remove(endpoint)
                    self._later(endpoint.client.close())
            self._back.set()

    async def close(self) -> None:
        """Close all connections."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for endpoint in self.endpoints:
            await endpoint.client.close()

    async def _ask(self, endpoint: Endpoint, request: Request) -> Response:
        texts = int(request.parameters.get("n", 1))
        self.traffic.sent += 1
        self.traffic.in_flight += 1
        endpoint.load += texts
        try:
            response, says = await send(endpoint, request, self.run().timeout)
        finally:
            endpoint.load -= texts
            self.traffic.in_flight -= 1
        self._check_same(endpoint, says)
        endpoint.failures = self._given_up = 0
        return response

    async def _choose(self, request: Request) -> Endpoint:
        """Choose among the servers in service; wait while there is none."""
        while True:
            if self._broken:
                raise self._broken
            if tuple(self.base_urls()) != self._known:
                await self.connect()
            serving = [endpoint for endpoint in self.endpoints if not endpoint.aside]
            if serving:
                return _least_loaded(serving, request.about)
            self._down_since = self._down_since or time.monotonic()
            left = self._down_since + self.run().max_outage - time.monotonic()
            if left <= 0:
                raise RecipeError(
                    f"{', '.join(self._known)}: no server has answered for {self.run().max_outage:g} s"
                    f" ({self._last_words}); start one, or change [run] base_urls, and {GO_ON}"
                )
            self._back.clear()
            try:
                async with asyncio.timeout(min(left, 1.0)):  # the settings may name another server meanwhile
                    await self._back.wait()
            except TimeoutError:
                continue

    def _failed(self, endpoint: Endpoint, failed: Failed) -> None:
        self.traffic.busy += failed.busy
        if failed.busy:
            return
        endpoint.failures += 1
        if endpoint.failures >= TOLERATED:
            self._set_aside(endpoint, str(failed))

    def _set_aside(self, endpoint: Endpoint, why: str) -> None:
        self._last_words = why
        if endpoint.awaited or endpoint not in self.endpoints:
            return
        endpoint.aside = endpoint.awaited = True
        self.traffic.set_aside += 1
        self._later(self._await_return(endpoint, why))

    async def _await_return(self, endpoint: Endpoint, why: str) -> None:
        """Greet a server that was set aside, ever more rarely, until it answers; a word only if it is not at once."""
        wait, said = FIRST_WAIT, False
        while endpoint in self.endpoints:
            try:
                await self._greet(endpoint)
            except Failed as failed:
                if not said:
                    self.say(f"{endpoint.url}: set aside: {why}")
                self._last_words, said = str(failed), True
                await asyncio.sleep(max(wait * random.uniform(0.5, 1.0), failed.wait))
                wait = min(2 * wait, LONGEST_WAIT)
                continue
            except RecipeError as error:
                self._broken = error
            if said and not self._broken:
                self.say(f"{endpoint.url}: back")
            endpoint.aside = endpoint.awaited = False
            endpoint.failures, self._down_since = 0, None
            self._back.set()
            return

    async def _greets(self, endpoint: Endpoint) -> bool:
        try:
            await self._greet(endpoint)
        except Failed as failed:
            self._last_words = str(failed)
            return False
        return True

    async def _greet(self, endpoint: Endpoint) -> None:
        """See that a server has the model, still the same, and answers; the first time, show what it says."""
        timeout, model = self.run().timeout, self.preflight.model
        serves = await served(endpoint, model, timeout)
        if endpoint.serves not in (None, serves):
            raise _changed(endpoint, str(endpoint.serves), str(serves))
        endpoint.serves = serves
        try:
            response, says = await send(endpoint, self.preflight, timeout)
        except Refused as refused:
            raise RecipeError(f"{endpoint.url}: preflight: {refused}, expected an answer") from None
        if endpoint.says is None:
            beginning = " ".join(response.texts[0].split())[:60]
            self.say(f"{endpoint.url}: {model} ({response.fingerprint}) answers {beginning!r}")
            endpoint.says = says
        self._check_same(endpoint, says)

    def _check_same(self, endpoint: Endpoint, says: tuple[str, str]) -> None:
        # a rented service changes its fingerprint from day to day; only the name that it answers under must stay
        compared = slice(0, 2 if "extra_body" in self.preflight.parameters else 1)
        if endpoint.says is not None and says[compared] != endpoint.says[compared]:
            raise _changed(endpoint, "@".join(endpoint.says), "@".join(says))

    def _give_up(self, endpoint: Endpoint, reason: str, why: str) -> Response:
        self._given_up += 1
        self.traffic.prompts_given_up += 1
        if self._given_up >= GIVEN_UP + self._under_way:
            raise RecipeError(f"{endpoint.url}: {self._given_up} prompts in a row got no answer, the last: {why}")
        return _without_texts(endpoint, reason, why)

    def _later(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


@asynccontextmanager
async def connected(
    run: Callable[[], RunConfig],
    base_urls: Callable[[], Sequence[str]],
    preflight: Request,
    say: Callable[[str], None],
) -> AsyncIterator[Client]:
    """Open the servers, see that each has the model and answers, and yield what asks them.

    Args:
        run, base_urls: give the settings as they are now, and the servers to use now.
        preflight: a prompt that any server answers; the first characters of its answer are shown.

    Raises:
        RecipeError: no server at all, a model that one does not serve, a key it refuses.
    """
    client = Client(run, base_urls, preflight, say, os.environ.get(run().api_key_env) or "EMPTY")
    try:
        await client.connect()
        yield client
    finally:
        await client.close()


def _least_loaded(serving: Sequence[Endpoint], about: str) -> Endpoint:
    """Choose a passage's own server (rendezvous hashing), or the least loaded one where that has clearly more to do."""
    if len(serving) == 1:
        return serving[0]
    least = min(serving, key=lambda endpoint: endpoint.load)
    own = max(serving, key=lambda endpoint: uniform(0, endpoint.url, about))
    return own if own.load <= SHARE * least.load + SLACK else least


def _changed(endpoint: Endpoint, was: str, now: str) -> RecipeError:
    return RecipeError(
        f"{endpoint.url}: the model changed behind its name: was {was}, is {now}; start the old one again, or {GO_ON}"
        " with the new one"
    )


def _without_texts(endpoint: Endpoint, reason: str, why: str) -> Response:
    return Response((), (reason, why), "@".join(endpoint.says or ()).strip("@"), 0, 0)


async def _close_when_idle(endpoint: Endpoint) -> None:
    while endpoint.load:
        await asyncio.sleep(0.1)
    await endpoint.client.close()
