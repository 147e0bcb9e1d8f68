"""Real DeepSpeed on one and two ranks over gloo, on a two-layer model."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from pipeline.recipe import RecipeError
from tests.training.conftest import TRAIN_ROWS, VOCABULARY, losses, packed_rows, run_ranks, tiny_model, write_pack
from train_onestage import deepspeed_config, load_model
from training.config import TrainConfig
from training.loss import OutputLoss, parameter_groups
from training.rows import PackedRows
from training.schedule import learning_rate

SETTINGS: dict[str, Any] = {
    "batch_rows": 8,
    "micro_batch_rows": 2,
    "learning_rate": 1e-2,
    "dtype": "fp32",
    "zero_stage": 1,
    "grad_clip": 1e9,
    "chunk_targets": 16,
}
STEPS = -(-TRAIN_ROWS // 8)


class Runs:
    """Training runs of this file by name: the folders they left, and what they printed."""

    def __init__(self, root: Path, model: Path, pack: Path) -> None:
        self.root, self.model, self.pack = root, model, pack
        small = {"batch_rows": 4, "zero_stage": 1}
        more, fewer = ("more-ranks", {**small, "zero_stage": 3}), ("fewer-ranks", small)
        self.printed = {
            1: run_ranks([*self.tasks(1), *self.failing(), self.task(more[0], stop_after=3, **small)], 1).stdout,
            2: run_ranks([*self.tasks(2), self.task(more[0], **more[1]), self.task(fewer[0], 2, **more[1])], 2).stdout,
        }
        run_ranks([self.task(fewer[0], **fewer[1]), self.task("whole32-1", **small)])

    def task(self, name: str, stop_after: int | None = None, **settings: Any) -> dict[str, Any]:
        config = {**SETTINGS, "model": str(self.model), **settings}
        return {"pack": str(self.pack), "directory": str(self.root / name), "config": config, "stop_after": stop_after}

    def tasks(self, ranks: int) -> list[dict[str, Any]]:
        every = {"batch_rows": 4, "save_every": 2, "keep_checkpoints": 2, "dtype": "bf16"}
        kept = {"save_every": 1, "keep_checkpoints": STEPS}
        return [
            *(self.task(f"zero{stage}-{ranks}", zero_stage=stage, **kept) for stage in range(4)),
            self.task(f"bf16-{ranks}", dtype="bf16"),
            self.task(f"bf16-zero0-{ranks}", dtype="bf16", zero_stage=0),
            self.task(f"whole-{ranks}", **every),
            self.task(f"killed-{ranks}", stop_after=2, **every),
            self.task(f"killed-{ranks}", **every),
            self.task(f"killed3-{ranks}", stop_after=2, **{**every, "zero_stage": 3}),
            self.task(f"killed3-{ranks}", **{**every, "zero_stage": 3}),
            self.task(f"whole3-{ranks}", **{**every, "zero_stage": 3}),
            self.task(f"offload1-{ranks}", stop_after=1, zero_stage=1, offload="optimizer"),
            self.task(f"offload1-{ranks}", zero_stage=1, offload="optimizer"),
            self.task(f"offload3-{ranks}", stop_after=1, zero_stage=3, offload="all"),
            self.task(f"offload3-{ranks}", zero_stage=3, offload="all"),
            self.task(f"lora-{ranks}", lora_rank=4, zero_stage=ranks),
            self.task(f"lora3-{ranks}", stop_after=1, lora_rank=4, zero_stage=3),
            self.task(f"lora3-{ranks}", lora_rank=4, zero_stage=3),
        ]

    def failing(self) -> list[dict[str, Any]]:
        return [
            self.task("accumulated", micro_batch_rows=3),
            self.task("one-batch", micro_batch_rows=8, gradient_checkpointing=True, eval_every=2, max_steps=2),
            self.task("diverges", learning_rate=1e15),
            {**self.task("leaks"), "leak": True},
            self.task("moved", stop_after=1, batch_rows=4),
            self.task("late", max_hours=1e-6),
            self.task("late", max_hours=1e-6),
            self.task("passed-over", skip_steps=[2, STEPS]),
            self.task("spikes", batch_rows=2, learning_rate=0.3, warmup_ratio=0.0, max_loss_jump=0.1, save_every=1),
        ]

    def metrics(self, name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.root / name / "metrics.jsonl").read_text().splitlines()]

    def first_gradient(self, name: str) -> dict[str, torch.Tensor]:
        """The gradient of the first step, from Adam's first moment behind it: (1 - beta) times that gradient."""
        found: dict[str, dict[int, torch.Tensor]] = {}
        for path in sorted((self.root / name / "step-1").glob("rank-*")):
            for key, tensor in load_file(path).items():
                place, _, kind = key.rpartition("/")
                if kind == "exp_avg":
                    parameter, _, start = place.rpartition("@")
                    found.setdefault(parameter, {})[int(start)] = tensor / (1 - TrainConfig().betas[0])
        return {key: torch.cat([parts[start] for start in sorted(parts)]) for key, parts in found.items()}

    def weights(self, name: str) -> dict[str, torch.Tensor]:
        return load_file(self.root / name / "hf" / "model.safetensors")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    root = tmp_path_factory.mktemp("runs")
    pack = write_pack(root / "pack", [*packed_rows(TRAIN_ROWS, "train"), *packed_rows(5, "heldout")])
    return Runs(root, tiny_model(root / "tiny"), pack)


@pytest.fixture(scope="module")
def oracle(runs: Runs) -> list[tuple[float, float]]:
    """The loss and gradient norm of every step, by torch alone: one process, one batch a step."""
    config = TrainConfig(**SETTINGS)
    model = AutoModelForCausalLM.from_pretrained(runs.model, dtype=torch.float32).train()
    optimizer = torch.optim.AdamW(parameter_groups(model, config.weight_decay), betas=config.betas)
    rows, found = PackedRows(runs.pack), []
    for step in range(STEPS):
        batch = rows.read(step * 8, min(step * 8 + 8, TRAIN_ROWS), vocabulary=VOCABULARY)
        tensors = map(torch.from_numpy, (batch.input_ids_NT, batch.positions_NT, batch.labels_NT))
        loss = OutputLoss(model, flat=False)(*tensors, 1)[0] / int(batch.targets_N.sum())
        optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1e9)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, STEPS, config)
        optimizer.step()
        found.append((float(loss.detach()), float(norm)))
    return found


def steps_of(runs: Runs, name: str) -> list[tuple[float, float]]:
    return [(line["loss"], line["grad_norm"]) for line in runs.metrics(name) if "loss" in line]


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("stage", [0, 1, 2, 3])
def test_loss_and_gradient_norm_are_those_of_one_big_batch(runs, oracle, stage, ranks):
    got = steps_of(runs, f"zero{stage}-{ranks}")
    assert len(got) == STEPS
    assert [loss for loss, _ in got] == pytest.approx([loss for loss, _ in oracle], rel=1e-5)
    if stage:  # DeepSpeed does not tell the norm of plain fp32
        assert [norm for _, norm in got] == pytest.approx([norm for _, norm in oracle], rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("stage", [0, 1, 2, 3])
def test_the_gradient_is_that_of_one_big_batch(runs, stage, ranks):
    network = OutputLoss(AutoModelForCausalLM.from_pretrained(runs.model, dtype=torch.float32).train(), flat=False)
    batch = PackedRows(runs.pack).read(0, 8, vocabulary=VOCABULARY)
    assert len({int(batch.targets_N[start : start + 2].sum()) for start in range(0, 8, 2)}) > 1
    (network(*map(torch.from_numpy, (batch.input_ids_NT, batch.positions_NT, batch.labels_NT)), 1)[0]).backward()
    expected = {name: parameter.grad.flatten() for name, parameter in network.named_parameters()}
    got = runs.first_gradient(f"zero{stage}-{ranks}")
    assert got.keys() == expected.keys()
    whole = torch.cat([expected[name] for name in expected]) / int(batch.targets_N.sum())
    off = float((torch.cat([got[name] for name in expected]) - whole).norm() / whole.norm())
    print(f"ZeRO {stage}, {ranks} ranks: the gradient is off by {off:.1g} of its norm")
    assert off <= 1e-5


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["accumulated", "zero0-1", "zero0-2", "zero1-2", "zero2-1", "zero2-2", "zero3-1", "zero3-2"]
)
def test_micro_batches_and_ranks_do_not_change_the_model(runs, name):
    expected = runs.weights("zero1-1")
    for key, weight in runs.weights(name).items():
        torch.testing.assert_close(weight, expected[key], rtol=1e-3, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bf16-1", "bf16-2", "bf16-zero0-1", "bf16-zero0-2"])
def test_bf16_follows_fp32(runs, oracle, name):
    assert losses(runs.root / name) == pytest.approx([loss for loss, _ in oracle], rel=2e-2)
    assert {weight.dtype for weight in runs.weights(name).values()} == {torch.bfloat16}


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("stage", ["", "3"])
def test_a_run_that_was_stopped_ends_in_the_same_bits(runs, ranks, stage):
    whole, stopped = f"whole{stage}-{ranks}", f"killed{stage}-{ranks}"
    assert "train: stopped at step 3 of 6, saved" in runs.printed[ranks]
    assert "going on from step 3" in runs.printed[ranks]
    assert steps_of(runs, whole) == steps_of(runs, stopped)
    assert len(steps_of(runs, whole)) == 6
    expected = runs.weights(whole)
    for key, weight in runs.weights(stopped).items():
        assert torch.equal(weight, expected[key]), key


@pytest.mark.slow
def test_the_newest_checkpoints_stay_and_are_whole(runs):
    assert sorted(path.name for path in (runs.root / "killed-1").glob("*step-*")) == ["step-4", "step-6"]
    for name in ("whole-1", "whole-2", "whole3-2"):
        steps = sorted(path.name for path in (runs.root / name).glob("*step-*"))
        assert steps == ["step-4", "step-6"]
        manifest = json.loads((runs.root / name / "step-4" / "manifest.json").read_text())
        assert (manifest["step"], manifest["rows"], manifest["key"]) == (4, 16, name)
        assert sum(file.startswith("rank-") for file in manifest["files"]) == manifest["world_size"] == int(name[-1])
        for file, size in manifest["files"].items():
            assert (runs.root / name / "step-4" / file).stat().st_size == size > 0


@pytest.mark.slow
def test_every_row_is_read_once_and_heldout_falls(runs):
    for ranks in (1, 2):
        lines = runs.metrics(f"zero1-{ranks}")
        assert [line["rows"] for line in lines if "rows" in line] == [8, 16, 22]
        rows = PackedRows(runs.pack).read(0, TRAIN_ROWS, vocabulary=VOCABULARY)
        assert sum(line["target_tokens"] for line in lines if "rows" in line) == rows.targets_N.sum()
        assert sum(line["tokens"] for line in lines if "rows" in line) == rows.tokens
        before, after = (line["heldout"] for line in lines if "heldout" in line)
        assert set(before) == set(after) == {"web", "sft"}
        assert all(after[kind] < before[kind] for kind in before)


@pytest.mark.slow
def test_losses_by_source_average_to_the_loss(runs):
    for line in runs.metrics("zero1-2"):
        if "loss" in line:
            targets = line["targets_by_source"]
            whole = sum(line["loss_by_source"][source] * targets[source] for source in targets)
            assert whole / sum(targets.values()) == pytest.approx(line["loss"], rel=1e-5)
            assert sum(line["targets_by_kind"].values()) == line["target_tokens"]
            for names in ("sums_by_source", "sums_by_kind"):
                sums = [copy for copies in line[names].values() for copy in copies.values()]
                assert {epoch for copies in line[names].values() for epoch in copies} == {"0", "1"}
                assert sum(tokens for _, tokens in sums) == line["target_tokens"]
                assert sum(total for total, _ in sums) == pytest.approx(line["loss"] * line["target_tokens"], rel=1e-12)
            assert line["mfu"] > 0
            assert 0 < line["target_tokens_per_s"] < line["tokens_per_s"]


@pytest.mark.slow
def test_evaluation_and_the_end_come_when_the_recipe_says(runs):
    lines = runs.metrics("one-batch")
    assert [line["step"] for line in lines if "heldout" in line] == [0, 2]
    assert [line["step"] for line in lines if "loss" in line] == [1, 2]
    assert (runs.root / "one-batch" / "hf" / "manifest.json").is_file()
    assert list((runs.root / "one-batch" / "tensorboard").glob("events*"))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["zero1-1", "bf16-2", "zero3-2"])
def test_the_export_loads_and_generates(runs, name):
    folder = runs.root / name / "hf"
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    assert tokenizer.apply_chat_template([{"role": "user", "content": "AB"}], tokenize=False) == "<s>AB</s>"
    assert model.lm_head.weight.data_ptr() == model.model.embed_tokens.weight.data_ptr()
    assert model.generation_config.eos_token_id in (1, [1])
    made = model.generate(**tokenizer("AB", return_tensors="pt"), max_new_tokens=4, do_sample=False)
    assert made.shape[1] > 2
    started = load_file(runs.model / "model.safetensors")
    assert not torch.equal(model.lm_head.weight.float(), started["model.embed_tokens.weight"].float())
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["heldout"]["after"]["web"] < manifest["heldout"]["before"]["web"]
    assert set(manifest["files"]) == {path.name for path in folder.iterdir()} - {"manifest.json"}


@pytest.mark.slow
def test_a_model_that_lets_examples_leak_is_refused_before_the_first_step(runs):
    refused = [line for line in runs.printed[1].splitlines() if line.startswith("refused: ")]
    assert any("packed examples leak into each other" in line for line in refused)
    assert not (runs.root / "leaks" / "metrics.jsonl").exists()


@pytest.mark.slow
def test_a_loss_that_is_no_number_stops_the_run_and_names_the_examples(runs):
    refused = [line for line in runs.printed[1].splitlines() if "no number" in line]
    assert len(refused) == 1
    assert "step 2, rows 8 to 15: got a loss that is no number on" in refused[0]
    assert "examples (train-8-0, " in refused[0]
    assert not list((runs.root / "diverges").glob("step-*"))
    assert not (runs.root / "diverges" / "hf").exists()


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("stage", [1, 3])
def test_what_waits_in_the_hosts_memory_is_trained_and_saved_alike(runs, stage, ranks):
    assert steps_of(runs, f"offload{stage}-{ranks}") == pytest.approx(np.array(steps_of(runs, f"zero{stage}-{ranks}")))
    expected = runs.weights(f"zero{stage}-{ranks}")
    for key, weight in runs.weights(f"offload{stage}-{ranks}").items():
        torch.testing.assert_close(weight, expected[key], rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_adapters_learn_alike_on_any_ranks_and_leave_a_plain_model(runs):
    started = load_file(runs.model / "model.safetensors")
    expected, first = runs.weights("lora-1"), losses(runs.root / "lora-1")
    assert len(first) == STEPS
    assert "going on from step 2" in runs.printed[2]
    for name in ("lora-1", "lora-2", "lora3-1", "lora3-2"):
        assert losses(runs.root / name) == pytest.approx(first, rel=1e-5)
        weights = runs.weights(name)
        assert weights.keys() == started.keys()
        for key, weight in weights.items():
            assert torch.equal(weight, started[key]) == ("proj" not in key), key
            torch.testing.assert_close(weight, expected[key], rtol=1e-3, atol=1e-4)
        before, after = (line["heldout"] for line in runs.metrics(name) if "heldout" in line)
        assert all(after[kind] < before[kind] for kind in before)


@pytest.mark.slow
def test_a_spike_stops_the_run_before_its_step(runs):
    (refused,) = [line for line in runs.printed[1].splitlines() if "max_loss_jump" in line]
    taken = len(steps_of(runs, "spikes"))
    assert taken == 8
    assert f"step {taken + 1}, rows {2 * taken} to {2 * taken + 1}: got a loss of" in refused
    assert f"train-{2 * taken}-" in refused
    assert [path.name for path in (runs.root / "spikes").glob("*step-*")] == [f"step-{taken}"]


@pytest.mark.slow
def test_steps_that_the_recipe_skips_leave_the_order_as_it_is(runs):
    lines = [line for line in runs.metrics("passed-over") if "rows" in line]
    assert [(line["step"], line["rows"], "loss" in line) for line in lines] == [
        (1, 8, True),
        (2, 16, False),
        (3, 22, False),
    ]
    assert lines[0]["loss"] == steps_of(runs, "zero1-1")[0][0]
    assert [line["step"] for line in runs.metrics("passed-over") if "heldout" in line] == [0, STEPS]
    manifest = json.loads((runs.root / "passed-over" / "hf" / "manifest.json").read_text())
    assert manifest["settings"]["skip_steps"] == [2, STEPS]


@pytest.mark.slow
def test_a_run_that_has_no_time_left_saves_and_goes_on_later(runs):
    assert "train: stopped at step 1 of 3, saved" in runs.printed[1]
    assert "train: stopped at step 2 of 3, saved" in runs.printed[1]
    assert steps_of(runs, "late") == steps_of(runs, "zero1-1")[:2]


@pytest.mark.slow
def test_a_run_goes_on_with_other_ranks_and_zero_stages_in_the_same_order(runs):
    whole = steps_of(runs, "whole32-1")
    for name in ("more-ranks", "fewer-ranks"):
        moved = steps_of(runs, name)
        off = np.abs(np.array(moved) / np.array(whole) - 1).max(0)
        print(f"{name}: losses off by {off[0]:.1g}, gradient norms by {off[1]:.1g}")
        assert [line["rows"] for line in runs.metrics(name) if "rows" in line] == [4, 8, 12, 16, 20, 22]
        assert moved == pytest.approx(np.array(whole), rel=1e-4)
        for key, weight in runs.weights(name).items():
            torch.testing.assert_close(weight, runs.weights("whole32-1")[key], rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_leftovers_are_ignored_and_a_spoiled_checkpoint_is_refused(runs):
    moved = runs.root / "moved"
    assert [path.name for path in moved.glob("step-*")] == ["step-2"]
    (moved / ".step-7").mkdir(parents=True)
    (moved / ".step-7" / "rank-00000.safetensors").write_bytes(b"cut")
    (moved / ".hf").mkdir()
    (moved / ".old-step-1").mkdir()
    spoiled = moved / "step-2" / "rank-00000.safetensors"
    whole = spoiled.read_bytes()
    spoiled.write_bytes(whole[:-1])
    again = run_ranks([runs.task("moved", batch_rows=4)])
    assert f"refused: {spoiled}: got {len(whole) - 1} bytes, expected {len(whole)}" in again.stdout
    assert [path.name for path in moved.glob(".*")] == [".lock"]
    spoiled.write_bytes(whole)
    assert "going on from step 2" in run_ranks([runs.task("moved", batch_rows=4)]).stdout
    assert len(losses(moved)) == 6


def test_a_folder_that_is_no_model_is_refused(tmp_path):
    with pytest.raises(RecipeError, match=r"\[train\] model: got .*, expected a model that loads"):
        load_model(TrainConfig(model=str(tmp_path)), 32)


def test_rows_longer_than_the_models_positions_are_refused(tmp_path):
    with pytest.raises(RecipeError, match=r"\[encode\] max_tokens: got rows of 65 tokens, expected at most the 64"):
        load_model(TrainConfig(model=str(tiny_model(tmp_path / "tiny"))), 65)


@pytest.mark.parametrize("world", [1, 2, 3])
def test_accumulation_covers_the_batch(world):
    settings = deepspeed_config(TrainConfig(batch_rows=8, micro_batch_rows=2), -(-8 // (2 * world)), world)
    assert settings["train_batch_size"] >= 8
    assert settings["bf16"]["enabled"]


@pytest.mark.parametrize(("offload", "stage", "wanted"), [("all", 2, "3"), ("optimizer", 0, "1 or more")])
def test_a_stage_that_keeps_everything_cannot_offload(offload, stage, wanted):
    with pytest.raises(RecipeError, match=rf"\[train\] offload: got {offload} with zero_stage {stage}, .* {wanted}$"):
        deepspeed_config(TrainConfig(offload=offload, zero_stage=stage), 1, 1)
