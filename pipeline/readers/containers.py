"""Look into what holds files: compressed streams, ZIP and TAR archives; one archive may lie in another.

    .gz .bz2 .xz .zst      told by their first bytes, whatever the name; records one after another in a stream included
    .zip .tar .tar.gz ...  members are read where they lie; none is ever extracted under its own name

Members with absolute or climbing paths, links and devices are refused as `unsafe_member`, locked ones as `encrypted`.
What unpacks to more than the limits is refused as `expands_too_much` before it is kept. A stream too long to be read
twice is unpacked once, into scratch, under the hash of its name.
"""

import stat
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from pipeline.readers.items import Refused, one_line
from pipeline.readers.places import (
    CHUNK,
    DAMAGE,
    DECODERS,
    HEAD_BYTES,
    Place,
    chunks_of,
    head_of,
    opened_zip,
    spool,
    stored_size,
)

_FLOOR_BYTES = 64 << 20  # what any file may unpack to, whatever the ratio: a small file of one repeated line is no bomb
_MAX_ARCHIVES = 2  # an archive in an archive
_SUFFIX = {"gz": "gz", "gzip": "gz", "bz2": "bz2", "xz": "xz", "zst": "zst", "zstd": "zst"}
_TARRED = {"tgz": "tar", "tbz2": "tar", "txz": "tar", "tzst": "tar"}
_MAGIC = ((b"\x1f\x8b", "gz"), (b"BZh", "bz2"), (b"\xfd7zXZ\x00", "xz"), (b"\x28\xb5\x2f\xfd", "zst"))
_OFFICE = {"mimetype": "epub", "word/document.xml": "docx", "xl/workbook.xml": "xlsx"}


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


def _walk(
    name: str, called: str, place: Place, archives: int, limits: Limits, budget: _Budget, scratch: Path
) -> Iterator[Leaf]:
    try:
        place, size, head, damage = _settle(name, place, limits, budget, scratch)
        kind = _container(called, head)
        if kind in DECODERS:
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
                budget.spend(sum(info.file_size for info in opened_zip(place.path).infolist()))
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
        return place, stored_size(place), head_of(place), None
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

    head = b"".join(kept[: 1 + HEAD_BYTES // CHUNK])[:HEAD_BYTES]
    path, damage = spool(whole(), name, scratch)
    return Place(path), path.stat().st_size, head, damage


def _spending(place: Place, budget: _Budget) -> Iterator[bytes]:
    for chunk in chunks_of(place):
        budget.spend(len(chunk))
        yield chunk


def _spooled(name: str, place: Place, budget: _Budget, scratch: Path) -> tuple[Path, Refused | None]:
    return spool(_spending(place, budget), name, scratch)


def _container(called: str, head: bytes) -> str | None:
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "zip"
    if head[257:262] == b"ustar" or (called.lower().endswith(".tar") and len(head) >= 512):
        return "tar"
    return None


def _office(path: Path) -> str | None:
    names = opened_zip(path).NameToInfo
    return next((kind for name, kind in _OFFICE.items() if name in names), None)


def _zip_members(
    name: str, path: Path, archives: int, limits: Limits, budget: _Budget, scratch: Path
) -> Iterator[Leaf]:
    seen: set[str] = set()
    for info in opened_zip(path).infolist():
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
    except (tarfile.TarError, *DAMAGE) as error:
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
