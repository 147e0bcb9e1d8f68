"""Read packed rows in their stored order, and cut the rows of one optimizer step into micro-batches.

Reads PackedSequence: rows of the split "train" first, then "heldout". Every rank reads all rows of a step, so that
counts of target tokens need no communication. Legend: N rows, T tokens a row, E examples in these rows.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.records import IGNORE_INDEX, KINDS
from pipeline.shards import ContractError, Shard, shards_of
from training.isolation import positions_of


@dataclass(frozen=True)
class Rows:
    """N packed rows as arrays. `example_NT` counts through the E examples; -1 is padding."""

    input_ids_NT: NDArray[np.int64]
    labels_NT: NDArray[np.int64]
    positions_NT: NDArray[np.int64]
    example_NT: NDArray[np.int32]
    example_ids: list[str]  # E
    kind_E: NDArray[np.int64]  # index into KINDS
    source_E: NDArray[np.int64]  # index into PackedRows.sources
    epoch_E: NDArray[np.int64]  # which copy of its example, from 0

    @property
    def targets_N(self) -> NDArray[np.int64]:
        """Target tokens of each row: labels behind the first that are not IGNORE_INDEX."""
        targets_N: NDArray[np.int64] = (self.labels_NT[:, 1:] != IGNORE_INDEX).sum(1)
        return targets_N

    @property
    def tokens(self) -> int:
        """Tokens of examples, padding left out."""
        return int((self.example_NT >= 0).sum())

    def target_examples(self) -> NDArray[np.int32]:
        """The example of each target token, in row order."""
        examples: NDArray[np.int32] = self.example_NT[:, 1:][self.labels_NT[:, 1:] != IGNORE_INDEX]
        return examples

    @property
    def targets_E(self) -> NDArray[np.int64]:
        """Target tokens of each example."""
        targets_E: NDArray[np.int64] = np.bincount(self.target_examples(), minlength=len(self.example_ids))
        return targets_E

    def sum_by_example(self, losses_N: NDArray[np.float64]) -> NDArray[np.float64]:
        """Add up the losses of the target tokens, in row order, by example: (E,) sums."""
        return np.asarray(np.bincount(self.target_examples(), losses_N, len(self.example_ids)), np.float64)

    def last_targets(self) -> set[int]:
        """The tokens with which examples end, as far as they are targets."""
        last_NT = np.diff(self.example_NT, append=-2) != 0
        return set(self.labels_NT[last_NT].tolist()) - {IGNORE_INDEX}

    def part(self, start: int, stop: int) -> "Rows":
        """Rows `start` to `stop`; one row of two padding tokens if there are none."""
        if start >= len(self.labels_NT):
            nothing = np.zeros((1, 2), np.int64)
            return Rows(
                nothing,
                nothing + IGNORE_INDEX,
                nothing + np.arange(2),
                nothing.astype(np.int32) - 1,
                self.example_ids,
                self.kind_E,
                self.source_E,
                self.epoch_E,
            )
        cut = slice(start, stop)
        return Rows(
            self.input_ids_NT[cut],
            self.labels_NT[cut],
            self.positions_NT[cut],
            self.example_NT[cut],
            self.example_ids,
            self.kind_E,
            self.source_E,
            self.epoch_E,
        )


class PackedRows:
    """The rows of a pack directory by their global number. Holds one part in memory at a time."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.shards: list[Shard] = shards_of(directory)
        self.starts = np.cumsum([0, *(shard.num_rows for shard in self.shards)])
        splits, sources = [], set[str]()
        for shard in self.shards:
            rows = shard.read(["split", "sources"])
            splits.append(pc.equal(rows["split"], "train").to_numpy())
            sources.update(pc.unique(pc.list_flatten(rows["sources"])).to_pylist())
        train = np.concatenate(splits) if splits else np.zeros(0, bool)
        self.sources = sorted(sources)
        self.num_rows, self.num_train = len(train), int(train.sum())
        if not self.num_train:
            raise ContractError(f"{directory}: got no rows of the split train, expected at least one")
        if not train[: self.num_train].all():
            raise ContractError(
                f"{directory}: row {int(train.argmin())} is not of the split train, expected those first"
            )
        self._held: tuple[int, pa.Table] | None = None
        self.row_tokens = len(self._table(0, 1)["input_ids"][0])

    def read(self, start: int, stop: int, *, vocabulary: int) -> Rows:
        """Read rows `start` to `stop`.

        Raises:
            ContractError: lengths that differ, a token outside the vocabulary, a label where none may be.
        """
        table = self._table(start, stop)
        where = f"{self.directory}: rows {start} to {stop - 1}"
        lengths = table["seq_lens"].to_pylist()
        shape = (table.num_rows, self.row_tokens)
        flat = {name: pc.list_flatten(table[name]).to_numpy() for name in ("input_ids", "labels")}
        for name, tokens in flat.items():
            if len(tokens) != shape[0] * shape[1]:
                raise ContractError(f"{where}: got {len(tokens)} {name}, expected {shape[0]} times {shape[1]}")
        ids, labels_NT = flat["input_ids"], flat["labels"].astype(np.int64).reshape(shape)
        if ids.min() < 0 or ids.max() >= vocabulary:
            raise ContractError(
                f"{where}: got token {ids.min() if ids.min() < 0 else ids.max()}, expected 0 to {vocabulary - 1}"
            )
        example_NT = np.full(shape, -1, np.int32)
        count = 0
        for row, row_lengths in enumerate(lengths):
            example_NT[row, : sum(row_lengths)] = np.repeat(np.arange(count, count + len(row_lengths)), row_lengths)
            count += len(row_lengths)
        positions_NT = positions_of(lengths, self.row_tokens)
        if (labels_NT[(positions_NT == 0) | (example_NT < 0)] != IGNORE_INDEX).any():
            raise ContractError(f"{where}: got a label on padding or an example's first token, expected {IGNORE_INDEX}")
        return Rows(
            ids.astype(np.int64).reshape(shape),
            labels_NT,
            positions_NT,
            example_NT,
            list(chain.from_iterable(table["example_ids"].to_pylist())),
            np.array([KINDS.index(kind) for kind in chain.from_iterable(table["kinds"].to_pylist())], np.int64),
            np.searchsorted(self.sources, list(chain.from_iterable(table["sources"].to_pylist()))),
            np.array(list(chain.from_iterable(table["epochs"].to_pylist())), np.int64),
        )

    def _table(self, start: int, stop: int) -> pa.Table:
        pieces = []
        for index in range(int(np.searchsorted(self.starts, start, "right")) - 1, len(self.shards)):
            if self.starts[index] >= stop:
                break
            if self._held is None or self._held[0] != index:
                self._held = (index, self.shards[index].read())
            first = max(start - int(self.starts[index]), 0)
            pieces.append(self._held[1].slice(first, stop - int(self.starts[index]) - first))
        return pa.concat_tables(pieces)


def micro_batches(
    rows: Rows, *, rank: int, world: int, micro_batch_rows: int, chunk_targets: int, count: int
) -> Iterator[tuple[Rows, int]]:
    """Yield a rank's `count` micro-batches of a step's rows, each with the chunks its logits are computed in.

    Micro-batch i of all ranks together is one run of rows, and rank r has the r-th piece of it. Where rows run out
    a rank gets padding, so that all ranks compute as often.
    """
    for start in range(0, count * world * micro_batch_rows, world * micro_batch_rows):
        targets = rows.targets_N[start : start + world * micro_batch_rows]
        most = max(
            (int(targets[at : at + micro_batch_rows].sum()) for at in range(0, len(targets), micro_batch_rows)),
            default=0,
        )
        mine = start + rank * micro_batch_rows
        yield rows.part(mine, mine + micro_batch_rows), max(1, -(-most // chunk_targets))
