"""Read tables row by row: JSON Lines, JSON, CSV, TSV, XLSX, Parquet, or a data set of a hub.

A row of JSON may be an object, or a list of alternating turns (ready-made pairs). `format = "json-by-id"` is one JSON
object whose keys are the items' ids. A CSV, TSV or XLSX whose card names its columns by number
(`fields = { text = "1" }`, counted from 0) has no header line.

A table is laid open once, as a plain file that can be read from any row on; compressed and legacy-encoded ones, and
XLSX, are written out to scratch for it. What is no row, or longer than a document may be, is a fault of that row.
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import datasets
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.readers.items import Item, Refused, one_line
from pipeline.readers.json_values import cut_items, item_depth
from pipeline.readers.long_text import as_utf8
from pipeline.readers.pairs import PAIR_FIELDS, pair_item
from pipeline.readers.places import Place, chunks_of, spool
from pipeline.readers.row_text import TEXT_FIELDS, native_id, text_item
from pipeline.readers.sheets import read_cells, skip_line, too_large, xlsx_lines
from pipeline.recipe import RecipeError, SourceCard
from pipeline.records import text_hash

FORMATS = ("json", "json-by-id", "jsonl", "csv", "tsv", "xlsx", "parquet")
HUB = "hub"
_KNOWN = {*TEXT_FIELDS, *PAIR_FIELDS}  # columns that are read under their own names
_HEADER_BYTES = 1 << 20
_BATCH_ROWS = 256  # of Parquet held as Python values at one time
_HUB_FAULTS = (  # of builders and their files; StopIteration of a file without rows
    OSError, ValueError, LookupError, RuntimeError, StopIteration, pa.ArrowException, datasets.exceptions.DatasetsError,
)  # fmt: skip
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Table:
    """A table laid open.

    Attributes:
        path: a plain file: Parquet, or text in UTF-8; None for a data set of a hub.
        start: where its rows begin: a byte, or the first row of Parquet and hub.
        end: where they end.
        columns: their names; None where each row brings its own.
        depth: how deep the items of JSON lie.
    """

    path: Path | None
    format: str
    start: int
    end: int
    size: int  # bytes
    columns: tuple[str, ...] | None = None
    depth: int = 0


class Row(NamedTuple):
    """A row: its place in the table (a byte or a count), its size in bytes, and its value, or the fault it has."""

    number: int
    size: int
    value: Any
    key: str | None = None  # the id it is stored under
    fault: tuple[str, str] | None = None


def open_table(
    place: Place | None, name: str, format: str, card: SourceCard, scratch: Path, cache: Path
) -> tuple[Table, Refused | None]:
    """Lay a table open; a second value tells why it ends early, if it does.

    Raises:
        Refused: it cannot be read as what it is said to be.
        RecipeError: a data set of a hub cannot be loaded.
    """
    if place is None:
        rows = _hub(card, cache)
        return Table(None, HUB, 0, rows.num_rows, rows.data.nbytes, tuple(rows.column_names)), None
    damage = None
    if format in ("xlsx", "parquet"):
        path = place.path
        if not place.plain:
            path, damage = spool(chunks_of(place), name + "\x1fplain", scratch)
            if damage:
                raise damage
        if format == "parquet":
            return _open_parquet(path), None
        path, damage = spool(xlsx_lines(path, by_number=_by_number(card.fields)), name + "\x1flines", scratch)
        format = "jsonl"
    else:
        path, damage = as_utf8(place, name, scratch)
    size = path.stat().st_size
    with path.open("rb") as file:
        table = Table(path, format, len(_BOM) if file.read(len(_BOM)) == _BOM else 0, size, size)
        try:
            if format in ("json", "json-by-id"):
                table = replace(table, depth=item_depth(file, table.start, by_id=format == "json-by-id"))
            elif format in ("csv", "tsv"):
                table = _csv_columns(file, table, by_number=_by_number(card.fields))
        except (ValueError, csv.Error) as error:
            raise Refused("unreadable", one_line(str(error))[:200]) from None
    return table, damage


def check_columns(card: SourceCard, name: str, table: Table) -> None:
    """Refuse a card that names columns which its table does not have; rows of JSON may each have their own.

    Raises:
        RecipeError: a column is missing.
    """
    for field, column in card.fields.items() if table.columns is not None else ():
        if table.columns is not None and column not in table.columns:
            raise RecipeError(
                f"card {card.name}: {name}: fields.{field}: got {column!r}, expected one of {list(table.columns)}"
            )


def read_rows(table: Table, start: int, end: int, card: SourceCard, cache: Path, max_bytes: int) -> Iterator[Row]:
    """Yield the rows that begin at `start` or behind it and before `end`."""
    if table.path is None:
        rows = _hub(card, cache).select(range(start, end))
        size = table.size // max(1, table.end)
        yield from (Row(number, size, row) for number, row in enumerate(rows, start))
    elif table.format == "parquet":
        yield from _parquet_rows(table, start, end, set(card.fields.values()))
    else:
        with table.path.open("rb") as file:
            yield from _text_rows(file, table, start, end, max_bytes)


def rows_in_memory(data: bytes, format: str, max_bytes: int) -> Iterator[Row]:
    """Yield the rows of JSON or lines of JSON in UTF-8.

    Raises:
        Refused: it is no UTF-8.
    """
    try:
        data.decode()
    except UnicodeDecodeError:
        raise Refused("undecodable", "JSON that is no UTF-8") from None
    file = io.BytesIO(data.removeprefix(_BOM))
    depth = item_depth(file, 0, by_id=False) if format == "json" else 0
    yield from _text_rows(file, Table(None, format, 0, len(data), len(data), depth=depth), 0, len(data), max_bytes)


def row_item(card: SourceCard, row: Row) -> Item:
    """Make a document or a dialogue, by the card's form, of a row."""
    if row.fault:
        return Item(native=row.key, drop_reason=row.fault[0], drop_detail=row.fault[1])
    if card.form == "pairs" and isinstance(row.value, dict | list):
        return pair_item(row.value, card.fields, row.key)
    if card.form == "text" and isinstance(row.value, dict):
        return text_item(row.value, card.fields, row.key)
    return Item(native=row.key, drop_reason="unreadable", drop_detail=f"no object: {str(row.value)[:200]}")


def row_id(card: SourceCard, row: Row, item: Item | None = None) -> str:
    """Return what names a row within its table: its own id, or the hash of what it says."""
    if item is None and isinstance(row.value, dict) and (native := native_id(row.value, card.fields, row.key)):
        return native
    item = item or row_item(card, row)
    if item.native is not None:
        return item.native
    said = "\x1e".join(map("\x1f".join, item.turns)) or item.text or item.drop_detail
    return text_hash(said or json.dumps(row.value, ensure_ascii=False, sort_keys=True, default=str))


def _text_rows(file: BinaryIO, table: Table, start: int, end: int, max_bytes: int) -> Iterator[Row]:
    if table.format in ("csv", "tsv"):
        return _csv_rows(file, table, start, end, max_bytes)
    file.seek(start)
    if table.format == "jsonl":
        return _lines(file, start, end, max_bytes)
    return _json_rows(file, table, start, end, max_bytes)


def _lines(file: BinaryIO, start: int, end: int, max_bytes: int) -> Iterator[Row]:
    at = start
    while at < end and (line := file.readline(max_bytes + 1)):
        size = len(line) + (skip_line(file) if len(line) > max_bytes else 0)
        if size > max_bytes:
            yield Row(at, size, None, fault=too_large(size, max_bytes))
        elif text := line.decode("utf-8", "replace").strip():
            yield _parsed(at, size, text)
        at += size


def _parsed(number: int, size: int, text: str) -> Row:
    try:
        return Row(number, size, _without_surrogates(json.loads(text, object_pairs_hook=_object), text))
    except (ValueError, RecursionError):
        return Row(number, size, None, fault=("unreadable", text[:200]))


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("a key appears twice: which value is meant cannot be told")
    return made


def _without_surrogates(value: Any, text: str) -> Any:
    if "\\ud" in text.lower():  # half of a surrogate pair is no character
        return json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    return value


def _json_rows(file: BinaryIO, table: Table, start: int, end: int, max_bytes: int) -> Iterator[Row]:
    for cut in cut_items(file, table.depth, max_bytes, inside=start != table.start):
        if start + cut.start >= end:
            return
        if cut.size > max_bytes:
            yield Row(start + cut.start, cut.size, None, fault=too_large(cut.size, max_bytes))
        elif table.format == "json-by-id":
            row = _parsed(start + cut.start, cut.size, "{" + cut.data.decode("utf-8", "replace") + "}")
            key, value = next(iter(row.value.items())) if row.value else (None, None)
            yield row._replace(key=key, value=value)
        else:
            yield _parsed(start + cut.start, cut.size, cut.data.decode("utf-8", "replace").strip())


def _csv_columns(file: BinaryIO, table: Table, *, by_number: bool) -> Table:
    """Read the header; without one the columns are numbered."""
    first = next(read_cells(file, table.start, table.end, _HEADER_BYTES, tabs=table.format == "tsv"), None)
    if first is None or first.fault:
        raise ValueError(first.fault[1] if first and first.fault else "got an empty file, expected rows")
    if by_number:
        return replace(table, columns=tuple(map(str, range(len(first.cells)))))
    return replace(table, columns=tuple(cell.strip() for cell in first.cells), start=first.start + first.size)


def _csv_rows(file: BinaryIO, table: Table, start: int, end: int, max_bytes: int) -> Iterator[Row]:
    columns = table.columns or ()
    for at, size, cells, fault in read_cells(file, start, end, max_bytes, tabs=table.format == "tsv"):
        if fault is None and any(cells[len(columns) :]):
            fault = "unreadable", f"{len(cells)} cells, expected {len(columns)}: {' | '.join(cells)[:100]}"
        yield Row(at, size, None if fault else dict(zip(columns, cells, strict=False)), fault=fault)


def _open_parquet(path: Path) -> Table:
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise Refused("unreadable", one_line(str(error))[:200]) from None
    with file:
        groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
        size = sum(group.total_byte_size for group in groups)
        return Table(path, "parquet", 0, file.metadata.num_rows, size, tuple(file.schema_arrow.names))


def _parquet_rows(table: Table, start: int, end: int, named: set[str]) -> Iterator[Row]:
    """Read the columns that may be used, by batches of the row groups that hold the rows."""
    columns = table.columns or ()
    used = [name for name in columns if name in named or name in _KNOWN]
    size = table.size // max(1, table.end)
    at = 0
    try:
        with pq.ParquetFile(table.path) as file:
            for group in range(file.metadata.num_row_groups):
                rows = file.metadata.row_group(group).num_rows
                if at + rows > start and at < end:
                    number = at
                    for batch in file.iter_batches(_BATCH_ROWS, row_groups=[group], columns=used or list(columns)):
                        first, last = max(0, start - number), min(batch.num_rows, end - number)
                        if first < last:
                            values = batch.slice(first, last - first).to_pylist()
                            yield from (Row(n, size, value) for n, value in enumerate(values, number + first))
                        number += batch.num_rows
                at += rows
    except (pa.ArrowException, OSError, ValueError) as error:
        raise Refused("unreadable", one_line(str(error))[:200]) from None


def _hub(card: SourceCard, cache: Path) -> datasets.Dataset:
    datasets.disable_progress_bars()
    name, _, config = card.path.removeprefix("hub:").partition(":")
    try:
        return datasets.load_dataset(
            name, config or None, split="train", revision=card.revision, cache_dir=str(cache / "hub" / card.name)
        )
    except _HUB_FAULTS as error:
        cause = error.__cause__ or error
        said = one_line(str(cause))[:300] or f"no rows ({type(cause).__name__})"
        raise RecipeError(f"{card.path}: not readable: {said}") from None


def _by_number(fields: Mapping[str, str]) -> bool:
    return bool(fields) and all(column.isdigit() for column in fields.values())
