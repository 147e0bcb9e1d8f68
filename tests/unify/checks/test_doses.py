"""How often and for what a dose is given is held against one place of the passage."""

from fractions import Fraction

import pytest

from unify.checks.doses import wrong_dose
from unify.checks.frequencies import read_frequencies, wrong_frequency

PASSAGE = (
    "阿莫西林口服，成人一次0.5g，一日3次；儿童一次0.25g，一日2次。阿奇霉素静脉滴注，一次10mg/kg，每日1次。"
    "头孢克洛一次0.25g，每8小时一次。"
)
ENGLISH = (
    "Amoxicillin: 500 mg orally three times daily for adults. Azithromycin: 250 mg IV once daily. "
    "Maximum dose of amoxicillin is 3 g per day."
)


def drugs(text: str) -> tuple[tuple[int, int, str], ...]:
    names = {"阿莫西林": "amoxicillin", "阿奇霉素": "azithromycin", "头孢克洛": "cefaclor"}
    both = {**names, **{name: name for name in names.values()}}
    low = text.lower()
    return tuple(sorted((at, at + len(name), same) for name, same in both.items() if (at := low.find(name)) >= 0))


@pytest.mark.parametrize(
    ("written", "low", "high"),
    [
        *(
            (text, 3, 3)
            for text in ("tid", "t.i.d.", "每日三次", "一日3次", "三次/日", "q8h", "every 8 hours", "日三服")
        ),
        *(
            (text, 3, 3)
            for text in ("每8小时一次", "three times a day", "3 times daily", "in 3 divided doses", "分3次服")
        ),
        *((text, 2, 3) for text in ("一日2～3次", "2–3 times daily", "two to three times a day")),
        *((text, Fraction(1, 7), Fraction(1, 7)) for text in ("每周1次", "once weekly", "once a week")),
        ("隔日一次", Fraction(1, 2), Fraction(1, 2)),
        ("every 4 to 6 hours", 4, 6),
    ],
)
def test_one_frequency_is_read_from_all_its_forms(written: str, low: int | Fraction, high: int | Fraction) -> None:
    (frequency,) = read_frequencies(written)
    assert (frequency.low, frequency.high, frequency.loose) == (low, high, False)


@pytest.mark.parametrize(
    ("answer", "evidence"),
    [
        ("阿莫西林每天服四次。", "每天服四次"),
        ("Amoxicillin is taken tid.", None),
        ("Cefaclor is taken every 6 hours.", "every 6 hours"),
        ("阿奇霉素每天一次，每日10mg/kg。", None),
    ],
)
def test_a_frequency_that_nothing_has_is_found(answer: str, evidence: str | None) -> None:
    assert wrong_frequency(answer, PASSAGE) == evidence


@pytest.mark.parametrize(
    ("passage", "answer", "evidence"),
    [
        (PASSAGE, "成人口服阿莫西林，每次500mg，每日三次。", None),
        (PASSAGE, "Adults take 500 mg of amoxicillin orally three times daily.", None),
        (PASSAGE, "阿奇霉素一次0.5g。", "0.5g azithromycin"),
        (PASSAGE, "阿莫西林成人一次0.25g。", "0.25g amoxicillin"),
        (PASSAGE, "阿莫西林成人一次0.5g，一日2次。", "0.5g amoxicillin"),
        (PASSAGE, "阿莫西林静脉滴注，一次0.5g。", "0.5g amoxicillin"),
        (PASSAGE, "阿莫西林或头孢克洛一次0.25g。", None),
        (ENGLISH, "Azithromycin 250 mg is given once daily.", None),
        (ENGLISH, "Azithromycin 500 mg is given once daily.", "500 mg azithromycin"),
        (ENGLISH, "Amoxicillin 500 mg is given once daily.", "500 mg amoxicillin"),
        (ENGLISH, "成人口服阿莫西林500毫克，每日三次；阿奇霉素250毫克，每日一次。", None),
        (ENGLISH, "阿奇霉素每次500毫克。", "500毫克 azithromycin"),
        ("白术五两，茯苓四两，炙甘草三两。", "白术四两，茯苓五两。", "四两"),
    ],
)
def test_a_dose_needs_one_place_that_agrees(passage: str, answer: str, evidence: str | None) -> None:
    assert wrong_dose(answer, passage, drugs) == evidence
