"""The arithmetic of dedup: shingles, signatures, band keys, sketches, exact Jaccard. No IO and no Python string.

Shingles are character n-grams of a text's letters (letters.py), because Chinese has no spaces. A signature is that of
Dahlgaard, Knudsen and Thorup (Fast Similarity Sketching, FOCS 2017): round after round, each shingle falls into one of
P bins, until no bin is empty; a bin keeps the smallest of the first round that reached it. Two texts agree in a bin
with a probability equal to their Jaccard similarity, as under MinHash (Broder, 1997), for one hash a shingle where
texts are long, and without the bias of bins left empty where they are short. Rows of a signature are joined to bands as
in Leskovec, Rajaraman and Ullman, Mining of Massive Datasets, section 3.4. Nothing depends on the machine or on the
order of texts.

Shapes: N texts, S shingles of one text, P bins, B bands of R rows each (B x R = P), M pairs.
"""

import math

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit, types
from numpy.typing import NDArray

from pipeline.letters import BYTES, FOLDS, OFFSETS, POINTS, TABLE, Fold, buffers_of, letters_of, read_letters

# Odd constants of the 64-bit MurmurHash3 finalizer (Appleby), a bijection that spreads every bit.
MIX_1, MIX_2 = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)
GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio: steps that never come near each other (Weyl)
ONE, HALF, SHIFT = np.uint64(1), np.uint64(32), np.uint64(33)
LOW = np.uint64(0xFFFFFFFF)
NOTHING = np.uint64(0xFFFFFFFFFFFFFFFF)
HASHES = types.uint64[::1]


def texts_of(rows: pa.Table) -> pa.ChunkedArray:
    """Return the (N,) texts that dedup compares: a Passage's text, or an Example's contents joined by line feeds."""
    if "text" in rows.column_names:
        return rows["text"]
    messages = rows["messages"].combine_chunks()
    lengths = pc.list_value_length(messages).to_numpy(zero_copy_only=False)
    contents = pc.struct_field(pc.list_flatten(messages), "content")
    if (lengths == 1).all():
        return pa.chunked_array([contents])
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    return pa.chunked_array([pc.binary_join(pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), contents), "\n")])


def sketch_texts(
    texts: pa.ChunkedArray, *, ngram: int, bands: int, rows: int, seed: int, folds: tuple[Fold, ...] = FOLDS
) -> tuple[NDArray[np.uint64], NDArray[np.uint8], NDArray[np.uint64]]:
    """Sketch N texts.

    Returns:
        (N, B) band keys: equal in band b means equal in all R of its bins. (N, P) sketches, one byte a bin: b-bit
        minwise hashing (Li and König, 2010) with b = 8. (N, 2) digests, equal where the letters are.
    """
    num_texts, letters = len(texts), letters_of(folds)
    keys_NB = np.empty((num_texts, bands), np.uint64)
    sketches_NP = np.empty((num_texts, bands * rows), np.uint8)
    digests_N2 = np.empty((num_texts, 2), np.uint64)
    start = 0
    for chunk in texts.chunks:
        data, offsets = buffers_of(chunk)
        part = slice(start, start + len(chunk))
        _sketch(
            *(data, offsets, letters.table, letters.spill, ngram, rows, np.uint64(seed)),
            *(keys_NB[part], sketches_NP[part], digests_N2[part]),
        )
        start += len(chunk)
    return keys_NB, sketches_NP, digests_N2


def jaccard_of(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    pairs_M2: NDArray[np.int64],
    ngram: int,
    folds: tuple[Fold, ...] = FOLDS,
) -> NDArray[np.float64]:
    """Return |A and B| / |A or B| of the shingles of M pairs of texts, given by their places in `offsets`.

    Of pairs that have a text in common as their first, it is read once.
    """
    letters, similar = letters_of(folds), np.zeros(len(pairs_M2), np.float64)
    order = np.lexsort((pairs_M2[:, 1], pairs_M2[:, 0]))
    in_order = np.ascontiguousarray(pairs_M2[order], np.int64)
    _jaccard(data, offsets, letters.table, letters.spill, ngram, in_order, similar)
    similar[order] = similar.copy()
    return similar


def least_share(min_jaccard: float, bins: int) -> float:
    """Return the share of equal sketch bytes below which two texts are not compared further.

    The share estimates J + (1 - J) / 256 with a standard deviation of sqrt(J (1 - J) / P). Four of them below is
    refused: fewer than 1 in 10,000 true pairs at the threshold, none to speak of above it.
    """
    return min_jaccard - 4 * math.sqrt(min_jaccard * (1 - min_jaccard) / bins)


@njit(types.uint64(types.uint64), nogil=True, cache=True)
def mixed(value):  # type: ignore[no-untyped-def]
    """Spread the bits of a 64-bit value."""
    value = (value ^ (value >> SHIFT)) * MIX_1
    value = (value ^ (value >> SHIFT)) * MIX_2
    return value ^ (value >> SHIFT)


@njit(types.int64(POINTS, types.int64, types.int64, HASHES), nogil=True, cache=True)
def shingle(points, count, ngram, hashes):  # type: ignore[no-untyped-def]
    """Hash the n-grams of a text's letters in order, repeats included, and return how many: S >= 1.

    A polynomial in MIX_1 (Karp and Rabin, 1987), mixed. A text shorter than `ngram` is one shingle, the whole of it.
    """
    width = min(ngram, count)
    if width == 0:
        hashes[0] = mixed(GOLDEN)
        return 1
    size = count - width + 1
    for place in range(size):
        hashes[place] = np.uint64(width)
    for offset in range(width):  # pass by pass rather than rolling: no hash waits for the one before it
        for place in range(size):
            hashes[place] = hashes[place] * MIX_1 + np.uint64(points[place + offset])
    for place in range(size):
        hashes[place] = mixed(hashes[place])
    return size


@njit(types.void(HASHES, types.int64, types.uint64, HASHES, HASHES), nogil=True, cache=True)
def _fill_bins(hashes, size, seed, bins, values):  # type: ignore[no-untyped-def]
    """Fill P bins with round << 32 | the smallest 32 bits of the hashes that fell into the bin in that round.

    `values` has room for `size` of them: what has no branch and no memory in common goes through it at once.
    """
    num_bins = np.uint64(len(bins))
    bins[:] = NOTHING
    for turn in range(2 * len(bins)):
        salt = mixed(seed + np.uint64(turn) * GOLDEN)
        high = np.uint64(turn) << HALF
        for place in range(size):
            values[place] = mixed(hashes[place] + salt) if turn else hashes[place] ^ salt
        if turn < len(bins):
            for place in range(size):
                bin = ((values[place] >> HALF) * num_bins) >> HALF
                bins[bin] = min(bins[bin], high | (values[place] & LOW))
        else:  # after P rounds of chance one round a bin, so that one shingle fills all of them
            bin = np.uint64(turn - len(bins))
            for place in range(size):
                bins[bin] = min(bins[bin], high | (values[place] & LOW))
        filled = True
        for bin_seen in range(len(bins)):
            filled &= bins[bin_seen] != NOTHING
        if filled:
            return


@njit(
    types.void(
        BYTES, OFFSETS, TABLE, TABLE, types.int64, types.int64, types.uint64,
        types.uint64[:, ::1], types.uint8[:, ::1], types.uint64[:, ::1],
    ),
    nogil=True,
    cache=True,
)  # fmt: skip
def _sketch(data, offsets, table, spill, ngram, rows, seed, keys_NB, sketches_NP, digests_N2):  # type: ignore[no-untyped-def]
    longest = 0
    for text in range(len(offsets) - 1):
        longest = max(longest, offsets[text + 1] - offsets[text])
    points, hashes = np.empty(longest + 1, np.uint32), np.empty(longest + 1, np.uint64)
    bins, values = np.empty(sketches_NP.shape[1], np.uint64), np.empty(longest + 1, np.uint64)
    for text in range(len(offsets) - 1):
        count = read_letters(data, offsets[text], offsets[text + 1], table, spill, points)
        size = shingle(points, count, ngram, hashes)
        placed, total = np.uint64(count), np.uint64(0)
        for place in range(size):
            placed += hashes[place] * (np.uint64(2 * place) + ONE)
            total += hashes[place]
        digests_N2[text, 0], digests_N2[text, 1] = placed, total
        _fill_bins(hashes, size, seed, bins, values)
        for bin in range(len(bins)):
            sketches_NP[text, bin] = np.uint8(bins[bin] & np.uint64(0xFF))
        for band in range(keys_NB.shape[1]):
            key = np.uint64(0)
            for bin in range(band * rows, (band + 1) * rows):
                key = mixed((key + MIX_2) ^ bins[bin])
            keys_NB[text, band] = key


@njit(types.uint64(types.uint64, types.uint64, HASHES, types.int64[::1], types.int64), nogil=True, cache=True)
def _slot_of(key, last_slot, keys, owners, owner):  # type: ignore[no-untyped-def]
    """Return the slot of a key of an owner's in a hash table with open addressing, or the free one where it goes.

    A slot counts only under its owner, so that no table is ever cleared.
    """
    slot = key & last_slot
    while owners[slot] == owner and keys[slot] != key:
        slot = (slot + ONE) & last_slot
    return slot


@njit(types.uint64(types.int64), nogil=True, cache=True)
def _last_slot(size):  # type: ignore[no-untyped-def]
    """Return the last slot of a table for so many keys: at most half full, and no wider in memory than that."""
    slots = 4
    while slots < 2 * size:
        slots *= 2
    return np.uint64(slots - 1)


@njit(
    types.void(BYTES, OFFSETS, TABLE, TABLE, types.int64, types.int64[:, ::1], types.float64[::1]),
    nogil=True,
    cache=True,
)
def _jaccard(data, offsets, table, spill, ngram, pairs_M2, similar):  # type: ignore[no-untyped-def]
    """Two hash tables: the left text's shingles, and what the right one has beyond them; owners are pairs, from 1."""
    longest = 0
    for pair in range(len(pairs_M2)):
        for side in range(2):
            text = pairs_M2[pair, side]
            longest = max(longest, offsets[text + 1] - offsets[text])
    slots = np.int64(_last_slot(longest + 1)) + 1
    points, hashes = np.empty(longest + 1, np.uint32), np.empty(longest + 1, np.uint64)
    left_keys, right_keys = np.empty(slots, np.uint64), np.empty(slots, np.uint64)
    left_of, right_of = np.zeros(slots, np.int64), np.zeros(slots, np.int64)
    met_by = np.zeros(slots, np.int64)  # the last pair whose right text had the left shingle of a slot
    first, num_left, left_last = 0, 0, np.uint64(0)  # the first pair of this left text
    for pair in range(1, len(pairs_M2) + 1):
        left, right = pairs_M2[pair - 1, 0], pairs_M2[pair - 1, 1]
        if first == 0 or left != pairs_M2[first - 1, 0]:
            first, num_left = pair, 0
            count = read_letters(data, offsets[left], offsets[left + 1], table, spill, points)
            size = shingle(points, count, ngram, hashes)
            left_last = _last_slot(size)
            for place in range(size):
                slot = _slot_of(hashes[place], left_last, left_keys, left_of, first)
                num_left += left_of[slot] != first
                left_of[slot], left_keys[slot] = first, hashes[place]
        count = read_letters(data, offsets[right], offsets[right + 1], table, spill, points)
        size = shingle(points, count, ngram, hashes)
        right_last = _last_slot(size)
        common = beyond = 0
        for place in range(size):
            slot = _slot_of(hashes[place], left_last, left_keys, left_of, first)
            if left_of[slot] == first:
                common += met_by[slot] != pair
                met_by[slot] = pair
            else:
                slot = _slot_of(hashes[place], right_last, right_keys, right_of, pair)
                beyond += right_of[slot] != pair
                right_of[slot], right_keys[slot] = pair, hashes[place]
        similar[pair - 1] = common / (num_left + beyond)
