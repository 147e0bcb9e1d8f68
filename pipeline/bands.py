"""Find the duplicates in one range of one band's keys: a task that any process may do, whatever the others have done.

Bands are worked through in waves. Within a wave the tasks know nothing of each other; between two waves the pairs found
are joined into groups, and later tasks compare one row of a group in each bucket, so that a text copied often costs
little. Results depend on the rows alone: where an order matters it is that of preference, then of digest, and rows of
equal letters take part once.
"""

from pathlib import Path

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from pipeline.layout import LaidOut, save
from pipeline.letters import Fold
from pipeline.minhash import least_share

KEYS = types.Array(types.uint64, 1, "C", readonly=True)


def edges_path(scratch: Path, band: int, range_index: int) -> Path:
    """Name the file of the (E, 2) pairs of rows found in a range of a band; band 0 is the exact pass."""
    return scratch / f"edges-{band:03d}-{range_index:05d}.npy"


def groups_path(scratch: Path, wave: int) -> Path:
    """Name the file of the (N,) groups that are known before a wave: each row's smallest member."""
    return scratch / f"groups-{wave:03d}.npy"


def find_equal(scratch: Path, range_index: int) -> None:
    """Write the pairs of equal letters in a range of digests."""
    laid = LaidOut(scratch)
    save(edges_path(scratch, 0, range_index), equal_pairs(laid, *laid.keyed(0, range_index)))


def equal_pairs(laid: LaidOut, keys: NDArray[np.uint64], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Pair each of some rows with the preferred of those whose letters are equal: (E, 2). `keys` are of digests."""
    rows = np.sort(rows[_shared(keys, np.ones(len(keys), np.bool_))])
    digests, preference = laid.facts(rows, "digest", "preference")
    order = np.lexsort((rows, preference, digests[:, 1], digests[:, 0]))
    rows, digests = rows[order], digests[order]
    begins = np.append(True, (digests[1:] != digests[:-1]).any(axis=1))[: len(rows)]
    first = rows[np.maximum.accumulate(np.where(begins, np.arange(len(rows)), 0))] if len(rows) else rows
    edges: NDArray[np.int64] = np.column_stack([first, rows])[~begins]
    return edges


def find_near(
    scratch: Path,
    band: int,
    range_index: int,
    wave: int,
    num_earlier: int,
    min_jaccard: float,
    ngram: int,
    folds: tuple[Fold, ...],
) -> None:
    """Write the pairs that a range of a band's keys brings together and that reach `min_jaccard`."""
    laid = LaidOut(scratch)
    unique = np.load(scratch / "unique.npy", mmap_mode="r")
    groups = np.load(groups_path(scratch, wave), mmap_mode="r")
    found = laid.keyed(band, range_index)
    edges = near_pairs(laid, *found, unique, groups, num_earlier, min_jaccard, ngram, folds)
    save(edges_path(scratch, band, range_index), edges)


def near_pairs(
    laid: LaidOut,
    keys: NDArray[np.uint64],
    rows: NDArray[np.int64],
    unique: NDArray[np.bool_],
    groups: NDArray[np.uint32],
    num_earlier: int,
    min_jaccard: float,
    ngram: int,
    folds: tuple[Fold, ...],
) -> NDArray[np.int64]:
    """Pair those of some rows that share a band's key and reach `min_jaccard`: (E, 2).

    In a bucket, each row is compared with those preferred to it, in turn, until it reaches one. Once it has, no later
    row is compared with it. Rows of earlier runs, the first `num_earlier`, are not compared with each other.

    Args:
        unique: (N,) of all rows, whether no row before has the same letters; only such take part.
        groups: (N,) of all rows, the groups known so far.
    """
    shared = _shared(keys, unique[rows])
    keys, rows = keys[shared], rows[shared]
    group = groups[rows]
    alive = _open(keys, group, rows < num_earlier)
    keys, rows, group = keys[alive], rows[alive], group[alive]
    known, place = np.unique(rows, return_inverse=True)
    digests, preference, sketches_NP = map(np.ascontiguousarray, laid.facts(known, "digest", "preference", "sketch"))
    order = np.lexsort((digests[place, 0], preference[place], keys))
    order = order[_first_of_group(keys[order], group[order])]
    keys, rows, place = keys[order], rows[order], place[order]
    bins = max(1, laid.bins)
    least = int(np.ceil(least_share(min_jaccard, bins) * bins))
    edges, joined = [np.zeros((0, 2), np.int64)], np.zeros(len(rows), np.bool_)
    asked = np.zeros(len(rows), np.int64)  # a row was compared with all before this place
    compare = laid.comparison(known, ngram, folds)
    at_once = 1  # twice as many each time, as a row that has reached none so far may well reach none at all
    while len(pairs := _propose(keys, place, sketches_NP, rows < num_earlier, least, at_once, joined, asked)):
        reached = compare(place[pairs]) >= min_jaccard
        edges.append(rows[pairs[reached]])
        joined[pairs[reached, 1]] = True
        at_once *= 2
    return np.concatenate(edges)


def join(groups: NDArray[np.uint32], edges: NDArray[np.int64]) -> None:
    """Join the groups of E pairs in place: union-find whose root is a group's smallest row; flat afterwards."""
    _join(groups, np.ascontiguousarray(edges, np.int64))


def _shared(keys: NDArray[np.uint64], taking_part: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the places of the keys that occur more than once among those that take part, in the order of the keys."""
    places = _perhaps_shared(keys, taking_part)
    order: NDArray[np.int64] = places[np.argsort(keys[places])]
    same = np.diff(keys[order]) == 0
    return order[np.append(same, False) | np.append(False, same)] if len(order) else order


def _open(keys: NDArray[np.uint64], groups: NDArray[np.uint32], earlier: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Tell which sorted keys are those of a bucket in which something is left to compare."""
    if not len(keys):
        return np.zeros(0, np.bool_)
    begins = np.flatnonzero(np.append(True, keys[1:] != keys[:-1]))
    several = np.minimum.reduceat(groups, begins) != np.maximum.reduceat(groups, begins)
    several &= ~np.logical_and.reduceat(earlier, begins)
    open_bucket: NDArray[np.bool_] = np.repeat(several, np.diff(np.append(begins, len(keys))))
    return open_bucket


def _first_of_group(keys: NDArray[np.uint64], groups: NDArray[np.uint32]) -> NDArray[np.int64]:
    """Return, in order, the places of the first row of each group in each bucket."""
    order = np.lexsort((np.arange(len(keys)), groups, keys))
    keys, groups = keys[order], groups[order]
    anew = np.append(True, (keys[1:] != keys[:-1]) | (groups[1:] != groups[:-1]))[: len(keys)]
    return np.sort(order[anew])


@njit(types.int64[::1](KEYS, types.Array(types.boolean, 1, "C", readonly=True)), nogil=True, cache=True)
def _perhaps_shared(keys, taking_part):  # type: ignore[no-untyped-def]
    """Return the places of keys that take part and whose last bits another's are too: all shared ones, and few more."""
    slots = 64
    while slots < 8 * len(keys):
        slots *= 2
    last_slot, met = np.uint64(slots - 1), np.zeros(slots, np.uint8)
    for place in range(len(keys)):
        if taking_part[place]:
            met[keys[place] & last_slot] = min(2, met[keys[place] & last_slot] + 1)
    places, found = np.empty(len(keys), np.int64), 0
    for place in range(len(keys)):
        if taking_part[place] and met[keys[place] & last_slot] == 2:
            places[found] = place
            found += 1
    return places[:found].copy()


@njit(
    types.int64[:, ::1](
        KEYS, types.int64[::1], types.uint8[:, ::1],
        types.boolean[::1], types.int64, types.int64, types.boolean[::1], types.int64[::1],
    ),
    nogil=True,
    cache=True,
)  # fmt: skip
def _propose(keys, place, sketches_NP, earlier, least, at_once, joined, asked):  # type: ignore[no-untyped-def]
    """For each row not joined find the next preferred rows of its bucket that it may be similar to: (M, 2) places."""
    pairs, num_pairs, begin = np.empty((64, 2), np.int64), 0, 0
    for row in range(len(keys)):
        if row and keys[row] != keys[row - 1]:
            begin = row
        if joined[row]:
            continue
        left, other = at_once, max(begin, asked[row])
        while other < row and left:
            if not joined[other] and not (earlier[other] and earlier[row]):
                equal = 0
                for bin in range(sketches_NP.shape[1]):
                    equal += sketches_NP[place[row], bin] == sketches_NP[place[other], bin]
                if equal >= least:
                    if num_pairs == len(pairs):
                        pairs = np.concatenate((pairs, np.empty_like(pairs)))
                    pairs[num_pairs, 0], pairs[num_pairs, 1] = other, row
                    num_pairs += 1
                    left -= 1
            other += 1
        asked[row] = other
    return pairs[:num_pairs].copy()


@njit(types.void(types.uint32[::1], types.int64[:, ::1]), nogil=True, cache=True)
def _join(groups, edges):  # type: ignore[no-untyped-def]
    for edge in range(len(edges)):
        left, right = edges[edge, 0], edges[edge, 1]
        while groups[left] != left:
            groups[left] = groups[groups[left]]
            left = np.int64(groups[left])
        while groups[right] != right:
            groups[right] = groups[groups[right]]
            right = np.int64(groups[right])
        if left < right:
            groups[right] = left
        else:
            groups[left] = right
    for row in range(len(groups)):  # a root is smaller than its members: one pass flattens
        groups[row] = groups[groups[row]]
