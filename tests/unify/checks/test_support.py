"""How much of a question and an answer the passage carries."""

from tests.unify.passages import GOUT
from unify.checks.support import foreign_name, off_question, unsupported_sentence


def test_the_least_supported_sentence_is_named() -> None:
    strange = "Bananas, apples and oranges contain potassium, sugar and water."
    found = unsupported_sentence(f"{GOUT} {strange}", GOUT, "en", 0.2)
    assert found is not None
    assert "Bananas" in found
    assert unsupported_sentence(GOUT, GOUT, "en", 0.2) is None


def test_an_answer_about_something_else_is_off_the_question() -> None:
    question = "How does colchicine relieve gout?"
    assert off_question(question, "Bananas contain potassium and sugar.", GOUT) is not None
    assert off_question(question, "It eases an acute attack and commonly causes diarrhoea.", GOUT) is None


def test_an_abbreviation_of_known_words_is_no_foreign_name() -> None:
    known = "Chronic obstructive pulmonary disease narrows the airways."
    assert foreign_name("How does COPD narrow the airways?", known) is None
    assert foreign_name("How does HELLP narrow the airways?", known) == "HELLP"
