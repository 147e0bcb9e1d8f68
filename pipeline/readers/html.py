"""Read a web page: its article without navigation, scripts and other furniture; headings h1 to h6 become sections.

The article is found by trafilatura (Barbaresi, ACL 2021 demos). Where that finds nothing, or all of the page in one
piece, as on pages of a few lines, the blocks of the body are taken, without the elements that never hold an article.
"""

import re
from collections.abc import Iterator

import trafilatura
from lxml import etree
from lxml import html as lxml_html

from pipeline.readers.encoding import decode
from pipeline.readers.items import PARAGRAPH, Block, Item, compose, one_line

_CHARSET = re.compile(rb"<meta[^>]{1,200}charset\s*=\s*[\"']?([\w-]{3,20})", re.IGNORECASE)
_FURNITURE = ("script", "style", "noscript", "template", "nav", "footer", "aside", "form", "button", "iframe")
_BLOCKS = ("p", "li", "dt", "dd", "td", "th", "pre", "blockquote", "figcaption", "caption", "div", "section", "article")


def read_html(data: bytes) -> Iterator[Item]:
    """Yield the one document of a web page."""
    text = _decode_page(data)
    if text is None:
        yield Item(drop_reason="undecodable")
        return
    parser = lxml_html.HTMLParser(no_network=True, huge_tree=False, remove_comments=True, remove_pis=True)
    try:
        page = lxml_html.document_fromstring(_without_declaration(text), parser=parser)
    except (etree.ParserError, ValueError) as error:
        reason = "empty" if not text.strip() or "empty" in str(error).lower() else "unreadable"
        yield Item(drop_reason=reason, drop_detail=one_line(str(error)))
        return
    title, url, published = _title(page), _address(page), _published(page)
    found = trafilatura.bare_extraction(text, include_comments=False, include_tables=True, with_metadata=False)
    body = getattr(found, "body", None)
    article = list(_article_blocks(body)) if body is not None else []
    content, sections = compose(article if len(article) > 1 else _page_blocks(page))
    yield Item(text=content, title=title, url=url, published=published, sections=sections)


def _decode_page(data: bytes) -> str | None:
    declared = _CHARSET.search(data[:4096])
    if declared:
        name = declared.group(1).decode().lower()
        try:
            return data.decode("gb18030" if name in ("gb2312", "gbk") else name)
        except (LookupError, UnicodeDecodeError):
            pass  # pages often declare what they are not
    return decode(data)


def _without_declaration(text: str) -> str:
    return re.sub(r"^\s*<\?xml[^>]*\?>", "", text)  # lxml refuses a decoded string that names an encoding


def _article_blocks(body: etree._Element) -> Iterator[Block]:
    """Turn trafilatura's tree (head, p, list, item, table, row, cell, quote, code) into blocks."""
    for element in body:
        if element.tag == "head":
            level = re.search(r"\d", element.get("rend") or "")
            yield Block(int(level.group()) if level else 2, _inline(element))
        elif element.tag in ("list", "table"):
            rows = element.iter("item", "row")
            lines = (("- " if row.tag == "item" else "") + _row(row) for row in rows if _row(row))
            yield Block(PARAGRAPH, "\n".join(lines))
        elif element.tag == "div" or (element.tag == "quote" and len(element)):
            yield from _article_blocks(element)
        else:
            yield Block(PARAGRAPH, _inline(element))
        if element.tail and element.tail.strip():
            yield Block(PARAGRAPH, one_line(element.tail))


def _row(row: etree._Element) -> str:
    cells = [_inline(cell) for cell in row.iter("cell")]
    return " | ".join(cell for cell in cells if cell) if cells else _inline(row)


def _inline(element: etree._Element) -> str:
    for line_break in element.iter("lb", "br"):
        line_break.tail = "\n" + (line_break.tail or "")
    lines = (
        (one_line(line) for line in "".join(element.itertext()).split("\n"))
        if element.find(".//lb") is not None
        else ()
    )
    return "\n".join(line for line in lines if line) or one_line("".join(element.itertext()))


def _page_blocks(page: etree._Element) -> Iterator[Block]:
    body = page.find(".//body")
    if body is None:
        return
    etree.strip_elements(body, *_FURNITURE, with_tail=False)
    for element in body.iter("h1", "h2", "h3", "h4", "h5", "h6", *_BLOCKS):
        if element.tag.startswith("h") and element.tag[1:].isdigit():
            yield Block(int(element.tag[1:]), one_line("".join(element.itertext())))
        elif (
            next(element.iterchildren(*_BLOCKS, "ul", "ol", "table", "h1", "h2", "h3", "h4", "h5", "h6"), None) is None
        ):
            yield Block(PARAGRAPH, one_line("".join(element.itertext())))


def _title(page: etree._Element) -> str | None:
    headings = page.findall(".//h1")
    named = headings[0] if len(headings) == 1 else page.find(".//title")
    return (one_line("".join(named.itertext())) or None) if named is not None else None


def _address(page: etree._Element) -> str | None:
    found = page.xpath("//link[@rel='canonical']/@href | //meta[@property='og:url']/@content")
    return str(found[0]).strip() or None if found else None


def _published(page: etree._Element) -> str | None:
    found = page.xpath("//meta[@property='article:published_time']/@content | //meta[@name='date']/@content")
    return str(found[0]).strip() or None if found else None
