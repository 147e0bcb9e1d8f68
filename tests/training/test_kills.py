"""A run that is killed at random moments, twenty times in all, ends in the bits of one that is not."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.training.conftest import ROOT, packed_rows, tiny_model, write_pack

KILLS = 5
LAYOUTS = [(1, 1), (1, 3), (2, 1), (2, 3)]  # ranks, ZeRO stage


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[tuple[int, int], dict[str, int]]]:
    root = tmp_path_factory.mktemp("kills")
    model = tiny_model(root / "tiny")
    pack = write_pack(root / "pack", [*packed_rows(24, "train"), *packed_rows(2, "heldout")])
    config = {
        "model": str(model), "batch_rows": 2, "micro_batch_rows": 1, "learning_rate": 1e-2, "chunk_targets": 16,
        "save_every": 1, "keep_checkpoints": 2,
    }  # fmt: skip
    environment = {**os.environ, "DS_ACCELERATOR": "cpu", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    orders = []
    for ranks, stage in LAYOUTS:
        task = {
            "pack": str(pack),
            "directory": str(root / f"{ranks}-{stage}"),
            "config": {**config, "zero_stage": stage},
        }
        orders.append({"task": task, "processes": ranks, "kills": KILLS, "seed": 10 * ranks + stage})
    command = [sys.executable, str(ROOT / "tests/training/kills.py"), json.dumps(orders)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = dict(zip(LAYOUTS, map(json.loads, done.stdout.splitlines()), strict=True))
    print(*(f"{ranks} ranks, ZeRO {stage}: {found[ranks, stage]}" for ranks, stage in LAYOUTS), sep="\n")
    return root, found


def steps(directory: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
    names = ("step", "rows", "loss", "grad_norm", "heldout", "loss_by_source")
    return [{name: line.get(name) for name in names} for line in lines]


@pytest.mark.slow
@pytest.mark.parametrize(("ranks", "stage"), LAYOUTS)
def test_a_killed_run_ends_in_the_same_bits(killed, ranks, stage):
    root, found = killed
    whole = root / f"{ranks}-{stage}-whole"
    assert len(steps(whole)) == 12 + 2
    assert all(line["grad_norm"] > 0 for line in steps(whole) if line["loss"])
    expected = load_file(whole / "hf" / "model.safetensors")
    for run in range(found[ranks, stage]["runs"]):
        directory = root / f"{ranks}-{stage}-{run}"
        assert steps(directory) == steps(whole)
        weights = load_file(directory / "hf" / "model.safetensors")
        assert weights.keys() == expected.keys()
        for name, weight in weights.items():
            assert torch.equal(weight, expected[name]), name


@pytest.mark.slow
def test_runs_were_killed_twenty_times_also_while_they_saved_and_went_on(killed):
    _, found = killed
    assert sum(layout["killed"] for layout in found.values()) >= KILLS * len(LAYOUTS) == 20
    assert all(layout["saving"] and layout["resumed"] >= 2 for layout in found.values())
