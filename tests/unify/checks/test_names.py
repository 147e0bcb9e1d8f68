"""Drugs and diseases are found under any of their names, and told from those that the passage does not name."""

from collections import Counter
from pathlib import Path

import pytest

from unify.checks import names
from unify.checks.names import foreign_disease, foreign_drug, names_in


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Lasix and ramiprils; hepatitis C.", ["Lasix", "ramipril", "hepatitis C"]),
        ("可口服心痛定或依那普利，胃炎者慎用。", ["心痛定", "依那普利", "胃炎"]),
        ("应服用贝那普利片。", ["贝那普利"]),
        ("His statement was determined; routine medicine.", []),
        ("可以喝鸡汤，避免扩散。", []),
        ("口服金银花和健脾消食片。", ["金银花", "消食片"]),
        ("拍X线胸片两片，用软膏。", []),
        ("Take solriamfenacin intrauterine.", ["solriamfenacin"]),
    ],
)
def test_names_are_found_in_order(text: str, names: list[str]) -> None:
    assert [name.written for name in names_in(text)] == names


def test_a_name_stands_on_one_line_of_the_list() -> None:
    lines = (Path(names.__file__).parent / "names.tsv").read_text("utf-8").splitlines()[2:]
    written = [name for line in lines for name in "|".join(line.split("\t")[1:]).split("|") if name]
    assert [name for name, count in Counter(written).items() if count > 1] == []


def test_spans_are_those_of_the_text() -> None:
    text = "İlk olarak Metformin, 然后用二甲双胍。"
    assert [text[slice(*name.span)] for name in names_in(text)] == ["Metformin", "二甲双胍"]


@pytest.mark.parametrize(
    ("text", "known", "foreign"),
    [
        ("Give amlodipine.", "Give nifedipine.", "amlodipine"),
        ("Give Tylenol.", "Give paracetamol.", None),
        ("Give nifedipine.", "口服心痛定。", None),
        ("口服氨氯地平。", "口服硝苯地平。", "氨氯地平"),
        ("口服扑热息痛。", "口服对乙酰氨基酚片。", None),
        ("Give bexotegrelor.", "Give nothing.", "bexotegrelor"),
    ],
)
def test_a_drug_is_known_by_any_of_its_names(text: str, known: str, foreign: str | None) -> None:
    assert foreign_drug(text, known) == foreign


def test_across_languages_only_listed_names_are_held_against_the_passage() -> None:
    assert foreign_drug("Give bexotegrelor.", "口服某药。", same_language=False) is None
    assert foreign_drug("Give warfarin.", "口服阿司匹林。", same_language=False) == "warfarin"
    assert foreign_disease("It treats gout.", "用于治疗痛风。", same_language=False) is None
    assert foreign_disease("It treats asthma.", "用于治疗痛风。", same_language=False) == "asthma"
