import json

import numpy as np
import pytest

from training.metrics import Metrics, means, tally


def steps(folder):
    return [json.loads(line)["step"] for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_tally_and_means_are_sums_and_averages_by_code():
    sums = tally(np.array([1.0, 2.0, 6.0]), np.array([0, 2, 2]), 4)
    assert sums.tolist() == [[1, 0, 8, 0], [1, 0, 2, 0]]
    assert means(sums, ["a", "b", "c", "d"]) == {"a": 1.0, "c": 4.0}
    assert means(tally(np.zeros(0), np.zeros(0, np.int64), 2), ["a", "b"]) == {}


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
