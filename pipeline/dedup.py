"""Deduplicate rows: of those that say the same, keep one; and drop those that an exam contains.

Reads Sketch and the Passages or Examples behind it, writes the same Passages or Examples. Bands of MinHash propose
pairs, exact Jaccard similarity of the texts' shingles decides (minhash.py), and rows joined by decided pairs form a
group of which one stays: one that an earlier run kept, else of the earliest source, then the longest text, then the
smallest id. Rows that an exam contains (decontaminate.py) go first and take no part. Of the passages then left, those
that stand piece by piece in passages before them are dropped too (coverage.py); of ready-made pairs none is, as the
same answer to another question is another pair.

Tasks over files in `scratch`, in any process and any order, each of which outlives a killed run once it is done: a
shard is laid out (layout.py), a range of a band's keys is searched (bands.py), a shard's windows are noted and a range
of them is searched (coverage.py), a shard is marked. Between them, in one process: 9 bytes a row, for its group, the
row it is dropped for, and whether its text came before.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import starmap
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import Field

from pipeline.bands import edges_path, find_equal, find_near, groups_path, join
from pipeline.coverage import covered_rows, find_owners, note_windows, owners_path, windows_path
from pipeline.decontaminate import write_index
from pipeline.layout import LaidOut, Pair, laid_out_places, lay_out, save
from pipeline.letters import FOLDS, Fold
from pipeline.recipe import Config
from pipeline.records import DROP_FIELDS
from pipeline.shards import ContractError, Shard

ROWS_AT_ONCE = 1 << 21  # keys of a range: 16 bytes each, and as much again while they are sorted
MOST_ROWS = 1 << 32  # a row's number has 32 bits

T = TypeVar("T")
Run = Callable[[Callable[..., T], Iterable[tuple[Any, ...]]], Iterator[T]]


class DedupConfig(Config):
    """What counts as the same, and what must not be trained on."""

    ngram: int = Field(default=5, ge=1, description="characters of a shingle; filled from [sketch]")
    normalise: tuple[Fold, ...] = Field(default=FOLDS, description="filled from [sketch]")
    min_jaccard: float = Field(default=0.8, gt=0, le=1, description="similarity from which two rows are one")
    min_covered: float = Field(
        default=0.9, gt=0, le=1, description="share of a passage that stands in passages before it, to be dropped"
    )
    against: tuple[str, ...] = Field(default=(), description="recipes whose finished rows are kept before any of these")
    exams: tuple[str, ...] = Field(default=(), description="files of exam items; rows that show one are dropped")
    min_contained: float = Field(
        default=0.6, ge=0.5, le=1, description="share of an item's n-grams in a row, or of a row's in an item"
    )


def dedup_rows(
    inputs: Mapping[str, Sequence[Shard]],
    config: DedupConfig,
    scratch: Path,
    files: Mapping[str, Sequence[Path]],
    run: Run[None] = starmap,
) -> Iterator[pa.Table]:
    """Mark each row but one of every group of duplicates, and each that an exam contains.

    Args:
        inputs: "rows", shards in the order of their sources, and "sketch", the sketches of the same rows; "kept" and
            "kept_sketch", rows that earlier runs kept and the sketches that they were chosen from, shard by shard.
        files: `exams`, the resolved paths.
        run: calls a function once for each tuple of arguments, here or elsewhere, and yields as they finish.

    Yields:
        One table a shard of "rows": its rows in order plus `drop_reason`, `contaminated` (the detail names the item),
        `exact_duplicate` (equal letters) or `near_duplicate`, and `drop_detail` with the row kept and the Jaccard
        similarity to it, or `covered`, with the rows that it stands in. What is kept does not depend on how the rows of
        a source are spread over shards. A group is joined by pairs, so a row can be less similar to the row kept than
        `min_jaccard`; the detail then shows it.

    Raises:
        ContractError: a shard of sketches does not match its shard of rows, or there are more than MOST_ROWS rows.
    """
    earlier, own = _pairs(inputs, "kept"), _pairs(inputs, "")
    num_rows = [pair.rows.num_rows for pair in [*earlier, *own]]
    if sum(num_rows) > MOST_ROWS:
        raise ContractError(f"dedup: got {sum(num_rows)} rows, expected at most {MOST_ROWS} in one run")
    save(scratch / "starts.npy", np.concatenate([[0], np.cumsum(num_rows, dtype=np.int64)]))
    bands, bins = _sketch_shape([*earlier, *own])
    save(scratch / "shape.npy", np.array([bands, bins, max(1, -(-sum(num_rows) // ROWS_AT_ONCE))]))
    _lay_out_all([*earlier, *own], config, scratch, files.get("exams", ()), run)
    groups = _find_groups(scratch, config, sum(num_rows[: len(earlier)]), run)
    if not (scratch / "kept.npy").exists():
        save(scratch / "kept.npy", _choose(groups, LaidOut(scratch)))
    windows = _note_windows(scratch, config, run) if _are_passages(own) else 0
    marks = [scratch / f"marks-{len(earlier) + index:05d}.parquet" for index in range(len(own))]
    tasks = [
        (scratch, len(earlier) + index, windows, config, path) for index, path in enumerate(marks) if not path.exists()
    ]
    _finish(run(_mark_shard, tasks))
    for pair, path in zip(own, marks, strict=True):
        table, marked = pair.rows.read(), pq.read_table(path)
        for field in DROP_FIELDS:
            table = table.append_column(field, marked[field.name])
        yield table


def _pairs(inputs: Mapping[str, Sequence[Shard]], earlier: str) -> list[Pair]:
    rows = inputs.get(earlier or "rows", ())
    sketches = inputs.get(f"{earlier}_sketch" if earlier else "sketch", ())
    if len(rows) != len(sketches):
        raise ContractError(f"dedup: got {len(sketches)} shards of sketches for {len(rows)} of rows")
    return [Pair(shard, sketch, bool(earlier)) for shard, sketch in zip(rows, sketches, strict=True)]


def _finish(results: Iterable[None]) -> None:
    for _ in results:
        pass


def _sketch_shape(pairs: Sequence[Pair]) -> tuple[int, int]:
    """Return the number of bands and of bins, (0, 0) where there is no row."""
    for pair in pairs:
        if pair.sketch.num_rows:
            first = next(pq.ParquetFile(pair.sketch.path).iter_batches(1, columns=["bands", "sketch"]))
            return len(first["bands"][0].as_py()) // 8, len(first["sketch"][0].as_py())
    return 0, 0


def _lay_out_all(
    pairs: Sequence[Pair], config: DedupConfig, scratch: Path, exams: Sequence[Path], run: Run[None]
) -> None:
    index = scratch / "exams" if exams else None
    if index is not None and not (index / "settings.json").exists():
        settings = config.model_dump(include={"min_contained", "min_jaccard", "ngram"})
        write_index(exams, index, config.normalise, settings)
    places = laid_out_places([pair.rows for pair in pairs if not pair.earlier])
    laid = LaidOut(scratch)
    shape = (laid.bands, laid.bins, laid.ranges)
    tasks = [
        (laid.folder(number), pair, places, shape, index, config.normalise)
        for number, pair in enumerate(pairs)
        if not laid.folder(number).exists()
    ]
    _finish(run(lay_out, tasks))


def _find_groups(scratch: Path, config: DedupConfig, num_earlier: int, run: Run[None]) -> NDArray[np.uint32]:
    """Return each row's group, named by the smallest of its rows: the exact pass, then wave after wave of bands."""
    laid = LaidOut(scratch)
    groups = np.arange(laid.num_rows, dtype=np.uint32)
    found = [edges_path(scratch, 0, index) for index in range(laid.ranges)]
    _finish(run(find_equal, [(scratch, index) for index, path in enumerate(found) if not path.exists()]))
    unique = np.ones(len(groups), np.bool_)
    for path in found:
        edges = np.load(path)
        join(groups, edges)
        unique[edges[:, 1]] = False
    save(scratch / "unique.npy", unique)
    for wave, (first, last) in enumerate(_waves(laid.bands)):
        if not groups_path(scratch, wave).exists():
            save(groups_path(scratch, wave), groups)
        places = [(band, index) for band in range(first, last + 1) for index in range(laid.ranges)]
        settings = (wave, num_earlier, config.min_jaccard, config.ngram, config.normalise)
        tasks = [(scratch, *place, *settings) for place in places if not edges_path(scratch, *place).exists()]
        _finish(run(find_near, tasks))
        for place in places:
            join(groups, np.load(edges_path(scratch, *place)))
    return groups


def _waves(bands: int) -> list[tuple[int, int]]:
    """Cut bands 1 to B into waves, each twice as long as the one before: most pairs are known after the first few."""
    waves, first, length = [], 1, 1
    while first <= bands:
        waves.append((first, min(first + length - 1, bands)))
        first, length = first + length, 2 * length
    return waves


def _choose(groups: NDArray[np.uint32], laid: LaidOut) -> NDArray[np.uint32]:
    """Return, for each row, the row of its group that stays."""
    kept = np.arange(len(groups), dtype=np.uint32)
    in_group = groups != kept
    in_group[groups[in_group]] = True
    for start in range(0, len(groups), ROWS_AT_ONCE):  # the groups that are named by these rows
        members = np.flatnonzero(in_group & (groups >= start) & (groups < start + ROWS_AT_ONCE))
        group, (preference,) = groups[members], laid.facts(members, "preference")
        order = np.lexsort((preference, group))
        members, group, preference = members[order], group[order], preference[order]
        begins = np.flatnonzero(np.append(True, group[1:] != group[:-1])[: len(group)])
        lengths = np.diff(np.append(begins, len(group)))
        tied = np.flatnonzero(preference == np.repeat(preference[begins], lengths))
        rows = np.sort(members[tied])
        ids = dict(zip(rows.tolist(), laid.ids(rows), strict=True))
        best: dict[int, int] = {}
        for row, name in zip(members[tied].tolist(), group[tied].tolist(), strict=True):
            if name not in best or ids[row] < ids[best[name]]:
                best[name] = row
        kept[members] = np.repeat([best[name] for name in group[begins].tolist()], lengths)
    return kept


def _are_passages(pairs: Sequence[Pair]) -> bool:
    return bool(pairs) and "text" in pq.read_schema(pairs[0].rows.path).names


def _note_windows(scratch: Path, config: DedupConfig, run: Run[None]) -> int:
    """Find which rows share windows with rows before them, and return in how many ranges of hashes."""
    shards = range(len(LaidOut(scratch).starts) - 1)
    tasks = [(scratch, shard, config.normalise) for shard in shards if not windows_path(scratch, shard).exists()]
    _finish(run(note_windows, tasks))
    noted: int = sum(np.load(windows_path(scratch, shard), mmap_mode="r").shape[1] for shard in shards)
    ranges = max(1, -(-noted // ROWS_AT_ONCE))
    _finish(
        run(find_owners, [(scratch, part, ranges) for part in range(ranges) if not owners_path(scratch, part).exists()])
    )
    return ranges


def _mark_shard(scratch: Path, shard: int, windows: int, config: DedupConfig, path: Path) -> None:
    """Write the drop reason and detail of each row of a shard."""
    laid, ngram, folds = LaidOut(scratch), config.ngram, config.normalise
    start, end = laid.starts[shard : shard + 2].tolist()
    kept = np.load(scratch / "kept.npy", mmap_mode="r")[start:end].astype(np.int64)
    reasons: list[str | None] = [None] * (end - start)
    details: list[str | None] = [None] * (end - start)
    dropped = np.flatnonzero(kept != np.arange(start, end))
    stays, place = np.unique(kept[dropped], return_inverse=True)
    ids = laid.ids(stays)
    (kept_digests,), (digests,) = laid.facts(stays, "digest"), laid.facts(dropped + start, "digest")
    equal = (kept_digests[place] == digests).all(axis=1)
    near = dropped[~equal] + start
    compared, pairs = np.unique(np.column_stack([kept[near - start], near]), return_inverse=True)
    similar = np.ones(len(dropped))
    similar[~equal] = laid.comparison(compared, ngram, folds)(pairs.reshape(-1, 2))
    for row, stay, same, similarity in zip(dropped.tolist(), place.tolist(), equal, similar, strict=True):
        reasons[row] = "exact_duplicate" if same else "near_duplicate"
        details[row] = f"kept {ids[stay]}, jaccard {similarity:.2f}"
    covered = covered_rows(scratch, shard, windows, config.min_covered, folds) if windows else {}
    for row, detail in covered.items():
        reasons[row], details[row] = "covered", detail
    struck = pq.read_table(laid.folder(shard) / "struck.parquet")
    for row, detail in zip(struck["place"].to_pylist(), struck["detail"].to_pylist(), strict=True):
        reasons[row], details[row] = "contaminated", detail
    unfinished = path.with_name("." + path.name)
    pq.write_table(pa.table([reasons, details], schema=pa.schema(DROP_FIELDS)), unfinished)
    unfinished.rename(path)
