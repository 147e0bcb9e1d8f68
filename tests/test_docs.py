"""Documents are held to the code: commands exist, the tree names what is there."""

import re
import subprocess
from pathlib import Path

import pytest

from pipeline.cli import _parser
from pipeline.line import read_configs
from pipeline.recipe import load_card, load_recipe
from pipeline.stages import TABLES

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_commands_in_documents_exist(document):
    text = (ROOT / document).read_text()
    commands = set(re.findall(r"onestage (run|show|ls|gc|cards|explain|trace|serve|[a-z]+) ?(?:RECIPE|recipes/)", text))
    known = set(_parser()._subparsers._group_actions[0].choices)  # type: ignore[union-attr]
    assert commands <= known
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"`make ([a-z]+)", text))
    assert named
    assert named <= targets


def test_files_in_the_tree_of_the_architecture_exist():
    text = (ROOT / "ARCHITECTURE.md").read_text()
    tree = text[text.index("## The tree") : text.index("Imports point one way")]
    folder, checked = "", 0
    for line in tree.splitlines():
        names = re.findall(r"[\w.]+\.(?:py|toml|md)\b|[\w.]+/", line[:60])
        if re.match(r"    \S", line):
            folder = (
                next((name for name in names if name.endswith("/")), "") if line[4:].split()[0].endswith("/") else ""
            )
            names = [line[4:].split()[0]]
        elif not re.match(r"      \S", line):
            continue
        for name in names:
            path = ROOT / (folder if name != folder else "") / name
            assert path.exists() or "<" in line, f"{path} is in the tree only"
            checked += 1
    assert checked > 40


def test_every_module_is_in_the_tree_of_the_architecture():
    text = (ROOT / "ARCHITECTURE.md").read_text()
    tracked = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    folded = ("tests/", "pipeline/readers/", "unify/styles/", "unify/checks/", "benchmarks/")
    missing = [
        path
        for path in tracked
        if not path.startswith(folded) and not path.endswith("__init__.py") and Path(path).name not in text
    ]
    assert not missing


RECIPES = sorted([*(ROOT / "recipes").rglob("*.toml"), *(ROOT / "tests" / "real").glob("*.toml")])


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_and_its_cards_are_valid(recipe):
    read = load_recipe(recipe, TABLES)
    assert read_configs(read)
    for source in read.sources:
        load_card(read.cards_folder, source)
