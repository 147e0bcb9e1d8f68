"""The quantities of a text: numbers with their units, ranges and lists, in Chinese and English.

A place is read without looking past its sentence, so that a quoted sentence says what it says where it stands. Not all
of them are claims: numbers of items and references, what only counts a list (two kinds, 以下三点), and the 一 and "one"
of speech say nothing that a passage has to have.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache

from unify.checks.numerals import Number, fold, numbers
from unify.checks.units import Unit, unit_at

RATIO = Unit("ratio", (("ratio", 1),), Fraction(1))


@dataclass(frozen=True)
class Quantity:
    """A number with its unit, if any, at text[start:end]; a range's begin and a list's items have the last one's unit.

    `listed` tells that the unit is that of a later item in a list; `name` that the number is part of one, as in B12;
    `item` that it numbers an item or a reference, or is no number at all but part of a word.
    """

    start: int
    end: int
    value: Fraction
    unit: Unit | None
    number: Number
    listed: bool = False
    name: bool = False
    item: bool = False

    @property
    def base(self) -> Fraction:
        """The value in the base units of its dimension."""
        return self.value * self.unit.size if self.unit else self.value


@dataclass(frozen=True)
class Joined:
    """Two quantities in a row joined by a mark: "-" for the ends of a range, ":", "/" or "±"."""

    first: Quantity
    last: Quantity
    mark: str

    @property
    def share(self) -> Fraction | None:
        """The first by the last, where that can be."""
        return self.first.value / self.last.value if self.last.value else None

    @property
    def impossible(self) -> bool:
        """Whether it is a range of one unit that ends where it begins, or before."""
        units = self.first.unit, self.last.unit
        if self.mark != "-" or units[0] is None or units[1] is None:
            return False
        return units[0].dimension == units[1].dimension and self.first.base >= self.last.base


_RANGE = re.compile(r"\s?(?:-{1,2}|~|至|到|to|±|\+/-|\+-)\s?")
_LIST = re.compile(r"\s?(?:[,、，/;]|和|或|及|与|,? ?and|,? ?or)\s?")
_JOINED = re.compile(r"\s?(?:(?P<range>[-~至到]|to)|(?P<other>[:∶比/]|±|\+/?-))\s?")
_NAME_BEFORE = re.compile(r"(?:[a-wyz]|[a-z]x)-?\Z")  # a lone x multiplies
_ITEM_BEFORE = re.compile(r"(?:\A|[\n。；;！？!?：:.]|\s)\s*[*#>\-•]{0,3}\s?[(]?\Z")
_ITEM_AFTER = re.compile(r"\s?[)]|[.、](?!\d)")
_REFERENCE_BEFORE = re.compile(r"\[(?:\d{1,3}[,，、\-]\s?){0,9}\Z")
_NO_NUMERAL = re.compile(
    r"百日咳|三日疟|十分(?!钟)|百分(?!之)|万分|[百千]年|百合|千[金斤]|三七|五味|万一|第一|一[分合]为"
)
_COUNTED = re.compile(  # what is counted in a list rather than measured
    r"\s?(?:大)?(?:个?(?:方面|阶段|部分|步骤|类型|原因|因素|特点|要点|问题|条件|原则|层次|环节)|[种类点项步条者大型])"
    r"|[ -](?:(?:main|major|common|different|important|key|other|basic|general|distinct|broad|primary) )*"
    r"(?:types?|kinds?|forms?|ways?|groups?|categor|reasons?|factors?|steps?|parts?|points?|aspects?|things|options?"
    r"|approaches|methods?|classes|stages?|phases?|examples?|areas?|components?|of (?:the|these|them|which)|or more)"
)
_MEASURED = re.compile(r"\s?(?:次|例|名|人|倍|位|组|个|只|根|级|期|型|月)")


@lru_cache(maxsize=512)
def read_quantities(text: str) -> tuple[Quantity, ...]:
    """Read the quantities of a text in order; a place that can be read in several ways has each of them."""
    folded = fold(text)
    read: list[Quantity] = []
    for number in numbers(folded):
        range_goes_on = any(one.unit and one.end == number.start - 1 for one in read[-3:])  # 24 hours-7 days
        read.append(_with_unit(number, folded, range_goes_on))
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


def _with_unit(number: Number, folded: str, range_goes_on: bool) -> Quantity:
    start, end = number.start, number.end
    before = folded[start - 1 : start]
    if number.script == "arabic" and not range_goes_on and _NAME_BEFORE.search(folded, max(0, start - 3), start):
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
    return Quantity(start, end + length, number.value, unit, number, item=_is_item(number, folded))


def _is_item(number: Number, folded: str) -> bool:
    start, end = number.start, number.end
    if number.script == "han":
        return any(_NO_NUMERAL.match(folded, at) for at in (start - 1, start) if at >= 0)
    if number.script != "arabic" or number.digits or number.value > 999:
        return False
    if number.value < 100 and _ITEM_AFTER.match(folded, end) and _ITEM_BEFORE.search(folded, max(0, start - 8), start):
        return True
    if folded[start - 1 : start] == "(" and folded[end : end + 1] == ")":
        return number.value < 100
    if number.value < 4 and folded[end : end + 2] in ("st", "nd", "rd"):
        return True
    return "]" in folded[end : end + 30] and _REFERENCE_BEFORE.search(folded, max(0, start - 40), start) is not None


def _is_date(number: Number, unit: Unit, folded: str, before: str) -> bool:
    """Tell whether what looks like a unit belongs to a date: 2019年, 5月3日, 1990s."""
    year = 1000 <= number.value <= 2100 and number.value.denominator == 1
    if year and (unit.name == "年" or (unit.name == "s" and folded[number.end] == "s")):
        return True
    return unit.name == "日" and before == "月"


@lru_cache(maxsize=512)
def joined(text: str) -> tuple[Joined, ...]:
    """Read the ranges and proportions of a text, in order; of those that say the same the first."""
    folded, read = fold(text), read_quantities(text)
    found: dict[tuple[object, ...], Joined] = {}
    for i, one in enumerate(read):
        for other in read[i + 1 : i + 5]:
            mark = _JOINED.fullmatch(folded, one.end, other.start) if one.end <= other.start < one.end + 5 else None
            if mark and not one.item and not other.item and not one.name:
                joint = Joined(one, other, "-" if mark["range"] else mark["other"].replace("∶", ":"))
                found.setdefault((joint.mark, one.value, one.unit, other.value, other.unit), joint)
    return tuple(found.values())


def claims(answer: str) -> Iterator[Quantity]:
    """Yield the quantities of an answer that its passage has to have."""
    folded = fold(answer)
    for quantity in read_quantities(answer):
        number, value = quantity.number, quantity.value
        if quantity.item or number.script == "word" or _is_count(quantity, folded):
            continue
        if number.script == "arabic":
            yield quantity
        elif number.script == "han":
            if value != 1 and _says_how_much(quantity, folded):
                yield quantity
        elif value != 1 and (quantity.unit not in (None, RATIO) or value > 2):
            yield quantity


def counts(answer: str) -> Iterator[Quantity]:
    """Yield the quantities of an answer that count what it lists: a passage need not say so, but not otherwise."""
    folded = fold(answer)
    for one in read_quantities(answer):
        if not one.item and (one.value != 1 or one.number.script == "arabic") and _is_count(one, folded):
            yield one


def _is_count(quantity: Quantity, folded: str) -> bool:
    return quantity.value <= 10 and quantity.unit is None and _COUNTED.match(folded, quantity.end) is not None


def _says_how_much(quantity: Quantity, folded: str) -> bool:
    if quantity.unit in (None, RATIO):
        return "分之" in folded[quantity.start : quantity.end] or (
            not quantity.number.ratio and _MEASURED.match(folded, quantity.end) is not None
        )
    return True
