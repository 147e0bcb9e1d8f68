from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, MambaConfig, MambaForCausalLM

from pipeline.recipe import RecipeError
from training.isolation import Hidden, check_isolation, hidden_states, positions_of

DTYPES = [torch.float32, torch.bfloat16]


def load(model: Path, dtype: torch.dtype, attention: str = "sdpa") -> torch.nn.Module:
    return AutoModelForCausalLM.from_pretrained(model, dtype=dtype, attn_implementation=attention).eval()


def check(hidden: Hidden, dtype: torch.dtype) -> None:
    check_isolation(hidden, vocabulary=96, device=torch.device("cpu"), dtype=dtype)


def no_positions(model: torch.nn.Module) -> Hidden:
    return lambda ids, positions: model.base_model(input_ids=ids, use_cache=False).last_hidden_state


def with_a_mask(model: torch.nn.Module) -> Hidden:
    return lambda ids, positions: (
        model.base_model(
            input_ids=ids, position_ids=positions, attention_mask=torch.ones_like(ids), use_cache=False
        ).last_hidden_state
    )


def with_a_cache(model: torch.nn.Module) -> Hidden:
    return lambda ids, positions: (
        model.base_model(input_ids=ids, position_ids=positions, use_cache=True).last_hidden_state
    )


@given(st.lists(st.lists(st.integers(1, 9), max_size=5), min_size=1, max_size=4), st.integers(45, 60))
def test_positions_restart_at_every_example_and_at_the_padding(seq_lens, row_tokens):
    expected = [
        [place for length in [*lengths, row_tokens - sum(lengths)] for place in range(length)] for lengths in seq_lens
    ]
    assert positions_of(seq_lens, row_tokens).tolist() == expected


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_restarting_positions_isolate(model, dtype, attention):
    check(hidden_states(load(model, dtype, attention), flat=False), dtype)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_rows_laid_end_to_end_are_isolated_too(model, dtype):
    check(hidden_states(load(model, dtype), flat=True), dtype)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("leak", [no_positions, with_a_mask, with_a_cache])
def test_a_planted_leak_is_refused(model, dtype, attention, leak: Callable[[torch.nn.Module], Hidden]):
    with pytest.raises(RecipeError, match=r"packed examples leak into each other: example 2 .*, expected at most"):
        check(leak(load(model, dtype, attention)), dtype)


def test_a_recurrent_model_leaks(tmp_path):
    config = MambaConfig(vocab_size=96, hidden_size=32, num_hidden_layers=2, state_size=4, use_cache=False)
    torch.manual_seed(0)
    recurrent = MambaForCausalLM(config).eval()
    with pytest.raises(RecipeError, match="leak"):
        check(lambda ids, positions: recurrent.base_model(input_ids=ids).last_hidden_state, torch.float32)


def test_a_neighbour_changes_no_bit(model):
    hidden = hidden_states(load(model, torch.float32), flat=False)
    positions = torch.from_numpy(positions_of([[10, 12]], 24))
    some = torch.from_numpy(np.random.default_rng(0).integers(2, 96, (1, 24)))
    other = some.clone()
    other[0, :10] = 5
    with torch.no_grad():
        first, second = hidden(some, positions), hidden(other, positions)
    assert not torch.equal(first[0, :10], second[0, :10])
    assert torch.equal(first[0, 10:], second[0, 10:])
