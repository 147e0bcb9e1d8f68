import random
import shutil
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.recipe import RecipeError
from pipeline.records import ENCODED, ORDER, marked_schema
from pipeline.shards import Shard
from sampling import prioritize
from sampling.order import plan_order
from sampling.prioritize import PrioritizeConfig, count_origins, prioritize_examples
from tests.sampling.chance import is_drawn_from, sequences

ROWS = (
    [(f"site/{number}", "site", "web", "train") for number in range(60)]
    + [(f"book/{number}", "book", "books", "train") for number in range(50)]
    + [(f"tome/{number}", "tome", "books", "heldout" if number % 5 == 0 else "train") for number in range(40)]
    + [(f"talks/{number}", "talks", "sft", "train") for number in range(30)]
)
KIND_OF = {id: kind for id, _, kind, _ in ROWS}
TRAIN = {id for id, *_, split in ROWS if split == "train"}


def shards(folder: Path, rows=ROWS, size: int = 64) -> list[Shard]:
    found = []
    for start in range(0, len(rows), size):
        columns = dict(
            zip(("example_id", "source", "kind", "split"), zip(*rows[start : start + size], strict=True), strict=True)
        )
        count = len(columns["split"])
        table = pa.table(
            {
                **columns,
                "input_ids": [[1, 2]] * count,
                "labels": [[-100, 2]] * count,
                "style": ["pairs" if kind == "sft" else "excerpt" for kind in columns["kind"]],
            },
            schema=ENCODED,
        )
        path = folder / f"part-{size}-{start}.parquet"
        pq.write_table(table, path)
        found.append(Shard(path, count))
    return found


def order(folder: Path, config: PrioritizeConfig, **how) -> list[dict[str, object]]:
    folder = Path(tempfile.mkdtemp(dir=folder)) if folder.exists() else folder
    folder.mkdir(exist_ok=True)
    tables = list(prioritize_examples({"encode": shards(folder, **how)}, config, folder))
    assert all(table.schema.equals(marked_schema(ORDER)) for table in tables)
    return [row for table in tables for row in table.to_pylist()]


def test_every_row_for_training_occurs_once_and_no_other(tmp_path):
    rows = order(tmp_path, PrioritizeConfig())
    assert Counter(row["example_id"] for row in rows) == dict.fromkeys(TRAIN, 1)
    assert [row["position"] for row in rows] == list(range(len(TRAIN)))


def test_every_row_occurs_as_often_as_its_epochs_and_never_twice_before_all_once(tmp_path):
    rows = order(tmp_path, PrioritizeConfig(epochs={"books": 2, "tome": 3, "sft": 4}))
    times = {"site": 1, "book": 2, "tome": 3, "talks": 4}
    assert Counter(row["example_id"] for row in rows) == {id: times[id.split("/")[0]] for id in TRAIN}
    for source, epochs in times.items():
        mine = [row for row in rows if row["source"] == source]
        assert [row["epoch"] for row in mine] == sorted(row["epoch"] for row in mine)
        passes = [[row["example_id"] for row in mine if row["epoch"] == epoch] for epoch in range(epochs)]
        assert all(set(one) == set(passes[0]) and len(one) == len(passes[0]) for one in passes)
        assert len({tuple(one) for one in passes}) == epochs  # another permutation each


def test_shard_and_row_say_where_an_example_stands(tmp_path):
    rows = order(tmp_path, PrioritizeConfig(), size=37)
    for row in rows:
        number = row["shard"] * 37 + row["row"]
        assert ROWS[number][:3] == (row["example_id"], row["source"], row["kind"])


def test_neither_shards_nor_the_order_of_rows_change_the_order(tmp_path):
    config = PrioritizeConfig(epochs={"sft": 3}, priority={"web": 9, "books": 3, "sft": 1, "tome": 5})
    shuffled = random.Random(0).sample(ROWS, len(ROWS))
    told = ["position", "example_id", "kind", "source", "epoch"]
    orders = [order(tmp_path, config, rows=rows, size=size) for rows, size in ((ROWS, 64), (ROWS, 7), (shuffled, 50))]
    assert [[row[name] for name in told] for row in orders[0]] == [[row[name] for name in told] for row in orders[1]]
    assert [[row[name] for name in told] for row in orders[0]] == [[row[name] for name in told] for row in orders[2]]


def test_parts_buckets_and_states_change_nothing(tmp_path, monkeypatch):
    config = PrioritizeConfig(epochs={"sft": 3})
    whole = order(tmp_path / "whole", config)
    for name, value in (("PART_POSITIONS", 13), ("STATE_POSITIONS", 26), ("BUCKET_ROWS", 7)):
        monkeypatch.setattr(prioritize, name, value)
    folder = tmp_path / "parts"
    assert order(folder, config) == whole
    assert len(list((folder / "slots").iterdir())) > 20
    for first in (1, 2, 5, 16):  # a run that was killed goes on at a part
        later = prioritize_examples({"encode": shards(folder)}, config, folder, first)
        assert [row for table in later for row in table.drop_columns(["drop_reason", "drop_detail"]).to_pylist()] == [
            {name: value for name, value in row.items() if not name.startswith("drop")} for row in whole[13 * first :]
        ]


def test_a_higher_priority_comes_earlier(tmp_path):
    rows = order(tmp_path, PrioritizeConfig())
    middle = {
        kind: np.mean([row["position"] for row in rows if row["kind"] == kind]) for kind in ("web", "books", "sft")
    }
    assert middle["web"] < middle["books"] < middle["sft"]


def test_a_source_that_is_named_has_its_own_priority(tmp_path):
    rows = order(tmp_path, PrioritizeConfig(priority={"web": 1, "books": 1, "tome": 1e9, "sft": 1}))
    first = len([id for id in TRAIN if id.startswith("tome")])
    assert {row["source"] for row in rows[:first]} == {"tome"}
    assert len({row["source"] for row in rows[first : first + 20]}) > 1


def test_a_name_that_is_a_kind_means_the_kind(tmp_path):
    rows = [(id, "web" if source == "book" else source, kind, split) for id, source, kind, split in ROWS]
    found = order(tmp_path, PrioritizeConfig(epochs={"web": 2}), rows=rows)
    assert Counter(row["example_id"] for row in found) == {id: 2 if KIND_OF[id] == "web" else 1 for id in TRAIN}


@pytest.mark.parametrize("table", ["priority", "epochs"])
def test_a_name_that_is_neither_kind_nor_source_is_refused(tmp_path, table):
    given = {**PrioritizeConfig().model_dump()[table], "wbe": 3}
    with pytest.raises(RecipeError, match="got wbe, expected a kind"):
        order(tmp_path, PrioritizeConfig(**{table: given}))


def test_a_kind_without_a_priority_is_refused(tmp_path):
    with pytest.raises(RecipeError, match="got nothing for sft, expected a number"):
        order(tmp_path, PrioritizeConfig(priority={"web": 2, "books": 1}))


def test_nothing_to_train_on_gives_no_order(tmp_path):
    assert order(tmp_path, PrioritizeConfig(), rows=[(*row[:3], "heldout") for row in ROWS]) == []
    assert list(prioritize_examples({"encode": []}, PrioritizeConfig(), tmp_path)) == []


def test_stages_come_one_after_another(tmp_path):
    rows = order(tmp_path, PrioritizeConfig(order="stages", stages=(("books",), ("sft", "site"))))
    books = sum(KIND_OF[id] == "books" for id in TRAIN)
    assert {row["kind"] for row in rows[:books]} == {"books"}
    assert {row["kind"] for row in rows[books:][:20]} == {"web", "sft"}


def test_a_budget_of_tokens_takes_a_part_of_the_last_permutation(tmp_path):
    rows = order(tmp_path, PrioritizeConfig(tokens=2 * 268))  # of two tokens each; 172 rows in all
    times = Counter(row["example_id"] for row in rows)
    assert abs(len(rows) - 268) <= 2
    assert times.keys() == TRAIN
    assert set(times.values()) == {1, 2}
    assert {row["epoch"] for row in rows} == {0, 1}


def test_every_order_of_a_few_rows_has_the_probability_of_the_law(tmp_path):
    few = [("a/1", "a", "web", "train"), ("a/2", "a", "web", "train"), ("b/1", "b", "sft", "train")]
    inputs = {"encode": shards(tmp_path, few, size=2)}
    seen = Counter()
    for seed in range(300):
        folder = tmp_path / str(seed)
        folder.mkdir()
        config = PrioritizeConfig(priority={"web": 3, "sft": 1}, seed=seed)
        (table,) = prioritize_examples(inputs, config, folder)
        seen[tuple(table["example_id"].to_pylist())] += 1
        shutil.rmtree(folder)
    law = plan_order(*count_origins(inputs["encode"], with_tokens=False)[:1], config).law
    expected = {}
    for groups, p in sequences(law).items():
        for one, other in (("a/1", "a/2"), ("a/2", "a/1")):
            web = iter((one, other))
            expected[tuple("b/1" if group == 0 else next(web) for group in groups)] = p / 2
    assert len(expected) == 6
    assert is_drawn_from(seen, expected)
