"""Find personal data in texts, put neutral marks in its place, and tell which texts had too much of it.

Reads and returns texts; clean.py applies it to passages, with their titles and headings, and to pairs. What is
recognised, and by which rule, stands in recognisers.py (numbers, codes, e-mail), person.py (names, dates of birth) and
address.py. IP addresses are left: in running text they are version and section numbers more often. So are toll-free
and 400/800 lines, which are no person's, and names of doctors and authors.

A text is searched once for the words that any recogniser needs and once for long numbers; most texts have neither.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import ahocorasick_rs
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field

from pipeline.address import ADDRESSES
from pipeline.person import PERSON
from pipeline.recipe import Config
from pipeline.recognisers import EMAILS, LABELLED_NUMBERS, LABELLED_WORDS, NUMBERS, Recogniser


class PrivacyConfig(Config):
    """What becomes of personal data, and of texts that are little else."""

    personal_data: Literal["remove", "drop", "keep"] = Field(
        default="remove", description="a mark in its place; the whole row dropped; left as it is"
    )
    max_personal_items: int = Field(default=10, ge=0, description="of remove: a text with more is dropped")
    max_personal_share: float = Field(default=0.3, ge=0, le=1, description="of remove: share of a text's characters")


# Type -> what stands in its place, in Chinese and in English. No recogniser matches a mark.
MARKS = {
    "phone": ("[电话]", "[phone]"),
    "resident_number": ("[证件号]", "[ID]"),
    "passport": ("[护照号]", "[passport]"),
    "medical_record": ("[病历号]", "[record]"),
    "bank_card": ("[卡号]", "[card]"),
    "social_security_number": ("[社保号]", "[SSN]"),
    "nhs_number": ("[医保号]", "[NHS]"),
    "email": ("[邮箱]", "[e-mail]"),
    "account": ("[账号]", "[account]"),
    "plate": ("[车牌]", "[plate]"),
    "name": ("[姓名]", "[name]"),
    "birth_date": ("[日期]", "[date]"),
    "address": ("[地址]", "[address]"),
}


@dataclass(frozen=True)
class Found:
    """One item of personal data: characters start to end of the text."""

    start: int
    end: int
    type: str


def find_personal_data(text: str) -> list[Found]:
    """List the personal data of a text in order, without overlap; of two that overlap, the earlier, then the longer."""
    found: list[Found] = []
    for item in sorted(_candidates(text), key=lambda item: (item.start, -item.end)):
        if not found or item.start >= found[-1].end:
            found.append(item)
    return found


def mask_personal_data(text: str, lang: str) -> tuple[str, Counter[str], int]:
    """Replace personal data by marks in the text's language, until nothing is found: masking again changes nothing.

    Returns:
        The text, the number of items by type, and the characters that they took.
    """
    types: Counter[str] = Counter()
    chars = 0
    while found := find_personal_data(text):
        types.update(item.type for item in found)
        chars += sum(item.end - item.start for item in found)
        parts, last = [], 0
        for item in found:
            parts += [text[last : item.start], mark_of(item.type, lang)]
            last = item.end
        text = "".join([*parts, text[last:]])
    return text, types, chars


class Masked(NamedTuple):
    """N texts with marks, and of each the items by type, the characters that they took, and those of the whole."""

    texts: pa.Array
    items: list[Counter[str]]
    taken: NDArray[np.int64]
    chars: NDArray[np.int64]


def mask_column(texts: pa.Array, langs: Sequence[str], config: PrivacyConfig) -> Masked:
    """Mask N texts, each in its language, unless personal data is to be kept; nulls stay."""
    items = [Counter[str]()] * len(langs)  # one for all, replaced where something is found
    taken, masked = np.zeros(len(texts), np.int64), {}
    if config.personal_data != "keep":
        suspects = np.flatnonzero(np.asarray(pc.fill_null(pc.match_substring_regex(texts, _SUSPECT), False)))
        for row, text in zip(suspects.tolist(), texts.take(pa.array(suspects)).to_pylist(), strict=True):
            if find_personal_data(text):
                masked[row], items[row], taken[row] = mask_personal_data(text, langs[row])
    chars = np.asarray(pc.fill_null(pc.utf8_length(texts), 0), np.int64)
    if masked:
        chosen = np.zeros(len(texts), bool)
        chosen[list(masked)] = True
        texts = pc.replace_with_mask(texts, pa.array(chosen), pa.array(masked.values(), texts.type))
    return Masked(texts, items, taken, chars)


def of_rows(masked: Masked, row_M: NDArray[np.int64], texts: pa.Array) -> Masked:
    """Add up what M messages had for the N rows that they belong to, whose texts are given."""
    items: list[Counter[str]] = [Counter() for _ in range(len(texts))]
    for row, of_message in zip(row_M, masked.items, strict=True):
        items[row] += of_message
    taken, chars = np.zeros((2, len(texts)), np.int64)
    np.add.at(taken, row_M, masked.taken)
    np.add.at(chars, row_M, masked.chars)
    return Masked(texts, items, taken, chars)


def too_personal(masked: Masked, config: PrivacyConfig) -> tuple[NDArray[np.bool_], list[str | None]]:
    """Tell which of N texts are dropped as `personal_data`, and by how many items of which types; never which ones."""
    counts = np.array([sum(found.values()) for found in masked.items], np.int64)
    over = (counts > config.max_personal_items) | (masked.taken > config.max_personal_share * masked.chars)
    broken = (counts > 0) & (over | (config.personal_data == "drop"))
    details = [", ".join(f"{count} {type}" for type, count in sorted(found.items())) or None for found in masked.items]
    return broken, details


def mark_of(type: str, lang: str) -> str:
    """Return the mark of a type in a language."""
    return MARKS[type][lang not in ("zh-Hans", "zh-Hant", "lzh", "und")]


def _candidates(text: str) -> Iterator[Found]:
    """Run every recogniser on the stretches of a text that hold one of its words, or a long number."""
    if text and (_WORDS.find_matches_as_strings(text)):
        places: dict[int, list[tuple[int, int]]] = {}
        for word, start, end in _WORDS.find_matches_as_indexes(text, overlapping=True):
            for recogniser in _RECOGNISERS_OF[word]:
                places.setdefault(recogniser, []).append((start, end))
        for recogniser, spans in places.items():
            for start, end in _stretches(spans, len(text)):
                yield from _matches(WORDED[recogniser], text, start, end)
    numbers = [number.span() for number in _LONG_NUMBER.finditer(text)]
    for start, end in _stretches(numbers, len(text)):
        for number_recogniser in NUMBERED:
            yield from _matches(number_recogniser, text, start, end)


def _matches(recogniser: Recogniser, text: str, start: int, end: int) -> Iterator[Found]:
    for match in recogniser.pattern.finditer(text, start, end):
        if (span := recogniser.span(match)) is not None:
            yield Found(*span, recogniser.type)


def _stretches(spans: Sequence[tuple[int, int]], length: int) -> Iterator[tuple[int, int]]:
    """Widen spans, in order, by BEFORE_CHARS and BEHIND_CHARS, and join those that then touch."""
    first = last = -1
    for start, end in spans:
        if start - BEFORE_CHARS > last:
            if last > 0:
                yield first, last
            first = max(0, start - BEFORE_CHARS)
        last = max(last, min(length, end + BEHIND_CHARS))
    if last > 0:
        yield first, last


def forms_of(word: str) -> set[str]:
    """Return a word as it is, and if it is in lower case also in the ways it is capitalised: patient id, Patient ID."""
    if not word.islower():
        return {word}
    first, space, last = word.rpartition(" ")
    return {word, word.upper(), word.capitalize(), word.title(), first.capitalize() + space + last.upper()}


BEFORE_CHARS = 72  # from the start of a match to its word or to the seventh digit of its number
BEHIND_CHARS = 160  # from there to the end of what decides
_DIGITS = r"[0-9０-９](?:[ \x{3000}\-－–—‐.·()（）]{0,2}[0-9０-９]){6}"
_LONG_NUMBER = re.compile(_DIGITS.replace(r"\x{3000}", r"\u3000"))
NUMBERED = (*NUMBERS, *LABELLED_NUMBERS)
WORDED = (*EMAILS, *LABELLED_WORDS, *PERSON, *ADDRESSES)
_RECOGNISERS: dict[str, list[int]] = {}
for _place, _recogniser in enumerate(WORDED):
    for _word in _recogniser.words:
        for _form in sorted(forms_of(_word)):
            _RECOGNISERS.setdefault(_form, []).append(_place)
_SUSPECT = "|".join([_DIGITS, *map(re.escape, _RECOGNISERS)])  # for RE2, which is several times faster
_RECOGNISERS_OF = list(_RECOGNISERS.values())
_WORDS = ahocorasick_rs.AhoCorasick(list(_RECOGNISERS), implementation=ahocorasick_rs.Implementation.DFA)
