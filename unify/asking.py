"""What stands between a style's request and its response: journal, ledger, client, and the settings as they are now.

Inside out: the client sends and tries again; the ledger admits what the limits allow and counts what is kept; the
journal answers what it has. A model server is started, or connected to, when a response is missing from the journal.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NamedTuple

from pipeline.recipe import Recipe
from unify.budget import Ledger
from unify.client import Client, connected
from unify.in_flight import InFlight
from unify.journal import open_journal, remembering
from unify.live import LiveRun
from unify.request import Ask, Request, Response, RewriteConfig, request_of
from unify.serve import running_servers


class Asking(NamedTuple):
    """An open way to ask, and those who count on the way."""

    ask: Ask
    ledger: Ledger
    in_flight: InFlight
    live: LiveRun
    retried: Callable[[], int]


@asynccontextmanager
async def asking(config: RewriteConfig, recipe: Recipe, check: Callable[[Recipe], None]) -> AsyncIterator[Asking]:
    """Open the journal of a recipe's output folder and yield the function that asks its model.

    Args:
        check: raises RecipeError where a recipe whose [run] changed may not run.

    Raises:
        RecipeError: no server, one that fails after all retries, a journal in use.
        Stopped: at a limit of the recipe, from `ask`.
    """
    live = LiveRun(recipe, check)
    in_flight = InFlight(lambda: live.run.in_flight)
    connection: list[Client] = []
    async with (
        open_journal(recipe.output_folder / "journal.sqlite") as journal,
        _server_when_needed(config, recipe, live, in_flight, connection) as complete,
    ):
        ledger = Ledger(lambda: live.run, journal.spent(config.model))
        ask = remembering(journal, complete, ledger.admit)
        yield Asking(ask, ledger, in_flight, live, lambda: sum(client.traffic.retried for client in connection))


@asynccontextmanager
async def _server_when_needed(
    config: RewriteConfig, recipe: Recipe, live: LiveRun, in_flight: InFlight, connection: list[Client]
) -> AsyncIterator[Ask]:
    """Yield what answers requests; the first puts a client of the recipe's endpoints, or of new servers, there."""
    opening = asyncio.Lock()
    ours: list[str] = []
    async with AsyncExitStack() as stack:

        async def complete(request: Request) -> Response:
            async with opening:
                if not connection:
                    if not live.run.base_urls:
                        ours.extend(await stack.enter_async_context(running_servers(recipe, config.model)))
                    preflight = request_of(config, [("user", "Name one vitamin.")], names=("preflight",), max_tokens=16)
                    client = connected(lambda: live.run, lambda: live.run.base_urls or ours, preflight, print)
                    connection.append(await stack.enter_async_context(client))
            busy = connection[0].traffic.busy
            response = await connection[0](request)
            if connection[0].traffic.busy > busy:
                in_flight.pushed_back()
            in_flight.answered(response.output_tokens or len(response.texts))
            return response

        yield complete
