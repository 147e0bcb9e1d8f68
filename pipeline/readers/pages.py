"""Take the furniture of pages out of their text: running heads and feet, and page numbers.

A line that stands at the same edge of many pages, its numbers aside, is a running head; a number alone is a page's
where numbers at that edge count the pages. What is taken out is layout, not text, so that a sentence reads on from one
page to the next.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence

from pipeline.readers.wraps import SENTENCE_END

_MAX_DEPTH = 2  # lines of furniture at an edge
_MAX_HEAD_CHARS = 150
_MAX_NEEDED = 5  # pages with the same line are enough, be the book ever so long
_NEEDED = 0.3  # share of pages with the same line
_COUNTING = 0.6  # share of numbered edges that count the pages
_NUMBER = re.compile(r"\d{1,5}")
_ONLY_NUMBER = re.compile(
    r"[-–—·.\s\[\](]*(?:pages?|pg\.?|p\.|第)?\s*#\s*(?:(?:/|of|页|頁|，|,|共|\s)+#)?\s*[页頁]?[-–—·.\s\[\])]*",
    re.IGNORECASE,
)


def without_running(pages: Sequence[Sequence[str]]) -> tuple[list[list[str]], list[int]]:
    """Take running heads, feet and page numbers out of N pages of lines.

    Returns:
        The pages' lines, without blank ones at the edges, and the pages' numbers: as printed where the heads count
        the pages without a gap, else from 1.
    """
    stripped = [_without_blank(list(page)) for page in pages]
    printed: list[int | None] = [None] * len(stripped)
    if len(stripped) > 1:
        for edge in (0, -1):
            for _ in range(_MAX_DEPTH):
                if not _strip_edge(stripped, edge, printed):
                    break
    offsets = {number - index for index, number in enumerate(printed) if number is not None}
    known = sum(number is not None for number in printed)
    first = offsets.pop() if len(offsets) == 1 and 2 * known > len(printed) else 1
    return stripped, [first + index for index in range(len(stripped))]


def read_on(pages: Sequence[Sequence[str]], numbers: Sequence[int]) -> Iterator[tuple[str, int]]:
    """Yield the lines of pages with their page's number, a blank line before each page that begins a sentence."""
    before = ""
    for page, number in zip(pages, numbers, strict=True):
        if not page or not before or not _flows(before, page[0]):
            yield "", number
        for line in page:
            yield line, number
        before = page[-1] if page else before


def _flows(before: str, after: str) -> bool:
    start = after.strip()[:1]
    if after[:1] in " \t　" or SENTENCE_END.search(before[-8:]):
        return False
    return not start.isupper() or before.rstrip()[-1:] in "-,"


def _strip_edge(pages: list[list[str]], edge: int, printed: list[int | None]) -> bool:
    """Take one line of furniture off an edge (0 or -1) of each page that has it; tell whether there was any."""
    keys = [_key(page[edge]) if page else None for page in pages]
    counts = Counter(key for key in keys if key)
    needed = max(2, min(_MAX_NEEDED, math.ceil(_NEEDED * len(pages))))
    numbers = [_number(page[edge]) if key else None for key, page in zip(keys, pages, strict=True)]
    offsets = Counter(
        number - index
        for index, (key, number) in enumerate(zip(keys, numbers, strict=True))
        if key and number is not None and _ONLY_NUMBER.fullmatch(key)
    )
    counting = bool(offsets) and max(offsets.values()) >= max(2, _COUNTING * offsets.total())
    found = False
    for index, (page, key) in enumerate(zip(pages, keys, strict=True)):
        if not key or not (counting if _ONLY_NUMBER.fullmatch(key) else counts[key] >= needed):
            continue
        if numbers[index] is not None and (printed[index] is None or _ONLY_NUMBER.fullmatch(key)):
            printed[index] = numbers[index]
        del page[edge]
        pages[index] = _without_blank(page)
        found = True
    return found


def _key(line: str) -> str | None:
    """Return a line with each number as #, so that heads of different pages are the same; None for too long a line."""
    return None if len(line) > _MAX_HEAD_CHARS else " ".join(_NUMBER.sub("#", line).split()).lower()


def _number(line: str) -> int | None:
    found = _NUMBER.findall(line)
    return int(found[0]) if found and (len(found) == 1 or _ONLY_NUMBER.fullmatch(_NUMBER.sub("#", line))) else None


def _without_blank(lines: list[str]) -> list[str]:
    filled = [number for number, line in enumerate(lines) if line and not line.isspace()]
    return lines[filled[0] : filled[-1] + 1] if filled else []
