"""Judging pairs: a sample that is even over strata, a judge that is measured on what is known, verdicts counted."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli import main
from pipeline.purge import find_remains
from tests.fakes_server import Reply, fake_server
from tests.world import write_world


def told_by_words(body: dict[str, Any]) -> Reply:
    """Judge as a reader of words would: an answer is said by a text that holds it."""
    text, _, dialogue = body["messages"][-1]["content"].replace("对话：\n", "Dialogue:\n").partition("Dialogue:\n")
    answer = dialogue.replace("答: ", "Answer: ").split("Answer: ")[-1]
    held = answer in text
    verdict = {"unsupported": "" if held else answer[:20], "supported": held, "fits": True}
    return Reply(texts=(json.dumps(verdict, ensure_ascii=False),))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe whose pairs are made, by a style that asks no model."""
    recipe = write_world(tmp_path_factory.mktemp("judge"), articles=8, talks=4)
    assert main(["run", str(recipe), "--through", "rewrite"]) == 0
    return recipe


def judged(world: Path, url: str, table: str) -> tuple[int, list[dict[str, Any]]]:
    """Judge by a recipe beside the world's that has the same output; return exit code and verdicts."""
    recipe = world.with_name("judging.toml")
    recipe.write_text(f'{world.read_text()}\n[judge]\n{table}\n[run]\nbase_urls = ["{url}"]\n')
    code, path = main(["judge", str(recipe)]), world.parent / "data" / "judge-world.jsonl"
    return code, [json.loads(line) for line in path.read_text().splitlines()]


def test_quoted_answers_pass_planted_ones_do_not_and_nothing_is_asked_twice(
    world: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with fake_server(told_by_words, model="by-words") as fake:
        _, verdicts = judged(world, fake.url, 'model = "by-words"')
        said, asked = capsys.readouterr().out, len(fake.asked())
        assert judged(world, fake.url, 'model = "by-words"') == (0, verdicts)
        assert len(fake.asked()) == asked == len(verdicts)
    known = [one for one in verdicts if one["planted"]]
    own = [one for one in verdicts if not one["planted"]]
    assert len(known) == pytest.approx(len(own) / 4, abs=1)
    assert all(one["verdict"]["supported"] for one in own)
    assert not any(one["verdict"]["supported"] for one in known)
    assert {one["id"] for one in known} <= {one["id"] for one in own}
    assert f"doubted {len(known)} of {len(known)} answers taken from another document" in said
    assert f"and 0 of {len(own)} answers that are the passage's own words" in said
    assert "all, by the number of pairs: passage says all of it 100.0%" in said
    assert "all, by the number of pairs: answers its question 100.0%" in said
    assert world.parent / "data" / "judge-world.jsonl" in find_remains(world.parent / "data", own[0]["source"]).files


def test_a_small_sample_is_even_over_sources_styles_and_languages(world: Path) -> None:
    with fake_server(told_by_words, model="few") as fake:
        _, verdicts = judged(world, fake.url, 'model = "few"\npairs = 6')
    strata = [(one["source"], one["style"], one["lang"]) for one in verdicts if not one["planted"]]
    assert len(strata) == 6
    assert max(strata.count(one) for one in strata) - min(strata.count(one) for one in strata) <= 1


def test_replies_that_cannot_be_read_are_counted_and_decide_nothing(
    world: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with fake_server(lambda _: Reply(texts=("I would say so.",)), model="vague") as fake:
        _, verdicts = judged(world, fake.url, 'model = "vague"')
    said = capsys.readouterr().out
    assert {one["verdict"] for one in verdicts} == {None}
    assert f"unreadable replies: {len(verdicts)}, counted nowhere" in said
    assert "doubted 0 of 0" in said
    assert "%" not in said.partition("judged by")[2]


def test_before_there_are_pairs_and_with_a_wrong_table_one_line_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = write_world(tmp_path, articles=2, talks=2)
    assert main(["judge", str(recipe)]) == 2
    assert "got no pair with a question, expected one to judge" in capsys.readouterr().err
    recipe.write_text(f"{recipe.read_text()}\n[judge]\npairs = 0\n")
    assert main(["judge", str(recipe)]) == 2
    assert "[judge] pairs" in capsys.readouterr().err
