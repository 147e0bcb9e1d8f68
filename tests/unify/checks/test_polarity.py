"""A statement turned round is found where the passage states it; what the passage says of itself never is."""

import pytest

from unify.checks.polarity import turned_round

EN = (
    "Colchicine reduces the pain of acute gout. Serum urate is not increased by allopurinol in most patients with gout."
)
ZH = "肾功能不全的痛风患者慎用秋水仙碱。别嘌醇可使血清尿酸水平明显降低，但不会减轻急性发作时的关节疼痛。"


@pytest.mark.parametrize(
    ("answer", "passage", "language", "evidence"),
    [
        (EN, EN, "en", None),
        ("Colchicine increases the pain of acute gout.", EN, "en", "reduces"),
        ("Serum urate is increased by allopurinol in most patients with gout.", EN, "en", "not increa"),
        ("Colchicine eases acute gout.", EN, "en", None),
        (ZH, ZH, "zh", None),
        ("肾功能不全的痛风患者禁用秋水仙碱。", ZH, "zh", "慎用"),
        ("别嘌醇可使血清尿酸水平明显升高。", ZH, "zh", "降低"),
        ("别嘌醇会减轻急性发作时的关节疼痛。", ZH, "zh", "不会"),
        ("别嘌醇的不良反应包括皮疹。", ZH, "zh", None),
    ],
)
def test_a_stance_is_held_against_the_passage(answer: str, passage: str, language: str, evidence: str | None) -> None:
    found = turned_round(answer, passage, language)
    assert found is None if evidence is None else found is not None and evidence in found


def test_a_question_that_the_passage_only_asks_is_no_stance() -> None:
    passage = "We asked whether shaving before surgery reduces the rate of wound infection after surgery."
    assert turned_round("Shaving before surgery does not reduce the rate of wound infection.", passage, "en") is None


def test_a_no_in_reply_turns_nothing_round() -> None:
    passage = "Blisters of a sunburn should be left closed, since opened blisters can become infected."
    assert turned_round(f"No, {passage[0].lower()}{passage[1:]}", passage, "en") is None
    passage = "婴儿晒伤后必须就医，不要自行涂药。"
    assert turned_round(f"不可以，{passage}", passage, "zh") is None
