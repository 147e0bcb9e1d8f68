"""Coverage: what the kept answers carry of a passage, and how long it is asked on."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.unify.passages import GAOXUEYA, GOUT, passage
from unify import coverage
from unify.pair import Made, Pair
from unify.request import RewriteConfig

MADE = (Made("question", "m@f", "p", "r"),)
SENTENCES = [f"{sentence.rstrip('.')}." for sentence in GOUT.split(". ")]
FIRST = Pair("huatuo2", "en", "What is gout?", SENTENCES[0], made_by=MADE)


def counts(*pairs: Pair, text: str = GOUT) -> dict[str, str]:
    (first, *rest) = coverage.with_coverage(passage(text), pairs)
    assert not any(name.endswith("_carried") for pair in rest for name, _ in pair.checks)
    return {name.removesuffix("_carried"): value for name, value in first.checks}


def test_sentences_numbers_and_names_that_a_kept_answer_carries_are_counted_once() -> None:
    assert counts(FIRST) == {"sentences": "1/3", "numbers": "0/1", "names": "0/0"}  # "It often begins" says too little
    everything = replace(FIRST, answer=GOUT)
    assert counts(FIRST, everything)["sentences"] == "3/3"
    assert counts(everything)["numbers"] == "1/1"


def test_rejected_pairs_carry_nothing() -> None:
    assert counts(replace(FIRST, reason="leak"))["sentences"] == "0/3"


def test_the_first_kept_pair_has_the_figures() -> None:
    pairs = coverage.with_coverage(passage(), [replace(FIRST, reason="leak"), FIRST, FIRST])
    assert [bool(pair.checks) for pair in pairs] == [False, True, False]


def test_names_are_what_is_written_alike_in_both_languages() -> None:
    text = "《高血压防治指南》推荐测定HbA1c和LDL，维生素B12缺乏者应补充。"
    assert coverage.untranslated_names(text) == {"《高血压防治指南》", "HbA1c", "LDL", "B12"}


def test_an_answer_rests_on_the_sentences_that_say_the_same() -> None:
    one = passage()
    answer = (
        "Attacks are prevented by allopurinol, which lowers serum urate. Colchicine relieves an acute attack of gout."
    )
    assert [GOUT[slice(*span)] for span in coverage.supporting(one, answer, "en")] == SENTENCES[2:]
    chinese = "别嘌醇可以把血尿酸降到360 micromol/L以下。"
    assert [GOUT[slice(*span)] for span in coverage.supporting(one, chinese, "zh-Hans")] == SENTENCES[3:]
    assert coverage.supporting(one, "Bridges hang from cables.", "en") == ()


def test_across_languages_a_sentence_is_carried_if_the_answer_rests_on_it() -> None:
    start = GOUT.index("Allopurinol")
    chinese = replace(FIRST, lang="zh-Hans", answer="别嘌醇可以把血尿酸降到360以下。", support=((start, len(GOUT)),))
    assert counts(chinese)["sentences"] == "1/3"


@pytest.mark.parametrize(("per_pair", "wanted"), [(1, 3), (2, 2), (4, 1)])
def test_a_passage_is_worth_as_many_pairs_as_it_says_things(per_pair: int, wanted: int) -> None:
    config = RewriteConfig(sentences_per_pair=per_pair)
    assert coverage.pairs_wanted(passage(), config) == wanted
    assert coverage.pairs_wanted(passage(f"{GOUT} {GOUT}"), config) == wanted  # said twice is said once
    assert coverage.pairs_wanted(passage(GAOXUEYA, lang="zh-Hans"), config) == wanted
    assert coverage.pairs_wanted(passage("Gout."), config) == 1


def asked_on(answers: Sequence[str | None], config: RewriteConfig) -> int:
    """Count the pairs asked for when the answers come as given; None is a rejected one."""

    async def write_next(pairs: Sequence[Pair]) -> Pair:
        answer = answers[len(pairs)]
        return replace(FIRST, answer=answer or "", reason=None if answer else "leak")

    return len(asyncio.run(coverage.pairs_until_covered(passage(), config, write_next)))


def test_a_passage_is_asked_on_until_enough_of_it_is_carried() -> None:
    once = RewriteConfig(sentences_per_pair=9, max_pairs_per_passage=3)
    most = once.model_copy(update={"min_coverage": 0.6})
    each = [SENTENCES[0], SENTENCES[2], SENTENCES[3]]
    assert asked_on(each, once) == 1
    assert asked_on(each, most) == 2
    assert asked_on([None, *each], most) == 3
    assert asked_on([None] * 5, most) == 3
    assert asked_on([GOUT, *each], once.model_copy(update={"sentences_per_pair": 1})) == 1  # nothing is left to ask


def test_a_prompt_that_the_server_does_not_take_is_not_made_longer() -> None:
    async def refused(pairs: Sequence[Pair]) -> Pair:
        return Pair("huatuo2", "en", "", "", reason="prompt_too_long")

    config = RewriteConfig(sentences_per_pair=1, max_pairs_per_passage=3)
    assert len(asyncio.run(coverage.pairs_until_covered(passage(), config, refused))) == 1
