import numpy as np
import pytest

from pipeline.recipe import RecipeError
from training.guard import MEMORY, check_losses, check_norm
from training.rows import PackedRows


@pytest.fixture
def batch(pack):
    return PackedRows(pack).read(4, 8, vocabulary=96)


def sums(batch, loss):
    """Sums of losses by example that make a mean of `loss` a target token."""
    return batch.targets_E * float(loss)


def test_a_loss_that_is_no_number_names_its_examples_and_the_way_past(batch):
    spoiled = sums(batch, 2.0)
    spoiled[[3, 5]] = np.nan, np.inf
    named = f"{batch.example_ids[3]}, {batch.example_ids[5]}"
    with pytest.raises(RecipeError, match=rf"^step 2: got .* on 2 of .* \({named}\), .*skip_steps passes over"):
        check_losses("step 2", batch, spoiled, [], 3.0)


def test_a_loss_far_above_those_before_names_the_highest_examples_first(batch):
    jumped = sums(batch, 2.0)
    jumped[4] += 1e4 * batch.targets_E[4]
    with pytest.raises(
        RecipeError, match=rf"got a loss of .*, expected at most 5\.000 .*highest on {batch.example_ids[4]},"
    ):
        check_losses("step 9", batch, jumped, [2.0] * 8, 3.0)


def test_the_limit_lies_above_the_median_of_the_steps_before(batch):
    before = [100.0] * 5 + [1.0, 2.0, 3.0] * (MEMORY // 3) + [2.0] * 3  # what is older than MEMORY does not count
    check_losses("", batch, sums(batch, 5.0 - 1e-9), before, 3.0)
    with pytest.raises(RecipeError, match=r"expected at most 5\.000"):
        check_losses("", batch, sums(batch, 5.0 + 1e-6), before, 3.0)


def test_the_first_steps_are_let_through(batch):
    check_losses("", batch, sums(batch, 90.0), [1.0] * (MEMORY // 4 - 1), 3.0)
    with pytest.raises(RecipeError, match="max_loss_jump"):
        check_losses("", batch, sums(batch, 90.0), [1.0] * (MEMORY // 4), 3.0)


def test_a_gradient_norm_must_be_a_number():
    check_norm("step 2", None)
    check_norm("step 2", 1e30)
    with pytest.raises(RecipeError, match=r"^step 2: got a gradient norm of nan, expected a number"):
        check_norm("step 2", float("nan"))
