"""Attention example by example, against a mask over the whole row."""

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, MistralConfig

from train_onestage import load_model
from training.attention import BY_EXAMPLE, register_by_example
from training.config import TrainConfig
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
    masked, masked_gradient = states_and_gradient(CONFIGS[name], "sdpa", torch.float64)
    ours, gradient = states_and_gradient(CONFIGS[name], BY_EXAMPLE, torch.float64)
    assert torch.allclose(ours, masked, rtol=1e-10, atol=1e-10)
    assert float((gradient - masked_gradient).norm() / masked_gradient.norm()) < 1e-10


def test_the_same_numbers_give_the_same_bits():
    some, other = (states_and_gradient(CONFIGS["all of an example"], BY_EXAMPLE, torch.bfloat16) for _ in range(2))
    assert torch.equal(some[0], other[0])
    assert torch.equal(some[1], other[1])


def test_a_recipe_names_it_and_the_check_at_the_start_passes(model):
    loaded = load_model(TrainConfig(model=str(model), attention=BY_EXAMPLE, dtype="fp32"), row_tokens=32)
    check_isolation(hidden_states(loaded, flat=False), vocabulary=96, device=torch.device("cpu"), dtype=torch.float32)


def states_and_gradient(config, attention, dtype):
    register_by_example()
    ids = torch.randint(96, (2, 40), generator=torch.Generator().manual_seed(3))
    positions = torch.from_numpy(positions_of([(11, 1, 20), (40,)], 40))
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, attn_implementation=attention, dtype=dtype)
    states = hidden_states(model, flat=False)(ids, positions)
    states.square().sum().backward()
    return states.detach(), torch.cat([p.grad.flatten() for p in model.base_model.parameters()])
