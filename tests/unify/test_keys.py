"""A key is sent to its server and goes nowhere else: to no file of a run, to no terminal, though servers repeat it."""

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.fakes_server import Reply, fake_server
from tests.unify.conftest import ROOT
from unify.accept import read_passages

KEY = "sk-live-4f9a2c7e81d04b6e"
ECHO = f"Incorrect API key provided: {KEY}. " + " " * 1900 + KEY * 20


def told(folder: Path, statuses: Sequence[int]) -> subprocess.CompletedProcess[str]:
    """Run a recipe through rewriting against a server that repeats its key in errors, every third answer."""
    given = [passage for name, passage in read_passages() if name == "en"][:8]
    write(folder / "texts.jsonl", "".join(json.dumps({"id": one.id, "text": one.text}) + "\n" for one in given))
    checked = '{ by = "us", on = 2026-01-01, scope = "tests" }'
    card = f'origin = "here"\nlicence = "CC0-1.0"\nkind = "web"\npath = "../texts.jsonl"\nchecked = {checked}\n'
    write(folder / "cards" / "web.toml", card)
    errors = cycle(statuses)
    count = iter(range(10**6))

    def reply(body: dict[str, Any]) -> Reply:
        greeting = body["messages"][-1]["content"] == "Name one vitamin."
        return Reply() if greeting or next(count) % 3 < 2 else Reply(status=next(errors), error=ECHO)

    with fake_server(reply) as fake:
        run = f'base_urls = ["{fake.url}"]\napi_key_env = "OUR_KEY"\nretries = 0\n'
        rewriting = 'model = "fake-model"\nstyles = { huatuo2 = 1.0 }\nrepairs = 0\ntries = 1\n'
        head = 'name = "keys"\nsources = ["web"]\ncards = "cards"\noutput = "data"\n'
        write(folder / "keys.toml", f"{head}[rewrite]\n{rewriting}[run]\n{run}")
        command = [sys.executable, "-m", "pipeline.cli", "run", str(folder / "keys.toml"), "--through", "rewrite"]
        ran = subprocess.run(command, cwd=ROOT, env=os.environ | {"OUR_KEY": KEY}, capture_output=True, text=True)
    assert set(fake.keys) == {f"Bearer {KEY}"}
    return ran


def write(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


def texts(folder: Path) -> Iterator[tuple[Path, str]]:
    """Read every file of a folder as it is and, where it is packed, what is in it."""
    for path in folder.rglob("*"):
        if not path.is_file():
            continue
        yield path, path.read_bytes().decode("latin-1")
        if path.suffix == ".parquet":
            yield path, json.dumps(pq.read_table(path).to_pylist(), default=str)
        if path.name == "journal.sqlite":
            with contextlib.closing(sqlite3.connect(path)) as journal:
                yield path, "\n".join(journal.iterdump())


@pytest.mark.parametrize(("statuses", "code"), [([400, 500], 0), ([401], 2)])
def test_no_file_of_a_run_and_no_message_has_the_key(statuses: list[int], code: int, tmp_path: Path) -> None:
    run = told(tmp_path, statuses)
    assert run.returncode == code, run.stderr
    said, read = run.stdout + run.stderr, list(texts(tmp_path))
    assert any(path.name == "journal.sqlite" for path, _ in read)
    assert "<key>" in said or any("<key>" in text for _, text in read)  # the server's words were kept
    for part in (KEY, KEY[:12], KEY[-12:]):
        assert part not in said
        assert not [path for path, text in read if part in text]
