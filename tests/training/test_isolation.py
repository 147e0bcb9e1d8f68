from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, MambaConfig, MambaForCausalLM
from transformers.utils import is_flash_attn_2_available

from pipeline.recipe import RecipeError
from training.attention import BY_EXAMPLE, register_by_example
from training.isolation import Hidden, check_isolation, hidden_states, positions_of

DTYPES = [torch.float32, torch.bfloat16]


def load(model: Path, dtype: torch.dtype, attention: str = "sdpa") -> torch.nn.Module:
    register_by_example()
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


BACKENDS = [
    "sdpa",
    "eager",
    BY_EXAMPLE,
    pytest.param("flex_attention", marks=pytest.mark.slow),  # compiled at its first call, in a minute
    pytest.param(
        "flash_attention_2", marks=pytest.mark.skipif(not is_flash_attn_2_available(), reason="not installed")
    ),
]


def largest_difference(
    network: torch.nn.Module, examples: list[list[list[int]]], packed_by: Hidden | None = None
) -> float:
    """Compare the logits of every document in packed rows with those it has alone, in the model's own forward pass."""
    flat = "flash" in network.config._attn_implementation  # type: ignore[operator, union-attr]
    width = max(sum(map(len, row)) for row in examples) + 3
    ids = torch.tensor([([token for document in row for token in document] + [1] * width)[:width] for row in examples])
    positions = torch.from_numpy(positions_of([list(map(len, row)) for row in examples], width))
    found = []
    with torch.no_grad():
        packed = network.get_output_embeddings()((packed_by or hidden_states(network, flat=flat))(ids, positions))  # type: ignore[operator]
        for row, documents in enumerate(examples):
            start = 0
            for document in documents:
                alone = network(input_ids=torch.tensor([document]), use_cache=False).logits[0]
                found.append((packed[row, start : start + len(document)] - alone).abs().max())
                start += len(document)
    assert len(found) == sum(map(len, examples))
    return float(torch.stack(found).max())


def documents(lengths: list[list[int]], vocabulary: int) -> list[list[list[int]]]:
    draw = np.random.default_rng(3)
    return [[draw.integers(2, vocabulary, length).tolist() for length in row] for row in lengths]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch and transformers, as flex attention is compiled
@pytest.mark.parametrize("attention", BACKENDS)
def test_logits_of_a_packed_document_are_those_it_has_alone(model, attention):
    examples = documents([[1, 9, 14, 6], [20, 2, 11], [31]], 96)
    found = largest_difference(load(model, torch.float32, attention), examples)
    print(f"{attention}: logits differ by at most {found:.1g}")
    assert found <= 1e-4


@pytest.mark.parametrize("leak", [no_positions, with_a_mask, with_a_cache])
def test_logits_tell_a_leak_from_rounding(model, leak):
    network = load(model, torch.float32)
    assert largest_difference(network, documents([[1, 9, 14, 6], [20, 2, 11], [31]], 96), leak(network)) > 0.1


@pytest.mark.slow
@pytest.mark.parametrize("attention", ["sdpa", "eager", BY_EXAMPLE])
def test_thirty_layers_keep_documents_apart_as_well(demo_model, attention):
    examples = documents([[37, 120, 80], [200, 50]], 49_000)
    found = largest_difference(load(demo_model, torch.float32, attention), examples)
    print(f"{attention}, thirty layers: logits differ by at most {found:.1g}")
    assert found <= 1e-4


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
