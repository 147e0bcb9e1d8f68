"""Which checks a question, an answer or an excerpt has to pass, and in which order; the only place that says so.

Each judgement is the first thing wrong, as (drop reason, evidence), or None. What a text is held against is its
Subject: the passage, what is known beside it, and the language that the pair is written in. Styles add to these
judgements only what is particular to them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from unify import checks
from unify.checks import Finding, first_broken
from unify.pair import Passage
from unify.request import RewriteConfig

MIN_QUESTION = {"zh": 6, "en": 15}  # characters; a shorter question names no subject


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


def judge_question(question: str, subject: Subject) -> Finding | None:
    """Find the first thing wrong with a question that a model wrote about a passage."""
    return first_broken(
        (
            ("thinking_left_in", checks.thinking_left_in(question)),
            ("not_a_question", checks.not_a_question(question)),
            ("too_short", checks.too_short(question, MIN_QUESTION[subject.language])),
            ("too_long", checks.too_long(question, subject.limits.max_question_chars)),
            ("wrong_language", checks.wrong_language(question, subject.language)),
            ("repetition", checks.repetition(question)),
            ("leak", checks.leak(question)),
            ("not_standalone", checks.not_standalone(question)),
            ("foreign_name", checks.foreign_name(question, subject.known) if subject.same_language else None),
        )
    )


def judge_answer(question: str, answer: str, finish_reason: str, subject: Subject) -> Finding | None:
    """Find the first thing wrong with an answer that a model wrote to a question about a passage.

    Args:
        finish_reason: why the server ended it, `stop` or `length`.
    """
    limits = subject.limits
    return first_broken(
        (
            ("thinking_left_in", checks.thinking_left_in(answer)),
            ("too_short", checks.too_short(answer, limits.min_answer_chars)),
            ("cut_off", checks.cut_off(answer, finish_reason)),
            ("too_long", checks.too_long(answer, limits.max_answer_chars)),
            ("wrong_language", checks.wrong_language(answer, subject.language)),
            ("refusal", checks.refusal(answer)),
            ("leak", checks.leak(answer)),
            ("not_standalone", checks.not_standalone(answer)),
            ("repetition", checks.repetition(answer)),
            ("ungrounded_number", checks.ungrounded_number(answer, subject.known)),
            ("wrong_unit", checks.wrong_unit(answer, subject.known)),
            ("wrong_frequency", checks.wrong_frequency(answer, subject.known)),
            ("wrong_dose", checks.wrong_dose(answer, subject.known)),
            (
                "low_support",
                checks.low_support(answer, subject.text, limits.min_support) if subject.same_language else None,
            ),
        )
    )


def judge_excerpt(question: str, answer: str, spans: Sequence[tuple[int, int]], subject: Subject) -> Finding | None:
    """Find the first thing wrong with an answer that a program quoted: only what can go wrong with quoting.

    Args:
        spans: where the answer's parts stand in the passage's text, in characters.
    """
    return first_broken(
        (
            ("not_standalone", checks.pointing(question)),
            ("not_standalone", checks.not_standalone(answer)),
            ("copied_answer", checks.copied_answer(question, answer)),
            ("mismatched", checks.mismatched(question, answer, subject.language)),
        )
    )
