"""The two steps: a question, then an answer to it, each checked, tried again, and made behind the same prefix."""

import asyncio

from tests.unify.passages import GAOXUEYA, GOUT, passage
from unify.pair import Pair, Passage
from unify.request import Request, Response, RewriteConfig
from unify.styles import huatuo2

CONFIG = RewriteConfig(candidates=2, tries=2, repairs=0, max_pairs_per_passage=1)
QUESTION = "How does allopurinol help people with gout?"
ANSWER = "Allopurinol lowers serum urate below 360 micromol/L and so prevents further attacks of gout."


def write(texts: list[tuple[str, ...]], one: Passage, config: RewriteConfig = CONFIG) -> tuple[Pair, list[Request]]:
    asked: list[Request] = []

    async def ask(request: Request) -> Response:
        asked.append(request)
        given = texts[len(asked) - 1]
        return Response(given, ("stop",) * len(given), "fp", 1, 1)

    (pair,) = asyncio.run(huatuo2.write(one, config, ask))
    return pair, asked


def test_a_question_then_an_answer_make_a_pair() -> None:
    pair, _ = write([(QUESTION,), (ANSWER,)], passage())
    assert (pair.question, pair.answer, pair.reason) == (QUESTION, ANSWER, None)
    assert [made.step for made in pair.made_by] == ["question", "answer"]
    assert [GOUT[start:end] for start, end in pair.support] == [GOUT[GOUT.index("Allopurinol") :]]


def test_the_second_request_continues_the_first() -> None:
    _, (first, second) = write([(QUESTION,), (ANSWER,)], passage())
    assert second.messages[: len(first.messages)] == first.messages
    assert [message["content"] for message in second.messages[len(first.messages) :]] == [QUESTION, "Write the answer."]


def test_candidates_are_tried_in_order_and_a_second_round_is_another_request() -> None:
    pair, asked = write([("No question", "Nor this"), ("Bad", QUESTION), ("It is so.", ANSWER)], passage())
    assert (pair.question, pair.answer, pair.reason) == (QUESTION, ANSWER, None)
    assert [request.attempt for request in asked] == [0, 1, 0]
    assert asked[0].parameters["seed"] != asked[1].parameters["seed"]


def test_an_answer_with_a_number_of_its_own_is_rejected_and_kept() -> None:
    wrong = "Allopurinol lowers serum urate below 250 micromol/L and prevents attacks of gout."
    pair, _ = write([(QUESTION,), (wrong,), (wrong,)], passage())
    assert (pair.reason, pair.detail, pair.answer) == ("ungrounded_number", "answer: 250 micromol/L", wrong)


def test_thinking_is_stripped_or_a_reason() -> None:
    pair, _ = write([(f"<think>hm</think>{QUESTION}",), (f"reasoning\n</think>\n{ANSWER}",)], passage())
    assert (pair.question, pair.answer, pair.reason) == (QUESTION, ANSWER, None)
    pair, _ = write([("<think>it never ends",)] * 2, passage())
    assert pair.reason == "thinking_left_in"


def test_english_passages_can_become_chinese_pairs() -> None:
    config = CONFIG.model_copy(update={"target_lang": "zh-Hans"})
    answer = "别嘌醇可以把血尿酸降到360 micromol/L以下，从而预防痛风再次发作，适合需要长期降尿酸的患者服用。"
    pair, asked = write([("别嘌醇在痛风治疗中有什么作用？",), (answer,)], passage(), config)
    assert (pair.reason, pair.lang) == (None, "zh-Hans")
    assert "中文" in asked[0].messages[0]["content"]


def test_it_needs_the_target_language_only() -> None:
    english = CONFIG.model_copy(update={"model_languages": ("en",)})
    assert huatuo2.applies(passage(), english)
    assert not huatuo2.applies(passage(GAOXUEYA, lang="zh-Hans"), english)
    assert huatuo2.applies(passage(GAOXUEYA, lang="zh-Hans"), english.model_copy(update={"target_lang": "en"}))


def test_the_next_pair_knows_the_question_before_it_and_what_that_left_out() -> None:
    asked: list[Request] = []
    texts = [
        QUESTION,
        ANSWER,
        "What relieves an acute attack of gout?",
        "Low-dose colchicine relieves an acute attack.",
    ]

    async def ask(request: Request) -> Response:
        asked.append(request)
        return Response((texts[len(asked) - 1],), ("stop",), "fp", 1, 1)

    config = CONFIG.model_copy(update={"max_pairs_per_passage": 2, "sentences_per_pair": 2})
    pairs = asyncio.run(huatuo2.write(passage(), config, ask))
    assert [pair.reason for pair in pairs] == [None, None]
    first, then = asked[0].messages[-1]["content"], asked[2].messages[-1]["content"]
    assert f"- {QUESTION}" in then
    assert then[then.index("Not yet asked") :].count("Low-dose colchicine relieves") == 1
    assert "Allopurinol lowers" not in then[then.index("Not yet asked") :]
    end = first.index(huatuo2.TASK["en"])
    assert first[:end] == then[:end]  # one prefix for all requests of a passage


def test_a_repaired_answer_says_so() -> None:
    config = CONFIG.model_copy(update={"tries": 1, "repairs": 1})
    wrong = "Allopurinol lowers serum urate below 250 micromol/L and prevents attacks of gout."
    pair, asked = write([(QUESTION,), (wrong,), (ANSWER,)], passage(), config)
    assert (pair.reason, pair.answer) == (None, ANSWER)
    assert [made.step for made in pair.made_by] == ["question", "answer", "answer_repair"]
    assert ("answer_repair", "passed") in pair.checks
    assert "250" in asked[2].messages[-1]["content"]
