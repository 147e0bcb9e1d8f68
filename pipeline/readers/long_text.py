"""Bring text too long for memory into a form that can be cut by bytes: as UTF-8, in parts that end with sentences."""

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.readers.encoding import encoding_of
from pipeline.readers.items import Refused
from pipeline.readers.places import Place, chunks_of, spool
from pipeline.records import text_hash
from pipeline.sentences import split_sentences

_WINDOW_BYTES = 1 << 16  # at the end of a part, in which its last sentence end is looked for
_MAX_BROKEN = 0.1  # share of the characters beyond ASCII that may be broken in what is UTF-8 all the same


@dataclass(frozen=True)
class Part:
    """A part of a long text: its bytes, from start to end, and the hash of them that names it."""

    start: int
    end: int
    name: str


def as_utf8(place: Place, name: str, scratch: Path) -> tuple[Path, Refused | None]:
    """Return a plain file with the text of a place in UTF-8: itself, or one in scratch; and why it ends early if so.

    The encoding is told by the first bytes that are no UTF-8, wherever in the file they are; lines that end in carriage
    returns alone get line feeds.

    Raises:
        Refused: no encoding explains the bytes, or nothing of the stream can be read.
    """
    encoding, head = _encoding(place)
    returns_alone = b"\r" in head and b"\n" not in head and encoding != "utf-16"
    if place.plain and encoding == "utf-8" and not returns_alone:
        return place.path, None

    def parts() -> Iterator[bytes]:
        decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
        for chunk in chunks_of(place):
            text = decoder.decode(chunk)
            yield (text.replace("\r", "\n") if returns_alone else text).encode("utf-8", "replace")
        yield decoder.decode(b"", final=True).encode("utf-8", "replace")

    return spool(parts(), name + "\x1futf-8", scratch)


def _encoding(place: Place) -> tuple[str, bytes]:
    """Name the encoding of a stream, and return its head."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    head = strange = b""
    beyond_ascii = False
    try:
        for chunk in chunks_of(place):
            head = head or chunk
            try:
                if b"\0" in chunk:
                    raise ValueError
                decoder.decode(chunk)
            except ValueError:
                strange = chunk
                break
            beyond_ascii = beyond_ascii or not chunk.isascii()
    except Refused:
        pass  # what can be read is read, and the rest accounted for, when it is written
    return _encoding_by(strange, beyond_ascii) if strange else "utf-8", head


def _encoding_by(sample: bytes, beyond_ascii: bool) -> str:
    """Name the encoding of a stream by its first chunk that is no UTF-8; UTF-8 with a few bad bytes is UTF-8."""
    broken_count = (text := sample.decode("utf-8", "replace")).count("\ufffd")
    others = sum(not char.isascii() for char in text) - broken_count
    if b"\0" not in sample and (beyond_ascii or broken_count <= _MAX_BROKEN * others):
        return "utf-8"
    encoding = encoding_of(sample[: len(sample) // 2 * 2] if b"\0" in sample else sample)
    if encoding is None:
        raise Refused("undecodable", "bytes of no known encoding: expected UTF-8, UTF-16, GB18030, Big5 or cp1252")
    return encoding


def text_parts(path: Path, max_bytes: int) -> Iterator[Part]:
    """Cut a file of UTF-8 text into parts of at most max_bytes, each from one sentence end to another."""
    start = 0
    with path.open("rb") as file:
        while data := file.read(max_bytes):
            last = len(data) < max_bytes or not file.read(1)
            size = len(data) if last else _last_sentence(data)
            yield Part(start, start + size, text_hash(data[:size].decode("utf-8", "replace")))
            start += size
            file.seek(start)


def _last_sentence(data: bytes) -> int:
    """Return where the last sentence of some bytes of UTF-8 begins; where there is one alone, the last character."""
    window = max(0, len(data) - _WINDOW_BYTES)
    while window and data[window] & 0xC0 == 0x80:  # inside a character
        window += 1
    text = data[window:].decode("utf-8", "ignore")
    sentences = split_sentences(text, "zh" if not text.isascii() else "en")
    if len(sentences) > 1:
        return window + len(text[: sentences[-1][0]].encode())
    end = len(data) - 1
    while end > 1 and data[end] & 0xC0 == 0x80:
        end -= 1
    return end
