import json
from pathlib import Path

import pytest

from pipeline.readers.tables import open_table, read_rows, text_item
from pipeline.recipe import SourceCard


def card(path: Path) -> SourceCard:
    checked = {"by": "tests", "on": "2026-11-20", "scope": "tests"}
    written = {
        "name": "t",
        "origin": "tests",
        "licence": "CC0-1.0",
        "kind": "web",
        "checked": checked,
        "path": str(path),
    }
    return SourceCard.model_validate(written)


def test_rows_keep_their_numbers_over_blank_lines(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text('{"a": 1}\n\n{"a": "\u2028"}\n{bad\n', encoding="utf-8")
    rows = open_table(card(path), path, "jsonl", tmp_path / "cache")
    assert [(number, value) for number, value, _, _ in read_rows(rows, start=10)] == [
        (10, {"a": 1}),
        (12, {"a": "\u2028"}),
        (13, None),
    ]


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    for values in (["a"], ["b", "c"]):
        path.write_text(json.dumps([{"text": value} for value in values]))
        rows = open_table(card(path), path, "json", tmp_path / "cache")
        assert [value["text"] for _, value, _, _ in read_rows(rows, start=0)] == values


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
