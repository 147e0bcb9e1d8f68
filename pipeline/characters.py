"""What each character is, and two kernels that read a column of texts in UTF-8 without making strings of it.

`untidy` finds the texts that are not yet as clean leaves them; `count` takes in one pass the figures that quality.py
judges by. Classes are those of the Unicode character database; the lists of marks are ours.
"""

import unicodedata
from functools import lru_cache
from itertools import chain

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

LETTER, DIGIT, SPACE, SYMBOL, MISSING, PAUSE, ODD, SIGN = (1 << bit for bit in range(8))
STOP, COMMA, CLOSER, WIDE_CLOSER = 0x2E, 0x3001, 0x29, 0xFF09  # behind the number of an item
NEWLINE, BLANK, STAR, DASH, BAR, BULLET, MOUTH = 0x0A, 0x20, 0x2A, 0x2D, 0x7C, 0x2022, 0x53E3

# Read as boxes for want of a glyph; private-use characters and U+FFFD count as well.
BOXES = "□■▯〓"
# Marks of ordinary prose, tables and lists; every other character that is no letter, digit or space is a symbol.
ORDINARY = "|,.;:!?'\"()-–—·，。；：！？、（）“”‘’《》〈〉「」『』【】〔〕%％°℃/~～+±<>≤≥=×[]&∶・−•*→①′″‰$"
PAUSES = ",.;:!?，。；：！？、．｡"
# What turns invisible text, odd white space and odd line ends into a reason to rewrite a text.
INVISIBLE = ((0x00, 0x09), (0x0E, 0x20), (0x7F, 0xA0), (0x200B, 0x2010), (0x202A, 0x202F), (0x2060, 0x2070))
INVISIBLE_SINGLE = (0xAD, 0x61C, 0xFEFF, 0xFFF9, 0xFFFA, 0xFFFB)
LINE_ENDS = (0x0B, 0x0C, 0x0D, 0x85, 0x2028, 0x2029)
SPACES = (0x09, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000)
ASSIGNED = (range(0x40000), range(0xE0000, 0xE1000))  # planes with characters; between and behind, none or private ones
SIGNS = "锛銆鐨ÃÂâïã"  # what UTF-8 looks like that was read as GBK or as Latin-1 (readers/mojibake.py)

CHARS, DENSE, LETTERS, SYMBOLS, MISSED, PAUSED, LINED, DOUBLED, COVERED, FRAMED = range(10)  # columns of `count`


@lru_cache(maxsize=1)
def classes() -> NDArray[np.uint8]:
    """Return the class bits of every code point, (0x110000,)."""
    table = np.full(0x110000, SYMBOL, np.uint8)
    table[0xF0000:0xFFFFE] = table[0x100000:0x10FFFE] = MISSING | SYMBOL  # for private use
    ordinary = frozenset(ORDINARY)
    for point in chain(*ASSIGNED):
        char = chr(point)
        category = unicodedata.category(char)
        if category in ("Cn", "Cs"):
            continue
        if category == "Co" or char in BOXES or point == 0xFFFD:
            table[point] = MISSING | SYMBOL
        elif category[0] == "L":
            table[point] = LETTER
        elif char.isalnum():
            table[point] = DIGIT
        elif char.isspace():
            table[point] = SPACE
        elif char in ordinary or category[0] == "M":
            table[point] = 0
    table[_composing()] |= ODD
    for start, end in INVISIBLE:
        table[start:end] |= ODD
    table[[*INVISIBLE_SINGLE, *LINE_ENDS, *SPACES]] |= ODD
    table[[ord(char) for char in PAUSES]] |= PAUSE
    table[[ord(char) for char in SIGNS]] |= SIGN
    return table


def _composing() -> list[int]:
    """Return the characters next to which a text may not be in NFC: those that NFC changes, and all that it joins."""
    found = set(range(0x1161, 0x1176)) | set(range(0x11A8, 0x11C3))  # Hangul vowels and finals
    for point in chain(*ASSIGNED):
        char = chr(point)
        if unicodedata.combining(char) or not unicodedata.is_normalized("NFC", char):
            found.add(point)
        parts = unicodedata.decomposition(char).split()
        if len(parts) == 2 and not parts[0].startswith("<"):
            found.add(int(parts[1], 16))
    return list(found)


def buffers(texts: pa.Array) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the UTF-8 bytes behind N strings and the (N + 1,) offsets at which they begin."""
    if not len(texts):
        return np.zeros(0, np.uint8), np.zeros(1, np.int64)
    _, offsets, data = texts.buffers()
    starts = np.frombuffer(offsets, np.int32, len(texts) + 1, texts.offset * 4).astype(np.int64)
    return np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8), starts


def untidy(texts: pa.Array) -> NDArray[np.bool_]:
    """Tell which of N texts have white space, invisible characters, mojibake or sequences that clean may rewrite.

    A text for which this is false is in NFC, has no white space but single spaces and line feeds, none around its
    lines, and no more than one empty line in a row.
    """
    data, offsets = buffers(texts)
    found = np.zeros(len(texts), np.bool_)
    _untidy(data, offsets, classes(), found)
    return found


def count(texts: pa.Array, ngram_chars: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count what quality rules need of N texts, each with its own length of n-grams.

    Returns:
        (N, 10), in characters: CHARS all; DENSE what is no white space, and of it LETTERS, SYMBOLS, MISSED glyphs,
        PAUSED commas and sentence ends; LINED all but line feeds, DOUBLED of them in lines that occurred before;
        COVERED of what is no white space in n-grams that occurred before, tables and lists aside; FRAMED in rows of
        tables and items of lists.
    """
    data, offsets = buffers(texts)
    counts = np.zeros((len(texts), 10), np.int64)
    _count(data, offsets, classes(), ngram_chars, counts)
    return counts


@njit(nogil=True, cache=True)
def point_at(data, at):  # type: ignore[no-untyped-def]
    """Decode the character at a byte of valid UTF-8: (code point, where the next one begins)."""
    byte = np.int64(data[at])
    if byte < 0x80:
        return byte, at + 1
    if byte < 0xE0:
        return (byte & 0x1F) << 6 | np.int64(data[at + 1] & 0x3F), at + 2
    if byte < 0xF0:
        return (byte & 0xF) << 12 | np.int64(data[at + 1] & 0x3F) << 6 | np.int64(data[at + 2] & 0x3F), at + 3
    high = (byte & 7) << 18 | np.int64(data[at + 1] & 0x3F) << 12
    return high | np.int64(data[at + 2] & 0x3F) << 6 | np.int64(data[at + 3] & 0x3F), at + 4


@njit(nogil=True, cache=True)
def _untidy(data, offsets, classes, found):  # type: ignore[no-untyped-def]
    for row in range(len(found)):
        at, end = offsets[row], offsets[row + 1]
        before, feeds, signs = np.int64(NEWLINE), 2, 0  # as if after an empty line: no white space may begin a text
        while at < end:
            point, at = point_at(data, at)
            kind = classes[point]
            signs += (kind & SIGN) != 0
            if kind & ODD or signs > 1:
                found[row] = True
                break
            if point == NEWLINE:
                feeds += 1
                if feeds > 2 or before == BLANK:
                    found[row] = True
                    break
            elif point == BLANK:
                if before in (BLANK, NEWLINE):
                    found[row] = True
                    break
            else:
                feeds = 0
            before = point
        if offsets[row] < end and (before in (BLANK, NEWLINE)):
            found[row] = True


@njit(nogil=True, cache=True)
def _count(data, offsets, classes, ngram_chars, counts):  # type: ignore[no-untyped-def]
    longest = 0
    for row in range(len(counts)):
        longest = max(longest, offsets[row + 1] - offsets[row])
    points = np.empty(longest + 1, np.int64)
    bits = 4
    while (1 << bits) < 2 * longest:
        bits += 1
    table, stamps = np.zeros(1 << bits, np.uint64), np.zeros(1 << bits, np.int64)
    stamp = 0
    for row in range(len(counts)):
        stamp += 2
        size = 0
        bits = 4
        while (1 << bits) < 2 * (offsets[row + 1] - offsets[row]):
            bits += 1
        here = counts[row]
        at, end = offsets[row], offsets[row + 1]
        line_start, line_hash, line_chars, bars, mouths, listed, numbered = 0, np.uint64(0), 0, 0, 0, False, False
        while at <= end:
            if at < end:
                point, at = point_at(data, at)
                here[CHARS] += 1
            else:
                point, at = np.int64(NEWLINE), end + 1
            if point == NEWLINE:
                if line_chars:
                    here[LINED] += line_chars
                    if _seen(table, stamps, bits, stamp, line_hash):
                        here[DOUBLED] += line_chars
                    if bars or listed:
                        here[FRAMED] += line_chars
                        size = line_start
                line_start, line_hash, line_chars, bars, mouths = size, np.uint64(0), 0, 0, 0
                continue
            line_chars += 1
            line_hash = (line_hash + np.uint64(point)) * np.uint64(0xFF51AFD7ED558CCD)
            bars += point == BAR
            kind = classes[point]
            if line_chars == 1:
                listed, numbered = point in (DASH, BULLET, STAR), kind & DIGIT != 0
            elif numbered and kind & DIGIT == 0:
                listed, numbered = listed or point in (STOP, COMMA, CLOSER, WIDE_CLOSER), False
            if kind & SPACE:
                continue
            here[DENSE] += 1
            here[LETTERS] += (kind & LETTER) != 0
            here[SYMBOLS] += (kind & SYMBOL) != 0
            here[PAUSED] += (kind & PAUSE) != 0
            here[MISSED] += (kind & MISSING) != 0
            mouths = mouths + 1 if point == MOUTH else 0  # 口口口 is how some conversions write boxes
            if mouths >= 3:
                here[MISSED] += 3 if mouths == 3 else 1
            points[size] = point
            size += 1
        here[COVERED] = _covered(points, size, ngram_chars[row], table, stamps, bits, stamp + 1)


@njit(nogil=True, cache=True)
def _covered(points, size, ngram, table, stamps, bits, stamp):  # type: ignore[no-untyped-def]
    """Count the characters in n-grams that occurred before, by a rolling hash (Karp and Rabin, 1987)."""
    factor, power, rolling = np.uint64(0x9E3779B97F4A7C15), np.uint64(1), np.uint64(0)
    for _ in range(ngram):
        power *= factor
    covered, until = 0, 0
    for place in range(size):
        rolling = rolling * factor + np.uint64(points[place])
        if place >= ngram:
            rolling -= power * np.uint64(points[place - ngram])
        if place >= ngram - 1 and _seen(table, stamps, bits, stamp, rolling):
            covered += place + 1 - max(until, place + 1 - ngram)
            until = place + 1
    return covered


@njit(nogil=True, cache=True)
def _seen(table, stamps, bits, stamp, key):  # type: ignore[no-untyped-def]
    """Tell whether a key is in the table under a stamp, and put it there; open addressing, at most half full."""
    mask = (1 << bits) - 1
    mixed = (key ^ (key >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
    place = np.int64(mixed >> np.uint64(64 - bits))
    while stamps[place] == stamp:
        if table[place] == key:
            return True
        place = (place + 1) & mask
    stamps[place] = stamp
    table[place] = key
    return False
