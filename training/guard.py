"""Steps that must not be taken: a loss that is no number, or one far above the losses before it."""

from collections.abc import Sequence
from math import isfinite
from statistics import median

import numpy as np
from numpy.typing import NDArray

from pipeline.recipe import RecipeError
from training.rows import Rows

MEMORY = 32  # steps whose losses a new one is compared with
NAMED = 20  # examples that a message names
PASS_OVER = "[train] skip_steps passes over the rows of a step"


def check_losses(
    where: str, batch: Rows, sums_E: NDArray[np.float64], before: Sequence[float], max_loss_jump: float
) -> None:
    """Check a step's losses before its gradient changes a weight.

    Args:
        where: the step and its rows, for the message.
        sums_E: sum of the losses of each example's target tokens.
        before: mean losses of the steps before, of which the last MEMORY count; below a quarter of that, none does.
        max_loss_jump: nats a token that the mean may lie above their median.

    Raises:
        RecipeError: an example's loss is no number, or the mean lies further above. The examples are named, those
            with the highest loss a token first.
    """
    unsound = np.flatnonzero(~np.isfinite(sums_E))
    if len(unsound):
        raise RecipeError(
            f"{where}: got a loss that is no number on {len(unsound)} of the step's {len(sums_E)} examples "
            f"({_names(batch, unsound)}), expected one on each; {PASS_OVER}"
        )
    targets_E = batch.targets_E
    loss, recent = sums_E.sum() / max(targets_E.sum(), 1), list(before)[-MEMORY:]
    if len(recent) >= MEMORY // 4 and loss > (highest := median(recent) + max_loss_jump):
        by_loss = np.argsort(-sums_E / np.maximum(targets_E, 1), kind="stable")
        raise RecipeError(
            f"{where}: got a loss of {loss:.3f}, expected at most {highest:.3f} ([train] max_loss_jump above the steps "
            f"before); highest on {_names(batch, by_loss)}; {PASS_OVER}"
        )


def check_norm(where: str, norm: float | None) -> None:
    """Check the gradient's norm before what it made of the weights is saved.

    Raises:
        RecipeError: it is no number.
    """
    if norm is not None and not isfinite(norm):
        raise RecipeError(f"{where}: got a gradient norm of {float(norm)}, expected a number; {PASS_OVER}")


def _names(batch: Rows, examples: NDArray[np.int64]) -> str:
    return ", ".join(batch.example_ids[index] for index in examples[:NAMED])
