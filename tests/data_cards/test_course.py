import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from data_cards.course import schedule_report
from pipeline.line import read_line, train_directory
from pipeline.recipe import RecipeError
from pipeline.stages import run_line
from tests.world import write_world

ROOT = Path(__file__).resolve().parents[2]
TABLES = "[prioritize]\nepochs = { sft = 2 }\npriority = { web = 8, encyclopedia = 2, sft = 1 }\n"


def numbers(text: str, name: str) -> list[str]:
    return next(line for line in text.splitlines() if line.startswith(f"{name} ")).split()


def test_the_papers_recipe_shows_the_share_of_sft_under_each_schedule_before_anything_is_made():
    line = read_line(ROOT / "recipes" / "huatuo2_paper.toml")
    text, picture = schedule_report(line, train_directory(line))
    weighted = text[text.index("weighted by learning rate") :]
    head = re.split(r"\s{2,}", weighted.splitlines()[1].strip())
    sft = dict(zip(head, numbers(weighted, "sft")[1:], strict=True))
    assert sft["unweighted"] == "7.5%"
    assert sft["cosine to 0"] == "1.8%"
    assert sft["paper_cosine of the recipe"] == sft["paper_cosine"] == "3.6%"
    assert float(sft["wsd to 10%"][:-1]) > 4
    assert numbers(weighted, "web")[3] == "30.1%"
    assert numbers(text, "web expected")[3] == "48.1%"
    assert "how early, never how much" in text
    assert "confounded" in text
    assert "not known before rows are encoded" in text
    assert len(ElementTree.fromstring(picture).findall(".//{*}polygon")) == 5


@pytest.fixture(scope="module")
def line(tmp_path_factory):
    line = read_line(write_world(tmp_path_factory.mktemp("world"), articles=12, talks=12, tables=TABLES))
    run_line(line)
    return line


def test_text_that_is_not_rewritten_yet_is_said_in_one_line(tmp_path):
    line = read_line(write_world(tmp_path))
    with pytest.raises(RecipeError, match="encyclopedia: got text that is still to be rewritten"):
        schedule_report(line, train_directory(line))


def test_what_was_made_stands_beside_what_was_expected(line):
    text, picture = schedule_report(line, train_directory(line))
    expected, realised = (numbers(text, f"web {which}") for which in ("expected", "realised"))
    assert expected[2] == realised[2]  # all in all, as much
    assert float(expected[3][:-1]) > 60
    assert abs(float(expected[3][:-1]) - float(realised[3][:-1])) < 25
    assert re.search(r"[\d,]+ tokens, \d+ steps of 8 packed rows; hours: not known", text)
    assert re.search(r"Ledger: \d+ uses of \d+ rows in order and packed rows", text)
    assert len(ElementTree.fromstring(picture).findall(".//{*}polygon")) == 6


def test_what_training_consumed_is_weighted_by_the_rates_it_met(line, tmp_path):
    steps = [
        {"step": 1, "rows": 8, "lr": 3.0, "tokens_per_s": 100.0, "targets_by_kind": {"web": 90, "sft": 10}},
        {"step": 2, "rows": 16, "lr": 1.0, "tokens_per_s": 300.0, "targets_by_kind": {"sft": 100}},
    ]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(step) + "\n" for step in steps))
    text, _ = schedule_report(line, tmp_path)
    trained = text[text.index("trained: 2 steps, 16 packed rows, every row once") :]
    assert numbers(trained, "web")[1:] == ["45.0%", "67.5%"]
    assert re.search(r"hours at 200 tokens/s, as measured in", text)
