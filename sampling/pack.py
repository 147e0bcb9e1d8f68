"""Pack examples into rows of a fixed number of tokens, in priority order.

Reads Order and Encoded, writes PackedSequence. Online best fit over a window of open rows: an example goes into the
fullest row of the window that has room; if none has, the oldest row is closed and a new one opened.

Rows come out in the order in which they were opened, so an example can come before one that precedes it in the order
only if their rows are fewer than `open_rows` apart. Padding of rows of 4,096 tokens with examples of 241 tokens on
average is about 0.2% with 32 open rows (log-normal lengths; the last rows, which nothing comes to fill, not counted).

In memory: 8 bytes an encoded row, the window, and one part. Tokens wait in scratch files.
"""

import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
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

    folder: Path  # ids.bin and labels.bin, int32
    shard_starts: NDArray[np.int64]  # (shards + 1,) number of each shard's first row
    starts: NDArray[np.int64]  # (N + 1,) where each row's tokens begin


class Placed(NamedTuple):
    """An example to be packed: its number among the encoded rows, and what its training row says of it."""

    number: int
    tokens: int
    id: str
    kind: str
    source: str
    epoch: int


def pack_sequences(inputs: Mapping[str, Sequence[Shard]], config: PackConfig, scratch: Path) -> Iterator[pa.Table]:
    """Pack every position of "prioritize" once, then the held-out rows of "encode" once, in rows of their own.

    Yields:
        PackedSequence plus empty drop columns, PART_ROWS rows of T = `row_tokens` tokens a table; first all rows with
        split "train", then those with "heldout", whose epoch is 0. `seq_lens` cover the examples; what remains of T is
        padding, with IGNORE_INDEX as labels.

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
        yield mark(_packed(part, config, tokens), {})


def fill_rows(examples: Iterable[Placed], *, row_tokens: int, open_rows: int) -> Iterator[list[Placed]]:
    """Lay examples of at most `row_tokens` tokens into rows by best fit over the last `open_rows` rows opened.

    Yields:
        The examples of each row, in their order; rows in the order in which they were opened.
    """
    window: deque[list[Placed]] = deque()
    free: deque[int] = deque()  # tokens left in each row of the window
    for example in examples:
        room = min((left for left in free if left >= example.tokens), default=None)
        if room is None:
            if len(window) == open_rows:
                free.popleft()
                yield window.popleft()
            window.append([])
            free.append(room := row_tokens)
        place = free.index(room)
        free[place] -= example.tokens
        window[place].append(example)
    yield from window


def _lay_out(shards: Sequence[Shard], folder: Path) -> Tokens:
    """Write all tokens and labels end to end, unless a killed run has done so."""
    shard_starts = np.concatenate([[0], np.cumsum([shard.num_rows for shard in shards], dtype=np.int64)])
    if not folder.exists():
        unfinished = folder.with_name("." + folder.name)
        unfinished.mkdir(exist_ok=True)
        lengths = [np.zeros(1, np.int64)]
        for column, name in (("input_ids", "ids.bin"), ("labels", "labels.bin")):
            with (unfinished / name).open("wb") as file:
                for shard in shards:
                    for tokens in shard.read([column])[column].chunks:
                        tokens.flatten().to_numpy().tofile(file)
                        if column == "input_ids":
                            lengths.append(pc.list_value_length(tokens).to_numpy().astype(np.int64))
        np.save(unfinished / "starts.npy", np.cumsum(np.concatenate(lengths)))
        unfinished.rename(folder)
    return Tokens(folder, shard_starts, np.load(folder / "starts.npy"))


def _ordered(shards: Sequence[Shard], tokens: Tokens) -> Iterator[Placed]:
    for shard in shards:
        for order in shard.read().to_batches(max_chunksize=ORDERED_AT_ONCE):
            numbers = tokens.shard_starts[order["shard"].to_numpy()] + order["row"].to_numpy()
            lengths = tokens.starts[numbers + 1] - tokens.starts[numbers]
            told = (order[name].to_pylist() for name in ("example_id", "kind", "source", "epoch"))
            yield from map(Placed, numbers.tolist(), lengths.tolist(), *told)


def _held_out(shards: Sequence[Shard], tokens: Tokens) -> Iterator[Placed]:
    for first, shard in zip(tokens.shard_starts.tolist(), shards, strict=False):
        encoded = shard.read(["example_id", "kind", "source", "split"])
        columns = (encoded[name].to_pylist() for name in ("example_id", "kind", "source", "split"))
        for number, (id, kind, source, split) in enumerate(zip(*columns, strict=True), start=first):
            if split == "heldout":
                yield Placed(number, int(tokens.starts[number + 1] - tokens.starts[number]), id, kind, source, 0)


def _checked(examples: Iterable[Placed], row_tokens: int) -> Iterator[Placed]:
    for example in examples:
        if not 0 < example.tokens <= row_tokens:
            raise ContractError(f"pack {example.id}: got {example.tokens} tokens, expected 1 to {row_tokens}")
        yield example


def _packed(part: Sequence[tuple[str, list[Placed]]], config: PackConfig, tokens: Tokens) -> pa.Table:
    """Gather the tokens of N rows, (N, T)."""
    ids_NT = np.full((len(part), config.row_tokens), config.pad_token_id, np.int32)
    labels_NT = np.full((len(part), config.row_tokens), IGNORE_INDEX, np.int32)
    with (tokens.folder / "ids.bin").open("rb") as ids_file, (tokens.folder / "labels.bin").open("rb") as labels_file:
        for row, (_, examples) in enumerate(part):
            at = 0
            for example in examples:
                place = (4 * example.tokens, 4 * int(tokens.starts[example.number]))
                span = slice(at, at + example.tokens)
                ids_NT[row, span] = np.frombuffer(os.pread(ids_file.fileno(), *place), np.int32)
                labels_NT[row, span] = np.frombuffer(os.pread(labels_file.fileno(), *place), np.int32)
                if labels_NT[row, at] != IGNORE_INDEX:
                    raise ContractError(f"pack {example.id}: its first token has a label, expected {IGNORE_INDEX}")
                at += example.tokens
    rows = [examples for _, examples in part]
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
