import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from tests.training.conftest import packed_rows, write_pack
from training.flops import count_flops, number_of_elements, peak_flops
from training.loss import OutputLoss
from training.rows import PackedRows


@pytest.mark.parametrize("tied", [True, False])
def test_matrices_and_head_are_those_that_torch_counts(tmp_path, tied):
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=96, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, tie_word_embeddings=tied,
    )  # fmt: skip
    network = LlamaForCausalLM._from_config(config, attn_implementation="eager")
    rows = PackedRows(write_pack(tmp_path / "pack", packed_rows(4, "train")))
    batch = rows.read(0, 4, vocabulary=96)
    tensors = map(torch.from_numpy, (batch.input_ids_NT, batch.positions_NT, batch.labels_NT))
    with FlopCounterMode(display=False) as counter:
        OutputLoss(network, flat=False)(*tensors, 1)[0].backward()
    costs, slots = count_flops(network), batch.input_ids_NT.size
    squares = slots * rows.row_tokens  # attention without a mask's help, padding included
    expected = costs.token * slots + costs.target * int(batch.targets_N.sum()) + costs.pair * squares
    assert counter.get_total_flops() == expected
    assert 0 < batch.tokens < slots
    assert costs.token * batch.tokens < costs.of(batch) < expected


def test_pairs_are_those_within_examples(model, pack):
    batch = PackedRows(pack).read(0, 6, vocabulary=96)
    costs = count_flops(AutoModelForCausalLM.from_pretrained(model))
    pairs = sum(length * (length + 1) // 2 for row in packed_rows(22, "train")[:6] for length in row["seq_lens"])
    assert costs.of(batch) == costs.token * batch.tokens + costs.target * batch.targets_N.sum() + costs.pair * pairs


def test_frozen_weights_need_no_gradient_of_their_own(model):
    network = AutoModelForCausalLM.from_pretrained(model)
    whole = count_flops(network)
    network.requires_grad_(False)
    frozen = count_flops(network)
    assert (frozen.token * 3, frozen.target * 3) == (whole.token * 2, whole.target * 2)
    assert frozen.pair == whole.pair


def test_zero_3s_shapes_count_where_the_weights_are_gone():
    gone = torch.nn.Parameter(torch.zeros(0))
    gone.ds_shape = torch.Size((3, 5))
    assert number_of_elements(gone) == 15


def test_the_peak_of_a_cpu_is_measured():
    assert peak_flops(torch.device("cpu"), torch.float32) > 1e8
