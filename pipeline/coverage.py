"""Find passages that say nothing new although none is their near-duplicate: a book again, cut at other places.

Two editions of a text are cut into passages at different places, so that passages overlap by half and no two are
similar. What they share are long runs of letters. Of each passage's windows of WINDOW letters, those whose hash is
divisible by SAMPLE are noted, the same ones in every text (Manber, Finding similar files, 1994). A noted window belongs
to the first row that has it, in the order of sources, documents and passages. A passage whose windows mostly belong to
rows before it is compared with those of the one document that has most of them, exactly, by all its windows. Whole
windows and one document, because what is said of one drug is often said of another in the same words, put together
from here and there: that is no second edition, and it stays.

Tasks over files in dedup's scratch, as those of the bands are:

    windows-00000.npy      of one shard: (2, W), the noted windows' hashes in order and the row of each
    owners-00000.npy       of a range of hashes: OWNED, in the order of rows

Shapes: n texts, W noted windows, M pairs of rows.
"""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from pipeline.layout import LaidOut, save
from pipeline.letters import BYTES, OFFSETS, ONE, TABLE, Fold, letters_of, read_letters
from pipeline.minhash import shingle

WINDOW = 24  # letters: two clauses of Chinese, four words of English
SAMPLE = np.uint64(32)  # a passage of 500 letters has about 15 windows noted
LIKELY = 0.5  # of `min_covered`: the share of a passage's windows in rows before it, from which it is compared exactly
MOST_OWNERS = (
    4  # rows that one passage is compared with, those of most windows first: a passage is cut over two or three
)

OWNED = np.dtype([("row", "<i8"), ("owner", "<i8"), ("windows", "<i8")])


def windows_path(scratch: Path, shard: int) -> Path:
    """Name the file of a shard's windows."""
    return scratch / f"windows-{shard:05d}.npy"


def owners_path(scratch: Path, range_index: int) -> Path:
    """Name the file of what the rows before it have of each row's windows, in a range of hashes."""
    return scratch / f"owners-{range_index:05d}.npy"


def note_windows(scratch: Path, shard: int, folds: tuple[Fold, ...]) -> None:
    """Write the windows of those rows of a shard that are no duplicate and that no exam has struck."""
    laid = LaidOut(scratch)
    start, end = laid.starts[shard : shard + 2].tolist()
    rows = np.arange(start, end)
    rows = np.setdiff1d(rows[np.load(scratch / "kept.npy", mmap_mode="r")[start:end] == rows], laid.struck(shard))
    data, offsets = laid.texts(rows)
    letters = letters_of(folds)
    hashes, texts = _windows(data, offsets, letters.table, letters.spill)
    noted = np.stack([hashes, rows[texts].astype(np.uint64)])
    noted = noted[:, np.lexsort(noted[::-1])]
    again = (noted[:, 1:] == noted[:, :-1]).all(axis=0)
    save(windows_path(scratch, shard), np.ascontiguousarray(noted[:, np.append(True, ~again)[: noted.shape[1]]]))


def find_owners(scratch: Path, range_index: int, ranges: int) -> None:
    """Write which rows before it have how many of each row's windows, in one range of hashes."""
    first, last = ((index << 64) // ranges for index in (range_index, range_index + 1))
    found = [np.zeros((2, 0), np.uint64)]
    for shard in range(len(LaidOut(scratch).starts) - 1):
        noted = np.load(windows_path(scratch, shard), mmap_mode="r")
        begin, end = np.searchsorted(noted[0], np.array([first, min(last, (1 << 64) - 1)], np.uint64))
        found.append(noted[:, begin : noted.shape[1] if last >> 64 else end])
    hashes, rows = np.concatenate(found, axis=1)
    order = np.lexsort((rows, hashes))
    hashes, row = hashes[order], rows[order].astype(np.int64)
    anew = np.append(True, hashes[1:] != hashes[:-1])[: len(row)]
    owner = row[np.maximum.accumulate(np.where(anew, np.arange(len(row)), 0))]
    pairs_M2, windows_M = np.unique(np.column_stack([row, owner])[~anew], axis=0, return_counts=True)
    owned = np.zeros(len(pairs_M2), OWNED)
    owned["row"], owned["owner"], owned["windows"] = pairs_M2[:, 0], pairs_M2[:, 1], windows_M
    save(owners_path(scratch, range_index), owned)


def covered_rows(scratch: Path, shard: int, ranges: int, min_covered: float, folds: tuple[Fold, ...]) -> dict[int, str]:
    """Return the rows of a shard of which a share of at least `min_covered` stands in rows before them.

    Returns:
        Place in the shard -> the share of its distinct windows that is covered, and the rows that cover it.
    """
    laid = LaidOut(scratch)
    start, end = laid.starts[shard : shard + 2].tolist()
    counts = np.bincount(np.load(windows_path(scratch, shard))[1].astype(np.int64) - start, minlength=end - start)
    found = [np.zeros(0, OWNED)]
    for range_index in range(ranges):
        owned = np.load(owners_path(scratch, range_index), mmap_mode="r")
        begin, stop = np.searchsorted(owned["row"], [start, end])
        found.append(owned[begin:stop])
    owned = np.sort(np.concatenate(found), order=["row", "owner"])
    begins = np.flatnonzero(np.append(True, owned["row"][1:] != owned["row"][:-1])[: len(owned)])
    covered = {}
    for begin, stop in itertools.pairwise([*begins.tolist(), len(owned)]):
        row, own = int(owned["row"][begin]), owned[begin:stop]
        if own["windows"].sum() < LIKELY * min_covered * counts[row - start]:
            continue
        owners = _of_one_document(laid, own)
        share = _share_in(laid, row, owners, folds)
        if share >= min_covered:
            covered[row - start] = f"{share:.2f} of it in {', '.join(laid.ids(owners))}"
    return covered


def _of_one_document(laid: LaidOut, own: NDArray[Any]) -> NDArray[np.int64]:
    """Return, of the rows that have a row's windows, at most MOST_OWNERS, those of the document that has most."""
    owners, place = np.unique(own["owner"], return_inverse=True)
    windows = np.bincount(place, own["windows"])
    documents = [id.rsplit("#", 1)[0] for id in laid.ids(owners)]
    of_document: dict[str, float] = {}
    for document, number in zip(documents, windows.tolist(), strict=True):
        of_document[document] = of_document.get(document, 0) + number
    most = max(of_document, key=lambda document: of_document[document])
    same = np.array([document == most for document in documents])
    best = np.argsort(-windows[same], kind="stable")[:MOST_OWNERS]
    return np.sort(owners[same][best])


def _share_in(laid: LaidOut, row: int, owners: NDArray[np.int64], folds: tuple[Fold, ...]) -> float:
    """Return the share of a row's distinct windows that any of some rows before it has."""
    letters = letters_of(folds)
    return float(_share(*laid.texts(np.append(owners, row)), letters.table, letters.spill))


@njit(types.float64(BYTES, OFFSETS, TABLE, TABLE), nogil=True, cache=True)
def _share(data, offsets, table, spill):  # type: ignore[no-untyped-def]
    """Return the share of the last text's distinct windows that any text before it has, by one hash table of both."""
    points, hashes = np.empty(len(data) + 1, np.uint32), np.empty(len(data) + 1, np.uint64)
    slots = 4
    while slots < 2 * (len(data) + len(offsets)):  # a text has no more windows than bytes, but one at least
        slots *= 2
    last_slot, keys = np.uint64(slots - 1), np.empty(slots, np.uint64)
    before, own = np.zeros(slots, np.bool_), np.zeros(slots, np.bool_)  # whose the window in a slot is
    distinct = covered = 0
    for text in range(len(offsets) - 1):
        count = read_letters(data, offsets[text], offsets[text + 1], table, spill, points)
        for place in range(shingle(points, count, WINDOW, hashes)):
            slot = hashes[place] & last_slot
            while (before[slot] or own[slot]) and keys[slot] != hashes[place]:
                slot = (slot + ONE) & last_slot
            keys[slot] = hashes[place]
            if text < len(offsets) - 2:
                before[slot] = True
            elif not own[slot]:
                own[slot] = True
                distinct += 1
                covered += before[slot]
    return covered / distinct


@njit(types.Tuple((types.uint64[::1], types.int64[::1]))(BYTES, OFFSETS, TABLE, TABLE), nogil=True, cache=True)  # type: ignore[no-untyped-call]
def _windows(data, offsets, table, spill):  # type: ignore[no-untyped-def]
    """Return the noted windows of n texts and the text of each; texts shorter than a window have none."""
    longest = 0
    for text in range(len(offsets) - 1):
        longest = max(longest, offsets[text + 1] - offsets[text])
    points, hashes = np.empty(longest + 1, np.uint32), np.empty(longest + 1, np.uint64)
    noted, texts = np.empty(1024, np.uint64), np.empty(1024, np.int64)
    size = 0
    for text in range(len(offsets) - 1):
        count = read_letters(data, offsets[text], offsets[text + 1], table, spill, points)
        if count < WINDOW:
            continue
        for place in range(shingle(points, count, WINDOW, hashes)):
            if hashes[place] % SAMPLE == 0:
                if size == len(noted):
                    noted = np.concatenate((noted, np.empty_like(noted)))
                    texts = np.concatenate((texts, np.empty_like(texts)))
                noted[size], texts[size] = hashes[place], text
                size += 1
    return noted[:size].copy(), texts[:size].copy()
