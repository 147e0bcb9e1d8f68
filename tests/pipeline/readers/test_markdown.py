from pathlib import Path

from pipeline.readers.markdown import read_markdown

PAGE = """---
title: "螺内酯片"
---

{{< notice warning "用药安全提示" >}}
请仔细阅读说明书[^1] [^2]。
{{< /notice >}}

## 用法 {#usage}

![图](/a.jpg) 口服，每天 **100** 毫克，
分次[服用](https://example.org)。

- 尿频
- 头晕 `x`

| 药名 | 剂量 |
| --- | --- |
| 甲 | 1 |

{{< figure src="/b.jpg" width="40%" >}}

[^1]: Aly. 文献
"""


def test_markdown_reads_as_plain_text() -> None:
    item = next(read_markdown(PAGE.encode()))
    assert item.title == "螺内酯片"
    assert [section["heading"] for section in item.sections] == ["用法"]
    assert item.text.split("\n\n") == [
        "用药安全提示",
        "请仔细阅读说明书。",
        "用法",
        "口服，每天 100 毫克，分次服用。",
        "- 尿频\n- 头晕 x",
        "药名 | 剂量\n甲 | 1",
        "Aly. 文献",
    ]


def test_headings_nest() -> None:
    item = next(read_markdown(b"# A\n\na\n\n## B\n\nb\n\n# C\n\nc\n"))
    assert [(section["heading"], item.text[section["start"] : section["end"]]) for section in item.sections] == [
        ("A", "A\n\na\n\nB\n\nb"),
        ("B", "B\n\nb"),
        ("C", "C\n\nc"),
    ]
    assert item.title == "A"


def test_real_pages_are_read(real_data: Path) -> None:
    paths = sorted((real_data / "web" / "mtf_wiki_zh_md").glob("medicine__*.md"))
    assert paths
    for path in paths:
        item = next(read_markdown(path.read_bytes()))
        assert item.title
        assert not any(mark in item.text for mark in ("{{<", "[^", "---\n"))


def test_tables_notes_and_html_within_markdown_are_laid_out() -> None:
    page = (
        "---\ntitle: T\ndate: 2023-01-02T03:04:05\n---\n| a | b |\n|---|---|\n| | 10<sup>9</sup> |\n\n"
        "- [x] done\n\n  with more\n\n<table><tr><th>c</th><td>d</td></tr></table>\n\n<!-- no -->\n\nx<br>y\n"
    )
    item = next(read_markdown(page.encode()))
    assert (item.title, item.published) == ("T", "2023-01-02")
    assert item.text.split("\n\n") == ["a | b\n | 10⁹", "- done with more", "c | d", "x y"]


def test_runs_of_brackets_stay_as_they_are_written() -> None:
    assert next(read_markdown(b"![" * 20_000)).text == "![" * 20_000
