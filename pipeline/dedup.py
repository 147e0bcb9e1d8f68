"""Deduplicate rows: of those that say the same, keep one.

Reads Sketch and the Passages or Examples behind it, writes the same Passages or Examples. Bands of MinHash propose
pairs, exact Jaccard similarity of the texts' shingles decides (minhash.py), and rows joined by decided pairs form a
group of which one stays: of the earliest source, then the longest text, then the smallest id.

Three phases, each finished piece of which outlives a killed run in `scratch`:

    rows-00000/              what phases 2 and 3 need of one shard, read back row by row with os.pread
        facts.bin            one record a row, see _facts_type
        shingles.bin         sorted 64-bit shingle hashes of all rows, end to end
        ids.bin              ids in UTF-8, end to end
        keys.bin             for the exact pass and for each band, the shard's rows sorted by key
        starts.npy           (bands + 1, ranges + 1): where in keys.bin each range of keys begins
    edges-000-00000.npy      pairs decided in a band's range of keys; band 0 is the exact pass

In memory: 9 bytes a row (its group, and whether its text came before), one shard, one range of one band's keys. A
range holds about ROWS_AT_ONCE rows, more only where that many share a key. Rows of equal text take part in the bands
once, and within a bucket one row of each group is compared, so that a text copied often costs little.
"""

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field

from pipeline import minhash
from pipeline.recipe import Config
from pipeline.records import mark
from pipeline.shards import ContractError, Shard

ROWS_AT_ONCE = 1 << 21  # keys of a range: 16 bytes each, and as much again while they are sorted
TEXTS_AT_ONCE = 1024  # texts held as Python strings

KEYED = np.dtype([("key", "<u8"), ("row", "<u4")])  # a row of its shard under a band key

Edges = list[tuple[int, int]]


class DedupConfig(Config):
    """What counts as the same."""

    ngram: int = Field(default=5, ge=1, description="characters of a shingle; filled from [sketch]")
    min_jaccard: float = Field(default=0.8, gt=0, le=1, description="similarity from which two rows are one")


def dedup_rows(inputs: Mapping[str, Sequence[Shard]], config: DedupConfig, scratch: Path) -> Iterator[pa.Table]:
    """Mark each row but one of every group of duplicates.

    Args:
        inputs: "rows", shards in the order of their sources, and "sketch", the sketches of the same rows.

    Yields:
        One table a shard: its rows in order plus `drop_reason`, `exact_duplicate` (equal normalised text) or
        `near_duplicate`, and `drop_detail` with the row kept and the Jaccard similarity to it. What is kept does not
        depend on how the rows of a source are spread over shards. A group is joined by pairs, so a row can be less
        similar to the row kept than `min_jaccard`; the detail then shows it.

    Raises:
        ContractError: a shard of sketches does not match its shard of rows.
    """
    bands, permutations = _sketch_shape(inputs["sketch"])
    rows = Rows(scratch, [shard.num_rows for shard in inputs["rows"]], permutations)
    _lay_out(inputs, rows, bands, config.ngram)
    groups = Groups(rows)
    _find_groups(rows, groups, bands, config.min_jaccard)
    for index, shard in enumerate(inputs["rows"]):
        yield _mark_shard(shard, index, rows, groups)


class Rows:
    """Random access to what was laid out of N rows, numbered through all shards."""

    def __init__(self, scratch: Path, shard_rows: Sequence[int], permutations: int) -> None:
        self.scratch = scratch
        self.starts = np.concatenate([[0], np.cumsum(shard_rows, dtype=np.int64)])
        self.num_rows = int(self.starts[-1])
        self.facts_type = _facts_type(permutations)

    def folder(self, shard: int) -> Path:
        """Name the folder of what was laid out of a shard."""
        return self.scratch / f"rows-{shard:05d}"

    def facts(self, row: int) -> tuple[Any, int]:
        """Return a row's facts, a record of `_facts_type`, and the number of its shard."""
        shard = int(np.searchsorted(self.starts, row, side="right")) - 1
        size = self.facts_type.itemsize
        data = _read(self.folder(shard) / "facts.bin", (row - int(self.starts[shard])) * size, size)
        return np.frombuffer(data, self.facts_type)[0], shard

    def shingles(self, row: int) -> NDArray[np.uint64]:
        """Return the sorted shingles of a row's text."""
        facts, shard = self.facts(row)
        path = self.folder(shard) / "shingles.bin"
        return np.frombuffer(_read(path, int(facts["shingles_start"]), int(facts["shingles"]) * 8), np.uint64)

    def id(self, row: int) -> str:
        """Return the id of a row."""
        facts, shard = self.facts(row)
        return _read(self.folder(shard) / "ids.bin", int(facts["id_start"]), int(facts["id_bytes"])).decode()

    def preference(self, row: int) -> tuple[int, int, str]:
        """Return what orders rows by who stays: earlier source, longer text, smaller id."""
        facts, _ = self.facts(row)
        return int(facts["source"]), -int(facts["chars"]), self.id(row)


class Groups:
    """Disjoint groups of N rows; the root of a group is the row of it that stays."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self.parents = np.arange(rows.num_rows)

    def root(self, row: int) -> int:
        """Return the row that stays of a row's group, halving the path to it (Tarjan and van Leeuwen, 1984)."""
        while (parent := int(self.parents[row])) != row:
            self.parents[row] = row = int(self.parents[parent])
        return row

    def roots(self, start: int, stop: int) -> NDArray[np.int64]:
        """Return the roots of rows start to stop."""
        roots = self.parents[start:stop]
        while not np.array_equal(further := self.parents[roots], roots):
            roots = further
        return roots

    def join(self, left: int, right: int) -> int:
        """Make one group of two and return its root."""
        left, right = self.root(left), self.root(right)
        if left != right:
            if self.rows.preference(right) < self.rows.preference(left):
                left, right = right, left
            self.parents[right] = left
        return left


def _facts_type(permutations: int) -> np.dtype[Any]:
    fields: list[Any] = [
        ("source", "<i4"),  # place of the row's source among the sources
        ("chars", "<i8"),
        ("shingles_start", "<i8"),  # byte in shingles.bin
        ("shingles", "<i8"),
        ("id_start", "<i8"),  # byte in ids.bin
        ("id_bytes", "<i4"),
        ("digest", "u1", (16,)),  # of the normalised text
        ("sketch", "u1", (permutations,)),
    ]
    return np.dtype(fields)


def _sketch_shape(sketches: Sequence[Shard]) -> tuple[int, int]:
    """Return the number of bands and of permutations, (0, 0) where there is no row."""
    for shard in sketches:
        if shard.num_rows:
            first = shard.read(["bands", "sketch"]).slice(0, 1)
            return len(first["bands"][0]), len(first["sketch"][0].as_py())
    return 0, 0


def _lay_out(inputs: Mapping[str, Sequence[Shard]], rows: Rows, bands: int, ngram: int) -> None:
    """Phase 1: write rows-NNNNN of every shard that is not yet there."""
    if len(inputs["sketch"]) != len(inputs["rows"]):
        raise ContractError(f"dedup: got {len(inputs['sketch'])} shards of sketches for {len(inputs['rows'])} of rows")
    places: dict[str, int] = {}
    for shard in inputs["rows"]:
        for source in pc.unique(shard.read(["source"])["source"]).to_pylist():
            places.setdefault(source, len(places))
    ranges = max(1, -(-rows.num_rows // ROWS_AT_ONCE))
    for index, (shard, sketch) in enumerate(zip(inputs["rows"], inputs["sketch"], strict=True)):
        folder = rows.folder(index)
        if folder.exists():
            continue
        unfinished = folder.with_name("." + folder.name)
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        sketches = sketch.read()
        table = shard.read()
        if not sketches["passage_id"].equals(table["id"]):
            raise ContractError(f"{sketch.path}: got other passage_ids than the ids of {shard.path}, expected the same")
        facts = _write_texts(unfinished, table, sketches, places, ngram, rows.facts_type)
        _write_keys(unfinished, facts["digest"], sketches["bands"], bands, ranges)
        unfinished.rename(folder)


def _write_texts(
    folder: Path, table: pa.Table, sketches: pa.Table, places: Mapping[str, int], ngram: int, facts_type: np.dtype[Any]
) -> NDArray[Any]:
    facts = np.zeros(table.num_rows, facts_type)
    facts["source"] = [places[source] for source in table["source"].to_pylist()]
    facts["chars"] = sketches["chars"].to_numpy()
    texts, ids, row = minhash.texts_of(table), table["id"].to_pylist(), 0
    with (folder / "shingles.bin").open("wb") as shingles_file, (folder / "ids.bin").open("wb") as ids_file:
        for start in range(0, table.num_rows, TEXTS_AT_ONCE):
            signs = sketches["sketch"].slice(start, TEXTS_AT_ONCE).to_pylist()
            for text, sign in zip(texts.slice(start, TEXTS_AT_ONCE).to_pylist(), signs, strict=True):
                normalised = minhash.normalise(text)
                shingles = minhash.shingles_of(normalised, ngram)
                id_bytes = ids[row].encode()
                digest = hashlib.blake2b(normalised.encode("utf-8", "surrogatepass"), digest_size=16).digest()
                facts[row]["shingles_start"], facts[row]["shingles"] = shingles_file.tell(), len(shingles)
                facts[row]["id_start"], facts[row]["id_bytes"] = ids_file.tell(), len(id_bytes)
                facts[row]["digest"] = np.frombuffer(digest, np.uint8)
                facts[row]["sketch"] = np.frombuffer(sign, np.uint8)
                shingles_file.write(shingles.tobytes())
                ids_file.write(id_bytes)
                row += 1
    facts.tofile(folder / "facts.bin")
    return facts


def _write_keys(folder: Path, digests: NDArray[np.uint8], band_lists: pa.ChunkedArray, bands: int, ranges: int) -> None:
    """Sort the shard's rows by the digest of their text, then by each band's key, and note where ranges begin."""
    keys_NB = pc.list_flatten(band_lists).to_numpy().reshape(len(digests), bands)
    first_keys = [(index << 64) // ranges for index in range(1, ranges)]
    starts = np.zeros((bands + 1, ranges + 1), np.int64)
    keyed = np.zeros(len(digests), KEYED)
    with (folder / "keys.bin").open("wb") as file:
        for band in range(bands + 1):
            keys = keys_NB[:, band - 1] if band else np.ascontiguousarray(digests[:, :8]).view("<u8")[:, 0]
            order = np.argsort(keys, kind="stable")
            keyed["key"], keyed["row"] = keys[order], order
            file.write(keyed.tobytes())
            inner = np.searchsorted(keyed["key"], np.array(first_keys, np.uint64))
            starts[band] = band * len(keyed) + np.concatenate([[0], inner, [len(keyed)]])
    np.save(folder / "starts.npy", starts)


def _find_groups(rows: Rows, groups: Groups, bands: int, min_jaccard: float) -> None:
    """Phase 2: join the rows that are duplicates, one range of one band after the other."""
    ranges = max(1, -(-rows.num_rows // ROWS_AT_ONCE))
    is_first = np.ones(rows.num_rows, np.bool_)  # not the copy of a row whose text is equal
    for band in range(bands + 1):
        for index in range(ranges):
            path = rows.scratch / f"edges-{band:03d}-{index:05d}.npy"
            if path.exists():
                edges: Edges = np.load(path).tolist()
                for left, right in edges:
                    groups.join(left, right)
            else:
                buckets = _buckets(rows, band, index, is_first)
                if band == 0:
                    edges = _join_equal(buckets, rows, groups)
                else:
                    edges = _join_near(buckets, rows, groups, min_jaccard)
                _save(path, np.array(edges, np.int64).reshape(-1, 2))
            if band == 0:
                is_first[[copy for _, copy in edges]] = False


def _buckets(rows: Rows, band: int, range_index: int, wanted: NDArray[np.bool_]) -> Iterator[list[int]]:
    """Yield the wanted rows that share a key in a range of a band, in the order of their keys."""
    keys_of, rows_of = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)]
    for shard in range(len(rows.starts) - 1):
        folder = rows.folder(shard)
        start, stop = np.load(folder / "starts.npy")[band, range_index : range_index + 2].tolist()
        size = KEYED.itemsize
        keyed = np.frombuffer(_read(folder / "keys.bin", start * size, (stop - start) * size), KEYED)
        numbers = keyed["row"].astype(np.int64) + rows.starts[shard]
        keep = wanted[numbers]
        keys_of.append(keyed["key"][keep])
        rows_of.append(numbers[keep])
    keys, numbers = np.concatenate(keys_of), np.concatenate(rows_of)
    order = np.argsort(keys, kind="stable")
    keys, numbers = keys[order], numbers[order]
    begins = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]])) if len(keys) else np.zeros(0, np.int64)
    ends = np.append(begins[1:], len(keys))[: len(begins)]
    for begin, end in zip(begins[ends - begins > 1], ends[ends - begins > 1], strict=True):
        yield numbers[begin:end].tolist()


def _join_equal(buckets: Iterator[list[int]], rows: Rows, groups: Groups) -> Edges:
    """Join rows whose normalised texts are equal to the one of them that stays."""
    edges: Edges = []
    for bucket in buckets:
        stays: dict[bytes, int] = {}
        for row in bucket:
            digest = rows.facts(row)[0]["digest"].tobytes()
            best = stays.setdefault(digest, row)
            if best != row:
                stays[digest] = groups.join(best, row)
        edges += [(root, row) for row in bucket if (root := groups.root(row)) != row]
    return edges


def _join_near(buckets: Iterator[list[int]], rows: Rows, groups: Groups, min_jaccard: float) -> Edges:
    """Join rows of a bucket that reach `min_jaccard` with the first row of a group that they reach it with."""
    edges: Edges = []
    for bucket in buckets:
        roots: set[int] = set()
        first_rows: list[int] = []
        sketches_NP = np.zeros((len(bucket), rows.facts_type["sketch"].shape[0]), np.uint8)
        for row in sorted(bucket, key=rows.preference):
            root = groups.root(row)
            if root in roots:
                continue
            sketch_P = rows.facts(row)[0]["sketch"]
            likely = minhash.may_reach(sketches_NP[: len(first_rows)], sketch_P, min_jaccard)
            for place in np.flatnonzero(likely):
                other = first_rows[place]
                if minhash.jaccard(rows.shingles(other), rows.shingles(row)) >= min_jaccard:
                    roots.discard(groups.root(other))
                    root = groups.join(other, row)
                    edges.append((other, row))
                    break
            else:
                sketches_NP[len(first_rows)] = sketch_P
                first_rows.append(row)
            roots.add(root)
    return edges


def _mark_shard(shard: Shard, index: int, rows: Rows, groups: Groups) -> pa.Table:
    """Phase 3: give each row that does not stay its reason."""
    table = shard.read()
    start = int(rows.starts[index])
    roots = groups.roots(start, start + table.num_rows)
    equal = np.zeros(table.num_rows, np.bool_)
    near = np.zeros(table.num_rows, np.bool_)
    details: list[str | None] = [None] * table.num_rows
    for place in np.flatnonzero(roots != np.arange(start, start + table.num_rows)).tolist():
        row, root = start + place, int(roots[place])
        equal[place] = bool((rows.facts(row)[0]["digest"] == rows.facts(root)[0]["digest"]).all())
        near[place] = not equal[place]
        similarity = minhash.jaccard(rows.shingles(row), rows.shingles(root))
        details[place] = f"kept {rows.id(root)}, jaccard {similarity:.2f}"
    rules = {"exact_duplicate": pa.array(equal), "near_duplicate": pa.array(near)}
    return mark(table, rules, {"exact_duplicate": details, "near_duplicate": details})


def _read(path: Path, start: int, size: int) -> bytes:
    """Read `size` bytes of a file from `start`, without mapping it into memory."""
    handle = os.open(path, os.O_RDONLY)
    try:
        return os.pread(handle, size, start)
    finally:
        os.close(handle)


def _save(path: Path, array: NDArray[Any]) -> None:
    """Write an array so that the file exists only whole."""
    unfinished = path.with_name("." + path.name)
    np.save(unfinished, array)
    unfinished.rename(path)
