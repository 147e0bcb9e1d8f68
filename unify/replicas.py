"""Keep the model servers of an output folder running: a process of its own, for as long as their owner lives.

    python -m unify.replicas OUTPUT < {"wanted": …, "servers": [{"url", "command", "variables"}, …]}

    <output>/server.json      this process and its servers; it alone writes the file, and removes it at its end
             server.owner     whose they are: written by the command that they serve
             server.log       what became of them
             server-<n>.log   what each says

A server that ends, or that answers no question after its health for two minutes, is started again after a wait that
doubles, up to GIVEN_UP times in a row; one that never answered is not. When the owner is gone, however it went, all
are stopped, after a short while in which the next run may take them over. Only the standard library and psutil are
imported, so that this process is small.
"""

import contextlib
import fcntl
import http.client
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

TICK = 0.5  # seconds between two looks
STATE, OWNER = "server.json", "server.owner"
PROBE_EVERY, PROBE_WITHIN = 10.0, 5.0  # seconds
SILENT = 12  # probes in a row without an answer after which a server counts as hung: a busy one misses some
FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0  # seconds before a server that ended is started again
GIVEN_UP = 6  # ends in a row, without an answer between them, after which it is not
ORPHANED = 30.0  # seconds from an owner's end to that of its servers
STOP_AFTER = 20.0  # seconds from SIGTERM to SIGKILL


class Server:
    """One server: its process, and what became of those before."""

    def __init__(self, output: Path, number: int, url: str, command: list[str], variables: Mapping[str, str]) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self._url, self._command, self._variables = url, command, variables
        self._log = output / f"server-{number}.log"
        self._restarts = 0
        self._given_up = self._answered = False
        self._ends = self._silent = 0  # in a row
        self._next_look = 0.0

    def look(self) -> None:
        """Start it if it is due, see whether it ended, and ask for its health now and then."""
        now = time.monotonic()
        if self.process is None:
            if not self._given_up and now >= self._next_look:
                self._start()
        elif self.process.poll() is not None or self._silent >= SILENT:
            self._clear(now)
        elif now >= self._next_look:
            self._ask(now)

    def told(self) -> dict[str, Any]:
        """What others may know of it."""
        told = {"url": self._url, "log": str(self._log), "answered": self._answered and not self._ends}
        return told | {"restarts": self._restarts, "given_up": self._given_up}

    def _start(self) -> None:
        self._restarts += self._answered
        self._silent = 0
        # a key of the person's for vLLM would make the server refuse our requests
        ours = {name: value for name, value in os.environ.items() if name != "VLLM_API_KEY"}
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=ours | dict(self._variables),
                cwd=self._log.parent,
                process_group=0,
            )

    def _clear(self, now: float) -> None:
        """Take away a server that ended or hangs, whose engine may outlive the process that was started."""
        assert self.process is not None
        end(self.process.pid)
        code, self.process = self.process.wait(), None
        self._ends += 1
        wait = wait_after(self._ends) if self._answered else None
        self._given_up, self._next_look = wait is None, now + (wait or 0.0)
        what = "not started again" if wait is None else f"started again in {wait:g} s"
        print(f"{time.strftime('%F %T')} {self._url}: ended ({code}); {what}", flush=True)

    def _ask(self, now: float) -> None:
        if answers(self._url.removesuffix("/v1") + "/health", PROBE_WITHIN) is not None:
            self._answered, self._ends, self._silent = True, 0, 0
        elif self._answered and not self._ends:  # else it is starting, which takes its time
            self._silent += 1
        starting = self._ends or not self._answered
        self._next_look = now + (TICK if starting else PROBE_EVERY)


def wait_after(ends: int) -> float | None:
    """Return the seconds until a server that ended so many times in a row is started again; None: never."""
    return None if ends >= GIVEN_UP else min(FIRST_WAIT * 2 ** (ends - 1), LONGEST_WAIT)


def keep(output: Path, plan: Mapping[str, Any]) -> None:
    """Start the servers of a plan and look after them until this process is told to end, or their owner is gone."""
    for log in output.glob("server-*.log"):
        log.unlink()
    servers = [Server(output, number, **one) for number, one in enumerate(plan["servers"])]
    known = {**identity(os.getpid()), "wanted": plan["wanted"], "servers": []}
    write_state(output / STATE, known)
    with contextlib.ExitStack() as lock:
        try:
            while True:
                _look_until_orphaned(output, servers, known)
                lock.enter_context(locked(output))  # so that nobody takes over what is being stopped
                if not lives(read_state(output / OWNER)):
                    break
                lock.close()
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            end(*(server.process.pid for server in servers if server.process is not None))
            (output / STATE).unlink(missing_ok=True)


def _look_until_orphaned(output: Path, servers: Collection[Server], known: dict[str, Any]) -> None:
    owned = time.monotonic()
    while time.monotonic() - owned < ORPHANED:
        for server in servers:
            server.look()
        if (told := [server.told() for server in servers]) != known["servers"]:
            known["servers"] = told
            write_state(output / STATE, known)
        if lives(read_state(output / OWNER)):
            owned = time.monotonic()
        time.sleep(TICK)


def end(*groups: int) -> None:
    """End all processes of some groups: politely, and after STOP_AFTER seconds at once."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        alive = members(groups, os.getpgid)
        for process in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)
        if not psutil.wait_procs(alive, timeout=STOP_AFTER)[1]:
            break


def members(numbers: Collection[int], of: Callable[[int], int]) -> list[psutil.Process]:
    """List the processes whose group (`of=os.getpgid`) or session (`of=os.getsid`) has one of some numbers."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(ProcessLookupError, PermissionError, psutil.NoSuchProcess):
            if of(process.pid) in numbers:
                found.append(process)
    return found


def identity(pid: int) -> dict[str, Any]:
    """Name a process so that another one of the same number is told apart from it."""
    return {"pid": pid, "started": psutil.Process(pid).create_time()}


def lives(process: Mapping[str, Any] | None) -> bool:
    """Tell whether the process of a number still is the one that started then, and runs."""
    if process is None:
        return False
    try:
        found = psutil.Process(process["pid"])
        same = abs(float(found.create_time()) - float(process["started"])) < 0.05
        return same and found.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def answers(address: str, timeout: float) -> bytes | None:
    """Return what a server of this machine answers with success, or None."""
    try:
        # no proxy: the server is ours
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(address, timeout=timeout) as response:
            body: bytes = response.read()
        return body
    except (OSError, http.client.HTTPException):
        return None


def read_state(path: Path) -> dict[str, Any] | None:
    """Read a file that `write_state` wrote; None where there is none."""
    try:
        read: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return read


def write_state(path: Path, content: Mapping[str, Any]) -> None:
    """Write a file at once or not at all."""
    working = path.with_name(f".{path.name}.{os.getpid()}")
    working.write_text(json.dumps(content), encoding="utf-8")
    os.replace(working, path)


@contextmanager
def locked(output: Path) -> Iterator[None]:
    """Hold the lock under which servers are looked for, started, taken over and stopped."""
    with (output / "server.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    keep(Path(sys.argv[1]), json.load(sys.stdin))
