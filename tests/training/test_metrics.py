import json
from collections import defaultdict
from importlib.util import find_spec

import numpy as np
import pytest

from pipeline.recipe import RecipeError
from pipeline.records import KINDS
from training.metrics import Metrics, losses_of, means, tally
from training.rows import PackedRows


def steps(folder):
    return [json.loads(line)["step"] for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_tally_and_means_are_sums_and_averages_by_code():
    sums = tally(np.array([1.0, 2.0, 6.0]), np.array([1, 1, 3]), np.array([0, 2, 2]), 4)
    assert sums.tolist() == [[1, 0, 8, 0], [1, 0, 4, 0]]
    assert means(sums, ["a", "b", "c", "d"]) == {"a": 1.0, "c": 2.0}
    assert means(tally(np.zeros(0), np.zeros(0, int), np.zeros(0, int), 2), ["a", "b"]) == {}


def test_losses_by_kind_source_and_copy_are_those_of_the_tokens(pack):
    rows = PackedRows(pack)
    batch = rows.read(0, 8, vocabulary=96)
    losses_N = np.random.default_rng(0).random(batch.targets_N.sum())
    found = losses_of(batch, batch.sum_by_example(losses_N), rows.sources)
    sums = defaultdict(lambda: [0.0, 0])
    for example, loss in zip(batch.target_examples(), losses_N, strict=True):
        for key in (KINDS[batch.kind_E[example]], rows.sources[batch.source_E[example]]):
            total = sums[key, str(batch.epoch_E[example])]
            total[0] += loss
            total[1] += 1
    assert {epoch for _, epoch in sums} == {"0", "1"}
    for names, kind in (("sums_by_kind", "sft"), ("sums_by_source", "sft_source"), ("sums_by_kind", "web")):
        assert found[names][kind] == {epoch: pytest.approx(sums[kind, epoch]) for epoch in ("0", "1")}
    assert len(found["sums_by_kind"]) == len(found["sums_by_source"]) == 2
    tokens = sum(sums["sft", epoch][1] for epoch in "01")
    assert found["targets_by_source"]["sft_source"] == found["targets_by_kind"]["sft"] == tokens
    whole = sum(sums["sft", epoch][0] for epoch in "01")
    assert found["loss_by_source"]["sft_source"] == pytest.approx(whole / tokens, abs=1e-6)


@pytest.mark.parametrize(("resumed", "kept"), [(2, [0, 1, 2]), (0, [])])
def test_a_resumed_run_cuts_off_what_came_after_its_checkpoint(tmp_path, resumed, kept):
    first = Metrics(tmp_path, resumed_step=0)
    for step in range(4):
        first.write(step, {"loss": 1.0, "by": {"web": 2}})
    first.close()
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 2, "lo')  # killed while writing
    again = Metrics(tmp_path, resumed_step=resumed)
    assert steps(tmp_path) == kept
    again.write(3, {"loss": 0.5})
    again.close()
    assert steps(tmp_path) == [*kept, 3]


@pytest.mark.parametrize("tracker", ["wandb", "trackio"])
def test_a_tracker_that_is_not_installed_is_said_in_one_line(tmp_path, tracker):
    if find_spec(tracker):
        pytest.skip(f"{tracker} is installed")
    with pytest.raises(RecipeError, match=rf"^\[train\] trackers: got {tracker}, expected it installed \(pip install"):
        Metrics(tmp_path, resumed_step=0, trackers=[tracker])
    assert not (tmp_path / "metrics.jsonl").exists()
