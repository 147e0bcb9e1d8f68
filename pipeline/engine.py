"""Where shards run: in this process, or in worker processes of this machine.

A task is a function at module level and its arguments; results come back in the order in which tasks finish, and
nothing that is written depends on that order.
"""

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any, TypeVar

T = TypeVar("T")


def run_tasks(function: Callable[..., T], tasks: Iterable[tuple[Any, ...]], *, processes: int) -> Iterator[T]:
    """Call a function once for each task and yield the results as they finish.

    The first exception stops what has not begun and rises.
    """
    waiting = list(tasks)
    if processes == 1 or len(waiting) <= 1:
        for task in waiting:
            yield function(*task)
        return
    # A fork server imports the stages once; every worker of every stage is a fork of it.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([function.__module__])
    pool = ProcessPoolExecutor(min(processes, len(waiting)), context, initializer=_end_with_parent)
    try:
        for future in as_completed([pool.submit(function, *task) for task in waiting]):
            yield future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _end_with_parent() -> None:
    """End this worker when the fork server is gone, as after a kill of the run, so that no process is left behind."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
