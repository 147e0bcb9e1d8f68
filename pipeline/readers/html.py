"""Read a web page: its article without navigation, scripts, hidden text and other furniture; headings are sections.

Which words are the article is trafilatura's judgement (Barbaresi, ACL 2021 demos). It loses headings, lists, captions
and much of a whole book, so its words only choose among our own blocks of the page:

1. a block is article when at least half of its runs of eight letters are in what trafilatura found;
2. between the first and the last of these, so are headings, captions, lists, tables and sentences, unless they are
   mostly links;
3. when what is chosen then has less than 60% of the page's prose, all blocks are taken that are not mostly links. Prose
   is paragraphs that end as sentences do, outside navigation, footers and hidden elements.
"""

import logging
import re
import unicodedata
from collections.abc import Iterator, Sequence

import numpy as np
import trafilatura
from lxml import etree
from lxml import html as lxml_html
from numpy.typing import NDArray

from pipeline.readers.encoding import decode_or_refuse
from pipeline.readers.html_blocks import Piece, pieces_of, remove_unseen
from pipeline.readers.items import Item, Refused, compose, named, one_line

_DECLARED = re.compile(rb"<(?:meta|\?xml)[^>]{1,200}(?:charset|encoding)\s*=\s*[\"']?([\w-]{3,20})", re.IGNORECASE)
_BELIEVED = re.compile(r"gb[\dk]+|hz|big5(-hkscs)?|shift_jis|euc-\w\w|iso-2022-\w\w|koi8-\w|windows-\d+|cp\d+")
_PROLOGUE = re.compile(r"^\s*<\?xml[^>]*\?>")
_SELF_CLOSED = re.compile(r"<(?P<name>[A-Za-z][\w:-]*)(?P<attributes>(?:\s[^<>]*)?)/>")
_INLINE_TAG = re.compile(r"</?(?:font|b|i|u|em|strong|span|small|big|tt)\b[^<>]*>", re.IGNORECASE)
_VOID = named("area base br col embed hr img input link meta param source track wbr")
_RUN = 8  # letters; enough to be found by chance next to never, short enough for a Chinese heading
_WITHIN_LINES = ("hi", "ref", "del")  # of trafilatura's elements: raised, lowered, set apart or linked words
_MIN_FOUND, _MIN_PROSE = 0.5, 0.6
_MAX_ELEMENTS = 30_000  # of a page that trafilatura is asked about: at worst its time is quadratic in them
_MAX_TAGS = 1_000_000  # a page of nothing but paragraphs then takes 0.75 GB and 10 s
_SENTENCE = re.compile(r"[。！？!?.…][\"'”’」』）)\]]*$")


def read_html(data: bytes) -> Iterator[Item]:
    """Yield the one document of a web page."""
    page = parse_html(decode_page(data))
    title, url, published = _title(page), _address(page), _published(page)
    remove_unseen(page, furniture=True)
    body = page.find(".//body")
    pieces = list(pieces_of(body)) if body is not None else []
    article = _article(pieces, _found(page) if body is not None else "")
    content, sections = compose(piece.block for piece in article)
    yield Item(text=content, title=title, url=url, published=published, sections=sections)


def decode_page(data: bytes) -> str:
    """Return the text of a page, by the encoding it declares where its bytes bear that out, else by its bytes.

    Raises:
        Refused: no encoding explains the bytes.
    """
    declared = _DECLARED.search(data[:4096])
    name = declared.group(1).decode().lower() if declared else ""
    if _BELIEVED.fullmatch(name):  # any bytes are Latin-1, and a page whose tags can be read is not UTF-16
        try:
            return data.decode("gb18030" if name in ("gb2312", "gbk") else name)
        except (LookupError, UnicodeDecodeError):
            pass  # pages often declare what they are not
    return decode_or_refuse(data)


def parse_html(text: str) -> etree._Element:
    """Return the tree of a page without comments.

    Raises:
        Refused: it is empty, or nested too deep to be read.
    """
    parser = lxml_html.HTMLParser(no_network=True, huge_tree=False, remove_comments=True, remove_pis=True)
    plain = _PROLOGUE.sub("", text).replace("\x00", "")  # lxml refuses a string that names an encoding
    if "http://www.w3.org/1999/xhtml" in plain[:4096]:
        plain = _SELF_CLOSED.sub(_closed, plain)  # to HTML an empty <title/> is one that goes on
    if not plain.strip():
        raise Refused("empty")
    if plain.count("<") > _MAX_TAGS:
        raise Refused("too_large", f"more than {_MAX_TAGS} tags in one page; split it")
    try:
        page = lxml_html.document_fromstring(plain, parser=parser)
        if _cut_short(parser) == "nested deeper than 255 elements":
            page = lxml_html.document_fromstring(_INLINE_TAG.sub("", plain), parser=parser)  # most are never closed
    except (etree.LxmlError, ValueError, AssertionError) as error:
        reason = "empty" if "empty" in str(error).lower() else "unreadable"
        raise Refused(reason, one_line(str(error))[:200]) from None
    if fault := _cut_short(parser):
        raise Refused("unreadable", fault)
    return page


def _cut_short(parser: etree.HTMLParser) -> str | None:
    """Tell which of its limits the parser met: it leaves out what is beyond in silence."""
    met = [entry.message for entry in parser.error_log if entry.type_name == "ERR_RESOURCE_LIMIT"]
    if any("depth" in message for message in met):
        return "nested deeper than 255 elements"
    return one_line(met[0])[:200] if met else None


def _closed(tag: re.Match[str]) -> str:
    name = tag.group("name")
    return tag.group() if name.lower() in _VOID else f"<{name}{tag.group('attributes')}></{name}>"


def _found(page: etree._Element) -> str:
    """Return the words that trafilatura takes for the article, a line a paragraph, cell or item of a list."""
    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)  # that it found nothing is for us to handle
    if sum(1 for _ in page.iter()) > _MAX_ELEMENTS:
        return ""
    for cell in page.iter("td", "th"):
        cell.attrib.pop("colspan", None)  # trafilatura makes that many cells, be it a billion
    found = trafilatura.bare_extraction(page, include_comments=False, include_tables=True, with_metadata=False)
    body = getattr(found, "body", None)
    return "" if body is None else "".join(_laid_out(body))


def _laid_out(body: etree._Element) -> Iterator[str]:
    """Yield the text of a tree, a new line where an element begins or ends that is more than words within a line."""
    for event, element in etree.iterwalk(body, events=("start", "end")):
        if element.tag not in _WITHIN_LINES:
            yield "\n"
        yield (element.text if event == "start" else element.tail) or ""


def _article(pieces: Sequence[Piece], found: str) -> list[Piece]:
    """Choose the pieces of the article by the rules above."""
    in_found = _shares(pieces, found) >= _MIN_FOUND
    chosen = np.flatnonzero(in_found)
    first, last = (int(chosen[0]), int(chosen[-1])) if chosen.size else (len(pieces), -1)
    while first > 0 and pieces[first - 1].kind == "heading" and pieces[first - 1].block.level == 1:
        first -= 1  # the title of an article stands before its first words
    prose = [piece.kind == "paragraph" and not _linked(piece) and _is_sentence(piece) for piece in pieces]
    kept = [
        is_found or (first <= place <= last and (piece.kind != "paragraph" or is_prose) and not _linked(piece))
        for place, (piece, is_found, is_prose) in enumerate(zip(pieces, in_found, prose, strict=True))
    ]
    chars = [len(piece.block.text) * is_prose for piece, is_prose in zip(pieces, prose, strict=True)]
    if sum(count for count, keep in zip(chars, kept, strict=True) if keep) < _MIN_PROSE * sum(chars) or not any(kept):
        return [piece for piece in pieces if not _linked(piece)]
    return [piece for piece, keep in zip(pieces, kept, strict=True) if keep]


def _linked(piece: Piece) -> bool:
    return piece.linked > 0.5 * len(piece.block.text)


def _is_sentence(piece: Piece) -> bool:
    return len(piece.block.text) >= 20 and _SENTENCE.search(piece.block.text) is not None


def _shares(pieces: Sequence[Piece], found: str) -> NDArray[np.float64]:
    """Return for each of P pieces the share of its runs of letters that are in a text; of short ones, 0 or 1."""
    lines = {_letters(line) for line in found.split("\n")}
    known = np.append(np.unique(_run_hashes(_letters(found))), np.uint64(0))

    def share(text: str) -> float:
        if len(text) < _RUN:
            return float(text in lines)
        hashes = _run_hashes(text)
        return float((known[np.searchsorted(known[:-1], hashes)] == hashes).mean())

    return np.array([share(_letters(piece.block.text)) for piece in pieces])


def _letters(text: str) -> str:
    """Return the letters and digits of a text; raised ones, which our blocks write as such (m²), as plain ones."""
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", text))


def _run_hashes(text: str) -> NDArray[np.uint64]:
    """Return the hash of each run of letters: a polynomial modulo 2^64, whose odd base makes every place count."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64)
    count = max(0, len(codes) - _RUN + 1)
    hashes = np.zeros(count, dtype=np.uint64)
    for place in range(_RUN):
        hashes = hashes * np.uint64(0x9E3779B97F4A7C15) + codes[place : place + count]
    return hashes


def _title(page: etree._Element) -> str | None:
    headings = page.findall(".//h1")
    found = headings[0] if len(headings) == 1 else page.find(".//title")
    return (one_line("".join(found.itertext())) or None) if found is not None else None


def _address(page: etree._Element) -> str | None:
    found = page.xpath("//link[@rel='canonical']/@href | //meta[@property='og:url']/@content")
    return str(found[0]).strip() or None if found else None


def _published(page: etree._Element) -> str | None:
    found = page.xpath(
        "//meta[@property='article:published_time']/@content | //meta[@name='date']/@content"
        " | //meta[@name='citation_publication_date']/@content | //meta[@itemprop='datePublished']/@content"
    )
    return str(found[0]).strip() or None if found else None
