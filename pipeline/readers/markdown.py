"""Read a Markdown file: headings become sections; front matter, shortcodes, links and emphasis become plain text.

Parsed as CommonMark with tables (markdown-it-py). Front matter gives the title. Shortcodes are those of Hugo: their
quoted arguments are what a reader sees. Marks of footnotes go; the notes themselves stay as paragraphs.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from markdown_it import MarkdownIt
from markdown_it.token import Token

from pipeline.readers.encoding import decode
from pipeline.readers.items import PARAGRAPH, Block, Item, compose, join_lines, one_line

_FRONT_MATTER = re.compile(r"\A(?:---\n(?P<yaml>.*?)\n---|\+\+\+\n(?P<toml>.*?)\n\+\+\+)[ \t]*(?:\n|\Z)", re.DOTALL)
_FRONT_TITLE = re.compile(r"^title\s*[:=]\s*(?P<title>.+?)\s*$", re.MULTILINE)
_SHORTCODE = re.compile(r"\{\{[<%]\s*(?P<inner>[^{}]*?)\s*[>%]\}\}")
_SHORTCODE_LINE = re.compile(rf"^[ \t]*{_SHORTCODE.pattern}[ \t]*$", re.MULTILINE)
_HEADING_ATTRIBUTES = re.compile(r"\s*\{[#.][^{}]*\}$")
_FOOTNOTE = re.compile(r"^\[\^[^\]\s]+\]:[ \t]*", re.MULTILINE)
_FOOTNOTE_MARK = re.compile(r"[ \t]?\[\^[^\]\s]+\]")
_HTML_TAG = re.compile(r"<!--.*?-->|</?[A-Za-z][^<>]*>", re.DOTALL)
_FILE_NAME = re.compile(r"[\w./-]+\.\w{2,4}|https?://\S+|/\S*")


def read_markdown(data: bytes) -> Iterator[Item]:
    """Yield the one document of a Markdown file."""
    text = decode(data)
    if text is None:
        yield Item(drop_reason="undecodable")
        return
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    title = None
    if front := _FRONT_MATTER.match(text):
        text = text[front.end() :]
        named = _FRONT_TITLE.search(front.group("yaml") or front.group("toml") or "")
        title = named.group("title").strip("\"'") if named else None
    text = _SHORTCODE.sub(_shown, _SHORTCODE_LINE.sub(lambda alone: f"\n{_shown(alone)}\n", text))
    text = _FOOTNOTE_MARK.sub("", _FOOTNOTE.sub("\n", text))
    parser = MarkdownIt("commonmark").enable("table")
    blocks = list(_blocks(parser.parse(text)))
    content, sections = compose(blocks)
    heading = next((block.text for block in blocks if block.level), None)
    yield Item(text=content, title=title or heading, sections=sections)


def _shown(shortcode: re.Match[str]) -> str:
    arguments = re.findall(r"(=?)\"([^\"]*)\"", shortcode.group("inner"))
    return " ".join(shown for named, shown in arguments if shown and not named and not _FILE_NAME.fullmatch(shown))


def _blocks(tokens: Sequence[Token]) -> Iterator[Block]:
    """Walk the flat token list; a list or a table is one block with a line for each item or row."""
    lines: list[str] = []
    markers: list[str] = []
    cells: list[str] = []
    heading = depth = 0
    for before, token in pairwise([Token("", "", 0), *tokens]):
        if token.type == "heading_open":
            heading = int(token.tag[1:])
        elif token.type in ("bullet_list_open", "ordered_list_open", "table_open"):
            depth += 1
        elif token.type in ("bullet_list_close", "ordered_list_close", "table_close"):
            depth -= 1
            if depth == 0:
                yield Block(PARAGRAPH, "\n".join(lines))
                lines = []
        elif token.type == "list_item_open":
            markers.append(f"{token.info}{token.markup} " if token.info else "- ")
        elif token.type == "tr_close":
            lines.append(" | ".join(cell for cell in cells if cell))
            cells = []
        elif token.type in ("inline", "fence", "code_block", "html_block"):
            body = _inline(token) if token.type == "inline" else token.content.strip("\n")
            if token.type == "html_block":
                body = _HTML_TAG.sub("", body).strip()
            if not body.strip():
                continue
            if heading:
                yield Block(heading, _HEADING_ATTRIBUTES.sub("", one_line(body)))
                heading = 0
            elif before.type in ("td_open", "th_open"):
                cells.append(one_line(body))
            elif depth:
                lines.append("".join(markers[-1:]) + body)
                markers.clear()
            else:
                yield Block(PARAGRAPH, body)
        elif token.type == "heading_close":
            heading = 0


def _inline(token: Token) -> str:
    lines = [""]
    hard: list[str] = []
    for child in token.children or []:
        if child.type in ("text", "code_inline"):
            lines[-1] += child.content
        elif child.type == "softbreak":
            lines.append("")
        elif child.type == "hardbreak":
            hard.append(join_lines(lines))
            lines = [""]
    return "\n".join([*hard, join_lines(lines)])
