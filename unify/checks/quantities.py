"""The quantities of a text, and whether those of an answer stand in its passage with their units.

A quantity that is written otherwise (毫克 for mg, 120 for 一百二十, mmol/L for mg/dL of a named analyte, °F for °C)
is the same if its value is, exactly or within rounding to the digits written. What a text says of itself is always
grounded in it, because a place is read without looking past its sentence. Numbers that only count what is listed
(two kinds, 以下三点), numbers of items and of references, and the 一 and "one" of speech claim nothing.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache

from unify.checks.numerals import Number, fold, numbers
from unify.checks.units import ANALYTES, CLASSICAL, Dimension, Unit, unit_at

RATIO = Unit("ratio", (("ratio", 1),), Fraction(1))
CELSIUS, FAHRENHEIT, DEGREE = ((("celsius", 1),), (("fahrenheit", 1),), (("degree", 1),))
LITRE = (("volume", 1),)


@dataclass(frozen=True)
class Quantity:
    """A number with its unit, if any, at text[start:end]; a range's begin and a list's items have the last one's unit.

    `listed` tells that the unit is that of a later item in a list; `name` that the number is part of one, as in B12.
    """

    start: int
    end: int
    value: Fraction
    unit: Unit | None
    number: Number
    listed: bool = False
    name: bool = False

    @property
    def base(self) -> Fraction:
        """The value in the base units of its dimension."""
        return self.value * self.unit.size if self.unit else self.value


_RANGE = re.compile(r"\s?(?:-{1,2}|~|至|到|to|±|\+/-|\+-)\s?")
_LIST = re.compile(r"\s?(?:[,、，/;]|和|或|及|与|,? ?and|,? ?or)\s?")
_DATE_BEFORE = re.compile(r"[月]$")
_ITEM = re.compile(r"(?:\A|[\n。；;！？!?：:.]|\s)\s*[*#>\-•]{0,3}\s?[(]?\d{1,2}(?:[.)](?!\d)|、(?!\d)|\s?[)])")
_REFERENCE = re.compile(r"\[\d{1,3}(?:[,，、\-]\s?\d{1,3})*\]|[(]\d{1,2}[)]")
_NO_NUMERAL = re.compile(
    r"百日咳|[三间]日疟|十分(?!钟)|百分(?!之)|万分|[百千]年|百合|千[金斤]|三七|五味|万一|第一|一[分合]为"
)
_COUNTED = re.compile(  # what is counted in a list rather than measured
    r"\s?(?:大)?(?:个?(?:方面|阶段|部分|步骤|类型|原因|因素|特点|要点|问题|条件|原则|层次|环节)|[种类点项步条者大型])"
    r"|[ -](?:(?:main|major|common|different|important|key|other|basic|general|distinct|broad|primary) )*"
    r"(?:types?|kinds?|forms?|ways?|groups?|categor|reasons?|factors?|steps?|parts?|points?|aspects?|things|options?"
    r"|approaches|methods?|classes|stages?|phases?|examples?|areas?|components?|of (?:the|these|them|which)|or more)"
)
_MEASURED = re.compile(r"\s?(?:次|例|名|人|倍|位|组|个|只|根|度|级|期|型)")
_OPEN = re.compile(  # as in a table's cell
    r"\s?(?:$|[^a-z\s一-鿿])|\s(?:and|or|to|vs|versus|in|for)\b|[至到和或与]"
)
_MONTHS = re.compile(r"\b(jan|feb|mar|apr|may|june?|july?|aug|sep|oct|nov|dec)[a-z]*\b")
_MONTH_NUMBERS = {"jan": 1, "feb": 2, "mar": 3, "apr": 4, "may": 5, "jun": 6}
_MONTH_NUMBERS |= {"jul": 7, "aug": 8, "sep": 9, "oct": 10, "nov": 11, "dec": 12}
_DECADE = re.compile(r"(\d{1,2})世纪(\d)0年代")


@lru_cache(maxsize=512)
def read_quantities(text: str) -> tuple[Quantity, ...]:
    """Read the quantities of a text in order; a place that can be read in several ways has each of them."""
    folded = fold(text)
    read = [_with_unit(number, folded) for number in numbers(folded)]
    for i in range(len(read) - 2, -1, -1):
        here, after = read[i], read[i + 1]
        if here.unit is None and after.unit is not None and not here.name:
            gap = folded[here.end : after.start]
            if len(gap) < 9 and _RANGE.fullmatch(gap):
                read[i] = replace(here, unit=after.unit)
            elif len(gap) < 9 and _LIST.fullmatch(gap):
                read[i] = replace(here, unit=after.unit, listed=True)
            elif here.start == after.start:  # two readings of 三五日
                read[i] = replace(here, unit=after.unit, end=after.end)
    return tuple(read)


def _with_unit(number: Number, folded: str) -> Quantity:
    start, end = number.start, number.end
    before = folded[start - 1 : start]
    if number.script == "arabic" and re.search(r"[a-z]-?$", folded[max(0, start - 2) : start]):
        return Quantity(start, end, number.value, None, number, name=True)
    if folded.startswith(" per cent", end) or folded.startswith("个百分", end):
        return Quantity(start, end + 9, number.value, Unit("%", RATIO.dimension, Fraction(1, 100)), number)
    unit, length = unit_at(folded[end : end + 40])
    if unit and (number.script == "english" and re.fullmatch(r"[ -]?[a-zμ°]{1,2}", unit.name)):
        unit, length = None, 0
    if unit and _is_date(number, unit, folded, before):
        unit, length = None, 0
    if unit and number.script == "han" and unit.name in ("升", "合", "斗"):
        unit = Unit(unit.name, ((unit.name, 1),), Fraction(1)) if folded[start] != "两" else unit
    if unit and unit.name == "成" and re.match(r"[年为功分份虫熟药形因瘾立人]", folded[end + 1 : end + 2]):
        unit, length = None, 0
    if unit is None and number.ratio:
        unit = RATIO
    return Quantity(start, end + length, number.value, unit, number)


def _is_date(number: Number, unit: Unit, folded: str, before: str) -> bool:
    """Tell whether what looks like a unit belongs to a date: 2019年, 5月3日, 1990s."""
    year = 1000 <= number.value <= 2100 and number.value.denominator == 1
    if year and (unit.name == "年" or (unit.name == "s" and folded[number.end] == "s")):
        return True
    return unit.name == "日" and before == "月"


@dataclass(frozen=True)
class _Known:
    """What a passage has: all values, those without a unit, base values by dimension, and as written."""

    values: frozenset[Fraction]
    bare: frozenset[Fraction]
    sized: dict[Dimension, frozenset[Fraction]]
    written: frozenset[tuple[Fraction, str]]
    text: str


@lru_cache(maxsize=512)
def _known(passage: str) -> _Known:
    folded = fold(passage)
    extra = [Fraction(_MONTH_NUMBERS[name[:3]]) for name in _MONTHS.findall(folded)]
    extra += [Fraction((int(century) - 1) * 100 + int(decade) * 10) for century, decade in _DECADE.findall(folded)]
    sized: dict[Dimension, set[Fraction]] = defaultdict(set)
    bare, written, values = set(extra), set(), set(extra)
    skipped = _skipped(folded)
    for quantity in read_quantities(passage):
        if quantity.start in skipped:
            continue
        values.add(quantity.value)
        open_ended = quantity.unit is None and not quantity.name and _OPEN.match(folded, quantity.end)
        if quantity.listed or open_ended:
            bare.add(quantity.value)
        if quantity.unit is not None:
            sized[quantity.unit.dimension].add(quantity.base)
            written.add((quantity.value, quantity.unit.name))
    frozen = {dimension: frozenset(of) for dimension, of in sized.items()}
    return _Known(frozenset(values), frozenset(bare), frozen, frozenset(written), folded)


def _skipped(folded: str) -> set[int]:
    """Return where numbers begin that number an item or a reference, or are part of a word."""
    places: set[int] = set()
    for pattern in (_ITEM, _REFERENCE, _NO_NUMERAL):
        for match in pattern.finditer(folded):
            places.update(range(match.start(), match.end()))
    return places


def claims(answer: str) -> Iterator[Quantity]:
    """Yield the quantities of an answer that its passage has to have."""
    folded = fold(answer)
    skipped = _skipped(folded)
    for quantity in read_quantities(answer):
        number, value = quantity.number, quantity.value
        if quantity.start in skipped or number.script == "word":
            continue
        counted = value <= 10 and quantity.unit is None and _COUNTED.match(folded, quantity.end) is not None
        if number.script == "arabic":
            if not counted:
                yield quantity
        elif number.script == "han":
            if value != 1 and not counted and _says_how_much(quantity, folded):
                yield quantity
        elif value != 1 and not counted and (quantity.unit not in (None, RATIO) or value > 2):
            yield quantity


def _says_how_much(quantity: Quantity, folded: str) -> bool:
    if quantity.unit in (None, RATIO):
        return "分之" in folded[quantity.start : quantity.end] or (
            not quantity.number.ratio and _MEASURED.match(folded, quantity.end) is not None
        )
    return True


def ungrounded_number(answer: str, known: str) -> str | None:
    """Find the first number of an answer that what is known (passage, title, headings) has with no unit at all."""
    have = _known(known)
    return next((_written(answer, q) for q in _ungrounded(answer, have) if not _anywhere(q, have)), None)


def wrong_unit(answer: str, known: str) -> str | None:
    """Find the first number of an answer that what is known has only with other units."""
    have = _known(known)
    return next((_written(answer, q) for q in _ungrounded(answer, have) if _anywhere(q, have)), None)


def _ungrounded(answer: str, have: _Known) -> Iterator[Quantity]:
    parts: dict[int, bool] = {}  # where 1/2 is known as a share, its 1 and 2 claim nothing
    all_claims = list(claims(answer))
    for quantity in all_claims:
        if quantity.number.ratio and quantity.number.script == "arabic":
            known = _grounded(quantity, have, answer)
            parts.update(dict.fromkeys(range(quantity.start, quantity.number.end), known))
    for quantity in all_claims:
        if quantity.start in parts and (parts[quantity.start] or quantity.number.ratio):
            continue
        if not _grounded(quantity, have, answer):
            yield quantity


def _written(answer: str, quantity: Quantity) -> str:
    return answer[quantity.start : quantity.end]


def _anywhere(quantity: Quantity, have: _Known) -> bool:
    return quantity.value in have.values


def _grounded(quantity: Quantity, have: _Known, answer: str) -> bool:
    unit, value = quantity.unit, quantity.value
    if unit is None or quantity.listed:
        if value in have.values or value in have.sized.get(RATIO.dimension, ()):
            return True
        return _rounded(quantity, have.values, Fraction(1))
    same = have.sized.get(unit.dimension, frozenset())
    if quantity.base in same or value in have.bare or (value, unit.name) in have.written:
        return True
    if unit.dimension == RATIO.dimension and (
        quantity.base in have.values or _rounded(quantity, have.bare, 1 / unit.size)
    ):
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


def _converted(quantity: Quantity, have: _Known, answer: str) -> bool:
    """Tell whether the quantity is a known one in other units: of temperature, or of a named analyte's amount."""
    unit = quantity.unit
    assert unit is not None
    if unit.dimension in (CELSIUS, FAHRENHEIT, DEGREE):
        celsius, fahrenheit = have.sized.get(CELSIUS, ()), have.sized.get(FAHRENHEIT, ())
        plain = have.sized.get(DEGREE, frozenset())
        candidates = {*plain, *celsius, *fahrenheit, *(have.sized and plain)}
        if unit.dimension == DEGREE:
            return quantity.value in candidates
        other = {(value - 32) * 5 / 9 for value in (*fahrenheit, *plain)}
        if unit.dimension == FAHRENHEIT:
            other = {value * 9 / 5 + 32 for value in (*celsius, *plain)}
        return quantity.value in plain or _rounded(quantity, frozenset(other), Fraction(1))
    powers = dict(unit.dimension)
    swapped = {"mass": "mole", "mole": "mass"}
    base = next((base for base in swapped if powers.get(base) == 1 and powers.get("volume") == -1), None)
    if base is None:
        return False
    known = have.sized.get(tuple(sorted((swapped.get(name, name), power) for name, power in unit.dimension)))
    if not known:
        return False
    text = fold(answer)
    for names, molar_mass in ANALYTES:
        if any(name in text or name in have.text for name in names):
            factor = molar_mass if base == "mass" else 1 / molar_mass
            if _rounded(quantity, frozenset(value * factor for value in known), unit.size):
                return True
    return False
