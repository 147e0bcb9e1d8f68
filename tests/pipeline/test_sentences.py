import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sentences import split_clauses, split_pauses, split_sentences
from tests.pipeline.sentence_cases import CHINESE, CLASSICAL, ENGLISH

CASES = [(lang, case) for lang, cases in (("zh-Hans", CHINESE), ("lzh", CLASSICAL), ("en", ENGLISH)) for case in cases]


def sentences(text: str, lang: str) -> list[str]:
    return [text[start:end] for start, end in split_sentences(text, lang)]


@pytest.mark.parametrize(("lang", "case"), CASES)
def test_sentences_end_where_a_reader_ends_them(lang: str, case: str) -> None:
    assert sentences(case.replace("|", ""), lang) == [part.strip() for part in case.split("|")]


def test_splitting_at_every_mark_would_be_right_much_less_often() -> None:
    naive = [
        [part.strip() for part in re.split(r"(?<=[。！？.!?\n])", case.replace("|", "")) if part.strip()]
        == [part.strip() for part in case.split("|")]
        for _, case in CASES
    ]
    assert len(CASES) >= 100
    assert sum(naive) < 0.5 * len(CASES)


@given(
    text=st.text(alphabet='高血。！？.!?"”） aB1\n；…[]No，', max_size=200),
    lang=st.sampled_from(["zh-Hans", "lzh", "en", "und"]),
)
def test_spans_cover_what_is_no_space_once_and_in_order(text: str, lang: str) -> None:
    for spans in (split_sentences(text, lang), split_clauses(text), split_pauses(text)):
        covered = [place for start, end in spans for place in range(start, end) if not text[place].isspace()]
        assert covered == [place for place, char in enumerate(text) if not char.isspace()]
        assert all(text[start:end].strip() == text[start:end] for start, end in spans)


def test_pauses_of_a_classical_text_are_marks_gaps_and_final_particles() -> None:
    text = "夫脉者血之府也长则气治，短则气病　数则烦心矣大则病进"
    parts = [text[start:end].rstrip("，　") for start, end in split_pauses(text)]
    assert parts == ["夫脉者血之府也", "长则气治", "短则气病", "数则烦心矣", "大则病进"]


@pytest.mark.parametrize("piece", [".", "。", ". ", "A. ", "1. ", "。”", ".[1,2", "?!", "… ", "(", " ", "\n", "字"])
@pytest.mark.parametrize("lang", ["zh-Hans", "en"])
def test_long_runs_of_anything_are_split_in_linear_time(piece: str, lang: str) -> None:
    text = piece * (200_000 // len(piece))  # quadratic time would be an hour
    spans = split_sentences(text, lang)
    assert sum(end - start for start, end in spans) <= len(text)
