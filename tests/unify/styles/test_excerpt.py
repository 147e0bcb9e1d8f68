"""Excerpts by the model: it points at sentences, and what a program makes of that is the passage's own words."""

import asyncio
import json
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sentences import split_sentences
from tests.unify.passages import GAOXUEYA, GOUT, passage
from unify import quoting
from unify.pair import Pair, Passage
from unify.request import Request, Response, RewriteConfig
from unify.styles import excerpt

CONFIG = RewriteConfig(tries=1, repairs=0, sentences_per_pair=2, min_answer_chars=20)
QUESTION = "What does allopurinol do for people with gout?"
LOW_DOSE, ALLOPURINOL = GOUT.index("Low-dose"), GOUT.index("Allopurinol")


def reply(question: str, *answer: int | str) -> str:
    return json.dumps({"question": question, "answer": list(answer)}, ensure_ascii=False)


def write(
    replies: Sequence[str], one: Passage, config: RewriteConfig = CONFIG, finish_reason: str = "stop"
) -> tuple[list[Pair], list[Request]]:
    asked: list[Request] = []

    async def ask(request: Request) -> Response:
        asked.append(request)
        return Response((replies[len(asked) - 1],), (finish_reason,), "fp", 1, 1)

    return asyncio.run(excerpt.write(one, config, ask)), asked


def test_the_sentences_that_the_model_points_at_are_the_answer() -> None:
    config = CONFIG.model_copy(update={"max_pairs_per_passage": 1})
    (pair,), (asked,) = write([reply(QUESTION, 4)], passage(), config)
    assert (pair.reason, pair.question, pair.answer) == (None, QUESTION, GOUT[ALLOPURINOL:])
    assert pair.support == ((ALLOPURINOL, len(GOUT)),)
    assert dict(pair.checks)["quoted"] == "1.00"
    assert "[4] Allopurinol lowers" in asked.messages[-1]["content"]
    assert asked.parameters["response_format"]["json_schema"]["schema"] == excerpt.SCHEMA["en"]


def test_sentences_come_in_the_order_of_the_text_with_connecting_words_before_their_own() -> None:
    config = CONFIG.model_copy(update={"max_pairs_per_passage": 1})
    question = "Which gout is treated with allopurinol, and what is gout?"
    (pair,), _ = write([reply(question, 4, "However,", 1, 4)], passage(), config)
    assert pair.answer == f"{GOUT.split('. ')[0]}. {GOUT[ALLOPURINOL:]}"  # nothing connects the first with anything
    (pair,), _ = write([reply(question, 1, "However,", 4)], passage(), config)
    assert pair.answer == f"{GOUT.split('. ')[0]}. However, {GOUT[ALLOPURINOL:]}"
    assert float(dict(pair.checks)["quoted"]) > 0.9


def test_a_sentence_that_points_back_comes_with_the_one_it_points_at() -> None:
    config = CONFIG.model_copy(update={"max_pairs_per_passage": 1})
    (pair,), _ = write([reply("When does an attack of gout often begin?", 2)], passage(), config)
    assert pair.answer == GOUT[: LOW_DOSE - 1]
    assert len(pair.support) == 2


def test_chinese_stays_chinese_and_english_english() -> None:
    config = CONFIG.model_copy(update={"max_pairs_per_passage": 1})
    text = reply("高血压患者有哪些常用的降压药物，什么时候需要长期服药？", 2, "此外，", 3)
    (pair,), (asked,) = write([text], passage(GAOXUEYA, lang="zh-Hans", title="高血压"), config)
    assert (pair.reason, pair.lang) == (None, "zh-Hans")
    assert pair.answer == GAOXUEYA[GAOXUEYA.index("常用") :].replace("血压在", "此外，血压在")
    assert "此外，" in str(asked.parameters["response_format"])
    english = config.model_copy(update={"target_lang": "zh-Hans"})
    (pair,), _ = write([reply("别嘌醇在痛风治疗中有什么作用？", 4)], passage(), english)
    assert (pair.lang, pair.reason) == ("en", "wrong_language")


@pytest.mark.parametrize(
    ("text", "finish_reason", "reason"),
    [
        (reply(QUESTION, 9), "stop", "no_such_sentence"),
        (reply(QUESTION), "stop", "no_such_sentence"),
        (reply(QUESTION, "However,"), "stop", "no_such_sentence"),
        ("Sentence 4, I think.", "stop", "unreadable"),
        (reply(QUESTION, 4), "length", "cut_off"),
        (reply("What does the passage say about allopurinol?", 4), "stop", "leak"),
        (reply("Allopurinol", 4), "stop", "not_a_question"),
    ],
)
def test_a_reply_that_makes_no_pair_has_its_reason(text: str, finish_reason: str, reason: str) -> None:
    config = CONFIG.model_copy(update={"max_pairs_per_passage": 1})
    (pair,), _ = write([text], passage(), config, finish_reason)
    assert pair.reason == reason


def test_the_next_question_knows_what_was_asked_and_what_was_left_out() -> None:
    replies = [
        reply(QUESTION, 4),
        reply("What causes gout, and when does it begin?", 1, 2),
        reply("What relieves an acute attack of gout?", 3),
    ]
    config = CONFIG.model_copy(update={"sentences_per_pair": 1})
    pairs, asked = write(replies, passage(), config)
    assert [pair.reason for pair in pairs] == [None] * 3  # a fourth has nothing left to ask for
    last = [request.messages[-1]["content"] for request in asked]
    assert QUESTION not in last[0]
    assert f"- {QUESTION}" in last[1]
    assert "sentences 1, 3." in last[1]
    assert "sentences 3." in last[2]
    passage_end = last[0].index(excerpt.TASK["en"])
    assert last[0][:passage_end] == last[1][:passage_end]  # a prefix that the server has in its cache
    assert asked[0].messages[:-1] == asked[1].messages[:-1]


def test_asking_the_same_again_is_rejected() -> None:
    config = CONFIG.model_copy(update={"max_pairs_per_passage": 2, "sentences_per_pair": 1})
    pairs, _ = write([reply(QUESTION, 4), reply(QUESTION, 3)], passage(), config)
    assert [pair.reason for pair in pairs] == [None, "asked_before"]


SENTENCES = st.sampled_from(["Gout is painful.", "It hurts.", "These need care.", "Colchicine helps.", "Rest is good."])
ITEMS = st.lists(st.integers(1, 5) | st.sampled_from(excerpt.CONNECTING["en"]), min_size=1, max_size=9)


@given(st.lists(SENTENCES, min_size=5, max_size=5), st.sampled_from([" ", "\n"]), ITEMS)
def test_without_connecting_words_an_answer_is_nothing_but_the_spans(
    sentences: list[str], between: str, items: list[int | str]
) -> None:
    one = passage(between.join(sentences))
    spans = split_sentences(one.text, "en")
    quoted = quoting.assemble("?", items, one, spans)
    bare = quoted.answer
    for words in excerpt.CONNECTING["en"]:
        bare = bare.replace(f"{words} ", "")
    assert bare.split() == " ".join(one.text[slice(*span)] for span in quoted.spans).split()
    assert set(quoted.spans) >= {spans[item - 1] for item in items if isinstance(item, int)}
    assert all(first < second for first, second in pairwise(quoted.spans))
    for index, span in enumerate(quoted.spans):  # what points back follows what it points at
        points_back = one.text[slice(*span)].startswith(("It", "These")) and span != spans[0]
        assert not points_back or quoted.spans[index - 1] == spans[spans.index(span) - 1]
