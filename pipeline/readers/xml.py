"""Read XML: PubMed article sets, MedQuAD documents, CNXML modules; anything else as its text, block by block.

Entities are never resolved and nothing is fetched: a document type that names a file or a billion laughs is inert.
"""

import re
from collections.abc import Iterator

from lxml import etree

from pipeline.readers.items import PARAGRAPH, Block, Item, compose, one_line
from pipeline.records import text_hash

_LINES = ("item", "row", "entry", "li", "tr")


def read_xml(data: bytes) -> Iterator[Item]:
    """Yield the documents of an XML file."""
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=True, remove_pis=True
    )
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        yield Item(drop_reason="unreadable" if data.strip() else "empty", drop_detail=one_line(str(error)))
        return
    name = etree.QName(root).localname
    if name in ("PubmedArticleSet", "PubmedArticle"):
        yield from (_pubmed(article) for article in root.iter("PubmedArticle"))
    elif name == "Document" and root.find("QAPairs") is not None:
        yield _medquad(root)
    elif name == "document" and "cnxml" in (etree.QName(root).namespace or ""):
        yield _cnxml(root)
    else:
        text, sections = compose(_generic_blocks(root))
        yield Item(text=text, sections=sections)


def _text(element: etree._Element | None) -> str:
    """Return an element's text on one line, without entities left unresolved."""
    if element is None:
        return ""
    return one_line("".join(part for part in element.itertext(tag=etree.Element)))


def _pubmed(article: etree._Element) -> Item:
    blocks = []
    for part in article.iterfind(".//Article/Abstract/AbstractText"):
        if (label := (part.get("Label") or "").strip()) and _text(part):
            blocks.append(Block(1, label))
        blocks.append(Block(PARAGRAPH, _text(part)))
    text, sections = compose(blocks)
    pmid = _text(article.find(".//PMID"))
    address = f"https://pubmed.ncbi.nlm.nih.gov/{pmid}/" if pmid.isdigit() else None
    date = article.find(".//JournalIssue/PubDate")
    published = (
        "-".join(filter(None, (_text(date.find(part)) for part in ("Year", "Month", "Day"))))
        if date is not None
        else ""
    )
    title = _text(article.find(".//ArticleTitle")) or None
    native = pmid or text_hash(text)  # never a position
    return Item(native=native, text=text, title=title, url=address, published=published or None, sections=sections)


def _medquad(document: etree._Element) -> Item:
    """Make one document of question headings and answers; questions without an answer are left out."""
    blocks = []
    for pair in document.iterfind(".//QAPair"):
        answer = pair.findtext("Answer") or ""
        if answer.strip():
            question = re.sub(r"[\s?]*\?$", "?", _text(pair.find("Question")))
            paragraphs = (map(one_line, part.strip().split("\n")) for part in re.split(r"\n\s*\n", answer))
            blocks += [Block(1, question), *(Block(PARAGRAPH, "\n".join(lines)) for lines in paragraphs)]
    text, sections = compose(blocks)
    return Item(
        text=text, title=_text(document.find("Focus")) or None, url=document.get("url") or None, sections=sections
    )


def _cnxml(document: etree._Element) -> Item:
    title = _text(document.find("{*}title")) or _text(document.find("{*}metadata/{*}title"))
    blocks: list[Block] = []
    for part in (document.find("{*}content"), document.find("{*}glossary")):
        if part is not None:
            blocks += _cnxml_blocks(part, level=1)
    text, sections = compose(blocks)
    return Item(text=text, title=title or None, sections=sections)


def _cnxml_blocks(parent: etree._Element, level: int) -> Iterator[Block]:
    for element in parent.iterchildren(tag=etree.Element):
        name = etree.QName(element).localname
        if name == "title":
            yield Block(level - 1 or 1, _text(element))
        elif name in ("section", "note", "example", "exercise", "problem", "solution"):
            yield from _cnxml_blocks(element, level + 1 if element.find("{*}title") is not None else level)
        elif name == "list":
            if heading := _text(element.find("{*}title")):
                yield Block(PARAGRAPH, heading)
            yield Block(PARAGRAPH, "\n".join(f"- {_text(item)}" for item in element.iterfind("{*}item")))
        elif name == "table":
            rows = (" | ".join(_text(cell) for cell in row.iterfind("{*}entry")) for row in element.iter("{*}row"))
            yield Block(PARAGRAPH, "\n".join([_text(element.find("{*}title")), *rows]))
        elif name == "figure":
            yield Block(PARAGRAPH, _text(element.find("{*}caption")))
        elif name == "definition":
            term, meaning = _text(element.find("{*}term")), _text(element.find("{*}meaning"))
            yield Block(PARAGRAPH, f"{term}: {meaning}")
        elif name == "para" and element.find("{*}list") is not None:
            yield Block(PARAGRAPH, one_line(element.text or ""))
            yield from _cnxml_blocks(element, level)
        else:
            yield Block(PARAGRAPH, _text(element))


def _generic_blocks(root: etree._Element) -> Iterator[Block]:
    """Yield the text of each element that holds text of its own."""
    if (root.text or "").strip() or any((child.tail or "").strip() for child in root):
        yield Block(PARAGRAPH, _text(root))
        return
    for child in root.iterchildren(tag=etree.Element):
        if etree.QName(child).localname in ("title", "heading", "head") and len(child) == 0:
            yield Block(1, _text(child))
        else:
            yield from _generic_blocks(child)
