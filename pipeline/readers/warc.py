"""Read web archives, WARC and ARC: the records that hold a document, each with its address and date.

Responses, resources and conversions are documents; what was asked, revisits and the archive's own notes are not, nor is
an answer that is no success. A record that is broken is one fault; reading goes on at the next mark of a record.
"""

import io
import logging
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr
from dataclasses import dataclass
from typing import Any, BinaryIO

from warcio.archiveiterator import ArchiveIterator

from pipeline.readers.items import one_line
from pipeline.records import text_hash

DOCUMENT_TYPES = {
    "text/html": "html",
    "application/xhtml+xml": "html",
    "text/plain": "text",
    "text/markdown": "markdown",
    "text/xml": "xml",
    "application/xml": "xml",
    "application/pdf": "pdf",
    "application/epub+zip": "epub",
    "application/json": "json",
    "application/x-ndjson": "jsonl",
}
_HOLDING_DOCUMENTS = ("response", "resource", "conversion")
_MARK = b"\nWARC/1."
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Record:
    """A record of a web archive.

    Attributes:
        start: the byte it begins at.
        native: its own id, or the hash of its date and address.
        read: returns its document, or so many bytes of it as are asked for; only until the next record is asked for.
        fault: why it holds none, with a detail.
    """

    start: int
    native: str
    url: str | None = None
    published: str | None = None
    format: str = ""
    read: Callable[[int], bytes] = lambda limit: b""
    fault: tuple[str, str | None] | None = None


def read_records(file: BinaryIO, start: int, end: int) -> Iterator[Record]:
    """Yield the records of an unpacked archive that begin at `start` or behind it and before `end`."""
    logging.getLogger("warcio").setLevel(logging.ERROR)
    at: int | None = start
    while at is not None and at < end:
        file.seek(at)
        records = ArchiveIterator(file)
        while True:
            try:
                with redirect_stderr(io.StringIO()):  # warcio prints what it thinks of a record
                    record = next(records, None)
            except Exception as error:  # warcio lets whatever its parsers meet rise
                yield Record(at, f"byte-{at}", fault=("unreadable", one_line(str(error))[:200]))
                at = _next_mark(file, max(at, records.offset) + 1)
                break
            if record is None or records.offset >= end:
                return
            at = records.offset
            yield _judged(record, at)


def _next_mark(file: BinaryIO, at: int) -> int | None:
    """Return where the next WARC record begins, from a byte on."""
    file.seek(at)
    window = b""
    while chunk := file.read(_CHUNK):
        window += chunk
        if (found := window.find(_MARK)) >= 0:
            return at + found + 1
        at += len(window) - len(_MARK)
        window = window[-len(_MARK) :]
    return None


def _judged(record: Any, at: int) -> Record:
    headers = record.rec_headers
    url = headers.get_header("WARC-Target-URI") or headers.get_header("uri")
    date = headers.get_header("WARC-Date") or headers.get_header("archive-date")
    own = (headers.get_header("WARC-Record-ID") or "").strip("<>").rpartition(":")[2]
    native = own or text_hash(f"{date} {url}")
    if record.rec_type not in _HOLDING_DOCUMENTS:
        return Record(at, native, url, date, fault=("not_a_document", str(record.rec_type)))
    status = record.http_headers.get_statuscode() if record.http_headers else "200"
    if not str(status).startswith("2"):
        return Record(at, native, url, date, fault=("not_a_document", f"status {status}"))
    told = (
        (record.http_headers.get_header("Content-Type") if record.http_headers else None) or record.content_type or ""
    )
    kind = told.partition(";")[0].strip().lower()
    if kind not in DOCUMENT_TYPES:
        return Record(at, native, url, date, fault=("not_a_document", kind[:100] or "no content type"))

    def read(limit: int) -> bytes:
        stream, data = record.content_stream(), bytearray()
        while len(data) < limit and (chunk := stream.read(min(_CHUNK, limit - len(data)))):
            data += chunk
        return bytes(data)

    return Record(at, native, url, date, DOCUMENT_TYPES[kind], read)
