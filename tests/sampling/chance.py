"""Every order of a few slots with its exact probability, and a test of what was drawn against it."""

import itertools
import math
from collections import Counter

from sampling.law import Law


def probability(law: Law, sequence: tuple[int, ...]) -> float:
    """The product of the conditional probabilities of a sequence of groups."""
    left, product = list(law.slots_K), 1.0
    for group in sequence:
        stage = min(stage for n, stage in zip(left, law.stage_K, strict=True) if n)
        weights = [n * w * (own == stage) for n, w, own in zip(left, law.priority_K, law.stage_K, strict=True)]
        product *= weights[group] / sum(weights)
        left[group] -= 1
    return product


def sequences(law: Law) -> dict[tuple[int, ...], float]:
    slots = [group for group, n in enumerate(law.slots_K) for _ in range(n)]
    every = {order: probability(law, order) for order in set(itertools.permutations(slots))}
    assert math.isclose(sum(every.values()), 1)
    return {order: p for order, p in every.items() if p}


def is_drawn_from(seen: Counter, expected: dict) -> bool:
    """Pearson's test, one false alarm in 10,000 (Wilson and Hilferty's approximation of the quantile)."""
    assert seen.keys() <= expected.keys()
    draws, freedom = seen.total(), max(len(expected) - 1, 1)
    statistic = sum((seen[case] - draws * p) ** 2 / (draws * p) for case, p in expected.items())
    return statistic < freedom * (1 - 2 / (9 * freedom) + 3.72 * math.sqrt(2 / (9 * freedom))) ** 3
