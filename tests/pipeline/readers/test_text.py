import re
from pathlib import Path

import pytest

from pipeline.readers.items import Item, Refused
from pipeline.readers.text import read_text
from pipeline.readers.wraps import SENTENCE_END, wrap_width

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
    assert item.text.endswith("<目录>卷一\n\n<篇名>人参 属性：\n\n味甘，微温。\n\n\\x注\\x")


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


@pytest.mark.parametrize("data", [bytes(range(256)) * 40, b"\x89PNG\r\n\x1a\n" + bytes(200)])
def test_bytes_of_no_encoding_are_not_guessed_at(data: bytes) -> None:
    with pytest.raises(Refused, match="undecodable"):
        next(read_text(data))


def test_a_heading_line_keeps_its_marks_and_the_section_its_name() -> None:
    item = read(
        "<篇名>本草\n\n<目录>\n\n<篇名>自序\n\n内容：古人有三不朽。\n\n<目录>上卷\n\n<篇名>人参\n\n属性：味甘。\n"
    )
    lines = {item.text[section["start"] :].split("\n")[0]: section["heading"] for section in item.sections}
    assert lines == {
        "<篇名>本草": "本草",
        "<目录> <篇名>自序 内容：": "自序",
        "<目录>上卷": "上卷",
        "<篇名>人参 属性：": "人参",
    }


def test_lines_in_capitals_between_paragraphs_are_headings() -> None:
    prose = "A few words upon bedsteads and bedding, and principally as regards patients."
    item = read(f"BY\n\n{prose}\n\nVIII. BED AND BEDDING.\n\n{prose}\n\nTHE END\n")
    assert [section["heading"] for section in item.sections] == ["VIII. BED AND BEDDING."]


def test_a_gutenberg_header_and_licence_are_boilerplate() -> None:
    body = "The first paragraph of the book.\n\nThe second one."
    item = read(
        "The Project Gutenberg EBook of Notes\n\nTitle: Notes on\n       Nursing\n\nAuthor: A. Nurse\n\n"
        f"*** START OF THIS PROJECT GUTENBERG EBOOK NOTES ***\n\n{body}\n\n"
        "*** END OF THIS PROJECT GUTENBERG EBOOK NOTES ***\n\nThe licence.\n"
    )
    assert item.title == "Notes on Nursing"
    (before, after) = item.boilerplate
    assert item.text[before["end"] : after["start"]].strip() == body
    assert (before["start"], after["end"]) == (0, len(item.text))


def test_a_sentence_runs_on_over_a_page_and_its_head() -> None:
    first = [
        "The first page ends within a sen-",
        "of page 2 and another, the third sen-",
        "of page 3. It ends.",
    ]
    text = "\f".join(
        f"{13 + number}                    THE CARE OF THE SICK\n\n{'tence ' if number else ''}{line}\n\n"
        for number, line in enumerate(first)
    )
    item = read(text)
    assert "CARE" not in item.text
    assert item.text == (
        "The first page ends within a sentence of page 2 and another, the third sentence of page 3. It ends."
    )
    assert item.sections[0]["page"] == 13


@pytest.mark.parametrize(
    "line", ["a" * 2_000_000, " " * 2_000_000 + "a", "a-\n" * 30_000, "\\r" * 500_000, "一" * 1_000_000]
)
def test_hostile_lines_are_read_in_linear_time(line: str) -> None:
    item = read(line)
    assert "".join(item.text.split()) == "".join(line.replace("-\n", "").split()) or "-" in line


def test_real_classics_are_read_whole(real_data: Path) -> None:
    paths = sorted((real_data / "books" / "tcm_gb18030").glob("*.txt"))[:6]
    assert len(paths) == 6
    for path in paths:
        item = next(read_text(path.read_bytes()))
        raw = path.read_bytes().decode("gb18030", errors="replace")
        assert item.title == raw.strip().split("\n")[0].removeprefix("<篇名>").strip()
        assert len(item.sections) > 3
        assert not any("<" in section["heading"] for section in item.sections)
        assert "".join(item.text.split()) == "".join(raw.split())


def test_real_books_keep_no_break_within_a_sentence(real_data: Path) -> None:
    books = sorted((real_data / "books" / "tcm_gb18030").glob("*.txt"))[:12]
    torn = paragraphs = 0
    for path in books:
        item = next(read_text(path.read_bytes()))
        headings = {section["heading"] for section in item.sections}
        for paragraph in item.text.split("\n\n"):
            if re.sub(r"<..>", "", paragraph) not in headings:
                paragraphs += 1
                torn += (
                    len(paragraph) > 25 and "。" in paragraph and not SENTENCE_END.search(paragraph.removesuffix("\\x"))
                )
    assert paragraphs > 5000
    assert torn < 0.03 * paragraphs  # 0.33 of them before lines of every width were joined
