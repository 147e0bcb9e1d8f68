"""Relevance against its definition, worked out by hand and by a slow program that shares no code with it."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import domain
from pipeline.domain import lexicon_of, read_lexicons, relevance

TERMS = {
    "高血压": 1.0,
    "血压": 1.0,
    "blood pressure": 1.0,
    "PRESSURE": 1.0,
    "ulcer": 1.0,
    "Crohn's disease": 2.0,
    "编程": -1.0,
}
WORKED = [
    ("高血压很常见", 3 / 6),
    ("高血壓很常見", 3 / 6),
    ("高血\n压，很常见", 3 / 6),
    ("高血。压很常见", 0),
    ("Blood pressure rose, 120 / 80.", 13 / 17),
    ("BLOOD-PRESSURE", 1),
    ("ＢＬＯＯＤ　ＰＲＥＳＳＵＲＥ", 1),
    ("Blood. Pressure", 8 / 13),
    ("The pressure of ulcers", (8 + 6) / 19),
    ("ulcerative ulcer2", 0),
    ("Crohn’s disease", 2),
    ("编程与血压", (2 - 2) / 5),
    ("血压计", 2 / 3),
    ("12 + 3", 0),
    ("", 0),
]


@pytest.mark.parametrize(("text", "value"), WORKED)
def test_relevance_is_letters_in_terms_by_letters(text: str, value: float) -> None:
    assert relevance([text], lexicon_of(TERMS)).tolist() == pytest.approx([value])


def slowly(text: str, terms: dict[str, float]) -> float:
    """The definition for Han and lower-case ASCII texts of single spaces and full stops, character by character."""
    gain, place = 0.0, 0
    while place < len(text):
        starts = [term for term in terms if text.startswith(term, place)]
        if text[place].isascii():
            inside = place > 0 and re.match("[a-z]", text[place - 1])
            starts = [term for term in starts if not inside and not re.match("[a-z]", text[place + len(term) :])]
        longest = max(starts, key=len, default="")
        gain += terms.get(longest, 0.0) * sum(map(str.isalpha, longest))
        place += len(longest) or 1
    letters = sum(map(str.isalpha, text))
    return gain / letters if letters else 0.0


SLOW_TERMS = {"肝": 0.5, "肝炎": 1.0, "炎症": -1.0, "a b": 1.0, "ab": -0.5, "b": 0.25}
TEXTS = st.lists(st.sampled_from(["肝", "炎", "症", "a", "b", "ab", " ", "."]), max_size=20).map("".join)


@given(st.lists(TEXTS, max_size=6))
def test_many_texts_together_are_each_judged_as_the_definition_says(texts: list[str]) -> None:
    texts = [re.sub(" +", " ", re.sub("(?<=[肝炎症]) +| +(?=[肝炎症])|^ +| +$", "", text)) for text in texts]
    plain = {**SLOW_TERMS, "bs": 0.0, "abs": 0.0, "a bs": 0.0}
    assert relevance(texts, lexicon_of(SLOW_TERMS)).tolist() == pytest.approx([slowly(text, plain) for text in texts])


def test_a_long_text_is_judged_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["高血压很常见。" * 50, "x", "血压" * 9]
    whole = relevance(texts, lexicon_of(TERMS))
    monkeypatch.setattr(domain, "PILE_CHARS", 70)
    assert relevance(texts, lexicon_of(TERMS)) == pytest.approx(whole)


def test_files_add_up_and_notes_are_left_out(tmp_path: Path) -> None:
    first, second = tmp_path / "first.txt", tmp_path / "second.txt"
    first.write_text("# notes\n血压\ncell\t0.5\n", encoding="utf-8")
    second.write_text("cell\t-1\n\n", encoding="utf-8")
    assert relevance(["血压", "cell", "notes"], read_lexicons((first, second))).tolist() == [1, -0.5, 0]


def test_a_weight_that_is_no_number_is_told(tmp_path: Path) -> None:
    path = tmp_path / "lexicon.txt"
    path.write_text("cell\thigh\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"lexicon.txt line 1: got weight 'high', expected a number"):
        read_lexicons((path,))
