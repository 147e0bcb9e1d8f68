import pytest

from pipeline.readers.row_text import text_item


@pytest.mark.parametrize(
    ("row", "text", "headings"),
    [
        ({"text": "甲。\r\n乙。 "}, "甲。\n乙。", []),
        (
            {"sections": [{"heading": "一", "text": "甲。\n\n乙。"}, {"text": "丙。"}]},
            "一\n\n甲。\n\n乙。\n\n丙。",
            ["一"],
        ),
        ({"text": ["甲。", "乙。"], "headings": ["一", "二"]}, "一\n\n甲。\n\n二\n\n乙。", ["一", "二"]),
        ({"text": ["甲。", "乙。"], "headings": ["一"]}, "一\n\n甲。\n\n乙。", ["一"]),
        ({"text": ["甲。"], "headings": 3}, "甲。", []),
        ({"text": "甲。".encode()}, "甲。", []),
        ({"text": 12}, "12", []),
        ({"other": 1}, "", []),
    ],
)
def test_a_row_becomes_a_document(row: dict[str, object], text: str, headings: list[str]) -> None:
    item = text_item(row, {}, None)
    assert item.text == text
    assert [section["heading"] for section in item.sections] == headings


def test_a_section_without_heading_is_not_in_the_one_before() -> None:
    item = text_item({"sections": [{"heading": "一", "text": "甲。"}, {"text": "乙。"}]}, {}, None)
    assert [item.text[section["start"] : section["end"]] for section in item.sections] == ["一\n\n甲。"]
