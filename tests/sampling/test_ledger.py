from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.records import ORDER, PACKED_SEQUENCE
from pipeline.shards import ContractError, Shard, shards_of
from sampling.ledger import check_ledger, uses_of
from sampling.order import PrioritizeConfig, plan_order
from sampling.pack import PackConfig, pack_sequences
from sampling.prioritize import count_origins, prioritize_examples
from tests.sampling.test_prioritize import TRAIN, shards
from tests.training.conftest import write_pack
from training.rows import PackedRows, micro_batches

CONFIG = PrioritizeConfig(epochs={"sft": 3, "tome": 2})


class Made:
    """Encoded rows, their order, and the packed rows, each in several parts."""

    def __init__(self, folder: Path, config: PrioritizeConfig) -> None:
        self.encoded = shards(folder)
        self.order = []
        for number, table in enumerate(prioritize_examples({"encode": self.encoded}, config, folder)):
            path = folder / f"order-{number}.parquet"
            pq.write_table(table.select(ORDER.names), path)
            self.order.append(Shard(path, table.num_rows))
        inputs = {"encode": self.encoded, "prioritize": self.order}
        tables = pack_sequences(inputs, PackConfig(row_tokens=7, open_rows=3), folder)
        rows = [row for table in tables for row in table.select(PACKED_SEQUENCE.names).to_pylist()]
        self.pack = write_pack(folder / "pack", rows)
        rows_by_origin, tokens = count_origins(self.encoded, with_tokens=True)
        self.plan = plan_order(rows_by_origin, config, tokens)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Made:
    return Made(tmp_path_factory.mktemp("ledger"), CONFIG)


def test_the_ledger_adds_up(made):
    counted = check_ledger(made.plan, made.encoded, made.order, shards_of(made.pack))
    assert counted == {"books": (50, 50), "sft": (30, 90), "tome": (32, 64), "web": (60, 60)}


def test_the_ledger_adds_up_with_a_part_of_an_epoch(tmp_path):
    made = Made(tmp_path, PrioritizeConfig(epochs={"sft": 3}, tokens=900))
    counted = check_ledger(made.plan, made.encoded, made.order, shards_of(made.pack))
    assert all(uses % rows for rows, uses in counted.values())


@pytest.mark.parametrize(("world", "micro_batch_rows"), [(1, 4), (2, 2), (3, 1), (4, 3)])
def test_any_number_of_ranks_sees_every_example_as_often_as_its_epochs(made, world, micro_batch_rows):
    rows, seen, batch_rows = PackedRows(made.pack), Counter(), 8
    for start in range(0, rows.num_train, batch_rows):
        batch = rows.read(start, min(start + batch_rows, rows.num_train), vocabulary=10)
        for rank in range(world):
            how = {"rank": rank, "world": world, "micro_batch_rows": micro_batch_rows, "chunk_targets": 8}
            for piece, *_ in micro_batches(batch, count=-(-batch_rows // (world * micro_batch_rows)), **how):
                seen.update(piece.example_ids[example] for example in set(piece.example_NT.ravel().tolist()) - {-1})
    times = {"site": 1, "book": 1, "tome": 2, "talks": 3}
    assert seen == {id: times[id.split("/")[0]] for id in TRAIN}


def test_a_row_that_is_repeated_lost_or_packed_otherwise_is_seen(made, tmp_path):
    table = pa.concat_tables([shard.read() for shard in made.order])
    ids = table["example_id"].to_pylist()
    other = next(index for index, id in enumerate(ids) if id != ids[0] and id.split("/")[0] == ids[0].split("/")[0])
    swapped = table.set_column(1, ORDER.field("example_id"), pa.array([ids[other], *ids[1:]]))
    for name, broken in {"swapped": swapped, "lost": table.slice(1)}.items():
        pq.write_table(broken, tmp_path / name)
        with pytest.raises(ContractError, match="ledger"):
            check_ledger(made.plan, made.encoded, [Shard(tmp_path / name, broken.num_rows)], [])
    with pytest.raises(ContractError, match="packed rows hold other uses"):
        check_ledger(made.plan, made.encoded, made.order, shards_of(made.pack)[1:])


def test_uses_are_a_multiset():
    assert uses_of([("a", 0), ("b", 0), ("a", 1)]) == uses_of([("a", 1), ("a", 0), ("b", 0)])
    assert uses_of([("a", 0), ("a", 0)]) != uses_of([("a", 0), ("a", 1)])
    assert uses_of([("a", 0), ("a", 0)]).total != uses_of([("b", 0), ("b", 0)]).total
