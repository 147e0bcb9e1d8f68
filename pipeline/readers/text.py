"""Read a plain text file: recognise headings, undo hard wraps (wraps.py) and pages (pages.py).

Form feeds make pages, whose furniture is taken out and whose numbers become sections. The pseudo-markup of digitised
classics, <目录> and <篇名> before a heading and 属性： or 内容： behind it, stays in the heading's line: the text keeps
every character of its file but white space, page furniture and hyphens at line ends, and a section's heading is the
name alone. Project Gutenberg's header and licence stay in the text and are spans of boilerplate.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType

from pipeline.readers.encoding import decode_or_refuse
from pipeline.readers.items import PARAGRAPH, Block, Item, Span, compose, one_line
from pipeline.readers.pages import read_on, without_running
from pipeline.readers.wraps import SENTENCE_END, columns, dehyphenation, paragraphs, region_widths

_NUMERAL = r"[一二三四五六七八九十百千零〇两上中下\d]+"
# Heading lines and their level.
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
# A line in capitals between blank lines, followed by text that is not: a heading of a book without other marks.
_CAPITALS = re.compile(r"(?:(?:[IVXLC]+|\d+)\.\s+)?[A-Z][A-Z0-9 ,;:'’&()-]{3,}[A-Z)][.:]?")
_TITLE = re.compile(r"《(?P<name>[^《》]{1,60})》")
_FIRST_NAME = re.compile(r"<篇名>\s*(?P<name>\S.*)")
_MAX_HEADING_COLUMNS = 80
_MAX_PAGES = 2  # that a paragraph may run on over
_MARK = "<目录>"
_LABEL = re.compile(r"(?:内容|属性)[：:]")
_LINE_ENDS = re.compile("\r\n?|[\x0b\x85\u2028\u2029]")
_GUTENBERG_START = re.compile(r"^\*\*\* ?START OF TH(?:E|IS) PROJECT GUTENBERG EBOOK[^\n]*", re.MULTILINE)
_GUTENBERG_TITLE = re.compile(r"^Title:\s*(\S[^\n]{0,300}(?:\n{1,2}[^\n:]{1,100}(?=\n))?)", re.MULTILINE)
_GUTENBERG_END = re.compile(
    r"^(?:\*\*\* ?END OF TH(?:E|IS) PROJECT GUTENBERG EBOOK|End of (?:the )?Project Gutenberg)", re.MULTILINE
)

Found = tuple[int, str]  # a heading's level and name


def read_text(data: bytes) -> Iterator[Item]:
    """Yield the one document of a plain text file."""
    text = decode_or_refuse(data)
    blocks = list(text_blocks(text))
    text, sections = compose(blocks)
    first = next((block for block in blocks if block.level), None)
    title = first.text.strip("《》") if first and first.level == 1 else None
    boilerplate = gutenberg_spans(text)
    if boilerplate and (named := _GUTENBERG_TITLE.search(text, 0, boilerplate[0]["end"])):
        title = one_line(named[1])
    yield Item(text=text, sections=sections, title=title, boilerplate=boilerplate)


def text_blocks(text: str) -> Iterator[Block]:
    """Split a text into headings and paragraphs, with wrapped lines joined."""
    pages = [page.split("\n") for page in _LINE_ENDS.sub("\n", text).split("\f")]
    if len(pages) == 1:
        return lines_blocks(pages[0], None)
    stripped, numbers = without_running(pages)
    lines, page_of = zip(*read_on(stripped, numbers), strict=True) if any(stripped) else ((), ())
    return lines_blocks(list(lines), list(page_of))


def lines_blocks(
    lines: list[str], pages: list[int] | None, headings: Mapping[str, int] = MappingProxyType({})
) -> Iterator[Block]:
    """Make headings and paragraphs of N lines.

    Args:
        pages: the page of each line, where known.
        headings: lines known to be headings, and their level.
    """
    width_at = region_widths(lines)
    dehyphenate = dehyphenation(lines)
    heading: Block | None = None  # one whose line may still grow by the label behind it
    mark = ""  # a line of marks before a heading
    for begin, end, found in _runs(lines, pages, headings, width_at):
        page = pages[begin] if pages else None
        if found is not None:
            if heading:
                yield heading
            level, name = found
            mark = f"{mark} {lines[begin].strip()}".strip()
            heading = Block(level, name, page, line=mark) if level else None
            mark = "" if level else mark
            continue
        run = lines[begin:end]
        if heading and (label := _LABEL.match(run[0].lstrip())):
            heading = replace(heading, line=f"{heading.line} {label[0]}")
            run[0] = run[0].lstrip()[label.end() :]
        yield from _pending(heading, mark)
        heading, mark = None, ""
        for offset, paragraph in paragraphs(run, width_at(begin), dehyphenate):
            yield Block(PARAGRAPH, paragraph, pages[begin + offset] if pages else None)
    yield from _pending(heading, mark)


def _runs(
    lines: list[str], pages: list[int] | None, headings: Mapping[str, int], width_at: Callable[[int], int | None]
) -> Iterator[tuple[int, int, Found | None]]:
    """Yield spans of lines: a heading's line with its level and name (level 0: marks alone), or lines of text (None).

    Text without marks of paragraphs is cut where a sentence ends, so that its pages can be told.
    """
    begin: int | None = None
    seen_text = False
    for number, line in enumerate(map(str.strip, lines)):
        found = _heading_at(line, lines, number, headings, first=not seen_text) if line else None
        if found and found[0] and _runs_on(lines, number, width_at(number)):
            found = None
        far = begin is not None and pages is not None and pages[number] - pages[begin] >= _MAX_PAGES
        if begin is not None and (not line or found or (far and SENTENCE_END.search(lines[number - 1][-8:]))):
            yield begin, number, None
            begin = None
        if found:
            yield number, number + 1, found
        elif line and begin is None:
            begin = number
        seen_text = seen_text or bool(line)
    if begin is not None:
        yield begin, len(lines), None


def gutenberg_spans(text: str) -> list[Span]:
    """Return the spans of a Project Gutenberg book's header, and of what stands behind its end."""
    start, end = _GUTENBERG_START.search(text), _GUTENBERG_END.search(text)
    spans = [{"start": 0, "end": start.end()}] if start else []
    if end and (not start or end.start() > start.end()):
        spans.append({"start": end.start(), "end": len(text)})
    return spans if start else []


def _pending(heading: Block | None, mark: str) -> Iterator[Block]:
    if heading:
        yield heading
    if mark:
        yield Block(PARAGRAPH, mark)


def _runs_on(lines: list[str], number: int, width: int | None) -> bool:
    """Tell whether a line is as long as lines get, with text on the next: the beginning of a paragraph."""
    text_next = number + 1 < len(lines) and bool(lines[number + 1].strip())
    return text_next and width is not None and columns(lines[number].strip()) >= width - 6


def _heading_at(line: str, lines: list[str], number: int, headings: Mapping[str, int], *, first: bool) -> Found | None:
    if line == _MARK:
        return 0, ""
    if line in headings:
        return headings[line], line
    if found := _heading(line, first=first):
        return found
    alone = not any(text.strip() for text in lines[max(0, number - 1) : number])
    return (4, line) if alone and _is_in_capitals(line, lines, number) else None


def _is_in_capitals(line: str, lines: list[str], number: int) -> bool:
    if not line.isupper() or len(line) > _MAX_HEADING_COLUMNS or not _CAPITALS.fullmatch(line):
        return False
    after = next((text for text in lines[number + 1 : number + 6] if text.strip()), "")
    return lines[number + 1 : number + 2] == [""] and not after.isupper() and len(after.strip()) > len(line) // 2


def _heading(line: str, *, first: bool) -> Found | None:
    if len(line) > _MAX_HEADING_COLUMNS or columns(line) > _MAX_HEADING_COLUMNS:
        return None
    if first and (title := _TITLE.fullmatch(line)):
        return 1, title[0]
    if first and (title := _FIRST_NAME.fullmatch(line)):
        return 1, title["name"]
    for level, pattern in _HEADINGS:
        found = pattern.fullmatch(line)
        if found and not re.search(r"[。；，,;]$", line):
            return level, found["name"].strip()
    return None
