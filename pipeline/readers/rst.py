"""Read reStructuredText: titles become sections, roles and links their text; directives that fetch or run are inert.

Parsed by docutils with file insertion and raw output switched off. Of directives it does not know (Sphinx has many),
the text stays, except where a directive only arranges, such as toctree. The header of a PEP gives title and date.
"""

import io
import re
from collections.abc import Iterator
from textwrap import dedent

from docutils import nodes
from docutils.core import publish_doctree

from pipeline.readers.encoding import decode_or_refuse
from pipeline.readers.html_blocks import spread_cells
from pipeline.readers.items import (
    PARAGRAPH,
    Block,
    Item,
    Refused,
    compose,
    join_lines,
    named,
    one_line,
    superscript,
    table_text,
)
from pipeline.readers.text import text_blocks

_SETTINGS = {
    "file_insertion_enabled": False,
    "raw_enabled": False,
    "_disable_config": True,
    "report_level": 1,
    "halt_level": 5,
    "doctitle_xform": False,
    "docinfo_xform": False,
    "sectsubtitle_xform": False,
    "syntax_highlight": "none",
    "smart_quotes": False,
    "toc_backlinks": False,
    "input_encoding": "unicode",
}
_HEADER = re.compile(r"\A\s*(?:[A-Z][\w-]*:[^\n]*\n(?:[ \t]+\S[^\n]*\n)*){2,}(?=\n|\Z)")
_ROLE = re.compile(
    r"(?<![\w`]):(?!(?:sup|sub|superscript|subscript):)(?P<role>[A-Za-z][\w:.+-]{0,60}):`(?P<text>[^`\n]{1,400})`"
)
_TARGET = re.compile(r"(?P<text>.*?)\s*<[^<>]*>")
_UNKNOWN = re.compile(r'Unknown directive type "(?P<name>[^"]+)"')
_DIRECTIVE = re.compile(r"\.\. [^\s:][^\n]*?::[ \t]*(?P<argument>[^\n]*)\n?(?P<body>.*)", re.DOTALL)
_ARRANGING = named(
    "toctree index module currentmodule py:module py:currentmodule literalinclude highlight tabularcolumns automodule "
    "autoclass autofunction autosummary testsetup todolist mermaid graphviz"
)
_SKIPPED = (
    nodes.comment, nodes.substitution_definition, nodes.target, nodes.raw, nodes.pending, nodes.meta, nodes.decoration,
    nodes.image, nodes.label, nodes.docinfo, nodes.transition,
)  # fmt: skip
_MAX_LINE_CHARS, _MAX_CHARS = (
    10_000,
    1 << 20,
)  # docutils takes 10 s and 0.4 GB a MiB; longer ones are read as plain text
_MAX_WITHIN = 3  # directives of unknown names inside one another


def read_rst(data: bytes) -> Iterator[Item]:
    """Yield the one document of a reStructuredText file."""
    text = decode_or_refuse(data)
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "")
    title = published = None
    if header := _HEADER.match(text):
        fields = dict(re.findall(r"^([A-Z][\w-]*):[ \t]*(.*(?:\n[ \t]+\S.*)*)$", header.group(), re.MULTILINE))
        if "Title" in fields:
            title, published = (
                one_line(re.sub(r"``|\\\\ ?", "", fields["Title"])),
                one_line(fields.get("Created", "")) or None,
            )
            text = text[header.end() :]
    if len(text) > _MAX_CHARS or max(map(len, text.split("\n"))) > _MAX_LINE_CHARS:
        blocks = list(text_blocks(text))
    else:
        blocks = list(_blocks(_parsed(text), level=0, within=0))
    content, sections = compose(blocks)
    first = next((block.text for block in blocks if block.level), None)
    yield Item(text=content, title=title or first, published=published, sections=sections)


def _parsed(text: str) -> nodes.document:
    try:
        return publish_doctree(
            _ROLE.sub(_shown, text), settings_overrides=_SETTINGS | {"warning_stream": io.StringIO()}
        )
    except Exception as error:  # docutils lets whatever its directives and tables meet rise, RecursionError included
        raise Refused("unreadable", f"{type(error).__name__}: {one_line(str(error))[:200]}") from None


def _shown(role: re.Match[str]) -> str:
    """Return what a role of a name that docutils may not know shows: its text without its target."""
    name, text = role.group("role").lower(), role.group("text")
    target = _TARGET.fullmatch(text)
    shown = target.group("text") if target and target.group("text") else text.lstrip("~!")
    return f"{name.upper()} {shown}" if name in ("pep", "rfc") and shown.isdigit() else shown


def _blocks(parent: nodes.Element, level: int, within: int) -> Iterator[Block]:
    for node in parent.children:
        if isinstance(node, _SKIPPED):
            continue
        if isinstance(node, nodes.system_message):
            yield from _of_unknown(node, level, within)
        elif isinstance(node, nodes.section):
            yield from _blocks(node, level + 1, within)
        elif isinstance(node, nodes.title) and isinstance(parent, nodes.section):
            yield Block(level, _inline(node))
        elif isinstance(node, (nodes.bullet_list, nodes.enumerated_list, nodes.definition_list, nodes.field_list)):
            yield Block(PARAGRAPH, "\n".join(_list_lines(node)))
        elif isinstance(node, nodes.table):
            title = node.next_node(nodes.title)
            yield Block(PARAGRAPH, table_text(_rows(node), caption=_inline(title) if title is not None else ""))
        elif isinstance(node, nodes.line_block):
            yield Block(PARAGRAPH, "\n".join(filter(None, (_inline(line) for line in node.findall(nodes.line)))))
        elif isinstance(node, (nodes.literal_block, nodes.doctest_block, nodes.math_block)):
            yield from (Block(PARAGRAPH, part.strip("\n")) for part in re.split(r"\n[ \t]*\n", node.astext()))
        elif isinstance(node, nodes.topic) and "contents" in node.get("classes", ()):
            continue
        elif isinstance(node, nodes.TextElement):
            yield Block(PARAGRAPH, _inline(node))
        elif isinstance(node, nodes.Element):
            yield from _blocks(node, level, within)


def _of_unknown(message: nodes.system_message, level: int, within: int) -> Iterator[Block]:
    """Yield the text inside a directive that docutils does not know; of its other messages, nothing."""
    unknown = _UNKNOWN.search(message.astext())
    source = message.next_node(nodes.literal_block)
    directive = _DIRECTIVE.match(source.astext()) if source is not None else None
    if unknown is None or directive is None or unknown.group("name").lower() in _ARRANGING or within >= _MAX_WITHIN:
        return
    body = re.sub(r"\A(?:[ \t]*:[\w-]+:[^\n]*\n?)+", "", dedent(directive.group("body")))  # its options
    yield Block(PARAGRAPH, one_line(directive.group("argument")))
    if body.strip():
        yield from _blocks(_parsed(body), level, within + 1)


def _inline(node: nodes.Element) -> str:
    return join_lines("".join(_parts(node)).split("\n"))


def _parts(node: nodes.Node) -> Iterator[str]:
    for child in node.children:
        if isinstance(child, nodes.Text):
            yield child.astext()
        elif isinstance(child, nodes.superscript):
            yield superscript(child.astext())
        elif not isinstance(
            child, (*_SKIPPED, nodes.footnote_reference, nodes.citation_reference, nodes.system_message)
        ):
            yield from _parts(child)


def _list_lines(parent: nodes.Element) -> Iterator[str]:
    """Yield a line an item, those of lists within it behind."""
    for number, item in enumerate(parent.children, start=1):
        if not isinstance(item, nodes.Element):
            continue
        inner = [node for node in item.children if isinstance(node, (nodes.bullet_list, nodes.enumerated_list))]
        names = [_inline(node) for node in item.children if isinstance(node, (nodes.term, nodes.field_name))]
        body = " ".join(
            one_line(" ".join(block.text for block in _blocks_of(node)))
            for node in item.children
            if node not in inner and not isinstance(node, (nodes.term, nodes.field_name, nodes.classifier))
        )
        line = ": ".join(filter(None, (*names, body.strip())))
        if line:
            yield (f"{number}. " if isinstance(parent, nodes.enumerated_list) else "- ") + line
        for node in inner:
            yield from _list_lines(node)


def _blocks_of(node: nodes.Node) -> Iterator[Block]:
    holder = nodes.container()
    holder.children = [node]
    return _blocks(holder, level=PARAGRAPH, within=_MAX_WITHIN)


def _rows(table: nodes.table) -> list[list[str]]:
    return spread_cells(
        [
            [
                (
                    " ".join(one_line(block.text) for block in _blocks(cell, level=PARAGRAPH, within=_MAX_WITHIN)),
                    1 + cell.get("morecols", 0),
                    1 + cell.get("morerows", 0),
                )
                for cell in row.findall(nodes.entry, descend=True)
            ]
            for row in table.findall(nodes.row)
        ]
    )
