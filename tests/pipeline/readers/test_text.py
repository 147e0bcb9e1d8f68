from pathlib import Path

import pytest

from pipeline.readers.items import Item
from pipeline.readers.text import read_text, wrap_width

PARAGRAPHS = [
    "　　对乙酰氨基酚具有解热和镇痛作用，抗炎作用很弱。"
    "对乙酰氨基酚服用过量会引起严重的肝损害，乙酰半胱氨酸是对乙酰氨基酚中毒的解毒药。",
    "　　许多复方感冒药含有对乙酰氨基酚，同时服用几种感冒药容易造成过量。"
    "布洛芬属于非甾体抗炎药，有胃溃疡病史的人应慎用布洛芬，以免出血。",
]


def wrapped(text: str, width: int) -> str:
    return "\n".join(text[start : start + width] for start in range(0, len(text), width))


def read(text: str, encoding: str = "utf-8") -> Item:
    return next(read_text(text.encode(encoding)))


def test_wrapped_chinese_reads_as_its_author_wrote_it() -> None:
    book = "《用药须知》\n\n第一章 镇痛药\n第一节 解热药\n" + "\n".join(wrapped(part, 30) for part in PARAGRAPHS)
    item = read(book, "gb18030")
    assert item.title == "用药须知"
    assert [section["heading"] for section in item.sections] == ["《用药须知》", "第一章 镇痛药", "第一节 解热药"]
    assert item.text.split("\n\n")[3:] == [part.strip() for part in PARAGRAPHS]


def test_wrapped_english_is_joined_with_spaces() -> None:
    sentence = "The following notes are by no means intended as a rule of thought by which nurses can teach themselves"
    words = sentence.split()
    lines, line = [], ""
    for word in words * 6:
        if len(line) + len(word) > 68:
            lines.append(line)
            line = ""
        line = f"{line} {word}".strip()
    text = "CHAPTER I. NOTES\n\n" + "\n".join([*lines, line]) + "\n\nA new paragraph.\n"
    item = read(text)
    assert item.text == f"CHAPTER I. NOTES\n\n{' '.join(words * 6)}\n\nA new paragraph."
    assert [section["heading"] for section in item.sections] == ["CHAPTER I. NOTES"]


def test_verse_and_paragraphs_on_one_line_are_left_alone() -> None:
    verse = "白日依山尽，黄河入海流。\n欲穷千里目，更上一层楼。\n" * 5
    assert wrap_width(verse.split("\n")) is None
    plain = "\n".join(part * (n + 1) for n, part in enumerate(PARAGRAPHS * 3))
    assert read(plain).text.count("\n\n") == 5


def test_markup_of_digitised_classics_becomes_headings() -> None:
    item = read("<篇名>本草备要\n书名：本草备要\n\n<目录>卷一\n\n<篇名>人参\n属性：味甘，微温。\n\\x注\\x\n")
    assert item.title == "本草备要"
    assert [section["heading"] for section in item.sections] == ["本草备要", "卷一", "人参"]
    assert item.text.endswith("人参\n\n味甘，微温。\n\n注")


def test_form_feeds_give_pages() -> None:
    item = read("第一章 总论\n甲。\n\f乙。\n")
    pages = [(item.text[section["start"] : section["end"]], section["page"]) for section in item.sections]
    assert pages == [("第一章 总论\n\n甲。\n\n乙。", 1), ("甲。", 1), ("乙。", 2)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "gb18030"])
def test_encodings_of_one_text_read_the_same(encoding: str) -> None:
    text = "\n".join(PARAGRAPHS * 3)
    assert read(text, encoding).text == read(text).text


def test_traditional_text_in_big5_is_read() -> None:
    text = "高血壓是一種常見的慢性疾病，會損害心臟和腎臟。患者的血壓應該定期測量，醫生會說明用藥的方法。" * 3
    assert read(text, "big5").text == text


def test_western_text_is_read() -> None:
    text = "Menière's disease and café-au-lait spots: déjà vu in the naïve patient. " * 5
    assert read(text, "cp1252").text == text.strip()


def test_bytes_of_no_encoding_are_not_guessed_at() -> None:
    assert next(read_text(bytes(range(256)) * 40)).drop_reason == "undecodable"
    assert next(read_text(b"\x89PNG\r\n\x1a\n" + bytes(200))).drop_reason == "undecodable"


def test_real_classics_are_read_whole(real_data: Path) -> None:
    paths = sorted((real_data / "books" / "tcm_gb18030").glob("*.txt"))[:6]
    assert len(paths) == 6
    for path in paths:
        item = next(read_text(path.read_bytes()))
        raw = path.read_bytes().decode("gb18030", errors="replace")
        assert item.drop_reason is None
        assert item.title == raw.strip().split("\n")[0].removeprefix("<篇名>").strip()
        assert len(item.sections) > 3
        assert "<篇名>" not in item.text
        assert len("".join(item.text.split())) > 0.95 * len(
            "".join(raw.split()).replace("<篇名>", "").replace("<目录>", "")
        )
