"""Names put in the place of others: the answer repeats a sentence of the passage with another word where it has a name.

Sentences are aligned character by character in Chinese and word by word in English (Ratcliff and Obershelp's blocks).
Where the passage has a drug or disease of names.py and the answer something else, with the same words before or behind,
the name was swapped, be the other one known to names.py or not, or named elsewhere in the passage.
"""

import re
from collections.abc import Sequence
from difflib import Match, SequenceMatcher
from itertools import pairwise

from unify.checks.names import Name, lowered
from unify.checks.reading import read_sentences
from unify.checks.words import ASKING, STOPWORDS

NEAREST = 3  # sentences of the passage that a sentence of the answer is aligned to
ALIKE = 0.5  # share of its terms that such a sentence has at least
BORDER = {"zh": 3, "en": 2}  # characters or words that agree on a side of the place
GENERAL = re.compile(r"[该此本它其这药病症者]|^.$")  # what may stand for a name without being one
EXTRA = {"zh": 5, "en": 2}  # characters or words that a name may be longer than another


def swapped_name(answer: str, passage: str, language: str) -> str | None:
    """Find what an answer has in the place of a drug or disease of the passage; both are in the language (zh, en)."""
    theirs = [sentence for sentence in read_sentences(passage, language) if sentence.names]
    for said in read_sentences(answer, language):
        if said.text in passage:
            continue
        shares = [(len(said.terms & there.terms) / max(1, len(said.terms)), -n) for n, there in enumerate(theirs)]
        for share, number in sorted(shares, reverse=True)[:NEAREST]:
            there = theirs[-number]
            if share < ALIKE:
                break
            if found := _swapped(said.text, there.text, there.names, language):
                return found
    return None


def _swapped(said: str, there: str, names: Sequence[Name], language: str) -> str | None:
    """Find the first piece of `said` that stands where `there` has one of its names, between the same words.

    What agrees by less than `BORDER` belongs to the place: 硝苯地平 and 熟地黄 share a character by chance.
    """
    mine, yours = _pieces(said, language), _pieces(there, language)
    matcher = SequenceMatcher(None, [piece for _, _, piece in mine], [piece for _, _, piece in yours], autojunk=False)
    same = [block for block in matcher.get_matching_blocks() if block.size >= BORDER[language]]
    for before, after in pairwise([Match(0, 0, 0), *same, Match(len(mine), len(yours), 0)] if same else []):
        put, place = mine[before.a + before.size : after.a], yours[before.b + before.size : after.b]
        if not put or not place or len(put) > len(place) + EXTRA[language]:
            continue
        start, end = place[0][0], place[-1][1]
        for name in names:
            first, last = name.span
            around = [piece for piece in place if not (first < piece[1] and piece[0] < last)]
            if len(around) == len(place) or len(around) > EXTRA[language]:
                continue
            # characters that both names share stand outside the place: look at the whole name
            whole = said[max(0, put[0][0] - max(0, start - first)) : put[-1][1] + max(0, last - end)]
            if not _means(whole, name) and not _is_general(said[put[0][0] : put[-1][1]], language):
                return f"{whole!r} where the passage has {name.written!r}"
    return None


def _means(text: str, name: Name) -> bool:
    return any(one in lowered(text) or lowered(text) in one for one in name.same)


def _is_general(text: str, language: str) -> bool:
    """Tell a pronoun or a general word (the drug, this disease, 该药) from a name."""
    words = re.findall(r"[a-z]+", text.lower())
    if language == "en":
        return all(word in STOPWORDS or word in ASKING for word in words)
    return bool(GENERAL.search(text))


def _pieces(text: str, language: str) -> list[tuple[int, int, str]]:
    shape = r"[a-z]+(?:[-'’][a-z]+)*|\d+(?:\.\d+)?|[^\s\w]" if language == "en" else r"[a-z]+|\d+(?:\.\d+)?|\S"
    return [(one.start(), one.end(), one[0]) for one in re.finditer(shape, lowered(text))]
