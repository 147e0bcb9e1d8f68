"""Translations: whole sentences and what the model made of them, held to numbers, length and language."""

import asyncio
from itertools import pairwise

import pytest

from tests.unify.passages import GAOXUEYA, GOUT, passage
from unify.pair import Pair, Passage, example_of
from unify.request import Request, Response, RewriteConfig
from unify.styles import translation

CONFIG = RewriteConfig(tries=1, repairs=0)
ENGLISH = (
    "The basic treatment of hypertension is a better way of life: less salt, weight control and regular exercise. "
    "Common drugs that lower blood pressure are diuretics, calcium channel blockers and ACE inhibitors. "
    "Patients whose blood pressure is above 140/90 mmHg usually need drugs for a long time."
)


def write(answer: str, one: Passage) -> tuple[list[Pair], list[Request]]:
    asked: list[Request] = []

    async def ask(request: Request) -> Response:
        asked.append(request)
        return Response((answer,), ("stop",), "fp", 1, 1)

    return asyncio.run(translation.write(one, CONFIG, ask)), asked


def test_sentences_and_their_translation_are_a_pair_in_the_other_language() -> None:
    one = passage(GAOXUEYA, lang="zh-Hans", title="高血压")
    (pair,), (asked,) = write(ENGLISH, one)
    assert (pair.reason, pair.lang, pair.answer, pair.support) == (None, "en", ENGLISH, ((0, len(GAOXUEYA)),))
    assert GAOXUEYA in pair.question
    assert GAOXUEYA in asked.messages[-1]["content"]
    assert {"name": "from_lang", "value": "zh-Hans"} in example_of(one, pair)["checks"]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (ENGLISH.replace("140/90", "160/90"), "ungrounded_number"),
        (ENGLISH.replace("above 140/90 mmHg", "high"), "lost_number"),
        (ENGLISH[:40] + ".", "wrong_length"),
        (GAOXUEYA, "wrong_language"),
        (ENGLISH[:-1] + " and", "cut_off"),
    ],
)
def test_what_is_no_translation_has_its_reason(answer: str, reason: str) -> None:
    (pair,), _ = write(answer, passage(GAOXUEYA, lang="zh-Hans"))
    assert pair.reason == reason


def test_it_needs_both_languages_and_leaves_classical_texts_alone() -> None:
    assert translation.applies(passage(), CONFIG)
    assert not translation.applies(passage(), CONFIG.model_copy(update={"model_languages": ("en",)}))
    assert not translation.applies(passage(GAOXUEYA, lang="lzh"), CONFIG)
    assert not translation.applies(passage("Short.", lang="en"), CONFIG)


def test_runs_are_whole_sentences_no_longer_than_they_may_be() -> None:
    text = " ".join([GOUT] * 9) + " " + "long " * 300 + "sentence. " + GOUT
    runs = translation.runs_of(passage(text))
    assert len(runs) > 3
    for start, end in runs:
        assert translation.LEAST_CHARS["en"] <= end - start <= translation.MOST_CHARS["en"]
        assert text[end - 1] == "."
    assert all(first[1] <= second[0] for first, second in pairwise(runs))
    assert runs[-1][1] == len(text)
