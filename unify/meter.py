"""How rewriting goes, live: a line behind the bar of a terminal, or one JSON object a minute elsewhere.

Speeds are those of the last 30 seconds. The servers' own maximum is the most output tokens a second that any 30 whole
seconds of this run had, so that the share tells when a run falls behind what it has shown it can do.
"""

import asyncio
import json
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from pipeline.progress import Meter
from pipeline.recipe import RunConfig
from unify.budget import Ledger, cost

TICK = 1.0  # seconds between two readings
SPEED_OVER = 30  # readings
LEFT_OVER = 300  # readings that the time left is reckoned by
JSON_EVERY = 60  # readings


@dataclass(frozen=True)
class Reading:
    """What was done by a moment, in seconds of a clock."""

    moment: float
    passages: int
    asked: int  # of the passages, those for which the model was asked
    requests: int
    output_tokens: int


class Speeds:
    """The readings of the last minutes, and the best stretch of them so far."""

    def __init__(self) -> None:
        self._readings: deque[Reading] = deque(maxlen=LEFT_OVER + 1)
        self.best = 0.0  # output tokens/s

    def read(self, reading: Reading) -> None:
        """Take the next reading."""
        self._readings.append(reading)
        if len(self._readings) > SPEED_OVER:
            self.best = max(self.best, self.of("output_tokens"))

    def of(self, name: str) -> float:
        """Return how much of something is done a second, over the last SPEED_OVER readings."""
        readings = self._readings
        if len(readings) < 2:
            return 0.0
        first, last = readings[-min(SPEED_OVER + 1, len(readings))], readings[-1]
        return float(getattr(last, name) - getattr(first, name)) / max(last.moment - first.moment, 1e-9)

    def seconds_for(self, passages: int) -> float | None:
        """Reckon how long more passages take, by those done since the first response; None while none was asked.

        Those that need no model come at once, while a server still starts; what they took says nothing of the others.
        """
        answered = [reading for reading in self._readings if reading.requests]
        if not answered:
            return None
        before = [reading for reading in self._readings if not reading.requests][-1:]
        first, last = (before or answered)[0], answered[-1]
        if last.asked == first.asked:
            return None
        return passages * (last.moment - first.moment) / (last.passages - first.passages)


def figures(ledger: Ledger, speeds: Speeds, progress: Meter, run: RunConfig, retries: int) -> dict[str, Any]:
    """Gather what is shown: speeds a second, counts of this run, and what the model has cost in this output folder."""
    left = speeds.seconds_for(max(0, progress.total - progress.done))
    tokens = speeds.of("output_tokens")
    shown: dict[str, Any] = {
        "passages": progress.done,
        "of": progress.total,
        "pairs": ledger.kept,
        "requests_per_s": round(speeds.of("requests"), 1),
        "output_tokens_per_s": round(tokens, 1),
        "share_of_best": round(tokens / speeds.best, 2) if speeds.best else None,
        "rejected": dict(ledger.rejected.most_common()),
        "retries": retries,
        "requests": ledger.total.requests,
        "prompt_tokens": ledger.total.prompt_tokens,
        "output_tokens": ledger.total.output_tokens,
        "seconds_left": None if left is None else round(left),
    }
    if run.budget.input_price or run.budget.output_price:
        shown["cost"] = round(cost(ledger.total, run.budget), 4)
    return shown


def note(shown: dict[str, Any]) -> str:
    """Write figures for the line of a terminal."""
    share = "" if shown["share_of_best"] is None else f" ({shown['share_of_best']:.0%} of its best)"
    cost = f", cost {shown['cost']:,.2f}" if "cost" in shown else ""
    first = list(shown["rejected"].items())[:3]
    rejected = f", rejected: {', '.join(f'{count:,} {reason}' for reason, count in first)}" if first else ""
    retries = f", {shown['retries']:,} retries" if shown["retries"] else ""
    speed = f"{shown['requests_per_s']:,.1f} requests/s, {shown['output_tokens_per_s']:,.0f} output tokens/s{share}"
    return f"{speed}{cost}{retries}{rejected}"


@asynccontextmanager
async def shown_live(
    ledger: Ledger,
    progress: Meter,
    run: Callable[[], RunConfig],
    retries: Callable[[], int],
    say: Callable[[str], None] = print,
) -> AsyncIterator[Speeds]:
    """Show how it goes while the block runs, and once more at its end."""
    speeds = Speeds()

    def read() -> dict[str, Any]:
        sent = ledger.sent
        speeds.read(Reading(time.monotonic(), progress.done, ledger.asked, sent.requests, sent.output_tokens))
        return figures(ledger, speeds, progress, run(), retries())

    def write() -> None:
        if progress.bar is None:
            say(json.dumps({progress.label: read()}))

    async def go_on() -> None:
        ticks = 0
        while True:
            await asyncio.sleep(TICK)
            progress.note = note(read())
            progress.advance(0)
            ticks += 1
            if ticks % JSON_EVERY == 0:
                write()

    read()
    showing = asyncio.create_task(go_on())
    try:
        yield speeds
    finally:
        showing.cancel()
        if ledger.sent.requests:
            write()
