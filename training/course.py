"""The course of a run: which share of a step each group of rows has, expected before and realised after.

Shares are of tokens where they are known, of rows otherwise. Shapes: K groups, S + 1 edges that cut the order into S
runs of slots.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.recipe import RecipeError, SourceCard
from pipeline.shards import Shard
from sampling.law import expected_drawn
from sampling.mix import MixConfig
from sampling.order import Origin, Plan, PrioritizeConfig, origins_of, plan_order
from sampling.prioritize import count_origins
from training.config import TrainConfig
from training.schedule import learning_rate

RUNS = 1000
NOMINAL_STEPS = 10_000  # where the number of steps is not known, a learning rate is taken over so many
SCHEDULES: dict[str, dict[str, Any]] = {
    "cosine to 0": {"schedule": "cosine", "min_lr_ratio": 0.0},
    "cosine to 10%": {"schedule": "cosine", "min_lr_ratio": 0.1},
    "paper_cosine": {"schedule": "paper_cosine"},
    "wsd to 10%": {"schedule": "wsd", "decay_ratio": 0.2, "min_lr_ratio": 0.1},
}  # what a recipe's own schedule is shown beside


@dataclass(frozen=True)
class Course:
    """How much of each group comes between the edges; `size_K` is the tokens of a row, 1 where none are known."""

    names: tuple[str, ...]
    size_K: NDArray[np.float64]
    drawn_SK: NDArray[np.float64]  # (S + 1, K) slots of each group before an edge

    @property
    def amount_SK(self) -> NDArray[np.float64]:
        """(S, K) tokens, or rows, of each group in a run."""
        amount_SK: NDArray[np.float64] = np.diff(self.drawn_SK, axis=0) * self.size_K
        return amount_SK

    def share(self, first: float = 0.0, last: float = 1.0) -> NDArray[np.float64]:
        """Return each group's share, (K,), of what lies between two places of the run, both from 0 to 1."""
        done = self.drawn_SK @ self.size_K / max(float(self.drawn_SK[-1] @ self.size_K), 1e-9)
        between = [[np.interp(place, done, column) for column in self.drawn_SK.T] for place in (first, last)]
        return _normalised((np.array(between[1]) - np.array(between[0])) * self.size_K)

    def weighted(self, config: TrainConfig, steps: int | None, planned: int | None = None) -> NDArray[np.float64]:
        """Return each group's share, (K,), of the learning rates that its tokens meet, added up.

        Args:
            steps: of the run; `planned` are those that the whole order would take, where the run ends before.
        """
        steps = steps or NOMINAL_STEPS
        amount_SK = self.amount_SK
        whole = max(float(amount_SK.sum()), 1e-9)
        middle_S = (np.cumsum(amount_SK.sum(1)) - amount_SK.sum(1) / 2) / whole * (planned or steps)
        rates = [learning_rate(int(step), steps, config) if step < steps else 0.0 for step in middle_S]
        return _normalised(np.array(rates) @ amount_SK)

    def weighted_by_schedule(
        self, config: TrainConfig, steps: int | None, planned: int | None = None
    ) -> dict[str, NDArray[np.float64]]:
        """Return the weighted shares under the recipe's schedule, and under those that it may be compared with."""
        own = f"{config.schedule} of the recipe"
        compared = {name: config.model_copy(update=update) for name, update in SCHEDULES.items()}
        return {name: self.weighted(one, steps, planned) for name, one in {own: config, **compared}.items()}


def expected_course(plan: Plan) -> Course:
    """Lay out what is expected of a plan's law."""
    edges = np.linspace(0, plan.law.num_slots, RUNS + 1)
    size_K = np.ones(len(plan.names)) if np.isnan(plan.tokens_K).any() else plan.tokens_K
    return Course(plan.names, size_K, expected_drawn(plan.law, edges))


def realised_course(course: Course, plan: Plan, order: Sequence[Shard]) -> Course:
    """Count what came of it: the groups of the rows in the order that was drawn."""
    drawn_SK = np.zeros_like(course.drawn_SK)
    groups = len(plan.names)
    for shard in order:
        rows = shard.read(["position", *Origin._fields])
        group_P = np.array([plan.group_of[origin] for origin in origins_of(rows)], np.int64)
        run_P = rows["position"].to_numpy() * RUNS // max(plan.law.num_slots, 1)
        drawn_SK[1:] += np.bincount(run_P * groups + group_P, minlength=RUNS * groups).reshape(RUNS, groups)
    return replace(course, drawn_SK=np.cumsum(drawn_SK, axis=0))


def plan_of(
    encoded: Sequence[Shard] | None, cards: Sequence[SourceCard], mix: MixConfig, config: PrioritizeConfig
) -> Plan:
    """Plan an order by the rows that were encoded; before there are any, by the numbers in the cards.

    Raises:
        RecipeError: nothing is encoded, and a card does not say how many pairs its source has; or as `plan_order`.
    """
    if encoded is not None:
        counted, weighed = count_origins(encoded, with_tokens=True)
        return plan_order(counted, config, weighed)
    rows: dict[Origin, int] = {}
    tokens: dict[Origin, float] = {}
    for card in cards:
        if card.form != "pairs" or card.rows is None:
            why = "no number of rows" if card.form == "pairs" else "text that is still to be rewritten"
            raise RecipeError(f"{card.name}: got {why}, expected `rows` in its card, or rows encoded by `onestage run`")
        origin = Origin(card.kind, card.name, "pairs")
        rows[origin] = round(min(card.rows, mix.max_examples.get(card.name, card.rows)) * (1 - mix.heldout))
        tokens[origin] = rows[origin] * (card.mean_tokens or np.nan)
    return plan_order(rows, config, tokens)


def _normalised(amount_K: NDArray[np.float64]) -> NDArray[np.float64]:
    share_K: NDArray[np.float64] = amount_K / max(float(amount_K.sum()), 1e-12)
    return share_K
