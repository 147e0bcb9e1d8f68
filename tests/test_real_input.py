"""The line on real corpora of eight forms: all of them through dedup, then a pilot through training."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.line import read_line, train_directory
from pipeline.shards import read_manifest
from tests import contract

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def recipe(real_data, tmp_path_factory) -> Path:
    """The recipe for real corpora with an output folder of its own and a smaller pilot."""
    folder = tmp_path_factory.mktemp("real")
    text = (ROOT / "tests" / "real" / "real.toml").read_text()
    for old, new in (
        ('cards = "cards"', f'cards = "{ROOT}/tests/real/cards"'),
        ('output = "../../data/real"', 'output = "data"'),
        ("../../recipes/", f"{ROOT}/recipes/"),
        ('"../../.venv-server"', f'"{ROOT}/.venv-server"'),
        ("pilot = 6", "pilot = 3"),
        ("batch_rows = 4", "batch_rows = 2"),
    ):
        assert old in text
        text = text.replace(old, new)
    (folder / "real.toml").write_text(text)
    subprocess.run([sys.executable, "-m", "pipeline.cli", "run", str(folder / "real.toml")], cwd=ROOT, check=True)
    return folder / "real.toml"


def test_every_source_is_read_and_accounted_for(recipe):
    line = read_line(recipe)
    for step in line.steps:
        contract.complete_or_absent(step.directory)
        contract.rows_conserved(step)
        contract.ids_unique(step)
    kept = {step.part: read_manifest(step.directory)["rows_out"] for step in line.steps if step.stage.name == "collect"}
    assert set(kept) == {card.name for card in line.cards}
    assert min(kept.values()) >= 50
    dedup = [read_manifest(step.directory) for step in line.steps if step.stage.name == "dedup"]
    assert [manifest["rows_in"] > 5000 for manifest in dedup] == [True, True]
    assert all(manifest["dropped"]["near_duplicate"] for manifest in dedup)


def test_a_pilot_is_rewritten_and_trained_on(recipe):
    line = read_line(recipe)
    rewrite = read_manifest(line.step("rewrite").directory)
    assert rewrite["rows_in"] - rewrite["dropped"]["not_in_pilot"] >= 100
    pairs = contract.rows_of(line.step("rewrite"))
    assert {pair["source"] for pair in pairs} == {card.name for card in line.cards if card.form == "text"}
    assert {pair["style"] for pair in pairs} == {"excerpt", "heading"}
    subprocess.run([sys.executable, "-m", "training.launch", str(recipe)], cwd=ROOT, check=True)
    metrics = (train_directory(line) / "metrics.jsonl").read_text().splitlines()
    losses = [row["loss"] for row in map(json.loads, metrics) if "loss" in row]
    assert len(losses) == 10
    assert (train_directory(line) / "hf" / "config.json").exists()


def test_markup_of_a_source_is_not_in_its_headings(recipe):
    line = read_line(recipe)
    step = next(step for step in line.steps if step.label == "segment/mtf_wiki")
    headings = {heading for row in contract.rows_of(step, ["headings"]) for heading in row["headings"]}
    assert len(headings) > 100
    assert not [heading for heading in headings if re.search(r"\{#|\{\{|<[a-z/]", heading)]
