from pathlib import Path

import pytest

from pipeline.readers.encoding import decode, encoding_of

CHINESE = "高血压是一种常见的慢性疾病，患者应该定期测量血压，并且听从医生的建议。" * 5
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
