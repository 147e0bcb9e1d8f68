"""Read XML: PubMed sets, MedQuAD, JATS, TEI, CNXML, MediaWiki dumps; XHTML as a page; others as their text.

Entities are never resolved and nothing is fetched: a document type that names a file or a billion laughs is inert.
"""

import io
import re
from collections.abc import Callable, Iterator

from lxml import etree

from pipeline.readers.html import read_html
from pipeline.readers.items import PARAGRAPH, Block, Item, Refused, compose, named, one_line
from pipeline.readers.jats import read_jats
from pipeline.readers.mediawiki import page_item
from pipeline.readers.tei import read_tei
from pipeline.readers.xml_flow import PARSER_SETTINGS, Dialect, flow, local_name, parse_xml, text_of
from pipeline.records import text_hash

_CNXML = Dialect(
    sections=named("section note example exercise problem solution"),
    blocks=named("para figure caption quote"),
    headings=frozenset(("title",)),
    items=frozenset(("item",)),
    asides=frozenset(("footnote",)),
    dropped=frozenset(("media", "metadata", "cite")),
)


def read_xml(data: bytes) -> Iterator[Item]:
    """Yield the documents of an XML file."""
    if not data.strip():
        raise Refused("empty")
    name, namespace = _root_name(data)
    if name in ("PubmedArticleSet", "PubmedArticle", "PubmedBookArticle"):
        yield from _one_by_one(data, ("PubmedArticle", "PubmedBookArticle"), _pubmed)
    elif name == "mediawiki":
        yield from _one_by_one(data, ("{*}page",), page_item)
    elif name == "html":
        yield from read_html(data)
    else:
        root = parse_xml(data)
        read = _DIALECTS.get(name)
        if name == "document" and "cnxml" not in namespace:
            read = None
        if name == "Document" and root.find("QAPairs") is None:
            read = None
        yield from (read or _read_unknown)(root)


def _root_name(data: bytes) -> tuple[str, str]:
    """Return the name and namespace of the first element without reading further than it."""
    try:
        for _, element in etree.iterparse(io.BytesIO(data), events=("start",), **PARSER_SETTINGS):
            return local_name(element), etree.QName(element).namespace or ""
    except (etree.LxmlError, ValueError) as error:
        raise Refused("unreadable", one_line(str(error))[:200]) from None
    raise Refused("unreadable", "no element in it")


def _one_by_one(data: bytes, tags: tuple[str, ...], item: Callable[[etree._Element], Item]) -> Iterator[Item]:
    """Yield an item a record, one record in memory at a time."""
    try:
        for _, record in etree.iterparse(io.BytesIO(data), events=("end",), tag=tags, **PARSER_SETTINGS):
            yield item(record)
            record.clear(keep_tail=False)
            while record.getprevious() is not None:
                del record.getparent()[0]
    except (etree.LxmlError, ValueError) as error:
        raise Refused("unreadable", "from here on: " + one_line(str(error))[:200]) from None


def _pubmed(article: etree._Element) -> Item:
    """Make one document of an abstract: the labels of a structured one stand before its paragraphs."""
    paragraphs = []
    for part in article.iterfind(".//Abstract/AbstractText"):
        body, label = text_of(part), (part.get("Label") or "").strip()
        named = label and label.upper() != "UNLABELLED" and not body.upper().startswith(label.upper())
        paragraphs.append(Block(PARAGRAPH, f"{label}: {body}" if named and body else body))
    text, sections = compose(paragraphs)
    pmid = text_of(article.find(".//PMID"))
    date = article.find(".//PubDate")
    published = (
        "-".join(filter(None, (text_of(date.find(part)) for part in ("Year", "Month", "Day"))))
        if date is not None
        else ""
    )
    title = text_of(article.find(".//ArticleTitle")) or text_of(article.find(".//BookTitle"))
    return Item(
        native=pmid or text_hash(text),  # never a position
        text=text,
        title=title or None,
        url=f"https://pubmed.ncbi.nlm.nih.gov/{pmid}/" if pmid.isascii() and pmid.isdigit() else None,
        published=published or None,
        sections=sections,
    )


def _read_medquad(document: etree._Element) -> Iterator[Item]:
    """Yield one document of question headings and answers; questions without an answer are left out."""
    blocks: list[Block] = []
    for pair in document.iterfind(".//QAPair"):
        answer = "".join(pair.find("Answer").itertext()) if pair.find("Answer") is not None else ""
        if answer.strip():
            blocks.append(Block(1, re.sub(r"[\s?]*\?$", "?", text_of(pair.find("Question")))))
            blocks += _answer_blocks(answer)
    text, sections = compose(blocks)
    title = text_of(document.find("Focus")) or None
    yield Item(text=text, title=title, url=document.get("url") or None, sections=sections)


def _answer_blocks(answer: str) -> Iterator[Block]:
    """Give an answer back its lists: its pages were flattened so that three spaces or a line's end part two blocks."""
    items: list[str] = []
    for part in re.split(r" {3,}|\s*\n\s*", answer):
        body = one_line(part)
        if body.startswith("- "):
            items.append(body)
        elif body:
            yield Block(PARAGRAPH, "\n".join(items))
            items = []
            yield Block(PARAGRAPH, body)
    yield Block(PARAGRAPH, "\n".join(items))


def _read_cnxml(document: etree._Element) -> Iterator[Item]:
    title = text_of(document.find("{*}title")) or text_of(document.find("{*}metadata/{*}title"))
    content, glossary = document.find("{*}content"), document.find("{*}glossary")
    blocks = [] if content is None else list(flow(content, _CNXML))
    for entry in [] if glossary is None else glossary.iterfind("{*}definition"):
        meaning = " ".join(text_of(part) for part in entry.iterfind("{*}meaning"))
        blocks.append(Block(PARAGRAPH, f"{text_of(entry.find('{*}term'))}: {meaning}"))
    text, sections = compose(blocks)
    yield Item(text=text, title=title or None, sections=sections)


def _read_unknown(root: etree._Element) -> Iterator[Item]:
    text, sections = compose(_unknown_blocks(root))
    yield Item(text=text, sections=sections)


def _unknown_blocks(root: etree._Element) -> Iterator[Block]:
    """Yield the text of each element that holds text of its own."""
    if (root.text or "").strip() or any((child.tail or "").strip() for child in root):
        yield Block(PARAGRAPH, text_of(root))
        return
    for child in root.iterchildren(tag=etree.Element):
        if local_name(child) in ("title", "heading", "head") and len(child) == 0:
            yield Block(1, text_of(child))
        else:
            yield from _unknown_blocks(child)


_DIALECTS: dict[str, Callable[[etree._Element], Iterator[Item]]] = {
    "Document": _read_medquad,
    "document": _read_cnxml,
    "article": read_jats,
    "pmc-articleset": read_jats,
    "OAI-PMH": read_jats,
    "TEI": read_tei,
    "teiCorpus": read_tei,
    "TEI.2": read_tei,
}
