import itertools
import random

import numpy as np
import pyarrow as pa
import pytest
from datasketch import MinHash
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import minhash
from pipeline.letters import buffers_of, fold_text
from pipeline.records import EXAMPLE

NGRAM = 5
GOLDEN_KEYS = [[10282737479553439709, 1680143589868933889], [12007701872806814066, 2217372921491666807]]
GOLDEN_SKETCHES = [[221, 202, 178, 116], [140, 222, 37, 59]]
GOLDEN_DIGESTS = [[15778894754563665798, 6013281779649468443], [6914118111730734306, 6914118111730734302]]


def grams_of(text: str, ngram: int = NGRAM) -> set[str]:
    letters = fold_text(text)
    return {letters[i : i + ngram] for i in range(max(1, len(letters) - ngram + 1))}


def brute_jaccard(left: str, right: str, ngram: int = NGRAM) -> float:
    a, b = grams_of(left, ngram), grams_of(right, ngram)
    return len(a & b) / len(a | b)


def sketch(texts: list[str], *, bands: int = 21, rows: int = 6, seed: int = 0, ngram: int = NGRAM):
    chunked = pa.chunked_array([pa.array(texts, pa.string())])
    return minhash.sketch_texts(chunked, ngram=ngram, bands=bands, rows=rows, seed=seed)


def jaccard(texts: list[str], pairs: list[tuple[int, int]], ngram: int = NGRAM) -> np.ndarray:
    return minhash.jaccard_of(*buffers_of(pa.array(texts, pa.string())), np.array(pairs).reshape(-1, 2), ngram)


def related(draw: random.Random, length: int, share: float) -> tuple[str, str]:
    """Two texts of drawn Chinese characters, the second with a share of them drawn again."""
    left = [chr(draw.randrange(0x4E00, 0x9000)) for _ in range(length)]
    right = [chr(draw.randrange(0x4E00, 0x9000)) if draw.random() < share else char for char in left]
    return "".join(left), "".join(right)


@settings(deadline=None)
@given(st.lists(st.text(alphabet="ab高血 !", max_size=30), min_size=2, max_size=6), st.integers(1, 7))
def test_jaccard_is_that_of_sets_of_strings(texts, ngram):
    pairs = list(itertools.product(range(len(texts)), repeat=2))
    expected = [brute_jaccard(texts[left], texts[right], ngram) for left, right in pairs]
    assert jaccard(texts, pairs, ngram).tolist() == pytest.approx(expected)


@settings(deadline=None)
@given(st.text(), st.text())
def test_digests_are_equal_where_the_letters_are(left, right):
    *_, digests = sketch([left, right, left])
    assert (digests[0] == digests[1]).all() == (fold_text(left) == fold_text(right))
    assert (digests[0] == digests[2]).all()


@settings(deadline=None)
@given(st.lists(st.text(max_size=12), min_size=1, max_size=5), st.integers(0, 4))
def test_a_sketch_is_that_of_its_own_text_however_texts_are_cut_into_chunks(texts, cut):
    whole = sketch(texts)
    array = pa.array(texts, pa.string())
    for chunked in (
        pa.chunked_array([array[:cut], array[cut:]], pa.string()),
        pa.chunked_array([array.cast(pa.large_string())]),
    ):
        parts = minhash.sketch_texts(chunked, ngram=NGRAM, bands=21, rows=6, seed=0)
        assert all((a == b).all() for a, b in zip(whole, parts, strict=True))


@pytest.mark.parametrize("length", [8, 25, 100, 400, 3000])
def test_bins_agree_as_often_as_shingles_do_at_any_length(length):
    draw, shares, truths = random.Random(length), [], []
    for _ in range(300):
        texts = related(draw, length, draw.choice([0.01, 0.03, 0.1]))
        _, sketches, _ = sketch(list(texts), bands=128, rows=1)
        shares.append((sketches[0] == sketches[1]).mean())
        truths.append(brute_jaccard(*texts))
    expected = np.array(truths) + (1 - np.array(truths)) / 256
    # Bins of one text are not independent, but no worse than so many coins; the mean of 300 texts has their error / 17.
    assert abs(np.mean(shares - expected)) < 4 * 0.5 / np.sqrt(min(128, length) * 300)
    assert np.std(shares - expected) < 1.3 * np.sqrt(np.mean(expected * (1 - expected)) / 128) + 0.005


def test_bins_estimate_as_well_as_datasketch():
    draw, ours, theirs = random.Random(1), [], []
    for _ in range(150):
        texts = related(draw, 200, draw.choice([0.01, 0.03]))
        _, sketches, _ = sketch(list(texts), bands=128, rows=1)
        signs = [MinHash(num_perm=128, seed=3) for _ in texts]
        for sign, text in zip(signs, texts, strict=True):
            sign.update_batch([gram.encode() for gram in grams_of(text)])
        truth = brute_jaccard(*texts)
        ours.append((sketches[0] == sketches[1]).mean() - truth)
        theirs.append(signs[0].jaccard(signs[1]) - truth)
    assert np.std(ours) < 1.25 * np.std(theirs)
    assert abs(np.mean(ours)) < 0.02


def test_the_share_of_equal_bytes_is_above_the_least_where_jaccard_reaches_the_threshold():
    draw, checked = random.Random(0), 0
    least = minhash.least_share(0.8, 126)
    for _ in range(400):
        texts = related(draw, draw.choice([10, 40, 400]), 0.02)
        if brute_jaccard(*texts) >= 0.8:
            _, sketches, _ = sketch(list(texts))
            assert (sketches[0] == sketches[1]).mean() >= least
            checked += 1
    assert checked > 100


def test_a_band_key_agrees_exactly_where_all_its_bins_do():
    draw = random.Random(2)
    agreed = 0
    for _ in range(200):
        texts = related(draw, 60, 0.05)
        keys, *_ = sketch(list(texts), bands=42, rows=3)
        single, *_ = sketch(list(texts), bands=126, rows=1)
        bins = (single[0] == single[1]).reshape(42, 3).all(axis=1)
        assert ((keys[0] == keys[1]) == bins).all()
        agreed += bins.sum()
    assert 200 < agreed < 200 * 42


def test_texts_of_few_letters_or_none_are_told_apart():
    texts = ["", "?!", "…", "!", "a", "b", "ab", "高", "高血", "高血压", "a高", " ", "□□", "高血压病人", "高血压病人多"]
    keys, sketches, digests = sketch(texts)
    for left, right in itertools.combinations(range(len(texts)), 2):
        assert (digests[left] != digests[right]).any(), (texts[left], texts[right])
        if max(len(texts[left]), len(texts[right])) <= NGRAM:
            assert not (keys[left] == keys[right]).any()
            assert (sketches[left] == sketches[right]).mean() < 0.1


def test_a_text_of_a_megabyte_is_sketched_as_any_other():
    draw = random.Random(3)
    long = "".join(chr(draw.randrange(0x4E00, 0x9000)) for _ in range(400_000))
    keys, _, digests = sketch([long, long[:-1], "短"])
    assert (keys[0] == keys[1]).all()
    assert (digests[0] != digests[1]).any()
    assert jaccard([long, long[:-1]], [(0, 1)])[0] == pytest.approx(1 - 1 / 399_996)


def test_sketches_are_the_same_on_every_machine():
    keys, sketches, digests = sketch(["高血压是常见病", "gout"], bands=2, rows=2)
    assert keys.tolist() == GOLDEN_KEYS
    assert sketches.tolist() == GOLDEN_SKETCHES
    assert digests.tolist() == GOLDEN_DIGESTS


def test_another_seed_gives_other_keys_of_the_same_letters():
    first, second = sketch(["高血压是常见病"]), sketch(["高血压是常见病"], seed=1)
    assert not (first[0] == second[0]).any()
    assert (first[2] == second[2]).all()


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
    assert minhash.texts_of(pa.concat_tables([table, table]).slice(2)).to_pylist() == ["only", "问\n答", "", "only"]
