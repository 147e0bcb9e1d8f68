import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from training.adapters import add_adapters, merge_adapters
from training.config import TrainConfig

CONFIG = TrainConfig(lora_rank=4, lora_alpha=6.0)
IDS = torch.arange(2, 14)[None]


@pytest.fixture
def adapted(model):
    torch.manual_seed(0)
    network = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    add_adapters(network, CONFIG)
    return network.eval()


def test_adapters_begin_as_nothing_and_are_all_that_learns(model, adapted):
    plain = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()
    assert torch.equal(adapted(IDS).logits, plain(IDS).logits)
    learns = {name for name, weight in adapted.named_parameters() if weight.requires_grad}
    assert {name.split(".")[-3] for name in learns} == {"lora_A", "lora_B"}
    assert len(learns) == 2 * 7 * 2  # seven linear layers in each of two blocks, the head left out
    assert not any("lm_head" in name for name in learns)


def test_merged_weights_compute_what_adapters_do(model, adapted):
    before = adapted(IDS).logits
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.2)
    expected = adapted(IDS).logits
    plain = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()
    merged = merge_adapters(adapted.state_dict(), CONFIG)
    assert merged.keys() == plain.state_dict().keys()
    plain.load_state_dict(merged)
    torch.testing.assert_close(plain(IDS).logits, expected, rtol=1e-4, atol=1e-4)
    assert float((expected - before).detach().abs().max()) > 0.1


def test_biases_stay_beside_merged_weights():
    config = LlamaConfig(
        vocab_size=32, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        attention_bias=True,
    )  # fmt: skip
    network = LlamaForCausalLM(config)
    before = {name: weight.clone() for name, weight in network.state_dict().items()}
    add_adapters(network, CONFIG)
    merged = merge_adapters(network.state_dict(), CONFIG)
    assert merged.keys() == before.keys()
    assert any(name.endswith("q_proj.bias") for name in merged)
    assert all(torch.equal(merged[name], before[name]) for name in before)
