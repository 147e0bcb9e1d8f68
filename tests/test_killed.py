"""SIGKILL at ten random moments: nothing is lost, asked twice or left behind, and no byte is other than undisturbed."""

import json
import multiprocessing
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from pipeline.line import read_line
from pipeline.shards import shards_of
from pipeline.stages import run_line
from tests import contract
from tests.world import write_world

ROOT = Path(__file__).resolve().parents[1]
KILLS = 10
pytestmark = pytest.mark.slow


def small_demo(folder: Path) -> Path:
    """The demo with two sources, in parts of 16 passages, four under way at a time, in a folder of its own."""
    shutil.copytree(ROOT / "recipes", folder / "recipes")
    (folder / "data_cards").mkdir()
    for card in (ROOT / "data_cards").glob("demo_*.toml"):
        shutil.copy(card, folder / "data_cards")
    recipe = folder / "recipes" / "demo.toml"
    text = recipe.read_text()
    for old, new in (
        (', "demo_book", "demo_literature", "demo_sft", "demo_general"', ""),
        ("candidates = 8", "shard_passages = 16\ncandidates = 8"),
    ):
        assert old in text
        text = text.replace(old, new)
    recipe.write_text(f'{text}[serve]\nenvironment = "{ROOT}/.venv-server"\n[run]\nin_flight = 4\n')
    return recipe


def journal_of(output: Path) -> dict[str, float]:
    """Read the committed responses: request hash -> when it was received."""
    path = output / "journal.sqlite"
    if not path.exists():
        return {}
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        try:
            return dict(database.execute("SELECT hash, received FROM responses"))
        except sqlite3.OperationalError:  # killed before the table was made
            return {}


def servers_of(output: Path) -> list[int]:
    """List the processes of model servers that run in an output folder, by their group."""
    groups = set()
    for process in psutil.process_iter():
        try:
            if process.cwd() == str(output) and process.pid != os.getpid():
                groups.add(os.getpgid(process.pid))
        except (psutil.AccessDenied, psutil.NoSuchProcess, ProcessLookupError):
            continue
    return sorted(groups)


@pytest.fixture
def recipe(tmp_path):
    """The small demo; a server that a failing test leaves is ended after it."""
    yield small_demo(tmp_path / "killed")
    for group in servers_of((tmp_path / "killed" / "data").resolve()):
        os.killpg(group, signal.SIGKILL)


def wait_for_kill(running: subprocess.Popen, output: Path, responses: int) -> None:
    """Return as soon as a run has committed so many responses more, however fast the machine is."""
    before = len(journal_of(output))
    while len(journal_of(output)) < before + responses and running.poll() is None:
        threading.Event().wait(0.02)


def test_ten_kills_lose_nothing_ask_nothing_twice_and_leave_no_server(recipe, tmp_path):
    output = read_line(recipe, "collect").recipe.output_folder
    command = [sys.executable, "-m", "pipeline.cli", "run", str(recipe), "--through", "rewrite"]
    draw = random.Random(20261120)
    committed: dict[str, float] = {}
    killed = grown = 0
    while killed < KILLS:
        running = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        wait_for_kill(running, output, draw.randint(1, 3) if killed % 3 < 2 else 0)
        if killed % 3 == 2:  # and before any response: while Python starts, corpora are read, the server is found again
            threading.Event().wait(draw.uniform(0, 2))
        if running.poll() is not None:
            pytest.fail(f"the run ended before its {killed + 1}th kill: {running.communicate()[1].decode()[-500:]}")
        os.kill(running.pid, signal.SIGKILL)
        running.communicate()
        killed += 1
        now = journal_of(output)
        assert {name: now.get(name) for name in committed} == committed, "a committed response was lost or asked again"
        grown += len(now) > len(committed)
        committed = now
        assert len(servers_of(output)) <= 1, "two servers for one output folder"
    assert grown >= 3, "too few kills came while responses were arriving"

    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    now = journal_of(output)
    assert {name: now.get(name) for name in committed} == committed
    assert not servers_of(output), "a server was left behind"
    assert not (output / "server.json").exists()

    undisturbed = small_demo(tmp_path / "undisturbed")
    line = read_line(undisturbed, "rewrite")
    copy = sqlite3.connect(line.recipe.output_folder / "journal.sqlite")
    with closing(sqlite3.connect(output / "journal.sqlite")) as journal, closing(copy):
        journal.backup(copy)
    run_line(line)
    assert not list(line.recipe.output_folder.glob("server*.log")), "a server was started though the journal had all"
    contract.equal_hashes(read_line(recipe, "rewrite"), line)
    pairs = contract.rows_of(line.step("rewrite"), ["made_by"])
    assert any(step["request"] for pair in pairs for step in pair["made_by"])
    print(json.dumps({"kills": killed, "while responses arrived": grown, "responses": len(now)}))


def run_through_dedup(recipe: Path) -> None:
    run_line(read_line(recipe, "dedup"))


def files_of(output: Path) -> int:
    """Count the files that runs have written so far, scratch included."""
    return sum(1 for path in output.rglob("*") if path.is_file())


def test_ten_kills_of_the_corpus_stages_change_no_byte(tmp_path):
    tables = "[collect]\nshard_bytes = 6_000\n"
    recipe = write_world(tmp_path / "killed", articles=30, tables=tables)
    output = tmp_path / "killed" / "data"
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pipeline.stages"])
    draw = random.Random(20261121)
    for kill in range(KILLS):
        before = files_of(output)
        running = context.Process(target=run_through_dedup, args=(recipe,))
        running.start()
        wanted = before + draw.randint(1, 6)
        while files_of(output) < wanted and running.is_alive():
            threading.Event().wait(0.02)
        assert running.is_alive(), f"the run ended before its {kill + 1}th kill"
        running.kill()
        running.join()
    run_through_dedup(recipe)
    undisturbed = write_world(tmp_path / "undisturbed", articles=30, tables=tables)
    run_through_dedup(undisturbed)
    line = read_line(recipe, "dedup")
    contract.equal_hashes(line, read_line(undisturbed, "dedup"))
    assert sum(len(shards_of(step.directory)) for step in line.steps) > 30
    left = [path for path in output.rglob(".*") if path.name not in (".lock",)]
    assert not left, "unfinished work was left behind"
