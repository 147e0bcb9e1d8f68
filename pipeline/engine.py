"""Where tasks run: in this process, in worker processes of this machine, or on a Ray cluster over shared files.

A task is a function at module level and its arguments; results come back in the order in which tasks finish, and
nothing that is written depends on that order, on the engine, or on how often a task was begun.
"""

import logging
import multiprocessing
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import Any, TypeVar

import psutil

from pipeline.recipe import RecipeError, RunConfig

T = TypeVar("T")


def run_tasks(function: Callable[..., T], tasks: Iterable[tuple[Any, ...]], run: RunConfig) -> Iterator[T]:
    """Call a function once for each task and yield the results as they finish.

    The first exception stops what has not begun and rises.

    Raises:
        RecipeError: a worker was killed, most often because memory ran out, or there is no Ray cluster to run on.
    """
    waiting = list(tasks)
    if run.engine == "ray" and waiting:
        yield from _on_cluster(function, waiting, run.ray_address)
    elif run.processes == 1 or len(waiting) <= 1:
        for task in waiting:
            yield function(*task)
    else:
        yield from _in_processes(function, waiting, run.processes)


def _in_processes(function: Callable[..., T], tasks: list[tuple[Any, ...]], processes: int) -> Iterator[T]:
    # A fork server imports the stages once; every worker of every stage is a fork of it.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([function.__module__])
    pool = ProcessPoolExecutor(min(processes, len(tasks)), context, initializer=_end_with, initargs=(os.getpid(),))
    try:
        for future in as_completed([pool.submit(function, *task) for task in tasks]):
            yield future.result()
    except BrokenProcessPool:
        raise RecipeError(_lost(f"[run] processes: got {processes}, expected fewer or more memory")) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _on_cluster(function: Callable[..., T], tasks: list[tuple[Any, ...]], address: str) -> Iterator[T]:
    """Run tasks on every node of a Ray cluster, two for each of its processors handed out at a time.

    Nodes must see the recipe's folders at the same paths and have onestage installed; what a task writes, it writes
    there. A task that a node takes down with it is begun again elsewhere by Ray.
    """
    try:
        import ray
        from ray.exceptions import NodeDiedError, OutOfMemoryError, RayTaskError, WorkerCrashedError
    except ImportError:
        raise RecipeError('[run] engine: got "ray", expected it installed: pip install onestage[ray]') from None
    if not ray.is_initialized():
        try:
            if address != "auto":
                host, _, port = address.rpartition(":")
                socket.create_connection((host, int(port)), timeout=30).close()  # Ray itself tries for many minutes
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        except (OSError, ValueError) as error:
            raise RecipeError(f"[run] ray_address: got {address!r}, expected a running Ray cluster: {error}") from None
    remote = ray.remote(function).options(num_cpus=1, scheduling_strategy="SPREAD")
    processors = ray.cluster_resources().get("CPU", 1)  # type: ignore[no-untyped-call]
    places = 2 * max(1, int(processors))
    coming = iter(tasks)
    running = [remote.remote(*task) for task in islice(coming, places)]
    try:
        while running:
            (done, *_), running = ray.wait(running, num_returns=1)
            yield ray.get(done)
            running += [remote.remote(*task) for task in islice(coming, 1)]
    except RayTaskError as error:
        raise (error.cause if isinstance(error.cause, Exception) else error) from None
    except (OutOfMemoryError, WorkerCrashedError, NodeDiedError) as error:
        raise RecipeError(_lost(f"Ray says: {str(error).splitlines()[0]}")) from None
    finally:
        for task in running:
            ray.cancel(task, force=True)


def _lost(why: str) -> str:
    return f"a worker was killed, most often for want of memory; {why}; run the same command again to go on"


def _end_with(run: int) -> None:
    """End this worker when the run is gone, as after a kill, so that no process is left behind."""
    process = psutil.Process(run)

    def watch() -> None:
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
