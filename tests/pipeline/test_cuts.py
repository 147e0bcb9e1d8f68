from itertools import combinations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.cuts import MAX_UNITS, PASSAGE, SHORT, UNEVEN, cheapest_cuts

MOST, LEAST = 20, 6


@st.composite
def laid_out(draw: st.DrawFn) -> np.ndarray:
    """Draw up to nine units under up to two headings each, as regions.py and units.py lay them out."""
    rows = []
    at = depth = 0
    for _ in range(draw(st.integers(1, 9))):
        shared = draw(st.integers(-1, depth))
        new = draw(st.integers(0, 2 - max(0, shared)))
        opened = shared if new and shared >= 0 else max(0, shared)
        depth = opened + new
        lead = at
        at += 3 * new
        start, at = at, at + draw(st.integers(1, 25))
        rows.append((start, at, start, at, lead, depth, opened, shared, draw(st.sampled_from([-25, 0, 5, 30, 300]))))
    return np.array(rows, np.int64)


def cost_of(units: np.ndarray, firsts: tuple[int, ...]) -> int | None:
    """Return the cost of a way to cut, or None where it is not allowed, from the definition."""
    total = 0
    for first, stop in zip(firsts, (*firsts[1:], len(units)), strict=True):
        start, _, _, _, lead, depth, opened, _, cut = units[first]
        chars = size = units[stop - 1][1] - start
        shared = min((unit[7] for unit in units[first + 1 : stop]), default=depth)
        if shared < depth:
            size = units[stop - 1][1] - lead
        if stop - first > 1 and (size > MOST or shared < opened):
            return None
        empty = max(0, MOST - size) * 1000 // MOST
        total += 1000 * (cut + PASSAGE) + max(0, LEAST - chars) * SHORT * 1000 // LEAST + UNEVEN * empty**2 // 1000
    return int(total)


@settings(deadline=None)
@given(units=laid_out())
def test_no_way_to_cut_is_cheaper(units: np.ndarray) -> None:
    places = range(1, len(units))
    ways = [(0, *cuts) for count in range(len(units)) for cuts in combinations(places, count)]
    costs = {way: cost for way in ways if (cost := cost_of(units, way)) is not None}
    found = tuple(cheapest_cuts(units, MOST, LEAST).tolist())
    assert found in costs, "a way that is not allowed"
    assert costs[found] == min(costs.values())


def test_a_passage_has_at_most_so_many_units() -> None:
    at = np.arange(1000)
    depth = np.zeros(1000, np.int64)
    units = np.stack([at, at + 1, at, at + 1, at, depth, depth, depth, depth], axis=1)
    firsts = cheapest_cuts(units, 10**6, 10)
    assert np.diff([*firsts, 1000]).max() <= MAX_UNITS
    assert len(firsts) == 4
