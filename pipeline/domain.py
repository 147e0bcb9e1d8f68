"""The arithmetic of relevance: how much of a text's letters stand in terms of a domain, less those of other domains.

A lexicon gives each term a weight: above 0 for terms of the domain, below 0 for terms of other domains (contrast). The
relevance of a text is

    sum over the terms found of (weight x letters of the term) / letters of the text

With every weight 1 it is the density of the dictionary words by which HuatuoGPT-II extracts medical text
(arXiv:2311.09774). What counts, in texts and terms alike:

- Letters are the characters of Unicode's letter categories, Han characters among them; digits and marks are none.
- Both are folded first: NFKC character by character, lower case, Latin letters without accents, traditional characters
  to simplified ones (OpenCC, character by character; those of GB 2312 stay). White space, hyphens, apostrophes and
  invisible characters are left out, so that a line may break inside a term. No term reaches over any other character
  that is no letter or digit.
- A run of letters and digits that are not Han is a word; a term begins and ends at borders of words. Han characters
  have no borders. A term that ends in a Latin letter is found with a plural s too.
- Of terms that overlap, the one that begins first counts, and of these the longest.

Matching is the automaton of Aho and Corasick (1975), as ahocorasick_rs has it. Characters above U+FFFF are no letters.
"""

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import chain
from pathlib import Path

import numpy as np
from ahocorasick_rs import AhoCorasick, Implementation, MatchKind
from numpy.typing import NDArray
from opencc import OpenCC

PILE_CHARS = 1 << 19  # characters judged at a time, so that memory does not grow with the length of a text


@dataclass(frozen=True)
class Lexicon:
    """Terms, ready to be searched for."""

    terms: tuple[str, ...]
    gains: NDArray[np.float64]  # weight x letters, by term
    search: AhoCorasick  # its patterns are the folded terms, in the same order


def relevance(texts: Sequence[str], lexicon: Lexicon) -> NDArray[np.float64]:
    """Return the (N,) relevance of N texts; 0 for a text without letters. No text has an influence on another."""
    gains, letters = np.zeros(len(texts)), np.zeros(len(texts))
    for rows, pieces in _piles(texts):
        folded = fold(pieces)
        np.add.at(letters, rows, folded.letters)
        owners, terms = find_terms(folded, lexicon)
        np.add.at(gains, rows[owners], lexicon.gains[terms])
    return np.divide(gains, letters, out=np.zeros(len(texts)), where=letters > 0)


def least_relevance(langs: Sequence[str], limits: Mapping[str, float]) -> NDArray[np.float64]:
    """Return the (N,) limits of N languages; "zh" stands for both its scripts, one without has the highest."""
    highest = max(limits.values(), default=0.0)
    return np.array([limits.get(lang, limits.get(lang.split("-")[0], highest)) for lang in langs])


def off_domain(
    texts: Sequence[str], langs: Sequence[str], limits: Mapping[str, float], paths: tuple[Path, ...]
) -> tuple[NDArray[np.bool_], list[str]]:
    """Tell which of N texts are below the limits of their languages, and the relevance of each, for a drop's detail.

    Args:
        paths: lexicon files; without one no text is judged.
    """
    if not paths:
        return np.zeros(len(texts), np.bool_), [""] * len(texts)
    found = relevance(texts, read_lexicons(paths))
    return found < least_relevance(langs, limits), [f"{value:.3f}" for value in found]


def lexicon_of(weights: Mapping[str, float]) -> Lexicon:
    """Make a lexicon of terms and their weights; terms that fold to one are one, their weights added."""
    plurals = {term + "s": weight for term, weight in weights.items() if term[-1:].isascii() and term[-1:].isalpha()}
    every = [*weights.items(), *plurals.items()]
    folded = fold([term for term, _ in every])
    kept: dict[str, tuple[str, float]] = {}
    for number, (pattern, (term, weight)) in enumerate(zip(folded.text.split(BETWEEN), every, strict=False)):
        known, before = kept.get(pattern, (term, 0.0))
        if number < len(weights):
            kept[pattern] = (known, before + weight * float(folded.letters[number]))
        else:
            kept.setdefault(pattern, (term, weight * float(folded.letters[number])))
    kept.pop("", None)
    search = AhoCorasick(list(kept), MatchKind.LeftmostLongest, implementation=Implementation.ContiguousNFA)
    return Lexicon(tuple(term for term, _ in kept.values()), np.array([gain for _, gain in kept.values()]), search)


@lru_cache(maxsize=4)
def read_lexicons(paths: tuple[Path, ...]) -> Lexicon:
    """Make one lexicon of files."""
    return lexicon_of(read_weights(paths))


def read_weights(paths: tuple[Path, ...]) -> dict[str, float]:
    """Read lexicon files: a term a line, `term` (weight 1) or `term<TAB>weight`; lines that begin with # are notes.

    A term in several files gets the sum of its weights.

    Raises:
        ValueError: a weight that is no number.
    """
    weights: dict[str, float] = {}
    for path in paths:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            term, _, weight = line.partition("\t")
            if not term.strip() or line.startswith("#"):
                continue
            try:
                weights[term.strip()] = weights.get(term.strip(), 0.0) + float(weight or 1)
            except ValueError:
                raise ValueError(f"{path} line {number}: got weight {weight!r}, expected a number") from None
    return weights


def find_terms(folded: "Folded", lexicon: Lexicon) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find M terms in folded texts.

    Returns:
        The (M,) number of the text that each is in, and the (M,) number of the term, in the order of the texts.
    """
    found = lexicon.search.find_matches_as_indexes(folded.text)
    matches = np.fromiter(chain.from_iterable(found), np.int64, 3 * len(found)).reshape(-1, 3)
    return np.searchsorted(folded.ends, matches[:, 1], side="right"), matches[:, 0]


BETWEEN = "\0"  # stands behind each text of several that are folded together, and in none
_BARRIER = ord(".")
_SPLIT, _JOIN = 0xFFFF, 0xFFFE  # what is left out: at a border of words, or inside a word; no characters of Unicode
# The ASCII letters and digits that begin or end a word, or are one, have forms of their own, of private use.
_EDGE, _FIRST, _LAST = np.uint16(0xE000), np.uint16(0x80), np.uint16(0x100)


@dataclass(frozen=True)
class Folded:
    """N texts as they are searched: joined, with `BETWEEN` behind each."""

    text: str
    ends: NDArray[np.int64]  # (N,) where each ends in `text`
    letters: NDArray[np.int64]  # (N,)


def fold(texts: Sequence[str]) -> Folded:
    """Fold N texts together, as the head of this module says."""
    joined = "".join(text.replace(BETWEEN, ".") + BETWEEN for text in texts)
    codes = np.frombuffer(joined.encode("utf-16-le", "surrogatepass"), np.uint16)
    folds, is_letter, is_word = _tables()
    starts = np.concatenate([np.zeros(1, np.int64), np.flatnonzero(codes == 0) + 1])[:-1]
    letters = np.add.reduceat(is_letter[codes], starts, dtype=np.int64) if len(texts) else starts
    codes = folds[codes]
    codes = codes[codes != _JOIN]
    word = is_word[codes]
    begins, ends = word.copy(), word.copy()
    begins[1:] &= ~word[:-1]
    ends[:-1] &= ~word[1:]
    ascii_word = codes < 0x80
    begins &= ascii_word
    ends &= ascii_word
    codes = codes + (begins * _FIRST | ends * _LAST | (begins | ends) * _EDGE)
    codes = codes[codes != _SPLIT]
    return Folded(codes.tobytes().decode("utf-16-le"), np.flatnonzero(codes == 0), letters)


def _piles(texts: Sequence[str]) -> Iterator[tuple[NDArray[np.int64], list[str]]]:
    """Put texts, the long ones in pieces, on piles of about PILE_CHARS; with each piece, the row of its text."""
    rows: list[int] = []
    pieces: list[str] = []
    chars = 0
    for row, text in enumerate(texts):
        for start in range(0, len(text), PILE_CHARS):
            rows.append(row)
            pieces.append(text[start : start + PILE_CHARS])
            chars += len(pieces[-1])
            if chars >= PILE_CHARS:
                yield np.array(rows), pieces
                rows, pieces, chars = [], [], 0
    if pieces:
        yield np.array(rows), pieces


@cache
def _tables() -> tuple[NDArray[np.uint16], NDArray[np.bool_], NDArray[np.bool_]]:
    """Return, by UTF-16 code unit: what it folds to; whether it is a letter; whether it belongs in a word."""
    chars = [chr(code) for code in range(0x10000)]
    is_letter = np.array([char.isalpha() for char in chars])
    folds = np.full(0x10000, _BARRIER, np.uint16)
    simplified = _simplified([char for char in chars if _is_han(char)])
    for code, char in enumerate(chars):
        plain = unicodedata.normalize("NFKC", char)
        base = unicodedata.normalize("NFD", plain.lower())[:1]
        category = unicodedata.category(char)
        if category in ("Mn", "Cf") or char in "'’‘ʼ＇":
            folds[code] = _JOIN
        elif plain.isspace() or category == "Cc" or category == "Pd":
            folds[code] = _SPLIT
        elif len(plain) == 1 and plain.isalnum():
            folded = simplified.get(plain, base)
            folds[code] = ord(folded) if folded <= "\uffff" else code
    folds[0] = 0
    is_word = np.array([char.isalnum() and not _is_han(char) for char in chars])
    return folds, is_letter, is_word


def _is_han(char: str) -> bool:
    return "\u3400" <= char <= "\u9fff" or "\uf900" <= char <= "\ufaff"


def _simplified(chars: list[str]) -> dict[str, str]:
    """Map the characters that GB 2312 lacks to simplified ones, where OpenCC knows one."""
    missing = [char for char in chars if not char.encode("gb2312", "ignore")]
    found = zip(missing, OpenCC("t2s").convert("\n".join(missing)).split("\n"), strict=True)
    return {char: simple for char, simple in found if simple <= "\uffff"}
