"""A warning that stands beside a recommended drug must come with it."""

from unify.checks.qualifiers import dropped_qualifier, qualifiers_beside

EN = (
    "Warfarin is taken once a day to prevent clots. It should not be taken during pregnancy. "
    "Blood tests show how well it works. Apples are a good source of fibre. They should be avoided when unripe."
)
ZH = "硝苯地平常用于治疗高血压，每日3次口服。孕妇禁用。感冒是常见病，多由病毒引起。"


def test_a_quotation_is_extended_by_the_warning_beside_it() -> None:
    end = EN.index(" It should")
    (span,) = qualifiers_beside([(0, end)], EN, "", "en")
    assert EN[slice(*span)] == "It should not be taken during pregnancy."
    assert qualifiers_beside([(0, end), span], EN, "", "en") == []


def test_a_sentence_of_another_subject_needs_no_warning() -> None:
    start = EN.index("Apples")
    assert qualifiers_beside([(start, EN.index(" They"))], "Apples are eaten. They should be avoided.", "", "en") == []


def test_an_answer_that_leaves_out_the_warning_is_found() -> None:
    assert dropped_qualifier("硝苯地平常用于治疗高血压，每日3次口服。", ZH, "", "zh") == "孕妇禁用。"
    assert dropped_qualifier("硝苯地平常用于治疗高血压，每日3次口服，孕妇禁用。", ZH, "", "zh") is None
    assert dropped_qualifier("感冒是常见病，多由病毒引起。", ZH, "", "zh") is None


def test_a_warning_in_other_words_counts() -> None:
    answer = (
        "Warfarin is taken once a day to prevent clots. Pregnant women should not be taken to it: avoid in pregnancy."
    )
    assert dropped_qualifier(answer, EN, "", "en") is None
