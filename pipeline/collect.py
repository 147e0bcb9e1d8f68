"""Collect a source: read its files by their formats into Documents, or into Examples where its card says pairs.

What a card's `path` may be is in sources.py; archives and compression around any file, in readers/containers.py. A
file's suffix and first bytes tell its format (readers/formats.py), or the card's `format` for all of them:

    text, html, markdown, ...     one document a file; a text over `max_document_bytes` is one a part
    xml                           PubMed, JATS, OAI and TEI sets and MediaWiki dumps of any length: a document an
                                  article; MedQuAD: one a file, with its questions as headings; CNXML; others as their
                                  text, in parts where it is long
    warc                          a document a record that holds one
    jsonl, json, csv, tsv, xlsx, parquet, hub
                                  a row a document or a dialogue; `fields` names the columns of what we call text,
                                  title, id, url, published, sections (list of {heading, text}), headings (beside a
                                  text that is a list of paragraphs); and for pairs see readers/pairs.py
    pdf                           a document a file of its readable pages; each page that is refused is a dropped row
    mineru, paddleocr             what these write for scans, as JSON with pages or as Markdown
    json-by-id                    one object, whose keys are the ids of its items
    csv, tsv, xlsx with no header columns by number from 0: fields = { text = "1" }

**Every file is accounted for**: read, or one dropped row that says why not; so is every member of an archive, row of a
table and record of a web archive.

**Ids.** `source/path` for a file that is one document, the path being relative to the card's folder without glob, and
going on inside an archive; `source/path:item` for an item within a file, by its native id or else 12 hex digits of its
content's hash, never by its position: parts of a long text too. An id that appears twice in a file is a fault of the
data: the first row keeps it, later ones are dropped as `duplicate_id`. As ids of different files differ by path, and a
file split over several units is scanned once when the work list is made (worklist.py), ids are unique in the source
however it is cut into units.
"""

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from pipeline.readers.formats import READERS, WARC, format_of
from pipeline.readers.items import Item, Refused
from pipeline.readers.language import detect
from pipeline.readers.places import HEAD_BYTES, Place, chunks_of
from pipeline.readers.sheets import too_large
from pipeline.readers.tables import read_rows, row_id, row_item, rows_in_memory
from pipeline.readers.warc import Record, read_records
from pipeline.recipe import SourceCard
from pipeline.records import DOCUMENT, EXAMPLE, marked_schema
from pipeline.sources import is_hub
from pipeline.worklist import CollectConfig, Piece, Unit, bytes_of

Found = tuple[str, Item, int | None]  # an id, its item, and the number of its row or record


def collect_unit(card: SourceCard, unit: Unit, config: CollectConfig, cache: Path) -> pa.Table:
    """Read one unit: a row of DOCUMENT or EXAMPLE (by the card's form) plus drop columns for each item found."""
    row_of = _example if card.form == "pairs" else _document
    rows = []
    seen: set[str] = set()
    for piece in unit:
        repeated = frozenset(piece.repeated)
        for id, item, number in _piece_items(card, piece, config, cache):
            row = row_of(card, id, item, piece.url)
            if row["drop_reason"] is None and (id in seen or number in repeated):
                row |= {"drop_reason": "duplicate_id", "drop_detail": None}
            seen.add(id)
            rows.append(row)
    return pa.Table.from_pylist(rows, schema=marked_schema(EXAMPLE if card.form == "pairs" else DOCUMENT))


def card_settings(card: SourceCard) -> dict[str, Any]:
    """Return the fields of a card that can change what is collected, for the stage's key."""
    settings = card.model_dump(
        mode="json", include={"name", "kind", "form", "format", "fields", "lang", "revision", "edition"}
    )
    return {**settings, "hub": card.path} if is_hub(card) else settings


def _piece_items(card: SourceCard, piece: Piece, config: CollectConfig, cache: Path) -> Iterator[Found]:
    """Yield the items of a piece, or that there is none."""
    found = _read_piece(card, piece, config, cache)
    yield next(found, (piece.name, Item(drop_reason="empty", drop_detail="no row, record or article in it"), None))
    yield from found


def _read_piece(card: SourceCard, piece: Piece, config: CollectConfig, cache: Path) -> Iterator[Found]:
    if piece.refused:
        yield piece.name, Item(drop_reason=piece.refused[0], drop_detail=piece.refused[1]), None
        return
    try:
        if piece.table is not None:
            for row in read_rows(piece.table, piece.start, piece.end, card, cache, config.max_document_bytes):
                item = row_item(card, row)
                yield piece.name + (":" if piece.table.path else "/") + row_id(card, row, item), item, row.number
        elif piece.place is not None and piece.format == WARC:
            yield from _archive_items(card, piece, piece.place, config)
        elif piece.place is not None:
            for number, item in enumerate(READERS[piece.format](bytes_of(piece))):
                native = item.native if item.native is not None else piece.native
                yield (piece.name if native is None else f"{piece.name}:{native}"), item, number
    except Refused as refused:
        yield piece.name, Item(drop_reason=refused.reason, drop_detail=refused.detail), None


def _archive_items(card: SourceCard, piece: Piece, place: Place, config: CollectConfig) -> Iterator[Found]:
    """Read the records of a web archive: from its file, or from memory where it lies packed and is small."""
    damage = None
    if place.plain:
        with place.path.open("rb") as file:
            yield from _record_items(card, piece, file, piece.end, config)
        return
    kept = bytearray()
    try:
        for chunk in chunks_of(place):
            kept += chunk
    except Refused as refused:
        damage = refused
    yield from _record_items(card, piece, io.BytesIO(kept), len(kept), config)
    if damage:
        raise damage


def _record_items(card: SourceCard, piece: Piece, file: BinaryIO, end: int, config: CollectConfig) -> Iterator[Found]:
    for record in read_records(file, piece.start, end):
        name = f"{piece.name}:{record.native}"
        try:
            for item in _read_record(card, record, config.max_document_bytes):
                known = replace(item, url=item.url or record.url, published=item.published or record.published)
                yield (name if item.native is None else f"{name}:{item.native}"), known, record.start
        except Refused as refused:
            dropped = Item(url=record.url, drop_reason=refused.reason, drop_detail=refused.detail)
            yield name, dropped, record.start


def _read_record(card: SourceCard, record: Record, max_bytes: int) -> Iterator[Item]:
    if record.fault:
        raise Refused(*record.fault)
    data = record.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise Refused(*too_large(len(data), max_bytes))
    format = format_of(f"record.{record.format}", data[:HEAD_BYTES], None)
    if format in ("json", "jsonl"):
        for row in rows_in_memory(data, format, max_bytes):
            item = row_item(card, row)
            yield replace(item, native=row_id(card, row, item))
    elif format in READERS:
        yield from READERS[format](data)
    else:
        raise Refused("unknown_format", f"{format} in a web archive, expected one of {', '.join(READERS)} or JSON")


def _document(card: SourceCard, id: str, item: Item, url: str | None) -> dict[str, Any]:
    reason = item.drop_reason or (None if item.text.strip() else "empty")
    return {
        "id": id,
        "source": card.name,
        "kind": card.kind,
        "lang": card.lang or detect(item.text),
        "text": item.text,
        "title": item.title,
        "url": item.url or url,
        "sections": list(item.sections),
        "boilerplate": list(item.boilerplate),
        "edition": card.edition,
        "published": item.published,
        "drop_reason": reason,
        "drop_detail": item.drop_detail,
    }


def _example(card: SourceCard, id: str, item: Item, url: str | None) -> dict[str, Any]:
    return {
        "id": id,
        "passage_id": None,
        "source": card.name,
        "kind": card.kind,
        "lang": card.lang or detect("\n".join(text for _, text in item.turns)),
        "style": "pairs",
        "messages": [{"role": role, "content": text, "loss": role == "assistant"} for role, text in item.turns],
        "support": [],
        "checks": [],
        "made_by": [],
        "split": "",
        "drop_reason": item.drop_reason,
        "drop_detail": item.drop_detail,
    }
