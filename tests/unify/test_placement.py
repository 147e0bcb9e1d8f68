"""Servers are placed where the model fits, on every kind of machine; machines and models are read as they are."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.recipe import RecipeError
from unify.placement import Gpu, ModelSize, divides, fits, plan_servers, read_gpus, size_of, split_cores, weights_of

GIB = 1 << 30


def gpus(*memory_gib: int, used: Sequence[int] = ()) -> list[Gpu]:
    """Make GPUs of so many GiB, some of them in use."""
    return [Gpu(index, gib * GIB, 0 if index in used else gib * GIB) for index, gib in enumerate(memory_gib)]


def model(gib: float, heads: int = 32, kv_heads: int = 8) -> ModelSize:
    return ModelSize(int(gib * GIB), heads, kv_heads)


@pytest.mark.parametrize(
    ("size", "machine", "servers"),
    [
        (model(15), gpus(80), [(0,)]),
        (model(15), gpus(80, 80, 80, 80), [(0,), (1,), (2,), (3,)]),  # fits one: a replica each
        (model(15), gpus(24, 24), [(0,), (1,)]),
        (model(16), gpus(24, 24), [(0, 1)]),  # 63% of 24 GiB are 15.1
        (model(57), gpus(80, 80, 80, 80), [(0, 1), (2, 3)]),  # a 30B model in 16 bits
        (model(131), gpus(*[80] * 8), [(0, 1, 2, 3), (4, 5, 6, 7)]),  # a 70B model
        (model(131), gpus(*[80] * 6), [(0, 1, 2, 3)]),  # two are left
        (model(14, 28, 4), gpus(*[16] * 8), [(0, 1), (2, 3), (4, 5), (6, 7)]),
        (model(60, 28, 4), gpus(*[40] * 8), [(0, 1, 2, 3), (4, 5, 6, 7)]),  # 28 heads: 4 divides them, 8 does not
        (model(30, 64, 1), gpus(24, 24, 24, 24), [(0, 1), (2, 3)]),  # one key-value head is repeated
        (model(15), gpus(80, 80, 80, used=[1]), [(0,), (2,)]),
        (model(30), gpus(24, 80, 24, 80), [(1,), (3,)]),  # the small ones are left alone
        (model(120), gpus(24, 80, 80, 80, 80), [(1, 2, 3, 4)]),
    ],
)
def test_servers_are_as_many_as_fit_and_as_wide_as_needed(
    size: ModelSize, machine: list[Gpu], servers: list[tuple[int, ...]]
) -> None:
    plan = plan_servers(size, machine)
    assert list(plan.servers) == servers
    left = set(range(len(machine))) - {index for server in servers for index in server}
    assert all(str(index) in plan.why.partition("; GPU ")[2] for index in left)
    assert (f"tensor parallel over {len(servers[0])} GPUs" in plan.why) == (len(servers[0]) > 1)


@pytest.mark.parametrize(
    ("size", "machine", "settings", "told"),
    [
        (
            model(60, 28, 4),
            gpus(*[16] * 8),
            {},
            r"weights of 60\.0 GiB do not fit the 8 idle of 8 GPUs \(tried 1, 2, 4",
        ),
        (model(15), gpus(80, used=[0]), {}, r"all 1 GPUs are in use"),
        (model(15), gpus(80, 80), {"replicas": 3}, r"replicas: got 3, expected at most 2"),
        (model(15, 28, 4), gpus(*[80] * 8), {"tensor_parallel": 8}, r"tensor_parallel: got 8, expected a divisor"),
        (model(15), gpus(80), {"tensor_parallel": 2}, r"do not fit the 1 idle"),
    ],
)
def test_what_cannot_be_placed_is_said_in_one_line(
    size: ModelSize, machine: list[Gpu], settings: dict[str, int], told: str
) -> None:
    with pytest.raises(RecipeError, match=told) as raised:
        plan_servers(size, machine, **settings)  # type: ignore[arg-type]
    assert "\n" not in str(raised.value)


def test_a_recipe_decides_what_it_names() -> None:
    assert plan_servers(model(15), gpus(80, 80, 80), replicas=2).servers == ((0,), (1,))
    assert plan_servers(model(15), gpus(*[80] * 4), tensor_parallel=4).servers == ((0, 1, 2, 3),)
    assert plan_servers(model(70), gpus(80), tensor_parallel=1).servers == ((0,),)  # a person may know better


@given(
    gib=st.integers(1, 900),
    heads=st.sampled_from([12, 14, 28, 32, 40, 64]),
    share=st.sampled_from([1, 2, 4, 8]),
    memory=st.lists(st.sampled_from([16, 24, 40, 80, 141]), min_size=1, max_size=9),
)
def test_every_plan_fits_divides_and_uses_no_gpu_twice(gib: int, heads: int, share: int, memory: list[int]) -> None:
    size, machine = model(gib, heads, max(heads // share, 1)), gpus(*memory)
    try:
        plan = plan_servers(size, machine)
    except RecipeError:
        assert not any(fits(size.weight_bytes, [gpu]) for gpu in machine)
        return
    used = [index for server in plan.servers for index in server]
    assert len(used) == len(set(used))
    assert {len(server) for server in plan.servers} == {plan.tensor_parallel}
    assert divides(plan.tensor_parallel, size)
    assert all(fits(size.weight_bytes, [machine[index] for index in server]) for server in plan.servers)
    if plan.tensor_parallel > 1:
        assert not any(fits(size.weight_bytes, [gpu]) for gpu in machine)


LISTED = "0, GPU-aa11, 81559, 81000\n1, GPU-bb22, 81559, 400\n"


def test_gpus_are_read_and_narrowed_to_those_that_are_visible() -> None:
    first, second = read_gpus(LISTED)
    assert (first.index, first.memory, second.free) == (0, 81559 << 20, 400 << 20)
    assert read_gpus(LISTED, "1") == [second]
    assert read_gpus(LISTED, "GPU-aa11") == [first]
    assert read_gpus(LISTED, "0,1") == [first, second]
    for wrong in ("2", "MIG-1", "0,MIG-1"):
        with pytest.raises(RecipeError, match="CUDA_VISIBLE_DEVICES: got"):
            read_gpus(LISTED, wrong)
    with pytest.raises(RecipeError, match=r"nvidia-smi: got '0, GPU-a, \[N/A\], \[N/A\]'"):
        read_gpus("0, GPU-a, [N/A], [N/A]\n")


def test_a_model_is_measured_by_its_index_or_by_its_files(tmp_path: Path) -> None:
    config = {"num_attention_heads": 32, "num_key_value_heads": 8}
    (tmp_path / "config.json").write_text(json.dumps({"text_config": config}))
    with pytest.raises(RecipeError, match=r"no .*safetensors"):
        size_of(str(tmp_path))
    (tmp_path / "model.safetensors").write_bytes(bytes(1000))
    (tmp_path / "consolidated.safetensors").write_bytes(bytes(1000))
    assert size_of(str(tmp_path)) == ModelSize(1000, 32, 8)
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"metadata": {"total_size": 5000}}))
    assert size_of(str(tmp_path)) == ModelSize(5000, 32, 8)
    (tmp_path / "config.json").write_text(json.dumps({"num_attention_heads": 12}))
    assert size_of(str(tmp_path)).kv_heads == 12
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(RecipeError, match="num_attention_heads"):
        size_of(str(tmp_path))


def test_weights_in_a_second_format_are_not_counted() -> None:
    assert weights_of({"model-1.safetensors": 3, "model-2.safetensors": 4, "original/consolidated.safetensors": 7}) == 7
    assert weights_of({"pytorch_model.bin": 9}) == 0


def test_cores_are_divided_among_servers() -> None:
    assert split_cores([0, 1, 2, 3, 4], 2) == [[0, 1], [2, 3, 4]]
    assert split_cores([3, 5], 1) == [[3, 5]]
    with pytest.raises(RecipeError, match="replicas: got 3, expected at most 2"):
        split_cores([0, 1], 3)
