"""Where bytes lie, and how they are read: a file, a range of it or a member of a ZIP, forwards and unpacked.

Reading takes memory for a chunk and for a decoder's window, whatever the length; damage is a Refused like any other.
"""

import bz2
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import zstandard

from pipeline.readers.items import Refused, one_line
from pipeline.records import text_hash

HEAD_BYTES = 1 << 20  # of a stream, to tell its format by
CHUNK = 1 << 20
DAMAGE = (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError, zstandard.ZstdError, zipfile.BadZipFile)
_ZST_STEP = 2048  # packed bytes at a time: a block of 4 may unpack to 128 KiB
_WINDOW_BYTES = 128 << 20  # memory that a decoder may take: zstd --long=27, xz -9


@dataclass(frozen=True)
class Place:
    """Where bytes are: a whole file, a range of it, or a member of a ZIP; compressed once more or not."""

    path: Path
    member: str | None = None
    start: int = 0
    size: int | None = None  # bytes from `start`, before they are unpacked; None: to the end
    codec: str | None = None

    @property
    def plain(self) -> bool:
        """Whether the bytes are a file's own, from its first to its last."""
        return self == Place(self.path)


def chunks_of(place: Place) -> Iterator[bytes]:
    """Read a place from its first byte to its last, unpacked.

    Raises:
        Refused: the stream is damaged, locked, or packed by a method unknown here.
    """
    try:
        with open_place(place) as stream:
            while chunk := stream.read1(CHUNK):  # so that what stands before a fault is not lost
                yield chunk
    except DAMAGE as error:
        raise Refused("unreadable", one_line(str(error))[:200]) from None
    except (RuntimeError, NotImplementedError) as error:  # as zipfile says it
        reason = "encrypted" if "encrypted" in str(error) else "unreadable"
        raise Refused(reason, one_line(str(error))[:200]) from None


def read_place(place: Place) -> bytes:
    """Read the bytes of a place that is known to be small enough."""
    return b"".join(chunks_of(place))


def open_place(place: Place) -> Any:
    """Open a place as a buffered stream for reading forwards."""
    stream: Any
    if place.member is not None:
        stream = opened_zip(place.path).open(place.member)
    else:
        stream = place.path.open("rb")
        if place.start or place.size is not None:
            stream = io.BufferedReader(_Chunked(stream, _range(stream, place.start, place.size)), CHUNK)
    return DECODERS[place.codec](stream) if place.codec else stream


def spool(parts: Iterable[bytes], name: str, scratch: Path) -> tuple[Path, Refused | None]:
    """Write a stream into scratch under the hash of its name; return the file, and why it ends early if it does.

    Raises:
        Refused: the stream expands too much; nothing is kept.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    path = scratch / text_hash(name, digits=32)
    with path.open("wb") as file:
        stream = iter(parts)
        while True:
            try:
                chunk = next(stream, None)
            except Refused as refused:
                if refused.reason != "expands_too_much":
                    return path, refused
                path.unlink()
                raise
            if chunk is None:
                return path, None
            file.write(chunk)


def stored_size(place: Place) -> int:
    """Return the bytes of a place before its codec unpacks them."""
    if place.member is not None:
        return opened_zip(place.path).getinfo(place.member).file_size
    return place.size if place.size is not None else place.path.stat().st_size


def head_of(place: Place) -> bytes:
    """Return the first HEAD_BYTES of a place, unpacked.

    Raises:
        Refused: the stream is damaged before them.
    """
    head = b""
    for chunk in chunks_of(place):
        head += chunk
        if len(head) >= HEAD_BYTES:
            break
    return head[:HEAD_BYTES]


@lru_cache(maxsize=2)
def _kept_open(path: Path, state: tuple[int, int]) -> zipfile.ZipFile:
    """Open a ZIP, or find it open: the members of one are read one after another."""
    try:
        return zipfile.ZipFile(path)
    except (*DAMAGE, NotImplementedError) as error:  # the latter of a version that no archive has yet
        raise Refused("unreadable", one_line(str(error))[:200]) from None


def opened_zip(path: Path) -> zipfile.ZipFile:
    """Return a ZIP that is open, and stays so while its members are read.

    Raises:
        Refused: its list of members is damaged.
    """
    state = path.stat()
    return _kept_open(path, (state.st_size, state.st_mtime_ns))


class _Chunked(io.RawIOBase):
    """A raw stream of what an iterator over a file yields."""

    def __init__(self, file: BinaryIO, chunks: Iterator[bytes]) -> None:
        self.file = file
        self.chunks = chunks
        self.rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self.rest:
            chunk = next(self.chunks, None)
            if chunk is None:
                return 0
            self.rest = memoryview(chunk)
        size = min(len(buffer), len(self.rest))
        buffer[:size] = self.rest[:size]
        self.rest = self.rest[size:]
        return size

    def close(self) -> None:
        self.file.close()
        super().close()


def _range(file: BinaryIO, start: int, size: int | None) -> Iterator[bytes]:
    file.seek(start)
    left = size
    while chunk := file.read(CHUNK if left is None else min(CHUNK, left)):
        left = None if left is None else left - len(chunk)
        yield chunk


def _unxz(file: BinaryIO) -> Iterator[bytes]:
    """Unpack xz with a limit on its memory, which lzma.open does not offer."""
    packed = file.read(CHUNK)
    while packed:
        decoder = lzma.LZMADecompressor(memlimit=_WINDOW_BYTES)
        while not decoder.eof:
            yield decoder.decompress(packed, CHUNK)
            packed = b"" if decoder.eof or not decoder.needs_input else _more(file, CHUNK)
        packed = (decoder.unused_data or file.read(CHUNK)).lstrip(b"\0")  # streams may be padded


def _unzst(file: BinaryIO) -> Iterator[bytes]:
    """Unpack zst; zstandard's own reader takes a stream that was cut off for one that has ended."""
    packed = file.read(_ZST_STEP)
    while packed:
        decoder = zstandard.ZstdDecompressor(max_window_size=_WINDOW_BYTES).decompressobj()
        while True:
            yield decoder.decompress(packed)
            if decoder.eof:
                break
            packed = _more(file, _ZST_STEP)
        packed = decoder.unused_data or file.read(_ZST_STEP)


def _more(file: BinaryIO, size: int) -> bytes:
    if not (packed := file.read(size)):
        raise EOFError("the stream is cut off")
    return packed


def _stream(unpack: Callable[[BinaryIO], Iterator[bytes]]) -> Callable[[BinaryIO], io.BufferedReader]:
    return lambda file: io.BufferedReader(_Chunked(file, unpack(file)), CHUNK)


DECODERS: dict[str | None, Callable[[Any], Any]] = {
    "gz": lambda file: gzip.GzipFile(fileobj=file),
    "bz2": bz2.BZ2File,
    "xz": _stream(_unxz),
    "zst": _stream(_unzst),
}
