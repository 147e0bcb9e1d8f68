"""Train, kill and train on: `kills.py '{"task": {...}, "processes": 2, "kills": 5, "seed": 0}'`.

Ranks are forked from this process, which has imported everything and started no thread: a start then costs a second.
Prints one line of JSON: how many runs were killed, and how many of them while a checkpoint was being written.
"""

import json
import multiprocessing
import os
import random
import socket
import sys
import time
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

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
    if rank or task.get("quiet"):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    train_onestage.train(Path(task["pack"]), Path(task["directory"]), TrainConfig(**task["config"]))


def finish(ranks: list[BaseProcess]) -> None:
    for rank in ranks:
        rank.join()
        assert rank.exitcode == 0, rank.exitcode


def kill_at_random(ranks: list[BaseProcess], directory: Path, seconds: float, draw: random.Random) -> bool:
    """Kill the ranks with SIGKILL somewhere in a run of about `seconds`; return whether they still ran.

    One time in three at any moment, else at one soon after a step, or soon after a checkpoint has been begun.
    """
    moment = draw.choice(("any", "step", "save"))
    before = set(directory.glob("step-*"))
    deadline = time.monotonic() + (draw.uniform(0, seconds) if moment == "any" else 1e9)
    while time.monotonic() < deadline and all(rank.is_alive() for rank in ranks):
        begun = any(directory.glob(".step-*"))
        if (moment == "save" and begun) or (moment == "step" and set(directory.glob("step-*")) - before):
            break
        ranks[0].join(0.0005)
    if moment != "any":
        ranks[0].join(draw.uniform(0, 0.01 if moment == "save" else seconds / 10))
    running = all(rank.is_alive() for rank in ranks)
    for rank in draw.sample(ranks, len(ranks)):
        rank.kill()
        rank.join()
    return running


def main(order: dict[str, Any]) -> None:
    task, processes, draw = order["task"], order["processes"], random.Random(order["seed"])
    whole = task["directory"] + "-whole"
    began = time.monotonic()
    finish(start({**task, "directory": whole, "quiet": True}, processes))
    seconds = time.monotonic() - began
    directory, killed, saving = Path(task["directory"]), 0, 0
    directory.mkdir()
    while killed < order["kills"]:
        if kill_at_random(start({**task, "quiet": True}, processes), directory, seconds, draw):
            killed += 1
            saving += any(directory.glob(".step-*"))
        elif (directory / "hf").exists():
            break
    finish(start(task, processes))
    print(json.dumps({"killed": killed, "saving": saving}), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
