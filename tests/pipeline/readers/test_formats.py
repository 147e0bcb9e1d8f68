import pytest

from pipeline.readers.formats import format_of
from pipeline.readers.items import Refused

TEXT = "高血压是常见的慢性病。\n".encode() * 20


@pytest.mark.parametrize(
    ("called", "head", "format"),
    [
        ("a.txt", TEXT, "text"),
        ("a.md", b"# Title", "markdown"),
        ("a.txt", b" \n<!DOCTYPE html><p>x", "html"),
        ("a.xml", b"<?xml version='1.0'?>\n<!-- x --><html>", "xml"),
        ("a.txt", b"<?xml version='1.0'?><doc/>", "xml"),
        ("a.html", b"%PDF-1.7", "pdf"),
        ("a", b"PAR1", "parquet"),
        ("a", b"WARC/1.0\r\n", "warc"),
        ("a.arc", b"filedesc://", "warc"),
        ("a", TEXT, "text"),
        ("a.obo", TEXT.decode().encode("gb18030"), "text"),
        ("a.pdf", TEXT, "text"),
        ("a.html", b"<p>x", "html"),
        ("a.tab.csv", TEXT, "csv"),
        ("a.json", b'{"a": 1}\n{"a": 2}\n', "jsonl"),
        ("a.json", b'{"a": 1}\n', "json"),
        ("a.json", b'{\n "a": 1}\n', "json"),
        ("a.jsonl", b'[\n{"a": 1},\n{"a": 2}]\n', "json"),
        ("a.jsonl", b'{"a": "broken\n{"a": 2}\n', "jsonl"),
        ("a", b' [{"a": 1}]', "json"),
        ("a.txt", b'{"a": 1}', "text"),
    ],
)
def test_a_file_is_what_it_looks_like(called: str, head: bytes, format: str) -> None:
    assert format_of(called, head, None) == format


def test_what_a_card_tells_comes_first() -> None:
    assert format_of("a.json", b"[1]", "jsonl") == "jsonl"
    assert format_of("a.xml", b"", "cnxml") == "xml"


def test_bytes_that_are_nothing_known_are_refused() -> None:
    with pytest.raises(Refused, match=r"unknown_format: begins with b'\\x00\\x01"):
        format_of("a.bin", bytes(range(256)), None)
