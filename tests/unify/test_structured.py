"""Reading JSON out of what a model wrote: whole, wrapped, with a comma too many, or cut."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unify.structured import read_json

SCHEMA = {
    "type": "object",
    "properties": {
        "question": {"type": "string"},
        "answer": {
            "type": "array",
            "items": {"anyOf": [{"type": "integer"}, {"type": "string", "enum": ["Also,"]}]},
            "maxItems": 4,
        },
    },
    "required": ["question", "answer"],
    "additionalProperties": False,
}
VALUE = {"question": 'Why "two" {braces]?', "answer": [1, "Also,", 2]}
WHOLE = json.dumps(VALUE, indent=1)


@pytest.mark.parametrize(
    "text",
    [
        WHOLE,
        f"```json\n{WHOLE}\n```",
        f"<think>Should it be {{}}?</think>\n{WHOLE}",
        f"Here it is:\n{WHOLE}\nI hope that it helps [1].",
        WHOLE.replace("2\n", "2,\n"),
        WHOLE.replace('"Also,"', '"Also,",').replace(",,", ","),
        WHOLE.replace("1,", '"1",'),
        json.dumps({"note": "unasked", **VALUE}),
    ],
)
def test_what_can_be_read_without_a_guess_is_read(text: str) -> None:
    assert read_json(text, SCHEMA) == VALUE


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"question": "Why?", "answer": [1, 2', {"question": "Why?", "answer": [1]}),  # 2 may go on as 20
        ('{"question": "Why?", "answer": [1, "Al', {"question": "Why?", "answer": [1]}),
        ('{"question": "Why?", "answer": [', {"question": "Why?", "answer": []}),
        ('{"question": "Why?", "ans', None),
        ('{"question": "Wh', None),
    ],
)
def test_a_cut_text_is_closed_behind_what_was_finished(text: str, value: Any) -> None:
    assert read_json(text, SCHEMA) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "No JSON at all.",
        "[1, 2]",
        '{"question": "Why?"}',
        '{"question": 3, "answer": []}',
        '{"question": "Why?", "answer": [1, 2, 3, 4, 5]}',
        '{"question": "Why?", "answer": ["Therefore,"]}',
        '{"question": "Why?", "answer": [1.5]}',
        '{"question": "Why?", "answer": [true]}',
        '{"question": "Why?", "answer": 1]',
        "[" * 100_000,
        "{" * 100_000,
        '{"question": "' + "\\" * 99_999,
    ],
)
def test_what_does_not_fit_is_none(text: str) -> None:
    assert read_json(text, SCHEMA) is None


JSON_VALUES = st.fixed_dictionaries(
    {"question": st.text(), "answer": st.lists(st.integers(0, 99) | st.just("Also,"), max_size=4)}
)


@given(JSON_VALUES, st.text(alphabet="abc \n:"), st.booleans())
def test_every_value_that_fits_is_read_back(value: dict[str, Any], around: str, ascii_only: bool) -> None:
    assert read_json(around + json.dumps(value, ensure_ascii=ascii_only) + around, SCHEMA) == value


@given(JSON_VALUES, st.data())
def test_a_cut_at_any_place_gives_a_beginning_or_nothing(value: dict[str, Any], data: st.DataObject) -> None:
    whole = json.dumps(value)
    found = read_json(whole[: data.draw(st.integers(0, len(whole)))], SCHEMA)
    assert found is None or (
        found["question"] == value["question"] and found["answer"] == value["answer"][: len(found["answer"])]
    )


@given(st.text(alphabet='{}[]",:\\ 1a', max_size=60))
def test_no_text_raises(text: str) -> None:
    read_json(text, SCHEMA)


def test_half_a_character_that_json_escapes_is_replaced() -> None:
    schema = {"type": "object", "properties": {"question": {"type": "string"}}, "required": ["question"]}
    assert read_json('{"question": "What \\ud83d is it, \\ud83d\\ude00?"}', schema) == {
        "question": "What \ufffd is it, 😀?"
    }
