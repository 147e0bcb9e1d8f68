"""Two real vLLM servers with a core each, one of them killed and started again while passages are rewritten."""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import cast

import pytest

from pipeline.recipe import ServeConfig
from pipeline.shards import Shard
from tests.unify.conftest import ROOT, serving_recipe
from tests.unify.passages import GOUT, passage, shard
from tests.unify.test_rewrite import CONFIG, dropped, hashes, recipe, rewrite, rows_of
from unify.environment import ensure_environment
from unify.serve import is_serving, serve_arguments, server_variables
from unify.weights import SMOLLM2, ensure_model

BEFORE, AFTER, IN_FLIGHT = 30, 30, 8  # responses before the kill, and once both answer again; passages under way
MOST = 1000  # passages that there may be
STARTUP = 300.0  # seconds that a server may take on a shared core


class Servers:
    """Starts and kills servers, each on a core of its own."""

    def __init__(self, folder: Path, weights: Path) -> None:
        self.folder = folder
        self.weights = weights
        self.python = ensure_environment(ROOT / ".venv-server", gpu=False) / "python"
        self.cores = sorted(os.sched_getaffinity(0))
        self.running: dict[int, subprocess.Popen[bytes]] = {}
        self.ports = [_free_port() for _ in range(2)]

    def url(self, number: int) -> str:
        return f"http://127.0.0.1:{self.ports[number]}/v1"

    def start(self, number: int) -> None:
        serve = ServeConfig(kv_cache_gib=1, max_num_seqs=IN_FLIGHT)
        core = self.cores[number % len(self.cores)]
        variables = server_variables(serve, self.weights, gpu=False) | {"VLLM_CPU_OMP_THREADS_BIND": str(core)}
        arguments = serve_arguments(serve, SMOLLM2, self.weights, self.ports[number], gpu=False)
        with (self.folder / f"server-{number}.log").open("ab") as log:
            self.running[number] = subprocess.Popen(
                ["taskset", "-c", str(core), self.python, "-m", "vllm.entrypoints.openai.api_server", *arguments],
                stdout=log,
                stderr=log,
                env=os.environ | variables,
                start_new_session=True,
            )

    def kill(self, number: int) -> None:
        os.killpg(self.running[number].pid, signal.SIGKILL)
        self.running.pop(number).wait()

    def answered(self, number: int) -> int:
        """Count the texts that a server has finished since it was started."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(self.url(number).replace("/v1", "/metrics"), timeout=10) as response:
            lines = response.read().decode().splitlines()
        counts = [line for line in lines if line.startswith("vllm:request_success_total")]
        return int(sum(float(line.split()[-1]) for line in counts))


@pytest.fixture
def servers(tmp_path: Path, server_folder: Path) -> Iterator[Servers]:
    """Two servers that answer."""
    made = Servers(tmp_path, ensure_model(SMOLLM2, serving_recipe(server_folder)))
    try:
        for number in range(2):
            made.start(number)
        for number in range(2):
            wait_until(lambda number=number: is_serving(made.url(number), SMOLLM2), STARTUP)  # type: ignore[misc]
        yield made
    finally:
        for number in list(made.running):
            made.kill(number)


def wait_until(holds: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it took too long"
        threading.Event().wait(0.2)


def received(folder: Path) -> list[float]:
    path = folder / "data" / "journal.sqlite"
    if not path.exists():
        return []
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        try:
            return [time for (time,) in database.execute("SELECT received FROM responses ORDER BY received")]
        except sqlite3.OperationalError:
            return []


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.slow
def test_a_server_killed_and_started_again_costs_nothing_but_time(servers: Servers, tmp_path: Path) -> None:
    shards: list[Shard] = []
    enough = threading.Event()

    def until_enough() -> Iterator[Shard]:
        """Yield shards of four passages as long as the test needs the run to go on."""
        while not enough.is_set() and 4 * len(shards) < MOST:
            numbers = range(4 * len(shards), 4 * len(shards) + 4)
            given = [passage(f"{GOUT} Case {n} was typical.", title=f"Gout {n}", doc=f"web/{n}") for n in numbers]
            shards.append(shard(tmp_path, given, f"given-{len(shards):05}.parquet"))
            yield shards[-1]

    config = CONFIG.model_copy(update={"model": SMOLLM2, "max_question_tokens": 40, "shard_passages": 50})
    one = recipe(tmp_path, servers.url(0), servers.url(1), in_flight=IN_FLIGHT)
    with ThreadPoolExecutor(1) as executor:
        running = executor.submit(rewrite, cast(Sequence[Shard], until_enough()), config, one)
        try:
            wait_until(lambda: len(received(tmp_path)) >= BEFORE or running.done(), STARTUP)
            servers.kill(1)
            killed = time.time()
            servers.start(1)
            wait_until(lambda: is_serving(servers.url(1), SMOLLM2) or running.done(), STARTUP)
            wait_until(lambda: servers.answered(1) > 4 or running.done(), STARTUP)
            back = time.time()
            assert not running.done(), "the run ended before the server was back"
            wait_until(lambda: running.done() or sum(time > back for time in received(tmp_path)) >= AFTER, STARTUP)
        finally:
            enough.set()
        out = running.result()
    end = time.time()
    times = received(tmp_path)
    spans = {"before": (times[0], killed), "one server": (killed, back), "both again": (back, end)}
    speeds = {
        name: sum(start <= moment < stop for moment in times) / (stop - start) for name, (start, stop) in spans.items()
    }
    shown = {name: round(speed, 2) for name, speed in speeds.items()} | {"responses": len(times)}
    print(json.dumps(shown | {"texts of the one started again": servers.answered(1)}))
    kept = [row["passage_id"] for row in rows_of(out)]
    assert len(kept) == len(set(kept))
    lost = [row["id"].rsplit(":", 2)[0] for row in dropped(out)]
    assert {*kept, *lost} == {row["id"] for one_shard in shards for row in one_shard.read().to_pylist()}
    assert not {row["reason"] for row in dropped(out)} & {"unanswered", "prompt_refused", "prompt_too_long"}
    assert speeds["both again"] > speeds["one server"]
    again = rewrite(
        shards, config, one.model_copy(update={"run": one.run.model_copy(update={"base_urls": ()})}), "again"
    )
    assert hashes(out) == hashes(again)  # from the journal alone
