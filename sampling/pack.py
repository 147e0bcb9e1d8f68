"""Pack examples into rows of a fixed number of tokens, in priority order.

Reads Order and Encoded, writes PackedSequence. Online best fit over a window of open rows: an example goes into the
fullest row of the window that has room; if none has, the oldest row is closed and a new one opened.

Rows come out in the order in which they were opened, so an example can come before one that precedes it in the order
only if their rows are fewer than `open_rows` apart: its displacement is how many rows it lies before the newest.
Padding of rows of 4,096 tokens with examples of 241 tokens on average is about 0.2% with 32 open rows (log-normal
lengths; the last rows, which nothing comes to fill, not counted).

In memory: one shard, the window, and one part, whatever the number of rows. Tokens wait in scratch files.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit, types
from numpy.typing import NDArray
from pydantic import Field

from pipeline.recipe import Config
from pipeline.records import IGNORE_INDEX, PACKED_SEQUENCE, mark
from pipeline.shards import ContractError, Shard

PART_ROWS = 1024
ORDERED_AT_ONCE = 4096  # positions held as Python objects


class PackConfig(Config):
    """The form of a training row."""

    row_tokens: int = Field(default=4096, ge=2, description="filled from [encode] max_tokens")
    open_rows: int = Field(default=32, ge=1, description="rows that wait for examples that fit")
    pad_token_id: int = Field(default=0, ge=0, description="any id: padding is isolated and has no labels")


@dataclass(frozen=True)
class Tokens:
    """The tokens of N encoded rows, end to end in two files."""

    folder: Path  # ids.bin and labels.bin, int32; starts.bin, (N + 1,) int64: where each row's tokens begin
    shard_starts: NDArray[np.int64]  # (shards + 1,) number of each shard's first row


class Placed(NamedTuple):
    """An example to be packed: where its tokens begin in the files, and what its training row says of it."""

    start: int
    tokens: int
    id: str
    kind: str
    source: str
    epoch: int


class Filled(NamedTuple):
    """The examples of a row, and how many rows each of them lies before the newest that was open then."""

    examples: list[Placed]
    ahead: list[int]


def pack_sequences(inputs: Mapping[str, Sequence[Shard]], config: PackConfig, scratch: Path) -> Iterator[pa.Table]:
    """Pack every position of "prioritize" once, then the held-out rows of "encode" once, in rows of their own.

    Yields:
        PackedSequence plus empty drop columns, PART_ROWS rows of T = `row_tokens` tokens a table; first all rows with
        split "train", then those with "heldout", whose epoch is 0. `seq_lens` cover the examples; what remains of T is
        padding, with IGNORE_INDEX as labels. Padding and displacement of the train rows are the table's figures.

    Raises:
        ContractError: an example has more than `row_tokens` tokens, or its first token a label.
    """
    tokens = _lay_out(inputs["encode"], scratch / "tokens")
    sides = {"train": _ordered(inputs["prioritize"], tokens), "heldout": _held_out(inputs["encode"], tokens)}
    rows = (
        (split, row)
        for split, examples in sides.items()
        for row in fill_rows(
            _checked(examples, config.row_tokens), row_tokens=config.row_tokens, open_rows=config.open_rows
        )
    )
    while part := list(islice(rows, PART_ROWS)):
        figures = json.dumps(_figures(part, config.row_tokens))
        yield mark(_packed(part, config, tokens), {}).replace_schema_metadata({"figures": figures})


def fill_rows(examples: Iterable[Placed], *, row_tokens: int, open_rows: int) -> Iterator[Filled]:
    """Lay examples of at most `row_tokens` tokens into rows by best fit over the last `open_rows` rows opened.

    Yields:
        The examples of each row, in their order; rows in the order in which they were opened.
    """
    free_W, opened, closed = np.zeros(open_rows, np.int64), 0, 0
    window: dict[int, Filled] = {}
    coming = iter(examples)
    while batch := list(islice(coming, ORDERED_AT_ONCE)):
        lengths = np.fromiter((example.tokens for example in batch), np.int64, len(batch))
        row_E, newest_E = plan_rows(lengths, free_W, opened, row_tokens)
        for example, row, newest in zip(batch, row_E.tolist(), newest_E.tolist(), strict=True):
            filled = window.setdefault(row, Filled([], []))
            filled.examples.append(example)
            filled.ahead.append(newest - row)
        opened = int(newest_E[-1]) + 1
        while closed < opened - open_rows:
            yield window.pop(closed)
            closed += 1
    yield from window.values()


_COUNTS = types.int64[::1]


@njit(types.Tuple((_COUNTS, _COUNTS))(_COUNTS, _COUNTS, types.int64, types.int64), nogil=True, cache=True)  # type: ignore[no-untyped-call]
def plan_rows(
    tokens_E: NDArray[np.int64], free_W: NDArray[np.int64], opened: int, row_tokens: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Choose a row for each of E examples: the fullest with room of the last W opened, the oldest of such; else a new.

    Args:
        free_W: tokens left in the rows of the window, row r at place r modulo W; changed as rows fill.
        opened: rows opened so far; those of the window are the last W of them.

    Returns:
        (E,) the row of each example, and the newest row open when it was laid down.
    """
    row_E, newest_E = np.empty_like(tokens_E), np.empty_like(tokens_E)
    for example in range(tokens_E.size):
        best, room = -1, row_tokens + 1
        for row in range(max(opened - free_W.size, 0), opened):
            left = free_W[row % free_W.size]
            if tokens_E[example] <= left < room:
                best, room = row, left
        if best < 0:
            best, opened = opened, opened + 1
            free_W[best % free_W.size] = row_tokens
        free_W[best % free_W.size] -= tokens_E[example]
        row_E[example], newest_E[example] = best, opened - 1
    return row_E, newest_E


def _figures(part: Sequence[tuple[str, Filled]], row_tokens: int) -> dict[str, int]:
    """Count what a card says of the packed train rows; what ends in `_max` is a maximum, the rest are sums."""
    rows = [filled for split, filled in part if split == "train"]
    tokens = sum(example.tokens for row in rows for example in row.examples)
    ahead = list(chain.from_iterable(row.ahead for row in rows))
    return {
        "train_rows": len(rows),
        "train_examples": len(ahead),
        "train_padding_tokens": row_tokens * len(rows) - tokens,
        "train_displaced_rows": sum(ahead),
        "train_displaced_rows_max": max(ahead, default=0),
    }


def _lay_out(shards: Sequence[Shard], folder: Path) -> Tokens:
    """Write all tokens and labels end to end, unless a killed run has done so."""
    shard_starts = np.concatenate([[0], np.cumsum([shard.num_rows for shard in shards], dtype=np.int64)])
    if not folder.exists():
        unfinished = folder.with_name("." + folder.name)
        unfinished.mkdir(exist_ok=True)
        with (unfinished / "starts.bin").open("wb") as file:
            last = np.zeros(1, np.int64)
            last.tofile(file)
            for shard in shards:
                ends = last[-1] + np.cumsum(pc.list_value_length(shard.read(["input_ids"])["input_ids"]).to_numpy())
                last = np.concatenate([last[-1:], ends.astype(np.int64)])
                last[1:].tofile(file)
        for column, name in (("input_ids", "ids.bin"), ("labels", "labels.bin")):
            with (unfinished / name).open("wb") as file:
                for shard in shards:
                    for tokens in shard.read([column])[column].chunks:
                        tokens.flatten().to_numpy().tofile(file)
        unfinished.rename(folder)
    return Tokens(folder, shard_starts)


def _spans(tokens: Tokens, numbers: NDArray[np.int64]) -> tuple[list[int], list[int]]:
    """Return where the tokens of encoded rows begin, and how many they are."""
    with (tokens.folder / "starts.bin").open("rb") as file:
        found = b"".join(os.pread(file.fileno(), 16, 8 * number) for number in numbers.tolist())
    start_N, end_N = np.frombuffer(found, np.int64).reshape(-1, 2).T
    return start_N.tolist(), (end_N - start_N).tolist()


def _ordered(shards: Sequence[Shard], tokens: Tokens) -> Iterator[Placed]:
    for shard in shards:
        for order in shard.read().to_batches(max_chunksize=ORDERED_AT_ONCE):
            numbers = tokens.shard_starts[order["shard"].to_numpy()] + order["row"].to_numpy()
            told = (order[name].to_pylist() for name in ("example_id", "kind", "source", "epoch"))
            yield from map(Placed, *_spans(tokens, numbers), *told)


def _held_out(shards: Sequence[Shard], tokens: Tokens) -> Iterator[Placed]:
    for first, shard in zip(tokens.shard_starts.tolist(), shards, strict=False):
        encoded = shard.read(["example_id", "kind", "source", "split"])
        places = np.flatnonzero(pc.equal(encoded["split"], "heldout").to_numpy())
        told = (encoded[name].take(places).to_pylist() for name in ("example_id", "kind", "source"))
        yield from map(Placed, *_spans(tokens, first + places), *told, [0] * len(places))


def _checked(examples: Iterable[Placed], row_tokens: int) -> Iterator[Placed]:
    for example in examples:
        if not 0 < example.tokens <= row_tokens:
            raise ContractError(f"pack {example.id}: got {example.tokens} tokens, expected 1 to {row_tokens}")
        yield example


def _packed(part: Sequence[tuple[str, Filled]], config: PackConfig, tokens: Tokens) -> pa.Table:
    """Gather the tokens of N rows, (N, T)."""
    ids_NT = np.full((len(part), config.row_tokens), config.pad_token_id, np.int32)
    labels_NT = np.full((len(part), config.row_tokens), IGNORE_INDEX, np.int32)
    with (tokens.folder / "ids.bin").open("rb") as ids_file, (tokens.folder / "labels.bin").open("rb") as labels_file:
        for row, (_, filled) in enumerate(part):
            at = 0
            for example in filled.examples:
                place = (4 * example.tokens, 4 * example.start)
                span = slice(at, at + example.tokens)
                ids_NT[row, span] = np.frombuffer(os.pread(ids_file.fileno(), *place), np.int32)
                labels_NT[row, span] = np.frombuffer(os.pread(labels_file.fileno(), *place), np.int32)
                if labels_NT[row, at] != IGNORE_INDEX:
                    raise ContractError(f"pack {example.id}: its first token has a label, expected {IGNORE_INDEX}")
                at += example.tokens
    rows = [filled.examples for _, filled in part]
    columns = {
        "split": [split for split, _ in part],
        "input_ids": _as_lists(ids_NT),
        "labels": _as_lists(labels_NT),
        "seq_lens": [[example.tokens for example in row] for row in rows],
        "example_ids": [[example.id for example in row] for row in rows],
        "kinds": [[example.kind for example in row] for row in rows],
        "sources": [[example.source for example in row] for row in rows],
        "epochs": [[example.epoch for example in row] for row in rows],
    }
    arrays = [pa.array(columns[name], PACKED_SEQUENCE.field(name).type) for name in PACKED_SEQUENCE.names]
    return pa.table(arrays, schema=PACKED_SEQUENCE)


def _as_lists(array_NT: NDArray[np.int32]) -> pa.Array:
    offsets = np.arange(len(array_NT) + 1, dtype=np.int32) * array_NT.shape[1]
    return pa.ListArray.from_arrays(offsets, array_NT.ravel())
