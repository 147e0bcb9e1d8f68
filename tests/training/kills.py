"""Train, kill and train on: `kills.py '[{"task": {...}, "processes": 2, "kills": 5, "seed": 0}, ...]'`.

Ranks are forked from this process, which has imported everything and started no thread: a start then costs a second.
Prints a line of JSON for each: how often it killed, how often of these while a checkpoint was being written, how often
a run went on from a checkpoint, and how many runs it took: one that ends too early is followed by another.
"""

import gc
import json
import multiprocessing
import os
import random
import socket
import sys
import threading
import time
from contextlib import suppress
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import deepspeed.runtime.zero.muon.muon_optimizer  # noqa: F401  # deepspeed.initialize does, and it takes seconds

import train_onestage
from training.config import TrainConfig

FORK = multiprocessing.get_context("fork")


def start(task: dict[str, Any], processes: int) -> list[BaseProcess]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ranks: list[BaseProcess] = [
        FORK.Process(target=train, args=(task, rank, processes, port)) for rank in range(processes)
    ]
    for rank in ranks:
        rank.start()
    return ranks


def train(task: dict[str, Any], rank: int, processes: int, port: int) -> None:
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(processes)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    train_onestage.train(Path(task["pack"]), Path(task["directory"]), TrainConfig(**task["config"]))


def finish(ranks: list[BaseProcess]) -> None:
    for rank in ranks:
        rank.join()
        assert rank.exitcode == 0, rank.exitcode


def unfinished(directory: Path) -> set[tuple[str, int]]:
    """Name the checkpoint folders that are not published, each with its inode: one that a dead run left is no other."""
    found = set()
    for path in directory.glob(".step-*"):
        with suppress(FileNotFoundError):  # it has been published
            found.add((path.name, path.stat().st_ino))
    return found


def kill_at_random(ranks: list[BaseProcess], directory: Path, seconds: float, draw: random.Random) -> bool:
    """Kill the ranks with SIGKILL somewhere in a run of about `seconds`; return whether they still ran.

    One time in four at any moment, else at one soon after a step, or soon after a checkpoint has been begun.
    """
    moment = draw.choice(("any", "step", "save", "save"))
    left, done = unfinished(directory), set(directory.glob("step-*"))
    deadline = time.monotonic() + (draw.uniform(0, seconds) if moment == "any" else 1e9)
    while time.monotonic() < deadline and all(rank.is_alive() for rank in ranks):
        if (moment == "save" and unfinished(directory) - left) or (
            moment == "step" and set(directory.glob("step-*")) - done
        ):
            break
        ranks[0].join(0.0005)
    if moment != "any":
        ranks[0].join(draw.uniform(0, 0.004 if moment == "save" else seconds / 10))
    running = all(rank.is_alive() for rank in ranks)
    for rank in draw.sample(ranks, len(ranks)):
        rank.kill()
        rank.join()
    return running


def kill(order: dict[str, Any]) -> None:
    task, processes, draw = order["task"], order["processes"], random.Random(order["seed"])
    began = time.monotonic()
    finish(start({**task, "directory": task["directory"] + "-whole"}, processes))
    seconds = time.monotonic() - began
    directories, killed, saving, resumed = [Path(f"{task['directory']}-0")], 0, 0, 0
    directories[0].mkdir()
    while killed < order["kills"] or not saving or resumed < 2:
        resumed += any(directories[-1].glob("step-*"))
        ranks = start({**task, "directory": str(directories[-1])}, processes)
        left = unfinished(directories[-1])
        if kill_at_random(ranks, directories[-1], seconds, draw):
            killed += 1
            saving += bool(unfinished(directories[-1]) - left)
        elif (directories[-1] / "hf").exists():
            directories.append(Path(f"{task['directory']}-{len(directories)}"))
            directories[-1].mkdir()
    resumed += any(directories[-1].glob("step-*"))
    finish(start({**task, "directory": str(directories[-1])}, processes))
    found = {"killed": killed, "saving": saving, "resumed": resumed, "runs": len(directories)}
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    gc.collect()
    gc.freeze()  # deepspeed.initialize collects six times, through all that was imported
    assert threading.active_count() == 1  # what is forked must have no other
    for order in json.loads(sys.argv[1]):
        kill(order)
