"""Lay a tree of HTML out as blocks: what a reader of the page sees, in order, for web pages and the chapters of EPUBs.

Only events of one walk are used, never recursion, so that the depth of a page costs nothing.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from lxml import etree

from pipeline.readers.items import PARAGRAPH, WIDE_BREAK, Block, named, one_line, superscript, table_text

_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_BREAKS = named(
    "p div section article main header footer aside nav form fieldset details summary figure figcaption "
    "caption blockquote address center table thead tbody tfoot tr td th hr body title"
)
_LISTS = frozenset(("ul", "ol", "dl", "menu"))
_ITEMS = frozenset(("li", "dt", "dd"))
_UNSEEN = named(
    "script style noscript template iframe object embed applet svg canvas audio "
    "video map head button select datalist textarea input rt rp"
)
_FURNITURE_TAGS = ("nav", "footer", "aside")
_FURNITURE_ROLES = named("navigation banner contentinfo search complementary dialog menu")
_FURNITURE_CLASSES = named(
    "nav navbar menu breadcrumb breadcrumbs sidebar footer cookie cookies share social ad ads advert "
    "advertisement banner sponsor sponsored promo popup newsletter comments comment-list disqus_thread "
    "related recommend pagination navigation toolbar copyright friend-links"
)
_HIDING_CLASSES = named("sr-only visually-hidden screen-reader-text d-none mw-editsection")
_HIDING_STYLE = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0(?![.\d])", re.IGNORECASE)
_INVISIBLE = re.compile("[\u00ad\u200b\ufeff\x00]")
_SPACES, _PARAGRAPH_BREAK = re.compile(r"\s+"), re.compile(r"\n\s*\n")
_MAX_HEADING_CHARS = 200  # longer ones are paragraphs set large
_MAX_SPAN = 50  # columns or rows that one cell may be said to span
_MAX_COLUMNS = 200  # of a row, that spans may widen it to


@dataclass(frozen=True)
class Piece:
    """A block of a page, what it is (a heading, paragraph, caption, list, table or code), and its linked characters."""

    block: Block
    kind: str
    linked: int


def remove_unseen(page: etree._Element, *, furniture: bool) -> None:
    """Empty the elements of a page that a reader does not see and, if told to, those around an article.

    Elements are emptied, not taken out: joining the text behind each to the text before would be quadratic.
    """
    tags = sorted(_UNSEEN.union(_FURNITURE_TAGS) if furniture else _UNSEEN)
    told = page.xpath("//*[@hidden or @aria-hidden or @style or @class or @id or @role]")
    for element in [*page.iter(*tags), *told]:
        if element.tag in tags or _hidden(element) or (furniture and _furniture(element)):
            element.clear(keep_tail=True)
            element.tag = "span"


def _hidden(element: etree._Element) -> bool:
    return (
        element.get("hidden") is not None
        or (element.get("aria-hidden") or "").lower() == "true"
        or _HIDING_STYLE.search(element.get("style") or "") is not None
        or not _HIDING_CLASSES.isdisjoint((element.get("class") or "").lower().split())
    )


def _furniture(element: etree._Element) -> bool:
    if element.tag in ("html", "body", "main", "article"):
        return False
    names = {*(element.get("class") or "").lower().split(), (element.get("id") or "").lower()}
    is_named = (element.get("role") or "").lower() in _FURNITURE_ROLES or not names.isdisjoint(_FURNITURE_CLASSES)
    return is_named and next(element.iter("h1", "main", "article"), None) is None


def pieces_of(body: etree._Element) -> Iterator[Piece]:
    """Yield the pieces below an element, in order."""
    page = _Page()
    walk = etree.iterwalk(body, events=("start", "end"))
    for event, element in walk:
        tag = _name(element)
        if event == "end":
            page.leave(tag)
            if element is not body:
                page.write(element.tail)
        elif tag == "table" and (rows := _data_rows(element)) is not None:
            page.put(table_text(rows, caption=_flat(element.find("{*}caption"))), "table")
            walk.skip_subtree()
        elif tag == "pre":
            for part in re.split(r"\n[ \t]*\n", "".join(element.itertext()).replace("\r", "")):
                page.put(_INVISIBLE.sub("", part).strip("\n"), "code")
            walk.skip_subtree()
        elif tag == "sup" and _is_mark(element, inside_link=page.links > 0):
            walk.skip_subtree()
        elif tag == "sup" and len(element) == 0:
            page.write(superscript(element.text or ""))
            walk.skip_subtree()
        else:
            page.enter(tag, links=tag == "a" and element.get("href") is not None, first=_first(element, tag))
            page.write(element.text)
        yield from page.done()
    page.flush()
    yield from page.done()


@dataclass
class _Page:
    """The block being written: the open paragraph or heading, and inside lists the lines of the outermost one."""

    parts: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    finished: list[Piece] = field(default_factory=list)
    counters: list[int | None] = field(default_factory=list)  # one an open list; None where items have no number
    marker: str | None = None  # of the list item being written
    level: int = PARAGRAPH
    links: int = 0  # links that are open
    linked: int = 0
    anchors: list[bool] = field(default_factory=list)
    captions: int = 0  # of figures, that are open

    def write(self, text: str | None) -> None:
        if text:
            clean = _SPACES.sub(" ", WIDE_BREAK.sub("", _INVISIBLE.sub("", text)))
            self.parts.append(clean)
            if self.links:
                self.linked += len(clean.strip())

    def enter(self, tag: str, *, links: bool, first: int | None) -> None:
        if tag in _HEADINGS:
            self.flush()
            self.level = _HEADINGS[tag]
        elif tag in _LISTS:
            if not self.counters:
                self.flush()
            self._end_item()
            self.counters.append(None if first is None else first - 1)
        elif tag in _ITEMS and self.counters:
            self._enter_item(tag)
        elif tag == "br":
            self.parts.append("\n" if not self.counters else " ")
        elif tag in _BREAKS or tag in _ITEMS:
            self._break()
            self.captions += tag == "figcaption"
        elif tag == "a":
            self.anchors.append(links)
            self.links += links

    def leave(self, tag: str) -> None:
        if tag in _HEADINGS:
            self.flush()
        elif tag in _LISTS and self.counters:
            self._end_item()
            self.counters.pop()
            if not self.counters:
                self.flush()
        elif tag in _ITEMS and self.counters:
            if tag != "dt":
                self._end_item()
        elif tag in _BREAKS or tag in _ITEMS:
            self._break()
            self.captions -= tag == "figcaption"
        elif tag == "a" and self.anchors:
            self.links -= self.anchors.pop()

    def put(self, text: str, kind: str) -> None:
        """Write a block that was laid out elsewhere, behind what is open."""
        self.flush()
        if text.strip():
            self.finished.append(Piece(Block(PARAGRAPH, text), kind, 0))

    def flush(self) -> None:
        """Finish the open paragraph, heading and list."""
        if self.counters or self.lines:
            self._end_item()
            if self.lines:
                self.finished.append(Piece(Block(PARAGRAPH, "\n".join(self.lines)), "list", self.linked))
            self.lines.clear()
            self.marker = None
        else:
            self._end_paragraph()
        self.level, self.linked = PARAGRAPH, 0

    def done(self) -> Iterator[Piece]:
        yield from self.finished
        self.finished.clear()

    def _break(self) -> None:
        if self.counters or self.level:
            self.parts.append(" ")
        else:
            self.flush()

    def _enter_item(self, tag: str) -> None:
        if tag == "dd" and self.marker is not None and "".join(self.parts).strip():
            self.parts.append(": ")
            return
        self._end_item()
        counter = self.counters[-1]
        self.counters[-1] = None if counter is None else counter + 1
        self.marker = "- " if counter is None else f"{counter + 1}. "

    def _end_item(self) -> None:
        text = one_line("".join(self.parts))
        self.parts.clear()
        if not text:
            return
        if self.level:
            self._finish_heading(text)
        elif self.counters or self.lines:
            self.lines.append((self.marker or "- ") + text)
        self.marker = None

    def _end_paragraph(self) -> None:
        if not self.parts:
            return
        text = "".join(self.parts)
        self.parts.clear()
        if self.level:
            self._finish_heading(one_line(text))
            return
        for part in _PARAGRAPH_BREAK.split(text) if "\n" in text else (text,):
            body = "\n".join(filter(None, map(one_line, part.split("\n"))))
            if body:
                kind = "caption" if self.captions else "paragraph"
                self.finished.append(Piece(Block(PARAGRAPH, body), kind, self.linked))

    def _finish_heading(self, text: str) -> None:
        if self.lines:
            self.finished.append(Piece(Block(PARAGRAPH, "\n".join(self.lines)), "list", self.linked))
            self.lines.clear()
        if text and len(text) <= _MAX_HEADING_CHARS:
            self.finished.append(Piece(Block(self.level, text.rstrip(" ¶")), "heading", self.linked))
        elif text:
            self.finished.append(Piece(Block(PARAGRAPH, text), "paragraph", self.linked))


def _name(element: etree._Element) -> str:
    return str(element.tag).rpartition("}")[2].lower()


def _first(element: etree._Element, tag: str) -> int | None:
    """Return the number of a list's first item, None where its items have none."""
    start = (element.get("start") or "").strip()
    return None if tag != "ol" else int(start) if re.fullmatch(r"[0-9]{1,6}", start) else 1


def _is_mark(sup: etree._Element, *, inside_link: bool) -> bool:
    """Tell whether raised text is a mark that leads to a note."""
    link = sup.find("{*}a")
    return inside_link or (link is not None and (link.get("href") or "").startswith("#"))


def _flat(element: etree._Element | None) -> str:
    return "" if element is None else " ".join(one_line(piece.block.text) for piece in pieces_of(element))


def _data_rows(table: etree._Element) -> list[list[str]] | None:
    """Return the cells of a table of data by row; None for one that only places things on the page."""
    if next(table.iterdescendants("{*}table", "{*}h1", "{*}h2", "{*}h3", "{*}h4", "{*}pre"), None) is not None:
        return None
    rows = [list(row.iterchildren("{*}td", "{*}th")) for row in table.iter("{*}tr")]
    marked = next(table.iter("{*}th", "{*}caption", "{*}thead"), None) is not None
    widths = [len(row) for row in rows if row]
    if not widths or not (marked or (len(widths) > 1 and min(widths) == max(widths) > 1)):
        return None
    return spread_cells(
        [[(_flat(cell), _span(cell, "colspan"), _span(cell, "rowspan")) for cell in row] for row in rows]
    )


def spread_cells(rows: list[list[tuple[str, int, int]]]) -> list[list[str]]:
    """Give each of R rows of (text, columns, rows) a cell a column: rows repeat a text that spans them."""
    below: dict[int, tuple[str, int]] = {}  # column -> text that goes on, rows it still has
    laid: list[list[str]] = []
    for row in rows:
        cells: list[str] = []

        def fill(cells: list[str] = cells) -> None:
            while len(cells) in below:
                text, left = below.pop(len(cells))
                if left > 1:
                    below[len(cells)] = (text, left - 1)
                cells.append(text)

        for text, wide, high in row:
            fill()
            roomy = len(cells) + wide <= _MAX_COLUMNS
            if high > 1 and roomy:
                below[len(cells)] = (text, high)
                fill()
            else:
                cells.append(text)
            cells += [""] * (wide - 1) * roomy
        fill()
        laid.append(cells)
    return laid


def _span(cell: etree._Element, name: str) -> int:
    value = (cell.get(name) or "").strip()
    return min(max(1, int(value)), _MAX_SPAN) if value.isascii() and value.isdigit() and len(value) < 9 else 1
