"""Real DeepSpeed on one and two ranks over gloo, on a two-layer model."""

import json
from pathlib import Path
from typing import Any

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
        self.printed = {
            1: run_ranks([*self.tasks(1), *self.failing()], 1).stdout,
            2: run_ranks(self.tasks(2), 2).stdout,
        }

    def task(self, name: str, stop_after: int | None = None, **settings: Any) -> dict[str, Any]:
        config = {**SETTINGS, "model": str(self.model), **settings}
        return {"pack": str(self.pack), "directory": str(self.root / name), "config": config, "stop_after": stop_after}

    def tasks(self, ranks: int) -> list[dict[str, Any]]:
        every = {"batch_rows": 4, "save_every": 2, "keep_checkpoints": 2, "dtype": "bf16"}
        return [
            *(self.task(f"zero{stage}-{ranks}", zero_stage=stage) for stage in range(4)),
            self.task(f"bf16-{ranks}", dtype="bf16"),
            self.task(f"bf16-zero0-{ranks}", dtype="bf16", zero_stage=0),
            self.task(f"whole-{ranks}", **every),
            self.task(f"killed-{ranks}", stop_after=2, **every),
            self.task(f"killed-{ranks}", **every),
            self.task(f"killed3-{ranks}", stop_after=2, **{**every, "zero_stage": 3}),
            self.task(f"killed3-{ranks}", **{**every, "zero_stage": 3}),
            self.task(f"whole3-{ranks}", **{**every, "zero_stage": 3}),
        ]

    def failing(self) -> list[dict[str, Any]]:
        return [
            self.task("accumulated", micro_batch_rows=3),
            self.task("one-batch", micro_batch_rows=8, gradient_checkpointing=True, eval_every=2, max_steps=2),
            self.task("diverges", learning_rate=1e15),
            self.task("moved", stop_after=1, batch_rows=4),
        ]

    def metrics(self, name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.root / name / "metrics.jsonl").read_text().splitlines()]

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
        assert sum("optim_states" in file for file in manifest["files"]) == manifest["world_size"] == int(name[-1])
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
def test_a_loss_that_is_no_number_stops_the_run_and_names_the_examples(runs):
    refused = [line for line in runs.printed[1].splitlines() if line.startswith("refused: ")]
    assert len(refused) == 1
    assert "step 2: got a loss that is no number on" in refused[0]
    assert "examples (train-8-0, " in refused[0]
    assert not list((runs.root / "diverges").glob("step-*"))
    assert not (runs.root / "diverges" / "hf").exists()


@pytest.mark.slow
def test_leftovers_are_ignored_and_another_layout_is_refused(runs):
    moved = runs.root / "moved"
    assert [path.name for path in moved.glob("step-*")] == ["step-2"]
    (moved / ".step-7" / "state").mkdir(parents=True)
    (moved / ".step-7" / "state" / "mp_rank_00_model_states.pt").write_bytes(b"cut")
    (moved / ".hf").mkdir()
    done = run_ranks([runs.task("moved", batch_rows=4)], 2)
    assert f"refused: {moved / 'step-2'}: saved with world_size 1, this run has 2; expected the same" in done.stdout
    spoiled = moved / "step-2" / "state" / "mp_rank_00_model_states.pt"
    whole = spoiled.read_bytes()
    spoiled.write_bytes(whole[:-1])
    again = run_ranks([runs.task("moved", batch_rows=4), runs.task("moved", batch_rows=4, zero_stage=2)])
    assert "saved with zero_stage 1, this run has 2; expected the same" in again.stdout
    assert f"refused: {spoiled}: got {len(whole) - 1} bytes, expected {len(whole)}" in again.stdout
    assert not (moved / ".step-7").exists()
    assert not (moved / ".hf").exists()
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
