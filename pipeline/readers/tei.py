"""Read TEI (tei-c.org), the XML of digitised books and of GROBID: divisions, verse, speeches, tables, pages."""

import re
from collections.abc import Iterator
from dataclasses import replace

from lxml import etree

from pipeline.readers.items import Block, Item, compose, named
from pipeline.readers.xml_flow import Dialect, flow, local_name, text_of
from pipeline.records import text_hash

_DIVISIONS = frozenset(("div", *(f"div{level}" for level in range(1, 8))))
_TEI = Dialect(
    sections=_DIVISIONS,
    headings=frozenset(("head",)),
    blocks=named(
        "p ab front body back group text sp quote cit floatingText trailer opener closer "
        "salute signed argument epigraph titlePage abstract"
    ),
    verse=frozenset(("lg",)),
    captions=frozenset(("head", "figDesc")),
    figures=frozenset(("figure",)),
    terms=frozenset(("label",)),
    asides=frozenset(("note",)),
    # Running heads and what an editor struck are not the text.
    dropped=named("fw del listBibl graphic gap idno"),
)
_PAGE = "\ufdd0"  # a noncharacter: no text has it


def read_tei(root: etree._Element) -> Iterator[Item]:
    """Yield a document a text; those of a corpus are named by their xml:id, or by their content."""
    texts = list(root.iter("{*}TEI", "{*}TEI.2"))
    for document in texts:
        yield _document(document, alone=document is root)


def _document(document: etree._Element, *, alone: bool) -> Item:
    header = document.find("{*}teiHeader")
    title = header.find(".//{*}titleStmt/{*}title") if header is not None else None
    _settle(document)
    blocks: list[Block] = []
    abstract = header.find(".//{*}profileDesc/{*}abstract") if header is not None else None
    if abstract is not None and len(abstract):
        blocks += flow(abstract, _TEI, level=1)
    for text in document.iterchildren("{*}text"):
        blocks += flow(text, _TEI)
    content, sections = compose(_paged(blocks))
    name = document.get("{http://www.w3.org/XML/1998/namespace}id")
    date = header.find(".//{*}publicationStmt/{*}date") if header is not None else None
    return Item(
        native=None if alone else name or text_hash(content),
        text=content,
        title=text_of(title) or None,
        published=(date.get("when") or text_of(date) or None) if date is not None else None,
        sections=sections,
    )


def _settle(document: etree._Element) -> None:
    """Leave of each choice the corrected, expanded reading; lead page breaks and citation marks into the text."""
    for choice in document.iter("{*}choice"):
        readings = [part for part in choice if isinstance(part.tag, str)]
        better = [part for part in readings if local_name(part) in ("corr", "reg", "expan")] or readings[-1:]
        for part in readings:
            if part not in better:
                part.clear(keep_tail=True)
    for mark in document.iter("{*}ref"):
        if mark.get("type") == "bibr":
            mark.clear(keep_tail=True)
    for line in document.iter("{*}lb"):
        line.tail = ("" if line.get("break") == "no" else " ") + (line.tail or "").lstrip()
    for page in document.iter("{*}pb"):
        if re.fullmatch(r"\d{1,6}", page.get("n") or ""):
            page.text = f"{_PAGE}{page.get('n')}{_PAGE}"


def _paged(blocks: list[Block]) -> Iterator[Block]:
    """Give blocks the page they begin on."""
    page: int | None = None
    for block in blocks:
        found = [int(number) for number in re.findall(rf"{_PAGE}(\d+){_PAGE}", block.text)]
        at_start = re.match(rf"\s*{_PAGE}(\d+){_PAGE}", block.text)
        if at_start:
            page = found[0]
        yield replace(block, text=re.sub(rf"\s*{_PAGE}\d+{_PAGE}", "", block.text).strip(), page=page)
        page = found[-1] if found else page
