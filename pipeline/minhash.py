"""The arithmetic of dedup: normalised text, shingles, signatures, band keys, sketches, exact Jaccard. No IO.

Shingles are character n-grams, because Chinese has no spaces; MinHash signatures are datasketch's (Broder, 1997;
its permutation scheme "affine32"), and rows of a signature are joined to bands as in Leskovec, Rajaraman and Ullman,
Mining of Massive Datasets, section 3.4. Nothing depends on the machine or on the order of texts.

Shapes: N rows, S shingles of one text, P permutations, B bands of R rows each (B x R <= P).
"""

import math
import re
import unicodedata

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasketch import MinHash
from numpy.typing import NDArray

NOT_LETTERS = re.compile(r"[\W_]+")  # all but letters and digits of any script
SHINGLES_AT_ONCE = 4096  # keeps the (shingles, P) products of a long text in the processor's cache

# Odd constants of the 64-bit MurmurHash3 finalizer (Appleby), a bijection that spreads every bit.
MIX_1, MIX_2 = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)
SHIFT = np.uint64(33)


def texts_of(rows: pa.Table) -> pa.Array:
    """Return the (N,) texts that dedup compares: a Passage's text, or an Example's contents joined by line feeds."""
    if "text" in rows.column_names:
        return rows["text"].combine_chunks()
    messages = rows["messages"].combine_chunks()
    offsets = np.concatenate([[0], np.cumsum(pc.list_value_length(messages).to_numpy(zero_copy_only=False))])
    contents = pc.struct_field(pc.list_flatten(messages), "content")
    return pc.binary_join(pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), contents), "\n")


def normalise(text: str) -> str:
    """Return what two texts must share to count as the same: NFKC, lower case, letters and digits only.

    A text that has neither letter nor digit is left as NFKC makes it, so that "???" and "!!!" stay two texts.
    """
    folded = unicodedata.normalize("NFKC", text).lower()
    return NOT_LETTERS.sub("", folded) or folded


def shingles_of(normalised: str, ngram: int) -> NDArray[np.uint64]:
    """Hash the distinct character n-grams of a normalised text.

    Returns:
        (S,) sorted, S >= 1. A text shorter than `ngram` is one shingle, the whole of it.
    """
    points = np.frombuffer(normalised.encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64)
    width = min(ngram, len(points))
    hashes = np.full(len(points) - width + 1, width, dtype=np.uint64)
    for offset in range(width):  # a polynomial in MIX_1, as Karp and Rabin (1987) hash a window
        hashes = hashes * MIX_1 + points[offset : offset + len(hashes)]
    return np.unique(_mix(hashes))


def minhash(num_perm: int, seed: int) -> MinHash:
    """Return an empty MinHash of P permutations that takes arrays of 32-bit hashes; `signature_of` copies it."""
    return MinHash(num_perm=num_perm, seed=seed, scheme="affine32", hashfunc=_as_hashed)


def signature_of(shingles: NDArray[np.uint64], empty: MinHash) -> NDArray[np.uint32]:
    """Return the (P,) smallest value of the (S,) shingles under each permutation of an empty MinHash.

    One permutation agrees between two texts with a probability equal to their Jaccard similarity.
    """
    filled = empty.copy()
    low_bits = shingles.astype(np.uint32)
    for start in range(0, len(low_bits), SHINGLES_AT_ONCE):
        filled.update_batch([low_bits[start : start + SHINGLES_AT_ONCE]])
    signature: NDArray[np.uint32] = filled.hashvalues
    return signature


def band_keys(signatures_NP: NDArray[np.uint32], bands: int, rows: int) -> NDArray[np.uint64]:
    """Hash R consecutive permutations to one key: (N, P) -> (N, B). Equal in band b: equal in all R of them."""
    parts_NBR = signatures_NP[:, : bands * rows].reshape(-1, bands, rows).astype(np.uint64)
    keys_NB = np.zeros(parts_NBR.shape[:2], dtype=np.uint64)
    for row in range(rows):
        keys_NB = _mix((keys_NB + MIX_2) ^ parts_NBR[:, :, row])
    return keys_NB


def sketch_bytes(signatures_NP: NDArray[np.uint32]) -> NDArray[np.uint8]:
    """Keep one byte a permutation, (N, P) -> (N, P): b-bit minwise hashing (Li and König, 2010) with b = 8."""
    return (signatures_NP & np.uint32(0xFF)).astype(np.uint8)


def may_reach(sketches_NP: NDArray[np.uint8], sketch_P: NDArray[np.uint8], min_jaccard: float) -> NDArray[np.bool_]:
    """Tell for each of N sketches whether its text may have Jaccard similarity `min_jaccard` or more with another.

    The share of equal bytes estimates J + (1 - J) / 256 with a standard deviation of sqrt(J (1 - J) / P). Four of them
    below is refused: fewer than 1 in 10,000 true pairs at the threshold, none to speak of above it.
    """
    least = min_jaccard - 4 * math.sqrt(min_jaccard * (1 - min_jaccard) / len(sketch_P))
    likely: NDArray[np.bool_] = (sketches_NP == sketch_P).mean(axis=1) >= least
    return likely


def jaccard(left: NDArray[np.uint64], right: NDArray[np.uint64]) -> float:
    """Return |left and right| / |left or right| of two sorted arrays of distinct shingles."""
    if not len(left) or not len(right):
        return float(len(left) == len(right))
    places = np.minimum(np.searchsorted(right, left), len(right) - 1)
    common = int(np.count_nonzero(right[places] == left))
    return common / (len(left) + len(right) - common)


def _mix(hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    hashes = (hashes ^ (hashes >> SHIFT)) * MIX_1
    hashes = (hashes ^ (hashes >> SHIFT)) * MIX_2
    return hashes ^ (hashes >> SHIFT)


def _as_hashed(shingles: NDArray[np.uint32]) -> NDArray[np.uint32]:
    return shingles
