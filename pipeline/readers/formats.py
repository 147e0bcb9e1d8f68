"""The formats that collect reads: the readers of files that are one document, and what tells a file's format.

A format is told by a file's suffix, unless its first bytes say that it is another: a page saved as .txt is read as a
page. Without a known suffix, its first bytes tell it; `format` in a card tells it for all files of a source.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping

from pipeline.readers.docx import read_docx
from pipeline.readers.encoding import decode
from pipeline.readers.epub import read_epub
from pipeline.readers.html import read_html
from pipeline.readers.items import Item, Refused
from pipeline.readers.markdown import read_markdown
from pipeline.readers.pdf import read_pdf
from pipeline.readers.rst import read_rst
from pipeline.readers.scans import read_scan, scan_format
from pipeline.readers.tables import FORMATS
from pipeline.readers.text import read_text
from pipeline.readers.xml import read_xml

READERS: Mapping[str, Callable[[bytes], Iterator[Item]]] = {
    "text": read_text,
    "html": read_html,
    "markdown": read_markdown,
    "rst": read_rst,
    "xml": read_xml,
    "epub": read_epub,
    "docx": read_docx,
    "pdf": read_pdf,
    "mineru": read_scan,
    "paddleocr": read_scan,
}
WARC = "warc"
SUFFIXES: Mapping[str, str] = {
    "txt": "text",
    "html": "html",
    "htm": "html",
    "xhtml": "html",
    "md": "markdown",
    "markdown": "markdown",
    "xml": "xml",
    "nxml": "xml",
    "cnxml": "xml",
    "tei": "xml",
    "jats": "xml",
    "epub": "epub",
    "docx": "docx",
    "ndjson": "jsonl",
    "arc": WARC,
    "warc": WARC,
    **{name: name for name in FORMATS},
    **{name: name for name in READERS},
}
_SAMPLE = 1 << 16
_CERTAIN = (  # beginnings that leave no doubt
    ("pdf", re.compile(rb"\s*%PDF-")),
    ("parquet", re.compile(rb"PAR1")),
    (WARC, re.compile(rb"WARC/\d|filedesc://")),
    (
        "html",
        re.compile(
            rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*)?(?:<!--(?:(?!-->).)*-->\s*)*<(?:!doctype html|html)\b",
            re.I | re.S,
        ),
    ),
)
_XML = re.compile(rb"(?:\xef\xbb\xbf)?\s*<\?xml\b")
_BINARY = ("docx", "epub", "parquet", "pdf", "xlsx")
_CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1f]")
_MAX_CONTROLS = 0.001  # share of a text's characters


def format_of(called: str, head: bytes, told: str | None) -> str:
    """Name the format of a file by its name, its first bytes, or what its card tells.

    Raises:
        Refused: none is known.
    """
    if told is not None:
        return SUFFIXES.get(told, told)
    suffix = SUFFIXES.get(called.rpartition(".")[2].lower()) if "." in called else None
    certain = next((name for name, pattern in _CERTAIN if pattern.match(head[:_SAMPLE])), None)
    if certain is not None and not (certain == "html" and suffix in ("xml", "jsonl", "json")):
        return certain
    if _XML.match(head) and suffix in (None, "text"):
        return "xml"
    if suffix in ("json", "jsonl") and (scan := scan_format(called, head[:_SAMPLE])):
        return scan
    if suffix in ("json", "jsonl"):
        return _lines_or_whole(head, suffix)
    if suffix is not None and (suffix not in _BINARY or not _reads_as_text(head)):
        return suffix
    if suffix is None and head.lstrip()[:1] in (b"{", b"[") and _begins_json(head):
        return _lines_or_whole(head, "json")
    if _reads_as_text(head):
        return "text"
    raise Refused("unknown_format", f"begins with {head[:12]!r}; name it in the card's `format`, or convert it")


def _lines_or_whole(head: bytes, suffix: str) -> str:
    """Tell lines of JSON from one JSON value, whichever of the two the suffix says it is."""
    lines = head.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    first = next((line for line in lines[:-1] if line.strip()), None)
    if first is None:
        return suffix
    if not _is_json(first):
        return "json" if first.strip() in (b"[", b"{") else suffix
    following = next((line for line in lines[lines.index(first) + 1 :] if line.strip()), b"")
    return "jsonl" if following or suffix == "jsonl" else "json"


def _begins_json(head: bytes) -> bool:
    return re.match(rb'\s*(?:\{\s*"|\[\s*[\[{"])', head) is not None


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _reads_as_text(head: bytes) -> bool:
    sample = head[:_SAMPLE]
    for part in (sample[: sample.rfind(b"\n") + 1] or sample, *(sample[: len(sample) - less] for less in range(4))):
        try:
            text = decode(part)  # some part does not end inside a character
        except Refused:
            return True
        if text is not None:
            return len(_CONTROLS.findall(text)) <= _MAX_CONTROLS * len(text)
    return False
