"""Quantities of an answer are found in its passage however they are written, and not found where they are not."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sentences import split_sentences
from unify.checks.doses import wrong_dose
from unify.checks.frequencies import wrong_frequency
from unify.checks.grounding import ungrounded_number, wrong_unit

LABEL = (
    "成人口服，一次0.5g，一日3次，疗程3～5天。体重10kg以下者慎用。体温高于38.5℃时停药。血糖不低于7.0 mmol/L。"
    "白细胞计数低于4.0×109/L者禁用。有效率百分之八十五，共一百二十例。"
)
CLASSIC = "桂枝三两，芍药三两，甘草二两。上五味，以水七升，煮取三升，去滓，温服一升。"
ARTICLE = (
    "In 2019, 120 patients aged 18 to 65 years took 5, 10, or 20 mg of the drug. Fever of 38.5 °C lasted two weeks. "
    "Two thirds recovered; serum creatinine fell from 2.0 mg/dL. The share was 45.7%."
)
GROUNDED = [
    (LABEL, "成人每次500毫克，用3至5天。"),
    (LABEL, "Adults take 500 mg for 3-5 days."),
    (LABEL, "Treatment stops above 101.3°F."),
    (LABEL, "血糖应在126 mg/dL以上。"),
    (LABEL, "Children under 22.0 lb need care."),
    (LABEL, "White cells under 4×10⁹/L, or 4000/μL, rule it out."),
    (LABEL, "120例患者中85%有效。"),
    (LABEL, "应注意两点：\n1. 体温；\n2. 血糖。"),
    (CLASSIC, "用桂枝三两，水七升。"),
    (CLASSIC, "桂枝3两，煮取3升。"),
    (ARTICLE, "2019年，一百二十名18～65岁的患者服用5毫克。"),
    (ARTICLE, "发热38.5℃，持续两周，三分之二痊愈。"),
    (ARTICLE, "Creatinine was 177 μmol/L."),
    (ARTICLE, "A share of 46% was reported in both of these two groups."),
    (ARTICLE, "The fever lasted for 14 days."),
]
UNGROUNDED = [
    (LABEL, "疗程9周。", "9周"),
    (LABEL, "一次0.05g。", "0.05g"),
    (LABEL, "共一百三十例。", "一百三十"),
    (LABEL, "The cure rate was 86%.", "86%"),
    (LABEL, "体温高于39.5℃时停药。", "39.5℃"),
    (LABEL, "Stop above 103 °F.", "103 °F"),
    (LABEL, "血糖应在140 mg/dL以上。", "140 mg/dL"),
    (CLASSIC, "桂枝9克。", "9克"),
    (CLASSIC, "桂枝45 g。", "45 g"),
    (ARTICLE, "In 2020, patients took 10 mg.", "2020"),
    (ARTICLE, "Three quarters recovered after 200 mg.", "200 mg"),
]
WRONG_UNIT = [
    (LABEL, "一次0.5mg。", "0.5mg"),
    (LABEL, "血糖7.0 mg/dL。", "7.0 mg/dL"),
    (LABEL, "体重10磅以下者慎用。", "10磅"),
    (CLASSIC, "桂枝三钱。", "三钱"),
    (CLASSIC, "桂枝3克。", "3克"),
    (CLASSIC, "煮取3 L。", "3 L"),
    (ARTICLE, "Fever lasted two months.", "two months"),
    (ARTICLE, "The patients took 20 g.", "20 g"),
]


@pytest.mark.parametrize(("passage", "answer"), GROUNDED)
def test_what_is_written_otherwise_is_grounded(passage: str, answer: str) -> None:
    assert ungrounded_number(answer, passage) is None
    assert wrong_unit(answer, passage) is None


@pytest.mark.parametrize(("passage", "answer", "evidence"), UNGROUNDED)
def test_a_number_that_the_passage_lacks_is_found(passage: str, answer: str, evidence: str) -> None:
    assert ungrounded_number(answer, passage) == evidence


@pytest.mark.parametrize(("passage", "answer", "evidence"), WRONG_UNIT)
def test_a_number_with_another_unit_is_found(passage: str, answer: str, evidence: str) -> None:
    assert ungrounded_number(answer, passage) is None
    assert wrong_unit(answer, passage) == evidence


def test_a_number_of_another_place_is_found_where_the_words_around_are_repeated() -> None:
    passage = "In the first group 45 patients were treated with surgery. In the second group 30 patients were not."
    assert ungrounded_number("In the first group 30 patients were treated with surgery.", passage) == "30"
    assert ungrounded_number("Altogether, 30 people had no operation.", passage) is None


ALIKE = [  # passage, an answer that says the same, one that does not, and what is found
    ("每日60～90mg，分次服。", "每日60-90毫克。", "每日60～60mg。", "60～60mg"),
    ("第2～3日出现黄疸，4～6日最重。", "第2至3天出现。", "第2～6日出现。", "2～6日"),
    ("疗程2～3天，1天后复查。", "用2~3天。", "用2～1天。", "2～1天"),
    ("信噪比为3∶1或2∶1。", "信噪比3:1。", "信噪比为3∶2。", "3∶2"),
    ("宽度为间距的1/4～1/3，共2处。", "宽度为间距的四分之一到三分之一。", "宽度为间距的1/4～2/3。", "1/4～2/3"),
    ("Give it for 24 hours–7 days; 7 hours are too short.", "24 hours to 7 days.", "24 hours–9 days.", "9 days"),
    ("It is used in type 2 diabetes of grade 1.", "Type 2 diabetes is treated.", "Type 1 diabetes.", "1"),
    ("2型糖尿病患者1例。", "2型糖尿病。", "1型糖尿病。", "1"),
    ("Today there are 2 major types of it.", "Its 2 types are known.", "Today there are 6 major types of it.", "6"),
    ("发病率=人数/受检人数x100%。", "人数/受检人数×100%。", "人数/受检人数x100‰。", "100‰"),
    ("The disease may be found in December 2019.", "In 12/2019 it was.", "In 5 patients.", "5"),
    ("In one of them, 200, 500, or 1500 mg was given.", "They took 500 mg.", "They took 500 mL.", "500 mL"),
]


@pytest.mark.parametrize(("passage", "same", "other", "evidence"), ALIKE)
def test_a_range_a_proportion_and_a_label_are_those_of_the_passage(
    passage: str, same: str, other: str, evidence: str
) -> None:
    assert (ungrounded_number(same, passage), wrong_unit(same, passage)) == (None, None)
    assert (ungrounded_number(other, passage) or wrong_unit(other, passage)) == evidence


@pytest.mark.parametrize(
    "text", ["1" * 6000 + " mg", "0." + "1" * 6000, "一" * 6000 + "天", "10¹⁻² g", "每" + "1" * 6000 + "日3次"]
)
def test_no_run_of_digits_is_too_long(text: str) -> None:
    for answer, passage in ((text, LABEL), (LABEL, text), (text, text)):
        for check in (ungrounded_number, wrong_unit, wrong_frequency, wrong_dose):
            assert check(answer, passage) is None or answer is not passage


def test_how_often_is_that_of_the_place_which_an_answer_repeats() -> None:
    passage = (
        "The first of these drugs is administered twice daily, whereas the other ones are administered only once daily."
    )
    assert wrong_frequency("The first of these drugs is administered once daily, whereas", passage) == "once daily"
    assert wrong_frequency("Some are taken once daily.", passage) is None


PIECES = st.sampled_from(
    [
        *(
            "阿莫西林一次0.5g，每日3次。",
            "桂枝三两（去皮）",
            "水七升；煮取三升。",
            "温服一升，日三服。\n",
            "每8小时一次，",
            "十七八岁",
        ),
        *(
            "12. Take 2–3 tablets twice daily.",
            "In 2019, 12 of 40 (30%) died.",
            "five to seven days.",
            "p<0.05",
            "vs. 3",
        ),
        *(
            "5、10、20 mg",
            "38.5℃",
            "4.0×109/L",
            "½片",
            "三分之二",
            "百分之五",
            "B12",
            "[3,4]",
            "(2)",
            "q8h",
            "1.",
            "2.",
            "第3天",
        ),
        *(
            "2~4周。",
            "5 mg/kg/d",
            "or 7 to 10",
            "10 000",
            "1,234",
            "120/80 mmHg.",
            "5月3日",
            "24 hours–7 days",
            "type 2 ",
            "3∶1",
            "1/4～1/3",
            "6个月～",
            "in May",
            "x100%",
            "mg",
            "times a day",
            "半",
        ),
    ]
)


@given(st.lists(st.one_of(PIECES, st.text(max_size=6)), max_size=30), st.data())
def test_what_is_quoted_whole_is_never_rejected(pieces: list[str], data: st.DataObject) -> None:
    passage = " ".join(pieces)
    lang = "zh-Hans" if re.search("[一-鿿]", passage) else "en"
    sentences = split_sentences(passage, lang)
    if not sentences:
        return
    first = data.draw(st.integers(0, len(sentences) - 1))
    last = data.draw(st.integers(first, len(sentences) - 1))
    quoted = passage[sentences[first][0] : sentences[last][1]]
    assert ungrounded_number(quoted, passage) is None
    assert wrong_unit(quoted, passage) is None
    assert wrong_frequency(quoted, passage) is None
    assert wrong_dose(quoted, passage) is None
