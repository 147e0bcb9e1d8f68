"""Find made pairs whose question an earlier passage's pair asks already.

Reads Example. The same question with another answer teaches two answers to one prompt. Bands of MinHash (minhash.py)
propose pairs of questions; the Jaccard similarity of their letters decides, unless they name different drugs or
diseases, numbers or types: 甲型肝炎 and 乙型肝炎 differ in one letter. Of those that are one the first stays.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.bands import join
from pipeline.letters import Fold, buffers_of
from pipeline.minhash import jaccard_of, sketch_texts
from unify.checks.names import names_in

NGRAM = 3  # letters of a shingle; questions are short
BANDS, ROWS = 12, 4  # propose a pair of similarity 0.7 with probability 1 - (1 - 0.7^4)^12 = 0.96, of 0.8 with 0.998
# What tells two questions apart in one letter: numbers, types, opposites.
TELLING = re.compile(r"\d+(?:\.\d+)?|(?<![a-z])(?:[b-z]|[ivx]+)(?![a-z])|[一二三四五六七八九十甲乙丙丁戊高低急慢左右]")

Read = Callable[[], Iterator[tuple[Sequence[str], Sequence[str]]]]


def question_of(messages: Sequence[Mapping[str, Any]]) -> str:
    """Return the first thing that the user of a dialogue says, "" if there is none."""
    return next((message["content"] for message in messages if message["role"] == "user"), "")


def repeated_questions(read: Read, min_jaccard: float, folds: tuple[Fold, ...]) -> dict[str, str]:
    """Return, by id, the rows whose question a row before them asks, with that row's id and the similarity to it.

    In memory: 104 bytes a row, and the questions that are proposed.

    Args:
        read: yields ids and questions, part by part, the same at each call; how they are cut does not matter.
    """
    parts = [np.zeros((0, BANDS + 1), np.uint64)]
    for _, questions in read():
        texts = pa.chunked_array([questions], pa.string())
        keys_NB, _, digests_N2 = sketch_texts(texts, ngram=NGRAM, bands=BANDS, rows=ROWS, seed=0, folds=folds)
        parts.append(np.column_stack([keys_NB, digests_N2[:, 0]]))
    num_rows, pairs_M2 = sum(map(len, parts)), _proposed(np.concatenate(parts))
    rows, places = np.unique(pairs_M2, return_inverse=True)
    chosen = set(rows.tolist())
    found = [
        one
        for number, one in enumerate((id, text) for ids, texts in read() for id, text in zip(ids, texts, strict=True))
        if number in chosen
    ]
    places_M2 = places.reshape(-1, 2)
    data, offsets = buffers_of(pa.array([text for _, text in found], pa.string()))
    subjects = [_subject(text) for _, text in found]
    same = np.array([subjects[left] == subjects[right] for left, right in places_M2.tolist()], np.bool_)
    near = same & (jaccard_of(data, offsets, places_M2, NGRAM, folds) >= min_jaccard)
    groups = np.arange(num_rows, dtype=np.uint32)
    join(groups, pairs_M2[near])
    place_of = {row: place for place, row in enumerate(rows.tolist())}
    dropped = [row for row in rows.tolist() if groups[row] != row]
    kept = [place_of[int(groups[row])] for row in dropped]
    compared = np.array([[stay, place_of[row]] for stay, row in zip(kept, dropped, strict=True)], np.int64).reshape(
        -1, 2
    )
    similar = jaccard_of(data, offsets, compared, NGRAM, folds)
    return {
        found[place][0]: f"asked by {found[stay][0]}, jaccard {jaccard:.2f}"
        for (stay, place), jaccard in zip(compared.tolist(), similar.tolist(), strict=True)
    }


def _proposed(keys_NB: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return (M, 2) pairs of rows, the earlier first, that share a key: with the first of their bucket and the last."""
    pairs = [np.zeros((0, 2), np.int64)]
    for keys in keys_NB.T:
        order = np.argsort(keys, kind="stable")
        again = np.append(False, keys[order][1:] == keys[order][:-1])[: len(order)]
        here = np.flatnonzero(again)
        first = np.maximum.accumulate(np.where(again, 0, np.arange(len(order))))[here]
        pairs += [np.column_stack([order[before], order[here]]) for before in (here - 1, first)]
    return np.unique(np.concatenate(pairs), axis=0)


def _subject(question: str) -> tuple[frozenset[str], frozenset[str]]:
    """Return what must be the same in two questions that are one: names, numbers and types."""
    names = frozenset(name.same[0] for name in names_in(question))
    return names, frozenset(TELLING.findall(question.lower()))
