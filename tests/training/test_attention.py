"""Attention example by example, against a mask over the whole row."""

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, MistralConfig

from training.attention import BY_EXAMPLE, register_by_example
from training.isolation import check_isolation, hidden_states, positions_of

SHAPE = {
    "vocab_size": 96,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "initializer_range": 0.2,
}
CONFIGS = {
    "all of an example": LlamaConfig(**SHAPE),
    "a window of 6": MistralConfig(**SHAPE, sliding_window=6),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_states_and_gradients_are_those_of_a_mask(name):
    register_by_example()
    ids = torch.randint(96, (2, 40), generator=torch.Generator().manual_seed(3))
    positions = torch.from_numpy(positions_of([(11, 1, 20), (40,)], 40))
    found = []
    for attention in ("sdpa", BY_EXAMPLE):
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(CONFIGS[name], attn_implementation=attention, dtype=torch.float64)
        states = hidden_states(model, flat=False)(ids, positions)
        states.square().sum().backward()
        gradient = torch.cat([p.grad.flatten() for p in model.base_model.parameters()])
        found.append((states.detach(), gradient))
    (masked, masked_gradient), (ours, gradient) = found
    assert torch.allclose(ours, masked, rtol=1e-10, atol=1e-10)
    assert float((gradient - masked_gradient).norm() / masked_gradient.norm()) < 1e-10


def test_it_passes_the_check_at_the_start():
    register_by_example()
    model = AutoModelForCausalLM.from_config(CONFIGS["all of an example"], attn_implementation=BY_EXAMPLE)
    check_isolation(hidden_states(model, flat=False), vocabulary=96, device=torch.device("cpu"), dtype=torch.float32)
