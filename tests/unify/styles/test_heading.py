"""Headings: questions without a model that read naturally and vary, answers that are the passage."""

import asyncio
from collections import Counter

import pytest

from tests.unify.passages import GAOXUEYA, passage
from unify.pair import Pair, Passage
from unify.request import Request, Response, RewriteConfig
from unify.styles import heading

CONFIG = RewriteConfig()


async def no_model(_: Request) -> Response:
    raise AssertionError("the style asks no model")


def write(one: Passage) -> Pair:
    (pair,) = asyncio.run(heading.write(one, CONFIG, no_model))
    return pair


@pytest.mark.parametrize(
    ("title", "written", "kind", "expected"),
    [
        ("骨质疏松症", "病因", "encyclopedia", ("cause", "骨质疏松症", "病因")),
        ("痛风：急性发作与长期降尿酸", "痛风的长期治疗", "web", ("treatment", "痛风", "长期治疗")),
        ("缺铁性贫血：从病因到补铁", "缺铁性贫血的表现与检查", "web", ("aspect", "缺铁性贫血", "表现与检查")),
        ("高血压：长期管理", "什么是高血压", "web", ("asked", "高血压", "什么是高血压")),
        ("《家庭护理常识》", "第一节 预防压疮", "books", ("topic", "预防压疮", "")),
        ("《家庭护理常识》", "", "books", ("book", "家庭护理常识", "")),
        ("手卫生与医院感染预防：要点综述", "", "literature", ("topic", "手卫生与医院感染预防", "")),
        ("戒烟药物的选择：简要综述", "背景", "literature", ("background", "戒烟药物的选择", "")),
        (None, "三、痛风", "web", ("topic", "痛风", "")),
        ("悬索桥", "结构", "encyclopedia", ("aspect", "悬索桥", "结构")),
    ],
)
def test_title_and_heading_are_read(title: str | None, written: str, kind: str, expected: tuple[str, str, str]) -> None:
    assert heading.subject_of(passage(GAOXUEYA, lang="zh-Hans", title=title, heading=written, kind=kind)) == expected


@pytest.mark.parametrize(
    ("title", "written", "expected"),
    [
        ("Gout", "Treatment options", ("treatment", "gout", "treatment options")),
        ("Gout", "What happens in gout?", ("asked", "gout", "What happens in gout")),
        ("Gout", "", ("topic", "gout", "")),
        ("DNA repair", "Causes", ("cause", "DNA repair", "causes")),
    ],
)
def test_english_names_are_written_as_in_a_sentence(title: str, written: str, expected: tuple[str, str, str]) -> None:
    assert (
        heading.subject_of(passage("Here gout and DNA repair are told of.", title=title, heading=written)) == expected
    )


@pytest.mark.parametrize("language", ["zh", "en"])
def test_no_template_runs_through_a_corpus(language: str) -> None:
    headings = {
        "zh": ["病因", "诊断", "治疗", "结构", ""],
        "en": ["Causes", "Diagnosis", "Treatment", "Structure", ""],
    }[language]
    lang = {"zh": "zh-Hans", "en": "en"}[language]
    used = Counter(
        dict(write(passage(f"{number} {GAOXUEYA}", lang=lang, title="高血压", heading=name)).checks)["template"]
        for number in range(60)
        for name in headings
    )
    assert max(used.values()) <= 0.2 * used.total()
    assert min(len(templates) for kind, templates in heading.TEMPLATES[language].items()) >= 4
    assert min(len(heading.TEMPLATES[language][kind]) for kind in ("aspect", "topic")) >= 8


def test_the_answer_is_the_whole_passage() -> None:
    pair = write(passage(GAOXUEYA + "\n", lang="zh-Hans", title="高血压", heading="治疗"))
    assert (pair.answer, pair.support) == (GAOXUEYA, ((0, len(GAOXUEYA)),))
    assert "高血压" in pair.question
    assert pair.made_by[0].model == "none"


def test_a_passage_without_title_and_heading_is_not_for_it() -> None:
    assert not heading.applies(passage(title=None, heading=""), CONFIG)
    assert heading.applies(passage(title=None, heading="Gout"), CONFIG)
    assert not heading.applies(passage(lang="und"), CONFIG)
