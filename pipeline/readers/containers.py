"""Look into what holds files: compressed streams, ZIP and TAR archives; one archive may lie in another.

    .gz .bz2 .xz .zst      told by their first bytes, whatever the name; records one after another in a stream included
    .zip .tar .tar.gz ...  members are read where they lie; none is ever extracted under its own name

Members with absolute or climbing paths, links and devices are refused as `unsafe_member`, locked ones as `encrypted`.
What unpacks to more than the limits is refused as `expands_too_much` before it is kept. A stream too long to be read
twice is unpacked once, into scratch, under the hash of its name.
"""

import bz2
import gzip
import io
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import zstandard

from pipeline.readers.items import Refused, one_line
from pipeline.records import text_hash

HEAD_BYTES = 1 << 20  # of a stream, to tell its format by
_CHUNK = 1 << 20
_FLOOR_BYTES = 64 << 20  # what any file may unpack to, whatever the ratio: a small file of one repeated line is no bomb
_MAX_ARCHIVES = 2  # an archive in an archive
_ZST_STEP = 2048  # packed bytes at a time: a block of 4 may unpack to 128 KiB
_WINDOW_BYTES = 128 << 20  # memory that a decoder may take: zstd --long=27, xz -9
_SUFFIX = {"gz": "gz", "gzip": "gz", "bz2": "bz2", "xz": "xz", "zst": "zst", "zstd": "zst"}
_TARRED = {"tgz": "tar", "tbz2": "tar", "txz": "tar", "tzst": "tar"}
_MAGIC = ((b"\x1f\x8b", "gz"), (b"BZh", "bz2"), (b"\xfd7zXZ\x00", "xz"), (b"\x28\xb5\x2f\xfd", "zst"))
_DAMAGE = (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError, zstandard.ZstdError, zipfile.BadZipFile)
_OFFICE = {"mimetype": "epub", "word/document.xml": "docx", "xl/workbook.xml": "xlsx"}


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


@dataclass(frozen=True)
class Limits:
    """What an input file may unpack to.

    Attributes:
        keep_bytes: longer streams are unpacked into scratch, shorter ones read again from where they are.
        max_bytes: of all that comes out of one file.
        max_expansion: how many times its own size that may be.
    """

    keep_bytes: int
    max_bytes: int
    max_expansion: int


@dataclass(frozen=True)
class Leaf:
    """A file or member that holds no others, or why it cannot be read.

    Attributes:
        name: its path, through archives.
        called: the last of its names, without the suffix of a compression.
        head: the first HEAD_BYTES at most.
        office: the format of a ZIP that is one document.
        refused: a drop reason and detail; of a stream that ends in damage, what is behind the part at `place`.
    """

    name: str
    called: str
    place: Place
    size: int = 0
    head: bytes = b""
    office: str | None = None
    refused: Refused | None = None


class _Budget:
    """What may still come out of one input file."""

    def __init__(self, packed: int, limits: Limits) -> None:
        self.packed = packed
        self.left = min(limits.max_bytes, max(_FLOOR_BYTES, packed * limits.max_expansion))

    def spend(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise Refused("expands_too_much", f"{self.packed} bytes hold more than collect.max_expansion times as many")


def leaves_of(name: str, path: Path, limits: Limits, scratch: Path) -> Iterator[Leaf]:
    """Yield the leaves of a file, in their order: itself, or the members of what it holds."""
    budget = _Budget(path.stat().st_size, limits)
    yield from _walk(name, PurePosixPath(name).name, Place(path), 0, limits, budget, scratch)


def chunks_of(place: Place) -> Iterator[bytes]:
    """Read a place from its first byte to its last, unpacked.

    Raises:
        Refused: the stream is damaged, locked, or packed by a method unknown here.
    """
    try:
        with open_place(place) as stream:
            while chunk := stream.read1(_CHUNK):  # so that what stands before a fault is not lost
                yield chunk
    except _DAMAGE as error:
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
        stream = _opened(place.path).open(place.member)
    else:
        stream = place.path.open("rb")
        if place.start or place.size is not None:
            stream = io.BufferedReader(_Chunked(stream, _range(stream, place.start, place.size)), _CHUNK)
    return _DECODERS[place.codec](stream) if place.codec else stream


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


def _walk(
    name: str, called: str, place: Place, archives: int, limits: Limits, budget: _Budget, scratch: Path
) -> Iterator[Leaf]:
    try:
        place, size, head, damage = _settle(name, place, limits, budget, scratch)
        kind = _container(called, head)
        if kind in _DECODERS:
            if place.codec:
                place = Place(_spooled(name + "\x1f", place, budget, scratch)[0])
            stem, _, suffix = called.rpartition(".")
            inner = stem if suffix.lower() in _SUFFIX else f"{stem}.tar" if suffix.lower() in _TARRED else called
            yield from _walk(name, inner, replace(place, codec=kind), archives, limits, budget, scratch)
        elif kind in ("zip", "tar"):
            if not place.plain:
                path, damage = _spooled(name, place, budget, scratch)
                place = Place(path)
            office = _office(place.path) if kind == "zip" else None
            if office:
                budget.spend(sum(info.file_size for info in _opened(place.path).infolist()))
                yield Leaf(name, called, place, place.path.stat().st_size, head, office)
                return
            if archives == _MAX_ARCHIVES:
                raise Refused("expands_too_much", "an archive in an archive in an archive: unpack the outer one")
            yield from (_zip_members if kind == "zip" else _tar_members)(
                name, place.path, archives + 1, limits, budget, scratch
            )
            if damage:
                yield Leaf(name, called, place, refused=damage)
        else:
            yield Leaf(name, called, place, size, head, refused=damage)
    except Refused as refused:
        yield Leaf(name, called, place, refused=refused)


def _settle(
    name: str, place: Place, limits: Limits, budget: _Budget, scratch: Path
) -> tuple[Place, int, bytes, Refused | None]:
    """Tell the size and first bytes of a place, unpacking it into scratch if it is long and compressed."""
    if place.codec is None:
        return place, _stored_size(place), _head(place), None
    kept: list[bytes] = []
    size = 0
    stream = _spending(place, budget)
    try:
        for chunk in stream:
            kept.append(chunk)
            size += len(chunk)
            if size > limits.keep_bytes:
                break
        else:
            return place, size, b"".join(kept)[:HEAD_BYTES], None
    except Refused as refused:
        if refused.reason == "expands_too_much":
            raise
        return place, size, b"".join(kept)[:HEAD_BYTES], refused

    def whole() -> Iterator[bytes]:
        yield from kept
        yield from stream

    head = b"".join(kept[: 1 + HEAD_BYTES // _CHUNK])[:HEAD_BYTES]
    path, damage = spool(whole(), name, scratch)
    return Place(path), path.stat().st_size, head, damage


def _spending(place: Place, budget: _Budget) -> Iterator[bytes]:
    for chunk in chunks_of(place):
        budget.spend(len(chunk))
        yield chunk


def _spooled(name: str, place: Place, budget: _Budget, scratch: Path) -> tuple[Path, Refused | None]:
    return spool(_spending(place, budget), name, scratch)


def _stored_size(place: Place) -> int:
    if place.member is not None:
        return _opened(place.path).getinfo(place.member).file_size
    return place.size if place.size is not None else place.path.stat().st_size


def _head(place: Place) -> bytes:
    head = b""
    for chunk in chunks_of(place):
        head += chunk
        if len(head) >= HEAD_BYTES:
            break
    return head[:HEAD_BYTES]


def _container(called: str, head: bytes) -> str | None:
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "zip"
    if head[257:262] == b"ustar" or (called.lower().endswith(".tar") and len(head) >= 512):
        return "tar"
    return None


@lru_cache(maxsize=2)
def _archive(path: Path, state: tuple[int, int]) -> zipfile.ZipFile:
    """Open a ZIP, or find it open: the members of one are read one after another."""
    try:
        return zipfile.ZipFile(path)
    except (*_DAMAGE, NotImplementedError) as error:  # the latter of a version that no archive has yet
        raise Refused("unreadable", one_line(str(error))[:200]) from None


def _opened(path: Path) -> zipfile.ZipFile:
    state = path.stat()
    return _archive(path, (state.st_size, state.st_mtime_ns))


def _office(path: Path) -> str | None:
    names = _opened(path).NameToInfo
    return next((kind for name, kind in _OFFICE.items() if name in names), None)


def _zip_members(
    name: str, path: Path, archives: int, limits: Limits, budget: _Budget, scratch: Path
) -> Iterator[Leaf]:
    seen: set[str] = set()
    for info in _opened(path).infolist():
        inside = _zip_name(info)
        place = Place(path, member=info.filename)
        if info.is_dir() or _is_hidden(inside):
            continue
        mode = info.external_attr >> 16
        try:
            _check_member(inside, seen, regular=not mode or stat.S_IFMT(mode) in (0, stat.S_IFREG))
            if info.flag_bits & 1:
                raise Refused("encrypted", "a locked member: unpack it with its password")
            budget.spend(info.file_size)
        except Refused as refused:
            yield Leaf(f"{name}/{inside}", inside, place, refused=refused)
            continue
        yield from _walk(f"{name}/{inside}", PurePosixPath(inside).name, place, archives, limits, budget, scratch)


def _zip_name(info: zipfile.ZipInfo) -> str:
    """Return a member's name; zipfile reads names that are not marked as UTF-8 as code page 437."""
    if info.flag_bits & 0x800 or info.filename.isascii():
        return info.filename
    raw = info.filename.encode("cp437", "replace")
    for encoding in ("utf-8", "gb18030"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return info.filename


def _tar_members(
    name: str, path: Path, archives: int, limits: Limits, budget: _Budget, scratch: Path
) -> Iterator[Leaf]:
    seen: set[str] = set()
    whole = path.stat().st_size
    for info in _tar_infos(path):
        inside = info.name.removeprefix("./")
        place = Place(path, start=info.offset_data, size=info.size)
        if info.isdir() or _is_hidden(inside):
            continue
        try:
            _check_member(inside, seen, regular=info.isfile() and not info.issparse())
            if info.offset_data + info.size > whole:
                raise Refused("unreadable", "the archive ends within this member")
        except Refused as refused:
            yield Leaf(f"{name}/{inside}", inside, place, refused=refused)
            continue
        yield from _walk(f"{name}/{inside}", PurePosixPath(inside).name, place, archives, limits, budget, scratch)


def _tar_infos(path: Path) -> Iterator[tarfile.TarInfo]:
    try:
        with tarfile.open(path, "r:", errors="replace") as archive:
            while (info := archive.next()) is not None:
                archive.members = []  # type: ignore[attr-defined]  # tarfile keeps all that it has seen
                yield info
    except (tarfile.TarError, *_DAMAGE) as error:
        raise Refused("unreadable", one_line(str(error))[:200]) from None


def _check_member(inside: str, seen: set[str], *, regular: bool) -> None:
    parts = inside.replace("\\", "/").split("/")
    if not regular:
        raise Refused("unsafe_member", "a link, a device or a sparse file")
    if inside.startswith(("/", "\\")) or ".." in parts or (len(parts[0]) == 2 and parts[0].endswith(":")):
        raise Refused("unsafe_member", "a path that leaves the archive")
    if inside in seen:
        raise Refused("duplicate_id", "an earlier member has this name")
    seen.add(inside)


def _is_hidden(inside: str) -> bool:
    parts = inside.replace("\\", "/").split("/")
    return any((part.startswith(".") and part not in (".", "..")) or part == "__MACOSX" for part in parts)


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
    while chunk := file.read(_CHUNK if left is None else min(_CHUNK, left)):
        left = None if left is None else left - len(chunk)
        yield chunk


def _unxz(file: BinaryIO) -> Iterator[bytes]:
    """Unpack xz with a limit on its memory, which lzma.open does not offer."""
    packed = file.read(_CHUNK)
    while packed:
        decoder = lzma.LZMADecompressor(memlimit=_WINDOW_BYTES)
        while not decoder.eof:
            yield decoder.decompress(packed, _CHUNK)
            packed = b"" if decoder.eof or not decoder.needs_input else _more(file, _CHUNK)
        packed = (decoder.unused_data or file.read(_CHUNK)).lstrip(b"\0")  # streams may be padded


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
    return lambda file: io.BufferedReader(_Chunked(file, unpack(file)), _CHUNK)


_DECODERS: dict[str | None, Callable[[Any], Any]] = {
    "gz": lambda file: gzip.GzipFile(fileobj=file),
    "bz2": bz2.BZ2File,
    "xz": _stream(_unxz),
    "zst": _stream(_unzst),
}
