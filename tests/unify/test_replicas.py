"""Servers are kept running while their owner lives, and no longer: real processes, a stand-in for vLLM."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.fakes_vllm import ROOT, started
from unify.replicas import (
    GIVEN_UP,
    LONGEST_WAIT,
    OWNER,
    STATE,
    answers,
    identity,
    lives,
    read_state,
    wait_after,
    write_state,
)
from unify.serve import _free_port

FAST = (
    "import json, signal, sys; from pathlib import Path; from unify import replicas; replicas.FIRST_WAIT = 0.1;"
    "replicas.TICK = 0.05; replicas.PROBE_EVERY = 0.05; replicas.PROBE_WITHIN = 0.3; replicas.SILENT = 3;"
    "replicas.ORPHANED = 0.3; replicas.STOP_AFTER = 1.0; signal.signal(signal.SIGTERM, lambda *_: sys.exit());"
    "replicas.keep(Path(sys.argv[1]), json.load(sys.stdin))"
)
WITHIN = 60.0  # seconds on a busy machine


def wait_until(holds: Callable[[], Any]) -> None:
    deadline = time.monotonic() + WITHIN
    while not holds():
        assert time.monotonic() < deadline, "it took too long"
        threading.Event().wait(0.02)


class Kept:
    """Servers in an output folder, and the process that keeps them for an owner."""

    def __init__(self, output: Path, *paths: str) -> None:
        self.output = output
        ports, port = [], 8600
        for _ in paths:
            ports.append(port := _free_port("127.0.0.1", port + 1))
        self.urls = [f"http://127.0.0.1:{port}/v1" for port in ports]
        self.owner = subprocess.Popen(["sleep", "600"])
        write_state(output / OWNER, identity(self.owner.pid))
        program = [sys.executable, "-m", "tests.fakes_vllm"]
        servers = [
            {"url": url, "command": [*program, "--port", str(port), path], "variables": {"PYTHONPATH": str(ROOT)}}
            for url, port, path in zip(self.urls, ports, paths, strict=True)
        ]
        self.keeper = subprocess.Popen([sys.executable, "-c", FAST, str(output)], stdin=subprocess.PIPE, cwd=ROOT)
        assert self.keeper.stdin is not None
        with self.keeper.stdin:
            self.keeper.stdin.write(json.dumps({"wanted": {}, "servers": servers}).encode())

    def told(self) -> list[dict[str, Any]]:
        return (read_state(self.output / STATE) or {"servers": []})["servers"]

    def healthy(self, number: int) -> bool:
        return answers(self.urls[number].replace("/v1", "/health"), 1) is not None

    def processes(self) -> list[int]:
        """The process numbers of all servers and engines that there ever were."""
        told = [one for log in self.output.glob("server-*.log") for one in started(log)]
        return [int(one[name]) for one in told for name in ("pid", "engine")]

    def running(self) -> list[int]:
        return [number for number in self.processes() if is_running(number)]


def is_running(number: int) -> bool:
    try:
        return psutil.Process(number).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    """Two servers that answer."""
    made = Kept(tmp_path, "one", "two")
    try:
        wait_until(lambda: made.healthy(0) and made.healthy(1))
        yield made
    finally:
        made.owner.kill()
        made.owner.wait()
        made.keeper.wait(timeout=WITHIN)
        assert not made.running()


def test_a_server_that_dies_or_hangs_is_started_again_and_counted(kept: Kept) -> None:
    (first,), (other,) = (started(kept.output / f"server-{n}.log") for n in range(2))
    wait_until(lambda: [one["answered"] for one in kept.told()] == [True, True])
    os.kill(int(first["pid"]), signal.SIGKILL)
    wait_until(lambda: [one["restarts"] for one in kept.told()] == [1, 0] and kept.told()[0]["answered"])
    assert not is_running(int(first["engine"]))
    os.kill(int(started(kept.output / "server-0.log")[-1]["pid"]), signal.SIGSTOP)
    wait_until(lambda: kept.told()[0]["restarts"] == 2 and kept.healthy(0))
    assert started(kept.output / "server-1.log") == [other]  # it was left alone


def test_the_next_owner_takes_over_what_runs_and_all_stop_when_it_is_killed(kept: Kept) -> None:
    with subprocess.Popen(["sleep", "600"]) as heir:
        kept.owner.kill()
        write_state(kept.output / OWNER, identity(heir.pid))
        kept.owner.wait()
        threading.Event().wait(1.0)  # longer than orphans are kept
        assert kept.healthy(0)
        assert len(kept.running()) == 4
        heir.kill()
    kept.keeper.wait(timeout=WITHIN)
    assert not kept.running()
    assert not (kept.output / STATE).exists()


def test_all_stop_when_their_keeper_is_told_to(kept: Kept) -> None:
    kept.keeper.terminate()
    assert kept.keeper.wait(timeout=WITHIN) == 0
    assert not kept.running()
    assert not (kept.output / STATE).exists()


def test_one_that_never_answered_is_not_started_again(tmp_path: Path) -> None:
    kept = Kept(tmp_path, "broken")
    try:
        wait_until(lambda: [one["given_up"] for one in kept.told()] == [True])
        assert len(started(tmp_path / "server-0.log")) == 1
        assert kept.told()[0]["restarts"] == 0
    finally:
        kept.owner.kill()
        kept.owner.wait()
        kept.keeper.wait(timeout=WITHIN)


def test_waits_double_and_end() -> None:
    waits = [wait_after(ends) for ends in range(1, GIVEN_UP + 1)]
    assert waits[:3] == [1, 2, 4]
    assert waits[-1] is None
    assert all(wait <= LONGEST_WAIT for wait in waits[:-1] if wait)


def test_a_process_is_known_by_its_number_and_start() -> None:
    me = identity(os.getpid())
    assert lives(me)
    assert not lives(me | {"started": me["started"] - 5})
    assert not lives({"pid": 2**22 - 3, "started": 1.0})
    assert not lives(None)
