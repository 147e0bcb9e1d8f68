import json
import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.records import ENCODED, IGNORE_INDEX, ORDER, PACKED_SEQUENCE, marked_schema
from pipeline.shards import ContractError, Shard, hidden, publish, write_part
from sampling import pack
from sampling.pack import PackConfig, Placed, fill_rows, pack_sequences

LENGTHS = st.lists(st.integers(1, 16), max_size=80)


def placed(lengths: list[int]) -> list[Placed]:
    return [Placed(number, tokens, str(number), "web", "s", 0) for number, tokens in enumerate(lengths)]


def fill(lengths: list[int], row_tokens: int = 16, open_rows: int = 3) -> list[list[int]]:
    rows = fill_rows(placed(lengths), row_tokens=row_tokens, open_rows=open_rows)
    return [[example.start for example in row.examples] for row in rows]


@given(LENGTHS)
def test_every_example_is_in_one_row_that_it_fits(lengths):
    rows = fill(lengths)
    assert sorted(number for row in rows for number in row) == list(range(len(lengths)))
    assert all(0 < sum(lengths[number] for number in row) <= 16 for row in rows)
    assert all(row == sorted(row) for row in rows)


@given(LENGTHS, st.integers(1, 5))
def test_order_is_lost_only_between_rows_fewer_than_open_rows_apart(lengths, open_rows):
    rows = fill(lengths, open_rows=open_rows)
    firsts = [row[0] for row in rows]
    assert firsts == sorted(firsts)  # rows in the order in which they were opened
    for place, row in enumerate(rows):
        for later in rows[place + open_rows :]:
            assert max(row) < min(later)


@given(LENGTHS)
def test_one_open_row_is_next_fit_in_order(lengths):
    assert [number for row in fill(lengths, open_rows=1) for number in row] == list(range(len(lengths)))


def test_an_example_goes_into_the_fullest_row_with_room():
    assert fill([9, 10, 5, 6, 16]) == [[0, 3], [1, 2], [4]]


def next_best_fit(lengths: list[int], row_tokens: int, open_rows: int) -> list[list[int]]:
    """The same by the book: a list of open rows, searched in full."""
    done, window = [], []
    for number, tokens in enumerate(lengths):
        fits = [row for row in window if sum(lengths[other] for other in row) + tokens <= row_tokens]
        if fits:
            max(fits, key=lambda row: sum(lengths[other] for other in row)).append(number)
            continue
        if len(window) == open_rows:
            done.append(window.pop(0))
        window.append([number])
    return [*done, *window]


@given(LENGTHS, st.integers(1, 5), st.integers(1, 7))
def test_rows_are_those_of_best_fit_by_the_book_whatever_the_batches(lengths, open_rows, at_once):
    before, pack.ORDERED_AT_ONCE = pack.ORDERED_AT_ONCE, at_once
    try:
        assert fill(lengths, open_rows=open_rows) == next_best_fit(lengths, 16, open_rows)
    finally:
        pack.ORDERED_AT_ONCE = before


@given(LENGTHS, st.integers(1, 5))
def test_displacement_counts_the_rows_opened_since(lengths, open_rows):
    filled = list(fill_rows(placed(lengths), row_tokens=16, open_rows=open_rows))
    firsts = [row.examples[0].start for row in filled]
    for place, row in enumerate(filled):
        for example, ahead in zip(row.examples, row.ahead, strict=True):
            assert ahead == sum(first <= example.start for first in firsts) - 1 - place
            assert ahead < open_rows


def test_padding_is_as_stated():
    lengths = np.clip(np.random.default_rng(0).lognormal(5.2, 0.75, 20_000), 8, 4096).astype(int).tolist()
    rows = fill(lengths, row_tokens=4096, open_rows=PackConfig().open_rows)[:-32]
    assert 230 < np.mean(lengths) < 250
    assert 1 - sum(lengths[number] for row in rows for number in row) / (4096 * len(rows)) < 0.003


def world(
    folder: Path, size: int = 20
) -> tuple[dict[str, list[Shard]], list[dict[str, object]], list[dict[str, object]]]:
    """Encoded rows in shards, a part of them held out, and a made-up order with some of them twice."""
    draw = random.Random(0)
    encoded = []
    for number in range(70):
        ids = [draw.randrange(5, 1000) for _ in range(draw.randrange(2, 25))]
        labels = [IGNORE_INDEX, *(id if draw.random() < 0.5 else IGNORE_INDEX for id in ids[1:])]
        texts = {
            "example_id": f"例/{number}",
            "source": f"s{number % 2}",
            "kind": "web" if number % 3 else "sft",
            "style": "x",
        }
        encoded.append(
            {**texts, "split": "heldout" if number % 7 == 0 else "train", "input_ids": ids, "labels": labels}
        )
    numbers = [
        (number, epoch) for epoch in range(2) for number in range(70) if number % 7 and (epoch == 0 or number % 3 == 0)
    ]
    draw.shuffle(numbers)
    order = [
        {"position": place, "shard": number // size, "row": number % size, "epoch": epoch}
        | {name: encoded[number][name] for name in ("example_id", "kind", "source", "style")}
        for place, (number, epoch) in enumerate(numbers)
    ]
    inputs = {
        "encode": parts(folder, "encode", encoded, ENCODED, size),
        "prioritize": parts(folder, "order", order, ORDER, 33),
    }
    return inputs, encoded, order


def parts(folder: Path, name: str, rows: list[dict[str, object]], schema: pa.Schema, size: int) -> list[Shard]:
    found = []
    for start in range(0, len(rows), size):
        table = pa.Table.from_pylist(rows[start : start + size], schema=schema)
        path = folder / f"{name}-{start}.parquet"
        pq.write_table(table, path)
        found.append(Shard(path, table.num_rows))
    return found


def packed(folder: Path, inputs: dict[str, list[Shard]], config: PackConfig) -> list[dict[str, object]]:
    tables = list(pack_sequences(inputs, config, folder))
    assert all(table.schema.equals(marked_schema(PACKED_SEQUENCE), check_metadata=False) for table in tables)
    assert all(table["drop_reason"].null_count == table.num_rows for table in tables)
    return [row for table in tables for row in table.to_pylist()]


CONFIG = PackConfig(row_tokens=32, open_rows=4, pad_token_id=3)


def test_a_row_is_its_examples_end_to_end_and_padding(tmp_path):
    inputs, encoded, _ = world(tmp_path)
    by_id = {row["example_id"]: row for row in encoded}
    for row in packed(tmp_path, inputs, CONFIG):
        members = [by_id[id] for id in row["example_ids"]]
        padding = 32 - sum(row["seq_lens"])
        assert row["seq_lens"] == [len(member["input_ids"]) for member in members]
        assert row["input_ids"] == [id for member in members for id in member["input_ids"]] + [3] * padding
        assert row["labels"] == [label for member in members for label in member["labels"]] + [IGNORE_INDEX] * padding
        assert row["kinds"] == [member["kind"] for member in members]
        assert row["sources"] == [member["source"] for member in members]
        assert {member["split"] for member in members} == {row["split"]}


def test_every_position_is_packed_once_and_every_held_out_row_once_behind_them(tmp_path):
    inputs, encoded, order = world(tmp_path)
    rows = packed(tmp_path, inputs, CONFIG)
    splits = [row["split"] for row in rows]
    assert splits == sorted(splits, reverse=True)
    assert set(splits) == {"train", "heldout"}
    told = [
        pair for row in rows for pair in zip(row["example_ids"], row["epochs"], strict=True) if row["split"] == "train"
    ]
    assert sorted(told) == sorted((row["example_id"], row["epoch"]) for row in order)
    held_out = [id for row in rows if row["split"] == "heldout" for id in row["example_ids"]]
    assert sorted(held_out) == sorted(row["example_id"] for row in encoded if row["split"] == "heldout")
    assert {epoch for row in rows if row["split"] == "heldout" for epoch in row["epochs"]} == {0}


def test_padding_and_displacement_are_told(tmp_path):
    inputs, *_ = world(tmp_path)
    (table,) = pack_sequences(inputs, CONFIG, tmp_path)
    rows = [row for row in table.to_pylist() if row["split"] == "train"]
    told = json.loads(table.schema.metadata[b"figures"])
    assert told["train_padding_tokens"] == sum(32 - sum(row["seq_lens"]) for row in rows)
    assert told["train_examples"] == sum(len(row["seq_lens"]) for row in rows)
    assert told["train_rows"] == len(rows)
    assert 0 < told["train_displaced_rows_max"] < 4 <= told["train_displaced_rows"]
    hidden(tmp_path / "made").mkdir()
    write_part(hidden(tmp_path / "made"), 0, table, PACKED_SEQUENCE, rows_in=table.num_rows)
    write_part(hidden(tmp_path / "made"), 1, table, PACKED_SEQUENCE, rows_in=table.num_rows)
    doubled = {name: value if name.endswith("_max") else 2 * value for name, value in told.items()}
    assert publish(tmp_path / "made", {})["figures"] == doubled


def test_parts_and_a_second_run_change_nothing(tmp_path, monkeypatch):
    inputs, *_ = world(tmp_path)
    whole = packed(tmp_path, inputs, CONFIG)
    assert (tmp_path / "tokens/ids.bin").exists()  # the second run reads what the first laid out
    monkeypatch.setattr(pack, "PART_ROWS", 5)
    monkeypatch.setattr(pack, "ORDERED_AT_ONCE", 4)
    assert len(list(pack_sequences(inputs, CONFIG, tmp_path))) > 3
    assert packed(tmp_path, inputs, CONFIG) == whole


def test_an_example_longer_than_a_row_is_refused(tmp_path):
    inputs, *_ = world(tmp_path)
    with pytest.raises(ContractError, match=r"例/\d+: got 2\d tokens, expected 1 to 20"):
        packed(tmp_path, inputs, PackConfig(row_tokens=20))


def test_a_label_on_an_examples_first_token_is_refused(tmp_path):
    row = {
        "example_id": "a",
        "source": "s",
        "kind": "web",
        "style": "x",
        "split": "heldout",
        "input_ids": [1, 2],
        "labels": [1, 2],
    }
    inputs = {"encode": parts(tmp_path, "bad", [row], ENCODED, 1), "prioritize": []}
    with pytest.raises(ContractError, match="first token has a label"):
        packed(tmp_path, inputs, CONFIG)


def test_no_rows_at_all(tmp_path):
    assert packed(tmp_path, {"encode": [], "prioritize": []}, CONFIG) == []
