import numpy as np
import pytest

from pipeline.shards import ContractError
from tests.training.conftest import ROW_TOKENS, TRAIN_ROWS, packed_rows, write_pack
from training.rows import PackedRows, micro_batches


def test_rows_come_in_stored_order_across_parts(pack):
    rows = PackedRows(pack)
    assert (rows.num_train, rows.num_rows, rows.row_tokens) == (TRAIN_ROWS, TRAIN_ROWS + 5, ROW_TOKENS)
    assert rows.sources == ["sft_source", "web_source"]
    stored = packed_rows(TRAIN_ROWS, "train")
    assert len(rows.shards) == 3
    got = rows.read(6, 22, vocabulary=96)
    assert got.input_ids_NT.tolist() == [row["input_ids"] for row in stored[6:22]]
    assert got.labels_NT.tolist() == [row["labels"] for row in stored[6:22]]
    assert got.example_ids == [id for row in stored[6:22] for id in row["example_ids"]]


def test_a_target_token_is_credited_to_its_own_example(pack):
    rows = PackedRows(pack).read(0, 4, vocabulary=96)
    targets = rows.part(2, 4).target_examples()
    assert len(targets) == rows.targets_N[2:].sum()
    stored = packed_rows(TRAIN_ROWS, "train")[2:4]
    expected = []
    for row in stored:
        start = 0
        for id, length in zip(row["example_ids"], row["seq_lens"], strict=True):
            expected += [id] * sum(label != -100 for label in row["labels"][start : start + length])
            start += length
    assert [rows.example_ids[example] for example in targets] == expected


def test_every_row_is_in_one_micro_batch_whatever_the_ranks(pack):
    rows = PackedRows(pack).read(0, 7, vocabulary=96)
    for world, size in [(1, 2), (2, 2), (3, 1), (4, 3)]:
        count = -(-8 // (world * size))
        pieces = [
            [
                piece
                for piece, _ in micro_batches(
                    rows, rank=rank, world=world, micro_batch_rows=size, chunk_targets=99, count=count
                )
            ]
            for rank in range(world)
        ]
        in_order = [pieces[rank][index] for index in range(count) for rank in range(world)]
        real = [piece.input_ids_NT for piece in in_order if (piece.labels_NT != -100).any()]
        assert np.concatenate(real).tolist() == rows.input_ids_NT.tolist()


def spoil(tmp_path, **changes):
    rows = packed_rows(4, "train")
    rows[1] |= {name: change(rows[1][name]) for name, change in changes.items()}
    return PackedRows(write_pack(tmp_path / "pack", rows))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"labels": lambda labels: [5, *labels[1:]]},
            "got a label on padding or an example's first token, expected -100",
        ),
        ({"input_ids": lambda ids: [96, *ids[1:]]}, "got token 96, expected 0 to 95"),
        ({"input_ids": lambda ids: ids[:-1]}, "got 127 input_ids, expected 4 times 32"),
    ],
)
def test_a_row_that_breaks_the_contract_stops(tmp_path, changes, message):
    with pytest.raises(ContractError, match=message):
        spoil(tmp_path, **changes).read(0, 4, vocabulary=96)


def test_train_rows_must_come_first(tmp_path):
    rows = [*packed_rows(2, "heldout"), *packed_rows(2, "train")]
    with pytest.raises(ContractError, match="row 0 is not of the split train, expected those first"):
        PackedRows(write_pack(tmp_path / "pack", rows))


def test_rows_without_training_data_stop(tmp_path):
    with pytest.raises(ContractError, match="got no rows of the split train"):
        PackedRows(write_pack(tmp_path / "pack", packed_rows(2, "heldout")))
