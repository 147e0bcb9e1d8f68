"""Nothing of a purged source is left in a byte of the output folder, and nothing of another is lost."""

import json
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipeline.cli import main
from pipeline.line import read_line
from pipeline.purge import find_remains
from pipeline.shards import only_run
from tests.fakes_server import Fake, Reply, fake_server
from tests.unify.journals import as_of_version
from tests.world import write_world

SOURCE = "encyclopedia"  # its near copies are dropped whole by dedup


def quote(request: dict) -> Reply:
    """Answer with what was asked about, so that the journal holds the source's words."""
    return Reply(texts=(request["messages"][-1]["content"].replace("\n", " ")[:400] + "？",))


@pytest.fixture(scope="module")
def served() -> Iterator[Fake]:
    with fake_server(quote) as fake:
        yield fake


@pytest.fixture(scope="module")
def made(served, tmp_path_factory) -> Path:
    """A world that ran to its packed rows with a model's answers, then an unfinished dedup and a training run."""
    folder = tmp_path_factory.mktemp("world")
    rewrite = '[rewrite]\nmodel = "fake-model"\nstyles = { excerpt = 0.5, heading = 0.5 }\ntries = 2\n'
    rewrite += 'excerpt_by = "program"\n'
    recipe = write_world(folder, articles=8, talks=4, rewrite=f'{rewrite}\n[run]\nbase_urls = ["{served.url}"]\n')
    assert main(["run", str(recipe)]) == 0
    output = folder / "data"
    dedup = next((output / "dedup").glob("text-*"))
    shutil.copytree(dedup, output / "dedup" / ".text-0123456789abcdef")
    (output / "dedup" / ".text-0123456789abcdef" / "manifest.json").unlink()
    (output / "dedup" / ".text-fedcba9876543210" / "scratch").mkdir(parents=True)
    (output / "dedup" / ".text-fedcba9876543210" / "scratch" / "texts").write_text(sentences(folder)[0])
    for name, seen in (("one", {SOURCE: 7, "web": 3}), ("two", {"web": 3})):
        (output / "train" / name).mkdir(parents=True)
        (output / "train" / name / "metrics.jsonl").write_text(
            json.dumps({"step": 1, "targets_by_source": seen}) + "\n"
        )
    fetched = output / "cache" / "remote" / SOURCE / "00" / "content"
    fetched.parent.mkdir(parents=True)
    fetched.write_text("".join(sentences(folder)))
    return folder


@pytest.fixture
def world(made, tmp_path) -> Path:
    return shutil.copytree(made, tmp_path / "world", symlinks=True)


def sentences(folder: Path, source: str = SOURCE) -> list[str]:
    """Cut a source's file into the pieces of 12 characters that no other source has."""
    rows = [json.loads(line) for line in (folder / "texts" / f"{source}.jsonl").read_text().splitlines()]
    texts = "".join(section["text"] for row in rows for section in row["sections"])
    return [piece[:12] for piece in re.split(r"[。.]\s?", texts) if len(piece) >= 12]


def holding(folder: Path, pieces: list[str]) -> dict[str, str]:
    """Search every file below a folder for pieces of text, Parquet as it reads: path -> the first piece found."""
    found = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        if path.suffix == ".parquet":
            text = json.dumps(pq.read_table(path, partitioning=None).to_pylist(), ensure_ascii=False, default=str)
            text = text.replace("\\", "")
        else:
            text = path.read_bytes().decode("utf-8", "replace")
        escaped = [json.dumps(piece)[1:-1] for piece in pieces]
        if hit := next((piece for piece in (*pieces, *escaped) if piece in text), None):
            found[path.relative_to(folder).as_posix()] = hit
    return found


def responses(folder: Path) -> dict[str, str]:
    with closing(sqlite3.connect(folder / "data" / "journal.sqlite")) as database:
        return dict(database.execute("SELECT hash, about FROM responses"))


def test_no_byte_of_a_purged_source_is_left(world):
    before = holding(world / "data", sentences(world))
    kinds = {path.split("/")[0] for path in before}
    assert {"collect", "segment", "clean", "dedup", "rewrite", "mix", "journal.sqlite", "cache"} <= kinds
    assert any("dropped-" in path for path in before)
    assert holding(world / "cards", sentences(world))
    assert main(["gc", "--purge", SOURCE, str(world / "data"), "--delete"]) == 0
    assert holding(world / "data", sentences(world)) == {}
    assert holding(world / "cards", sentences(world)) == {}
    assert not list((world / "data").rglob(f"{SOURCE}-*"))
    assert not [link for link in (world / "data" / "latest").rglob("*") if link.is_symlink() and not link.exists()]
    assert holding(world / "data", sentences(world, "web"))


def test_what_goes_is_listed_first_and_nothing_is_removed_unasked(world, capsys):
    before = sorted(path for path in (world / "data").rglob("*"))
    assert main(["gc", "--purge", SOURCE, str(world / "data")]) == 0
    said = capsys.readouterr().out
    assert sorted(path for path in (world / "data").rglob("*")) == before
    for path in (
        "collect/encyclopedia-",
        "dedup/text-",
        "dedup/.text-",
        "pack/",
        "journal.sqlite",
        "README.md",
        "cache/remote",
    ):
        assert path in said
    assert "trained on encyclopedia" in said
    assert str(world / "data" / "train" / "one") in said
    assert str(world / "data" / "train" / "two") not in said
    assert "--purge encyclopedia" in said
    assert "web-" not in said
    assert "dedup/pairs-" not in said


def test_a_recipe_without_the_source_makes_again_only_what_is_missing_and_asks_nothing_twice(world, served):
    alone = [path for path in (world / "data").glob("*/*") if path.name.startswith(("web-", "talks-", "pairs-"))]
    times = {path: (path / "manifest.json").stat().st_mtime_ns for path in alone}
    assert len(alone) >= 8
    assert main(["gc", "--purge", SOURCE, str(world / "data"), "--delete"]) == 0
    recipe = world / "world.toml"
    recipe.write_text(recipe.read_text().replace('"encyclopedia", ', ""))
    asked = len(served.asked())
    assert main(["run", str(recipe)]) == 0
    assert len(served.asked()) == asked
    assert {path: (path / "manifest.json").stat().st_mtime_ns for path in alone} == times
    line = read_line(recipe)
    assert all(step.directory.exists() for step in line.steps)


def test_the_journal_forgets_every_try_of_the_source_and_keeps_the_others(world):
    about = responses(world)
    assert {name.partition("/")[0] for name in about.values()} == {SOURCE, "web"}
    others = {name for name, passage in about.items() if passage.startswith("web/")}
    assert main(["gc", "--purge", SOURCE, str(world / "data"), "--delete"]) == 0
    assert set(responses(world)) == others


def test_of_an_old_journal_only_what_is_known_to_be_anothers_stays(world):
    about = responses(world)
    as_of_version(1, world / "data" / "journal.sqlite")
    assert main(["gc", "--purge", SOURCE, str(world / "data"), "--delete"]) == 0
    left = set(responses(world))
    assert left
    assert left <= {name for name, passage in about.items() if passage.startswith("web/")}
    assert not {path for path in holding(world / "data", sentences(world)) if path.startswith("journal")}


def test_an_unknown_source_and_a_folder_in_use_are_refused(world, capsys):
    output = world / "data"
    assert main(["gc", "--purge", "nobody", str(output)]) == 2
    assert "'nobody'" in capsys.readouterr().err
    with only_run(output):
        assert main(["gc", "--purge", SOURCE, str(output), "--delete"]) == 2
    assert "in use by another run" in capsys.readouterr().err
    assert find_remains(output, SOURCE)


def test_purging_twice_says_only_what_was_learned_from_it(world, capsys):
    assert main(["gc", "--purge", SOURCE, str(world / "data"), "--delete"]) == 0
    capsys.readouterr()
    remains = find_remains(world / "data", SOURCE)
    assert [path.name for path in remains.trained] == ["one"]
    assert remains.directories + remains.unreadable + remains.files + remains.cached + remains.responses == ()
