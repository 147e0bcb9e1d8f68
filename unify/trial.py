"""Rewrite some passages and write nothing but the journal: how a forecast and an acceptance ask, before a run does."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.recipe import Recipe
from unify.asking import asking
from unify.pair import Passage
from unify.request import Request, Response, RewriteConfig
from unify.rewrite import all_done, rewrite_passage

Moment = tuple[float, int]  # seconds of a clock, and the output tokens that were received until then


@dataclass(frozen=True)
class Estimate:
    """A figure of all passages as some of them tell it, and the interval that it lies in."""

    expected: float
    low: float
    high: float

    def times(self, factor: float) -> "Estimate":
        """Scale it."""
        return Estimate(self.expected * factor, self.low * factor, self.high * factor)


@dataclass(frozen=True)
class Taken:
    """What rewriting one passage took, and the Example rows that came of it, kept and dropped."""

    requests: int
    prompt_tokens: int
    output_tokens: int
    rows: Sequence[dict[str, Any]]

    @property
    def kept(self) -> int:
        """How many of the rows are kept."""
        return sum(row["drop_reason"] is None for row in self.rows)


@dataclass(frozen=True)
class Trial:
    """What each passage took, as they were given; the moments of responses; tokens of the model ever spent here."""

    taken: Sequence[Taken]
    moments: Sequence[Moment]
    spent: int


async def rewrite_some(
    passages: Sequence[tuple[Passage, RewriteConfig]],
    config: RewriteConfig,
    recipe: Recipe,
    check: Callable[[Recipe], None],
) -> Trial:
    """Rewrite passages, each by settings of its own, which name one model.

    Args:
        check: raises RecipeError where a recipe whose [run] changed may not run.

    Raises:
        RecipeError, Stopped: as rewriting does.
    """
    moments: list[Moment] = []
    async with asking(config, recipe, check) as (ask, ledger, in_flight, *_):

        async def take(passage: Passage, settings: RewriteConfig) -> Taken:
            requests = given = written = 0

            async def counting(request: Request) -> Response:
                nonlocal requests, given, written
                response = await ask(request)
                requests, given = requests + 1, given + response.prompt_tokens
                written += response.output_tokens
                moments.append((time.monotonic(), ledger.sent.output_tokens))
                return response

            await in_flight.begin()
            try:
                rows = await rewrite_passage(passage, settings, counting)
            finally:
                in_flight.end()
            return Taken(requests, given, written, rows)

        taken = await all_done(take(*one) for one in passages)
        return Trial(taken, moments, ledger.total.tokens)


def in_flow(moments: Sequence[Moment]) -> Sequence[Moment]:
    """Return the moments while servers were in full flow, without the last fifth; none if no tokens came."""
    flow = [moment for moment in moments if moment[1]]
    flow = flow[: max(2, len(flow) * 4 // 5)]
    return flow if len(flow) > 1 and flow[-1][1] > flow[0][1] else []


def speed_of(flow: Sequence[Moment]) -> float | None:
    """Return output tokens a second between the first moment and the last; None where there are none."""
    return (flow[-1][1] - flow[0][1]) / max(flow[-1][0] - flow[0][0], 1e-9) if flow else None
