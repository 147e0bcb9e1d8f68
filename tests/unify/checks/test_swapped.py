"""A name in the place of another is found, be it listed or not; pronouns and other names of the same thing are none."""

import pytest

from unify.checks.swapped import swapped_name

EN = "Heparin is given to patients on bed rest, and warfarin is given to those with atrial fibrillation for life."
ZH = "对于妊娠期高血压患者，拉贝洛尔是首选的降压药物，硝苯地平可以作为第二选择使用。"


@pytest.mark.parametrize(
    ("answer", "passage", "language", "evidence"),
    [
        (EN, EN, "en", None),
        ("Danazol is given to patients on bed rest.", EN, "en", "Heparin"),
        ("In hospital, and warfarin is given to those with atrial fibrillation for life.", EN, "en", None),
        (EN.replace("warfarin", "danazol"), EN, "en", "danazol"),
        (EN.replace("warfarin", "coumadin"), EN, "en", None),
        (EN.replace("warfarin", "it"), EN, "en", None),
        (ZH.replace("拉贝洛尔", "硝苯地平"), ZH, "zh", "拉贝洛尔"),
        (ZH.replace("硝苯地平", "熟地黄"), ZH, "zh", "硝苯地平"),
        (ZH.replace("硝苯地平", "心痛定"), ZH, "zh", None),
        (ZH.replace("硝苯地平", "该药"), ZH, "zh", None),
    ],
)
def test_a_name_is_held_against_its_place(answer: str, passage: str, language: str, evidence: str | None) -> None:
    found = swapped_name(answer, passage, language)
    assert found is None if evidence is None else found is not None and evidence in found
