"""What a run may spend, and when it must ask a person: the limits of [run.budget], and the breaker.

Limits on requests, tokens and money are totals over the output folder, counted by the journal by model, so that a run
that is started again does not begin anew. A request is sent only if the limits hold though it should cost all that it
may; near a limit fewer are therefore under way at a time, and the limit is never passed. At a limit nothing more is
sent, what is under way is waited for and kept, and the run ends.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from pipeline.recipe import BudgetConfig, RunConfig
from unify.journal import Spent
from unify.request import Request, Response

GO_ON = "run the same command again to go on"
BREAKER_LAST = 5000  # passages that the breaker looks back on
BREAKER_LEAST = 500  # passages that it waits for before it judges: a share of 0.5 is then known within 0.05
TEMPLATE_TOKENS = 64  # a message, at most, of what a chat template adds


class Stopped(Exception):
    """A limit that the recipe sets: nothing is broken, what was asked is kept. The command line ends with `code`."""

    code = 3


class BreakerOpen(Stopped):
    """So many passages end alike that a person should look before more is paid for."""

    code = 4


class Ledger:
    """Counts what is sent and received, admits a request while the limits hold, and watches why passages end.

    Args:
        run: gives the settings as they are now; they may change at any time.
        spent: what the journal has of the model.
    """

    def __init__(
        self,
        run: Callable[[], RunConfig],
        spent: Spent,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = datetime.now,
    ) -> None:
        self._run, self._clock, self._now = run, clock, now
        self.total = spent
        self.sent = Spent()  # of this run
        self.rejected: Counter[str] = Counter()  # rows of this run by drop reason
        self.kept = 0
        self.asked = 0  # passages done of those that got a response in this run
        self._under_way = Spent()  # what was sent and is not kept yet may cost at most
        self._back = asyncio.Event()
        self._began: float | None = None
        self._asked: set[str] = set()  # passages that got a response in this run and are not done
        self._ends: deque[str | None] = deque(maxlen=BREAKER_LAST)
        self._ends_by_reason: Counter[str | None] = Counter()
        self._stopped: Stopped | None = None

    @asynccontextmanager
    async def admit(self, request: Request) -> AsyncIterator[Callable[[Response], None]]:
        """Wait until a request fits the limits; give the function that counts its response once that is kept.

        Raises:
            Stopped: it does not fit, and nothing is under way any more.
        """
        most = most_of(request)
        self._began = self._clock() if self._began is None else self._began
        while (limit := self._stopped or self._limit(most)) is not None:
            if not self._under_way.requests:
                raise limit
            self._back.clear()
            await self._back.wait()
        self._under_way = self._under_way.plus(most)
        try:
            yield lambda response: self._count(request, response)
        finally:
            self._under_way = self._under_way.plus(most, times=-1)
            self._back.set()

    def finished(self, passage_id: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Count what came of a passage; and watch those that were asked about."""
        reasons = [row["drop_reason"] for row in rows]
        self.kept += reasons.count(None)
        self.rejected.update(reason for reason in reasons if reason)
        if passage_id not in self._asked:
            return  # all of it was in the journal: it costs nothing
        self._asked.remove(passage_id)
        self.asked += 1
        if len(self._ends) == BREAKER_LAST:
            self._ends_by_reason[self._ends[0]] -= 1
        end = None if None in reasons else reasons[0]
        self._ends.append(end)
        self._ends_by_reason[end] += 1
        self._watch()

    def _watch(self) -> None:
        """Open the breaker where too many of the last passages end for one reason."""
        counts = [(count, reason) for reason, count in self._ends_by_reason.items() if reason]
        count, reason = max(counts, default=(0, ""))
        share, allowed = count / len(self._ends), self._run().breaker_share
        if len(self._ends) >= BREAKER_LEAST and share > allowed:
            self._stopped = BreakerOpen(
                f"{share:.0%} of the last {len(self._ends):,} passages end as {reason}, [run] breaker_share allows "
                f"{allowed:.0%}; read some with onestage sample, mend the recipe or raise breaker_share, and {GO_ON}"
            )

    def _count(self, request: Request, response: Response) -> None:
        spent = Spent(1, response.prompt_tokens, response.output_tokens)
        self.sent, self.total = self.sent.plus(spent), self.total.plus(spent)
        self._asked.add(request.about)

    def _limit(self, most: Spent) -> Stopped | None:
        """Find the limit that a request might pass."""
        budget = self._run().budget
        due = self.total.plus(self._under_way).plus(most)
        hours = (self._clock() - (self._began or 0.0)) / 3600
        for name, limit, reached in (
            ("max_requests", budget.max_requests, due.requests),
            ("max_tokens", budget.max_tokens, due.tokens),
            ("max_cost", budget.max_cost, cost(due, budget)),
            ("max_hours", budget.max_hours, hours),
        ):
            if limit is not None and reached > limit:
                spent = f"{self.total.requests:,} requests, {self.total.tokens:,} tokens"
                price = f", {cost(self.total, budget):,.2f}" if budget.max_cost is not None else ""
                how = GO_ON if name == "max_hours" else f"raise it and {GO_ON}"
                return Stopped(f"[run.budget] {name} = {limit:,} is reached ({spent}{price} so far); {how}")
        if budget.window is not None and not within(budget.window, self._now()):
            return Stopped(f"[run.budget] window = {budget.window} is over; {GO_ON} when it opens")
        return None


def most_of(request: Request) -> Spent:
    """Bound what a request costs: no tokenizer makes more tokens of a text than it has bytes."""
    written = sum(len(message["content"].encode("utf-8", "replace")) for message in request.messages)
    texts = int(request.parameters.get("n", 1)) * int(request.parameters.get("max_tokens", 0))
    return Spent(1, written + TEMPLATE_TOKENS * len(request.messages), texts)


def cost(spent: Spent, budget: BudgetConfig) -> float:
    """Price tokens by the recipe, in the recipe's currency."""
    return (spent.prompt_tokens * budget.input_price + spent.output_tokens * budget.output_price) / 1e6


def within(window: str, moment: datetime) -> bool:
    """Tell whether a time of day lies in a window such as 22:00-06:00, which may reach over midnight."""
    opens, closes = window.split("-")
    now = moment.strftime("%H:%M")
    return opens <= now < closes if opens <= closes else now >= opens or now < closes
