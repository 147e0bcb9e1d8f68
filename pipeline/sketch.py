"""Sketch rows: what dedup compares, in about 320 bytes a row.

Reads Passage or Example, writes Sketch. Signatures of character n-grams; the arithmetic is minhash.py's. 21 bands of 6
rows propose a pair of Jaccard similarity 0.8 with probability 1 - (1 - 0.8^6)^21 = 0.998 and one of 0.5 with 0.28;
dedup verifies each, so that bands may be loose.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field

from pipeline.letters import FOLDS, Fold
from pipeline.minhash import sketch_texts, texts_of
from pipeline.recipe import Config
from pipeline.records import SKETCH, mark


class SketchConfig(Config):
    """Shingles and bands."""

    ngram: int = Field(default=5, ge=1, description="characters of a shingle")
    normalise: tuple[Fold, ...] = Field(
        default=FOLDS, description="what two texts may differ in and still be equal; always all but letters and digits"
    )
    bands: int = Field(default=21, ge=1)
    rows: int = Field(default=6, ge=1, description="bins of a band")
    seed: int = Field(default=0, ge=0, lt=2**32, description="filled from the recipe; of the hash")


def sketch_rows(rows: pa.Table, config: SketchConfig) -> pa.Table:
    """Sketch each of the N rows by its own text alone; none is dropped.

    Returns:
        N rows of Sketch in the same order plus `drop_reason` (all null) and `drop_detail`. `chars` counts the text as
        it stands.
    """
    texts = texts_of(rows)
    keys_NB, sketches_NP, digests_N2 = sketch_texts(
        texts, ngram=config.ngram, bands=config.bands, rows=config.rows, seed=config.seed, folds=config.normalise
    )
    columns = [
        rows["id"],
        _as_binary(digests_N2),
        _as_binary(keys_NB),
        _as_binary(sketches_NP),
        pc.utf8_length(texts).cast(pa.int64()),
    ]
    return mark(pa.table(columns, schema=SKETCH), {})


def _as_binary(rows_NX: NDArray[np.uint64] | NDArray[np.uint8]) -> pa.ChunkedArray:
    """Return the bytes of each row of an array as one value."""
    width, length = rows_NX.dtype.itemsize * rows_NX.shape[1], len(rows_NX)
    if width * length >= 1 << 31:  # beyond the offsets of one array of binaries
        halves = rows_NX[: length // 2], rows_NX[length // 2 :]
        return pa.chunked_array([chunk for half in halves for chunk in _as_binary(half).chunks])
    offsets = np.arange(length + 1, dtype=np.int32) * np.int32(width)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(rows_NX))]
    return pa.chunked_array([pa.Array.from_buffers(pa.binary(), length, buffers)])
