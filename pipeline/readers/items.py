"""What a reader yields: one item of a source, and how its blocks become a text with sections."""

import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

Span = dict[str, int]  # start, end

PARAGRAPH = 0  # the level of a block that is no heading
_HAN = r"\u2e80-\u2fdf\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WIDE = rf"[{_HAN}\u3000-\u30ff\uff00-\uffef]"
WIDE_BREAK = re.compile(rf"(?<={_WIDE})[ \t]*\n\s*(?={_WIDE})")  # the break of a line of Chinese: nothing, not a space
_WIDE_AT_END, _WIDE_AT_START = re.compile(_WIDE + r"$"), re.compile(_WIDE)

_RAISED = str.maketrans(
    "0123456789+-\u2212\u2013", "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079\u207a\u207b\u207b\u207b"
)
_RAISABLE = re.compile(r"[0-9+\-\u2212\u2013]{1,6}")


class Refused(Exception):
    """A file that cannot be read as a whole: the one exception that leaves a reader, and a drop reason in collect.

    Attributes:
        reason: the drop reason, a snake_case state.
        detail: what was found and, where there is something to do about it, what.
    """

    def __init__(self, reason: str, detail: str | None = None) -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True)
class Block:
    """A heading (level 1 is the outermost) or a paragraph (level 0) of a document.

    Attributes:
        line: a heading's line as the text has it, where that is more than the heading: marks before or behind it.
    """

    level: int
    text: str
    page: int | None = None
    line: str | None = None


@dataclass(frozen=True)
class Item:
    """One item of a source file: a document's text, or a dialogue's turns, or why there is neither.

    Attributes:
        native: the item's own id within its file; None when it has none, so that its content names it.
        sections: dicts of the record's SECTION fields.
        boilerplate: spans of whole lines of the text that are no part of what the document says.
        turns: (role, content) pairs of a ready-made dialogue.
    """

    native: str | None = None
    text: str = ""
    title: str | None = None
    url: str | None = None
    published: str | None = None
    sections: Sequence[dict[str, Any]] = ()
    boilerplate: Sequence[Span] = ()
    turns: Sequence[tuple[str, str]] = field(default=())
    drop_reason: str | None = None
    drop_detail: str | None = None


def named(names: str) -> frozenset[str]:
    """Return the set of names in a text with spaces between them."""
    return frozenset(names.split())


def one_line(text: str) -> str:
    """Return a text with every run of white space as one space."""
    return " ".join(text.split())


def join_lines(lines: Iterable[str]) -> str:
    """Join the lines of one paragraph: without a space between wide characters, else with one."""
    joined = ""
    for line in (part.strip() for part in lines):
        if (
            not joined
            or not line
            or _WIDE_AT_END.search(joined[-1:])
            or _WIDE_AT_START.match(line)
            or re.search(r"\w-$", joined[-2:])
        ):
            joined += line
        else:
            joined += " " + line
    return joined


def table_text(rows: Iterable[Sequence[str]], caption: str = "") -> str:
    """Lay a table out: its caption, then a line a row, cells between bars; empty cells keep their place."""
    lines = (" | ".join(map(one_line, row)).rstrip() for row in rows if any(cell.strip() for cell in row))
    return "\n".join(filter(None, (one_line(caption), *lines)))


def superscript(text: str) -> str:
    """Return raised digits as raised characters, so that 10 to the 9th does not turn into 109; other text as it is."""
    return text.translate(_RAISED) if _RAISABLE.fullmatch(text.strip()) else text


def compose(blocks: Iterable[Block]) -> tuple[str, list[dict[str, Any]]]:
    """Lay blocks out as one text, a blank line between two, and find its sections.

    A heading opens a section that lasts until the next heading of its level or above, be it an empty one. Where blocks
    have pages, each run of paragraphs on one page is a section without heading inside it, so that a page can be told.
    """
    text = io.StringIO()  # by far smaller than a list of paragraphs that are short
    length = 0
    sections: list[dict[str, Any]] = []
    open_headings: list[tuple[int, int]] = []  # (level, index into sections)
    open_page: int | None = None  # index into sections
    for block in blocks:
        body = one_line(block.line or block.text) if block.level else block.text.strip()
        if not body and not block.level:
            continue
        ended = length
        text.write(f"\n\n{body}" if length and body else body)
        length += len(body) + (2 if length and body else 0)
        start = length - len(body)
        same_page = open_page is not None and sections[open_page]["page"] == block.page
        if open_page is not None and (block.level or not same_page):
            sections[open_page]["end"], open_page = ended, None
        if block.level:
            while open_headings and open_headings[-1][0] >= block.level:
                sections[open_headings.pop()[1]]["end"] = ended
            if not body:
                continue
            open_headings.append((block.level, len(sections)))
            sections.append({"start": start, "end": start, "heading": one_line(block.text), "page": block.page})
        elif block.page is not None and open_page is None:
            open_page = len(sections)
            sections.append({"start": start, "end": start, "heading": "", "page": block.page})
    for index in [*(index for _, index in open_headings), *([] if open_page is None else [open_page])]:
        sections[index]["end"] = length
    return text.getvalue(), sections
