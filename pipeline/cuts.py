"""Where to cut a sequence of units into passages: the cheapest way there is, by dynamic programming.

The sum of the costs of cuts, passages, shortness and unevenness is made least over all ways to cut, as Knuth and
Plass break a paragraph into lines (Software: Practice and Experience 11, 1981). What shall hang together needs no rule
of its own then: cutting there costs more. Only the order and rough size of the costs matter.

U units, P passages.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

# A unit: its characters, its place by the budget's measure, the place if the heading lines before it come along, how
# many headings it is under, how many of those began further up, how many it shares with the unit before (-1: no passage
# may hold both), and the cost of a cut before it.
START, END, PLACE, PLACE_END, PLACE_LEAD, DEPTH, OPENED, SHARED, COST = range(9)
# Costs of a cut: between sections it is a gain, for every level that ends there and at all; then between paragraphs,
# lines, sentences, clauses; items of a list or rows of a table, what introduces and answers, what warns.
SECTION, CHILD, PARAGRAPH, LINE, SENTENCE, CLAUSE, MEMBER, BOUND, WARNED = -15, -10, 0, 5, 30, 60, 300, 600, 2000
PASSAGE, SHORT, UNEVEN = 10, 100, 8  # costs of a passage, of one without any length, of one that fills nothing
MAX_UNITS = 256  # of a passage, so that time is linear in the units however short they are


@njit(cache=True, nogil=True)
def cheapest_cuts(units_U9: NDArray[np.int64], most: int, least: int) -> NDArray[np.int64]:
    """Cut U > 0 units into P passages of at most `most` by the budget's measure; a longer unit is a passage alone.

    A passage may reach over a heading only if none is lost: all that its first unit stands under is shared by its other
    units, or begins right before it.

    Args:
        units_U9: in order; see the column names above.
        most: of a passage, by the budget's measure.
        least: characters under which a passage is short.

    Returns:
        (P,) the first unit of every passage.
    """
    count = len(units_U9)
    cost_U = np.zeros(count + 1, np.int64)  # of the units before
    first_U = np.zeros(count + 1, np.int64)
    for stop in range(1, count + 1):
        cost_U[stop] = np.iinfo(np.int64).max
        shared = np.iinfo(np.int64).max
        for first in range(stop - 1, max(-1, stop - 1 - MAX_UNITS), -1):
            unit = units_U9[first]
            size = units_U9[stop - 1, PLACE_END] - unit[PLACE]
            alone = first == stop - 1
            if not alone and (size > most or shared < 0):
                break
            if not alone and shared < unit[DEPTH]:
                size = units_U9[stop - 1, PLACE_END] - unit[PLACE_LEAD]
            if alone or (size <= most and shared >= unit[OPENED]):
                chars = units_U9[stop - 1, END] - unit[START]
                short = max(0, least - chars) * SHORT * 1000 // max(1, least)
                empty = max(0, most - size) * 1000 // max(1, most)
                cost = cost_U[first] + 1000 * (unit[COST] + PASSAGE) + short + UNEVEN * empty * empty // 1000
                if cost < cost_U[stop]:
                    cost_U[stop], first_U[stop] = cost, first
            shared = min(shared, unit[SHARED])
    passages = 0
    stop = count
    while stop > 0:
        stop = first_U[stop]
        passages += 1
    firsts_P = np.empty(passages, np.int64)
    stop = count
    while stop > 0:
        passages -= 1
        stop = firsts_P[passages] = first_U[stop]
    return firsts_P
