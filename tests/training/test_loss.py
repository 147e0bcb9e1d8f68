import random

import pytest
import torch
from torch.nn import functional
from transformers import AutoModelForCausalLM, GraniteConfig, GraniteForCausalLM, LlamaConfig, LlamaForCausalLM

from pipeline.recipe import RecipeError
from tests.training.conftest import packed_rows, write_pack
from training.isolation import positions_of
from training.loss import OutputLoss, check_head, parameter_groups
from training.rows import PackedRows, micro_batches


@pytest.fixture
def batch(pack):
    return PackedRows(pack).read(0, 8, vocabulary=96)


def tensors(rows):
    return torch.from_numpy(rows.input_ids_NT), torch.from_numpy(rows.positions_NT), torch.from_numpy(rows.labels_NT)


def gradients(model):
    return torch.cat([parameter.grad.flatten() for parameter in model.parameters()])


def load(model):
    return AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32, attn_implementation="sdpa").train()


def one_by_one(model, rows):
    """The oracle: every example alone in the model's own forward pass, full logits, torch's cross-entropy."""
    total, count = torch.zeros(()), 0
    for row in range(len(rows.input_ids_NT)):
        for example in sorted(set(rows.example_NT[row]) - {-1}):
            mine = rows.example_NT[row] == example
            ids, labels = torch.from_numpy(rows.input_ids_NT[row][mine]), torch.from_numpy(rows.labels_NT[row][mine])
            logits = model(input_ids=ids[None]).logits[0, :-1]
            total = total + functional.cross_entropy(logits, labels[1:], reduction="sum")
            count += int((labels[1:] != -100).sum())
    return total, count


@pytest.mark.parametrize("chunks", [1, 3, 200])
@pytest.mark.parametrize("flat", [False, True])
def test_packed_loss_and_gradient_are_those_of_each_example_alone(model, batch, chunks, flat):
    alone, packed = load(model), load(model)
    expected, count = one_by_one(alone, batch)
    (expected / count).backward()
    total, losses = OutputLoss(packed, flat=flat)(*tensors(batch), chunks)
    (total / count).backward()
    assert len(losses) == count == batch.targets_N.sum() > 50
    assert (batch.example_NT < 0).any()
    assert float(total.detach()) == pytest.approx(float(expected.detach()), rel=1e-6)
    torch.testing.assert_close(gradients(packed), gradients(alone), rtol=1e-5, atol=1e-7)


def pieces_of_all_ranks(rows, micro_batch_rows, world):
    """Yield the micro-batches of a step, those of one rank after those of another, as many for each."""
    count = -(-len(rows.targets_N) // (micro_batch_rows * world))
    for rank in range(world):
        yield from micro_batches(
            rows, rank=rank, world=world, micro_batch_rows=micro_batch_rows, chunk_targets=16, count=count
        )


@pytest.mark.parametrize("micro_batch_rows", [1, 2, 3])
@pytest.mark.parametrize("world", [1, 2])
def test_micro_batches_of_all_ranks_sum_to_one_big_batch(model, batch, micro_batch_rows, world):
    whole, parts = load(model), load(model)
    targets = int(batch.targets_N.sum())
    total, _ = OutputLoss(whole, flat=False)(*tensors(batch), 1)
    (total / targets).backward()
    seen = []
    for piece, chunks in pieces_of_all_ranks(batch, micro_batch_rows, world):
        loss, losses = OutputLoss(parts, flat=False)(*tensors(piece), chunks)
        (loss / targets).backward()
        seen.append(len(losses))
    assert sum(seen) == targets
    assert len(set(seen)) > 1  # a mean of means would be another number
    torch.testing.assert_close(gradients(parts), gradients(whole), rtol=1e-5, atol=1e-7)


def repacked(tmp_path, row_tokens, seed):
    """The examples of eight rows, shuffled and laid out in rows of another length, by next-fit."""
    examples = []
    for row in packed_rows(8, "train"):
        start = 0
        for place, length in enumerate(row["seq_lens"]):
            span = slice(start, start + length)
            names = (row["example_ids"][place], row["kinds"][place], row["sources"][place])
            examples.append((row["input_ids"][span], row["labels"][span], names))
            start += length
    random.Random(seed).shuffle(examples)
    rows, room = [], 0
    for example in examples:
        if len(example[0]) > room:
            rows.append([])
            room = row_tokens
        rows[-1].append(example)
        room -= len(example[0])
    table = []
    for row in rows:
        padding = row_tokens - sum(len(ids) for ids, _, _ in row)
        names, kinds, sources = zip(*(names for _, _, names in row), strict=True)
        table.append(
            {
                "split": "train",
                "input_ids": [token for ids, _, _ in row for token in ids] + [1] * padding,
                "labels": [label for _, labels, _ in row for label in labels] + [-100] * padding,
                "seq_lens": [len(ids) for ids, _, _ in row],
                "example_ids": list(names), "kinds": list(kinds), "sources": list(sources), "epochs": [0] * len(names),
            }
        )  # fmt: skip
    rows = PackedRows(write_pack(tmp_path / f"pack-{row_tokens}-{seed}", table))
    return rows.read(0, rows.num_rows, vocabulary=96)


def gradient_in_fp64(model, rows, micro_batch_rows, world):
    """Sum over all micro-batches of all ranks, as the trainer does; also the mean of their means."""
    targets, network, by_means, seen = int(rows.targets_N.sum()), load(model).double(), load(model).double(), []
    pieces = list(pieces_of_all_ranks(rows, micro_batch_rows, world))
    for piece, chunks in pieces:
        loss, losses = OutputLoss(network, flat=False)(*tensors(piece), chunks)
        (loss / targets).backward()
        loss, _ = OutputLoss(by_means, flat=False)(*tensors(piece), chunks)
        (loss / max(len(losses), 1) / len(pieces)).backward()
        seen.append(len(losses))
    return gradients(network), gradients(by_means), seen


def test_any_layout_gives_the_gradient_of_one_big_batch(model, tmp_path):
    one_batch, _, _ = gradient_in_fp64(model, repacked(tmp_path, 32, 0), 99, 1)
    layouts = [(32, 0, 3, 1), (32, 0, 2, 2), (32, 0, 1, 3), (64, 1, 1, 1), (40, 2, 2, 2), (15, 3, 4, 2)]
    for row_tokens, seed, micro_batch_rows, world in layouts:
        rows = repacked(tmp_path / f"{micro_batch_rows}-{world}", row_tokens, seed)
        ours, by_means, seen = gradient_in_fp64(model, rows, micro_batch_rows, world)
        assert sum(seen) == rows.targets_N.sum() > 50
        assert len(set(seen)) > 1  # micro-batches of unequal target counts
        off, off_by_means = (float((found - one_batch).norm() / one_batch.norm()) for found in (ours, by_means))
        print(f"{len(seen)} micro-batches on {world} ranks: off by {off:.1g}, a mean of means by {off_by_means:.1g}")
        assert off <= 1e-12
        assert off_by_means > 1e-2


def test_a_micro_batch_without_targets_has_no_loss_and_a_gradient_of_zero(model, batch):
    padding = batch.part(8, 12)
    network = load(model)
    total, losses = OutputLoss(network, flat=False)(*tensors(padding), 3)
    total.backward()
    assert float(total.detach()) == 0
    assert losses.shape == (0,)
    assert not gradients(network).any()


def test_all_ranks_compute_their_logits_in_equally_many_chunks(batch):
    chunks = [
        [number for _, number in micro_batches(batch, rank=rank, world=3, micro_batch_rows=1, chunk_targets=4, count=3)]
        for rank in range(3)
    ]
    assert chunks[0] == chunks[1] == chunks[2]
    assert max(chunks[0]) > 1


def test_norms_and_biases_have_no_weight_decay():
    config = LlamaConfig(
        vocab_size=32, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        attention_bias=True, tie_word_embeddings=True,
    )  # fmt: skip
    network = LlamaForCausalLM(config)
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    decayed, spared = parameter_groups(network, 0.1)
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.1, 0.0)
    found = {names[id(parameter)] for parameter in spared["params"]}
    assert {name for name in names.values() if "norm" in name or name.endswith("bias")} == found
    assert "model.layers.0.input_layernorm.weight" in found
    assert "model.layers.0.self_attn.q_proj.bias" in found
    assert len(decayed["params"]) + len(spared["params"]) == len(names)


def test_a_model_that_scales_its_logits_is_refused(model):
    check_head(load(model), range(8))
    scaled = GraniteConfig(
        vocab_size=96, hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, logits_scaling=8.0,
    )  # fmt: skip
    with pytest.raises(RecipeError, match=r"\[train\] model: GraniteForCausalLM scales its logits"):
        check_head(GraniteForCausalLM(scaled).eval(), range(8))


def test_positions_of_the_rows_are_those_of_their_examples(batch):
    starts = (batch.positions_NT == 0) & (batch.example_NT >= 0)
    assert starts.sum() == len(batch.example_ids)
    assert (positions_of([[32]], 32) == range(32)).all()
