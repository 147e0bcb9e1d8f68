"""Sketch rows: what dedup compares, in a few hundred bytes a row.

Reads Passage or Example, writes Sketch. MinHash of character n-grams, the arithmetic is minhash.py's. 21 bands of 6
rows propose a pair of Jaccard similarity 0.8 with probability 1 - (1 - 0.8^6)^21 = 0.998 and one of 0.5 with 0.28;
dedup verifies each, so that bands may be loose.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from pipeline import minhash
from pipeline.recipe import Config
from pipeline.records import SKETCH, mark

ROWS_AT_ONCE = 1024  # texts held as Python strings


class SketchConfig(Config):
    """Shingles and bands."""

    ngram: int = Field(default=5, ge=1, description="characters of a shingle")
    bands: int = Field(default=21, ge=1)
    rows: int = Field(default=6, ge=1, description="permutations of a band")
    seed: int = Field(default=0, ge=0, lt=2**32, description="filled from the recipe; of the permutations")


def sketch_rows(rows: pa.Table, config: SketchConfig) -> pa.Table:
    """Sketch each of the N rows by its own text alone; none is dropped.

    Returns:
        N rows of Sketch in the same order plus `drop_reason` (all null) and `drop_detail`. `chars` counts the text as
        it stands, `sketch` has one byte for each of bands x rows permutations.
    """
    empty = minhash.minhash(config.bands * config.rows, config.seed)
    texts = minhash.texts_of(rows)
    signatures = [np.zeros((0, config.bands * config.rows), dtype=np.uint32)]
    for start in range(0, rows.num_rows, ROWS_AT_ONCE):
        for text in texts.slice(start, ROWS_AT_ONCE).to_pylist():
            shingles = minhash.shingles_of(minhash.normalise(text), config.ngram)
            signatures.append(minhash.signature_of(shingles, empty)[None])
    signatures_NP = np.concatenate(signatures)
    keys_NB = minhash.band_keys(signatures_NP, config.bands, config.rows)
    bands = pa.FixedSizeListArray.from_arrays(pa.array(keys_NB.ravel()), config.bands).cast(pa.list_(pa.uint64()))
    sketches = [sketch.tobytes() for sketch in minhash.sketch_bytes(signatures_NP)]
    columns = [rows["id"], bands, pa.array(sketches, pa.binary()), pc.utf8_length(texts).cast(pa.int64())]
    return mark(pa.table(columns, schema=SKETCH), {})
