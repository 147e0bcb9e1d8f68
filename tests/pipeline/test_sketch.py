import pyarrow as pa
import pytest
from pydantic import ValidationError

from pipeline.records import SKETCH, marked_schema
from pipeline.sketch import SketchConfig, sketch_rows

TEXTS = [
    "高血压是常见的慢性病，需要长期随访。",
    "高血压是常见的慢性病,需要长期随访",
    "Gout is caused by urate crystals.",
    "短",
    "",
]


def rows(texts: list[str]) -> pa.Table:
    return pa.table({"id": [f"s/{number}" for number in range(len(texts))], "text": pa.array(texts, pa.string())})


def test_every_row_is_sketched_and_kept_in_order():
    sketches = sketch_rows(rows(TEXTS), SketchConfig())
    assert sketches.schema.equals(marked_schema(SKETCH))
    assert sketches["passage_id"].to_pylist() == [f"s/{number}" for number in range(len(TEXTS))]
    assert sketches["drop_reason"].null_count == len(TEXTS)
    assert {len(bands) for bands in sketches["bands"].to_pylist()} == {21 * 8}
    assert {len(sketch) for sketch in sketches["sketch"].to_pylist()} == {126}
    assert sketches["chars"].to_pylist() == [len(text) for text in TEXTS]


def test_texts_that_differ_in_width_and_punctuation_have_one_sketch():
    sketches = sketch_rows(rows(TEXTS), SketchConfig()).to_pylist()
    assert sketches[0]["bands"] == sketches[1]["bands"]
    assert sketches[0]["bands"] != sketches[2]["bands"]


def test_a_sketch_does_not_depend_on_the_other_rows_of_the_shard():
    together = sketch_rows(rows(TEXTS), SketchConfig())
    alone = [sketch_rows(rows(TEXTS).slice(place, 1), SketchConfig()) for place in range(len(TEXTS))]
    assert pa.concat_tables(alone).to_pylist() == together.to_pylist()


def test_an_empty_shard_gives_an_empty_shard():
    assert sketch_rows(rows([]), SketchConfig()).schema.equals(marked_schema(SKETCH))


def test_another_seed_gives_other_bands_for_the_same_text():
    keys = [sketch_rows(rows(TEXTS[:1]), SketchConfig(seed=seed))["bands"].to_pylist() for seed in (0, 1)]
    assert keys[0] != keys[1]


def test_a_seed_that_numpy_cannot_take_is_refused():
    with pytest.raises(ValidationError, match="seed"):
        SketchConfig(seed=2**32)
