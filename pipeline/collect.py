"""Collect a source: read its files by their formats into Documents, or into Examples where its card says pairs.

A card's `path` is a file, a folder (all files below it), a glob, or `hub:owner/name[:config]`. The format is told by
each file's suffix, or by the card's `format` for all of them:

    text                          one document a file; hard wraps undone, encoding found
    html, markdown, cnxml         one document a file
    xml                           PubMed: a document an article; MedQuAD: one a file, with its questions as headings
    jsonl, json, csv, tsv, parquet, hub
                                  a row a document or a dialogue; `fields` names the columns of what we call text,
                                  title, id, url, published, sections (list of {heading, text}), headings (beside a
                                  text that is a list of paragraphs); and for pairs see readers/pairs.py
    json-by-id                    one object, whose keys are the ids of its items
    csv, tsv without header       columns by number from 0: fields = { text = "1" }

**Ids.** `source/path` for a file that is one document, the path being relative to the card's folder without glob;
`source/path:item` for an item within a file, by its native id or else 12 hex digits of its content's hash, never by its
position. An id that appears twice in a file is a fault of the data: the first row keeps it, later ones are dropped as
`duplicate_id`. As ids of different files differ by path, and a file split over several units is scanned once when the
work list is made, ids are unique in the source however it is cut into units.
"""

import glob as globbing
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import Field

from pipeline.readers.formats import READERS, SUFFIXES
from pipeline.readers.items import Item, Refused
from pipeline.readers.language import detect
from pipeline.readers.pairs import PAIR_FIELDS, pair_item
from pipeline.readers.tables import FORMATS, TEXT_FIELDS, check_columns, open_table, read_rows, text_item
from pipeline.recipe import Config, RecipeError, SourceCard
from pipeline.records import DOCUMENT, EXAMPLE, marked_schema, text_hash

HUB = "hub"


class CollectConfig(Config):
    """How a source is cut into units of work, and what is too large to be one document."""

    shard_bytes: int = Field(default=16 << 20, ge=1, description="input bytes of whole files in one unit")
    shard_rows: int = Field(default=10_000, ge=1, description="rows of a table in one unit")
    max_document_bytes: int = Field(default=256 << 20, ge=1, description="larger files of one document are dropped")


@dataclass(frozen=True)
class Unit:
    """What one part is made of: whole files, or rows start to end of one table (of a hub data set, without a file)."""

    files: tuple[Path, ...]
    rows: tuple[int, int] | None = None
    repeated: tuple[int, ...] = ()  # rows of this unit whose id an earlier unit of the same table has


def source_files(card: SourceCard, cards_folder: Path) -> list[Path]:
    """List a card's files, sorted by path; none for a hub data set.

    Raises:
        RecipeError: nothing is there, or the format of a file is not known.
    """
    if card.path.startswith("hub:"):
        return []
    root, pattern = _root_and_pattern(card, cards_folder)
    place = _place(card, cards_folder)
    found: Iterable[Path]
    if pattern:
        found = (root / name for name in globbing.iglob(pattern, root_dir=root, recursive=True))
    else:
        found = [place] if place.is_file() else place.rglob("*")
    files = sorted(
        (path for path in found if path.is_file() and not _hidden(path, root)), key=lambda path: path.as_posix()
    )
    if not files:
        raise RecipeError(f"card {card.name}: path: got {card.path!r}, expected files under {root}")
    for path in files:
        format_of(card, path)
    return files


def source_root(card: SourceCard, cards_folder: Path) -> Path:
    """Return the folder that ids are relative to: a card's own, that of its file, or the one before its glob."""
    return _root_and_pattern(card, cards_folder)[0]


def plan_source(card: SourceCard, cards_folder: Path, config: CollectConfig, cache: Path) -> list[Unit]:
    """Fix the work list of a source: one unit becomes one part.

    A table of several units is read through once, for ids that would appear in two of them.

    Raises:
        RecipeError: the card names files, formats, fields or columns that are not there.
    """
    _check_fields(card)
    if card.path.startswith("hub:"):
        return list(_plan_table(card, None, cards_folder, config, cache))
    units: list[Unit] = []
    whole: list[Path] = []
    size = 0
    for path in source_files(card, cards_folder):
        table = format_of(card, path) in FORMATS
        if card.form == "pairs" and not table:
            raise RecipeError(
                f"card {card.name}: {path}: got {format_of(card, path)}, expected a table of pairs {FORMATS}"
            )
        bytes_of_file = path.stat().st_size
        if whole and (table or size + bytes_of_file > config.shard_bytes):
            units.append(Unit(tuple(whole)))
            whole, size = [], 0
        if table:
            units += _plan_table(card, path, cards_folder, config, cache)
        else:
            whole.append(path)
            size += bytes_of_file
    return [*units, Unit(tuple(whole))] if whole else units


def collect_unit(card: SourceCard, unit: Unit, config: CollectConfig, cards_folder: Path, cache: Path) -> pa.Table:
    """Read one unit: a row of DOCUMENT or EXAMPLE (by the card's form) plus drop columns for each item found."""
    root = source_root(card, cards_folder)
    row_of = _example if card.form == "pairs" else _document
    rows = []
    seen: set[str] = set()
    repeated = frozenset(unit.repeated)
    for id, item, number in _unit_items(card, unit, config, root, cache):
        row = row_of(card, id, item)
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
    return {**settings, "hub": card.path} if card.path.startswith("hub:") else settings


def format_of(card: SourceCard, path: Path) -> str:
    """Name the format of a file.

    Raises:
        RecipeError: the card's format, or without one the file's suffix, is not known.
    """
    if card.format is not None:
        known = SUFFIXES.get(card.format, card.format)
        if known not in (*READERS, *FORMATS):
            raise RecipeError(f"card {card.name}: format: got {card.format!r}, expected one of {(*READERS, *FORMATS)}")
        return known
    suffix = path.suffix.lower().removeprefix(".")
    if suffix not in SUFFIXES:
        raise RecipeError(
            f"card {card.name}: {path}: got suffix {path.suffix!r}, expected a known one, or `format` in the card"
        )
    return SUFFIXES[suffix]


def _place(card: SourceCard, cards_folder: Path) -> Path:
    return Path(os.path.abspath(cards_folder / Path(card.path).expanduser()))


def _root_and_pattern(card: SourceCard, cards_folder: Path) -> tuple[Path, str | None]:
    """Split a card's path into the folder that ids are relative to, and the glob below it."""
    if card.path.startswith("hub:"):
        return cards_folder, None
    parts = Path(card.path).expanduser().parts
    plain = next((index for index, part in enumerate(parts) if globbing.has_magic(part)), None)
    if plain is not None:
        return Path(os.path.abspath(cards_folder.joinpath(*parts[:plain]))), str(Path(*parts[plain:]))
    place = _place(card, cards_folder)
    return (place if place.is_dir() else place.parent), None


def _hidden(path: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(root).parts)


def _check_fields(card: SourceCard) -> None:
    known = PAIR_FIELDS if card.form == "pairs" else TEXT_FIELDS
    for field in card.fields:
        if field not in known:
            raise RecipeError(f"card {card.name}: fields: got {field!r}, expected one of {known}")


def _plan_table(
    card: SourceCard, path: Path | None, cards_folder: Path, config: CollectConfig, cache: Path
) -> Iterator[Unit]:
    rows = open_table(card, path, HUB if path is None else format_of(card, path), cache)
    check_columns(card, rows)
    files = () if path is None else (path,)
    starts = range(0, max(1, rows.num_rows), config.shard_rows)
    repeated = _repeated(card, rows) if len(starts) > 1 else []
    for start in starts:
        end = min(start + config.shard_rows, rows.num_rows)
        yield Unit(files, (start, end), tuple(number for number in repeated if start <= number < end))


def _repeated(card: SourceCard, rows: Any) -> list[int]:
    """Return which of N rows have the id of an earlier one, in 16 bytes a row of memory, twice."""
    record = np.dtype([("key", np.uint64), ("number", np.int64)])
    numbered = ((_item_id(item, content), number) for number, item, content in _table_items(card, rows, start=0))
    found_N = np.fromiter(((int(text_hash(id, digits=16), 16), number) for id, number in numbered), dtype=record)
    sorted_N = np.sort(found_N, order=["key", "number"])
    again = sorted_N["key"][1:] == sorted_N["key"][:-1]
    return sorted(sorted_N["number"][1:][again].tolist())


def _unit_items(
    card: SourceCard, unit: Unit, config: CollectConfig, root: Path, cache: Path
) -> Iterator[tuple[str, Item, int | None]]:
    if unit.rows is not None:
        path = unit.files[0] if unit.files else None
        table = open_table(card, path, HUB if path is None else format_of(card, path), cache)
        prefix = f"{card.name}/" + (f"{path.relative_to(root).as_posix()}:" if path else "")
        for number, item, content in _table_items(card, table.select(range(*unit.rows)), start=unit.rows[0]):
            yield prefix + _item_id(item, content), item, number
        return
    for path in unit.files:
        name = f"{card.name}/{path.relative_to(root).as_posix()}"
        size = path.stat().st_size
        if size > config.max_document_bytes:
            yield name, Item(drop_reason="too_large", drop_detail=str(size)), None
            continue
        try:
            for item in READERS[format_of(card, path)](path.read_bytes()):
                yield (name if item.native is None else f"{name}:{item.native}"), item, None
        except Refused as refused:
            yield name, Item(drop_reason=refused.reason, drop_detail=refused.detail), None


def _table_items(card: SourceCard, rows: Any, start: int) -> Iterator[tuple[int, Item, str]]:
    make: Callable[[Any, Mapping[str, str], str | None], Item] = pair_item if card.form == "pairs" else text_item
    for number, value, key, content in read_rows(rows, start):
        if not isinstance(value, (dict, list) if card.form == "pairs" else dict):
            yield number, Item(native=key, drop_reason="unreadable", drop_detail=content[:200]), content
            continue
        item = make(value, card.fields, key)
        yield number, item, "\x1e".join(map("\x1f".join, item.turns)) if item.turns else item.text or content


def _item_id(item: Item, content: str) -> str:
    return item.native if item.native is not None else text_hash(content)


def _document(card: SourceCard, id: str, item: Item) -> dict[str, Any]:
    reason = item.drop_reason or (None if item.text.strip() else "empty")
    return {
        "id": id,
        "source": card.name,
        "kind": card.kind,
        "lang": card.lang or detect(item.text),
        "text": item.text,
        "title": item.title,
        "url": item.url,
        "sections": list(item.sections),
        "boilerplate": [],
        "edition": card.edition,
        "published": item.published,
        "drop_reason": reason,
        "drop_detail": item.drop_detail,
    }


def _example(card: SourceCard, id: str, item: Item) -> dict[str, Any]:
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
