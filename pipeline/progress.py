"""Show how far a stage is: a rich bar on a terminal, a plain line now and then elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

PLAIN_EVERY = 15.0  # seconds between two plain lines


@dataclass
class Meter:
    """Counts what is done of a stage; `advance` is called once for each piece."""

    label: str
    total: int
    unit: str
    bar: Progress | None = None
    task: TaskID | None = None
    plain: bool = True  # lines where there is no terminal; False: the stage writes its own
    note: str = ""  # stands behind the rate
    done: int = 0
    started: float = field(default_factory=time.monotonic)
    spoken: float = field(default_factory=time.monotonic)

    def advance(self, pieces: int = 1) -> None:
        """Count pieces as done."""
        self.done += pieces
        now = time.monotonic()
        rate = self.done / max(now - self.started, 1e-9)
        if self.bar is not None and self.task is not None:
            self.bar.update(self.task, completed=self.done, rate=f"{rate:,.1f} {self.unit}/s {self.note}")
        elif self.plain and now - self.spoken >= PLAIN_EVERY:
            self.spoken = now
            left = max(0, self.total - self.done) / rate if rate else float("inf")
            pace = f"{self.done:,} of {self.total:,} {self.unit}, {rate:,.1f}/s, {left:,.0f} s left"
            print(f"{self.label}: {pace} {self.note}".rstrip(), flush=True)


@contextmanager
def meter(label: str, total: int, unit: str, *, plain: bool = True) -> Iterator[Meter]:
    """Show the progress of a stage while the block runs; without a terminal by plain lines, unless told not to."""
    if not sys.stdout.isatty():
        yield Meter(label, total, unit, plain=plain)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, transient=True) as bar:
        yield Meter(label, total, unit, bar, bar.add_task(label, total=total, rate=""))
