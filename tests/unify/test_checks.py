"""Each check finds what it is named for, and leaves good text alone."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unify import checks

PASSAGE = "Allopurinol lowers serum urate below 360 micromol/L. Colchicine relieves gout. 别嘌醇从50 mg开始服用。"
CASES: list[tuple[Callable[[str], str | None], str, str | None]] = [
    (checks.thinking_left_in, "<think>Okay, the passage", "<think>"),
    (checks.thinking_left_in, "A thinker thinks.", None),
    (lambda text: checks.cut_off(text, "length"), "Complete.", "finish_reason length"),
    (lambda text: checks.cut_off(text, "stop"), "This ends in the mid", "ends with"),
    (lambda text: checks.cut_off(text, "stop"), "应当长期服药。", None),
    (lambda text: checks.too_short(text, 5), "短", "1 < 5"),
    (lambda text: checks.too_long(text, 3), "long", "4 > 3"),
    (checks.refusal, "抱歉，我无法回答这个问题。", "抱歉"),
    (checks.refusal, "I'm sorry, but I cannot help.", "I'm sorry"),
    (checks.refusal, "Patients who are unable to sleep should rest.", None),
    (checks.leak, "文中提到的药物有哪些？", "文中"),
    (checks.leak, "根据参考资料，应该休息。", "参考资料"),
    (checks.leak, "本文认为应该休息。", "本文"),
    (checks.leak, "What does the passage say about gout?", "the passage"),
    (checks.leak, "What does culture in the blood show about context?", None),
    (checks.leak, "人体中文化程度与健康有什么关系？", None),
    (lambda text: checks.wrong_language(text, "zh"), "An English sentence.", "0.00"),
    (lambda text: checks.wrong_language(text, "en"), "这是中文。", "1.00"),
    (lambda text: checks.wrong_language(text, "zh"), "二甲双胍（metformin）可以降糖。", None),
    (checks.repetition, "the pain the pain the pain " * 3, "the pain"),
    (checks.repetition, "very very very good", "very very very"),
    (checks.repetition, "痛风痛风痛风痛风", "痛风"),
    (checks.repetition, PASSAGE, None),
    (checks.not_a_question, "A statement.", "ends with"),
    (checks.not_a_question, "What?\nAnd why?", "several lines"),
    (checks.not_a_question, "痛风怎样治疗？", None),
    (checks.not_standalone, "However, patients should rest.", "However"),
    (checks.not_standalone, "本品用于高血压。", "本品"),
    (checks.not_standalone, "该药可引起咳嗽。", "该药"),
    (checks.not_standalone, "Italian food is rich in oil.", None),
    (checks.not_standalone, "本病例报告", None),
    (checks.pointing, "How do these medicines help?", "these"),
    (lambda text: checks.ungrounded_number(text, PASSAGE), "Below 300 micromol/L.", "300"),
    (lambda text: checks.ungrounded_number(text, PASSAGE), "1. 从50 mg开始\n2. 低于360", None),
    (lambda text: checks.low_support(text, PASSAGE, 0.5), "Bananas contain potassium and sugar.", "0.00 < 0.50"),
    (lambda text: checks.low_support(text, PASSAGE, 0.5), "Colchicine relieves gout.", None),
    (lambda text: checks.foreign_name(text, PASSAGE), "How does probenecid compare with Zurampic?", "Zurampic"),
    (lambda text: checks.foreign_name(text, PASSAGE), "How quickly does colchicine help in gout?", None),
    (lambda text: checks.foreign_name(text, PASSAGE), "How does colchiphene help in gout?", "colchiphene"),
    (lambda text: checks.foreign_name(text, PASSAGE), "How does colchicine help patients with gout?", None),
    (lambda text: checks.foreign_name(text, PASSAGE), "ACEI可以从25 mg开始吗？", "ACEI"),
    (
        lambda text: checks.copied_answer(text, "Colchicine relieves acute gout."),
        "Why is it colchicine relieves acute gout?",
        "1.00",
    ),
    (lambda text: checks.copied_answer(text, "Colchicine relieves acute gout."), "What relieves pain?", None),
    (
        lambda text: checks.mismatched(text, "Gout is an arthritis.", "en"),
        "How can gout be prevented?",
        "asks 'prevent'",
    ),
    (lambda text: checks.mismatched(text, "Gout is an arthritis.", "en"), "What is gout?", None),
    (lambda text: checks.mismatched(text, "痛风是一种关节炎。", "zh"), "痛风怎样治疗？", "asks '治疗'"),
]


@pytest.mark.parametrize(("check", "text", "evidence"), CASES)
def test_each_check_gives_its_evidence_or_none(
    check: Callable[[str], str | None], text: str, evidence: str | None
) -> None:
    found = check(text)
    assert found is None if evidence is None else found is not None and evidence in found


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("<think>a\nb</think>\n\nAnswer.", "Answer."),
        ("reasoning</think>Answer.", "Answer."),
        ("Answer.", "Answer."),
        ("<think>cut", "<think>cut"),
    ],
)
def test_reasoning_is_stripped_where_it_ends(text: str, left: str) -> None:
    assert checks.without_thinking(text) == left


def test_the_first_broken_rule_is_named() -> None:
    assert checks.first_broken((("a", None), ("b", "evidence"), ("c", "more"))) == ("b", "evidence")
    assert checks.first_broken((("a", None),)) is None


@given(st.text(max_size=300))
def test_a_text_supports_itself_and_repeats_no_number_that_it_lacks(text: str) -> None:
    assert not checks.terms(text) or checks.support_share(text, text) == 1.0
    assert checks.ungrounded_number(text, text) is None
