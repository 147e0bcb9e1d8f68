import random

import numpy as np
import pyarrow as pa
import pytest
from datasketch import MinHash
from hypothesis import given
from hypothesis import strategies as st

from pipeline import minhash
from pipeline.records import EXAMPLE

NGRAM = 5


def shingles(text: str, ngram: int = NGRAM) -> np.ndarray:
    return minhash.shingles_of(minhash.normalise(text), ngram)


def brute_jaccard(left: str, right: str) -> float:
    grams = [{text[i : i + NGRAM] for i in range(max(1, len(text) - NGRAM + 1))} for text in (left, right)]
    return len(grams[0] & grams[1]) / len(grams[0] | grams[1])


@pytest.mark.parametrize(
    ("text", "normal"),
    [("ＢＭＩ 高血压！", "bmi高血压"), ("Type-2\tDiabetes_x", "type2diabetesx"), ("①", "1"), ("!?", "!?"), ("", "")],
)
def test_only_lower_case_letters_and_digits_count(text, normal):
    assert minhash.normalise(text) == normal


@given(st.text(max_size=60))
def test_normalising_twice_is_normalising_once(text):
    once = minhash.normalise(text)
    assert minhash.normalise(once) == once


@given(st.text(alphabet="ab高血压", max_size=40))
def test_there_is_one_shingle_for_each_distinct_ngram(text):
    grams = {text[i : i + NGRAM] for i in range(max(1, len(text) - NGRAM + 1))}
    found = minhash.shingles_of(text, NGRAM)
    assert len(found) == len(grams)
    assert (np.diff(found.astype(object)) > 0).all()


@given(st.text(alphabet="ab高", max_size=4), st.text(alphabet="ab高", max_size=12))
def test_a_short_text_shares_its_shingle_only_with_itself(short, other):
    shared = np.intersect1d(minhash.shingles_of(short, NGRAM), minhash.shingles_of(other, NGRAM))
    assert len(shared) == (short == other)


def test_shingles_are_the_same_on_every_machine():
    assert minhash.shingles_of("高血压", 3).tolist() == [17351973900494698600]


@given(st.text(alphabet="abc", max_size=40), st.text(alphabet="abc", max_size=40))
def test_jaccard_agrees_with_sets_of_strings(left, right):
    found = minhash.jaccard(minhash.shingles_of(left, NGRAM), minhash.shingles_of(right, NGRAM))
    assert found == brute_jaccard(left, right)


def test_signatures_are_those_of_datasketch():
    text = "".join(random.Random(1).choices("高血压是常见病abc", k=2 * minhash.SHINGLES_AT_ONCE))
    hashes = minhash.shingles_of(text, NGRAM)
    assert len(hashes) > minhash.SHINGLES_AT_ONCE  # more than one batch
    expected = MinHash(num_perm=12, seed=3, hashfunc=int)
    for value in hashes.astype(np.uint32).tolist():
        expected.update(value)
    signature = minhash.signature_of(hashes, minhash.minhash(12, 3))
    assert signature.tolist() == expected.hashvalues.tolist()


def test_equal_sketch_bytes_estimate_jaccard_within_four_deviations():
    generator, empty, checked = random.Random(0), minhash.minhash(126, 0), 0
    for _ in range(40):
        left = "".join(chr(generator.randrange(0x4E00, 0x9000)) for _ in range(400))
        cut = generator.choice([40, 150, 300, 370])
        right = left[:cut] + "".join(chr(generator.randrange(0x4E00, 0x9000)) for _ in range(generator.randrange(60)))
        truth = brute_jaccard(left, right)
        signatures = np.stack([minhash.signature_of(shingles(text), empty) for text in (left, right)])
        sketches = minhash.sketch_bytes(signatures)
        share = (sketches[0] == sketches[1]).mean()
        assert abs(share - truth - (1 - truth) / 256) <= 4 * np.sqrt(0.25 / 126)
        if truth >= 0.8:
            assert minhash.may_reach(sketches[:1], sketches[1], 0.8).all()
            checked += 1
    assert checked >= 3


def test_dissimilar_sketches_may_not_reach():
    signatures = np.random.default_rng(0).integers(0, 2**32, (50, 126), dtype=np.uint32)
    sketches = minhash.sketch_bytes(signatures)
    assert not minhash.may_reach(sketches[1:], sketches[0], 0.8).any()


def test_a_band_key_agrees_exactly_where_all_its_rows_do():
    generator = np.random.default_rng(0)
    signatures = generator.integers(0, 2, (200, 12), dtype=np.uint32)  # bits, so that rows of 3 agree often
    keys = minhash.band_keys(signatures, bands=4, rows=3)
    agree = (signatures[:, None] == signatures[None]).reshape(200, 200, 4, 3).all(axis=-1)
    assert agree.sum() > 4 * 200
    assert ((keys[:, None] == keys[None]) == agree).all()


def test_the_text_of_an_example_is_its_contents_line_by_line():
    rows = [
        {
            "id": str(number),
            "passage_id": None,
            **dict.fromkeys(("source", "kind", "lang", "style", "split"), "x"),
            "messages": [{"role": "user", "content": content, "loss": False} for content in contents],
            "support": [],
            "checks": [],
            "made_by": [],
        }
        for number, contents in enumerate([["问", "答"], [], ["only"]])
    ]
    table = pa.Table.from_pylist(rows, schema=EXAMPLE)
    assert minhash.texts_of(table).to_pylist() == ["问\n答", "", "only"]
    assert minhash.texts_of(table.slice(1)).to_pylist() == ["", "only"]
    assert minhash.texts_of(pa.concat_tables([table, table])).to_pylist() == ["问\n答", "", "only"] * 2
    assert minhash.texts_of(table.slice(0, 0)).to_pylist() == []
