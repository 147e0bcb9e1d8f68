"""When a run should end early: a signal, or the hours that the recipe gives it."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Stop:
    """Whether to save and stop after the step that runs."""

    max_hours: float | None
    began: float = field(default_factory=time.monotonic)
    asked: bool = False
    last: float = field(default_factory=time.monotonic)
    slowest: float = 0.0  # the longest time between two questions so far, in seconds

    def is_due(self) -> bool:
        """Say whether someone asked, or whether two more of the slowest step would pass the limit."""
        now = time.monotonic()
        self.slowest, self.last = max(self.slowest, now - self.last), now
        return self.asked or (
            self.max_hours is not None and now - self.began + 2 * self.slowest > self.max_hours * 3600
        )


@contextmanager
def stop_signals(max_hours: float | None) -> Iterator[Stop]:
    """Turn SIGTERM and SIGINT into a wish to stop after the step that runs. They may come more than once."""
    stop = Stop(max_hours)

    def ask(*_: object) -> None:
        stop.asked = True

    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
