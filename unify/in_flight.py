"""How many passages are under way at a time: as many as the recipe says, or as many as the servers gain from."""

import asyncio
import time
from collections.abc import Callable

FIRST, MOST = 32, 1024  # passages under way at the start, and at most, where the recipe leaves it open
GAIN = 1.08  # twice the passages must bring this factor in output tokens a second, or the step is taken back
AGAIN = 300.0  # seconds until a step is tried once more: servers come, and passages differ


class InFlight:
    """A number of places; `begin` waits for one. Answers are counted, and the places grow while that makes more come.

    A step doubles the places. The first answers after it, one a place, belong to the time before; of the next ones, two
    a place, the tokens a second are measured. A step that does not gain is taken back, and tried again after a while.
    """

    def __init__(self, wanted: Callable[[], int | str], clock: Callable[[], float] = time.monotonic) -> None:
        self._wanted = wanted
        self._clock = clock
        self._chosen = FIRST
        self._freed = asyncio.Event()
        self._answers = self._tokens = 0  # since the last step
        self._since = clock()  # when the measured answers began
        self._speed_before = 0.0  # tokens a second with half the places
        self._settled: float | None = None  # when the places stopped growing
        self.under_way = 0

    @property
    def places(self) -> int:
        """How many passages may be under way now."""
        wanted = self._wanted()
        return self._chosen if isinstance(wanted, str) else wanted

    async def begin(self) -> None:
        """Take a place, as soon as one is free."""
        while self.under_way >= self.places:
            self._freed.clear()
            await self._freed.wait()
        self.under_way += 1

    def end(self) -> None:
        """Give a place back."""
        self.under_way -= 1
        self._freed.set()

    def answered(self, tokens: int) -> None:
        """Count an answer of so many output tokens."""
        now = self._clock()
        if self._settled is not None:
            if now - self._settled >= AGAIN:
                self._rise()
            return
        self._answers += 1
        if self._answers <= self._chosen:
            self._since = now
            return
        self._tokens += tokens
        if self._answers < 3 * self._chosen or now <= self._since:
            return
        speed = self._tokens / (now - self._since)
        if speed < GAIN * self._speed_before:
            self._settle(self._chosen // 2)
        elif self._chosen == MOST:
            self._settle(MOST)
        else:
            self._chosen, self._speed_before = 2 * self._chosen, speed
            self._answers = self._tokens = 0

    def pushed_back(self) -> None:
        """Halve the places: a server asked for fewer requests."""
        if self._settled is None:
            self._settle(max(self._chosen // 2, 1))

    def _rise(self) -> None:
        self._settled, self._speed_before = None, 0.0
        self._answers = self._tokens = 0

    def _settle(self, places: int) -> None:
        self._chosen, self._settled = places, self._clock()
