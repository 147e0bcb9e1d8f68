"""How much of a question or an answer stands in the passage."""

import re

from unify.checks.words import ASKING, CJK, content_words, stem, terms


def support_share(answer: str, passage: str) -> float:
    """Return the share of an answer's n-grams (2 Chinese characters, or 1 word of content) that its passage has."""
    wanted = terms(answer)
    return len(wanted & terms(passage)) / len(wanted) if wanted else 0.0


def low_support(answer: str, passage: str, min_share: float) -> str | None:
    """Find an answer of which the passage has too few n-grams."""
    share = support_share(answer, passage)
    return f"{share:.2f} < {min_share:.2f}" if share < min_share else None


def foreign_name(question: str, known: str) -> str | None:
    """Find a word of content in a question that neither `known` (passage, title, headings) nor asking needs.

    In Chinese only words in Latin letters, numbers and 《titles》 are looked for.
    """
    if CJK.search(question):
        marks = re.findall(r"《[^》]+》|[A-Za-z]{2,}[A-Za-z0-9-]*|\d+(?:\.\d+)?", question)
        return next((mark for mark in marks if mark.lower() not in known.lower()), None)
    words = content_words(known.lower())
    stems = {stem(word) for word in words}
    for word in content_words(question):
        # small models bend long names, so that all but the last four letters must agree
        bent = len(word) > 9 and not any(one.startswith(word.lower()[:-4]) for one in words)
        if word.lower() not in ASKING and (bent or stem(word) not in stems):
            return word
    return None


def copied_answer(question: str, answer: str) -> str | None:
    """Find a question that gives its answer away: it has over two thirds of the answer's words or bigrams."""
    wanted = terms(answer)
    share = len(wanted & terms(question)) / len(wanted) if wanted else 1.0
    return f"{share:.2f} of the answer" if share > 2 / 3 else None
