from itertools import pairwise

import pytest

from training.config import TrainConfig
from training.schedule import learning_rate


def rates(steps: int = 100, **settings: object) -> list[float]:
    config = TrainConfig(learning_rate=1.0, **settings)
    return [learning_rate(step, steps, config) for step in range(steps)]


@pytest.mark.parametrize("schedule", ["wsd", "cosine", "paper_cosine"])
def test_the_rate_rises_linearly_and_then_never_again(schedule):
    got = rates(schedule=schedule, warmup_ratio=0.1)
    assert got[:10] == pytest.approx([0.1 * step for step in range(1, 11)])
    assert all(after <= before for before, after in pairwise(got[9:]))
    assert min(got) > 0


def test_wsd_is_flat_until_the_decay_and_ends_at_its_floor():
    got = rates(schedule="wsd", warmup_ratio=0.01, decay_ratio=0.2, min_lr_ratio=0.1)
    assert got[1:81] == [1.0] * 80
    assert got[90] == pytest.approx(0.55)
    assert learning_rate(100, 100, TrainConfig(learning_rate=1.0, min_lr_ratio=0.1)) == pytest.approx(0.1)


def test_cosine_passes_the_middle_between_peak_and_floor():
    got = rates(schedule="cosine", warmup_ratio=0.0, min_lr_ratio=0.2)
    assert got[0] == 1.0
    assert got[50] == pytest.approx(0.6)


def test_paper_cosine_is_cut_off_before_it_reaches_zero():
    got = rates(steps=1000, schedule="paper_cosine", warmup_ratio=0.0, min_lr_ratio=0.5)
    assert got[675] == pytest.approx(0.5)  # half of 1.35 times the steps
    assert got[-1] == pytest.approx(0.157, abs=1e-3)


@pytest.mark.parametrize("schedule", ["wsd", "cosine", "paper_cosine"])
def test_one_step_has_a_rate(schedule):
    assert rates(steps=1, schedule=schedule) == [1.0]


def test_the_whole_run_may_decay_or_no_part_of_it():
    assert rates(steps=4, warmup_ratio=0, decay_ratio=1.0, min_lr_ratio=0.0) == pytest.approx([1, 0.75, 0.5, 0.25])
    assert rates(steps=4, warmup_ratio=0, decay_ratio=0.0) == [1.0] * 4
