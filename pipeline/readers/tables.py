"""Read tables: JSON, JSON Lines, CSV, TSV, Parquet, or a data set of a hub, memory-mapped by `datasets`.

A row of JSON may be an object, or a list of alternating turns (ready-made pairs). `format = "json-by-id"` is one JSON
object whose keys are the items' ids. A CSV or TSV whose card names its columns by number (`fields = { text = "1" }`,
counted from 0) has no header line. Cells of CSV stay text as written: no number, date or missing value is guessed.
"""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import datasets

from pipeline.readers.encoding import encoding_of
from pipeline.readers.items import PARAGRAPH, Block, Item, compose, one_line
from pipeline.recipe import RecipeError, SourceCard

FORMATS = ("json", "json-by-id", "jsonl", "csv", "tsv", "parquet")
TEXT_FIELDS = ("text", "title", "id", "url", "published", "sections", "headings")
_SNIFFED = 4_000_000  # bytes that the encoding of a table is judged by


def open_table(card: SourceCard, path: Path | None, kind: str, cache: Path) -> datasets.Dataset:
    """Open a file, or the hub data set of a card when there is no file, as memory-mapped rows.

    Raises:
        RecipeError: it cannot be read as what it is said to be.
    """
    where = path if path is not None else card.path
    datasets.disable_progress_bars()
    try:
        return _load(card, path, kind, cache)
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        cause = error.__cause__ or error
        raise RecipeError(f"{where}: not readable as {kind}: {one_line(str(cause))[:300]}") from None


def _load(card: SourceCard, path: Path | None, kind: str, cache: Path) -> datasets.Dataset:
    if path is None:
        name, _, config = card.path.removeprefix("hub:").partition(":")
        return datasets.load_dataset(name, config or None, split="train", revision=card.revision, cache_dir=str(cache))
    if kind in ("json", "json-by-id"):
        state = path.stat()  # the file's content, as far as a cache must know
        arguments = {"path": str(path), "by_id": kind == "json-by-id", "state": (state.st_size, state.st_mtime_ns)}
        features = datasets.Features({"id": datasets.Value("string"), "line": datasets.Value("string")})
        return datasets.Dataset.from_generator(
            _json_rows, features=features, gen_kwargs=arguments, cache_dir=str(cache)
        )
    if kind == "jsonl":
        lines = datasets.load_dataset(
            "text",
            data_files=str(path),
            split="train",
            cache_dir=str(cache),
            encoding=_encoding(path),
            encoding_errors="replace",
        )
        return lines.rename_column("text", "line")
    if kind in ("csv", "tsv"):
        return _load_csv(card, path, "\t" if kind == "tsv" else ",", cache)
    return datasets.load_dataset("parquet", data_files=str(path), split="train", cache_dir=str(cache))


def _load_csv(card: SourceCard, path: Path, separator: str, cache: Path) -> datasets.Dataset:
    encoding = _encoding(path)
    # in TSV a quotation mark is text
    quoting: Literal[0, 3] = csv.QUOTE_NONE if separator == "\t" else csv.QUOTE_MINIMAL
    with path.open(encoding=encoding, errors="replace", newline="") as file:
        first = next(csv.reader(file, delimiter=separator, quoting=quoting), None)
    if not first:
        raise ValueError("got an empty file, expected rows")
    by_number = _by_number(card.fields)
    names = list(map(str, range(len(first)))) if by_number else first
    return datasets.load_dataset(
        "csv",
        data_files=str(path),
        split="train",
        cache_dir=str(cache),
        sep=separator,
        quoting=int(quoting),
        header=None if by_number else 0,
        column_names=names,
        features=datasets.Features({name: datasets.Value("string") for name in names}),
        keep_default_na=False,
        encoding=encoding,
        encoding_errors="replace",
    )


def _by_number(fields: Mapping[str, str]) -> bool:
    return bool(fields) and all(column.isdigit() for column in fields.values())


def _encoding(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(_SNIFFED)
        if len(head) == _SNIFFED:
            head = head[: head.rfind(b"\n") + 1] or head
    encoding = encoding_of(head)
    if encoding is None:
        raise RecipeError(f"{path}: got bytes of no known encoding, expected UTF-8, UTF-16, GB18030, Big5 or cp1252")
    return "utf-8-sig" if encoding == "utf-8" else encoding


def _json_rows(path: str, by_id: bool, state: tuple[int, int]) -> Iterator[dict[str, str | None]]:
    """Yield the items of one JSON value, each as a line of JSON.

    A list's items; with `by_id`, an object's values under their keys; else the items of an object's lists, which is
    how collections of dialogues name their parts; an object without lists is one item.
    """
    whole = json.loads(Path(path).read_bytes().decode(_encoding(Path(path))))
    if by_id:
        if not isinstance(whole, dict):
            raise ValueError(f"got a {type(whole).__name__}, expected an object of items by id")
        keyed = list(whole.items())
    elif isinstance(whole, dict) and all(isinstance(value, list) for value in whole.values()):
        keyed = [(None, item) for items in whole.values() for item in items]
    else:
        keyed = [(None, item) for item in (whole if isinstance(whole, list) else [whole])]
    for key, item in keyed:
        yield {"id": key, "line": json.dumps(item)}


def check_columns(card: SourceCard, rows: datasets.Dataset) -> None:
    """Refuse a card that names columns which its table does not have; rows of JSON may each have their own.

    Raises:
        RecipeError: a column is missing.
    """
    if as_lines(rows):
        return
    for field, column in card.fields.items():
        if column not in rows.column_names:
            raise RecipeError(f"card {card.name}: fields.{field}: got {column!r}, expected one of {rows.column_names}")


def as_lines(rows: datasets.Dataset) -> bool:
    """Tell whether each row is a line of JSON rather than the columns of a table."""
    return "line" in rows.column_names and set(rows.column_names) <= {"id", "line"}


def read_rows(rows: datasets.Dataset, start: int) -> Iterator[tuple[int, Any, str | None, str]]:
    """Yield each row as (number from `start`, value, id by key, content); the value is None where a line is no JSON."""
    lines = as_lines(rows)
    for number, row in enumerate(rows, start):
        if not lines:
            yield number, row, None, json.dumps(row, ensure_ascii=False, sort_keys=True, default=str)
        elif line := row["line"].strip():
            yield number, _parse(line), row.get("id"), line


def _parse(line: str) -> Any:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    if "\\ud" in line.lower():  # half of a surrogate pair is no character
        value = json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    return value


def text_item(row: Mapping[str, Any], fields: Mapping[str, str], key: str | None) -> Item:
    """Make a document of a row: a text, a list of texts with headings beside it, or a list of sections."""
    native = key if key is not None else _string(_cell(row, fields, "id"))
    sections = _cell(row, fields, "sections")
    content = None if sections else _cell(row, fields, "text")
    if isinstance(sections, Sequence) and not isinstance(sections, str):
        if not all(isinstance(section, Mapping) for section in sections):
            return Item(native=native, drop_reason="unreadable", drop_detail="sections: expected objects")
        text, spans = compose(_blocks((part.get("heading"), part.get("text")) for part in sections))
    elif isinstance(content, Sequence) and not isinstance(content, str):
        headings = _cell(row, fields, "headings") or [None] * len(content)
        text, spans = compose(_blocks(zip(headings, content, strict=False)))
    else:
        text, spans = _string(content) or "", []
        text = text.replace("\r\n", "\n").strip()
    title, url, published = (_string(_cell(row, fields, name)) for name in ("title", "url", "published"))
    return Item(native=native, text=text, title=title, url=url, published=published, sections=spans)


def _blocks(parts: Any) -> Iterator[Block]:
    for heading, text in parts:
        yield Block(1, str(heading or ""))
        for paragraph in str(text or "").replace("\r\n", "\n").split("\n\n"):
            yield Block(PARAGRAPH, paragraph)


def _cell(row: Mapping[str, Any], fields: Mapping[str, str], name: str) -> Any:
    """Return the value of a field: of the column that the card names, else of the column of that name."""
    return row.get(fields.get(name, name))


def _string(value: Any) -> str | None:
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    return value.strip() if isinstance(value, str) else str(value)
