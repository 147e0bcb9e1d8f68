"""Open questions: nothing of an answer stands in the passage, which is given with the question."""

import asyncio
import json

import pytest

from tests.unify.passages import GAOXUEYA, GOUT, passage
from unify.pair import Pair, Passage
from unify.request import Request, Response, RewriteConfig
from unify.styles import not_stated

CONFIG = RewriteConfig(tries=1, repairs=0)
QUESTION, MISSING = "Which vegetables can people with gout eat?", "vegetables"


def reply(question: str = QUESTION, missing: str = MISSING, sentences: tuple[int, ...] = (3,)) -> str:
    return json.dumps({"question": question, "missing": missing, "sentences": sentences}, ensure_ascii=False)


def write(text: str, one: Passage | None = None) -> tuple[Pair, list[Request]]:
    asked: list[Request] = []

    async def ask(request: Request) -> Response:
        asked.append(request)
        return Response((text,), ("stop",), "fp", 1, 1)

    (pair,) = asyncio.run(not_stated.write(one or passage(), CONFIG, ask))
    return pair, asked


def test_the_question_comes_with_what_is_known_and_the_answer_says_what_is_missing() -> None:
    pair, (asked,) = write(reply())
    assert pair.reason is None
    assert GOUT in pair.question
    assert QUESTION in pair.question
    assert "“vegetables”" in pair.answer
    quoted = GOUT[GOUT.index("Low-dose") : GOUT.index(" Allopurinol")]
    assert pair.answer.endswith(quoted)
    assert [GOUT[start:end] for start, end in pair.support] == [quoted]
    assert asked.parameters["response_format"]["json_schema"]["schema"] == not_stated.SCHEMA


def test_a_chinese_question_is_answered_in_chinese() -> None:
    text = reply("高血压患者能不能喝咖啡？", "咖啡", (1,))
    pair, _ = write(text, passage(GAOXUEYA, lang="zh-Hans", title="高血压", heading=""))
    assert (pair.reason, pair.lang) == (None, "zh-Hans")
    assert pair.answer.endswith(GAOXUEYA[: GAOXUEYA.index("常用")])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (reply("What does allopurinol do to serum urate?", "serum urate"), "stated"),
        (reply("Which side effects does colchicine have in gout?", "side effects"), "stated"),  # diarrhoea, by "causes"
        (reply("At which dose does allopurinol lower urate?", "dose"), "stated"),  # there is an amount beside it
        (reply("What prevents further attacks of gout in the long run?", "in the long run"), "stated"),
        (reply(missing="fruit"), "not_asked"),
        (reply(missing=""), "not_asked"),
        (reply("Which vegetables can sailors eat?", "vegetables"), "off_topic"),
        (reply("Which vegetables does the passage allow?"), "leak"),
        (reply("Vegetables in gout"), "not_a_question"),
        (reply(sentences=(9,)), "no_such_sentence"),
        ("Nothing is missing.", "unreadable"),
    ],
)
def test_what_may_be_answered_and_what_is_no_question_has_its_reason(text: str, reason: str) -> None:
    assert write(text)[0].reason == reason


@pytest.mark.parametrize(
    ("question", "missing", "said"),
    [
        ("秋水仙碱每次的剂量是多少？", "剂量", True),  # the word is not there, the amount is
        ("秋水仙碱有哪些症状上的副作用？", "副作用", True),
        ("秋水仙碱在哪些国家可以买到？", "国家", False),
    ],
)
def test_an_answer_in_other_words_is_an_answer(question: str, missing: str, said: bool) -> None:
    one = passage(
        "急性痛风可以口服秋水仙碱，首次1 mg，1小时后再服0.5 mg。秋水仙碱常引起腹泻、恶心等胃肠道反应。", lang="zh-Hans"
    )
    assert (not_stated.stated(question, missing, one) is not None) == said


def test_a_drug_by_another_name_is_stated() -> None:
    one = passage("Acetaminophen relieves the pain of most patients with gout.")
    assert not_stated.stated("How does paracetamol compare in gout?", "paracetamol", one)


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_examples_that_a_model_sees_pass(language: str) -> None:
    subject, sentences, given = not_stated.EXAMPLES[language]
    lang = {"zh": "zh-Hans", "en": "en"}[language]
    text = ("" if language == "zh" else " ").join(sentences)
    pair, _ = write(json.dumps(given, ensure_ascii=False), passage(text, lang=lang, title=subject, heading=""))
    assert (pair.reason, pair.detail) == (None, None)


def test_long_and_classical_passages_are_not_for_it() -> None:
    assert not_stated.applies(passage(), CONFIG)
    assert not not_stated.applies(passage(GAOXUEYA, lang="lzh"), CONFIG)
    assert not not_stated.applies(passage(GOUT * 20), CONFIG)
