"""Read a PDF page by page with pypdf: its text in reading order, its headings by size, and what no text can be had of.

Each page has a status. `text`; `columns`, where two columns of prose were drawn line by line across the page and are
put in order again; `blank`; or why it is refused: `no_text_layer` (pictures, or letters drawn as outlines),
`garbled_fonts` (characters without a meaning: cid codes, private use, replacements, or letters that make no words) and
`unreadable`.
A refused page is a dropped row of its own beside the document of the others, so that every page is accounted for; a
file of which no page is left is refused whole. Running heads, wraps and hyphens are undone as in a text (text.py).

What a hostile file can cost is bounded: pypdf bounds a stream's size and nesting, we the drawing operations of a file.
"""

import io
import logging
import re
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from statistics import median
from typing import Any

import pypdf

from pipeline.readers.items import Item, Refused, compose, one_line
from pipeline.readers.pages import read_on, without_running
from pipeline.readers.text import lines_blocks
from pipeline.readers.wraps import columns

ADVICE = {
    "no_text_layer": "run MinerU or PaddleOCR on it and give us the JSON or Markdown they write",
    "garbled_fonts": "its fonts do not say what their characters are; run MinerU or PaddleOCR on it",
    "unreadable": "save it anew, as with qpdf or a printer to PDF",
}
_MAX_PAGES = 20_000
_MAX_OPERATIONS = 10_000_000  # of a file; a page of text has a few thousand
_BROKEN_PAGE = 200_000  # what a page that cannot be read is counted as
_MAX_CHARS = 1 << 26
_OUTLINE_OPERATIONS = 200  # curves and lines of a page whose letters are drawn
_MAX_GARBLED = 0.1  # share of characters
_MIN_VOWELS = 0.18  # share of Latin letters; English has 0.38, Polish and Czech at least 0.3
_MIN_LATIN = 100  # letters that are enough to tell
_GARBLED = re.compile(r"\(cid:\d+\)|[\ufffd\ue000-\uf8ff\x00-\x08\x0e-\x1f]|/[A-Za-z]{1,3}\d{1,4}(?=/)")
_HEADING_SIZE = 1.15  # times the size of most of the text
_MAX_HEADING_CHARS = 120
_GAP = 1.5  # times the distance of most lines: a new paragraph
_MIN_COLUMN_LINES = 8


@dataclass(frozen=True)
class Line:
    """A line of a page: where it begins, in points from the lower left corner, and the size of its letters."""

    text: str
    x: float
    y: float
    size: float


@dataclass(frozen=True)
class Page:
    """A page's lines in reading order, and its status."""

    lines: Sequence[Line]
    status: str


def read_pdf(data: bytes) -> Iterator[Item]:
    """Yield the document of a PDF's readable pages, and a dropped item for each page that is refused."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("pypdf").setLevel(logging.CRITICAL)
        try:
            pages, title = _read_pages(data)
        except Refused:
            raise
        except Exception as error:  # whatever a broken file makes pypdf raise
            raise Refused("unreadable", f"{type(error).__name__}; {ADVICE['unreadable']}") from None
    refused = [(number, page.status) for number, page in enumerate(pages, 1) if page.status in ADVICE]
    if not any(page.lines for page in pages if page.status not in ADVICE):
        counts = Counter(status for _, status in refused)
        if not counts:
            raise Refused("empty", f"{len(pages)} blank pages")
        reason = counts.most_common(1)[0][0]
        raise Refused(reason, f"{counts[reason]} of {len(pages)} pages; {ADVICE[reason]}")
    yield _document(pages, title)
    for number, status in refused:
        yield Item(native=f"page-{number}", drop_reason=status, drop_detail=f"page {number}; {ADVICE[status]}")


def _read_pages(data: bytes) -> tuple[list[Page], str | None]:
    reader = pypdf.PdfReader(io.BytesIO(data))
    if reader.is_encrypted and not reader.decrypt(""):
        raise Refused("encrypted", "it needs a password; save it without one")
    if len(reader.pages) > _MAX_PAGES:
        raise Refused("too_large", f"{len(reader.pages)} pages, more than {_MAX_PAGES}; split the file")
    pages: list[Page] = []
    operations = chars = 0
    for index in range(len(reader.pages)):
        try:
            page, cost = _read_page(reader.pages[index], _MAX_OPERATIONS - operations)
        except Exception:  # of one page; the others may be sound
            page, cost = Page((), "unreadable"), _BROKEN_PAGE
        operations += cost
        chars += sum(len(line.text) for line in page.lines)
        if operations >= _MAX_OPERATIONS:
            raise Refused("unreadable", f"more than {_MAX_OPERATIONS} drawing operations; {ADVICE['unreadable']}")
        if chars > _MAX_CHARS:
            raise Refused("too_large", f"more than {_MAX_CHARS} characters; split the file")
        pages.append(page)
    title = reader.metadata.title if reader.metadata else None
    return pages, one_line(str(title)) if title and _reads(str(title)) else None


def _reads(title: str) -> bool:
    """Tell whether a title in a file's properties is one, and not what a program puts there."""
    return not re.search(
        r"^untitled$|^microsoft word|\.(?:docx?|pdf|indd|qxd|tex|dvi)$|^\W*$", title.strip(), re.IGNORECASE
    )


def _read_page(page: Any, budget: int) -> tuple[Page, int]:
    """Return a page and the number of operations that draw it."""
    fragments: list[tuple[str, float, float, float]] = []
    drawn: Counter[str] = Counter()

    def count(operator: bytes, *_: object) -> None:
        drawn["all"] += 1
        if operator in (b"Do", b"BI", b"INLINE IMAGE"):
            drawn["pictures"] += 1
        elif operator in (b"c", b"v", b"y", b"l"):
            drawn["outlines"] += 1
        if drawn["all"] > budget:
            raise Refused("unreadable")

    def place(text: str, cm: Sequence[float], tm: Sequence[float], font: object, size: float) -> None:
        if text:
            x = tm[4] * cm[0] + tm[5] * cm[2] + cm[4]
            y = tm[4] * cm[1] + tm[5] * cm[3] + cm[5]
            scale = abs((tm[3] or tm[1]) * (cm[3] or cm[1])) or 1.0
            fragments.append((text, x, y, round(size * scale, 1)))

    page.extract_text(visitor_operand_before=count, visitor_text=place)
    lines = _lines(fragments)
    text = "".join(line.text for line in lines)
    dense = "".join(text.split())
    if not dense:
        outlined = drawn["pictures"] > 0 or drawn["outlines"] >= _OUTLINE_OPERATIONS
        return Page((), "no_text_layer" if outlined else "blank"), drawn["all"]
    if is_garbled(dense):
        return Page((), "garbled_fonts"), drawn["all"]
    ordered = _in_columns(lines)
    return Page(ordered or lines, "columns" if ordered else "text"), drawn["all"]


def _lines(fragments: Sequence[tuple[str, float, float, float]]) -> list[Line]:
    """Cut the run of fragments of a page into its lines."""
    lines: list[Line] = []
    text, at = "", (0.0, 0.0, 0.0)
    for part, *place in fragments:
        for number, piece in enumerate(part.split("\n")):
            if number and text.strip():
                lines.append(Line(text.strip(), *at))
            text = piece if number else text + piece
            if (piece.strip() and text == piece) or not text[: len(text) - len(piece)].strip():
                at = (place[0], place[1], place[2])
    return [*lines, Line(text.strip(), *at)] if text.strip() else lines


def is_garbled(dense: str) -> bool:
    """Tell whether characters, without white space, are none that a text has."""
    if sum(map(len, _GARBLED.findall(dense))) > _MAX_GARBLED * len(dense):
        return True
    latin = re.findall(r"[A-Za-z]", dense)
    vowels = sum(letter in "aeiouyAEIOUY" for letter in latin)
    return len(latin) >= max(_MIN_LATIN, len(dense) // 2) and vowels < _MIN_VOWELS * len(latin)


def _in_columns(lines: Sequence[Line]) -> list[Line] | None:
    """Put two columns that were drawn across the page in order; None where there are none, or they are in order."""
    starts = Counter(round(line.x) for line in lines)
    if len(starts) < 2:
        return None
    (left, _), (right, fewest) = sorted(starts.most_common(2))[0], sorted(starts.most_common(2))[1]
    fewest = min(starts[left], starts[right])
    if fewest < _MIN_COLUMN_LINES or 2 * (starts[left] + starts[right]) < len(lines):
        return None
    first = [line for line in lines if round(line.x) == left]
    reach = median(line.x + columns(line.text) * line.size * 0.5 for line in first)
    if not 0.6 < (reach - left) / (right - left) < 1.15:  # cells of a table are shorter, lines of a page longer
        return None
    sides = [round(line.x) >= right for line in lines]
    if 3 * sum(before != after for before, after in pairwise(sides)) < fewest:
        return None
    ordered: list[Line] = []
    band: list[Line] = []
    for line in sorted(lines, key=lambda line: -line.y):
        across = line.x < right and line.x + columns(line.text) * line.size * 0.5 > right + 0.2 * (right - left)
        if across:
            ordered += [*sorted(band, key=lambda line: (line.x >= right - 1, -line.y)), line]
            band = []
        else:
            band.append(line)
    return [*ordered, *sorted(band, key=lambda line: (line.x >= right - 1, -line.y))]


def _document(pages: Sequence[Page], title: str | None) -> Item:
    """Compose the readable pages: paragraphs by the distance of lines, headings by the size of letters."""
    read = [[] if page.status in ADVICE else list(page.lines) for page in pages]
    levels = _heading_sizes([line for lines in read for line in lines])
    headings: dict[str, int] = {}
    texts = [_page_lines(lines, levels, headings) for lines in read]
    stripped, _ = without_running(texts)
    lines = list(read_on(stripped, range(1, len(stripped) + 1)))
    blocks = list(lines_blocks([line for line, _ in lines], [page for _, page in lines], headings))
    text, sections = compose(blocks)
    first = next((block.text for block in blocks if block.level == 1), None)
    return Item(text=text, sections=sections, title=title or first)


def _heading_sizes(lines: Sequence[Line]) -> dict[float, int]:
    """Map each size of letters that is a heading's to its level: the largest is 1."""
    chars: Counter[float] = Counter()
    for line in lines:
        chars[line.size] += len(line.text)
    body = chars.most_common(1)[0][0]
    larger = sorted((size for size in chars if size >= _HEADING_SIZE * body), reverse=True)
    rare = [size for size in larger if chars[size] < 0.2 * chars.total()]
    return {size: min(rank, 6) for rank, size in enumerate(rare, 1)}


def _page_lines(lines: Sequence[Line], levels: Mapping[float, int], headings: dict[str, int]) -> list[str]:
    """Return a page's lines, blank ones between its paragraphs; a heading's are one, and noted with its level."""
    gaps = [before.y - after.y for before, after in pairwise(lines) if before.y > after.y]
    usual = median(gaps) if gaps else 0.0
    out: list[str] = []
    before: Line | None = None
    for level, run in groupby(lines, key=lambda line: levels.get(line.size)):
        group = list(run)
        if level is not None and len(heading := one_line(" ".join(line.text for line in group))) <= _MAX_HEADING_CHARS:
            headings[heading] = level
            out += ["", heading, ""]
            before = None
            continue
        for line in group:
            if before is not None and usual and before.y - line.y > _GAP * usual:
                out.append("")
            out.append(line.text)
            before = line
    return out
