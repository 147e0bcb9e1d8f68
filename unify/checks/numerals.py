"""Numbers as they are written in Chinese and English, as exact fractions: digits, words, scales, powers, fractions.

Texts are folded first, character for character, so that places in the folded text are places in the text. Of a run of
digits longer than any number the first 60 are read: Python turns no more than 4,300 into an integer.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

_FOLD = {
    **{ord("０") + digit: str(digit) for digit in range(10)},
    **{ord(mark): "-" for mark in "－–—−‐‑"},
    **{ord(mark): "~" for mark in "～〜∼"},
    **{ord(mark): " " for mark in "\u3000\u00a0\u2009\u202f"},
    **{ord(one): other for one, other in zip("．％／×✕µ≧≦⩾⩽＞＜﹥﹤（）［］：İ", ".%/xxμ≥≤≥≤><><()[]:i", strict=True)},
}
_DIGITS = {digit: value for value, digit in enumerate("零一二三四五六七八九")}
_DIGITS |= {"〇": 0, "两": 2, "壹": 1, "贰": 2, "叁": 3}
_TENS = {"十": 10, "百": 100, "千": 1000, "廿": 20, "卅": 30}
_SCALES = {"万": 10**4, "亿": 10**8, "万亿": 10**12, "百万": 10**6, "千万": 10**7, "十万": 10**5, "百": 100, "千": 1000}
_SCALES |= {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12, "hundred": 100}
_VULGAR = {"½": (1, 2), "¼": (1, 4), "¾": (3, 4), "⅓": (1, 3), "⅔": (2, 3), "⅛": (1, 8), "⅕": (1, 5)}
_WORDS = {"zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9}
_WORDS |= {"ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16}
_WORDS |= {"seventeen": 17, "eighteen": 18, "nineteen": 19}
_WORDS |= {"twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90}
_PARTS = {"half": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6, "eighth": 8, "tenth": 10}
_ORDINALS = ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"]
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")

_POWER_OF_TEN = r"10(?:\^\(?(-?\d{1,2})\)?|([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]{1,3})|\((-?\d{1,2})\))"
_ARABIC = re.compile(
    r"[0-9½¼¾⅓⅔⅛⅕](?:(?<=[½¼¾⅓⅔⅛⅕])|(?<=[0-9])(?<![0-9.][0-9])"
    r"(?P<more>[0-9]{0,60}(?:,[0-9]{3}(?![0-9])|[ ](?=000(?![0-9]))000){0,20}(?:[.·][0-9]{1,60})?))"
)
_TIMES_TEN = re.compile(rf"\s?[x*·]\s?(?:{_POWER_OF_TEN}|10([3-9]|1[0-2])(?=\s?/|个))")
_MIXED = re.compile(r"[- ]([1-7])/([2-8])(?![\d/])")
_BARE_POWER = re.compile(_POWER_OF_TEN)
_SCALE = re.compile(
    r"\s?(万亿|[十百千]?万|亿|[百千](?![克米卡瓦焦伏里分日合])|(?:hundred|thousand|million|billion|trillion)\b)"
)
_HAN = re.compile(
    r"百分之[零〇一二三四五六七八九十百两]{1,60}(?:点[零〇一二三四五六七八九]{1,60})?"
    r"|[一二三四五六七八九十百千两]{1,60}分之[一二三四五六七八九十两]{1,60}"
    r"|[一小大]?半"
    r"|[零〇一二三四五六七八九十百千廿卅两壹贰叁](?:[零〇一二三四五六七八九十百千万亿]{0,60}(?:点[零〇一二三四五六七八九]{1,60})?)"
)
_WORD = "|".join(sorted(_WORDS, key=len, reverse=True))
_PART = "|".join(_PARTS)
_ORDINAL = "|".join(_ORDINALS)
_ENGLISH = re.compile(
    rf"\b(?:(?P<mixed>(?:{_WORD})[ -]and[ -]a[ -]half)|(?P<part>(?:{_WORD}|a)[ -](?:{_PART})s?|half)"
    rf"|(?P<many>(?:(?:{_WORD})(?=[ -](?:hundred|thousand|million|{_WORD}|{_ORDINAL}))"
    rf"|a(?= (?:hundred|thousand|million)))(?:[ -](?:and )?(?:{_WORD}|hundred|thousand|million|{_ORDINAL}))+)"
    rf"|(?P<one>{_WORD})|(?P<known>twice|thrice|once|doubled?|dozen|{_ORDINAL}|quarter|thirds?))\b"
)
# Where one may begin, by its first letters; a set stands first, so that the search leaps from one to the next.
_MAY_BEGIN = re.compile(
    r"[adefhnoqstz](?<![a-z0-9_].)(?:(?<=t)(?:w[oei]|h[ri]|en)|(?<=f)(?:our|i[fvr]|or)|(?<=s)(?:ix|ev|ec)|(?<=o)n[ec]"
    r"|(?<=e)(?:ig|le)|(?<=n)in|(?<=a)(?=[ -](?:ha|th|qu|fo|fi|si|ei|te|hu|mi))|(?<=d)o[uz]|(?<=[hz])(?:alf|ero)"
    r"|(?<=q)ua)"
)
_KNOWN = {"twice": 2, "thrice": 3, "once": 1, "double": 2, "doubled": 2, "dozen": 12, "quarter": 4, "third": 3}
_KNOWN |= {"thirds": 3} | {word: place for place, word in enumerate(_ORDINALS, 1)}


@dataclass(frozen=True)
class Number:
    """A number and where it is written; `digits` counts its decimal places, None where it is exact in words.

    `script` is "arabic", "han", "english", or "word" for English words that only imply a number (twice, second).
    """

    start: int
    end: int
    value: Fraction
    script: str
    digits: int | None = None
    ratio: bool = False  # a share such as 1/2 or 百分之五, its value already divided


@lru_cache(maxsize=64)
def fold(text: str) -> str:
    """Fold full-width and variant characters and capitals, character for character."""
    return text.translate(_FOLD).lower()


def numbers(text: str) -> list[Number]:
    """Read the numbers of a folded text, in order; several readings of one place follow each other."""
    found = [*_arabic(text), *_han(text), *_english(text)]
    return sorted(found, key=lambda number: (number.start, number.end))


def _arabic(text: str) -> Iterator[Number]:
    at = 0
    while match := _ARABIC.search(text, at):
        start, end = match.span()
        at = end
        if match["more"] is None:
            yield Number(start, end, Fraction(*_VULGAR[match[0]]), "arabic", None, ratio=True)
            continue
        written = match[0].replace(",", "").replace(" ", "").replace("·", ".")
        whole, _, decimals = written.partition(".")
        digits = len(decimals)
        value = Fraction(int(whole + decimals), 10**digits) if decimals else Fraction(int(whole))
        if text[end : end + 1] in _VULGAR:
            value, at = value + Fraction(*_VULGAR[text[end]]), end + 1
            yield Number(start, at, value, "arabic", None)
            continue
        if mixed := _MIXED.match(text, end) if not decimals else None:
            value, at, digits = value + Fraction(int(mixed[1]), int(mixed[2])), mixed.end(), 1
        elif power := _TIMES_TEN.match(text, end):
            exponent = _exponent(power.groups())
            value, at, digits = value * Fraction(10) ** exponent, power.end(), digits - exponent
        elif written == "10" and (power := _BARE_POWER.match(text, start)):
            exponent = _exponent(power.groups())
            value, at, digits = Fraction(10) ** exponent, power.end(), -exponent
        elif scale := _SCALE.match(text, end):
            factor = _SCALES[scale[1]]
            value, at, digits = value * factor, scale.end(), digits - len(str(factor)) + 1
        yield Number(start, at, value, "arabic", digits)
        if (part := re.match(r"/([1-9]\d?)(?![\d/.%])", text[end : end + 4])) and int(part[1]) > value and not decimals:
            yield Number(start, end + part.end(), value / int(part[1]), "arabic", None, ratio=True)


def _exponent(groups: tuple[str | None, ...]) -> int:
    written = next(group for group in groups if group)
    size = min(30, int(written.translate(_SUPERSCRIPTS).replace("-", "") or 0))
    return -size if written[0] in "-⁻" else size


def _han(text: str) -> Iterator[Number]:
    for match in _HAN.finditer(text):
        written, start, end = match[0], match.start(), match.end()
        if "分之" in written:
            below, above = written.split("分之")
            parts = _han_values(below), _han_values(above)
            if parts[0] and parts[1] and parts[0][0]:
                yield Number(start, end, parts[1][0] / parts[0][0], "han", None, ratio=True)
        elif written.endswith("半"):
            yield Number(start, end, Fraction(1, 2), "han", None, ratio=True)
        else:
            for value in _han_values(written):
                yield Number(start, end, value, "han", None)


def _han_values(written: str) -> list[Fraction]:
    """Return what a Chinese numeral can mean: one value, or two for an approximate 三五 or 十七八."""
    whole, _, decimals = written.partition("点")
    tail = Fraction(int("0" + "".join(str(_DIGITS[digit]) for digit in decimals)), 10 ** len(decimals))
    if all(digit in _DIGITS for digit in whole):
        if len(whole) == 2 and "0" not in (values := [str(_DIGITS[digit]) for digit in whole]):
            return [Fraction(int(value)) for value in values]
        return [Fraction(int("".join(str(_DIGITS[digit]) for digit in whole))) + tail]
    if pair := re.fullmatch(r"(.*[十百千])([一二三四五六七八九])([二三四五六七八九])", whole):
        return [_count(pair[1] + pair[2]), _count(pair[1] + pair[3])]
    if pair := re.fullmatch(r"([一二三四五六七八九])([二三四五六七八九])([十百千万])", whole):
        return [_count(pair[1] + pair[3]), _count(pair[2] + pair[3])]
    return [_count(whole) + tail]


def _count(written: str) -> Fraction:
    total, section, digit = 0, 0, 0
    for character in written:
        if character in _DIGITS:
            digit = digit * 10 + _DIGITS[character]
        elif character in _TENS:
            section += (digit or 1) * _TENS[character]
            digit = 0
        else:
            total = (total + section + digit or 1) * _SCALES[character]
            section = digit = 0
    return Fraction(total + section + digit)


def _english(text: str) -> Iterator[Number]:
    end = 0
    for hint in _MAY_BEGIN.finditer(text):
        match = _ENGLISH.match(text, hint.start()) if hint.start() >= end else None
        if match is None:
            continue
        start, end, kind = match.start(), match.end(), match.lastgroup
        if kind == "part":
            above, _, below = re.sub("[ -]", " ", match[0]).rpartition(" ")
            value = Fraction(_WORDS.get(above, 1), _PARTS[below if below in _PARTS else below[:-1]])
            yield Number(start, end, value, "english", None, ratio=True)
        elif kind == "mixed":
            yield Number(start, end, _WORDS[re.split("[ -]", match[0])[0]] + Fraction(1, 2), "english", None)
        elif kind == "many":
            for value in _worded(re.split(r"[ -](?:and )?", match[0])):
                yield Number(start, end, value, "english", None)
        elif kind == "one":
            scale = _SCALE.match(text, end)
            value = Fraction(_WORDS[match[0]]) * (_SCALES[scale[1]] if scale else 1)
            yield Number(start, scale.end() if scale else end, value, "english", None)
        else:
            yield Number(start, end, Fraction(_KNOWN[match[0]]), "word", None)


def _worded(words: list[str]) -> list[Fraction]:
    """Return what English number words in a row say: one number, a year said in two, or several numbers."""
    values = [_WORDS.get(word, _KNOWN.get(word, 1)) for word in words]
    if not any(word in _SCALES for word in words):
        joined = [values[0]]
        for value in values[1:]:
            if joined[-1] >= 20 and joined[-1] % 10 == 0 and value < 10:
                joined[-1] += value
            else:
                joined.append(value)
        if len(joined) == 2 and joined[0] in (18, 19, 20) and 10 <= joined[1] < 100:
            joined = [joined[0] * 100 + joined[1]]
        return [Fraction(value) for value in joined]
    total = section = 0
    for word, value in zip(words, values, strict=True):
        if word == "hundred":
            section = (section or 1) * 100
        elif word in _SCALES:
            total, section = total + (section or 1) * _SCALES[word], 0
        else:
            section += value
    return [Fraction(total + section)]
