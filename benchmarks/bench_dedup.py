"""Measure dedup beside its peers, in one run on the same passages: rate, peak memory, recall, precision.

    python -m benchmarks.bench_dedup [--passages 42000] [--slow 4000] [--only onestage,rensa] [--data ../shared/data]

Passages are those of real corpora where `--data` has them (the sources of tests/real/cards, through collect and
segment), else a bilingual set drawn from a fixed seed; a tenth of either are planted copies, equal or with 0.5 to 8%
of their characters changed. Truth is the exact Jaccard similarity of the character 5-grams of the letters of every
pair, at 0.8, by a join that misses none: two sets that reach t share one of the (1 - t) share of their rarest elements
(Chaudhuri, Ganti and Kaushik, 2006). Recall is the share of true pairs of which one is dropped; precision the share of
dropped passages that are in a true pair. Each engine runs in a process of its own, on one thread, after a call on a few
passages that compiles and loads what there is to load; a rate is passages by CPU second. Peers take a list of texts in
memory and give back which they would drop, and so does `onestage in memory`, by the functions of the stages on arrays
instead of scratch files: sketches, bands, exact similarities, and the choice of the row that stays. `onestage stages`
runs the stages sketch and dedup on ready-made pairs (without the search for passages that others cover, which no peer
has), reads them from Parquet and writes every file that the stages write. Loops of Python take the first `--slow`
passages. Peers come with `pip install -e .[bench]`.
"""

import argparse
import contextlib
import importlib.util
import itertools
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.bands import equal_pairs, join, near_pairs
from pipeline.decontaminate import grams_of
from pipeline.dedup import DedupConfig, _choose, _waves, dedup_rows
from pipeline.layout import LONGEST, Compare, LaidOut
from pipeline.letters import Fold, buffers_of, letters_of
from pipeline.line import read_line
from pipeline.minhash import jaccard_of, sketch_texts
from pipeline.records import EXAMPLE
from pipeline.shards import Shard, shards_of
from pipeline.sketch import SketchConfig, sketch_rows
from pipeline.stages import run_line

NGRAM, THRESHOLD = 5, 0.8
CARDS = (
    "medquad",
    "openstax_pharmacology",
    "tcm_books",
    "pubmedqa",
    "mtf_wiki",
    "gutenberg_surgery",
    "howtocook",
    "csl",
    "peps",
    "rust_book",
)
SHARD_ROWS = 10_000


def real_texts(data: Path, folder: Path) -> Iterator[str]:
    """Yield the passages of the real sources, through collect, filter and segment, source by source."""
    cards = Path(__file__).resolve().parents[1] / "tests" / "real" / "cards"
    if (cards / "../../../../shared/data").resolve() != data.resolve() or not data.is_dir():
        return
    folder.mkdir()
    (folder / "bench.toml").write_text(
        f'name = "bench"\nsources = {json.dumps(CARDS)}\ncards = "{cards}"\noutput = "data"\n'
        "[filter]\nmin_chars = 0\n[segment]\nmax_chars = { zh = 400, lzh = 400, en = 1200 }\n"
    )
    with contextlib.redirect_stdout(sys.stderr):
        line = read_line(folder / "bench.toml", "segment")
        run_line(line)
    for step in line.steps:
        if step.stage.name == "segment":
            for shard in shards_of(step.directory):
                yield from shard.read(["text"])["text"].to_pylist()


def made_up_texts(seed: int) -> Iterator[str]:
    """Yield passages of made-up words for ever, five Chinese to one English; words repeat as in language (Zipf)."""
    draw = np.random.default_rng(seed)
    zh = ["".join(map(chr, draw.integers(0x4E00, 0x5E00, draw.integers(1, 4)))) for _ in range(8000)]
    en = ["".join(map(chr, draw.integers(97, 123, draw.integers(2, 11)))) + " " for _ in range(8000)]
    weights = 1 / np.arange(1, 8001)
    weights /= weights.sum()
    while True:
        for words, length in ((zh, 200), *[(zh, 200)] * 4, (en, 180)):
            yield "".join(words[word] for word in draw.choice(8000, int(length * draw.uniform(0.5, 1.5)), p=weights))


def with_copies(texts: Iterator[str], count: int, seed: int) -> list[str]:
    """Take texts and plant copies of a tenth of them, each edited by its own share of characters, then shuffle."""
    draw = random.Random(seed)
    originals = [text for _, text in zip(range(count - count // 10), texts, strict=False)]
    copies = []
    for text in draw.choices(originals, k=len(originals) // 9):
        share = draw.choice([0, 0.005, 0.01, 0.02, 0.04, 0.08])
        copies.append("".join(draw.choice(text) if draw.random() < share else char for char in text))
    together = originals + copies
    draw.shuffle(together)
    return together


def true_pairs(texts: Sequence[str]) -> NDArray[np.int64]:
    """Return every pair of texts whose Jaccard similarity reaches THRESHOLD: (M, 2), the smaller place first."""
    letters = letters_of()
    data, offsets = buffers_of(pa.array(texts, pa.large_string()))
    parts = [
        np.unique(grams_of(data[a:b], letters.table, letters.spill, NGRAM)) for a, b in itertools.pairwise(offsets)
    ]
    sizes = np.array([len(part) for part in parts])
    _, place, counts = np.unique(np.concatenate(parts), return_inverse=True, return_counts=True)
    owner = np.repeat(np.arange(len(parts)), sizes)
    order = np.lexsort((place, counts[place], owner))  # each text's shingles, the rarest first
    rank = np.arange(len(order)) - np.repeat(np.concatenate([[0], np.cumsum(sizes)[:-1]]), sizes)
    prefix = order[rank <= sizes[owner] - np.ceil(THRESHOLD * sizes[owner])]
    prefix = prefix[np.argsort(place[prefix], kind="stable")]
    owners, begins = owner[prefix], np.flatnonzero(np.append(True, np.diff(place[prefix]) != 0))
    found: set[int] = set()
    for begin, end in zip(begins, np.append(begins[1:], len(owners)), strict=True):
        if end - begin > 1:
            group = np.sort(owners[begin:end])
            left, right = np.triu_indices(end - begin, 1)
            close = sizes[group[left]] >= THRESHOLD * sizes[group[right]]
            close &= sizes[group[right]] >= THRESHOLD * sizes[group[left]]
            found.update((group[left[close]] * len(parts) + group[right[close]]).tolist())
    pairs = np.array(sorted(found), np.int64)
    pairs_M2 = np.column_stack(np.divmod(pairs, len(parts)))
    return pairs_M2[jaccard_of(data, offsets, pairs_M2, NGRAM) >= THRESHOLD]


class InMemory(LaidOut):
    """What dedup's scratch folder tells of N texts, from arrays; a row's id is its number."""

    def __init__(self, texts: pa.Array, sketches_NP: NDArray[np.uint8], digests_N2: NDArray[np.uint64]) -> None:
        self.bins = sketches_NP.shape[1]
        self._text = buffers_of(texts)
        chars = pc.utf8_length(texts).to_numpy().astype(np.uint64)
        self._facts = {"preference": np.uint64(LONGEST) - chars, "digest": digests_N2, "sketch": sketches_NP}

    def facts(self, rows: NDArray[np.int64], *fields: str) -> list[NDArray[Any]]:
        """Return fields of the facts of M rows."""
        return [self._facts[field][rows] for field in fields]

    def ids(self, rows: NDArray[np.int64]) -> list[str]:
        """Return the ids of M rows."""
        return [str(row) for row in rows.tolist()]

    def comparison(self, rows: NDArray[np.int64], ngram: int, folds: tuple[Fold, ...]) -> Compare:
        """Return what gives the exact Jaccard similarity of M pairs, by (M, 2) places in `rows`."""
        return lambda pairs_M2: jaccard_of(*self._text, rows[pairs_M2], ngram, folds)


def in_memory(texts: Sequence[str], folder: Path, tell: Callable[[], None]) -> list[int]:
    """Sketch, search every band, compare exactly and choose, from a list of texts to the places of those dropped."""
    tell()
    shape, config, column = SketchConfig(), DedupConfig(), pa.array(texts, pa.large_string())
    chunks, folds = pa.chunked_array([column]), config.normalise
    keys_NB, sketches_NP, digests_N2 = sketch_texts(
        chunks, ngram=shape.ngram, bands=shape.bands, rows=shape.rows, seed=shape.seed, folds=folds
    )
    laid, rows = InMemory(column, sketches_NP, digests_N2), np.arange(len(texts))
    groups, unique = rows.astype(np.uint32), np.ones(len(texts), np.bool_)
    equal = equal_pairs(laid, np.ascontiguousarray(digests_N2[:, 0]), rows)
    join(groups, equal)
    unique[equal[:, 1]] = False
    keys_BN = np.ascontiguousarray(keys_NB.T)
    known = unique, groups, 0, config.min_jaccard, config.ngram, folds
    for first, last in _waves(shape.bands):
        for edges in [near_pairs(laid, keys, rows, *known) for keys in keys_BN[first - 1 : last]]:
            join(groups, edges)
    dropped: list[int] = np.flatnonzero(_choose(groups, laid) != rows).tolist()
    return dropped


def onestage(texts: Sequence[str], folder: Path, tell: Callable[[], None]) -> list[int]:
    """Sketch and deduplicate as the stages do, files included."""
    rows, sketches = [], []
    for start in range(0, len(texts), SHARD_ROWS):
        part = texts[start : start + SHARD_ROWS]
        same = dict.fromkeys(("source", "kind", "lang", "style", "split"), "s")
        same |= {"passage_id": None, "support": [], "checks": [], "made_by": []}
        content = [[{"role": "user", "content": text, "loss": False}] for text in part]
        table = pa.Table.from_pylist(
            [{**same, "id": str(start + place), "messages": messages} for place, messages in enumerate(content)],
            EXAMPLE,
        )
        pq.write_table(table, folder / f"rows-{start}.parquet", compression="none", use_dictionary=False)
        rows.append(Shard(folder / f"rows-{start}.parquet", len(part)))
    tell()
    for shard in rows:
        path = shard.path.with_name(shard.path.name.replace("rows", "sketch"))
        table = sketch_rows(shard.read(), SketchConfig()).drop_columns(["drop_reason", "drop_detail"])
        pq.write_table(table, path, compression="none", use_dictionary=False)
        sketches.append(Shard(path, shard.num_rows))
    (folder / "scratch").mkdir()
    dropped = []
    for table in dedup_rows({"rows": rows, "sketch": sketches}, DedupConfig(), folder / "scratch", {}):
        dropped += [int(id) for id in table.filter(table["drop_reason"].is_valid())["id"].to_pylist()]
    return dropped


def datasketch_loop(texts: Sequence[str], folder: Path, tell: Callable[[], None]) -> list[int]:
    """One update a shingle, one query and one insertion a text, as datasketch's first page shows it."""
    from datasketch import MinHash

    def sign(text: str) -> MinHash:
        made = MinHash(num_perm=128)
        for gram in {text[i : i + NGRAM] for i in range(max(1, len(text) - NGRAM + 1))}:
            made.update(gram.encode())
        return made

    return _datasketch(map(sign, texts), tell)


def datasketch_bulk(texts: Sequence[str], folder: Path, tell: Callable[[], None]) -> list[int]:
    """Its fastest way to signatures: `MinHash.bulk` over lists of encoded shingles."""
    from datasketch import MinHash

    sets = ([text[i : i + NGRAM].encode() for i in range(max(1, len(text) - NGRAM + 1))] for text in texts)
    return _datasketch(MinHash.generator(sets, num_perm=128), tell)


def _datasketch(signatures: Iterator[object], tell: Callable[[], None]) -> list[int]:
    from datasketch import MinHashLSH

    index, dropped = MinHashLSH(threshold=THRESHOLD, num_perm=128), []
    tell()
    for place, signature in enumerate(signatures):
        if index.query(signature):
            dropped.append(place)
        index.insert(place, signature)
    return dropped


def rensa(texts: Sequence[str], folder: Path, tell: Callable[[], None]) -> list[int]:
    """`RMinHashDeduplicator.add_pairs`, as rensa 0.5.0's README ("Keep unique documents") shows, on the shingles.

    Its README splits at spaces, which Chinese has not; on shingles it answers the question that all others answer. Its
    prehashed and rho interfaces, of which the README shows no code, are not used.
    """
    return _rensa(([text[i : i + NGRAM] for i in range(max(1, len(text) - NGRAM + 1))] for text in texts), tell)


def rensa_words(texts: Sequence[str], folder: Path, tell: Callable[[], None]) -> list[int]:
    """The same on `text.split()`, to the letter of its README: a paragraph of Chinese is one token."""
    return _rensa((text.split() for text in texts), tell)


def _rensa(token_lists: Iterator[list[str]], tell: Callable[[], None]) -> list[int]:
    from rensa import RMinHashDeduplicator

    engine = RMinHashDeduplicator(threshold=THRESHOLD, num_perm=128, use_lsh=True)
    tell()
    kept = engine.add_pairs((str(place), tokens) for place, tokens in enumerate(token_lists))
    return [place for place, keep in enumerate(kept) if not keep]


def datatrove(texts: Sequence[str], folder: Path, tell: Callable[[], None]) -> list[int]:
    """Its three MinHash steps: 14 buckets of 8, words by its English tokenizer; SHA-1, as its xxhash takes no str."""
    from datatrove.data import Document
    from datatrove.pipeline.dedup import MinhashDedupBuckets, MinhashDedupCluster, MinhashDedupSignature
    from datatrove.pipeline.dedup.minhash import MinhashConfig
    from datatrove.utils.hashing import HashConfig
    from loguru import logger

    logger.remove()
    config = MinhashConfig(hash_config=HashConfig(hash_fc="sha1"))
    sign = MinhashDedupSignature(str(folder / "signatures"), config, language="eng")
    sign.word_tokenizer.word_tokenize("warm 高血压")
    tell()
    sign.run((Document(text=text, id=str(place)) for place, text in enumerate(texts)), 0, 1)
    for bucket in range(14):
        MinhashDedupBuckets(str(folder / "signatures"), str(folder / "buckets"), config=config).run(None, bucket, 14)
    MinhashDedupCluster(str(folder / "buckets"), str(folder / "remove"), config=config).run(None, 0, 1)
    removed = folder / "remove" / "000000.remove"  # absent where nothing is
    return np.fromfile(removed, "<u4").tolist() if removed.exists() else []


ENGINES = {
    "onestage in memory": (in_memory, None, False),
    "onestage stages": (onestage, None, False),
    "datasketch loop": (datasketch_loop, "datasketch", True),
    "datasketch bulk": (datasketch_bulk, "datasketch", False),
    "rensa on shingles": (rensa, "rensa", False),
    "rensa on words, as its README": (rensa_words, "rensa", False),
    "datatrove": (datatrove, "datatrove", True),
}


def measure(name: str, folder: Path, count: int) -> None:
    """Run one engine in this process and print what it took."""
    texts = pq.read_table(folder / "texts.parquet")["text"].to_pylist()[:count]
    engine, _, slow = ENGINES[name]
    best: dict[str, object] = {}
    for repeat, part in enumerate([texts[:200], *[texts] * (1 if slow else 3)]):
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            began = [0.0]
            Path("/proc/self/clear_refs").write_text("5")
            dropped = engine(part, Path(scratch), lambda began=began: began.__setitem__(0, time.process_time()))
            seconds = time.process_time() - began[0]
        if repeat and seconds < float(str(best.get("seconds", "inf"))):
            status = Path("/proc/self/status").read_text()
            peak = int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) / 1024
            best = {"seconds": seconds, "peak": peak, "dropped": dropped}
    print(json.dumps(best))


def main() -> None:
    """Print a Markdown table of all engines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passages", type=int, default=42_000)
    parser.add_argument("--slow", type=int, default=4_000, help="passages for loops of Python")
    parser.add_argument("--only", default="", help="engines, separated by commas")
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(arguments.measure[0], Path(arguments.measure[1]), arguments.passages)
        return
    with tempfile.TemporaryDirectory() as folder:
        _compare(Path(folder), arguments)


def _compare(folder: Path, arguments: argparse.Namespace) -> None:
    texts = with_copies(real_texts(arguments.data, folder / "real"), arguments.passages, seed=0)
    origin = "real corpora"
    if len(texts) < 0.9 * arguments.passages:
        texts, origin = with_copies(made_up_texts(0), arguments.passages, seed=0), "made up"
    size = sum(len(text.encode()) for text in texts)
    pq.write_table(pa.table({"text": pa.array(texts, pa.large_string())}), folder / "texts.parquet")
    pairs = true_pairs(texts)
    print(f"{len(texts):,} passages, {size / 1e6:.1f} MB ({origin}), {len(pairs):,} true pairs\n")
    print("| Engine | passages | passages/CPU-s | in memory / stages are | peak MiB | recall | precision |")
    print("|---|---|---|---|---|---|---|")
    ours: list[float] = []
    for name, (_, module, slow) in ENGINES.items():
        if arguments.only and name.split()[0] not in arguments.only.split(","):
            continue
        if module and importlib.util.find_spec(module) is None:
            print(f"| {name} | not installed: pip install -e .[bench] | | | | | |")
            continue
        count = min(arguments.slow, len(texts)) if slow else len(texts)
        command = [
            sys.executable,
            "-m",
            "benchmarks.bench_dedup",
            "--measure",
            name,
            str(folder),
            "--passages",
            str(count),
        ]
        one_thread = {"OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1", "ARROW_NUM_THREADS": "1"}
        ran = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **one_thread}, check=False)
        if ran.returncode:
            print(f"| {name} | failed: {ran.stderr.strip().splitlines()[-1][:200]} | | | | | |")
            continue
        found = json.loads(ran.stdout.splitlines()[-1])
        dropped, within = np.array(found["dropped"], np.int64), pairs[pairs.max(axis=1, initial=0) < count]
        recall = np.isin(within, dropped).any(axis=1).mean() if len(within) else 1.0
        precision = np.isin(dropped, within).mean() if len(dropped) else 1.0
        rate = count / found["seconds"]
        ours += [rate] if name.startswith("onestage") else []
        times = " / ".join(f"{own / rate:.1f}x" for own in ours)
        print(
            f"| {name} | {count:,} | {rate:,.0f} | {times} | {found['peak']:,.0f} | {recall:.4f} | {precision:.4f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
