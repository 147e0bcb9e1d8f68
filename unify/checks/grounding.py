"""Whether the quantities of an answer stand in what is known, with their units.

A quantity that is written otherwise (毫克 for mg, 120 for 一百二十, mmol/L for mg/dL of a named analyte, °F for °C) is
the same if its value is, exactly or within rounding to the digits written. A number that stands somewhere in a long
passage proves little, so that words which an answer shares with the passage on both sides of a number must have that
number there. What a passage says is always grounded in it.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from unify.checks.numerals import fold
from unify.checks.quantities import RATIO, Quantity, claims, read_quantities
from unify.checks.units import ANALYTES, CLASSICAL, Dimension

CELSIUS, FAHRENHEIT, DEGREE = ((("celsius", 1),), (("fahrenheit", 1),), (("degree", 1),))
# Characters beside a number by which a place is known again: on both sides, or on one side alone; Han, others.
BOTH, ALONE = (4, 10), (8, 24)

_OPEN = re.compile(  # as in a table's cell, or before a word that is not what is counted
    r"\s?(?:$|[^a-z\s一-鿿])|\s(?:and|or|to|vs|versus|in|for|at|on|with|who|when|now|today|but|as|by|presenting)\b|[至到和或与]"
)
_AGED = re.compile(r"(?:\baged?|\bthan|\bunder|\bover|\bages)\s\Z")
_MONTHS = re.compile(r"\b(jan|feb|mar|apr|may|june?|july?|aug|sep|oct|nov|dec)[a-z]*\b")
_MONTH_NUMBERS = {"jan": 1, "feb": 2, "mar": 3, "apr": 4, "may": 5, "jun": 6}
_MONTH_NUMBERS |= {"jul": 7, "aug": 8, "sep": 9, "oct": 10, "nov": 11, "dec": 12}
_DECADE = re.compile(r"(\d{1,2})世纪(\d)0年代")

Beside = tuple[str, str]  # what stands before and after a number


@dataclass(frozen=True)
class Known:
    """What a text has: all values, those without a unit, those of a dimension, as written, and by what is beside."""

    text: str
    values: frozenset[Fraction]
    bare: frozenset[Fraction]
    sized: dict[Dimension, frozenset[Fraction]]
    written: frozenset[tuple[Fraction, str]]
    beside: dict[Beside, list[Quantity]]


def ungrounded_number(answer: str, known: str) -> str | None:
    """Find the first number of an answer that what is known (passage, title, headings) does not have, or not there."""
    return next((written for written, elsewhere in _ungrounded(answer, known) if not elsewhere), None)


def wrong_unit(answer: str, known: str) -> str | None:
    """Find the first number of an answer that what is known has only with other units."""
    return next((written for written, elsewhere in _ungrounded(answer, known) if elsewhere), None)


@lru_cache(maxsize=256)
def _ungrounded(answer: str, known: str) -> tuple[tuple[str, bool], ...]:
    """List the quantities of an answer that are not grounded, and whether their number is, with another unit."""
    have, folded = read_known(known), fold(answer)
    claimed = list(claims(answer))
    shares = {  # where 1/2 is known as a share, its 1 and 2 claim nothing
        place: _grounded(quantity, have, folded)
        for quantity in claimed
        if quantity.number.ratio and quantity.number.script == "arabic"
        for place in range(quantity.start, quantity.number.end)
    }
    found = []
    for quantity in claimed:
        if quantity.start in shares and (shares[quantity.start] or quantity.number.ratio):
            continue
        if not _grounded(quantity, have, folded):
            found.append((answer[quantity.start : quantity.end], quantity.value in have.values))
        elif not quantity.name and (there := _altered(quantity, have, folded)):
            found.append((answer[quantity.start : quantity.end], any(one.value == quantity.value for one in there)))
    return tuple(found)


@lru_cache(maxsize=256)
def read_known(text: str) -> Known:
    """Read what a text has for the quantities of others to be held against."""
    folded = fold(text)
    extra = [Fraction(_MONTH_NUMBERS[name[:3]]) for name in _MONTHS.findall(folded)]
    extra += [Fraction((int(century) - 1) * 100 + int(decade) * 10) for century, decade in _DECADE.findall(folded)]
    sized: dict[Dimension, set[Fraction]] = defaultdict(set)
    bare, written, values = set(extra), set(), set(extra)
    beside: dict[Beside, list[Quantity]] = defaultdict(list)
    for quantity in read_quantities(text):
        if quantity.item:
            continue
        for key in _beside(quantity, folded):
            beside[key].append(quantity)
        values.add(quantity.value)
        open_ended = quantity.unit is None and not quantity.name
        open_ended &= bool(
            _OPEN.match(folded, quantity.end) or _AGED.search(folded, max(0, quantity.start - 8), quantity.start)
        )
        if quantity.listed or open_ended:
            bare.add(quantity.value)
        if quantity.unit is not None:
            sized[quantity.unit.dimension].add(quantity.base)
            written.add((quantity.value, quantity.unit.name))
    frozen = {dimension: frozenset(of) for dimension, of in sized.items()}
    return Known(folded, frozenset(values), frozenset(bare), frozen, frozenset(written), dict(beside))


def _beside(quantity: Quantity, folded: str) -> Iterator[Beside]:
    """Yield what a quantity's place is known by: a little on both sides, or more on one of them."""
    before = "".join(folded[max(0, quantity.start - 40) : quantity.start].split())
    after = "".join(folded[quantity.end : quantity.end + 40].split())
    han_before, han_after = before[-1:] > "\u2e7f", after[:1] > "\u2e7f"
    left, right = before[-BOTH[not han_before] :], after[: BOTH[not han_after]]
    if len(left) == BOTH[not han_before] and len(right) == BOTH[not han_after]:
        yield left, right
    left, right = before[-ALONE[not han_before] :], after[: ALONE[not han_after]]
    if len(left) == ALONE[not han_before]:
        yield left, ""
    if len(right) == ALONE[not han_after]:
        yield "", right


def _altered(quantity: Quantity, have: Known, folded: str) -> list[Quantity]:
    """List what stands in a place of the passage that the answer repeats with another quantity."""
    for key in _beside(quantity, folded):
        there = have.beside.get(key, [])
        if there and not any(_same(quantity, one) for one in there):
            return there
    return []


def _same(one: Quantity, other: Quantity) -> bool:
    if one.unit is None or other.unit is None or one.unit.name == other.unit.name:
        return one.value == other.value
    return one.base == other.base and one.unit.dimension == other.unit.dimension


def _grounded(quantity: Quantity, have: Known, answer: str) -> bool:
    unit, value = quantity.unit, quantity.value
    if unit is None or quantity.listed:
        shares = have.sized.get(RATIO.dimension, frozenset())
        return value in have.values or value in shares or _rounded(quantity, have.values, Fraction(1))
    same = have.sized.get(unit.dimension, frozenset())
    if quantity.base in same or value in have.bare or (value, unit.name) in have.written:
        return True
    if unit.dimension == RATIO.dimension and quantity.base in have.values:
        return True
    if unit.dimension[0][0] in CLASSICAL:
        return False
    return _rounded(quantity, same, unit.size) or _converted(quantity, have, answer)


def _rounded(quantity: Quantity, bases: frozenset[Fraction], size: Fraction) -> bool:
    """Tell whether a known value rounds to the digits that the quantity is written with, at least two of them."""
    digits = quantity.number.digits
    if digits is None or abs(quantity.value) * 10 ** max(digits, 0) < 10:
        return False
    half = Fraction(1, 2) / Fraction(10) ** digits
    low, high = (quantity.value - half) * size, (quantity.value + half) * size
    return any(low <= base <= high for base in bases)


def _converted(quantity: Quantity, have: Known, answer: str) -> bool:
    """Tell whether the quantity is a known one in other units: of temperature, or of a named analyte's amount."""
    unit = quantity.unit
    assert unit is not None
    if unit.dimension in (CELSIUS, FAHRENHEIT, DEGREE):
        return _same_temperature(quantity, unit.dimension, have)
    powers = dict(unit.dimension)
    swapped = {"mass": "mole", "mole": "mass"}
    base = next((base for base in swapped if powers.get(base) == 1 and powers.get("volume") == -1), None)
    if base is None:
        return False
    bases = have.sized.get(tuple(sorted((swapped.get(name, name), power) for name, power in unit.dimension)))
    for names, molar_mass in ANALYTES if bases else ():
        if any(name in answer or name in have.text for name in names):
            factor = molar_mass if base == "mass" else 1 / molar_mass
            if _rounded(quantity, frozenset(value * factor for value in bases or ()), unit.size):
                return True
    return False


def _same_temperature(quantity: Quantity, dimension: Dimension, have: Known) -> bool:
    celsius, fahrenheit = have.sized.get(CELSIUS, frozenset()), have.sized.get(FAHRENHEIT, frozenset())
    degrees = have.sized.get(DEGREE, frozenset())  # of a scale that is not named
    if dimension == DEGREE or quantity.value in degrees:
        return quantity.value in celsius | fahrenheit | degrees
    if dimension == CELSIUS:
        other = frozenset((value - 32) * 5 / 9 for value in fahrenheit)
    else:
        other = frozenset(value * 9 / 5 + 32 for value in celsius)
    return _rounded(quantity, other, Fraction(1))
