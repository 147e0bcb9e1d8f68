"""The ablations: recipes that differ in data, order and learning rate, and are given the same number of tokens."""

import copy
import re
from pathlib import Path

import pytest

from data_cards.course import schedule_report
from pipeline.line import read_line, train_directory
from pipeline.recipe import read_toml
from pipeline.stages import run_line

ROOT = Path(__file__).resolve().parents[1]
DESIGNS = ("priority", "uniform", "two_stage", "sft_only")
RECIPES = {path.stem: read_toml(path) for path in (ROOT / "recipes" / "ablation").glob("*.toml")}


def test_there_is_one_for_each_design_and_schedule():
    assert set(RECIPES) == {f"{design}_{schedule}" for design in DESIGNS for schedule in ("cosine", "wsd")}
    assert {written["name"] for written in RECIPES.values()} == {f"ablation_{name}" for name in RECIPES}


@pytest.mark.parametrize("design", DESIGNS)
def test_a_design_differs_by_its_schedule_alone(design):
    cosine, wsd = (copy.deepcopy(RECIPES[f"{design}_{schedule}"]) for schedule in ("cosine", "wsd"))
    assert (cosine["train"].pop("schedule"), wsd["train"].pop("schedule")) == ("cosine", "wsd")
    assert {**cosine, "name": ""} == {**wsd, "name": ""}


def test_all_have_one_budget_and_one_way_to_train():
    assert len({written["prioritize"]["tokens"] for written in RECIPES.values()}) == 1
    settings = [{**written["train"], "schedule": ""} for written in RECIPES.values()]
    assert all(one == settings[0] for one in settings)


@pytest.mark.slow
@pytest.mark.parametrize("design", ["two_stage", "sft_only"])
def test_a_design_runs_to_packed_rows_of_the_budget(tmp_path, design):
    text = (ROOT / "recipes" / "ablation" / f"{design}_wsd.toml").read_text()
    for old, new in {
        "../../data_cards": ROOT / "data_cards",
        "../../data": tmp_path / "data",
        "../lexicons": ROOT / "recipes" / "lexicons",
    }.items():
        text = text.replace(f'"{old}', f'"{new}')
    recipe = tmp_path / f"{design}.toml"
    recipe.write_text(text)
    line = read_line(recipe)
    run_line(line)
    said, _ = schedule_report(line, train_directory(line))
    tokens = re.search(r"^([\d,]+) tokens, ", said, re.MULTILINE)
    assert tokens is not None
    assert int(tokens.group(1).replace(",", "")) == pytest.approx(40_000, abs=1_500)
    assert said.count("\nraw ") == (4 if design == "two_stage" else 0)
    assert "Ledger: " in said
