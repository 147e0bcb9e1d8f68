"""Whether the quantities of an answer stand in what is known, with their units.

A quantity that is written otherwise (毫克 for mg, 120 for 一百二十, mmol/L for mg/dL of a named analyte, °F for °C) is
the same if its value is, exactly or within rounding to the digits written. A number that stands somewhere in a long
passage proves little, so that words which an answer shares with the passage on both sides of a number must have that
number there, and the ends of a range or the sides of a proportion must be so in the passage where it has one like it.
What a passage says is always grounded in it.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from unify.checks.numerals import fold
from unify.checks.places import Beside, beside
from unify.checks.quantities import RATIO, Joined, Quantity, claims, counts, joined, read_quantities
from unify.checks.units import ANALYTES, CLASSICAL, Dimension

CELSIUS, FAHRENHEIT, DEGREE = ((("celsius", 1),), (("fahrenheit", 1),), (("degree", 1),))

_OPEN = re.compile(  # as in a table's cell, or before a word that is not what is counted
    r"\s?(?:$|[^a-z\s一-鿿])|\s(?:and|or|to|vs|versus|in|for|at|on|with|who|when|now|today|but|as|by|presenting)\b|[至到和或与]"
)
_AGED = re.compile(r"(?:\baged?|\bthan|\bunder|\bover|\bages)\s\Z")
_MONTHS = ["january", "february", "march", "april", "may", "june", "july", "august", "september", "october"]
_MONTHS += ["november", "december"]
_SHORT = "jan|feb|mar|march|apr|may|jun|jul|aug|sept?|oct|nov|dec"  # and what also means something else
_MONTH = re.compile(
    rf"\b({'|'.join(name for name in _MONTHS if name not in _SHORT.split('|'))})\b"
    rf"|\b({_SHORT})\.?,? (?=\d)|(?:(?<=\d )|(?<=\bin ))({_SHORT})\b"
)
_MONTH_NUMBERS = {name[:3]: number for number, name in enumerate(_MONTHS, 1)}
# Words that a number stands behind, or a character that stands behind it, as its name: type 2, 2型.
_LABEL = re.compile(r"\b(type|grade|stage|phase|class|group|level|category|step)s?[ -]?\Z")
_LABEL_ZH = re.compile(r"\s?([型期级])")
_DECADE = re.compile(r"(\d{1,2})世纪(\d)0年代")


End = tuple[str, bool, bool, Fraction]  # of two joined quantities: mark, whether the last, whether in base units, value


@dataclass(frozen=True)
class Known:
    """What a text has: all values, those without a unit, those of a dimension, as written, and by what is beside."""

    text: str
    values: frozenset[Fraction]
    bare: frozenset[Fraction]
    sized: dict[Dimension, frozenset[Fraction]]
    written: frozenset[tuple[Fraction, str]]
    beside: dict[Beside, list[Quantity]]
    joined: dict[End, list[Joined]]


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
    found: list[tuple[int, int, bool]] = []
    for quantity in claimed:
        if quantity.start in shares and (shares[quantity.start] or quantity.number.ratio):
            continue
        if not _grounded(quantity, have, folded):
            found.append((quantity.start, quantity.end, quantity.value in have.values))
        elif not quantity.name and (there := _altered(quantity, have, folded)):
            found.append((quantity.start, quantity.end, any(one.value == quantity.value for one in there)))
    found += [(one.start, one.end, False) for one in counts(answer) if _altered(one, have, folded)]
    if not found:
        found += [(one.first.start, one.last.end, False) for one in joined(answer) if _joined_otherwise(one, have)]
    return tuple((answer[start:end], elsewhere) for start, end, elsewhere in found)


@lru_cache(maxsize=256)
def read_known(text: str) -> Known:
    """Read what a text has for the quantities of others to be held against."""
    folded = fold(text)
    months = [found[found.lastindex or 0] for found in _MONTH.finditer(folded)]
    extra = [Fraction(_MONTH_NUMBERS[name[:3]]) for name in months]
    extra += [Fraction((int(century) - 1) * 100 + int(decade) * 10) for century, decade in _DECADE.findall(folded)]
    sized: dict[Dimension, set[Fraction]] = defaultdict(set)
    bare, written, values = set(extra), set(), set(extra)
    places: dict[Beside, list[Quantity]] = defaultdict(list)
    for quantity in read_quantities(text):
        if quantity.item:
            continue
        for place in _places(quantity, folded):
            places[place].append(quantity)
        values.add(quantity.value)
        open_ended = quantity.unit is None and not quantity.name
        open_ended &= quantity.value != 1 or quantity.number.script == "arabic"  # not the "one" of speech
        open_ended &= bool(
            _OPEN.match(folded, quantity.end) or _AGED.search(folded, max(0, quantity.start - 8), quantity.start)
        )
        if open_ended:
            bare.add(quantity.value)
        if quantity.unit is not None:
            sized[quantity.unit.dimension].add(quantity.base)
            written.add((quantity.value, quantity.unit.name))
    frozen = {dimension: frozenset(of) for dimension, of in sized.items()}
    return Known(folded, frozenset(values), frozenset(bare), frozen, frozenset(written), dict(places), _by_ends(text))


def _places(quantity: Quantity, folded: str) -> Iterator[Beside]:
    """Yield what a quantity's place is known by: what stands beside it, and a word that it numbers."""
    yield from beside(quantity.start, quantity.end, folded)
    if quantity.unit is None and quantity.number.script == "arabic":
        if label := _LABEL.search(folded, max(0, quantity.start - 12), quantity.start):
            yield label[1], ""
        if label := _LABEL_ZH.match(folded, quantity.end):
            yield "", label[1]


def _altered(quantity: Quantity, have: Known, folded: str) -> list[Quantity]:
    """List what stands in a place of the passage that the answer repeats with another quantity."""
    for place in _places(quantity, folded):
        there = have.beside.get(place, [])
        if there and not any(_same(quantity, one) for one in there):
            return there
    return []


def _same(one: Quantity, other: Quantity) -> bool:
    if one.unit is None or other.unit is None or one.unit.name == other.unit.name:
        return one.value == other.value
    return one.base == other.base and one.unit.dimension == other.unit.dimension


def _by_ends(text: str) -> dict[End, list[Joined]]:
    found: dict[End, list[Joined]] = defaultdict(list)
    for one in joined(text):
        for end in _ends(one):
            found[end].append(one)
    return dict(found)


def _ends(one: Joined) -> Iterator[End]:
    for last, quantity in ((False, one.first), (True, one.last)):
        yield one.mark, last, False, quantity.value
        yield one.mark, last, True, quantity.base


def _joined_otherwise(one: Joined, have: Known) -> bool:
    """Tell whether the passage has one of two joined quantities with another in the place of the second or first."""
    if one.mark == "/" and one.share in have.values:
        return False
    alike = (other for end in _ends(one) for other in have.joined.get(end, ()))
    same = {(_same(one.first, other.first), _same(one.last, other.last)) for other in alike}
    if (True, True) in same:
        return False
    return one.impossible or (True, False) in same or (False, True) in same


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
