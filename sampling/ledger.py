"""The ledger: how often examples are used, proven from what is on disk, in memory that does not grow with the rows.

A multiset of uses (an example in an epoch) is held as its size and the sum of a hash of each use, modulo 2^128. Two
that agree are the same, but for one chance in 2^64 (Clarke et al., incremental multiset hash functions, 2003).
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import pyarrow.compute as pc

from pipeline.shards import ContractError, Shard
from sampling.order import Origin, Plan, origins_of


@dataclass(frozen=True)
class Uses:
    """A multiset of uses: how many, and what their hashes add up to."""

    count: int
    total: int


def uses_of(uses: Iterable[tuple[str, int]]) -> Uses:
    """Add up uses: the id of an example, and the epoch that it is used in."""
    count = total = 0
    for id, epoch in uses:
        digest = hashlib.blake2b(f"{epoch}\x1f{id}".encode(), digest_size=16).digest()
        count, total = count + 1, (total + int.from_bytes(digest, "big")) % 2**128
    return Uses(count, total)


def check_ledger(
    plan: Plan, encoded: Sequence[Shard], order: Sequence[Shard], packed: Sequence[Shard]
) -> dict[str, tuple[int, int]]:
    """Hold the order against the encoded rows, and the packed rows against the order.

    Every row of a group must be used in each whole epoch of its group, and those of a last epoch that is not whole as
    often as it has slots.

    Returns:
        Group -> rows, uses.

    Raises:
        ContractError: an example is used too often or not often enough, or packed otherwise than ordered.
    """
    whole = [int(slots) // max(int(rows), 1) for slots, rows in zip(plan.law.slots_K, plan.rows_K, strict=True)]
    promised = uses_of((id, epoch) for id, group in _encoded(encoded, plan.group_of) for epoch in range(whole[group]))
    in_whole = uses_of((id, epoch) for id, epoch, group in _ordered(order, plan.group_of) if epoch < whole[group])
    if in_whole != promised:
        raise ContractError("ledger: the order does not use every row once in each of its epochs, expected it to")
    drawn = uses_of((id, epoch) for id, epoch, _ in _ordered(order, plan.group_of))
    if drawn.count != plan.law.num_slots:
        raise ContractError(f"ledger: got {drawn.count} uses in the order, expected {plan.law.num_slots}")
    if packed and uses_of(_packed(packed)) != drawn:
        raise ContractError("ledger: the packed rows hold other uses than the order, expected the same")
    return {
        name: (int(rows), int(slots))
        for name, rows, slots in zip(plan.names, plan.rows_K, plan.law.slots_K, strict=True)
    }


def _encoded(shards: Sequence[Shard], group_of: Mapping[Origin, int]) -> Iterator[tuple[str, int]]:
    for shard in shards:
        rows = shard.read(["example_id", "split", *Origin._fields])
        train = rows.filter(pc.equal(rows["split"], "train"))
        groups = (group_of[origin] for origin in origins_of(train))
        yield from zip(train["example_id"].to_pylist(), groups, strict=True)


def _ordered(shards: Sequence[Shard], group_of: Mapping[Origin, int]) -> Iterator[tuple[str, int, int]]:
    for shard in shards:
        rows = shard.read(["example_id", "epoch", *Origin._fields])
        groups = [group_of[origin] for origin in origins_of(rows)]
        yield from zip(rows["example_id"].to_pylist(), rows["epoch"].to_pylist(), groups, strict=True)


def _packed(shards: Sequence[Shard]) -> Iterator[tuple[str, int]]:
    for shard in shards:
        rows = shard.read(["split", "example_ids", "epochs"])
        train = rows.filter(pc.equal(rows["split"], "train"))
        ids, epochs = (chain.from_iterable(train[name].to_pylist()) for name in ("example_ids", "epochs"))
        yield from zip(ids, epochs, strict=True)
