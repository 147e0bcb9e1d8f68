"""Forecasts: intervals that hold what they say, a sample that is asked once, nothing kept but the journal."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli import main
from pipeline.line import read_line
from pipeline.shards import Shard
from tests.fakes_server import Reply, fake_server
from tests.unify.passages import passage, shard
from tests.unify.test_rewrite import CONFIG, QUESTIONS, _journal_rows, card, passages, recipe, rewrite
from tests.world import write_world
from unify.budget import Stopped
from unify.forecast import SAMPLE, forecast, strata_of, total_of


def told(folder: Path, shards: Sequence[Shard], url: str, *, out: str = "out", **run: Any) -> list[str]:
    said: list[str] = []
    one = recipe(folder, url, **run)
    forecast(shards, CONFIG, one, [card(), card("book")], folder / out, said.append)
    return "\n".join(said).splitlines()


def row_of(lines: list[str], name: str) -> list[float]:
    (line,) = [line for line in lines if line.startswith(name)]
    return [float(word.replace(",", "")) for word in line.removeprefix(name).split()[:3]]


def test_the_interval_holds_the_true_total_about_nine_times_in_ten() -> None:
    drawn, held, times = random.Random(3), 0, 400
    for _ in range(times):
        strata = {
            (source, size): [drawn.expovariate(1 / size) + 5 * (source == "b") for _ in range(300)]
            for source in "ab"
            for size in (8, 64)
        }
        seen = {name: drawn.sample(values, 12) for name, values in strata.items()}
        estimate = total_of({name: len(values) for name, values in strata.items()}, seen)
        held += estimate.low <= sum(map(sum, strata.values())) <= estimate.high
    assert 0.83 * times < held < 0.96 * times


def test_what_was_seen_whole_has_no_interval() -> None:
    estimate = total_of({("a", 3): 4, ("b", 3): 1}, {("a", 3): [1, 2, 3, 4], ("b", 3): [7]})
    assert (estimate.low, estimate.expected, estimate.high) == (17, 17, 17)


def test_the_sample_does_not_depend_on_how_the_input_is_cut(tmp_path: Path) -> None:
    given = [*passages(150), *(passage(f"{one.text} And so on.", doc=f"book/{n}") for n, one in enumerate(passages(9)))]
    whole = strata_of([shard(tmp_path, given)], CONFIG, tmp_path / "out")
    pieces = strata_of([shard(tmp_path, given[:40], "a"), shard(tmp_path, given[40:], "b")], CONFIG, tmp_path / "out")
    ids = [{name: sorted(id for _, id, _ in one.drawn) for name, one in strata.items()} for strata in (whole, pieces)]
    assert ids[0] == ids[1]
    assert [sum(one.number for (name, _), one in whole.items() if name == source) for source in ("web", "book")] == [
        150,
        9,
    ]
    assert all(len(one.drawn) <= SAMPLE for one in whole.values())


def test_a_forecast_is_asked_once_and_is_not_paid_for_again_by_the_run(tmp_path: Path) -> None:
    shards = [shard(tmp_path, passages(150))]
    with fake_server(lambda _: Reply(QUESTIONS)) as fake:
        lines = told(tmp_path, shards, fake.url, budget={"input_price": 1e6, "output_price": 2e6})
        asked = len(fake.asked())
        assert lines[0] == f"150 passages to rewrite; {SAMPLE} of them asked, and kept"
        assert not (tmp_path / "out").exists()
        assert _journal_rows(tmp_path) == asked
        again = told(tmp_path, shards, fake.url)
        assert len(fake.asked()) == asked
        assert "not measured" in "\n".join(again)
        expected, low, high = row_of(lines, "requests")
        given, written = row_of(lines, "prompt tokens")[0], row_of(lines, "output tokens")[0]
        assert row_of(lines, "cost")[0] == pytest.approx(given + 2 * written, rel=0.01)
        assert row_of(lines, "hours")[0] >= 0
        out = rewrite(shards, CONFIG, recipe(tmp_path, fake.url))
        assert low <= len(fake.asked()) <= high
        assert low <= expected <= high
        assert told(tmp_path, shards, fake.url, out=out.name)[0].startswith("0 passages to rewrite")


def test_a_calibration_stops_at_a_limit(tmp_path: Path) -> None:
    with fake_server(lambda _: Reply(QUESTIONS)) as fake, pytest.raises(Stopped, match="max_requests = 20 is reached"):
        told(tmp_path, [shard(tmp_path, passages(60))], fake.url, budget={"max_requests": 20})
    assert _journal_rows(tmp_path) == 20


def test_the_command_makes_the_passages_and_no_pairs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    world = write_world(tmp_path, articles=8, talks=2)
    text = world.read_text().replace("styles = { heading = 1.0 }", "styles = { excerpt = 1.0 }\nrepairs = 0\ntries = 1")
    with fake_server(lambda _: Reply(QUESTIONS)) as fake:
        fake.model = str(read_line(world).configs["rewrite"].model_dump()["model"])
        world.write_text(text + f'[run]\nbase_urls = ["{fake.url}"]\n')
        assert main(["run", str(world), "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "output tokens" in said
    line = read_line(world, "rewrite")
    assert not line.step("rewrite").directory.exists()
    assert line.step("dedup").directory.exists()
