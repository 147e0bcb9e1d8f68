"""Trying a model before paying: all sets are asked, by the recipe's settings, and the intervals hold what they say."""

import json
import random
from pathlib import Path

import pytest

from pipeline.cli import main
from pipeline.line import read_line
from pipeline.recipe import RecipeError
from pipeline.sentences import split_sentences
from tests.fakes_server import Reply, fake_server
from tests.unify.test_rewrite import CONFIG, QUESTIONS, recipe
from tests.world import write_world
from unify.accept import accept, ratio, read_passages, wilson

BOTH = CONFIG.model_copy(
    update={"styles": {"excerpt": 1.0, "heading": 1.0}, "styles_by_source": {"book": {"huatuo2": 1.0}}}
)


def told(folder: Path, url: str, config=BOTH, **run) -> list[str]:
    said: list[str] = []
    accept(config, recipe(folder, url, **run), said.append)
    return "\n".join(said).splitlines()


def test_every_passage_has_what_is_asked_about() -> None:
    named = read_passages()
    assert {name for name, _ in named} == {"zh", "en", "classical", "mixed"}
    assert len({passage.id for _, passage in named}) == len(named)
    for name, passage in named:
        assert len(split_sentences(passage.text, passage.lang)) >= 3
        assert passage.title
        assert (passage.lang == "lzh") == (name == "classical")


def test_all_styles_of_the_recipe_are_tried_and_nothing_is_asked_twice(tmp_path: Path) -> None:
    with fake_server(lambda _: Reply(QUESTIONS)) as fake:
        lines = told(tmp_path, fake.url)
        asked = len(fake.asked())
        assert {"en, excerpt: 14 passages", "en, huatuo2: 14 passages", "zh, heading: 14 passages"} <= set(lines)
        assert any(line.startswith("  pairs kept") for line in lines)
        assert any(line.startswith("speed: ") for line in lines)
        again = told(tmp_path, fake.url)
        assert len(fake.asked()) == asked
        assert "speed: not measured, the journal had the answers, or too few came" in again
    read = [json.loads(line) for line in (tmp_path / "data" / "accept-r.jsonl").read_text().splitlines()]
    assert {row["rejected"] is None for row in read} == {True, False}
    assert all(row["question"] and row["answer"] for row in read if row["rejected"] is None)
    texts = {passage.text for _, passage in read_passages()}
    assert all(row["passage"] in texts for row in read)


def test_pairs_in_another_language_than_their_passage_are_told_apart(tmp_path: Path) -> None:
    config = CONFIG.model_copy(
        update={"styles": {"huatuo2": 1.0}, "model_languages": ("zh", "en"), "target_lang": "en"}
    )
    with fake_server(lambda _: Reply(QUESTIONS)) as fake:
        lines = told(tmp_path, fake.url, config)
    assert "zh → en, huatuo2: 14 passages" in lines
    assert "en, huatuo2: 14 passages" in lines


def test_a_recipe_whose_styles_fit_nothing_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no style that fits"):
        told(tmp_path, "http://127.0.0.1:9/v1", CONFIG.model_copy(update={"styles": {}}))


def test_the_budget_of_the_recipe_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    world = write_world(tmp_path, articles=2, talks=2)
    text = world.read_text().replace("styles = { heading = 1.0 }", "styles = { huatuo2 = 1.0 }")
    with fake_server(lambda _: Reply(QUESTIONS)) as fake:
        fake.model = str(read_line(world).configs["rewrite"].model_dump()["model"])
        world.write_text(text + f'[run]\nbase_urls = ["{fake.url}"]\n[run.budget]\nmax_requests = 5\n')
        assert main(["accept", str(world)]) == 3
        assert 0 < len(fake.asked()) <= 5
    assert "max_requests = 5 is reached" in capsys.readouterr().err


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    drawn, times = random.Random(5), 300
    share = sums = 0
    for _ in range(times):
        seen = sum(drawn.random() < 0.9 for _ in range(14)) / 14
        estimate = wilson(seen, 14)
        share += estimate.low <= 0.9 <= estimate.high
        parts = [(drawn.expovariate(1 / 30) + 20, 1.0) for _ in range(14)]
        held = ratio(parts)
        assert held is not None
        sums += held.low <= 50 <= held.high
    assert share > 0.92 * times
    assert sums > 0.85 * times


def test_a_ratio_over_nothing_is_none_and_a_share_of_none_or_all_still_has_a_width() -> None:
    assert ratio([]) is None
    assert ratio([(3, 0), (4, 0)]) is None
    assert wilson(0.0, 14).high == pytest.approx(0.215, abs=0.005)
    assert wilson(1.0, 14).low == pytest.approx(0.785, abs=0.005)
