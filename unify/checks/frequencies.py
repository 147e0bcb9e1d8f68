"""How often something is done, in Chinese and English, as times a day: tid, 每日三次 and every 8 hours are one."""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from unify.checks.numerals import fold
from unify.checks.places import Beside, beside

_NUMBER = r"(?:\d{1,9}(?:\.\d{1,9})?|[一二三四五六七八九十两再]|one|two|three|four|five|six|eight|ten|twelve)"
_MANY = rf"(?P<low>{_NUMBER})(?:(?:\s?(?:-|~|至|到|或)\s?| to | or )(?P<high>{_NUMBER}))?"
_HAN_PERIOD = r"(?P<period>日|天|晚|周|星期|月|24小时|小时)"
_PERIOD = r"(?P<period>day|week|month|hour|24 hours)"
_GIVING = r"(?:服用|口服|服|给药|使用|用药|注射|外用|涂抹|用)?"
_PER_PERIOD = tuple(  # so many times in a period; a day if it names none
    re.compile(pattern)
    for pattern in (
        rf"(?:每|一|1){_HAN_PERIOD}{_GIVING}[，,]?{_MANY}\s?(?:次|回|剂)(?![/日天])",
        rf"{_MANY}\s?次\s?[/每]\s?{_HAN_PERIOD}",
        rf"日{_MANY}\s?[服度]",
        rf"分(?:成|为|作)?\s?{_MANY}\s?次",
        rf"(?<![\d.])(?<!\d-){_MANY} ?(?:times?|x|doses?) ?(?:a |per |each |every |/ ?)?"
        r"(?P<period>day|dail|week|month|hour)(?:ly|s|y)?",
        r"\b(?P<low>once|twice|thrice)(?: (?:to|or) (?P<high>twice|thrice))?[ -](?:a |per |each |every |/ ?)?"
        r"(?P<period>day|dail|week|month|night|hour)(?:ly|y)?",
        rf"\b(?:in|into) {_MANY} (?:equal(?:ly)? )?divided doses",
    )
)
_ONCE_IN = tuple(  # once in so many periods
    re.compile(pattern)
    for pattern in (
        rf"每隔?{_MANY}\s?个?{_HAN_PERIOD}",
        rf"\bevery {_MANY}[ -]?{_PERIOD}s?",
        r"\bq\.? ?(?P<low>\d{1,2})(?:-(?P<high>\d{1,2}))? ?(?P<period>h|d|wk)",
    )
)
_CODES = {"qd": 1, "q.d": 1, "qn": 1, "qhs": 1, "bid": 2, "b.i.d": 2, "tid": 3, "t.i.d": 3, "tds": 3}
_CODES |= {"qid": 4, "q.i.d": 4, "qds": 4}
_CODE = re.compile(
    rf"(?<![a-z])(?P<code>{'|'.join(re.escape(code) for code in _CODES)})(?![a-z])"
    r"|(?P<half>\bqod\b|隔日[一1]次|every other day|alternate days)"
    r"|(?P<loose>\b(?:daily|nightly|weekly|monthly)\b|\b(?:every|each|a|per) (?:day|night|morning|evening|week|month)\b"
    r"|[每一][日天晚夜早周月]|睡前|bedtime|/ ?d(?:ay)?\b)"
)
_DAYS: dict[str, Fraction] = {
    **dict.fromkeys(("日", "天", "晚", "24小时", "24 hours", "day", "dail", "d", "night"), Fraction(1)),
    **dict.fromkeys(("周", "星期", "week", "wk"), Fraction(7)),
    **dict.fromkeys(("月", "month"), Fraction(30)),
    **dict.fromkeys(("小时", "hour", "h"), Fraction(1, 24)),
}
_WORDS = {han: value for value, han in enumerate("一二三四五六七八九十", 1)} | {"两": 2, "再": 2}
_WORDS |= {"once": 1, "twice": 2, "thrice": 3, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6}
_WORDS |= {"eight": 8, "ten": 10, "twelve": 12}


@dataclass(frozen=True)
class Frequency:
    """How often, in times a day, from `low` to `high`; `loose` for a mere "daily", which may belong to an amount."""

    start: int
    end: int
    low: Fraction
    high: Fraction
    loose: bool = False

    def allows(self, other: "Frequency") -> bool:
        """Tell whether another frequency lies within this one."""
        return self.low <= other.low and other.high <= self.high


@lru_cache(maxsize=256)
def read_frequencies(text: str) -> tuple[Frequency, ...]:
    """Read the frequencies of a text, in order; what is part of a longer one is not read again."""
    found: list[Frequency] = []
    for frequency in _all(fold(text)):
        if not any(one.start < frequency.end and frequency.start < one.end for one in found):
            found.append(frequency)
    return tuple(sorted(found, key=lambda frequency: frequency.start))


def _all(folded: str) -> Iterator[Frequency]:
    for pattern in _ONCE_IN:
        for match in pattern.finditer(folded):
            days = _DAYS[match["period"]]
            low, high = _value(match["low"]), _value(match["high"] or match["low"])
            if low and high:
                yield Frequency(*match.span(), 1 / (high * days), 1 / (low * days))
    for pattern in _PER_PERIOD:
        for match in pattern.finditer(folded):
            days = _DAYS[match.groupdict().get("period") or "day"]
            low, high = _value(match["low"]), _value(match["high"] or match["low"])
            yield Frequency(*match.span(), low / days, high / days)
    for match in _CODE.finditer(folded):
        times = Fraction(_CODES[match["code"]]) if match["code"] else Fraction(1, 2)
        if match["loose"]:
            times = Fraction(1, 7 if re.search("week|周", match[0]) else 30 if re.search("month|月", match[0]) else 1)
        yield Frequency(*match.span(), times, times, loose=match["loose"] is not None)


def _value(written: str) -> Fraction:
    return Fraction(_WORDS[written]) if written in _WORDS else Fraction(written)


def wrong_frequency(answer: str, known: str) -> str | None:
    """Find how often an answer says that something is done, where what is known says that of nothing, or not there."""
    claimed = [frequency for frequency in read_frequencies(answer) if not frequency.loose]
    have = read_frequencies(known) if claimed else ()
    places: dict[Beside, list[Frequency]] = defaultdict(list)
    for other in have:
        for place in beside(other.start, other.end, fold(known)):
            places[place].append(other)
    for one in claimed:
        here = [places[place] for place in beside(one.start, one.end, fold(answer)) if place in places]
        if not all(any(other.allows(one) for other in there) for there in (have, *here)):
            return answer[one.start : one.end]
    return None
