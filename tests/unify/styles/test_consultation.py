"""Consultations: several turns in one Example, the doctor's held against the passage one by one and together."""

import asyncio
import json

import pytest

from tests.unify.passages import GAOXUEYA, GOUT, passage
from unify.coverage import sentences_left
from unify.pair import Pair, Passage, example_of
from unify.request import Request, Response, RewriteConfig
from unify.styles import consultation

CONFIG = RewriteConfig(tries=1, repairs=0)
TURNS = (
    (
        "What relieves an acute attack of gout?",
        "Low-dose colchicine relieves an acute attack of gout and commonly causes diarrhoea.",
    ),
    (
        "And what prevents another one?",
        "Allopurinol lowers serum urate below 360 micromol/L and prevents further attacks.",
    ),
)


def reply(*turns: tuple[str, str]) -> str:
    return json.dumps({"turns": [{"patient": one, "doctor": other} for one, other in turns]}, ensure_ascii=False)


def write(
    text: str, one: Passage | None = None, config: RewriteConfig = CONFIG, finish_reason: str = "stop"
) -> tuple[Pair, list[Request]]:
    asked: list[Request] = []

    async def ask(request: Request) -> Response:
        asked.append(request)
        return Response((text,), (finish_reason,), "fp", 1, 1)

    (pair,) = asyncio.run(consultation.write(one or passage(), config, ask))
    return pair, asked


def test_the_turns_are_the_messages_of_one_example() -> None:
    pair, (asked,) = write(reply(*TURNS))
    assert pair.reason is None
    row = example_of(passage(), pair)
    said = [(message["role"], message["content"], message["loss"]) for message in row["messages"]]
    assert said == [
        ("user", TURNS[0][0], False),
        ("assistant", TURNS[0][1], True),
        ("user", TURNS[1][0], False),
        ("assistant", TURNS[1][1], True),
    ]
    assert asked.parameters["response_format"]["json_schema"]["schema"] == consultation.SCHEMA


def test_all_turns_count_for_id_support_and_coverage() -> None:
    pair, _ = write(reply(*TURNS))
    assert {GOUT[start:end].split()[0] for start, end in pair.support} == {"Low-dose", "Allopurinol"}
    left = [GOUT[start:end].split()[0] for start, end in sentences_left(passage(), [pair])]
    assert left == ["Gout"]
    other, _ = write(reply(TURNS[0], ("And then what helps?", TURNS[1][1])))
    assert example_of(passage(), other)["id"] != example_of(passage(), pair)["id"]


def test_only_the_first_question_has_to_stand_alone() -> None:
    follows = ("Does this cause anything else?", TURNS[1][1])
    assert write(reply(TURNS[0], follows))[0].reason is None
    assert write(reply(follows, TURNS[0]))[0].reason == "not_standalone"


def test_a_warning_may_come_a_turn_later_than_the_advice() -> None:
    text = (
        "Ibuprofen relieves the pain of gout within 24 hours. "
        "Ibuprofen should not be used by people with a peptic ulcer. "
        "Gout often begins at night. "
        "Resting the joint helps most people with gout."
    )
    advice = ("What relieves the pain of gout?", "Ibuprofen relieves the pain of gout within 24 hours.")
    warning = ("May everybody take it?", "No, ibuprofen should not be used by people with a peptic ulcer.")
    rest = ("What else helps with gout?", "Resting the joint helps most people with gout.")
    assert write(reply(advice, warning), passage(text))[0].reason is None
    assert write(reply(advice, rest), passage(text))[0].reason == "dropped_qualifier"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (reply(TURNS[0]), "unreadable"),
        ("Patient: hello. Doctor: hello.", "unreadable"),
        (reply(TURNS[0], ("Thank you.", TURNS[1][1])), "not_a_question"),
        (reply(TURNS[0], ("And next?", TURNS[1][1])), "too_short"),
        (reply(TURNS[0], (TURNS[0][0], TURNS[1][1])), "asked_before"),
        (reply(TURNS[0], (TURNS[1][0], TURNS[1][1].replace("360", "250"))), "ungrounded_number"),
        (reply(TURNS[0], (TURNS[1][0], "Allopurinol lowers serum urate and prevents")), "cut_off"),
        (reply(TURNS[0], (TURNS[1][0], "Febuxostat lowers serum urate and prevents attacks of gout.")), "foreign_drug"),
        (reply(TURNS[0], ("And what does the passage say about relapses?", TURNS[1][1])), "leak"),
        (reply(TURNS[0], (TURNS[1][0], "Walking and swimming every morning strengthen the heart.")), "low_support"),
        (reply(TURNS[0], (TURNS[1][0], "Sorry, that has to be decided by somebody else.")), "refusal"),
    ],
)
def test_a_turn_that_is_none_rejects_the_dialogue_with_its_reason(text: str, reason: str) -> None:
    pair, _ = write(text)
    assert pair.reason == reason
    assert example_of(passage(), pair)["messages"]


def test_a_dialogue_cut_at_the_limit_of_tokens_is_rejected() -> None:
    assert write(reply(*TURNS), finish_reason="length")[0].reason == "cut_off"


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_examples_that_a_model_sees_pass(language: str) -> None:
    subject, text, turns = consultation.EXAMPLES[language]
    lang = {"zh": "zh-Hans", "en": "en"}[language]
    pair, _ = write(reply(*turns), passage(text, lang=lang, title=subject, heading=""))
    assert (pair.reason, pair.detail) == (None, None)


def test_short_classical_and_foreign_passages_are_not_for_it() -> None:
    assert consultation.applies(passage(), CONFIG)
    assert consultation.applies(passage(GAOXUEYA, lang="zh-Hans"), CONFIG)
    assert not consultation.applies(passage(GAOXUEYA, lang="lzh"), CONFIG)
    assert not consultation.applies(passage(GOUT[: GOUT.index("Low-dose")]), CONFIG)
    assert not consultation.applies(passage(), CONFIG.model_copy(update={"model_languages": ("zh",)}))
