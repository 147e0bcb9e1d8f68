from typing import Any

import pytest

from pipeline.readers.pairs import pair_item

TALK = [("user", "头痛怎么办？"), ("assistant", "先休息。")]


@pytest.mark.parametrize(
    ("row", "fields"),
    [
        ({"conversations": [{"from": "human", "value": "头痛怎么办？"}, {"from": "gpt", "value": "先休息。"}]}, {}),
        (
            {"messages": [{"role": "user", "content": "头痛怎么办？ "}, {"role": "assistant", "content": "先休息。"}]},
            {},
        ),
        (
            {"dialog": [{"role": "client", "content": "头痛怎么办？"}, {"role": "counselor", "content": "先休息。"}]},
            {"messages": "dialog"},
        ),
        ({"ask": "头痛怎么办？", "reply": "先休息。"}, {"question": "ask", "answer": "reply"}),
        (["头痛怎么办？", "先休息。"], {}),
        ({"d": "医生：您好。\n患者：头痛怎么办？\n医生：先休息。\n患者：好的。"}, {"dialogue": "d"}),
    ],
)
def test_every_shape_of_a_dialogue_reads_the_same(row: Any, fields: dict[str, str]) -> None:
    item = pair_item(row, fields, None)
    assert list(item.turns) == TALK
    assert item.drop_reason is None


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (["问", "答", "再问"], "bad_turns"),
        ({"messages": [{"role": "assistant", "content": "a"}, {"role": "user", "content": "b"}]}, "bad_turns"),
        ({"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]}, "bad_turns"),
        ({"messages": ["a", "b"]}, "bad_turns"),
        ({"messages": []}, "bad_turns"),
        (["问", " "], "empty_turn"),
        ({"question": "问", "answer": ""}, "no_answer"),
        ({"question": "", "answer": "答"}, "empty_turn"),
        ({"dialogue": "Doctor: Hello."}, "bad_turns"),
        (
            {
                "messages": [
                    {"role": "system", "content": "s"},
                    {"role": "user", "content": "q"},
                    {"role": "assistant", "content": "a"},
                ]
            },
            None,
        ),
        (["问", "答", "再问", "再答"], None),
    ],
)
def test_what_is_no_dialogue_is_dropped(row: Any, reason: str | None) -> None:
    assert pair_item(row, {}, None).drop_reason == reason


def test_title_stands_before_the_question_unless_it_is_in_it() -> None:
    assert pair_item({"title": "头痛", "question": "怎么办", "answer": "休息"}, {}, None).turns[0][1] == "头痛\n怎么办"
    assert (
        pair_item({"title": "头痛", "question": "头痛怎么办", "answer": "休息"}, {}, None).turns[0][1] == "头痛怎么办"
    )


def test_a_transcript_joins_turns_of_one_side() -> None:
    talk = "Doctor: Hi.\nPatient: I cough.\nGuest_family: A lot.\nDoctor: Since when?\nDoctor: Any fever?\nPatient: No."
    assert list(pair_item({"dialogue": talk}, {}, None).turns) == [
        ("user", "I cough.\nA lot."),
        ("assistant", "Since when?\nAny fever?"),
    ]


def test_a_transcript_without_speakers_has_no_turns() -> None:
    assert pair_item({"dialogue": "No one is named here."}, {}, None).drop_reason == "bad_turns"


def test_a_transcript_may_stand_on_one_line() -> None:
    talk = (
        "Doctor: Hi. Patient: I take two: at noon, at night. Patient: Or three. Doctor: Good! Note: rest. Patient: Yes."
    )
    assert list(pair_item({"dialogue": talk}, {}, None).turns) == [
        ("user", "I take two: at noon, at night.\nOr three."),
        ("assistant", "Good! Note: rest."),
    ]
