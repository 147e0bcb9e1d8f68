"""SIGKILL at thirty random moments: no response lost, nothing but what was in flight asked twice, no byte changed."""

import json
import multiprocessing
import random
import shutil
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from tests.fakes_fast import fast_server, log_of
from tests.unify.passages import passage, shard
from tests.unify.test_rewrite import CONFIG, hashes, recipe, rewrite

KILLS, IN_FLIGHT, PASSAGES = 30, 8, 600
FACT = "Allopurinol lowers serum urate below 360 micromol/L and prevents further attacks of gout."


def run(folder: Path, *urls: str) -> None:
    """Rewrite the passages; the target of a process of its own."""
    given = [passage(f"{FACT} Case {n} was typical.", title=f"Gout {n}", doc=f"web/{n}") for n in range(PASSAGES)]
    config = CONFIG.model_copy(update={"shard_passages": 64})
    rewrite([shard(folder, given)], config, recipe(folder, *urls, in_flight=IN_FLIGHT))


def responses(folder: Path) -> dict[bytes, float]:
    """Read the committed responses: request hash -> when it was received."""
    if not (folder / "data" / "journal.sqlite").exists():
        return {}
    with closing(sqlite3.connect(f"file:{folder}/data/journal.sqlite?mode=ro", uri=True)) as database:
        try:
            return dict(database.execute("SELECT hash, received FROM responses"))
        except sqlite3.OperationalError:  # killed before the table was made
            return {}


@pytest.mark.slow
def test_thirty_kills_ask_twice_only_what_was_in_flight_and_change_no_byte(tmp_path: Path) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["unify.rewrite", "tests.unify.test_rewrite"])
    draw = random.Random(20261121)
    killed, whole, again = (tmp_path / name for name in ("killed", "whole", "again"))
    for folder in (killed, whole, again):
        folder.mkdir()
    committed: dict[bytes, float] = {}
    lost = []
    with fast_server(tmp_path, "--wait", "0.03") as url:
        for kill in range(KILLS):
            running = context.Process(target=run, args=(killed, url))
            running.start()
            wanted = len(committed) + draw.randint(0, 2 * PASSAGES // KILLS - 10)
            while len(responses(killed)) < wanted and running.is_alive():
                threading.Event().wait(0.005)
            assert running.is_alive(), f"the run ended before its {kill + 1}th kill"
            running.kill()
            running.join()
            now = responses(killed)
            assert {name: now.get(name) for name in committed} == committed, "a response was lost, or asked again"
            committed = now
            asked = sum(map(len, log_of(url).values()))
            lost.append(asked - len(committed) - sum(lost))
        run(killed, url)
        log = log_of(url)
        committed = responses(killed)
        run(whole, url)
    assert sum(map(len, log.values())) == len(committed) + sum(lost)
    assert max(lost) <= IN_FLIGHT
    assert len(log) == len(committed)
    (again / "data").mkdir()
    shutil.copy(killed / "data" / "journal.sqlite", again / "data")
    run(again)  # without any server
    assert hashes(killed / "out") == hashes(whole / "out") == hashes(again / "out")
    print(json.dumps({"kills": KILLS, "responses": len(committed), "asked twice": sum(lost), "at a kill": lost}))
