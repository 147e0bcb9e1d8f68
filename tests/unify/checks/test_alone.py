"""What points at a text, a table, a study or a patient that the reader does not see; naming a work points at none."""

import pytest

from unify import checks


@pytest.mark.parametrize(
    "text",
    [
        "根据《中国高血压防治指南》，血压应低于140/90 mmHg。",
        "The 2021 WHO guideline recommends treatment.",
        "In the context of heart failure, the passage of a stone is painful.",
        "该材料具有良好的生物相容性，中文中也有记载。",
        "应该多喝水，65岁以上的人也不例外。",
        "It has been shown that allopurinol lowers urate.",
        "People with this disorder experience pain.",
        "Both drugs lower urate.",
    ],
)
def test_good_texts_are_left_alone(text: str) -> None:
    found = [check(text) for check in (checks.leak, checks.not_standalone, checks.points_outside)]
    assert found == [None, None, None]


@pytest.mark.parametrize(
    ("text", "evidence"),
    [
        ("剂量见表3。", "见表3"),
        ("本研究发现尿酸下降。", "本研究"),
        ("我院采用别嘌醇。", "我院"),
        ("Doses are low (see Table 2).", "(see Table"),
        ("In our study, urate fell.", "our study"),
        ("We found that urate fell.", "We found"),
    ],
)
def test_what_points_outside_is_found(text: str, evidence: str) -> None:
    found = checks.points_outside(text)
    assert found is not None
    assert evidence in found


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ("该药的不良反应有哪些？", True),
        ("痛风该怎么治？", False),
        ("应该怎样预防流感？", False),
        ("一名60岁男性突发胸痛，该患者应如何处理？", False),
        ("What should those with gout avoid?", False),
        ("How do these attacks begin?", True),
    ],
)
def test_a_question_may_point_at_what_it_has_told(question: str, found: bool) -> None:
    assert (checks.pointing(question) is not None) == found


def test_an_answer_speaks_of_a_patient_only_where_its_question_does() -> None:
    assert checks.unknown_patient("痛风怎样治疗？", "该患者应多饮水。") == "该患者"
    assert checks.unknown_patient("患者男，60岁，怎样治疗？", "该患者应多饮水。") is None
