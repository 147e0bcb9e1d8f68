"""Read a plain text file: undo hard wraps, recognise headings, note pages by form feeds.

A file is taken to be hard-wrapped when many of its lines end within a few columns of one width and most of those
do not end a sentence. A wide character is two columns. Lines are then joined where the line before was full and the
next is neither indented, blank nor a heading.
"""

import re
from collections.abc import Iterator, Sequence
from unicodedata import east_asian_width

from pipeline.readers.encoding import decode
from pipeline.readers.items import PARAGRAPH, Block, Item, compose, join_lines

_NUMERAL = r"[一二三四五六七八九十百千零〇两上中下\d]+"
# Heading lines and their level. Pseudo-markup <目录> and <篇名> is that of digitised classics of Chinese medicine.
_HEADINGS: tuple[tuple[int, re.Pattern[str]], ...] = (
    (2, re.compile(r"<目录>\s*(?P<name>\S.*)")),
    (3, re.compile(r"<篇名>\s*(?P<name>\S.*)")),
    (2, re.compile(rf"(?P<name>第{_NUMERAL}[卷篇编部](?:$|[\s　:：、].*))")),
    (2, re.compile(rf"(?P<name>卷(?:之)?{_NUMERAL}(?:$|[\s　:：].*))")),
    (3, re.compile(rf"(?P<name>第{_NUMERAL}[章回](?:$|[\s　:：、].*))")),
    (4, re.compile(rf"(?P<name>第{_NUMERAL}节(?:$|[\s　:：、].*))")),
    (2, re.compile(r"(?P<name>(?:part|book|volume)\s+(?:[ivxlc]+|\d+)\b\W?.*)", re.IGNORECASE)),
    (3, re.compile(r"(?P<name>chapter\s+(?:[ivxlc]+|\d+)\b\W?.*)", re.IGNORECASE)),
)
_TITLE = re.compile(r"《(?P<name>[^《》]{1,60})》")
_MAX_HEADING_COLUMNS = 80
_SENTENCE_END = re.compile(r"[。！？!?.；;：:…」』”\"）)]$")
_MARKUP = re.compile(r"^(?:内容|属性)[：:]|\\x|^<目录>$")  # of the same digitised classics
_FIGURE = re.compile(r"\\r(?P<caption>[^\\\n]*)\\[^\\\n]*\\r")
_TABLE = re.compile(r"^\s*[|+]|\S {3,}\S")  # set in columns: joined, its lines would say something else
_INDENT = re.compile(r"[　\t]| {2}")
_MIN_LINES = 4  # full lines that a wrap width needs
_SLACK_COLUMNS = 14  # how much shorter than the width a full line may be: an English word; a Chinese line needs 4


def read_text(data: bytes) -> Iterator[Item]:
    """Yield the one document of a plain text file."""
    text = decode(data)
    if text is None:
        yield Item(drop_reason="undecodable")
        return
    blocks = list(text_blocks(text))
    text, sections = compose(blocks)
    first = next((block for block in blocks if block.level), None)
    yield Item(text=text, sections=sections, title=first.text.strip("《》") if first and first.level == 1 else None)


def text_blocks(text: str) -> Iterator[Block]:
    """Split a text into headings and paragraphs, with wrapped lines joined."""
    text = _FIGURE.sub(r"\g<caption>", text.replace("\r\n", "\n").replace("\r", "\n"))
    pages = [page.split("\n") for page in text.split("\f")]
    width = wrap_width([line for page in pages for line in page])
    number: int | None = 1 if len(pages) > 1 else None
    seen_text = False
    paragraph: list[str] = []
    paragraph_page = number

    def flush() -> Iterator[Block]:
        if paragraph:
            yield Block(PARAGRAPH, join_lines(paragraph), paragraph_page)
            paragraph.clear()

    for index, page in enumerate(pages):
        number = index + 1 if len(pages) > 1 else None
        for line in page:
            heading = _heading(line, first=not seen_text)
            body = _MARKUP.sub("", line.strip()).strip()
            if heading is not None:
                yield from flush()
                yield Block(heading[0], heading[1], number)
            elif not body:
                yield from flush()
            else:
                if not paragraph or not _continues(paragraph, line, width):
                    yield from flush()
                    paragraph_page = number
                paragraph.append(line.rstrip())
            seen_text = seen_text or bool(body)
            if paragraph:
                paragraph[-1] = _MARKUP.sub("", paragraph[-1].lstrip() if len(paragraph) == 1 else paragraph[-1])
    yield from flush()


def wrap_width(lines: Sequence[str]) -> int | None:
    """Return the columns at which lines were wrapped, or None when they were not."""
    widths = [(columns(line.rstrip()), line.rstrip()) for line in lines if line.strip()]
    long = sorted(width for width, _ in widths if width > 24)
    if len(long) < _MIN_LINES:
        return None
    width = long[int(0.95 * (len(long) - 1))]
    full = [line for line_width, line in widths if width - _SLACK_COLUMNS <= line_width <= width + 4]
    ended = sum(bool(_SENTENCE_END.search(line)) for line in full)
    wrapped = width <= 130 and len(full) >= max(_MIN_LINES, 0.3 * len(widths)) and ended < 0.5 * len(full)
    return width if wrapped else None


def columns(line: str) -> int:
    """Return the width of a line in columns of a fixed-width font."""
    return len(line) if line.isascii() else sum(2 if east_asian_width(char) in "WFA" else 1 for char in line)


def _continues(paragraph: Sequence[str], line: str, width: int | None) -> bool:
    before = paragraph[-1]
    if width is None or _INDENT.match(line) or _TABLE.search(line) or _TABLE.search(before):
        return False
    slack = 6 if columns(before[-4:]) > 4 else _SLACK_COLUMNS
    if columns(before) >= width - slack:
        return True
    # A few characters that spilled over a full line, as careless re-wrapping leaves them.
    return len(paragraph) > 1 and columns(before) <= 12 and not _SENTENCE_END.search(before)


def _heading(line: str, *, first: bool) -> tuple[int, str] | None:
    stripped = line.strip()
    if not stripped or columns(stripped) > _MAX_HEADING_COLUMNS:
        return None
    if first and (title := _TITLE.fullmatch(stripped)):
        return 1, title.group(0)
    if first and (title := re.fullmatch(r"<篇名>\s*(?P<name>\S.*)", stripped)):
        return 1, title.group("name")
    for level, pattern in _HEADINGS:
        found = pattern.fullmatch(stripped)
        if found and not re.search(r"[。；，,;]$", stripped):
            return level, found.group("name").strip()
    return None
