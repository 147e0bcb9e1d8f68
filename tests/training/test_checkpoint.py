import json

import pytest
import torch
from safetensors.torch import load_file

from training.checkpoint import _superseded, checkpoints, write_safetensors


@pytest.mark.parametrize(
    ("losses", "keep", "gone"),
    [
        ({}, 1, [1, 2, 3, 4]),
        ({1: 3.0, 2: 2.0, 3: 2.5, 4: 2.6, 5: 2.7}, 1, [1, 3, 4]),
        ({1: 3.0, 2: 2.0, 3: 2.5, 4: 2.6, 5: 2.7}, 3, [1]),
        ({0: 1.0, 4: 2.0}, 2, [1, 2, 3]),  # before the first step there is nothing to keep
    ],
)
def test_the_newest_checkpoints_and_the_best_are_kept(tmp_path, losses, keep, gone):
    for step in range(1, 6):
        (tmp_path / f"step-{step}").mkdir()
        known = {str(at): loss for at, loss in losses.items() if at <= step}
        (tmp_path / f"step-{step}" / "manifest.json").write_text(json.dumps({"heldout_loss": known}))
    (tmp_path / "step-9").mkdir()  # without a manifest it is none
    assert [step for step, _ in checkpoints(tmp_path)] == [1, 2, 3, 4, 5]
    assert [path.name for path in _superseded(tmp_path, keep)] == [f"step-{step}" for step in gone]


def test_tensors_come_back_as_they_were_written(tmp_path):
    tensors = {"a@0/weight": torch.arange(7.0), "b@3/exp_avg": torch.randn(5)}
    assert write_safetensors(tmp_path / "rank", tensors) == (tmp_path / "rank").stat().st_size
    read = load_file(tmp_path / "rank")
    assert read.keys() == tensors.keys()
    assert all(torch.equal(read[name], tensor) for name, tensor in tensors.items())
