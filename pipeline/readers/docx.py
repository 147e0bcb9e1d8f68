"""Read a DOCX: headings by style or outline level, lists, tables, notes; no macro runs and no link is followed.

WordprocessingML (ECMA-376, part 1, section 17). Deletions, hidden text, field codes and tables of contents are left
out; insertions stay. Notes follow the paragraph that refers to them.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from lxml import etree

from pipeline.readers.html_blocks import spread_cells
from pipeline.readers.items import PARAGRAPH, Block, Item, Refused, compose, one_line, superscript, table_text
from pipeline.readers.xml_flow import local_name, parse_xml
from pipeline.readers.zipped import ZippedDocument

_DROPPED = frozenset(("del", "moveFrom", "instrText", "delText", "Fallback", "pPr", "rPr", "sectPr", "tblPr", "tcPr"))
_BULLETS = ("bullet", "none", None)
_MAX_HEADING_CHARS = 200
_BODY_LEVEL = 9  # outline levels 0 to 8 are headings


@dataclass(frozen=True)
class _Styles:
    """What paragraph styles say, by style id: an outline level, a name, and a list (number id, depth)."""

    levels: Mapping[str, int]
    names: Mapping[str, str]
    lists: Mapping[str, tuple[str, int]]


@dataclass
class _Reading:
    """A document being read: what it refers to, and how far its numbered lists have counted."""

    styles: _Styles
    formats: Mapping[tuple[str, int], str | None]
    notes: Mapping[tuple[str, str], str]
    counts: dict[tuple[str, int], int] = field(default_factory=dict)


def read_docx(data: bytes) -> Iterator[Item]:
    """Yield the one document of a DOCX file."""
    file = ZippedDocument(data)
    if "word/document.xml" not in file.names:
        raise Refused("unreadable", "no word/document.xml in it; save it as a DOCX")
    body = parse_xml(file.read("word/document.xml")).find("{*}body")
    styles = _styles(_part(file, "word/styles.xml"))
    reading = _Reading(styles, _formats(_part(file, "word/numbering.xml")), _notes(file))
    blocks = [] if body is None else list(_blocks(body, reading))
    text, sections = compose(blocks)
    core = _part(file, "docProps/core.xml")
    title = one_line((core.findtext(".//{*}title") or "") if core is not None else "")
    first = next((block.text for block in blocks if block.level == 1), None)
    yield Item(text=text, title=title or first, sections=sections)


def _part(file: ZippedDocument, name: str) -> etree._Element | None:
    return parse_xml(file.read(name)) if name in file.names else None


def _value(element: etree._Element | None, name: str = "val") -> str | None:
    """Return an attribute by its local name."""
    if element is None:
        return None
    return next((str(value) for key, value in element.items() if key.rpartition("}")[2] == name), None)


def _number(element: etree._Element | None, otherwise: int = 0) -> int:
    value = _value(element)
    return int(value) if value and re.fullmatch(r"\d{1,6}", value) else otherwise


def _styles(root: etree._Element | None) -> _Styles:
    """Read paragraph styles; what one does not say is what the one it is based on says."""
    found = {_value(style, "styleId") or "": style for style in (root.iter("{*}style") if root is not None else ())}
    levels: dict[str, int] = {}
    lists: dict[str, tuple[str, int]] = {}
    names = {id: (_value(style.find("{*}name")) or "").lower() for id, style in found.items()}
    for id in found:
        ancestors: list[str] = []
        at = id
        while at in found and at not in ancestors and len(ancestors) < 32:
            ancestors.append(at)
            at = _value(found[at].find("{*}basedOn")) or ""
        for ancestor in reversed(ancestors):
            by_name = re.fullmatch(r"heading ([1-9])", names[ancestor])
            outline = found[ancestor].find("{*}pPr/{*}outlineLvl")
            numbered = found[ancestor].find("{*}pPr/{*}numPr")
            if outline is not None:
                levels[id] = _number(outline, _BODY_LEVEL)
            elif by_name:
                levels[id] = int(by_name.group(1)) - 1
            elif names[ancestor] == "title":
                levels[id] = 0
            if numbered is not None:
                lists[id] = (_value(numbered.find("{*}numId")) or "0", _number(numbered.find("{*}ilvl")))
    return _Styles(levels, names, lists)


def _formats(root: etree._Element | None) -> dict[tuple[str, int], str | None]:
    """Return the number format of each list (number id, depth)."""
    if root is None:
        return {}
    abstract = {
        _value(kind, "abstractNumId"): {
            int(depth): _value(level.find("{*}numFmt"))
            for level in kind.iterfind("{*}lvl")
            if (depth := _value(level, "ilvl") or "").isdecimal() and len(depth) < 3
        }
        for kind in root.iter("{*}abstractNum")
    }
    return {
        (_value(number, "numId") or "", depth): kind
        for number in root.iter("{*}num")
        for depth, kind in abstract.get(_value(number.find("{*}abstractNumId")), {}).items()
    }


def _notes(file: ZippedDocument) -> dict[tuple[str, str], str]:
    """Return the text of each footnote and endnote by its kind and id."""
    notes: dict[tuple[str, str], str] = {}
    for kind in ("footnote", "endnote"):
        root = _part(file, f"word/{kind}s.xml")
        for note in root.iter(f"{{*}}{kind}") if root is not None else ():
            notes[kind, _value(note, "id") or ""] = _flat(note)
    return notes


def _blocks(parent: etree._Element, reading: _Reading) -> Iterator[Block]:
    """Yield headings, paragraphs, lists and tables in order; a caption right before a table is part of it."""
    lines: list[str] = []
    caption: Block | None = None
    for element in _paragraphs_and_tables(parent):
        is_table = local_name(element) == "tbl"
        prefix = None if is_table else _list_prefix(element, reading)
        if prefix is None and lines:
            yield Block(PARAGRAPH, "\n".join(lines))
            lines = []
        if caption is not None and not is_table:
            yield caption
        before, caption = caption, None
        if is_table:
            yield Block(PARAGRAPH, table_text(_rows(element), caption=before.text if before else ""))
            continue
        style = _value(element.find("{*}pPr/{*}pStyle")) or ""
        name = reading.styles.names.get(style, "")
        body = "".join(_inline(element))
        if name.startswith("toc ") or not body.strip():
            continue
        level = _level(element, style, reading)
        if prefix is not None:
            lines.append(prefix + one_line(body))
        elif level and len(body) <= _MAX_HEADING_CHARS:
            yield Block(level, one_line(body))
        elif name == "caption":
            caption = Block(PARAGRAPH, one_line(body))
        else:
            yield Block(PARAGRAPH, "\n".join(filter(None, map(one_line, body.split("\n")))))
        for note in _notes_of(element, reading):
            if lines:
                lines[-1] += f" ({note})"
            else:
                yield Block(PARAGRAPH, note)
    if caption is not None:
        yield caption
    yield Block(PARAGRAPH, "\n".join(lines))


def _paragraphs_and_tables(parent: etree._Element) -> Iterator[etree._Element]:
    """Yield the paragraphs and tables below an element, those of text boxes behind the paragraph that anchors them."""
    for element in parent.iterchildren(tag=etree.Element):
        name = local_name(element)
        if name == "p":
            yield element
            for box in element.iter("{*}txbxContent"):
                if not any(local_name(above) == "Fallback" for above in box.iterancestors()):
                    yield from _paragraphs_and_tables(box)
        elif name == "tbl":
            yield element
        elif name == "sdt":
            gallery = _value(element.find("{*}sdtPr/{*}docPartObj/{*}docPartGallery"))
            content = element.find("{*}sdtContent")
            if content is not None and gallery != "Table of Contents":
                yield from _paragraphs_and_tables(content)
        elif name not in _DROPPED:
            yield from _paragraphs_and_tables(element)


def _level(paragraph: etree._Element, style: str, reading: _Reading) -> int:
    """Return the heading level of a paragraph, 0 where it is none."""
    outline = paragraph.find("{*}pPr/{*}outlineLvl")
    level = reading.styles.levels.get(style, _BODY_LEVEL) if outline is None else _number(outline, _BODY_LEVEL)
    return level + 1 if level < _BODY_LEVEL else PARAGRAPH


def _list_prefix(paragraph: etree._Element, reading: _Reading) -> str | None:
    """Return "- " or the number of a list item, counted on; None for a paragraph that is none."""
    style = _value(paragraph.find("{*}pPr/{*}pStyle")) or ""
    numbered = paragraph.find("{*}pPr/{*}numPr")
    id, depth = reading.styles.lists.get(style, ("0", 0))
    if numbered is not None:
        id = _value(numbered.find("{*}numId")) or id
        depth = _number(numbered.find("{*}ilvl"), depth)
    if id == "0" or _level(paragraph, style, reading) or not _flat(paragraph):
        return None
    if reading.formats.get((id, depth)) in _BULLETS:
        return "- "
    reading.counts[id, depth] = reading.counts.get((id, depth), 0) + 1
    for deeper in range(depth + 1, _BODY_LEVEL):
        reading.counts.pop((id, deeper), None)
    return f"{reading.counts[id, depth]}. "


def _inline(element: etree._Element) -> Iterator[str]:
    """Yield the visible text of a paragraph, without that of boxes anchored in it."""
    for child in element.iterchildren(tag=etree.Element):
        name = local_name(child)
        if name == "t":
            yield child.text or ""
        elif name in ("br", "cr"):
            yield "\n"
        elif name in ("tab", "ptab"):
            yield " "
        elif name == "noBreakHyphen":
            yield "-"
        elif name == "r":
            properties = child.find("{*}rPr")
            if properties is None or not _on(properties.find("{*}vanish")):
                text = "".join(_inline(child))
                raised = properties is not None and _value(properties.find("{*}vertAlign")) == "superscript"
                yield superscript(text) if raised else text
        elif name not in _DROPPED and name not in ("txbxContent", "p", "tbl"):
            yield from _inline(child)


def _on(switch: etree._Element | None) -> bool:
    return switch is not None and _value(switch) not in ("0", "false", "off")


def _notes_of(paragraph: etree._Element, reading: _Reading) -> Iterator[str]:
    for mark in paragraph.iter("{*}footnoteReference", "{*}endnoteReference"):
        note = reading.notes.get((local_name(mark).removesuffix("Reference"), _value(mark, "id") or ""))
        if note:
            yield note


def _flat(element: etree._Element) -> str:
    """Return all text below an element on one line."""
    if local_name(element) == "p":
        return one_line("".join(_inline(element)))
    return one_line(" ".join("".join(_inline(paragraph)) for paragraph in element.iter("{*}p")))


def _rows(table: etree._Element) -> list[list[str]]:
    """Return a table's cells by row; a text that goes on below repeats."""
    above: dict[int, str] = {}
    rows = []
    for row in table.iterfind("{*}tr"):
        cells: list[tuple[str, int, int]] = []
        column = 0
        for cell in row.iterfind("{*}tc"):
            merge = cell.find("{*}tcPr/{*}vMerge")
            goes_on = merge is not None and _value(merge) != "restart"
            text = above.get(column, "") if goes_on else _flat(cell)
            above[column] = text
            wide = min(max(1, _number(cell.find("{*}tcPr/{*}gridSpan"), 1)), 50)
            cells.append((text, wide, 1))
            column += wide
        rows.append(cells)
    return spread_cells(rows)
