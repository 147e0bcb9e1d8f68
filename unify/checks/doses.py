"""Doses with what is said of them: drug, how often, by which route, for whom.

A dose of an answer needs one place of the passage that agrees with all that the answer says of it; two places that
agree with half of it each are how one drug's dose is given to another. Only what both say can disagree: a place that
names no route supports any.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise

from unify.checks.frequencies import Frequency, read_frequencies
from unify.checks.numerals import fold
from unify.checks.quantities import Quantity, read_quantities
from unify.checks.units import CLASSICAL, Dimension

# What finds the drugs that a text names: where each stands and ends, and a name that is the same for the same drug.
Drugs = Callable[[str], Sequence[tuple[int, int, str]]]


def no_drugs(_: str) -> tuple[tuple[int, int, str], ...]:
    """Find no drugs, where doses are to be compared by all else."""
    return ()


AMOUNTS = CLASSICAL | {
    *("mass", "volume", "mole", "iu", "equivalent", "tablet", "capsule", "pill", "ampoule", "bottle", "sachet", "drop"),
    *("puff", "patch", "teaspoon", "tablespoon"),
}
SPREADS = frozenset((("weight", -1), ("length", -2), ("minute", -1)))  # per kg, per m², by the minute
ROUTES = {
    "oral": r"\boral|by mouth|\bp\.?o\b|口服|内服|吞服",
    "intravenous": r"\bintravenous|\bi\.?v\b|静脉|静滴|静注|静推",
    "intramuscular": r"\bintramuscular|\bi\.?m\b|肌内|肌注|肌肉注射",
    "subcutaneous": r"\bsubcutaneous|\bsubcut|皮下",
    "inhaled": r"\binhal|雾化|吸入",
    "rectal": r"\brectal|\bsuppositor|直肠|塞肛",
    "sublingual": r"\bsublingual|舌下|含服",
    "topical": r"\btopical|外用|外敷|涂搽|涂抹",
}
PEOPLE = {
    "adult": r"\badults?\b|成人|成年人",
    "child": r"\bchild(?:ren)?\b|\bpa?ediatric|儿童|小儿|患儿|婴幼儿",
    "infant": r"\binfants?\b|婴儿|婴幼儿",
    "newborn": r"\bnewborns?\b|\bneonat|新生儿|早产儿",
    "elderly": r"\belderly\b|\bolder (?:adults|people|patients)|\bgeriatric|老年|老人",
    "pregnant": r"\bpregnan|孕妇|妊娠",
}
_ROUTE = re.compile("|".join(f"(?P<{name}>{pattern})" for name, pattern in ROUTES.items()))
_PEOPLE = re.compile("|".join(f"(?P<{name}>{pattern})" for name, pattern in PEOPLE.items()))
_BORDER = re.compile(r"[。！？!?\n；;]|\.(?=\s|\Z)")
_RANGE = re.compile(r"\s?(?:[-~至到]|to)\s?")
_HEAD = re.compile(r"([一-鿿]{2})\s?[(:]?\s?\Z")
_NO_HEAD = re.compile(r"[用服为约量各每次加以在及或和与至后前日天共即重取者之的是水酒汤]\Z|[一二三四五六七八九十两半]")
REACH = 300  # characters before a sentence that names no drug in which the one that it is about is looked for


@dataclass(frozen=True)
class Dose:
    """An amount and what is said of it; `head` is what stands right before it in Chinese, as in a formula's list."""

    quantity: Quantity
    drugs: frozenset[str]
    routes: frozenset[str]
    people: frozenset[str]
    often: tuple[Frequency, ...]
    head: str | None

    @property
    def dimension(self) -> Dimension | None:
        """What kind of amount it is."""
        return self.quantity.unit.dimension if self.quantity.unit else None


def wrong_dose(answer: str, known: str, drugs: Drugs = no_drugs) -> str | None:
    """Find a dose that no one place of what is known supports with all that the answer says of it."""
    claimed = read_doses(answer, drugs, carry=False)
    same_size: dict[tuple[object, ...], list[Dose]] = defaultdict(list)
    same_head: dict[tuple[object, ...], set[Fraction]] = defaultdict(set)
    for one in read_doses(known, drugs, carry=True) if claimed else ():
        same_size[one.dimension, one.quantity.base].append(one)
        same_head[one.dimension, one.head].add(one.quantity.base)
    for dose in claimed:
        base, places = dose.quantity.base, same_size.get((dose.dimension, dose.quantity.base), [])
        sizes = same_head.get((dose.dimension, dose.head), {base}) if dose.head else {base}
        if places and (base not in sizes or not any(_agree(dose, place) for place in places)):
            return " ".join([answer[dose.quantity.start : dose.quantity.end], *sorted(dose.drugs)])
    return None


def _agree(dose: Dose, place: Dose) -> bool:
    per, other = (one.quantity.unit.per if one.quantity.unit else None for one in (dose, place))
    if not all(not ours or not theirs or ours & theirs for ours, theirs in _said(dose, place)):
        return False
    if per and other and per != other:
        return False
    often = [one.allows(other) or other.allows(one) for one in dose.often for other in place.often]
    return any(often) or not often


def _said(dose: Dose, place: Dose) -> tuple[tuple[frozenset[str], frozenset[str]], ...]:
    return (dose.drugs, place.drugs), (dose.routes, place.routes), (dose.people, place.people)


@lru_cache(maxsize=256)
def read_doses(text: str, drugs: Drugs, *, carry: bool) -> list[Dose]:
    """Read the doses of a text in order, each with what its sentence says between the doses beside it.

    Args:
        carry: whether a dose whose sentence names no drug may be of any drug named shortly before it.
    """
    amounts = [quantity for quantity in read_quantities(text) if _is_amount(quantity)]
    if not amounts:
        return []
    folded = fold(text)
    borders = [0, *(match.end() for match in _BORDER.finditer(folded)), len(folded)]
    named, often = drugs(text), read_frequencies(text)
    routes, people = _read_kinds(_ROUTE, folded), _read_kinds(_PEOPLE, folded)
    doses, ranges = [], _ranges_of(amounts, folded)
    for i, quantity in enumerate(amounts):
        start = max(border for border in borders if border <= quantity.start)
        stop = min((border for border in borders if border >= quantity.end), default=len(folded))
        left, right = ranges[i]
        after = max(start, amounts[left - 1].end) if left else start
        before = min(stop, amounts[right + 1].start) if right + 1 < len(amounts) else stop
        head = _HEAD.search(folded[max(0, quantity.start - 5) : quantity.start])
        doses.append(
            Dose(
                quantity,
                _drugs_of(named, start, after, quantity.start, before, carry),
                _within(routes, after, before) or _within(routes, start, stop),
                _within(people, after, quantity.start) or _within(people, start, quantity.start, last=True),
                tuple(one for one in often if after <= one.start and one.end <= before and not one.loose),
                head[1] if head and not _NO_HEAD.search(head[1]) else None,
            )
        )
    return doses


def _ranges_of(amounts: Sequence[Quantity], folded: str) -> list[tuple[int, int]]:
    """Number for each amount the first and the last of the range that it is in, alone or with others."""
    begins = [
        not (i and _RANGE.fullmatch(folded[amounts[i - 1].end : quantity.start])) for i, quantity in enumerate(amounts)
    ]
    starts = [i for i, begin in enumerate(begins) if begin] + [len(amounts)]
    return [(first, after - 1) for first, after in pairwise(starts) for _ in range(first, after)]


def _is_amount(quantity: Quantity) -> bool:
    if quantity.unit is None or quantity.listed:
        return False
    given = [part for part in quantity.unit.dimension if part not in SPREADS]
    return len(given) == 1 and given[0][0] in AMOUNTS and given[0][1] == 1


def _drugs_of(
    named: Sequence[tuple[int, int, str]], start: int, after: int, at: int, before: int, carry: bool
) -> frozenset[str]:
    """Return the drugs that a dose can be of: those since the last dose, or the next, or the last of the sentence."""
    near = frozenset(name for begin, end, name in named if after <= begin and end <= at)
    near = near or frozenset([name for begin, _, name in named if at <= begin < before][:1])
    near = near or frozenset([name for begin, end, name in named if start <= begin and end <= at][-1:])
    if near or not carry:
        return near
    return frozenset(name for begin, end, name in named if start - REACH <= begin and end <= start)


def _read_kinds(pattern: re.Pattern[str], folded: str) -> list[tuple[int, int, str]]:
    return [(*found.span(), found.lastgroup or "") for found in pattern.finditer(folded)]


def _within(kinds: Sequence[tuple[int, int, str]], start: int, end: int, *, last: bool = False) -> frozenset[str]:
    """Return the kinds named between two places, or the last of them alone."""
    found = [kind for begin, stop, kind in kinds if start <= begin and stop <= end]
    return frozenset(found[-1:] if last else found)
