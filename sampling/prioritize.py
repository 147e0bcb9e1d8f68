"""Prioritize examples: the training order, by priority sampling without replacement.

Reads Encoded (of the train split), writes Order. A priority says how early, not how much. The sequence of groups
follows the law of law.py over rows x epochs slots; the rows that fill a group's slots are whole permutations one after
another, so that each row is used once before any is used twice. A permutation is the order of a hash of (seed, epoch,
id), so that neither the order of rows nor other rows move a row.

In memory: one shard, one part, and BUCKET_ROWS x 32 bytes a group, whatever the number of rows. On disk while it runs:
32 bytes a slot in buckets by hash, each sorted when its turn comes, and the ids.

Shapes: N rows of a shard, P positions of a part, K groups.
"""

import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.records import ORDER, mark, uniform
from pipeline.shards import Shard
from sampling.law import draw_groups
from sampling.order import Origin, Plan, origins_of, plan_order
from sampling.order import PrioritizeConfig as PrioritizeConfig

PART_POSITIONS = 1 << 17
STATE_POSITIONS = 1 << 20  # positions between two states on disk
BUCKET_ROWS = 1 << 17  # rows of a permutation that are sorted at a time, on average
SLOT = np.dtype(
    [("draw", "f8"), ("shard", "i4"), ("row", "i4"), ("id_start", "i8"), ("id_bytes", "i4"), ("origin", "i4")]
)


def prioritize_examples(
    inputs: Mapping[str, Sequence[Shard]], config: PrioritizeConfig, scratch: Path, first_part: int = 0
) -> Iterator[pa.Table]:
    """Order the rows of "encode" that are for training, each as often as it has epochs.

    Args:
        first_part: the table to begin with, for those before it have been made.

    Yields:
        Order plus empty drop columns, PART_POSITIONS positions a table. `shard` and `row` say where in "encode" a row
        stands; they alone depend on how its rows are spread over shards.

    Raises:
        RecipeError: a name is neither a kind nor a source or style with rows here, or rows have no priority or stage.
    """
    rows, tokens = count_origins(inputs["encode"], with_tokens=config.tokens is not None)
    plan = plan_order(rows, config, tokens)
    permutations = Permutations(inputs["encode"], plan, config.seed, scratch)
    origins = list(plan.group_of)
    position, left_K = _state_at(first_part * PART_POSITIONS, plan, config.seed, scratch / "states.bin")
    with (scratch / "ids.bin").open("rb") as ids_file:
        while position < plan.law.num_slots:
            if position % STATE_POSITIONS == 0:
                _keep_state(position, left_K, scratch / "states.bin")
            drawn_K = plan.law.slots_K - left_K
            groups_P = draw_groups(plan.law, left_K, PART_POSITIONS, seed=config.seed)
            slots_P, epoch_P = np.empty(len(groups_P), SLOT), np.empty(len(groups_P), np.int32)
            for group in np.unique(groups_P).tolist():
                places = np.flatnonzero(groups_P == group)
                numbers = int(drawn_K[group]) + np.arange(len(places))
                slots_P[places] = permutations.slots(group, int(numbers[0]), int(numbers[-1]) + 1)
                epoch_P[places] = numbers // plan.rows_K[group]
            yield mark(_order(slots_P, epoch_P, position, origins, ids_file), {})
            position += len(groups_P)


def count_origins(
    shards: Sequence[Shard], *, with_tokens: bool
) -> tuple[dict[Origin, int], dict[Origin, float] | None]:
    """Count the rows for training by origin, and their tokens where asked for."""
    rows: Counter[Origin] = Counter()
    tokens: Counter[Origin] = Counter()
    for shard in shards:
        encoded = shard.read([*Origin._fields, "split", *(["input_ids"] if with_tokens else [])])
        train = encoded.filter(pc.equal(encoded["split"], "train"))
        origins = origins_of(train)
        rows.update(origins)
        if with_tokens:
            for origin, length in zip(origins, pc.list_value_length(train["input_ids"]).to_pylist(), strict=True):
                tokens[origin] += length
    ordered = dict(sorted(rows.items()))
    return ordered, {origin: float(tokens[origin]) for origin in ordered} if with_tokens else None


class Permutations:
    """The rows of each group in the order of each epoch's hash, sorted bucket by bucket as they are asked for."""

    def __init__(self, shards: Sequence[Shard], plan: Plan, seed: int, scratch: Path) -> None:
        self.folder = scratch / "slots"
        self.epochs = [-(-int(slots) // int(rows)) for slots, rows in zip(plan.law.slots_K, plan.rows_K, strict=True)]
        self.buckets = [-(-int(rows) // BUCKET_ROWS) for rows in plan.rows_K]
        if not self.folder.exists():
            unfinished = self.folder.with_name("." + self.folder.name)
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            self._scatter(shards, plan, seed, unfinished, scratch / "ids.bin")
            unfinished.rename(self.folder)
        self.starts = [
            np.cumsum([0, *(self._size(self._path(self.folder, group, *place)) for place in self._places(group))])
            for group in range(len(plan.names))
        ]
        self._sorted: dict[int, tuple[int, NDArray[np.void]]] = {}  # group -> bucket in use, its slots in order

    def slots(self, group: int, start: int, stop: int) -> NDArray[np.void]:
        """Return slots `start` to `stop` of a group, counted through its epochs."""
        found = []
        starts = self.starts[group]
        for bucket in range(int(np.searchsorted(starts, start, "right")) - 1, len(starts) - 1):
            if starts[bucket] >= stop:
                break
            first = int(starts[bucket])
            found.append(self._bucket(group, bucket)[max(start - first, 0) : stop - first])
        return np.concatenate(found)

    def _bucket(self, group: int, bucket: int) -> NDArray[np.void]:
        if self._sorted.get(group, (-1,))[0] != bucket:
            slots = np.fromfile(self._path(self.folder, group, *self._places(group)[bucket]), SLOT)
            self._sorted[group] = (bucket, slots[np.argsort(slots["draw"], kind="stable")])
        return self._sorted[group][1]

    def _places(self, group: int) -> list[tuple[int, int]]:
        return [(epoch, bucket) for epoch in range(self.epochs[group]) for bucket in range(self.buckets[group])]

    @staticmethod
    def _path(folder: Path, group: int, epoch: int, bucket: int) -> Path:
        return folder / f"{group}-{epoch}-{bucket}.bin"

    @staticmethod
    def _size(path: Path) -> int:
        return path.stat().st_size // SLOT.itemsize if path.exists() else 0

    def _scatter(self, shards: Sequence[Shard], plan: Plan, seed: int, folder: Path, ids_path: Path) -> None:
        origins = {origin: number for number, origin in enumerate(plan.group_of)}
        group_of_origin = np.array(list(plan.group_of.values()), np.int64)
        with ids_path.open("wb") as ids_file:
            for number, shard in enumerate(shards):
                encoded = shard.read(["example_id", *Origin._fields, "split"])
                rows = np.flatnonzero(pc.equal(encoded["split"], "train").to_numpy())
                encoded = encoded.take(rows)
                ids = encoded["example_id"].to_pylist()
                written = [id.encode() for id in ids]
                slots = np.zeros(len(ids), SLOT)
                slots["shard"], slots["row"] = number, rows
                slots["id_bytes"] = [len(id) for id in written]
                slots["id_start"] = ids_file.tell() + np.cumsum(slots["id_bytes"]) - slots["id_bytes"]
                slots["origin"] = [origins[origin] for origin in origins_of(encoded)]
                ids_file.write(b"".join(written))
                groups = group_of_origin[slots["origin"]]
                for group in np.unique(groups).tolist():
                    members = np.flatnonzero(groups == group)
                    for epoch in range(self.epochs[group]):
                        draws = [uniform(seed, "epoch", str(epoch), ids[member]) for member in members]
                        self._append(slots[members], np.array(draws), folder, group, epoch)

    def _append(
        self, slots: NDArray[np.void], draws: NDArray[np.float64], folder: Path, group: int, epoch: int
    ) -> None:
        slots["draw"] = draws
        buckets = (draws * self.buckets[group]).astype(np.int64)
        for bucket in np.unique(buckets).tolist():
            with self._path(folder, group, epoch, bucket).open("ab") as file:
                slots[buckets == bucket].tofile(file)


def _state_at(position: int, plan: Plan, seed: int, path: Path) -> tuple[int, NDArray[np.int64]]:
    """Return what is left of each group at a position, from the last state before it that was kept."""
    groups = len(plan.names)
    kept = path.read_bytes() if path.exists() else b""
    states = np.frombuffer(kept[: len(kept) // (8 * groups or 1) * (8 * groups)], np.int64).reshape(-1, groups or 1)
    last = min(len(states) - 1, position // STATE_POSITIONS)
    left_K = states[last].copy() if last >= 0 else plan.law.slots_K.copy()
    at = max(last, 0) * STATE_POSITIONS
    while at < position:
        at += len(draw_groups(plan.law, left_K, min(PART_POSITIONS, position - at), seed=seed))
    return position, left_K


def _keep_state(position: int, left_K: NDArray[np.int64], path: Path) -> None:
    with path.open("r+b" if path.exists() else "wb") as file:
        file.seek(position // STATE_POSITIONS * left_K.nbytes)
        file.write(left_K.tobytes())


def _order(
    slots_P: NDArray[np.void],
    epoch_P: NDArray[np.int32],
    first_position: int,
    origins: Sequence[Origin],
    ids_file: BinaryIO,
) -> pa.Table:
    handle = ids_file.fileno()
    spans = zip(slots_P["id_bytes"].tolist(), slots_P["id_start"].tolist(), strict=True)
    told = [origins[number] for number in slots_P["origin"].tolist()]
    columns = {
        "position": np.arange(first_position, first_position + len(slots_P)),
        "example_id": [os.pread(handle, length, start).decode() for length, start in spans],
        "shard": slots_P["shard"].copy(),
        "row": slots_P["row"].copy(),
        "epoch": epoch_P,
        **{name: [origin[place] for origin in told] for place, name in enumerate(Origin._fields)},
    }
    return pa.table([pa.array(columns[name], ORDER.field(name).type) for name in ORDER.names], schema=ORDER)
