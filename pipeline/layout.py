"""Lay rows out in dedup's scratch folder, so that any task can look up any row with little memory.

Of every file, what a task needs is read and no more.

    shape.npy              bands, bins, ranges of keys
    starts.npy             the number of each shard's first row, through all shards
    rows-00000/            one shard: those kept by earlier runs first, then those of this recipe
        facts.bin          one record a row, see facts_type
        texts.bin ids.bin  UTF-8, end to end
        keys.bin           for the digest and for each band, KEYED of the rows that take part, range after range
        ranges.bin         (bands + 1, ranges + 1) int64: where in keys.bin each range begins
        struck.parquet     rows that an exam contains: place in the shard, drop_detail
"""

import itertools
import mmap
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numba import njit, types
from numpy.typing import NDArray

from pipeline.decontaminate import strike
from pipeline.letters import BYTES, Fold, buffers_of
from pipeline.minhash import jaccard_of, texts_of
from pipeline.shards import ContractError, Shard

KEYED = np.dtype([("key", "<u8"), ("row", "<u4")])  # a row of its shard under a band key
STRUCK = pa.schema([("place", pa.int64()), ("detail", pa.string())])
TEXT_BYTES_AT_ONCE = 64 << 20  # of the texts that one call compares
LONGEST = (1 << 48) - 1

Compare = Callable[[NDArray[np.int64]], NDArray[np.float64]]


@dataclass(frozen=True)
class Pair:
    """A shard of rows with that of their sketches. Of an earlier run, the sketches are those of more rows."""

    rows: Shard
    sketch: Shard
    earlier: bool


def facts_type(bins: int) -> np.dtype[Any]:
    """Return the record of what is known of one row."""
    fields: list[Any] = [
        ("preference", "<u8"),  # place of the source << 48 | LONGEST - characters: the smaller stays
        ("digest", "<u8", (2,)),
        ("text_start", "<i8"),
        ("text_bytes", "<i8"),
        ("id_start", "<i8"),
        ("id_bytes", "<i8"),
        ("sketch", "u1", (bins,)),
    ]
    return np.dtype(fields)


def lay_out(
    folder: Path,
    pair: Pair,
    places: Mapping[str, int],
    shape: tuple[int, int, int],
    exams: Path | None,
    folds: tuple[Fold, ...],
) -> None:
    """Write the folder of one shard.

    Args:
        places: source -> place among the sources, from 1; rows of earlier runs have 0.
        shape: bands, bins, ranges of keys.
        exams: the folder of the exams' index (decontaminate.py).

    Raises:
        ContractError: the sketches are not those of the rows.
    """
    unfinished = folder.with_name("." + folder.name)
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    bands, bins, ranges = shape
    table, sketches = _compared(pair.rows), pq.ParquetFile(pair.sketch.path).read()
    if pair.earlier:
        sketches = sketches.filter(pc.is_in(sketches["passage_id"], table["id"].combine_chunks()))
    if not sketches["passage_id"].equals(table["id"]):
        raise ContractError(
            f"{pair.sketch.path}: got other passage_ids than the ids of {pair.rows.path}, expected the same"
        )
    texts = texts_of(table)
    facts = np.zeros(table.num_rows, facts_type(bins))
    sources = table["source"].combine_chunks().dictionary_encode()
    place_of = [0 if pair.earlier else places[name] for name in sources.dictionary.to_pylist()]
    source_places = np.array(place_of, np.uint64)[sources.indices.to_numpy()]
    facts["preference"] = (source_places << np.uint64(48)) + np.uint64(LONGEST) - sketches["chars"].to_numpy()
    facts["digest"] = _fixed(sketches["digest"], "<u8", 2)
    facts["sketch"] = _fixed(sketches["sketch"], "u1", bins)
    facts["text_start"], facts["text_bytes"] = _write_strings(unfinished / "texts.bin", texts)
    facts["id_start"], facts["id_bytes"] = _write_strings(unfinished / "ids.bin", table["id"])
    facts.tofile(unfinished / "facts.bin")
    struck = strike(texts, exams, folds) if exams and not pair.earlier else {}
    pq.write_table(pa.table([list(struck), list(struck.values())], schema=STRUCK), unfinished / "struck.parquet")
    taking_part = np.delete(np.arange(table.num_rows), np.array(list(struck), np.int64))
    keys_NB = np.column_stack([facts["digest"][:, 0], _fixed(sketches["bands"], "<u8", bands)])
    _write_keys(unfinished, keys_NB[taking_part], taking_part, ranges)
    unfinished.rename(folder)


def _fixed(values: pa.ChunkedArray, kind: str, width: int) -> NDArray[Any]:
    """Return N values of equal size as an (N, width) array."""
    parts = [data[offsets[0] : offsets[-1]] for data, offsets in map(buffers_of, values.chunks)]
    return np.concatenate([np.zeros(0, np.uint8), *parts]).view(kind).reshape(len(values), width)


def _write_strings(path: Path, strings: pa.ChunkedArray) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Write strings end to end and return where each begins and its bytes."""
    starts, sizes, written = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], 0
    with path.open("wb") as file:
        for chunk in strings.chunks:
            data, offsets = buffers_of(chunk)
            file.write(data[offsets[0] : offsets[-1]].data)
            starts.append(offsets[:-1] - offsets[0] + written)
            sizes.append(np.diff(offsets))
            written += int(offsets[-1] - offsets[0])
    return np.concatenate(starts), np.concatenate(sizes)


def _write_keys(folder: Path, keys_NB: NDArray[np.uint64], rows: NDArray[np.int64], ranges: int) -> None:
    keyed, starts = np.zeros(len(rows), KEYED), np.zeros((keys_NB.shape[1], ranges + 1), np.int64)
    with (folder / "keys.bin").open("wb") as file:
        for band, keys in enumerate(keys_NB.T):
            range_of = ((keys >> np.uint64(32)) * np.uint64(ranges) >> np.uint64(32)).astype(np.uint16)
            order = np.argsort(range_of, kind="stable") if ranges > 1 else np.arange(len(rows))
            keyed["key"], keyed["row"] = keys[order], rows[order]
            starts[band] = np.searchsorted(range_of[order], np.arange(ranges + 1)) + band * len(rows)
            keyed.tofile(file)
    starts.tofile(folder / "ranges.bin")


class LaidOut:
    """Every shard of a scratch folder, read by row numbers that run through all of them."""

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        self.starts: NDArray[np.int64] = np.load(scratch / "starts.npy")
        self.num_rows = int(self.starts[-1])
        self.bands, self.bins, self.ranges = np.load(scratch / "shape.npy").tolist()
        self._kind = facts_type(self.bins)
        self._folders = [str(self.folder(shard)) for shard in range(len(self.starts) - 1)]

    def folder(self, shard: int) -> Path:
        """Name the folder of a shard."""
        return self.scratch / f"rows-{shard:05d}"

    def keyed(self, band: int, range_index: int) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """Return the keys of a band in a range of keys, and the rows that have them."""
        keys, rows = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)]
        place = band * (self.ranges + 1) + range_index
        for shard, start in enumerate(self.starts[:-1]):
            begin, end = _read(f"{self._folders[shard]}/ranges.bin", np.dtype(np.int64), place, place + 2).tolist()
            part = _read(f"{self._folders[shard]}/keys.bin", KEYED, begin, end)
            keys.append(part["key"])
            rows.append(part["row"].astype(np.int64) + start)
        return np.concatenate(keys), np.concatenate(rows)

    def facts(self, rows: NDArray[np.int64], *fields: str) -> list[NDArray[Any]]:
        """Return fields of the facts of M rows, given in ascending order: only their pages are read, once."""
        found = [[np.zeros(0, self._kind)[field]] for field in fields]
        for shard, local in self._by_shard(rows):
            facts = _mapped(f"{self._folders[shard]}/facts.bin", self._kind)
            for field, parts in zip(fields, found, strict=True):
                parts.append(facts[field][local])
        return [np.concatenate(parts) for parts in found]

    def struck(self, shard: int) -> NDArray[np.int64]:
        """Return the rows of a shard that an exam contains."""
        places = pq.read_table(self.folder(shard) / "struck.parquet", columns=["place"])["place"]
        struck: NDArray[np.int64] = places.to_numpy().astype(np.int64) + self.starts[shard]
        return struck

    def texts(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Return the texts of M rows in ascending order, end to end in UTF-8, and the (M + 1,) offsets."""
        return self._strings(rows, "text")

    def ids(self, rows: NDArray[np.int64]) -> list[str]:
        """Return the ids of M rows in ascending order."""
        data, offsets = self._strings(rows, "id")
        whole = data.tobytes()
        return [whole[begin:end].decode() for begin, end in itertools.pairwise(offsets)]

    def comparison(self, rows: NDArray[np.int64], ngram: int, folds: tuple[Fold, ...]) -> Compare:
        """Return what gives the exact Jaccard similarity of M pairs of some rows, by (M, 2) places in `rows`.

        `rows` ascend. Their texts are held where they come to no more than TEXT_BYTES_AT_ONCE, so that round after
        round of pairs reads them once.
        """
        (sizes,) = self.facts(rows, "text_bytes")
        held = self.texts(rows) if sizes.sum() <= TEXT_BYTES_AT_ONCE else None

        def compare(pairs_M2: NDArray[np.int64]) -> NDArray[np.float64]:
            if held:
                return jaccard_of(*held, pairs_M2, ngram, folds)
            order = np.lexsort((pairs_M2[:, 1], pairs_M2[:, 0]))
            pairs_M2, similar = pairs_M2[order], np.zeros(len(pairs_M2))
            for part in _portions(pairs_M2, sizes[pairs_M2]):
                needed, places = np.unique(pairs_M2[part], return_inverse=True)
                similar[order[part]] = jaccard_of(*self.texts(rows[needed]), places.reshape(-1, 2), ngram, folds)
            return similar

        return compare

    def _strings(self, rows: NDArray[np.int64], name: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        starts, sizes = self.facts(rows, f"{name}_start", f"{name}_bytes")
        offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        data, place = np.empty(offsets[-1], np.uint8), 0
        for shard, local in self._by_shard(rows):
            strings = _mapped(f"{self._folders[shard]}/{name}s.bin", np.dtype(np.uint8))
            _copy(strings, starts[place : place + len(local)], offsets[place:], data)
            place += len(local)
        return data, offsets

    def _by_shard(self, rows: NDArray[np.int64]) -> list[tuple[int, NDArray[np.int64]]]:
        cuts = np.searchsorted(rows, self.starts)
        return [
            (shard, rows[begin:end] - self.starts[shard])
            for shard, (begin, end) in enumerate(itertools.pairwise(cuts))
            if end > begin
        ]


def _portions(pairs_M2: NDArray[np.int64], sizes_M2: NDArray[np.int64]) -> list[slice]:
    """Cut pairs in the order of their first rows into runs whose texts come to about TEXT_BYTES_AT_ONCE."""
    anew = np.append(True, pairs_M2[1:, 0] != pairs_M2[:-1, 0])[: len(pairs_M2)]
    portion = np.cumsum(np.where(anew, sizes_M2[:, 0], 0) + sizes_M2[:, 1]) // TEXT_BYTES_AT_ONCE
    edges = [0, *(np.flatnonzero(np.diff(portion)) + 1).tolist(), len(pairs_M2)]
    return [slice(begin, end) for begin, end in itertools.pairwise(edges) if end > begin]


def _compared(rows: Shard) -> pa.Table:
    file = pq.ParquetFile(rows.path)
    return file.read(["id", "source", "text" if "text" in file.schema_arrow.names else "messages"])


def _mapped(path: str, kind: np.dtype[Any]) -> NDArray[Any]:
    """Map a file of records; only what is looked at is read, and nothing stays once the array is gone."""
    with open(path, "rb") as file:
        if not os.fstat(file.fileno()).st_size:
            return np.zeros(0, kind)
        return np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), kind)


def _read(path: str, kind: np.dtype[Any], begin: int, end: int) -> NDArray[Any]:
    """Read records `begin` to `end` of a file."""
    with open(path, "rb", buffering=0) as file:
        return np.frombuffer(os.pread(file.fileno(), (end - begin) * kind.itemsize, begin * kind.itemsize), kind)


@njit(types.void(BYTES, types.int64[::1], types.int64[::1], types.uint8[::1]), nogil=True, cache=True)
def _copy(strings, starts, offsets, data):  # type: ignore[no-untyped-def]
    """Copy each string to its place between two offsets."""
    for place in range(len(starts)):
        start, begin = np.uint64(starts[place]), np.uint64(offsets[place])
        for byte in range(np.uint64(offsets[place + 1]) - begin):
            data[begin + byte] = strings[start + byte]


def save(path: Path, array: NDArray[Any]) -> None:
    """Write an array so that the file exists only whole."""
    unfinished = path.with_name("." + path.name)
    np.save(unfinished, array)
    unfinished.rename(path)


def laid_out_places(shards: Sequence[Shard]) -> dict[str, int]:
    """Return the place of each source, from 1 in the order in which the shards bring them up."""
    places: dict[str, int] = {}
    for shard in shards:
        for source in pc.unique(pq.ParquetFile(shard.path).read(["source"])["source"]).to_pylist():
            places.setdefault(source, len(places) + 1)
    return places
