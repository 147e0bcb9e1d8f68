"""Classical texts: asked for by work and topic, answered with the work's own words, measures as they stand."""

import asyncio
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unify.passages import GAOXUEYA, passage
from unify import checks
from unify.pair import Pair, Passage
from unify.request import Request, Response, RewriteConfig
from unify.styles import classical

CONFIG = RewriteConfig()
# Written for this test in the manner of such books.
COLD = "凡病起于寒者，先恶风而后发热，脉浮而缓，其人鼻鸣头痛。医者当先温其中，次和其表，不可妄下。"
FORMULAS = (
    "凡腹冷而痛者，宜温之，不可骤用寒凉。\n\n暖中汤 治腹冷久痛。\n\n干姜（三两） 大枣（十二枚） 甘草（二两）\n\n"
    "上三味，以水五升，煮取二升，分温再服。\n\n清口散（新订） 治口臭齿痛。\n\n薄荷叶 青盐（各一钱） 上为末，擦齿。"
)


async def no_model(_: Request) -> Response:
    raise AssertionError("the style asks no model")


def book(text: str, *headings: str, title: str | None = "暖中集") -> Passage:
    return replace(passage(text, lang="lzh", title=title, kind="books"), headings=list(headings))


def write(one: Passage) -> list[Pair]:
    assert classical.applies(one, CONFIG)
    return asyncio.run(classical.write(one, CONFIG, no_model))


def test_a_topic_is_asked_for_by_its_work_and_answered_in_its_words() -> None:
    (pair,) = write(book(COLD, "暖中集", "卷之二\\寒门", "寒病论第三"))
    assert (pair.reason, dict(pair.checks)["topic"]) == (None, "寒病")
    assert "《暖中集》" in pair.question
    assert "寒病" in pair.question
    assert pair.answer.endswith(COLD)
    assert pair.answer.startswith(("《暖中集》", "据《暖中集》"))
    assert [COLD[start:end] for start, end in pair.support] == [COLD]


def test_each_formula_in_a_passage_is_a_pair() -> None:
    pairs = write(book(FORMULAS, "暖中集", "腹痛论"))
    assert [dict(pair.checks)["topic"] for pair in pairs] == ["腹痛", "暖中汤", "清口散"]
    assert [pair.reason for pair in pairs] == [None] * 3
    assert "干姜（三两）" in pairs[1].answer
    assert "薄荷叶" not in pairs[1].answer
    assert all("《暖中集》" in pair.question for pair in pairs)


def test_amounts_stand_as_they_are_and_are_said_to_be_old() -> None:
    pairs = write(book(FORMULAS, "暖中集", "腹痛论"))
    assert pairs[1].answer.endswith(classical.MEASURES)
    assert "以水五升" in pairs[1].answer
    assert not any(unit in pairs[1].answer for unit in ("克", "毫升", "g", "ml"))
    assert not pairs[0].answer.endswith(classical.MEASURES)


@pytest.mark.parametrize(
    ("headings", "topic"),
    [
        (["暖中集", "卷之一", "痘疹门", "治方"], "痘疹门的治方"),
        (["暖中集", "卷十五\\妊娠下痢方论第二"], "妊娠下痢"),
        (["暖中集", "第八十六证·多眠歌"], "多眠"),
        (["暖中集", "四十三、倾仆"], "倾仆"),
        (["暖中集", "香砂枳术丸（五十八）"], "香砂枳术丸"),
        (["暖中集", "桂枝葛根证四（阳明十六）"], "桂枝葛根证"),
        (["暖中集", "自序"], ""),
        (["暖中集", "卷之三"], ""),
        (["暖中集", "治方"], ""),
        (["暖中集"], ""),
    ],
)
def test_a_topic_is_the_innermost_heading_that_names_one(headings: list[str], topic: str) -> None:
    assert classical.topic_of(headings, "暖中集") == topic


@pytest.mark.parametrize(
    ("title", "work"),
    [
        ("暖中集", "暖中集"),
        ("《暖中集》卷三", "暖中集"),
        ("暖中集 - 在线阅读", "暖中集"),
        ("Warm Medicine", ""),
        (None, ""),
    ],
)
def test_a_work_is_named_or_not_asked_for(title: str | None, work: str) -> None:
    one = book(COLD, "寒病", title=title)
    assert classical.work_of(one) == work
    assert classical.applies(one, CONFIG) == bool(work)


def test_only_classical_chinese_is_asked_for_as_history() -> None:
    assert not classical.applies(passage(GAOXUEYA, lang="zh-Hans", title="高血压指南", heading="治疗"), CONFIG)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("上六味，以水五升，煮取二升，分温再服，忌生冷油腻。", "not_standalone"),
        ("又方治久痛不止者，用干姜、甘草，煎汤频服之。", "not_standalone"),
        ("凡腹冷久痛者，宜暖中汤加减，其方见本卷寒门之下。", "not_standalone"),
        ("炒，各二两）干姜、甘草（炙）以水五升，煮取二升。", "cut_off"),
        ("暖中汤 治腹冷久痛。\n\n干姜（三两） 甘草（二两） 大枣", "cut_off"),
        ("宜温之。", "too_short"),
    ],
)
def test_a_piece_that_makes_no_sense_alone_is_rejected(text: str, reason: str) -> None:
    assert [pair.reason for pair in write(book(text, "暖中集", "腹痛论"))] == [reason]


def test_a_case_is_asked_for_as_one() -> None:
    (pair,) = write(book(COLD, "卷一", "李翁恶风发热", title="暖中医案"))
    assert "“李翁恶风发热”" in pair.question


def test_templates_name_the_work_and_vary() -> None:
    for kind, templates in classical.TEMPLATES.items():
        assert len(set(templates)) >= 6
        for template in templates:
            assert "《{w}》" in template
            assert "{t}" in template
            assert checks.pointing(template) is None
        assert all("{w}" in lead for lead in classical.LEADS[kind])
    one = book(COLD, "寒病")
    assert len({write(replace(one, id=str(number)))[0].question for number in range(60)}) == 8


@given(
    st.lists(
        st.sampled_from([COLD, "暖中汤 治腹痛。", "卷七\\藤部", "松萝", "甘平。", "清口散", "", "上三味。"]), min_size=1
    )
)
def test_quotations_lie_in_the_passage_in_order_and_apart(lines: list[str]) -> None:
    one = book("\n".join(lines), "暖中集", "寒病论")
    spans = [quotation.span for quotation in classical.quotations_of(one)]
    assert spans == sorted(spans)
    assert all(first[1] <= then[0] for first, then in pairwise(spans))
    for pair in asyncio.run(classical.write(one, CONFIG, no_model)):
        ((start, end),) = pair.support
        assert one.text[start:end] in pair.answer
