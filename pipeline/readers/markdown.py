"""Read a Markdown file: headings become sections; front matter, shortcodes, links and emphasis become plain text.

Parsed as CommonMark with tables, window by window (markdown_tokens.py). Front matter gives the title. Shortcodes are
those of Hugo: their quoted arguments are what a reader sees. Marks of footnotes go; the notes themselves stay as
paragraphs.
"""

import io
import re
from collections.abc import Iterable, Iterator
from itertools import chain, pairwise

from markdown_it.token import Token

from pipeline.readers.encoding import decode_or_refuse
from pipeline.readers.html import parse_html
from pipeline.readers.html_blocks import pieces_of, remove_unseen
from pipeline.readers.items import (
    PARAGRAPH,
    Block,
    Item,
    Refused,
    compose,
    join_lines,
    one_line,
    superscript,
    table_text,
)
from pipeline.readers.markdown_tokens import WINDOW_CHARS, tokens_of

_FRONT_MATTER = re.compile(r"\A(?:---\n(?P<yaml>.*?)\n---|\+\+\+\n(?P<toml>.*?)\n\+\+\+)[ \t]*(?:\n|\Z)", re.DOTALL)
_FRONT_TITLE = re.compile(r"^title\s*[:=]\s*(?P<title>.+?)\s*$", re.MULTILINE)
_FRONT_DATE = re.compile(r"^date\s*[:=]\s*[\"']?(?P<date>\d{4}-\d\d(?:-\d\d)?)", re.MULTILINE)
_SHORTCODE = re.compile(r"\{\{[<%](?P<inner>[^{}]*)[>%]\}\}")
_SHORTCODE_LINE = re.compile(rf"^[ \t]*{_SHORTCODE.pattern}[ \t]*$", re.MULTILINE)
_HEADING_ATTRIBUTES = re.compile(r"\s*\{[#.][^{}]*\}$")
_FOOTNOTE = re.compile(r"^\[\^[^\]\s]{1,100}\]:[ \t]*", re.MULTILINE)
_FOOTNOTE_MARK = re.compile(r"[ \t]?\[\^[^\]\s]{1,100}\]")
_RAISED = re.compile(r"<sup>(?P<raised>[0-9+\u2212\u2013-]{1,6})</sup>")
_TASK = re.compile(r"^\[[ xX]\] ")
_EMBEDDED = re.compile(
    r"(?P<kind>(?<=[(<\"'\s])data:[\w/+.;=-]{1,100},)[^\s()<>\"']{1000,}"
)  # an image written as letters
_MAX_HEADINGS = 100_000  # later ones are paragraphs
_FILE_NAME = re.compile(r"[\w./-]+\.\w{2,4}|https?://\S+|/\S*")


def read_markdown(data: bytes, window_chars: int = WINDOW_CHARS) -> Iterator[Item]:
    """Yield the one document of a Markdown file; the window changes its text only where one block fills it."""
    text = decode_or_refuse(data)
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    title = published = None
    if front := _FRONT_MATTER.match(text):
        text = text[front.end() :]
        about = front.group("yaml") or front.group("toml") or ""
        named, dated = _FRONT_TITLE.search(about), _FRONT_DATE.search(about)
        published = dated.group("date") if dated else None
        title = named.group("title").strip("\"'") if named else None
    tokens = tokens_of(_EMBEDDED.sub(r"\g<kind>", text), _prepared, window_chars)
    content, sections = compose(_with_few_headings(_blocks(tokens)))
    heading = next((section["heading"] for section in sections), None)
    yield Item(text=content, title=title or heading, published=published, sections=sections)


def _prepared(text: str) -> str:
    """Replace what is no Markdown: shortcodes by what they show, marks of footnotes, raised digits."""
    text = _SHORTCODE.sub(_shown, _SHORTCODE_LINE.sub(lambda alone: f"\n{_shown(alone)}\n", text))
    text = _FOOTNOTE_MARK.sub("", _FOOTNOTE.sub("\n", text))
    return _RAISED.sub(lambda found: superscript(found.group("raised")), text)


def _shown(shortcode: re.Match[str]) -> str:
    arguments = re.findall(r"(=?)\"([^\"]*)\"", shortcode.group("inner"))
    return " ".join(shown for named, shown in arguments if shown and not named and not _FILE_NAME.fullmatch(shown))


def _with_few_headings(blocks: Iterable[Block]) -> Iterator[Block]:
    seen = 0
    for block in blocks:
        seen += block.level > PARAGRAPH
        yield block if seen <= _MAX_HEADINGS else Block(PARAGRAPH, block.text)


def _blocks(tokens: Iterable[Token]) -> Iterator[Block]:
    """Walk the flat stream of tokens; a list or a table is one block with a line for each item or row."""
    lines = io.StringIO()  # of the outermost list or table that is open
    marker = ""
    row: list[str] = []
    heading = depth = 0

    def begin_line(body: str) -> None:
        lines.write(("\n" if lines.tell() else "") + marker + body)

    for before, token in pairwise(chain([Token("", "", 0)], tokens)):
        if token.type == "heading_open":
            heading = int(token.tag[1:])
        elif token.type in ("bullet_list_open", "ordered_list_open", "table_open"):
            depth += 1
        elif token.type in ("bullet_list_close", "ordered_list_close", "table_close"):
            depth -= 1
            if depth == 0:
                yield Block(PARAGRAPH, lines.getvalue())
                lines, marker = io.StringIO(), ""
        elif token.type == "list_item_open":
            marker = f"{token.info}{token.markup} " if token.info else "- "
        elif token.type == "tr_close":
            if line := table_text([row]):
                begin_line(line)
                marker = ""
            row.clear()
        elif token.type in ("inline", "fence", "code_block", "html_block"):
            body = _inline(token) if token.type == "inline" else token.content.strip("\n")
            if before.type in ("td_open", "th_open"):
                row.append(body)
            elif not body.strip():
                continue
            elif token.type == "html_block":
                yield from _html_blocks(body)
            elif heading:
                yield Block(heading, _HEADING_ATTRIBUTES.sub("", one_line(body)))
                heading = 0
            elif depth and marker:
                begin_line(_TASK.sub("", body))
                marker = ""
            elif depth and lines.tell():
                lines.write(("\n" if token.type != "inline" else " ") + body)
            else:
                yield Block(PARAGRAPH, body)
        elif token.type == "heading_close":
            heading = 0


def _html_blocks(source: str) -> Iterator[Block]:
    """Lay HTML within Markdown out as a page is; what opens in one block of it and closes in another is not in it."""
    try:
        page = parse_html(source)
    except Refused:
        return  # comments and closing tags alone
    remove_unseen(page, furniture=False)
    yield from (piece.block for piece in pieces_of(page))


def _inline(token: Token) -> str:
    lines = [""]
    hard: list[str] = []
    for child in token.children or []:
        if child.type in ("text", "text_special", "code_inline"):
            lines[-1] += child.content
        elif child.type == "html_inline" and child.content.lower().startswith("<br"):
            lines[-1] += " "
        elif child.type == "softbreak":
            lines.append("")
        elif child.type == "hardbreak":
            hard.append(join_lines(lines))
            lines = [""]
    return "\n".join([*hard, join_lines(lines)])
