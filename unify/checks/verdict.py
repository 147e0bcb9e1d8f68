"""Which checks a question, an answer or an excerpt has to pass, and in which order; the only place that says so.

Each judgement is the first thing wrong, as (drop reason, evidence), or None. What a text is held against is its
Subject: the passage, what is known beside it, and the language that the pair is written in. Styles add to these
judgements only what is particular to them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from unify import checks
from unify.checks import Finding, first_broken, names
from unify.checks.polarity import turned_round
from unify.checks.qualifiers import dropped_qualifier, qualifiers_beside
from unify.checks.swapped import swapped_name
from unify.pair import Passage
from unify.request import RewriteConfig

MIN_QUESTION = {"zh": 6, "en": 15}  # characters; a shorter question names no subject
MIN_SENTENCE_SUPPORT = 0.15  # share of a sentence's terms that the passage has

Check = tuple[str, str | None]  # drop reason, and evidence if there is any


@dataclass(frozen=True)
class Subject:
    """A passage as checks see it, and `language` (zh or en), which the pair about it is written in."""

    text: str
    title: str
    headings: Sequence[str]
    lang: str
    language: str
    limits: RewriteConfig

    @property
    def known(self) -> str:
        """All that a pair may take its names and numbers from."""
        return "\n".join([self.text, self.title, *self.headings])

    @property
    def same_language(self) -> bool:
        """Whether words of the pair can be compared with words of the passage."""
        return self.lang == self.language or (self.language == "zh" and self.lang in ("zh-Hans", "zh-Hant", "lzh"))


def subject_of(passage: Passage, language: str, config: RewriteConfig) -> Subject:
    """Take from a passage what checks see of it."""
    return Subject(passage.text, passage.title or "", passage.headings, passage.lang, language, config)


def judge_question(question: str, subject: Subject, *, follows: bool = False) -> Finding | None:
    """Find the first thing wrong with a question that a model wrote about a passage.

    Args:
        follows: it is asked later in a dialogue, so that it may point at what was said, in words of its own.
    """
    return first_broken(_checks_of_question(question, subject, follows))


def _checks_of_question(question: str, subject: Subject, follows: bool) -> Iterator[Check]:
    same, known = subject.same_language, subject.known
    yield "thinking_left_in", checks.thinking_left_in(question)
    yield "not_a_question", checks.not_a_question(question)
    yield "too_short", checks.too_short(question, MIN_QUESTION[subject.language])
    yield "too_long", checks.too_long(question, subject.limits.max_question_chars)
    yield "wrong_language", checks.wrong_language(question, subject.language)
    yield "repetition", checks.repetition(question)
    yield "leak", checks.leak(question)
    if not follows:
        yield "not_standalone", checks.not_standalone(question)
        yield "not_standalone", checks.pointing(question)
    yield "not_standalone", checks.points_outside(question)
    yield "foreign_drug", names.foreign_drug(question, known, same_language=same)
    yield "foreign_disease", names.foreign_disease(question, known, same_language=same)
    if same and not follows:
        yield "foreign_name", checks.foreign_name(question, known)


def judge_answer(question: str, answer: str, finish_reason: str, subject: Subject) -> Finding | None:
    """Find the first thing wrong with an answer that a model wrote to a question about a passage.

    Args:
        finish_reason: why the server ended it, `stop` or `length`.
    """
    return first_broken(_checks_of_answer(question, answer, finish_reason, subject))


def _checks_of_answer(question: str, answer: str, finish_reason: str, subject: Subject) -> Iterator[Check]:
    limits, known = subject.limits, subject.known
    yield "thinking_left_in", checks.thinking_left_in(answer)
    yield "too_short", checks.too_short(answer, limits.min_answer_chars)
    yield "cut_off", checks.cut_off(answer, finish_reason)
    yield "not_an_answer", checks.not_an_answer(answer)
    yield "too_long", checks.too_long(answer, limits.max_answer_chars)
    yield "wrong_language", checks.wrong_language(answer, subject.language)
    yield "refusal", checks.refusal(answer)
    yield "leak", checks.leak(answer)
    yield "not_standalone", checks.not_standalone(answer)
    yield "not_standalone", checks.points_outside(answer)
    yield "not_standalone", checks.unknown_patient(question, answer)
    yield "repetition", checks.repetition(answer)
    yield "ungrounded_number", checks.ungrounded_number(answer, known)
    yield "wrong_unit", checks.wrong_unit(answer, known)
    yield "wrong_frequency", checks.wrong_frequency(answer, known)
    yield "wrong_dose", checks.wrong_dose(answer, known, names.drugs_in)
    yield from _held_against_passage(question, answer, subject)


def _held_against_passage(question: str, answer: str, subject: Subject) -> Iterator[Check]:
    """Yield the findings on names, statements and support; words are compared within one language only."""
    text, known, language = subject.text, subject.known, subject.language
    same, named = subject.same_language, f"{known}\n{question}"
    yield "foreign_drug", names.foreign_drug(answer, named, same_language=same)
    yield "foreign_disease", names.foreign_disease(answer, named, same_language=same)
    if same:
        yield "swapped_name", swapped_name(answer, text, language)
        yield "turned_round", turned_round(answer, text, language)
        yield "dropped_qualifier", dropped_qualifier(answer, text, subject.title, language)
        yield "low_support", checks.low_support(answer, text, subject.limits.min_support)
        yield "unsupported_sentence", checks.unsupported_sentence(answer, known, language, MIN_SENTENCE_SUPPORT)
        yield "off_question", checks.off_question(question, answer, known)


def judge_excerpt(question: str, answer: str, spans: Sequence[tuple[int, int]], subject: Subject) -> Finding | None:
    """Find the first thing wrong with an answer that a program quoted: only what can go wrong with quoting.

    Args:
        spans: where the answer's parts stand in the passage's text, in characters.
    """
    language = subject.language
    missing = qualifiers_beside(spans, subject.text, subject.title, language)
    return first_broken(
        (
            ("cut_off", checks.announces_more(answer)),
            ("not_standalone", checks.pointing(question)),
            ("not_standalone", checks.not_standalone(answer)),
            ("not_standalone", checks.points_outside(answer)),
            ("not_standalone", checks.unknown_patient(question, answer)),
            ("copied_answer", checks.copied_answer(question, answer)),
            ("mismatched", checks.mismatched(question, answer, language)),
            ("dropped_qualifier", subject.text[slice(*missing[0])] if missing else None),
        )
    )
