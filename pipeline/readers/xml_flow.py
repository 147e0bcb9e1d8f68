"""What the readers of XML share: a parser that fetches and expands nothing, and the flow of text through a tree.

A dialect names the elements of a format by what they are. Everything else is either text within a line or, where the
dialect says so, a block of its own; a block inside a paragraph parts it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from lxml import etree

from pipeline.readers.html_blocks import spread_cells
from pipeline.readers.items import PARAGRAPH, Block, Refused, one_line, superscript, table_text

# Entities stay unresolved, no document type or other file is loaded, XInclude is never asked for; depth is at most 256.
PARSER_SETTINGS = {
    "resolve_entities": False,
    "no_network": True,
    "load_dtd": False,
    "collect_ids": False,  # an id that appears twice is no reason to refuse a file
    "huge_tree": False,
    "remove_comments": True,
    "remove_pis": True,
}

_ORDERED = frozenset(("order", "enumerated", "ordered", "numbered"))


@dataclass(frozen=True)
class Dialect:
    """The names of a format's elements, without their namespaces.

    Attributes:
        sections: what opens a level of headings.
        headings: the title of the section it stands in.
        labels: numbers that belong before a heading.
        blocks: paragraphs and what contains them.
        lists, items, terms: an item that has a term reads "term: item".
        verse: a block whose child elements are lines.
        tables, rows, cells, captions, notes: a table; its captions stand before its rows, its notes behind.
        figures: of which the captions alone are text.
        asides: notes within a sentence, which follow their paragraphs.
        dropped: what is not the author's running text, such as references.
    """

    sections: frozenset[str] = frozenset()
    headings: frozenset[str] = frozenset(("title", "head", "heading"))
    labels: frozenset[str] = frozenset()
    blocks: frozenset[str] = frozenset()
    lists: frozenset[str] = frozenset(("list",))
    items: frozenset[str] = frozenset(("item",))
    terms: frozenset[str] = frozenset()
    verse: frozenset[str] = frozenset()
    tables: frozenset[str] = frozenset(("table",))
    rows: frozenset[str] = frozenset(("row", "tr"))
    cells: frozenset[str] = frozenset(("entry", "cell", "td", "th"))
    captions: frozenset[str] = frozenset(("title", "head", "caption", "label"))
    notes: frozenset[str] = frozenset()
    figures: frozenset[str] = frozenset()
    asides: frozenset[str] = frozenset()
    dropped: frozenset[str] = frozenset()


def parse_xml(data: bytes) -> etree._Element:
    """Return the root of an XML file.

    Raises:
        Refused: it is empty, not well-formed, or nested too deep.
    """
    if not data.strip():
        raise Refused("empty")
    try:
        return etree.fromstring(data, etree.XMLParser(**PARSER_SETTINGS))
    except (etree.LxmlError, ValueError) as error:
        raise Refused("unreadable", one_line(str(error))[:200]) from None


def local_name(element: etree._Element) -> str:
    """Return an element's name without its namespace."""
    return str(element.tag).rpartition("}")[2]


def text_of(element: etree._Element | None, dropped: frozenset[str] = frozenset()) -> str:
    """Return an element's text on one line, without entities left unresolved and elements of the names given."""
    return "" if element is None else one_line("".join(_inline(element, dropped)))


def _inline(element: etree._Element, dropped: frozenset[str]) -> Iterator[str]:
    raised = local_name(element) == "sup" and len(element) == 0
    yield superscript(element.text or "") if raised else element.text or ""
    for child in element:
        if isinstance(child.tag, str) and local_name(child) not in dropped:
            yield from _inline(child, dropped)
        yield child.tail or ""


def flow(parent: etree._Element, dialect: Dialect, level: int = 0) -> Iterator[Block]:
    """Yield the blocks of an element; headings directly in it are of the level given, 1 at least."""
    label = ""
    parts = [parent.text or ""]
    asides: list[Block] = []

    def paragraph() -> Iterator[Block]:
        yield Block(PARAGRAPH, one_line("".join(parts)))
        parts.clear()

    for child in parent:
        name = local_name(child) if isinstance(child.tag, str) else ""
        if name in dialect.labels:
            label = text_of(child)
        elif name in dialect.headings:
            yield from paragraph()
            yield Block(max(1, level), one_line(f"{label} {text_of(child, dialect.dropped)}"))
            label = ""
        elif name in dialect.tables:
            yield from paragraph()
            yield from _table(child, dialect)
        elif name in dialect.figures:
            yield from paragraph()
            yield Block(PARAGRAPH, _caption(child, dialect))
        elif name in dialect.lists:
            yield from paragraph()
            heading = next(child.iterchildren("{*}title", "{*}head"), None)
            yield Block(PARAGRAPH, text_of(heading, dialect.dropped))
            yield Block(PARAGRAPH, "\n".join(_list_lines(child, dialect)))
        elif name in dialect.verse:
            yield from paragraph()
            lines = (text_of(line, dialect.dropped) for line in child.iterchildren(tag=etree.Element))
            yield Block(PARAGRAPH, "\n".join(filter(None, lines)))
        elif name in dialect.asides:
            asides += flow(child, dialect)
        elif name in dialect.sections or name in dialect.blocks:
            yield from paragraph()
            yield from flow(child, dialect, level + (name in dialect.sections))
        elif name and name not in dialect.dropped:
            parts += _inline(child, dialect.dropped)
        parts.append(child.tail or "")
    yield from paragraph()
    yield from asides


def _list_lines(parent: etree._Element, dialect: Dialect) -> Iterator[str]:
    """Yield a line an item with its own number, if it has one, and those of lists within items behind them."""
    inner = dialect.dropped | dialect.lists | dialect.asides
    term, number = "", 0
    for child in parent.iterchildren(tag=etree.Element):
        name = local_name(child)
        if name in dialect.terms:
            term = text_of(child, inner)
        elif name in dialect.items:
            within = next((text_of(part, inner) for part in child if _named(part, dialect.terms)), "")
            label = next((text_of(part, inner) for part in child if _named(part, dialect.labels)), "")
            body = text_of(child, inner | dialect.terms | dialect.labels)
            line = ": ".join(filter(None, (term or within, body)))
            term = ""
            number += bool(line)
            if line:
                yield f"{label or (f'{number}.' if _is_ordered(parent) else '-')} {line}"
            for part in child.iterdescendants(tag=etree.Element):
                if _named(part, dialect.lists) and _outermost(part, child, dialect.lists):
                    yield from _list_lines(part, dialect)
        elif name in dialect.lists:
            yield from _list_lines(child, dialect)


def _is_ordered(parent: etree._Element) -> bool:
    """Tell whether the items of a list are counted: JATS, CNXML and TEI each say so in a word of their own."""
    return not _ORDERED.isdisjoint((parent.get("list-type"), parent.get("type"), parent.get("rend")))


def _named(element: etree._Element, names: frozenset[str]) -> bool:
    return isinstance(element.tag, str) and local_name(element) in names


def _outermost(element: etree._Element, within: etree._Element, names: frozenset[str]) -> bool:
    above = element.getparent()
    while above is not within:
        if _named(above, names):
            return False
        above = above.getparent()
    return True


def _caption(parent: etree._Element, dialect: Dialect) -> str:
    named = (text_of(part, dialect.dropped) for part in parent if _named(part, dialect.captions))
    return " ".join(filter(None, named))


def _table(table: etree._Element, dialect: Dialect) -> Iterator[Block]:
    rows = [
        [
            (text_of(cell, dialect.dropped), _span(cell, "colspan", "cols"), _span(cell, "rowspan", "rows"))
            for cell in row
            if _named(cell, dialect.cells)
        ]
        for row in table.iter(*(f"{{*}}{name}" for name in sorted(dialect.rows)))
    ]
    yield Block(PARAGRAPH, table_text(spread_cells(rows), caption=_caption(table, dialect)))
    for note in table:
        if _named(note, dialect.notes):
            yield from flow(note, dialect)


def _span(cell: etree._Element, *names: str) -> int:
    value = next((cell.get(name) for name in names if cell.get(name)), "1").strip()
    return min(max(1, int(value)), 50) if value.isascii() and value.isdigit() and len(value) < 9 else 1
