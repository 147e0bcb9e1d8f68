"""Read a Markdown file: headings become sections; front matter, shortcodes, links and emphasis become plain text.

Parsed as CommonMark with tables (markdown-it-py). Front matter gives the title. Shortcodes are those of Hugo: their
quoted arguments are what a reader sees. Marks of footnotes go; the notes themselves stay as paragraphs.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markdown_it.token import Token

from pipeline.readers.encoding import decode
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
_MAX_BRACKETS = 2000  # in one block; such blocks stay as they are written
_MAX_NESTING = 100  # what is nested deeper is left out by the parser; each level takes three frames of the stack
_FILE_NAME = re.compile(r"[\w./-]+\.\w{2,4}|https?://\S+|/\S*")


def read_markdown(data: bytes) -> Iterator[Item]:
    """Yield the one document of a Markdown file."""
    text = decode(data)
    if text is None:
        raise Refused("undecodable", "no encoding explains its bytes; convert it to UTF-8")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    title = published = None
    if front := _FRONT_MATTER.match(text):
        text = text[front.end() :]
        about = front.group("yaml") or front.group("toml") or ""
        named, dated = _FRONT_TITLE.search(about), _FRONT_DATE.search(about)
        published = dated.group("date") if dated else None
        title = named.group("title").strip("\"'") if named else None
    text = _SHORTCODE.sub(_shown, _SHORTCODE_LINE.sub(lambda alone: f"\n{_shown(alone)}\n", text))
    text = _FOOTNOTE_MARK.sub("", _FOOTNOTE.sub("\n", text))
    text = _RAISED.sub(lambda found: superscript(found.group("raised")), text)
    parser = MarkdownIt("commonmark", {"maxNesting": _MAX_NESTING}).enable("table")
    parser.core.ruler.at("inline", _parse_inline)
    blocks = list(_blocks(parser.parse(text)))
    content, sections = compose(blocks)
    heading = next((block.text for block in blocks if block.level), None)
    yield Item(text=content, title=title or heading, published=published, sections=sections)


def _parse_inline(state: StateCore) -> None:
    """Parse what stands in blocks, as the rule of this name does; a run of brackets takes time quadratic in them."""
    for token in state.tokens:
        if token.type == "inline":
            token.children = []
            if token.content.count("[") <= _MAX_BRACKETS:
                state.md.inline.parse(token.content, state.md, state.env, token.children)
            else:
                token.children.append(Token("text", "", 0, content=token.content))


def _shown(shortcode: re.Match[str]) -> str:
    arguments = re.findall(r"(=?)\"([^\"]*)\"", shortcode.group("inner"))
    return " ".join(shown for named, shown in arguments if shown and not named and not _FILE_NAME.fullmatch(shown))


def _blocks(tokens: Sequence[Token]) -> Iterator[Block]:
    """Walk the flat token list; a list or a table is one block with a line for each item or row."""
    lines: list[str] = []
    markers: list[str] = []
    rows: list[list[str]] = []
    heading = depth = 0
    for before, token in pairwise([Token("", "", 0), *tokens]):
        if token.type == "heading_open":
            heading = int(token.tag[1:])
        elif token.type in ("bullet_list_open", "ordered_list_open", "table_open"):
            depth += 1
        elif token.type in ("bullet_list_close", "ordered_list_close", "table_close"):
            depth -= 1
            if depth == 0:
                yield Block(PARAGRAPH, table_text(rows) if rows else "\n".join(lines))
                lines, rows = [], []
        elif token.type == "list_item_open":
            markers.append(f"{token.info}{token.markup} " if token.info else "- ")
        elif token.type == "tr_open":
            rows.append([])
        elif token.type in ("inline", "fence", "code_block", "html_block"):
            body = _inline(token) if token.type == "inline" else token.content.strip("\n")
            if before.type in ("td_open", "th_open"):
                rows[-1].append(body)
            elif not body.strip():
                continue
            elif token.type == "html_block":
                yield from _html_blocks(body)
            elif heading:
                yield Block(heading, _HEADING_ATTRIBUTES.sub("", one_line(body)))
                heading = 0
            elif depth and markers:
                lines.append(markers[-1] + _TASK.sub("", body))
                markers.clear()
            elif depth and lines:
                lines[-1] += ("\n" if token.type != "inline" else " ") + body
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
        if child.type in ("text", "code_inline"):
            lines[-1] += child.content
        elif child.type == "html_inline" and child.content.lower().startswith("<br"):
            lines[-1] += " "
        elif child.type == "softbreak":
            lines.append("")
        elif child.type == "hardbreak":
            hard.append(join_lines(lines))
            lines = [""]
    return "\n".join([*hard, join_lines(lines)])
