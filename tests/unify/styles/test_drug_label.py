"""Labels: fields found by their names, asked for by the drug's, and answered word for word."""

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unify.passages import GAOXUEYA, passage
from unify import checks
from unify.pair import Pair, Passage
from unify.request import Request, Response, RewriteConfig
from unify.styles import drug_label

CONFIG = RewriteConfig()
LABEL = (
    "红花安神胶囊说明书\n\n【药品名称】\n通用名称：红花安神胶囊\n【成份】本品主要成份为红花。\n"
    "【适应症】\n本品用于入睡困难。\n【用法与用量】口服。一次2粒，一日1次（见【注意事项】）。服用超过7日应当就医。\n"
    "【禁忌】孕妇禁用。\n【批准文号】国药准字Z00000000\n【药物过量】尚不明确。\n【儿童用药】参照【用法与用量】减量。"
)
TABLETS = (
    "4 CONTRAINDICATIONS\n\nSomnol tablets are contraindicated in severe hepatic impairment [see Warnings and "
    "Precautions (5.1)], and in children.\n\n8 USE IN SPECIFIC POPULATIONS\n\n8.1 Pregnancy\n\n"
    "There are no data on pregnant women.\n\n8.2 Lactation\n\nThis drug passes into milk.\n\n"
    "How often it does is not known.\n\n14 CLINICAL STUDIES\n\nOne was made."
)


async def no_model(_: Request) -> Response:
    raise AssertionError("the style asks no model")


def write(one: Passage) -> dict[str, Pair]:
    """Write the pairs of a passage, by field."""
    assert drug_label.applies(one, CONFIG)
    return {dict(pair.checks)["field"]: pair for pair in asyncio.run(drug_label.write(one, CONFIG, no_model))}


def test_each_field_of_a_chinese_label_is_a_pair() -> None:
    pairs = write(passage(LABEL, lang="zh-Hans", title=None, heading=""))
    assert list(pairs) == ["indication", "dosage", "contraindication", "overdose", "children"]
    assert all("红花安神胶囊" in pair.question for pair in pairs.values())
    assert pairs["indication"].answer == "红花安神胶囊的适应症：红花安神胶囊用于入睡困难。"
    assert pairs["dosage"].answer.endswith("口服。一次2粒，一日1次。服用超过7日应当就医。")
    assert pairs["contraindication"].answer == "红花安神胶囊的禁忌：孕妇禁用。"  # and nothing of 批准文号
    reasons = {kind: pair.reason for kind, pair in pairs.items() if pair.reason}
    assert reasons == {"overdose": "says_nothing", "children": "not_standalone"}


def test_each_field_of_an_english_label_is_a_pair() -> None:
    pairs = write(passage(TABLETS, title="Somnol Tablets [Some Maker]", heading=""))
    assert list(pairs) == ["contraindication", "pregnancy"]
    assert pairs["contraindication"].answer.endswith("contraindicated in severe hepatic impairment, and in children.")
    assert pairs["pregnancy"].answer.splitlines() == [
        "There are no data on pregnant women.",
        "Somnol Tablets passes into milk.",
        "",
        "How often it does is not known.",
    ]
    assert [pair.reason for pair in pairs.values()] == [None, None]
    assert "Somnol Tablets" in pairs["pregnancy"].question


def test_a_field_that_is_the_passages_heading_is_asked_for() -> None:
    (pair,) = write(passage(GAOXUEYA, lang="zh-Hans", title="安压片", heading="三、不良反应")).values()
    assert (pair.answer, pair.support) == (GAOXUEYA, ((0, len(GAOXUEYA)),))


@pytest.mark.parametrize(
    ("lang", "title", "text", "drug"),
    [
        ("zh-Hans", "安压片说明书", "【禁忌】孕妇禁用。", "安压片"),
        ("zh-Hans", "安压片", "【禁忌】孕妇禁用。", "安压片"),
        ("zh-Hans", "安压灵", "【药物过量】可见血压过低。", "安压灵"),
        ("zh-Hans", "怎样读懂药品说明书", "【禁忌】写明哪些人不能用药。", ""),
        ("zh-Hans", "针灸", "【禁忌】皮肤破溃处禁用。", ""),
        ("zh-Hans", None, "【禁忌】孕妇禁用。", ""),
        ("en", "Somnol: Prescribing Information", "Overdosage\n\nDrowsiness.", "Somnol"),
        ("en", "SOMNOL tablet", "Contraindications: asthma.", "SOMNOL tablet"),
        ("en", "Metformin", "Contraindications: acidosis.", "Metformin"),
        ("en", "Sleep", "Warnings: none.", ""),
    ],
)
def test_a_drug_is_known_by_its_label_or_not_at_all(lang: str, title: str | None, text: str, drug: str) -> None:
    one = passage(text, lang=lang, title=title, heading="")
    assert drug_label.fields_of(one)
    assert drug_label.drug_of(one) == drug
    assert drug_label.applies(one, CONFIG) == bool(drug)


def test_a_passage_without_a_field_is_not_for_it() -> None:
    assert not drug_label.applies(passage(GAOXUEYA, lang="zh-Hans", title="安压片", heading="治疗"), CONFIG)
    assert not drug_label.applies(passage(title="Somnol tablets", heading="Treatment"), CONFIG)


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_field_has_templates_that_name_the_drug_and_vary(language: str) -> None:
    assert set(drug_label.TEMPLATES[language]) == set(drug_label.FIELDS[language])
    for templates in drug_label.TEMPLATES[language].values():
        assert len(set(templates)) >= 6
        for template in templates:
            question = template.format(d="安压片" if language == "zh" else "somnol tablets")
            assert "安压片" in question or "somnol" in question
            assert checks.pointing(question) is None
            assert checks.not_standalone(question) is None
    one = passage(LABEL, lang="zh-Hans", title=None, heading="")
    used = {write(replace(one, id=str(number)))["contraindication"].question for number in range(60)}
    assert len(used) == 6


FIELDS = st.lists(
    st.tuples(
        st.sampled_from(["适应症", "用法用量", "禁忌", "不良反应", "规格", "注意事项"]),
        st.text("甲乙丙。\n ", min_size=1),
    ),
    min_size=1,
)


@given(FIELDS)
def test_answers_are_the_words_of_their_spans(fields: list[tuple[str, str]]) -> None:
    text = "通用名称：安压片\n" + "\n".join(f"【{name}】{body}" for name, body in fields)
    one = passage(text, lang="zh-Hans", title=None, heading="")
    for pair in asyncio.run(drug_label.write(one, CONFIG, no_model)):
        quoted = "".join(text[start:end] for start, end in pair.support)
        assert pair.answer.replace("\n", "").endswith(quoted.replace("\n", ""))
        assert "【" not in quoted
