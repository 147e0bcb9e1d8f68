"""The law of the training order: which group of rows comes next, and what share of each is expected by when.

With n[k] slots of group k left and a priority w[k], the next slot is of group k with probability n[k] w[k] / sum(n w):
HuatuoGPT-II's data priority sampling (arXiv:2311.09774), its rows summed by group, which share a priority. So a draw
needs the counts that are left and nothing of the rows. Shapes: K groups, P positions, S places in the order.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from pipeline.records import text_hash

_COUNTS, _WEIGHTS = types.int64[::1], types.float64[::1]


@dataclass(frozen=True)
class Law:
    """How many slots each of K groups has, its priority, and its stage: those of a later stage wait for the earlier.

    Raises:
        ValueError: a priority is not finite and positive.
    """

    slots_K: NDArray[np.int64]
    priority_K: NDArray[np.float64]
    stage_K: NDArray[np.int64]  # all 0 but in sequential stages

    def __post_init__(self) -> None:
        if not (np.isfinite(self.priority_K) & (self.priority_K > 0)).all():
            raise ValueError(f"priorities: got {self.priority_K.tolist()}, expected them finite and above 0")

    @property
    def num_slots(self) -> int:
        """Length of the order."""
        return int(self.slots_K.sum())


def draw_groups(law: Law, left_K: NDArray[np.int64], count: int, *, seed: int) -> NDArray[np.int16]:
    """Draw the groups of the next `count` positions, and take them off `left_K`, which is all the state there is.

    The number behind a position is a hash of seed and position (SplitMix64: Steele, Lea and Flood, 2014), so that an
    order goes on from any `left_K` that was kept, and blocks of any size give the same order.

    Returns:
        (P,) groups, 0 to K - 1; fewer than `count` where fewer slots are left.
    """
    left = int(left_K.sum())
    groups_P = np.empty(min(count, left), np.int16)
    priority_K = law.priority_K / law.priority_K.max(initial=0.0) if len(left_K) else law.priority_K
    key = np.uint64(int(text_hash(f"order {seed}", 16), 16))
    _draw(left_K, priority_K, law.stage_K, key, law.num_slots - left, groups_P)
    return groups_P


@njit(types.void(_COUNTS, _WEIGHTS, _COUNTS, types.uint64, types.int64, types.int16[::1]), nogil=True, cache=True)
def _draw(
    left_K: NDArray[np.int64],
    priority_K: NDArray[np.float64],
    stage_K: NDArray[np.int64],
    key: np.uint64,
    position: int,
    groups_P: NDArray[np.int16],
) -> None:
    stage = 0
    for place in range(groups_P.size):
        total, waiting = 0.0, 0
        while waiting == 0:
            for group in range(left_K.size):
                if stage_K[group] == stage:
                    total += left_K[group] * priority_K[group]
                    waiting += left_K[group]
            stage += waiting == 0
        mixed = key + np.uint64(position + place + 1) * np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        above = np.float64((mixed ^ (mixed >> np.uint64(31))) >> np.uint64(11)) / 2.0**53 * total
        chosen = -1
        for group in range(left_K.size):
            if stage_K[group] == stage and left_K[group] > 0:
                chosen = group
                above -= left_K[group] * priority_K[group]
                if above < 0:
                    break
        left_K[chosen] -= 1
        groups_P[place] = chosen


def expected_drawn(law: Law, places_S: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how many slots of each group are expected among the first `places_S` of the order, (S, K).

    Give every slot an arrival time, exponential with its priority as rate: the order of arrivals has the law
    (Efraimidis and Spirakis, 2006). By time t a group has n (1 - exp(-w t)) of its slots behind it on average; t is
    where these add up to the place. The error is that of a place's own spread, about the root of the number of slots.
    """
    drawn_SK = np.zeros((len(places_S), len(law.slots_K)))
    before = 0.0
    for stage in np.unique(law.stage_K):
        of_stage = law.stage_K == stage
        slots, priority = law.slots_K[of_stage], law.priority_K[of_stage] / law.priority_K[of_stage].max()
        inside_S = np.clip(places_S - before, 0, slots.sum())[:, None]
        low_S, high_S = (np.full_like(inside_S, bound) for bound in (-50.0, 50.0 - np.log(priority.min())))
        for _ in range(80):  # bisection on the logarithm of t
            middle_S = (low_S + high_S) / 2
            short_S = (slots * -np.expm1(-priority * np.exp(middle_S))).sum(1, keepdims=True) < inside_S
            low_S, high_S = np.where(short_S, middle_S, low_S), np.where(short_S, high_S, middle_S)
        drawn = slots * -np.expm1(-priority * np.exp(low_S))
        drawn_SK[:, of_stage] = np.where(inside_S >= slots.sum(), slots, drawn)
        before += float(slots.sum())
    return drawn_SK
