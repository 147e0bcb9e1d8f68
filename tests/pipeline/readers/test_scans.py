import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.readers.formats import format_of
from pipeline.readers.items import Item, Refused
from pipeline.readers.scans import read_scan

TABLE = "<html><table><tr><td>药物</td><td>剂量 (mg)</td></tr><tr><td>布洛芬</td><td>200</td></tr></table></html>"
CONTENT: list[dict[str, Any]] = [
    {"type": "header", "text": "用药手册", "page_idx": 0},
    {"type": "text", "text": "解热镇痛药 ", "text_level": 1, "page_idx": 0},
    {"type": "text", "text": "布洛芬用于发热和疼痛。", "page_idx": 0},
    {"type": "page_number", "text": "1", "page_idx": 0},
    {"type": "text", "text": "用法", "text_level": 2, "page_idx": 1},
    {"type": "list", "sub_type": "text", "list_items": ["饭后服", "每日不超过三次"], "page_idx": 1},
    {"type": "table", "table_caption": ["表 1 剂量"], "table_footnote": ["成人"], "table_body": TABLE, "page_idx": 1},
    {"type": "image", "img_path": "a.jpg", "image_caption": ["图 1 结构式"], "image_footnote": [], "page_idx": 1},
    {"type": "equation", "text": "$$ a = b $$", "text_format": "latex", "page_idx": 1},
]
READ = """解热镇痛药

布洛芬用于发热和疼痛。

用法

- 饭后服
- 每日不超过三次

表 1 剂量
药物 | 剂量 (mg)
布洛芬 | 200"""


def lines(*texts: str, key: str = "content") -> list[dict[str, Any]]:
    return [{"spans": [{"type": "text", key: text}]} for text in texts]


MIDDLE: dict[str, Any] = {
    "pdf_info": [
        {
            "page_idx": 0,
            "para_blocks": [
                {"type": "title", "level": 1, "lines": lines("解热镇痛药")},
                {"type": "text", "lines": lines("布洛芬用于发热", "和疼痛。")},
            ],
            "discarded_blocks": [{"type": "header", "lines": lines("用药手册")}],
        },
        {
            "page_idx": 1,
            "para_blocks": [
                {"type": "title", "level": 2, "lines": lines("用法")},
                {
                    "type": "list",
                    "blocks": [
                        {"type": "text", "lines": lines("饭后服")},
                        {"type": "text", "lines": lines("每日不超过三次")},
                    ],
                },
                {
                    "type": "table",
                    "blocks": [
                        {"type": "table_body", "lines": lines(TABLE, key="html")},
                        {"type": "table_caption", "lines": lines("表 1 剂量")},
                    ],
                },
            ],
        },
    ],
    "_backend": "pipeline",
}


def paddle(page: int | None, *blocks: tuple[str, str]) -> dict[str, Any]:
    return {
        "input_path": "scan.pdf",
        "page_index": page,
        "parsing_res_list": [
            {"block_label": label, "block_content": content, "block_bbox": [0, 0, 1, 1], "block_order": order}
            for order, (label, content) in enumerate(blocks)
        ],
    }


PAGES = [
    paddle(
        0, ("header", "用药手册"), ("doc_title", "解热镇痛药"), ("text", "布洛芬用于发热\n和疼痛。"), ("number", "1")
    ),
    paddle(
        1,
        ("paragraph_title", "用法"),
        ("text", "- 饭后服\n- 每日不超过三次"),
        ("table_title", "表 1 剂量"),
        ("table", TABLE),
        ("image", '<img src="a.jpg">'),
    ),
]


def read(value: object) -> Item:
    (item,) = read_scan(json.dumps(value, ensure_ascii=False).encode())
    return item


@pytest.mark.parametrize(
    "value",
    [
        CONTENT,
        MIDDLE,
        PAGES,
        [{"res": page} for page in PAGES],
        {"result": {"layoutParsingResults": [{"prunedResult": page} for page in PAGES]}},
    ],
    ids=["content_list", "middle", "paddleocr", "paddleocr result.json", "paddleocr service"],
)
def test_text_headings_lists_tables_and_pages_come_out_alike(value: object) -> None:
    item = read(value)
    assert item.text.startswith(READ)
    assert item.title == "解热镇痛药"
    assert "用药手册" not in item.text
    headings = [(section["heading"], section["page"]) for section in item.sections if section["heading"]]
    assert headings == [("解热镇痛药", 1), ("用法", 2)]
    assert {section["page"] for section in item.sections if not section["heading"]} == {1, 2}


def test_captions_notes_and_formulas_of_a_content_list_stay() -> None:
    assert read(CONTENT).text == f"{READ}\n成人\n\n图 1 结构式\n\n$$ a = b $$"


def test_lines_of_results_and_a_single_image_are_read() -> None:
    data = "\n".join(json.dumps(page, ensure_ascii=False) for page in PAGES).encode()
    assert next(read_scan(data)).text == read(PAGES).text
    assert read(paddle(None, ("text", "发热。"))).sections[0]["page"] == 1


def test_words_broken_at_line_ends_are_joined() -> None:
    assert (
        read(paddle(0, ("text", "the treat-\nment of fever\nin chil-\ndren"))).text
        == "the treatment of fever in children"
    )


def test_markdown_of_the_tools_is_read_as_markdown() -> None:
    (item,) = read_scan(f"# 解热镇痛药\n\n布洛芬。\n\n![](images/a.jpg)\n\n{TABLE}\n".encode())
    assert item.title == "解热镇痛药"
    assert "药物 | 剂量 (mg)\n布洛芬 | 200" in item.text


@pytest.mark.parametrize(
    ("name", "value", "format"),
    [
        ("a/scan_content_list.json", CONTENT, "mineru"),
        ("a/scan_middle.json", MIDDLE, "mineru"),
        ("a/scan_0_res.json", PAGES[0], "paddleocr"),
        ("a/answers.json", [{"type": "text", "text": "no scan"}], "json"),
    ],
)
def test_a_file_is_told_by_its_name_or_content(name: str, value: object, format: str) -> None:
    assert format_of(name, json.dumps(value).encode(), None) == format


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"[1, 2]", "unknown_format"),
        (b'{"a": 1}', "unknown_format"),
        (b'{"pdf_info": [3]}', "unreadable"),
        (b'{"parsing_res_list": [{}]}', "unreadable"),
        (b"[" * 100_000, "unreadable"),
        (b'{"pdf_info": []}', "empty"),
    ],
)
def test_what_is_no_result_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        list(read_scan(data))


@given(st.recursive(st.none() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3)))
def test_any_blocks_are_read_or_refused(value: object) -> None:
    for wrapped in (
        [{"type": "table", "table_body": value, "list_items": value}],
        {"pdf_info": [{"para_blocks": value}]},
    ):
        with suppress(Refused):
            assert all(isinstance(item, Item) for item in read_scan(json.dumps(wrapped).encode()))
