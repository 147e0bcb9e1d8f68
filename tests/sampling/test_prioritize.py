import math
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from pipeline.recipe import RecipeError
from pipeline.records import ENCODED, ORDER, marked_schema
from pipeline.shards import Shard
from sampling import prioritize
from sampling.prioritize import PrioritizeConfig, kind_sequence, prioritize_examples

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
        table = pa.table({**columns, "input_ids": [[1, 2]] * count, "labels": [[-100, 2]] * count}, schema=ENCODED)
        path = folder / f"part-{size}-{start}.parquet"
        pq.write_table(table, path)
        found.append(Shard(path, count))
    return found


def order(folder: Path, config: PrioritizeConfig, **how) -> list[dict[str, object]]:
    tables = list(prioritize_examples({"encode": shards(folder, **how)}, config, folder))
    assert all(table.schema.equals(marked_schema(ORDER)) for table in tables)
    return [row for table in tables for row in table.to_pylist()]


def chi_square(observed: Counter, expected: dict[tuple[int, ...], float], draws: int) -> float:
    return sum((observed[case] - draws * p) ** 2 / (draws * p) for case, p in expected.items())


def law(slots: tuple[int, ...], priority: tuple[float, ...], sequence: tuple[int, ...]) -> float:
    """The product of the conditional probabilities of a sequence of kinds."""
    left, probability = list(slots), 1.0
    for kind in sequence:
        weights = [n * w for n, w in zip(left, priority, strict=True)]
        probability *= weights[kind] / sum(weights)
        left[kind] -= 1
    return probability


def sequences(slots: tuple[int, ...]) -> list[tuple[int, ...]]:
    if not any(slots):
        return [()]
    return [
        (kind, *rest)
        for kind, left in enumerate(slots)
        if left
        for rest in sequences(tuple(n - (place == kind) for place, n in enumerate(slots)))
    ]


@pytest.mark.parametrize(
    ("slots", "priority"), [((2, 2), (4.0, 1.0)), ((1, 2, 1), (8.0, 2.0, 1.0)), ((3, 1, 0), (1.0, 1.0, 5.0))]
)
def test_every_sequence_of_kinds_has_the_probability_of_the_law(slots, priority):
    draws = 6000
    seen = Counter(tuple(kind_sequence(np.array(slots), np.array(priority), seed).tolist()) for seed in range(draws))
    expected = {sequence: law(slots, priority, sequence) for sequence in sequences(slots)}
    assert math.isclose(sum(expected.values()), 1)
    assert seen.keys() <= expected.keys()
    freedom = len(expected) - 1
    # Wilson and Hilferty's bound of the chi-square distribution, one in 10,000
    bound = freedom * (1 - 2 / (9 * freedom) + 3.72 * math.sqrt(2 / (9 * freedom))) ** 3
    assert chi_square(seen, expected, draws) < bound
    flat = {sequence: 1 / len(expected) for sequence in expected}
    if len(set(priority)) > 1 and slots != (3, 1, 0):
        assert chi_square(seen, flat, draws) > bound  # the test could tell another law


@pytest.mark.parametrize("priority", [0.0, -1.0, math.nan, math.inf])
def test_a_priority_that_is_no_weight_is_refused(priority):
    with pytest.raises(ValueError, match="finite and above 0"):
        kind_sequence(np.array([1]), np.array([priority]), 0)
    with pytest.raises(ValidationError):
        PrioritizeConfig(priority={"web": priority})


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


def test_parts_change_nothing(tmp_path, monkeypatch):
    whole = order(tmp_path, PrioritizeConfig())
    monkeypatch.setattr(prioritize, "PART_POSITIONS", 13)
    assert len(list(prioritize_examples({"encode": shards(tmp_path)}, PrioritizeConfig(), tmp_path))) > 10
    assert order(tmp_path, PrioritizeConfig()) == whole


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
    with pytest.raises(RecipeError, match="got nothing for sft, the kind of talks"):
        order(tmp_path, PrioritizeConfig(priority={"web": 2, "books": 1}))


def test_nothing_to_train_on_gives_no_order(tmp_path):
    assert order(tmp_path, PrioritizeConfig(), rows=[(*row[:3], "heldout") for row in ROWS]) == []
    assert list(prioritize_examples({"encode": []}, PrioritizeConfig(), tmp_path)) == []
