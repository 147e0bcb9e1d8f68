"""Mark boilerplate: lines that a source puts into many of its documents, and that say nothing of any one of them.

Reads Document, writes Document, one source at a time; the text stays, `boilerplate` gets the spans, and segment leaves
them out. Two lines are one if they have the same letters and the same places of digits, so that "Page 3 of 10" and a
counter of visits are found too. A line counts once a document; one of at least max(min_documents, min_share of them)
is frequent. Frequency alone is no proof: labels of one drug share doses, chapters share exercises. So a frequent line
is boilerplate only

    at an edge    in a run of frequent lines from the document's first or last line, if what the two runs take away is
                  no more than `max_edges` of it: documents that are alike as a whole are dedup's to judge
    by its words  where it speaks of rights, readers or the site (`signs`), wherever it stands
    everywhere    in `everywhere` of all documents or more, wherever it stands

and never if it is a heading, a row of a table, a line that introduces what follows (it ends in a colon), a field with a
short label, shorter than `min_letters`, or one that warns or doses (`kept`): contraindications repeat word for word.

Pieces of work that outlive a killed run in `scratch`:

    lines-00000.npy      (L, 2) of a shard: sorted hashes of its distinct lines, and documents they are in
    frequent-00000.npy   (F, 2) of a range of hashes: those of the source that are frequent
    spans-00000.npy      (M, 3) of a shard: row, start and end in characters

The frequent lines of all ranges are held in memory: at most 1 / min_share times the lines of a mean document.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit
from numpy.typing import NDArray
from pydantic import Field

from pipeline.characters import BAR, NEWLINE, SPACE, buffers, classes, point_at
from pipeline.characters import DIGIT as A_DIGIT
from pipeline.characters import LETTER as A_LETTER
from pipeline.patterns import Pattern, found_in
from pipeline.recipe import Config
from pipeline.records import SPAN, mark
from pipeline.shards import Shard

ROWS_AT_ONCE = 64  # documents whose lines are held
LINES_AT_ONCE = 1 << 22  # lines of a range of hashes: 16 bytes each, and as much again while they are sorted
COLON, WIDE_COLON, HAN = 0x3A, 0xFF1A, 0x2E80
LABEL_CHARS = 9  # a field's label, colon included

Run = Callable[[Callable[..., Any], Iterable[tuple[Any, ...]]], Iterator[Any]]


class BoilerplateConfig(Config):
    """Which repeated lines say nothing. Patterns are RE2's; case is ignored."""

    min_documents: int = Field(default=5, ge=2, description="of a source, with the line in them")
    min_share: float = Field(default=0.02, gt=0, description="of a source's documents; over 1, nothing is boilerplate")
    everywhere: float = Field(default=0.5, gt=0, description="share of documents from which the place is not asked")
    max_edges: float = Field(default=0.5, ge=0, le=1, description="share of a document's characters that edges may be")
    min_letters: int = Field(default=24, ge=1, description="of a line; a Han character counts as three")
    signs: tuple[Pattern, ...] = Field(
        default=(
            r"版权|转载|免责|未经.{0,6}(?:授权|许可)|请仔细阅读.{0,6}说明书|本(?:站|网|平台|公众号)|(?:举报|客服|投稿)(?:电话|热线|邮箱)|备案号|ICP备",
            r"copyright|©|rights reserved|terms of (?:use|service)|privacy policy|cookies?\b|subscribe|newsletter|"
            r"(?:reviewed|endorsed|funded) by|(?:this|our) (?:web ?site|page)|disclaimer|for informational purposes",
        ),
        description="words of lines about the text, not the subject",
    )
    kept: tuple[Pattern, ...] = Field(
        default=(
            r"禁忌|禁用|忌用|慎用|过敏|孕妇|妊娠|哺乳|儿童|老年|不良反应|副作用|中毒|急救|就医|剂量|用量|一日|每日|每次|每服|水煎|为末",
            r"contraindicat|warning|caution|allerg|pregnan|breast-?feed|overdos|adverse|side effects?|emergency|do not|"
            r"\b\d+(?:\.\d+)? ?(?:mg|ml|mcg|µg|iu)\b",
        ),
        description="words that a line must stay for, however often it occurs",
    )


def mark_boilerplate(
    inputs: Mapping[str, Sequence[Shard]], config: BoilerplateConfig, scratch: Path, run: Run
) -> Iterator[pa.Table]:
    """Fill `boilerplate` of a source's documents; none is dropped.

    Args:
        inputs: "rows", the shards of one source.

    Yields:
        One table a shard: its rows in order plus drop columns, all null. What is marked depends on the documents alone,
        not on how they are spread over shards.
    """
    shards = inputs["rows"]
    documents = sum(shard.num_rows for shard in shards)
    least = max(config.min_documents, math.ceil(config.min_share * documents))
    if least <= documents:
        for _ in run(_count_lines, [(shard, index, scratch) for index, shard in enumerate(shards)]):
            pass
        ranges = 1 + sum(_size(scratch, index) for index in range(len(shards))) // LINES_AT_ONCE
        for _ in run(_find_frequent, [(number, ranges, len(shards), least, scratch) for number in range(ranges)]):
            pass
        tasks = [(shard, index, ranges, documents, config, scratch) for index, shard in enumerate(shards)]
        for _ in run(_find_spans, tasks):
            pass
    for index, shard in enumerate(shards):
        rows = shard.read()
        path = scratch / f"spans-{index:05d}.npy"
        spans_M3 = np.load(path) if path.exists() else np.zeros((0, 3), np.int64)
        spans_M3 = _with_known(spans_M3, rows["boilerplate"].combine_chunks())
        place = rows.schema.get_field_index("boilerplate")
        yield mark(rows.set_column(place, rows.schema.field(place), _span_column(spans_M3, rows.num_rows)), {})


def _with_known(spans_M3: NDArray[np.int64], known: pa.ListArray) -> NDArray[np.int64]:
    """Add the spans that a reader marked, such as the licence of a book; spans that touch become one."""
    flat = pc.list_flatten(known)
    if not len(flat):
        return spans_M3
    columns = [pc.list_parent_indices(known), pc.struct_field(flat, "start"), pc.struct_field(flat, "end")]
    together = np.concatenate([spans_M3, np.stack([np.asarray(column, np.int64) for column in columns], axis=1)])
    merged: list[list[int]] = []
    for row, start, end in sorted(together.tolist()):
        if merged and merged[-1][0] == row and start <= merged[-1][2]:
            merged[-1][2] = max(end, merged[-1][2])
        else:
            merged.append([row, start, end])
    return np.array(merged, np.int64)


def _span_column(spans_M3: NDArray[np.int64], num_rows: int) -> pa.Array:
    offsets = pa.array(np.searchsorted(spans_M3[:, 0], np.arange(num_rows + 1)), pa.int32())
    ends = [pa.array(np.ascontiguousarray(spans_M3[:, column])) for column in (1, 2)]
    return pa.ListArray.from_arrays(offsets, pa.StructArray.from_arrays(ends, fields=list(SPAN)))


def _size(scratch: Path, index: int) -> int:
    return len(np.load(scratch / f"lines-{index:05d}.npy", mmap_mode="r"))


def _count_lines(shard: Shard, index: int, scratch: Path) -> None:
    """Count for each distinct line of a shard the documents that it is in."""
    path = scratch / f"lines-{index:05d}.npy"
    if path.exists():
        return
    texts = shard.read(["text"])["text"].combine_chunks()
    own = [np.zeros(0, np.uint64)]
    for start in range(0, len(texts), ROWS_AT_ONCE):
        lines = read_lines(texts.slice(start, ROWS_AT_ONCE))
        pairs = np.unique(np.stack([lines["hash"], lines["row"].astype(np.uint64)], axis=1), axis=0)
        own.append(pairs[:, 0])
    hashes, documents = np.unique(np.concatenate(own), return_counts=True)
    _save(path, np.stack([hashes, documents.astype(np.uint64)], axis=1))


def _find_frequent(number: int, ranges: int, shards: int, least: int, scratch: Path) -> None:
    """Add up one range of hashes over all shards, and keep the lines of at least so many documents."""
    path = scratch / f"frequent-{number:05d}.npy"
    if path.exists():
        return
    bounds = [np.uint64(place * 2**64 // ranges) for place in (number, number + 1) if place < ranges]
    parts = []
    for index in range(shards):
        counts_L2 = np.load(scratch / f"lines-{index:05d}.npy", mmap_mode="r")
        cuts = [int(np.searchsorted(counts_L2[:, 0], bound)) for bound in bounds]
        parts.append(np.array(counts_L2[cuts[0] : cuts[1] if len(cuts) > 1 else None]))
    together = np.concatenate(parts)
    hashes, places = np.unique(together[:, 0], return_inverse=True)
    documents = np.bincount(places, weights=together[:, 1], minlength=len(hashes)).astype(np.uint64)
    _save(path, np.stack([hashes, documents], axis=1)[documents >= least])


def _find_spans(
    shard: Shard, index: int, ranges: int, documents: int, config: BoilerplateConfig, scratch: Path
) -> None:
    """Find the boilerplate of one shard's documents."""
    path = scratch / f"spans-{index:05d}.npy"
    if path.exists():
        return
    frequent_F2 = np.concatenate([np.load(scratch / f"frequent-{number:05d}.npy") for number in range(ranges)])
    rows = shard.read(["text", "sections"])
    everywhere = math.ceil(config.everywhere * documents)
    found = [np.zeros((0, 3), np.int64)]
    for start in range(0, rows.num_rows, ROWS_AT_ONCE):
        spans_M3 = boilerplate_spans(rows.slice(start, ROWS_AT_ONCE), frequent_F2, everywhere, config)
        found.append(spans_M3 + np.array([start, 0, 0]))
    _save(path, np.concatenate(found))


def boilerplate_spans(
    rows: pa.Table, frequent_F2: NDArray[np.uint64], everywhere: int, config: BoilerplateConfig
) -> NDArray[np.int64]:
    """Find the boilerplate of N documents: (M, 3) row, start and end in characters, in order; neighbours are one span.

    Args:
        frequent_F2: sorted hashes of the source's frequent lines, and documents that have them.
        everywhere: documents from which a line is boilerplate wherever it stands.
    """
    texts = rows["text"].combine_chunks()
    lines = read_lines(texts)
    if not len(lines) or not len(frequent_F2):
        return np.zeros((0, 3), np.int64)
    places = np.minimum(np.searchsorted(frequent_F2[:, 0], lines["hash"]), len(frequent_F2) - 1)
    frequent = frequent_F2[places, 0] == lines["hash"]
    heading = np.isin(_keys(lines["row"], lines["start"]), _heading_keys(rows["sections"].combine_chunks()))
    frequent &= ~heading & ~lines["table"]
    chosen = np.flatnonzero(frequent)
    words = _line_texts(texts, lines[chosen])
    frequent[chosen] &= ~np.array(found_in(config.kept, words), np.bool_)
    signs = np.zeros(len(lines), np.bool_)
    signs[chosen] = found_in(config.signs, words)
    signs &= frequent & (lines["letters"] >= config.min_letters)
    solid = signs | (frequent & (lines["letters"] >= config.min_letters) & ~lines["introduces"] & ~lines["field"])
    anywhere = signs | (solid & (frequent_F2[places, 1] >= everywhere))
    marked = np.zeros(len(lines), np.bool_)
    _mark_edges(lines["row"], lines["chars"], frequent, solid, heading, config.max_edges, marked)
    return _merged(lines, marked | anywhere)


LINE = np.dtype(
    [
        ("row", np.int32),
        ("start", np.int32),
        ("end", np.int32),
        ("byte", np.int64),
        ("bytes", np.int32),
        ("chars", np.int32),
        ("hash", np.uint64),
        ("letters", np.int32),
        ("table", np.bool_),
        ("introduces", np.bool_),
        ("field", np.bool_),
    ]
)


def read_lines(texts: pa.Array) -> NDArray[Any]:
    """Return one LINE for each line of N texts that is not empty, in order."""
    data, offsets = buffers(texts)
    room = int(np.count_nonzero(data[offsets[0] : offsets[-1]] == NEWLINE)) + len(texts)
    lines = np.zeros(room, LINE)
    count = _read_lines(data, offsets, classes(), lines)
    found: NDArray[Any] = lines[:count]
    return found


@njit(nogil=True, cache=True)
def _read_lines(data, offsets, classes, lines):  # type: ignore[no-untyped-def]
    count = 0
    for row in range(len(offsets) - 1):
        at, end = offsets[row], offsets[row + 1]
        place = start = 0
        first, chars, hashed, letters, digits = at, 0, np.uint64(0), 0, False
        table, label, last = False, 0, np.int64(0)
        while at <= end:
            here = at
            if at < end:
                point, at = point_at(data, at)
            else:
                point, at = np.int64(NEWLINE), end + 1
            if point == NEWLINE:
                if chars:
                    line = lines[count]
                    line.row, line.start, line.end, line.byte, line.bytes = row, start, place, first, here - first
                    line.chars, line.hash, line.letters, line.table = chars, hashed, letters, table
                    line.introduces = last in (COLON, WIDE_COLON)
                    line.field = 0 < label < chars
                    count += 1
                start, first, chars, hashed, letters, digits = place + 1, at, 0, np.uint64(0), 0, False
                table, label, last = False, 0, np.int64(0)
            elif not classes[point] & SPACE:
                chars += 1
                last = point
                table |= point == BAR
                if (point in (COLON, WIDE_COLON)) and not label and chars <= LABEL_CHARS:
                    label = chars
                kind = classes[point]
                if kind & A_DIGIT:
                    if not digits:
                        hashed = (hashed ^ np.uint64(0x30)) * np.uint64(0x9E3779B97F4A7C15)
                    digits = True
                elif kind & A_LETTER:
                    digits = False
                    if 0x41 <= point <= 0x5A:
                        point += 0x20
                    letters += 3 if point >= HAN else 1
                    hashed = (hashed ^ np.uint64(point)) * np.uint64(0x9E3779B97F4A7C15)
                    hashed ^= hashed >> np.uint64(29)
            place += 1
    return count


@njit(nogil=True, cache=True)
def _mark_edges(rows, chars, frequent, solid, heading, max_edges, marked):  # type: ignore[no-untyped-def]
    """Mark runs of frequent lines from either edge of each document, up to the last solid line of each."""
    first = 0
    while first < len(rows):
        after = first
        total = 0
        while after < len(rows) and rows[after] == rows[first]:
            total += chars[after]
            after += 1
        head = first
        for place in range(first, after):
            if not frequent[place] and not heading[place]:
                break
            if solid[place]:
                head = place + 1
        tail = after
        for step in range(after - head):
            place = after - 1 - step
            if not frequent[place] and not heading[place]:
                break
            if solid[place]:
                tail = place
        taken = 0
        for place in range(first, after):
            if (place < head or place >= tail) and frequent[place]:
                taken += chars[place]
        if taken <= max_edges * total:
            for place in range(first, after):
                if (place < head or place >= tail) and frequent[place]:
                    marked[place] = True
        first = after


def _keys(rows: NDArray[Any], starts: NDArray[Any]) -> NDArray[np.int64]:
    keys: NDArray[np.int64] = rows.astype(np.int64) << 40 | starts
    return keys


def _heading_keys(sections: pa.Array) -> NDArray[np.int64]:
    flat = pc.list_flatten(sections)
    rows, starts = (
        np.asarray(column).astype(np.int64)
        for column in (pc.list_parent_indices(sections), pc.struct_field(flat, "start"))
    )
    headed = np.asarray(pc.not_equal(pc.struct_field(flat, "heading"), ""))
    return _keys(rows[headed], starts[headed])


def _line_texts(texts: pa.Array, lines: NDArray[Any]) -> list[str]:
    data, _ = buffers(texts)
    return [data[line["byte"] : line["byte"] + line["bytes"]].tobytes().decode() for line in lines]


def _merged(lines: NDArray[Any], marked: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the spans of marked lines; those with nothing but empty lines between are one."""
    places = np.flatnonzero(marked)
    if not len(places):
        return np.zeros((0, 3), np.int64)
    row_M = lines["row"][places]
    opens = np.flatnonzero((np.diff(places, prepend=-2) > 1) | (np.diff(row_M, prepend=-1) > 0))
    closes = np.append(opens[1:], len(places)) - 1
    ends = lines["end"][places[closes]]
    return np.stack([row_M[opens], lines["start"][places[opens]], ends], axis=1).astype(np.int64)


def _save(path: Path, array: NDArray[Any]) -> None:
    fresh = path.with_suffix(".tmp")
    with fresh.open("wb") as file:
        np.save(file, array)
    fresh.replace(path)
