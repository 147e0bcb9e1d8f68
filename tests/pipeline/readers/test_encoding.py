from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pipeline.readers.encoding import decode, encoding_of
from pipeline.readers.items import Refused

CHINESE = "高血压是一种常见的慢性疾病，患者应该定期测量血压，并且听从医生的建议。" * 5
TRADITIONAL = "高血壓是一種常見的慢性疾病，會損害心臟和腎臟。患者的血壓應該定期測量，並且聽從醫生的建議。" * 3
WESTERN = "Menière’s disease, café-au-lait spots and a naïve patient with a long history of déjà vu. " * 5


@pytest.mark.parametrize(
    ("text", "written", "found"),
    [
        (CHINESE, "utf-8", "utf-8"),
        (CHINESE, "utf-8-sig", "utf-8-sig"),
        (CHINESE, "utf-16", "utf-16"),
        (CHINESE, "utf-16-le", "utf-16-le"),
        (CHINESE, "gb18030", "gb18030"),
        (WESTERN, "cp1252", "cp1252"),
        ("plain ascii", "ascii", "utf-8"),
    ],
)
def test_an_encoding_is_found_and_undone(text: str, written: str, found: str) -> None:
    data = text.encode(written)
    assert encoding_of(data) == found
    assert decode(data) == text


def test_a_few_broken_bytes_do_not_lose_a_book_but_many_do() -> None:
    data = CHINESE.encode("gb18030") * 20
    assert (decode(data[:1001] + b"\xff" + data[1002:]) or "").count("\ufffd") >= 1
    assert decode(b"\xff".join(data[start : start + 9] for start in range(0, len(data), 9))) is None


@pytest.mark.parametrize(
    "data", [b"\x89PNG\r\n\x1a\n" + bytes(99), b"\xef\xbb\xbf\xff\xff", bytes(range(128, 256)) * 9]
)
def test_what_is_no_text_is_not_guessed_at(data: bytes) -> None:
    assert decode(data) is None


def test_real_books_are_told(real_data: Path) -> None:
    books = sorted((real_data / "books" / "tcm_gb18030").glob("*.txt"))
    assert len(books) > 50
    for path in books:
        data = path.read_bytes()
        assert encoding_of(data) == "gb18030"
        text = data.decode("gb18030", errors="replace")[:20_000]
        assert encoding_of(text.encode("big5hkscs", errors="ignore")) == "big5hkscs"
        assert encoding_of(text.encode("utf-16-le")) == "utf-16-le"
    western = real_data / "books" / "gutenberg_en"
    assert encoding_of((western / "17921-8.txt").read_bytes()) == "cp1252"


@pytest.mark.parametrize("separator", ["", "\n\n---\n"])
def test_a_file_of_two_encodings_is_decoded_by_runs(separator: str) -> None:
    first = "\n".join(f"第{number}条：{CHINESE}" for number in range(20)) + "\n"
    second = "\n".join(f"- {CHINESE}" for _ in range(20)) + separator
    data = first.encode("gb18030") + second.encode() + first.encode("gb18030")
    if separator:
        assert decode(data) == first + second + first
    mixed = first.encode("gb18030") + CHINESE.encode()
    assert decode(mixed) == first + CHINESE


@pytest.mark.parametrize("lines", [1, 30])
def test_two_encodings_are_told_whichever_comes_first(lines: int) -> None:
    text = (CHINESE[:35] + "\n") * lines
    assert decode(text.encode("gb18030") + text.encode()) == text + text
    assert decode(text.encode() + text.encode("gb18030")) == text + text
    assert decode(text.encode("gb18030") + text.encode() * 5) == text * 6


@pytest.mark.parametrize("western", ["latin-1", "sloppy-windows-1252"])
@pytest.mark.parametrize(("text", "written"), [(CHINESE, "gb18030"), (TRADITIONAL, "big5hkscs")])
def test_chinese_read_as_western_is_undone_and_nothing_beside_it(text: str, written: str, western: str) -> None:
    veiled = f"plain, déjà vu\n{text.encode(written).decode(western)}\n高血压。"
    assert decode(veiled.encode()) == f"plain, déjà vu\n{text}\n高血压。"


def test_western_signs_are_no_mojibake() -> None:
    text = "¡Claro! ¡Ánimo! £¬ ¬£ µÄ ¡£ ª º ¿Cómo están ÀÁÂÄÅÆÇÈÉÊË? «déjà vu», 5 µg·m³ ¡Ay! ¡Caramba!\n" * 3
    assert decode(text.encode()) == text


def test_a_broken_byte_in_utf8_costs_one_character_and_not_the_file() -> None:
    data = ("高血压是一种慢性疾病。\n" * 300).encode()
    text = decode(data[:40] + b"\xff" + data[41:])
    assert text is not None
    assert 1 <= text.count("\ufffd") <= 3
    assert text.count("高血压是一种慢性疾病。") == 299
    assert decode(data[:-2]) is not None


@pytest.mark.parametrize("name", ["utf-16-le", "utf-16-be"])
def test_utf16_without_a_mark_is_told_in_any_script(name: str) -> None:
    for text in (CHINESE, "Fever is a sign of infection; see below.\r\n" * 9):
        assert encoding_of(text.encode(name)) == name
        assert decode(text.encode(name)) == text


def test_a_mark_of_utf32_is_not_taken_for_one_of_utf16() -> None:
    assert decode(CHINESE.encode("utf-32")) == CHINESE


def test_big5_with_its_hong_kong_characters_is_told_from_gb18030() -> None:
    text = "高血壓是一種常見的慢性疾病，會損害心臟和腎臟。患者的血壓應該定期測量。瞓覺嘅時候唔好食嘢。" * 3
    assert encoding_of(text.encode("big5hkscs")) == "big5hkscs"
    assert decode(text.encode("big5hkscs")) == text


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\x00"), max_size=300))
def test_what_is_utf8_and_no_mojibake_is_given_back_as_it_is(text: str) -> None:
    assume(not any(sign in text for sign in "ÃÂâïã锛銆鐨") and not text.startswith("\ufeff"))
    assert decode(text.encode()) == text


@given(st.binary(max_size=600))
def test_any_bytes_are_decoded_or_refused(data: bytes) -> None:
    with suppress(Refused):
        assert decode(data) is None or isinstance(decode(data), str)
