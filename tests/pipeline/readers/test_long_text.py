from pathlib import Path

import pytest

from pipeline.readers.items import Refused
from pipeline.readers.long_text import as_utf8, text_parts
from pipeline.readers.places import Place

SENTENCES = [f"第{number}味药性温，治头痛。" for number in range(400)]


def test_parts_end_with_sentences_and_together_are_the_text(tmp_path: Path) -> None:
    for name, text in (("zh", "".join(SENTENCES)), ("en", " ".join(f"Drug {n} is by Dr. Li." for n in range(900)))):
        path = tmp_path / name
        path.write_bytes(text.encode())
        parts = [path.read_bytes()[part.start : part.end].decode() for part in text_parts(path, 1000)]
        assert "".join(parts) == text
        assert len(parts) > 10
        assert all(len(part.encode()) <= 1000 for part in parts)
        assert all(part.rstrip().endswith(("。", "Li.")) for part in parts)


def test_text_without_an_end_is_cut_between_characters(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(("药" * 1000).encode())
    parts = [path.read_bytes()[part.start : part.end].decode() for part in text_parts(path, 100)]
    assert "".join(parts) == "药" * 1000


def test_parts_are_named_by_what_they_say(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes("".join(SENTENCES).encode())
    names = [part.name for part in text_parts(path, 1000)]
    path.write_bytes(("".join(SENTENCES) + "新增一句。").encode())
    again = [part.name for part in text_parts(path, 1000)]
    assert again[: len(names) - 1] == names[:-1]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "utf-16", "big5hkscs"])
def test_the_encoding_is_told_wherever_its_first_wide_character_is(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "a"
    text = "plain\n" * 400_000 + ("".join(SENTENCES) if encoding != "big5hkscs" else "醫師說這個藥的時候。" * 50)
    path.write_bytes(text.encode(encoding))
    found, damage = as_utf8(Place(path), "a", tmp_path / "scratch")
    assert damage is None
    assert found.read_bytes().decode() == text
    assert (found == path) == (encoding == "utf-8")


def test_old_line_ends_become_new_ones(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"one\rtwo\r")
    assert as_utf8(Place(path), "a", tmp_path / "scratch")[0].read_bytes() == b"one\ntwo\n"


def test_a_few_bad_bytes_do_not_make_utf8_another_encoding(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes("".join(SENTENCES).encode() + b"\xff\xfe" + "".join(SENTENCES).encode())
    assert as_utf8(Place(path), "a", tmp_path / "scratch")[0] == path


def test_bytes_of_no_encoding_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(bytes(range(256)) * 100)
    with pytest.raises(Refused, match="undecodable"):
        as_utf8(Place(path), "a", tmp_path / "scratch")
