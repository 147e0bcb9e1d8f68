"""What of a text counts when two are compared: a table from each character to letters, and the kernel that applies it.

A character stands for the letters and digits that its compatibility decomposition leaves (Unicode Standard Annex 15),
without accents, without case, traditional Chinese as simplified (the one-to-one part of OpenCC's dictionary, so that
it needs no words). All else counts for nothing. One character at a time, so that a table of 2^18 entries does it at
the speed of decoding UTF-8; letters lie below U+40000.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import opencc
import pyarrow as pa
from numba import njit, types
from numpy.typing import NDArray

Fold = Literal["compatibility", "case", "simplified"]
FOLDS: tuple[Fold, ...] = ("compatibility", "case", "simplified")

END_OF_LETTERS = 0x40000  # code points from here on are no letters
SPILLS = 1 << 31  # marks an entry that is several letters: the place of the first in `spill` << 2 | how many - 1
HAN = ((0x3400, 0xA000), (0xF900, 0xFB00), (0x20000, END_OF_LETTERS))

BYTES = types.Array(types.uint8, 1, "C", readonly=True)
OFFSETS = types.Array(types.int64, 1, "C", readonly=True)
TABLE = types.Array(types.uint32, 1, "C", readonly=True)
POINTS = types.uint32[::1]
# Unsigned all through: of a signed index numba asks each time whether it counts from the end.
ONE, TWO, THREE, FOUR, SIX, TWELVE, EIGHTEEN = (np.uint64(number) for number in (1, 2, 3, 4, 6, 12, 18))
THREE_BITS, FOUR_BITS, FIVE_BITS, SIX_BITS = (np.uint64(number) for number in (0x7, 0xF, 0x1F, 0x3F))


@dataclass(frozen=True)
class Letters:
    """What each character counts as. `table` (END_OF_LETTERS,): 0 nothing, a code point, or a place in `spill`."""

    table: NDArray[np.uint32]
    spill: NDArray[np.uint32]


@lru_cache(maxsize=4)
def letters_of(folds: tuple[Fold, ...] = FOLDS) -> Letters:
    """Build the table of the given folds; letters and digits alone count in any case."""
    table = np.zeros(END_OF_LETTERS, np.uint32)
    spill: list[int] = []
    simple = _simplified() if "simplified" in folds else {}
    for point in range(END_OF_LETTERS):
        char = chr(point)
        folded = _folded(char, folds) if char.isalnum() or unicodedata.decomposition(char) else ""
        # An output never longer than the UTF-8 that it came from: of the few ligatures that are, the first letters.
        letters = [ord(simple.get(letter, letter)) for letter in folded][: len(char.encode("utf-8", "replace"))]
        if len(letters) == 1:
            table[point] = letters[0]
        elif letters:
            table[point] = SPILLS | len(spill) << 2 | (len(letters) - 1)
            spill += letters
    return Letters(table, np.array(spill or [0], np.uint32))


def _folded(char: str, folds: Sequence[Fold]) -> str:
    if "case" in folds:
        char = char.casefold()
    if "compatibility" in folds:
        parts = unicodedata.normalize("NFKD", char)
        char = unicodedata.normalize("NFKC", "".join(part for part in parts if unicodedata.category(part)[0] != "M"))
        if "case" in folds:
            char = char.casefold()
    return "".join(letter for letter in char if letter.isalnum())


def _simplified() -> dict[str, str]:
    """Map traditional characters to simplified ones that stay as they are when mapped again."""
    han = [chr(point) for start, end in HAN for point in range(start, end) if chr(point).isalnum()]
    convert = opencc.OpenCC("t2s").convert
    once = dict(zip(han, convert("\n".join(han)).split("\n"), strict=True))
    once = {char: simple for char, simple in once.items() if simple != char and len(simple) == 1}
    settled = {}
    for char in once:
        seen = [char]
        while (further := once.get(seen[-1], seen[-1])) not in seen:
            seen.append(further)
        settled[char] = seen[-1] if further == seen[-1] else min(seen[seen.index(further) :])
    return settled


def buffers_of(texts: pa.Array) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the bytes of N strings or binaries, end to end, and the (N + 1,) offsets at which they begin; no copy."""
    large = pa.types.is_large_string(texts.type) or pa.types.is_large_binary(texts.type)
    width = np.int64 if large else np.int32
    _, offsets, data = texts.buffers()
    if len(texts) == 0 or offsets is None:
        return np.zeros(0, np.uint8), np.zeros(len(texts) + 1, np.int64)
    starts = np.frombuffer(offsets, width, len(texts) + 1, texts.offset * np.dtype(width).itemsize).astype(np.int64)
    return (np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8)), starts


def fold_text(text: str, folds: tuple[Fold, ...] = FOLDS) -> str:
    """Return what of one text counts; a text without letters and digits counts as it stands."""
    data = np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8)
    letters, points = letters_of(folds), np.empty(len(data) + 1, np.uint32)
    count = read_letters(data, 0, len(data), letters.table, letters.spill, points)
    return points[:count].tobytes().decode("utf-32-le", "surrogatepass")


@njit(types.UniTuple(types.uint64, 2)(BYTES, types.uint64, types.uint64), nogil=True, cache=True)  # type: ignore[no-untyped-call]
def _point_at(data, at, end):  # type: ignore[no-untyped-def]
    """Decode the character at a byte: (code point, where the next one begins)."""
    byte = np.uint64(data[at])
    if byte < 0x80:
        return byte, at + ONE
    if byte < 0xE0 and at + ONE < end:
        return (byte & FIVE_BITS) << SIX | (data[at + ONE] & SIX_BITS), at + TWO
    if byte < 0xF0 and at + TWO < end:
        high = (byte & FOUR_BITS) << TWELVE | (data[at + ONE] & SIX_BITS) << SIX
        return high | (data[at + TWO] & SIX_BITS), at + THREE
    if at + THREE < end:
        high = (byte & THREE_BITS) << EIGHTEEN | (data[at + ONE] & SIX_BITS) << TWELVE
        return high | (data[at + TWO] & SIX_BITS) << SIX | (data[at + THREE] & SIX_BITS), at + FOUR
    return np.uint64(0), end  # bytes that are no UTF-8


@njit(types.uint64(types.uint32, TABLE, POINTS, types.uint64), nogil=True, cache=True)
def _write(letter, spill, points, count):  # type: ignore[no-untyped-def]
    """Write what an entry of the table stands for at `count`, and return how many letters there are then."""
    if letter < SPILLS:  # without a branch on 0, as spaces come at no rhythm that a processor could foresee
        points[count] = letter
        return count + np.uint64(letter != 0)
    first = np.uint64(letter ^ np.uint32(SPILLS)) >> TWO
    for place in range(first, first + np.uint64(letter & np.uint32(3)) + ONE):
        points[count] = spill[place]
        count += ONE
    return count


@njit(types.int64(BYTES, types.int64, types.int64, TABLE, TABLE, POINTS), nogil=True, cache=True)
def read_letters(data, start, end, table, spill, points):  # type: ignore[no-untyped-def]
    """Write the letters of data[start:end] to `points`, which has room for a letter a byte, and return how many.

    A text without any is written as it stands, so that "?!" and "…" stay two texts.
    """
    at, stop, count = np.uint64(start), np.uint64(end), np.uint64(0)
    while at < stop:
        point, at = _point_at(data, at, stop)
        if point < END_OF_LETTERS:
            count = _write(table[point], spill, points, count)
    if count == 0:
        at = np.uint64(start)
        while at < stop:
            point, at = _point_at(data, at, stop)
            points[count] = point
            count += ONE
    return np.int64(count)
