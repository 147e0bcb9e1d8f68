"""Prioritize examples: the training order, by priority sampling without replacement.

Reads Encoded (of the train split), writes Order. A priority says how early, not how much. The sequence of kinds
follows the law of HuatuoGPT-II's data priority sampling (arXiv:2311.09774) over rows x epochs slots; the rows that
fill a kind's slots are whole permutations one after another, so that each row is used once before any is used twice.

In memory: 16 bytes a row and 12 a slot, 20 more a slot while the sequence is drawn. Ids wait in a scratch file.

Shapes: N rows, K groups (kinds, and sources that the recipe names).
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, BinaryIO

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from pipeline.recipe import Config, RecipeError
from pipeline.records import KINDS, ORDER, mark, uniform
from pipeline.shards import Shard

PART_POSITIONS = 1 << 17
PAPER = {"web": 32.0, "literature": 16.0, "encyclopedia": 8.0, "books": 4.0, "sft": 1.0, "general": 1.0}  # its code


class PrioritizeConfig(Config):
    """How early and how often rows are used, by kind, or by source where one is named."""

    priority: dict[str, Annotated[float, Field(gt=0, allow_inf_nan=False)]] = Field(
        default={**PAPER, "guidelines": 8.0}, description="by kind; a source that is named is a kind of its own"
    )
    epochs: dict[str, Annotated[int, Field(ge=1)]] = Field(default={}, description="likewise; 1 where nothing is said")
    seed: int = Field(default=0, ge=0, description="filled from the recipe")


@dataclass(frozen=True)
class Rows:
    """What is held of the N rows of "encode", in the order of its shards."""

    starts: NDArray[np.int64]  # (shards + 1,) number of each shard's first row
    origins: list[tuple[str, str]]  # kind and source
    origin_N: NDArray[np.int32]  # place in `origins`; -1: not for training
    id_starts: NDArray[np.int64]  # (N + 1,) byte in the file of ids


def prioritize_examples(
    inputs: Mapping[str, Sequence[Shard]], config: PrioritizeConfig, scratch: Path
) -> Iterator[pa.Table]:
    """Order the rows of "encode" that are for training, each as often as it has epochs.

    Yields:
        Order plus empty drop columns, PART_POSITIONS positions a table. `shard` and `row` say where in "encode" a row
        stands; they alone depend on how its rows are spread over shards.

    Raises:
        RecipeError: a name is neither a kind nor a source with rows here, or rows have no priority.
    """
    rows = _read_rows(inputs["encode"], scratch / "ids.bin")
    group_N, priority_K, epochs_K = _groups(rows, config)
    slots_K = np.bincount(group_N[group_N >= 0], minlength=len(epochs_K)) * epochs_K
    sequence = kind_sequence(slots_K, priority_K, config.seed)
    filled = np.empty(len(sequence), np.int64)
    epoch_of = np.empty(len(sequence), np.int32)
    for epoch in range(epochs_K.max(initial=0)):
        draw_N = _draws(inputs["encode"], config.seed, epoch, len(group_N))
        for group in np.flatnonzero(epochs_K > epoch).tolist():
            members = np.flatnonzero(group_N == group)
            slots = np.flatnonzero(sequence == group)[epoch * len(members) : (epoch + 1) * len(members)]
            filled[slots] = members[np.argsort(draw_N[members], kind="stable")]
            epoch_of[slots] = epoch
        del draw_N
    with (scratch / "ids.bin").open("rb") as ids_file:
        for start in range(0, len(filled), PART_POSITIONS):
            part = slice(start, start + PART_POSITIONS)
            yield mark(_order(rows, filled[part], epoch_of[part], start, ids_file), {})


def kind_sequence(slots_K: NDArray[np.int64], priority_K: NDArray[np.float64], seed: int) -> NDArray[np.int16]:
    """Draw in which order the slots of K kinds come, by priority sampling without replacement.

    With n[k] slots of kind k left, the next is of kind k with probability n[k] w[k] / sum(n w). To draw that, let each
    slot arrive after an exponential time of rate w[k]: the order of arrivals has this law (Efraimidis and Spirakis,
    2006). One kind's arrivals need no sorting, for the gap before the next of n left is exponential of rate n w[k]
    (Rényi, 1953).

    Returns:
        (sum of slots,) kinds, 0 to K - 1.

    Raises:
        ValueError: a priority is not finite and positive.
    """
    if not (np.isfinite(priority_K) & (priority_K > 0)).all():
        raise ValueError(f"priorities: got {priority_K.tolist()}, expected them finite and above 0")
    ends = np.cumsum(slots_K)
    arrivals = np.empty(int(ends[-1]) if len(ends) else 0)
    kinds = np.repeat(np.arange(len(slots_K), dtype=np.int16), slots_K)
    for kind, (slots, priority, end) in enumerate(
        zip(slots_K.tolist(), priority_K.tolist(), ends.tolist(), strict=True)
    ):
        gaps = np.random.default_rng([seed, kind]).standard_exponential(slots)
        gaps /= priority * np.arange(slots, 0, -1)
        np.cumsum(gaps, out=arrivals[end - slots : end])
    return kinds[np.argsort(arrivals, kind="stable")]


def _read_rows(shards: Sequence[Shard], ids_path: Path) -> Rows:
    starts, origins = [0], dict[tuple[str, str], int]()
    origin_of, lengths = [np.zeros(0, np.int32)], [np.zeros(1, np.int64)]
    with ids_path.open("wb") as ids_file:
        for shard in shards:
            table = shard.read(["example_id", "kind", "source", "split"])
            columns = (table[name].to_pylist() for name in ("kind", "source", "split"))
            places = [
                origins.setdefault((kind, source), len(origins)) if split == "train" else -1
                for kind, source, split in zip(*columns, strict=True)
            ]
            ids = [id.encode() for id in table["example_id"].to_pylist()]
            ids_file.write(b"".join(ids))
            starts.append(starts[-1] + len(ids))
            origin_of.append(np.array(places, np.int32))
            lengths.append(np.fromiter(map(len, ids), np.int64, len(ids)))
    id_starts = np.cumsum(np.concatenate(lengths))
    return Rows(np.array(starts), list(origins), np.concatenate(origin_of), id_starts)


def _groups(rows: Rows, config: PrioritizeConfig) -> tuple[NDArray[np.int16], NDArray[np.float64], NDArray[np.int64]]:
    """Return each row's group, (N,), -1 where it is not for training; the groups' priorities and epochs, (K,).

    A name that is a kind means the kind, even if a source is called the same.
    """
    sources = {source for _, source in rows.origins}
    named = {*config.priority, *config.epochs} - set(KINDS)
    if unknown := sorted(named - sources):
        known = f"a kind ({', '.join(KINDS)}) or a source ({', '.join(sorted(sources))})"
        raise RecipeError(f"[prioritize] priority and epochs: got {unknown[0]}, expected {known}")
    names = [(source in named, source if source in named else kind) for kind, source in rows.origins]
    groups = sorted(set(names))
    priority, epochs = np.zeros(len(groups)), np.ones(len(groups), np.int64)
    for (kind, source), name in zip(rows.origins, names, strict=True):
        given = config.priority.get(source) if name[0] else None
        given = config.priority.get(kind) if given is None else given
        if given is None:
            raise RecipeError(f"[prioritize] priority: got nothing for {kind}, the kind of {source}, expected a number")
        priority[groups.index(name)] = given
        kind_epochs = config.epochs.get(kind, 1)
        epochs[groups.index(name)] = config.epochs.get(source, kind_epochs) if name[0] else kind_epochs
    group_of_origin = np.array([*(groups.index(name) for name in names), -1], np.int16)
    return group_of_origin[rows.origin_N], priority, epochs


def _draws(shards: Sequence[Shard], seed: int, epoch: int, num_rows: int) -> NDArray[np.float64]:
    """Draw a number for each of N rows by which an epoch's permutation is sorted."""
    ids = (id for shard in shards for id in shard.read(["example_id"])["example_id"].to_pylist())
    return np.fromiter((uniform(seed, "epoch", str(epoch), id) for id in ids), np.float64, num_rows)


def _order(
    rows: Rows, numbers: NDArray[np.int64], epochs: NDArray[np.int32], first_position: int, ids_file: BinaryIO
) -> pa.Table:
    shards = np.searchsorted(rows.starts, numbers, side="right") - 1
    starts, stops = rows.id_starts[numbers].tolist(), rows.id_starts[numbers + 1].tolist()
    handle = ids_file.fileno()
    ids = [os.pread(handle, stop - start, start).decode() for start, stop in zip(starts, stops, strict=True)]
    origins = [rows.origins[place] for place in rows.origin_N[numbers].tolist()]
    columns = {
        "position": np.arange(first_position, first_position + len(numbers)),
        "example_id": ids,
        "shard": shards.astype(np.int32),
        "row": (numbers - rows.starts[shards]).astype(np.int32),
        "kind": [kind for kind, _ in origins],
        "source": [source for _, source in origins],
        "epoch": epochs,
    }
    return pa.table([pa.array(columns[name], ORDER.field(name).type) for name in ORDER.names], schema=ORDER)
