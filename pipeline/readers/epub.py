"""Read an EPUB: its chapters in the order of its spine, each laid out as a page is, as one document.

EPUB 2 and 3 (www.w3.org/TR/epub-33). A chapter without a heading of its own is given its name in the table of contents.
"""

import posixpath
from collections.abc import Iterator
from urllib.parse import unquote

from lxml import etree

from pipeline.readers.html import decode_page, parse_html
from pipeline.readers.html_blocks import pieces_of, remove_unseen
from pipeline.readers.items import Block, Item, Refused, compose, one_line
from pipeline.readers.xml_flow import parse_xml
from pipeline.readers.zipped import ZippedDocument, inside

# Encryption of these kinds veils fonts alone (EPUB 3.3, section 4.4, and Adobe's older one); the text is open.
_FONT_VEILS = frozenset(("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC"))
_CHAPTER_TYPES = frozenset(("application/xhtml+xml", "text/html", "application/x-dtbook+xml", "text/x-oeb1-document"))


def read_epub(data: bytes) -> Iterator[Item]:
    """Yield the one document of a book."""
    book = ZippedDocument(data)
    _refuse_encrypted(book)
    package_path = _package_path(book)
    package = parse_xml(book.read(package_path))
    folder = posixpath.dirname(package_path)
    labels = _labels(book, package, folder)
    blocks: list[Block] = []
    for path in _chapters(package, folder):
        chapter = _chapter_blocks(book.read(path))
        if path in labels and not any(block.level for block in chapter):
            blocks.append(Block(1, labels[path]))
        blocks += chapter
    text, sections = compose(blocks)
    named = {name: one_line(package.findtext(f".//{{*}}{name}") or "") for name in ("title", "date", "source")}
    url = named["source"] if named["source"].startswith("http") else None
    yield Item(text=text, title=named["title"] or None, url=url, published=named["date"] or None, sections=sections)


def _refuse_encrypted(book: ZippedDocument) -> None:
    if "META-INF/encryption.xml" not in book.names:
        return
    for entry in parse_xml(book.read("META-INF/encryption.xml")).iter("{*}EncryptedData"):
        method = entry.find("{*}EncryptionMethod")
        if method is None or method.get("Algorithm") not in _FONT_VEILS:
            raise Refused("encrypted", "its chapters are encrypted; get the book without copy protection")


def _package_path(book: ZippedDocument) -> str:
    if "META-INF/container.xml" in book.names:
        for root in parse_xml(book.read("META-INF/container.xml")).iter("{*}rootfile"):
            if root.get("full-path"):
                return inside(root.get("full-path"))
    named = sorted(name for name in book.names if name.lower().endswith(".opf"))
    if not named:
        raise Refused("unreadable", "no package file (.opf) in it")
    return named[0]


def _chapters(package: etree._Element, folder: str) -> list[str]:
    """Return the paths of a book's chapters in reading order, each once, without its table of contents."""
    manifest = {item.get("id"): item for item in package.iterfind("{*}manifest/{*}item") if item.get("href")}
    spine = (manifest.get(entry.get("idref")) for entry in package.iterfind("{*}spine/{*}itemref"))
    paths = [
        _path(item.get("href"), folder)
        for item in spine
        if item is not None
        and (item.get("media-type") or "text/html") in _CHAPTER_TYPES
        and "nav" not in (item.get("properties") or "").split()
    ]
    if not paths:
        raise Refused("unreadable", "its spine names no chapter")
    return list(dict.fromkeys(paths))


def _path(href: str, folder: str) -> str:
    return inside(posixpath.join(folder, unquote(href.partition("#")[0])))


def _chapter_blocks(data: bytes) -> list[Block]:
    if not data.strip():
        return []
    page = parse_html(decode_page(data))
    remove_unseen(page, furniture=False)
    body = page.find(".//body")
    return [piece.block for piece in pieces_of(page if body is None else body)]


def _labels(book: ZippedDocument, package: etree._Element, folder: str) -> dict[str, str]:
    """Return what the table of contents calls each chapter, by path: of its first entry, be it EPUB 2's or 3's."""
    labels: dict[str, str] = {}
    for item in package.iterfind("{*}manifest/{*}item"):
        is_nav = "nav" in (item.get("properties") or "").split()
        if not item.get("href") or not (is_nav or item.get("media-type") == "application/x-dtbncx+xml"):
            continue
        path = _path(item.get("href"), folder)
        if path not in book.names:
            continue
        contents = parse_html(decode_page(book.read(path))) if is_nav else parse_xml(book.read(path))
        if is_nav:
            found = [(link.get("href"), "".join(link.itertext())) for link in contents.iterfind(".//nav//a[@href]")]
        else:
            points = list(contents.iter("{*}navPoint"))
            sources = (point.find("{*}content") for point in points)
            texts = (point.findtext("{*}navLabel/{*}text") for point in points)
            found = [
                (source.get("src") if source is not None else "", text or "")
                for source, text in zip(sources, texts, strict=True)
            ]
        for href, label in found:
            if href and one_line(label) and "://" not in href:
                labels.setdefault(_path(href, posixpath.dirname(path)), one_line(label))
    return labels
