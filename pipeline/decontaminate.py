"""Find rows that an exam contains or that contain an exam's item, so that no model is trained on its own test.

An exam is a file of items: JSON Lines, JSON (a list, an object of items by id, or one of lists), CSV, TSV, XLSX or
Parquet. An item's id is its first column of ID_COLUMNS, else its number in the file from 1; its question the first of
QUESTION_COLUMNS, else its longest text. An item is looked for by two faces: its question, with what follows it as long
as it is too short to be told from another one, and all its texts (question, options, context, answer, explanation).

Two texts are compared by the n-grams of their letters (letters.py), 8 long in mostly Chinese texts and 16 in others:
longer than dedup's, since a text of some length has most short ones by chance. N-grams of more than MANY_ITEMS items
say nothing ("which of the following is true") and are left out on both sides. A row is struck where `min_contained` of
a face's n-grams are in the row, or of the row's in a face; or where half of either are and the exact Jaccard similarity
of the two, by dedup's shingles, reaches `min_jaccard`. On either side at least 2 n-grams' width of them must count.
"""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numba import njit, types
from numpy.typing import NDArray

from pipeline.letters import BYTES, OFFSETS, TABLE, Fold, buffers_of, fold_text, letters_of, read_letters
from pipeline.minhash import jaccard_of, shingle
from pipeline.readers.items import Refused
from pipeline.readers.places import Place
from pipeline.readers.tables import FORMATS, open_table, read_rows
from pipeline.recipe import RecipeError, SourceCard

ID_COLUMNS = ("id", "realidx", "qid", "question_id", "item_id", "uid", "idx", "index", "pmid", "编号", "题号")
QUESTION_COLUMNS = ("question", "stem", "problem", "query", "prompt", "instruction", "题目", "题干", "问题")
WIDTHS = {"zh": 8, "en": 16}  # letters of an n-gram
HAN_SHARE = 0.3  # of the letters of a text that counts as Chinese
MANY_ITEMS = 20
MAX_ITEM_BYTES = 64 << 20
LIKELY = 0.5  # share of n-grams from which Jaccard similarity is asked for

FACE = pa.schema([("item", pa.string()), ("text", pa.string()), ("whole", pa.bool_()), ("width", pa.int64())])


@dataclass(frozen=True)
class Index:
    """The G n-grams of one width, hashed, each with the faces that have it.

    `slots` is a hash table of places in `grams`; the faces of n-gram g are posted[starts[g]:starts[g + 1]], none where
    it says nothing. `sizes` counts the n-grams of each face that count.
    """

    slots: NDArray[np.int64]
    grams: NDArray[np.uint64]
    starts: NDArray[np.int64]
    posted: NDArray[np.int64]
    sizes: NDArray[np.int64]


def read_exam(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the items of an exam as (file name:id, columns).

    Raises:
        RecipeError: the file cannot be read as a table of items.
    """
    try:
        rows = list(_rows_of(path))
    except (Refused, ValueError, OSError) as error:
        raise RecipeError(f"[dedup] exams: {path}: not readable: {' '.join(str(error).split())[:200]}") from None
    if not rows:
        raise RecipeError(f"[dedup] exams: {path}: got no item, expected a table of questions")
    for number, (key, row) in enumerate(rows, start=1):
        columns = {str(name).strip().lower(): value for name, value in row.items()}
        named = next((columns[name] for name in ID_COLUMNS if columns.get(name) not in (None, "")), None)
        id = key if key is not None else named if named is not None else number
        yield f"{path.name}:{id}", {name: value for name, value in columns.items() if name not in ID_COLUMNS}


def _rows_of(path: Path) -> Iterator[tuple[str | None, Mapping[str, Any]]]:
    """Yield each item with the key it is stored under, if it is; rows are read as collect reads those of a table."""
    suffix = path.suffix.lower().lstrip(".")
    format = "jsonl" if suffix == "ndjson" else suffix
    if format not in FORMATS:
        raise ValueError(f"got a .{suffix} file, expected jsonl, json, csv, tsv, xlsx or parquet")
    with tempfile.TemporaryDirectory() as folder:
        scratch, card = Path(folder), SourceCard.model_construct(name=path.name, fields={})
        table, damage = open_table(Place(path), path.name, format, card, scratch, scratch)
        if damage:
            raise damage
        every = card.model_copy(update={"fields": {name: name for name in table.columns or ()}})
        for row in read_rows(table, table.start, table.end, every, scratch, MAX_ITEM_BYTES):
            if row.fault:
                raise ValueError(": ".join(row.fault))
            by_id = format == "json" and table.depth == 0 and isinstance(row.value, dict) and len(row.value) > 0
            if by_id and all(isinstance(item, dict) for item in row.value.values()):
                yield from row.value.items()
            else:
                yield row.key, row.value if isinstance(row.value, dict) else {"question": row.value}


def strings_in(value: Any) -> Iterator[str]:
    """Yield the texts of a column in order; an option's letter goes before it, as it is printed."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            texts = list(strings_in(inner))
            yield from ([f"{name} {texts[0]}", *texts[1:]] if texts and len(str(name)) <= 2 else texts)
    elif isinstance(value, Sequence):
        for inner in value:
            yield from strings_in(inner)
    elif value is not None and not isinstance(value, bool):
        yield str(value)


def faces_of(columns: Mapping[str, Any], folds: tuple[Fold, ...]) -> list[tuple[str, bool]]:
    """Return the texts by which an item is looked for: (its question, False) and (all of it, True)."""
    texts = {name: "\n".join(strings_in(value)) for name, value in columns.items()}
    question = next((name for name in QUESTION_COLUMNS if texts.get(name)), None)
    question = question or max(texts, key=lambda name: len(texts[name]), default="")
    parts = [texts.pop(question, ""), *texts.values()]
    asked = parts[0]
    for part in parts[1:]:
        letters = fold_text(asked, folds)
        if len(letters) >= 3 * _width(letters):
            break
        asked += "\n" + part
    return [(asked, False), ("\n".join(part for part in parts if part), True)]


def _width(letters: str) -> int:
    han = sum("\u3400" <= letter <= "\u9fff" for letter in letters)
    return WIDTHS["zh" if han > HAN_SHARE * len(letters) else "en"]


def write_index(paths: Sequence[Path], folder: Path, folds: tuple[Fold, ...], settings: Mapping[str, float]) -> None:
    """Write the index of all exams into a folder, for `strike`.

    Args:
        settings: `min_contained`, `min_jaccard` and `ngram`, as in [dedup].
    """
    faces = [
        {"item": item, "text": text, "whole": whole, "width": _width(fold_text(text, folds))}
        for path in paths
        for item, columns in read_exam(path)
        for text, whole in faces_of(columns, folds)
    ]
    table = pa.Table.from_pylist(faces, schema=FACE)
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, folder / "faces.parquet")
    for width in WIDTHS.values():
        np.savez(folder / f"grams-{width}.npz", **vars(_index_of(table, width, folds)))
    (folder / "settings.json").write_text(json.dumps(dict(settings)))


def _index_of(faces: pa.Table, width: int, folds: tuple[Fold, ...]) -> Index:
    letters = letters_of(folds)
    hashes, owners = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)]
    for face, (text, own_width) in enumerate(zip(faces["text"].to_pylist(), faces["width"].to_pylist(), strict=True)):
        if own_width == width:
            data = np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8)
            found = np.unique(grams_of(data, letters.table, letters.spill, width))
            hashes.append(found)
            owners.append(np.full(len(found), face))
    together, owner = np.concatenate(hashes), np.concatenate(owners)
    order = np.lexsort((owner, together))
    together, owner = together[order], owner[order]
    grams, counts = np.unique(together, return_counts=True)
    telling = np.repeat(counts <= 2 * MANY_ITEMS, counts)  # an item has two faces
    posted = owner[telling]
    kept = np.where(counts <= 2 * MANY_ITEMS, counts, 0)
    sizes = np.bincount(posted, minlength=faces.num_rows).astype(np.int64)
    slots = np.full(1 << max(4, int(2 * len(grams)).bit_length()), -1, np.int64)
    _fill_slots(grams, slots)
    return Index(slots, grams, np.concatenate([[0], np.cumsum(kept)]).astype(np.int64), posted.astype(np.int64), sizes)


@lru_cache(maxsize=2)
def _load(folder: Path) -> tuple[pa.Table, dict[int, Index], dict[str, float]]:
    indexes = {}
    for width in WIDTHS.values():
        with np.load(folder / f"grams-{width}.npz") as arrays:
            indexes[width] = Index(**{name: arrays[name] for name in arrays.files})
    return pq.read_table(folder / "faces.parquet"), indexes, json.loads((folder / "settings.json").read_text())


def strike(texts: pa.ChunkedArray, folder: Path, folds: tuple[Fold, ...]) -> dict[int, str]:
    """Return the places of the texts that an exam's item contains or that contain one, with the item and the evidence.

    Args:
        folder: an index of exams, see `write_index`.
    """
    faces, indexes, settings = _load(folder)
    letters, struck, start = letters_of(folds), dict[int, tuple[float, str]](), 0
    for chunk in texts.chunks:
        data, offsets = buffers_of(chunk)
        for width, index in indexes.items():
            if not len(index.grams):
                continue
            best, share = np.full((len(chunk), 2), -1, np.int64), np.zeros((len(chunk), 2))
            whole = faces["whole"].to_numpy()
            of_index = (index.slots, index.grams, index.starts, index.posted, index.sizes)
            _search(data, offsets, letters.table, letters.spill, width, *of_index, whole, best, share)
            for row in np.flatnonzero(share.max(axis=1) >= LIKELY).tolist():
                side = int(share[row].argmax())
                face, found = int(best[row, side]), float(share[row, side])
                how = ("item in row", "row in item")[side]
                if found < settings["min_contained"]:
                    how, found = "jaccard", _similar(chunk[row].as_py(), faces["text"][face].as_py(), settings, folds)
                    if found < settings["min_jaccard"]:
                        continue
                known = struck.get(start + row)
                if known is None or found > known[0]:
                    struck[start + row] = found, f"{faces['item'][face].as_py()}, {how} {found:.2f}"
        start += len(chunk)
    return {place: detail for place, (_, detail) in sorted(struck.items())}


def _similar(left: str, right: str, settings: Mapping[str, float], folds: tuple[Fold, ...]) -> float:
    data, offsets = buffers_of(pa.array([left, right]))
    return float(jaccard_of(data, offsets, np.array([[0, 1]]), int(settings["ngram"]), folds)[0])


@njit(types.uint64[::1](BYTES, TABLE, TABLE, types.int64), nogil=True, cache=True)
def grams_of(data, table, spill, width):  # type: ignore[no-untyped-def]
    """Return the hashes of the n-grams of a text's letters, repeats included; none where it is shorter than `width`."""
    points, hashes = np.empty(len(data) + 1, np.uint32), np.empty(len(data) + 1, np.uint64)
    count = read_letters(data, 0, len(data), table, spill, points)
    if count < width:
        return hashes[:0].copy()
    return hashes[: shingle(points, count, width, hashes)].copy()


@njit(types.void(types.uint64[::1], types.int64[::1]), nogil=True, cache=True)
def _fill_slots(grams, slots):  # type: ignore[no-untyped-def]
    for gram in range(len(grams)):
        slot = np.int64(grams[gram] & np.uint64(len(slots) - 1))
        while slots[slot] >= 0:
            slot = (slot + 1) & (len(slots) - 1)
        slots[slot] = gram


@njit(
    types.void(
        BYTES, OFFSETS, TABLE, TABLE, types.int64, types.int64[::1], types.uint64[::1], types.int64[::1],
        types.int64[::1], types.int64[::1], types.Array(types.boolean, 1, "C", readonly=True),
        types.int64[:, ::1], types.float64[:, ::1],
    ),
    nogil=True,
    cache=True,
)  # fmt: skip
def _search(data, offsets, table, spill, width, slots, grams, starts, posted, sizes, whole, best, share):  # type: ignore[no-untyped-def]
    """For each text find the face most of which is in it, and the face that most of it is in: (N, 2) each.

    A face's n-grams are counted once, the text's as often as they stand in it.
    """
    longest = 0
    for text in range(len(offsets) - 1):
        longest = max(longest, offsets[text + 1] - offsets[text])
    points, hashes = np.empty(longest + 1, np.uint32), np.empty(longest + 1, np.uint64)
    seen_by = np.full(len(grams), -1, np.int64)  # the last text that had an n-gram
    met_by = np.full(len(sizes), -1, np.int64)  # the last text that had an n-gram of a face
    of_face, of_text, met = (
        np.zeros(len(sizes), np.int64),
        np.zeros(len(sizes), np.int64),
        np.empty(len(sizes), np.int64),
    )
    for text in range(len(offsets) - 1):
        count = read_letters(data, offsets[text], offsets[text + 1], table, spill, points)
        if count < width:
            continue
        size = shingle(points, count, width, hashes)
        num_met, telling = 0, size
        for place in range(size):
            slot = np.int64(hashes[place] & np.uint64(len(slots) - 1))
            while slots[slot] >= 0 and grams[slots[slot]] != hashes[place]:
                slot = (slot + 1) & (len(slots) - 1)
            gram = slots[slot]
            if gram < 0:
                continue
            if starts[gram] == starts[gram + 1]:
                telling -= 1
            for post in range(starts[gram], starts[gram + 1]):
                face = posted[post]
                if met_by[face] != text:
                    met_by[face] = text
                    of_face[face] = of_text[face] = 0
                    met[num_met] = face
                    num_met += 1
                of_text[face] += 1
                if seen_by[gram] != text:
                    of_face[face] += 1
            seen_by[gram] = text
        for place in range(num_met):
            face = met[place]
            if sizes[face] >= 2 * width and of_face[face] > share[text, 0] * sizes[face]:
                best[text, 0], share[text, 0] = face, of_face[face] / sizes[face]
            if whole[face] and telling >= 2 * width and of_text[face] > share[text, 1] * telling:
                best[text, 1], share[text, 1] = face, of_text[face] / telling
