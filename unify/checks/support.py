"""How much of a question or an answer stands in the passage."""

import re
from collections.abc import Iterable
from difflib import SequenceMatcher

from unify.checks.reading import read_sentences
from unify.checks.words import ASKING, ASKING_ZH, CJK, content_words, stem, terms

MIN_TERMS = 6
_EVERYDAY = "CT MR MRI ICU BMI HIV AIDS DNA RNA ECG EKG EEG PET WHO UK US USA UN II III IV"
EVERYDAY = frozenset(_EVERYDAY.split())


def support_share(answer: str, passage: str) -> float:
    """Return the share of an answer's n-grams (2 Chinese characters, or 1 word of content) that its passage has."""
    wanted = terms(answer)
    return len(wanted & terms(passage)) / len(wanted) if wanted else 0.0


def low_support(answer: str, passage: str, min_share: float) -> str | None:
    """Find an answer of which the passage has too few n-grams."""
    share = support_share(answer, passage)
    return f"{share:.2f} < {min_share:.2f}" if share < min_share else None


def unsupported_sentence(answer: str, known: str, language: str, min_share: float) -> str | None:
    """Find the sentence of an answer of which known text has the least, if that is too little.

    Sentences of fewer than `MIN_TERMS` terms say too little to be judged alone.
    """
    there = terms(known)
    worst = (min_share, "")
    for sentence in read_sentences(answer, language):
        if len(sentence.terms) >= MIN_TERMS:
            worst = min(worst, (len(sentence.terms & there) / len(sentence.terms), sentence.text))
    return f"{worst[0]:.2f} of {worst[1][:60]!r}" if worst[1] else None


def off_question(question: str, answer: str, known: str) -> str | None:
    """Find an answer that shares no term of content with its question, and not half of its own with known text.

    Terms that are asking alone do not count. An answer that is well supported need not repeat what it is about.
    """
    asked = terms(" ".join(word for word in content_words(question) if word.lower() not in ASKING))
    asked |= terms(ASKING_ZH.sub("，", question)) if CJK.search(question) else set()
    if len(asked) < 2 or asked & terms(answer) or support_share(answer, known) >= 0.5:
        return None
    return f"nothing of {', '.join(sorted(asked)[:4])}"


def foreign_name(question: str, known: str) -> str | None:
    """Find a name in a question that `known` (passage, title, headings) does not have.

    Names are abbreviations, capitalised words inside a sentence, numbers, 《titles》 and long words bent out of known
    ones; if most words of content are new, the first of them counts, too. Drugs and diseases are found by names.py.
    """
    low = known.lower()
    marks: list[str] = re.findall(r"《[^》]+》|\b[A-Za-z]*[A-Z]{2,}[A-Za-z0-9]*|\d{2,}(?:\.\d+)?|\d\.\d+", question)
    if CJK.search(question):
        marks += re.findall(r"[A-Za-z]{2,}[A-Za-z0-9]*", question)
    if question.isupper():
        marks = []
    if foreign := next((mark for mark in marks if mark.lower() not in low and not _abbreviates(mark, low)), None):
        return foreign
    if CJK.search(question):
        return None
    words = content_words(low)
    stems = {stem(word) for word in words}
    asked = [
        word
        for word in content_words(question)
        if len(word) > 3 and word.lower() not in ASKING and not (word.isupper() and _abbreviates(word, low))
    ]
    entitled = sum(word[0].isupper() for word in asked) > len(asked) / 2  # Written Like a Title
    new = [word for word in asked if stem(word) not in stems]
    for word in asked:
        inside = word[0].isupper() and not re.search(rf"(?:^|[.?!:] ){re.escape(word)}\b", question)
        if (inside and word in new and not entitled) or _bent(word.lower(), words):
            return word
    return new[0] if 3 * len(new) > 2 * len(asked) else None


def _abbreviates(mark: str, known: str) -> bool:
    """Tell whether a mark is in everyday use, or known text has words in a row with its letters as initials."""
    if mark in EVERYDAY:
        return True
    initials = "".join(word[0] for word in re.findall(r"[a-z]+", known))
    return mark.isalpha() and len(mark) > 2 and mark.lower() in initials


def _bent(word: str, words: Iterable[str]) -> bool:
    """Tell whether a long word begins like one of `words`, is spelt nearly alike, and is another word."""
    near = [one for one in words if min(len(one), len(word)) > 7 and one[:4] == word[:4]]
    return not any(one.startswith(word[:-4]) or one[:8] == word[:8] for one in near) and any(
        SequenceMatcher(None, word, one).ratio() > 0.75 for one in near
    )


def copied_answer(question: str, answer: str) -> str | None:
    """Find a question that gives its answer away: it has over two thirds of the answer's words or bigrams."""
    wanted = terms(answer)
    share = len(wanted & terms(question)) / len(wanted) if wanted else 1.0
    return f"{share:.2f} of the answer" if share > 2 / 3 else None
