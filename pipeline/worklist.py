"""Fix the work list of a source before it is read: pieces of files, put together into units, each of which is one part.

A piece is a whole file or member, a part of a text too long for one document, or a range of the rows of a table or of
the records of a web archive. Where a table is cut, it is read through once for ids that would appear in two units.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pipeline.readers.containers import Leaf, Limits, leaves_of
from pipeline.readers.formats import READERS, SUFFIXES, WARC, format_of
from pipeline.readers.items import Refused
from pipeline.readers.long_text import as_utf8, text_parts
from pipeline.readers.pairs import PAIR_FIELDS
from pipeline.readers.places import Place, chunks_of, read_place, spool
from pipeline.readers.row_text import TEXT_FIELDS
from pipeline.readers.tables import FORMATS, HUB, Table, check_columns, open_table, read_rows, row_id
from pipeline.readers.warc import read_records
from pipeline.readers.xml_records import find_records, record_runs
from pipeline.recipe import Config, RecipeError, SourceCard
from pipeline.records import text_hash
from pipeline.sources import SourceFile, is_hub, source_files

_KEYED = np.dtype([("key", np.uint64), ("number", np.int64)])  # the hash of an id, and the number of its row
_PIECE_BYTES = 1024  # what a piece weighs beside its bytes, so that a unit of empty files is bounded too


class CollectConfig(Config):
    """How a source is cut into units of work, and what is too large."""

    shard_bytes: int = Field(default=16 << 20, ge=1, description="input bytes in one unit, unpacked")
    max_document_bytes: int = Field(default=64 << 20, ge=16, description="longer texts are split, the rest dropped")
    max_unpacked_bytes: int = Field(default=64 << 30, ge=1, description="what one input file may hold, unpacked")
    max_expansion: int = Field(default=200, ge=1, description="times its size that a file over 64 MiB may unpack to")
    max_fetched_bytes: int = Field(default=16 << 30, ge=1, description="of a remote file")


@dataclass(frozen=True)
class Piece:
    """What is read in one go.

    Attributes:
        name: what the ids of its items begin with: source/path.
        place: where its bytes are; None for rows of a table, and where there is nothing to read.
        table: the table whose rows from `start` to `end` it is.
        native: the id of a part of a text.
        frame: bytes that stand before and behind its own, so that a run of records is a file of XML.
        repeated: the rows or records of this piece whose id an earlier piece of the same file has.
        refused: why there is nothing to read: a drop reason and a detail.
    """

    name: str
    format: str = ""
    place: Place | None = None
    table: Table | None = None
    start: int = 0
    end: int = 0
    size: int = 0
    native: str | None = None
    frame: tuple[bytes, bytes] = (b"", b"")
    repeated: tuple[int, ...] = ()
    url: str | None = None
    refused: tuple[str, str | None] | None = None


Unit = tuple[Piece, ...]


def plan_source(card: SourceCard, cards_folder: Path, config: CollectConfig, cache: Path, scratch: Path) -> list[Unit]:
    """Fix the work list of a source: one unit becomes one part.

    Args:
        cache: where fetched files and data sets of a hub are kept.
        scratch: where streams are unpacked; needed until the last unit is read.

    Raises:
        RecipeError: the card names files, formats, fields or columns that are not there.
    """
    _check_card(card)
    pieces = _plan(card, cards_folder, config, cache, scratch)
    units: list[Unit] = []
    together: list[Piece] = []
    weight = 0
    tables = 0
    for piece in pieces:
        tables += piece.table is not None
        if together and weight + piece.size + _PIECE_BYTES > config.shard_bytes:
            units.append(tuple(together))
            together, weight = [], 0
        together.append(piece)
        weight += piece.size + _PIECE_BYTES
    if together:
        units.append(tuple(together))
    if card.form == "pairs" and not tables:
        first = units[0][0]
        found = ": ".join(part for part in first.refused or () if part)
        raise RecipeError(f"card {card.name}: {first.name}: got {found}, expected a table of pairs, one of {FORMATS}")
    return units


def _check_card(card: SourceCard) -> None:
    known = PAIR_FIELDS if card.form == "pairs" else TEXT_FIELDS
    for field in card.fields:
        if field not in known:
            raise RecipeError(f"card {card.name}: fields: got {field!r}, expected one of {known}")
    formats = (*READERS, *FORMATS, WARC)
    if card.format is not None and SUFFIXES.get(card.format, card.format) not in formats:
        raise RecipeError(f"card {card.name}: format: got {card.format!r}, expected one of {formats}")


def _plan(card: SourceCard, cards_folder: Path, config: CollectConfig, cache: Path, scratch: Path) -> Iterator[Piece]:
    if is_hub(card):
        table, _ = open_table(None, card.path, HUB, card, scratch, cache)
        check_columns(card, card.path, table)
        yield from _table_pieces(card, card.name, None, table, config, cache)
        return
    limits = Limits(config.shard_bytes, config.max_unpacked_bytes, config.max_expansion)
    for file in source_files(card, cards_folder, cache, config.max_fetched_bytes):
        if file.path is None:
            yield _refused(f"{card.name}/{file.name}", file.refused or Refused("unreadable"), file.url)
            continue
        for leaf in leaves_of(file.name, file.path, limits, scratch):
            try:
                yield from _leaf_pieces(card, file, leaf, config, cache, scratch)
            except Refused as refused:
                yield _refused(f"{card.name}/{leaf.name}", refused, file.url)


def _refused(name: str, refused: Refused, url: str | None = None) -> Piece:
    return Piece(name, url=url, refused=(refused.reason, refused.detail))


def _leaf_pieces(
    card: SourceCard, file: SourceFile, leaf: Leaf, config: CollectConfig, cache: Path, scratch: Path
) -> Iterator[Piece]:
    name = f"{card.name}/{leaf.name}"
    if leaf.refused and not leaf.size:
        raise leaf.refused
    if not leaf.size:
        raise Refused("empty")
    format = leaf.office or format_of(leaf.called, leaf.head, card.format)
    if format in FORMATS:
        table, damage = open_table(leaf.place, name, format, card, scratch, cache)
        check_columns(card, name, table)
        yield from _table_pieces(card, name, file.url, table, config, cache)
        if damage := damage or leaf.refused:
            yield _refused(name, damage, file.url)
    elif card.form == "pairs":
        raise Refused("not_a_table", f"{format}, and ready-made pairs are the rows of a table")
    elif format == WARC:
        yield from _archive_pieces(name, leaf, config, scratch)
    elif leaf.refused:
        raise leaf.refused
    elif format not in READERS:
        raise Refused("unknown_format", f"{format}, expected one of {', '.join((*READERS, *FORMATS, WARC))}")
    elif format == "xml" and leaf.size > config.shard_bytes:
        yield from _xml_pieces(name, file.url, leaf, config, scratch)
    else:
        yield from _document_pieces(name, file.url, format, leaf, config, scratch)


def _document_pieces(
    name: str, url: str | None, format: str, leaf: Leaf, config: CollectConfig, scratch: Path
) -> Iterator[Piece]:
    if leaf.size <= config.max_document_bytes:
        yield Piece(name, format, leaf.place, size=leaf.size, url=url)
    elif format == "text":
        yield from _text_pieces(name, url, leaf.place, config, scratch)
    else:
        raise Refused(
            "too_large",
            f"{leaf.size} bytes of {format} in one document, more than collect.max_document_bytes = "
            f"{config.max_document_bytes}: split it, or raise the limit",
        )


def _text_pieces(name: str, url: str | None, place: Place, config: CollectConfig, scratch: Path) -> Iterator[Piece]:
    """Cut a long text at sentence ends; a part is named by its content, as any item without an id is."""
    path, damage = as_utf8(place, name, scratch)
    if damage:
        raise damage
    seen: set[str] = set()
    for part in text_parts(path, config.max_document_bytes):
        if part.name in seen:
            yield _refused(f"{name}:{part.name}", Refused("duplicate_id"), url)
            continue
        seen.add(part.name)
        size = part.end - part.start
        yield Piece(name, "text", Place(path, start=part.start, size=size), size=size, native=part.name, url=url)


def _xml_pieces(name: str, url: str | None, leaf: Leaf, config: CollectConfig, scratch: Path) -> Iterator[Piece]:
    """Cut a set at its records, whose ids are read once beforehand; and what is no set, if it is long, into texts."""
    place, damage = leaf.place, leaf.refused
    if not place.plain:
        path, damage = spool(chunks_of(place), name + "\x1fplain", scratch)
        place = Place(path)
    is_short = leaf.size <= config.max_document_bytes
    try:
        records = find_records(place.path, sets_only=is_short)
    except Refused:
        if not is_short:
            raise
        records = None
    if records is None:
        yield from _document_pieces(name, url, "xml", leaf, config, scratch)
        return
    frame = (records.head, records.tail)
    runs = [
        Piece(name, "xml", Place(place.path, start=start, size=end - start), size=end - start, frame=frame, url=url)
        for start, end in record_runs(records, config.shard_bytes)
    ]
    for piece in _with_repeated(runs, config) if records.is_set else map(_named_by_content, runs):
        if piece.size <= config.max_document_bytes:
            yield piece
        else:
            yield _refused(name, Refused("too_large", f"{piece.size} bytes in one record"), url)
    if fault := records.fault or damage:
        yield _refused(name, fault, url)


def _with_repeated(runs: list[Piece], config: CollectConfig) -> Iterator[Piece]:
    """Tell each run of records which of its items an earlier one has the id of; holds 16 bytes an item, twice."""

    def numbered() -> Iterator[tuple[int, int]]:
        for number, piece in enumerate(runs):
            if piece.size > config.max_document_bytes:
                continue
            try:
                for place, item in enumerate(READERS["xml"](bytes_of(piece))):
                    yield int(text_hash(item.native or "", digits=16), 16), (number << 32) + place
            except Refused:
                pass  # it will be said when the run is read

    again = _again(np.fromiter(numbered(), dtype=_KEYED))
    for number, piece in enumerate(runs):
        within = again[(again >> 32) == number] & 0xFFFFFFFF
        yield replace(piece, repeated=tuple(within.tolist()))


def _named_by_content(piece: Piece) -> Piece:
    return replace(piece, native=text_hash(bytes_of(piece).decode("utf-8", "replace")))


def bytes_of(piece: Piece) -> bytes:
    """Read what a piece is: a file, or a run of records within its frame."""
    if piece.place is None:
        return b""
    return piece.frame[0] + read_place(piece.place) + piece.frame[1]


def _table_pieces(
    card: SourceCard, name: str, url: str | None, table: Table, config: CollectConfig, cache: Path
) -> Iterator[Piece]:
    if table.size <= config.shard_bytes:
        yield Piece(name, table.format, table=table, start=table.start, end=table.end, size=table.size, url=url)
        return
    rows = read_rows(table, table.start, table.end, card, cache, config.max_document_bytes)
    sized = ((row.number, row.size, row_id(card, row)) for row in rows)
    for start, end, repeated, refused in _cut(sized, table.start, table.end, config.shard_bytes):
        if refused:
            yield _refused(name, refused, url)
        else:
            size = (end - start) * table.size // max(1, table.end)
            yield Piece(name, table.format, table=table, start=start, end=end, size=size, repeated=repeated, url=url)


def _archive_pieces(name: str, leaf: Leaf, config: CollectConfig, scratch: Path) -> Iterator[Piece]:
    if leaf.size <= config.shard_bytes:
        yield Piece(name, WARC, leaf.place, end=leaf.size, size=leaf.size)
        return
    place, damage = leaf.place, leaf.refused
    if not place.plain:
        path, damage = spool(chunks_of(place), name + "\x1fplain", scratch)
        place = Place(path)
    size = place.path.stat().st_size
    with place.path.open("rb") as file:
        starts = [(record.start, record.native) for record in read_records(file, 0, size)]
    ends = [start for start, _ in starts[1:]] + [size]
    sized = ((start, end - start, native) for (start, native), end in zip(starts, ends, strict=True))
    for start, end, repeated, _ in _cut(sized, 0, size, config.shard_bytes):
        yield Piece(name, WARC, place, start=start, end=end, size=end - start, repeated=repeated)
    if damage:
        yield _refused(name, damage)


def _cut(
    rows: Iterable[tuple[int, int, str]], start: int, end: int, shard_bytes: int
) -> Iterator[tuple[int, int, tuple[int, ...], Refused | None]]:
    """Cut rows, (number, size, id) each, into ranges of about shard_bytes, with the rows whose id an earlier row has.

    Holds 16 bytes a row, twice. What stops the rows short ends the last range and is the last thing yielded.
    """
    starts = [start]
    stopped: list[Refused] = []

    def numbered() -> Iterator[tuple[int, int]]:
        filled = 0
        try:
            for number, size, id in rows:
                if filled and filled + size > shard_bytes:
                    starts.append(number)
                    filled = 0
                filled += size
                yield int(text_hash(id, digits=16), 16), number
        except Refused as refused:
            stopped.append(refused)

    found_N = np.fromiter(numbered(), dtype=_KEYED)
    repeated = _again(found_N)
    if stopped:
        end = int(found_N["number"].max()) + 1 if found_N.size else start
    for first, last in zip(starts, [*starts[1:], end], strict=True):
        within = repeated[(repeated >= first) & (repeated < last)]
        yield first, last, tuple(within.tolist()), None
    if stopped:
        yield end, end, (), stopped[0]


def _again(found_N: NDArray[np.void]) -> NDArray[np.int64]:
    """Return the numbers, ascending, of the rows whose key a row of a lower number has."""
    sorted_N = np.sort(found_N, order=["key", "number"])
    return np.sort(sorted_N["number"][1:][sorted_N["key"][1:] == sorted_N["key"][:-1]])
