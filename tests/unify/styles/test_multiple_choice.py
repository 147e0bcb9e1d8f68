"""Multiple choice: one option that the passage says, three that it does not, each letter right as often."""

import asyncio
import json
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unify.passages import GAOXUEYA, GOUT, passage
from unify import checks
from unify.pair import Pair, Passage
from unify.request import Request, Response, RewriteConfig
from unify.styles import multiple_choice

CONFIG = RewriteConfig(tries=1, repairs=0, max_pairs_per_passage=1)
QUESTION = "To which level does allopurinol lower serum urate?"
CORRECT, WRONG = "Below 360 micromol/L", ("Below 250 micromol/L", "Below 480 micromol/L", "Below 700 micromol/L")
PROOF = GOUT[GOUT.index("Allopurinol") :]


def reply(
    question: str = QUESTION,
    correct: str = CORRECT,
    wrong: tuple[str, ...] = WRONG,
    sentences: tuple[int, ...] = (4,),
) -> str:
    members = {"sentences": sentences, "question": question, "correct": correct, "wrong": wrong}
    return json.dumps(members, ensure_ascii=False)


def write(text: str, one: Passage | None = None, config: RewriteConfig = CONFIG) -> tuple[Pair, list[Request]]:
    asked: list[Request] = []

    async def ask(request: Request) -> Response:
        asked.append(request)
        return Response((text,), ("stop",), "fp", 1, 1)

    (pair,) = asyncio.run(multiple_choice.write(one or passage(), config, ask))
    return pair, asked


def test_the_answer_is_the_letter_of_the_right_option_and_its_proof() -> None:
    pair, (asked,) = write(reply())
    assert pair.reason is None
    question, *options = pair.question.splitlines()
    assert question == QUESTION
    assert sorted(option[3:] for option in options) == sorted([CORRECT, *WRONG])
    assert [option[:3] for option in options] == ["A. ", "B. ", "C. ", "D. "]
    letter = dict(pair.checks)["key"]
    assert f"{letter}. {CORRECT}" in options
    assert letter in pair.answer.removesuffix(PROOF)
    assert pair.answer.endswith(PROOF)
    assert [GOUT[start:end] for start, end in pair.support] == [PROOF]
    assert asked.parameters["response_format"]["json_schema"]["schema"] == multiple_choice.SCHEMA


def test_a_chinese_question_has_chinese_options() -> None:
    text = reply(
        "哪些患者一般需要长期服药？",
        "血压在140/90 mmHg以上的患者",
        ("体温偏低的患者", "视力下降的患者", "睡眠很好的患者"),
        (3,),
    )
    pair, _ = write(text, passage(GAOXUEYA, lang="zh-Hans", title="高血压"))
    assert (pair.reason, pair.lang) == (None, "zh-Hans")
    assert pair.answer.endswith(GAOXUEYA[GAOXUEYA.index("血压在") :])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (reply(correct="Below 300 micromol/L"), "unsupported_key"),
        (reply(correct="It raises serum urate"), "unsupported_key"),
        (reply(sentences=(1,)), "unsupported_key"),
        (reply(wrong=("Below 360 micromol/L", *WRONG[1:])), "same_options"),
        (reply("What does allopurinol lower?", "Serum urate", ("Urate, serum", "Calcium", "Iron")), "same_options"),
        (reply("What prevents attacks of gout?", "Allopurinol", ("Colchicine", "Iron", "Zinc")), "supported_option"),
        (reply(wrong=("All of the above", *WRONG[1:])), "not_standalone"),
        (reply("What does allopurinol not lower?"), "negative_question"),
        (reply("Does allopurinol lower urate below 360 micromol/L?"), "copied_answer"),
        (reply(sentences=(7,)), "no_such_sentence"),
        (reply(wrong=WRONG[:2]), "unreadable"),
        ("The answer is B.", "unreadable"),
        (reply("Which of the levels does the passage name for urate?"), "leak"),
        (reply("To which level does febuxostat lower serum urate?"), "foreign_drug"),
        (
            reply(correct="Allopurinol lowers serum urate below 360 micromol/L", wrong=("No", "One", "Two")),
            "key_stands_out",
        ),
    ],
)
def test_a_question_that_is_none_has_its_reason(text: str, reason: str) -> None:
    pair, _ = write(text)
    assert pair.reason == reason


def test_the_same_amount_in_other_units_is_the_same_option() -> None:
    assert multiple_choice.same("0.5 g", "500 mg")
    assert multiple_choice.same("Iron and zinc", "zinc and iron")
    assert not multiple_choice.same("12 mg", "21 mg")


def test_a_number_is_not_said_by_a_longer_one() -> None:
    assert multiple_choice.says("Give 10 mg a day.", "10 mg", "en")
    assert not multiple_choice.says("Give 110 mg a day.", "10 mg", "en")


@given(st.floats(0, 1, exclude_max=True))
def test_the_options_are_the_same_wherever_the_right_one_is_put(draw: float) -> None:
    options, right = multiple_choice.place("yes", ["a", "b", "c"], draw)
    assert options[right] == "yes"
    assert [option for option in options if option != "yes"] == ["a", "b", "c"]


def test_every_letter_is_right_as_often_and_in_every_form_of_answer() -> None:
    one, pairs = passage(), []
    for number in range(200):
        pairs.append(write(reply(), replace(one, id=str(number)))[0])
    letters = Counter(dict(pair.checks)["key"] for pair in pairs)
    assert set(letters) == set("ABCD")
    assert max(letters.values()) - min(letters.values()) < 5 * (200 * 3 / 16) ** 0.5  # five standard deviations
    forms = Counter((dict(pair.checks)["key"], pair.answer.split(PROOF)[0].replace(CORRECT, "")) for pair in pairs)
    assert len(forms) == 4 * len(multiple_choice.ANSWERS["en"])


def test_classical_texts_and_other_languages_are_not_for_it() -> None:
    assert multiple_choice.applies(passage(), CONFIG)
    assert not multiple_choice.applies(passage(GAOXUEYA, lang="lzh"), CONFIG)
    assert not multiple_choice.applies(passage(lang="und"), CONFIG)
    assert not multiple_choice.applies(passage(), CONFIG.model_copy(update={"model_languages": ("zh",)}))


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_examples_that_a_model_sees_pass(language: str) -> None:
    subject, sentences, given_reply = multiple_choice.EXAMPLES[language]
    lang = {"zh": "zh-Hans", "en": "en"}[language]
    text = ("" if language == "zh" else " ").join(sentences)
    pair, _ = write(json.dumps(given_reply, ensure_ascii=False), passage(text, lang=lang, title=subject, heading=""))
    assert (pair.reason, checks.leak(pair.question)) == (None, None)
