"""Numbers are read at their value, however they are written."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unify.checks.numerals import fold, numbers

READ = [
    ("一百二十三例", 123),
    ("两百五十", 250),
    ("廿四", 24),
    ("一万二千", 12000),
    ("二〇一九年", 2019),
    ("十二点五", 12.5),
    ("百分之五", 0.05),
    ("三分之一", Fraction(1, 3)),
    ("１２．５", 12.5),
    ("1,234.5", 1234.5),
    ("10 000", 10000),
    ("3万", 30000),
    ("2.5亿", 250000000),
    ("½", 0.5),
    ("1½", 1.5),
    ("2-1/2", 2.5),
    ("two and a half", 2.5),
    ("1.5×10⁹/L", 1500000000),
    ("4.0x109/L", 4000000000),
    ("10^9/L", 1000000000),
    ("5 x 10(9)/l", 5000000000),
    ("2×10^-3", 0.002),
    ("0·75", 0.75),
    ("seventy-six", 76),
    ("two hundred and fifty", 250),
    ("nineteen eighty-five", 1985),
    ("three million", 3000000),
    ("two thirds", Fraction(2, 3)),
    ("a third", Fraction(1, 3)),
    ("twice", 2),
    ("second", 2),
]


@pytest.mark.parametrize(("written", "value"), READ)
def test_a_number_is_read_at_its_value(written: str, value: float | Fraction) -> None:
    assert [number.value for number in numbers(fold(written))] == [Fraction(value).limit_denominator(10**6)]


@pytest.mark.parametrize(
    ("written", "values"),
    [("三五日", [3, 5]), ("十七八岁", [17, 18]), ("二三十", [20, 30]), ("3～5天", [3, 5]), ("120/80", [120, 80])],
)
def test_approximate_numbers_and_ranges_are_read_as_both(written: str, values: list[int]) -> None:
    assert [number.value for number in numbers(fold(written))] == values


def han(value: int) -> str:
    """Write a number below 100,000,000 in Chinese, by the school book."""
    digits = "零一二三四五六七八九"
    if value >= 10000:
        rest = value % 10000
        return han(value // 10000) + "万" + ("" if not rest else ("零" if rest < 1000 else "") + han(rest))
    written, gap = "", False
    for place, name in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
        digit = value // place % 10
        if digit:
            written += ("零" if gap and written else "") + digits[digit] + name
        gap = not digit
    return written


@given(st.integers(1, 10**8 - 1))
def test_every_chinese_number_is_read_back(value: int) -> None:
    written = han(value)
    if len(written) == 1 or "十" in written or "百" in written or "千" in written or "万" in written:
        assert [number.value for number in numbers(written)] == [value]


@given(st.integers(0, 10**9), st.integers(0, 6))
def test_every_decimal_is_read_back_with_its_digits(value: int, digits: int) -> None:
    written = f"{value}" if not digits else f"{value // 10**digits}.{value % 10**digits:0{digits}d}"
    (number,) = numbers(written)
    assert number.value == Fraction(value, 10**digits)
    assert number.digits == digits


@given(st.text(max_size=200))
def test_folding_keeps_places_and_any_text_is_read(text: str) -> None:
    assert len(fold(text)) == len(text)
    assert all(0 <= number.start < number.end <= len(text) for number in numbers(fold(text)))
