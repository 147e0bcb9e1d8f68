"""One judgement a text: the first thing wrong with it, in the order of verdict.py."""

import pytest

from tests.unify.passages import GOUT, passage
from unify.checks.verdict import judge_answer, judge_excerpt, judge_question, subject_of
from unify.request import RewriteConfig

SUBJECT = subject_of(passage(), "en", RewriteConfig())
GOOD = "Low-dose colchicine relieves an acute attack of gout and commonly causes diarrhoea."
QUESTION = "How does colchicine help in an acute attack of gout?"


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        (QUESTION, None),
        ("<think>A question about gout?", "thinking_left_in"),
        ("Gout is an arthritis.", "not_a_question"),
        ("Is gout bad?", "too_short"),
        ("痛风是由什么引起的疾病，应该怎样治疗？", "wrong_language"),
        ("What does the passage say about gout?", "leak"),
    ],
)
def test_a_question_is_judged(question: str, reason: str | None) -> None:
    found = judge_question(question, SUBJECT)
    assert (found and found[0]) == reason


@pytest.mark.parametrize(
    ("answer", "finish", "reason"),
    [
        (GOOD, "stop", None),
        (GOOD, "length", "cut_off"),
        ("Yes.", "stop", "too_short"),
        (f"{QUESTION[:-1]}, and what does it commonly cause?", "stop", "not_an_answer"),
        (GOOD + " Allopurinol lowers serum urate below 390 micromol/L.", "stop", "ungrounded_number"),
        ("I'm sorry, but I cannot help with questions like these.", "stop", "refusal"),
    ],
)
def test_an_answer_is_judged(answer: str, finish: str, reason: str | None) -> None:
    found = judge_answer(QUESTION, answer, finish, SUBJECT)
    assert (found and found[0]) == reason


def test_an_excerpt_is_judged_by_what_quoting_can_spoil() -> None:
    start = GOUT.index("Low-dose")
    span = (start, start + len(GOOD))
    assert GOUT[slice(*span)] == GOOD
    assert judge_excerpt(QUESTION, GOOD, [span], SUBJECT) is None
    found = judge_excerpt("How can gout be diagnosed?", GOOD, [span], SUBJECT)
    assert found is not None
    assert found[0] == "mismatched"
    announced = judge_excerpt(QUESTION, "An acute attack of gout is relieved by the following drugs:", [span], SUBJECT)
    assert announced == ("cut_off", "ends with 'the following drugs:'")
