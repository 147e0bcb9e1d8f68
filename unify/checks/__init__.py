"""Reasons to reject a question, an answer, or a pair, by concept.

Each check returns its evidence, a short text, or None if there is nothing to reject; `first_broken` names the first.
They read words and characters, not meaning: they are cheap, and they err.
"""

from collections.abc import Iterable

from unify.checks.alone import DANGLING as DANGLING
from unify.checks.alone import LEAKS as LEAKS
from unify.checks.alone import leak as leak
from unify.checks.alone import not_standalone as not_standalone
from unify.checks.alone import pointing as pointing
from unify.checks.alone import points_outside as points_outside
from unify.checks.alone import unknown_patient as unknown_patient
from unify.checks.cues import CUES as CUES
from unify.checks.cues import mismatched as mismatched
from unify.checks.doses import wrong_dose as wrong_dose
from unify.checks.form import CLOSING as CLOSING
from unify.checks.form import REFUSALS as REFUSALS
from unify.checks.form import announces_more as announces_more
from unify.checks.form import cut_off as cut_off
from unify.checks.form import not_a_question as not_a_question
from unify.checks.form import not_an_answer as not_an_answer
from unify.checks.form import refusal as refusal
from unify.checks.form import repetition as repetition
from unify.checks.form import thinking_left_in as thinking_left_in
from unify.checks.form import too_long as too_long
from unify.checks.form import too_short as too_short
from unify.checks.form import without_thinking as without_thinking
from unify.checks.form import wrong_language as wrong_language
from unify.checks.frequencies import wrong_frequency as wrong_frequency
from unify.checks.grounding import ungrounded_number as ungrounded_number
from unify.checks.grounding import wrong_unit as wrong_unit
from unify.checks.support import copied_answer as copied_answer
from unify.checks.support import foreign_name as foreign_name
from unify.checks.support import low_support as low_support
from unify.checks.support import off_question as off_question
from unify.checks.support import support_share as support_share
from unify.checks.support import unsupported_sentence as unsupported_sentence
from unify.checks.words import ASKING as ASKING
from unify.checks.words import CJK as CJK
from unify.checks.words import STOPWORDS as STOPWORDS
from unify.checks.words import WORD as WORD
from unify.checks.words import content_words as content_words
from unify.checks.words import stem as stem
from unify.checks.words import terms as terms

Finding = tuple[str, str]  # drop reason, evidence


def first_broken(rules: Iterable[tuple[str, str | None]]) -> Finding | None:
    """Return the first rule with evidence against a text; rules come as (drop reason, evidence or None)."""
    return next(((reason, evidence) for reason, evidence in rules if evidence is not None), None)
