import re
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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


def test_what_is_nested_too_deep_is_kept_as_it_is_written() -> None:
    quoted = next(read_markdown(b"> " * 300 + b"deep\n\nafter")).text
    assert quoted.endswith("> deep\n\nafter")
    listed = next(read_markdown(b"- " * 300 + b"deep\n- next\n")).text
    assert listed.endswith("- deep\n- next")
    image = b"![" * 400 + b"x" + b"](u)" * 400
    assert next(read_markdown(image)).text == image.decode()


def test_a_list_around_a_table_is_kept() -> None:
    page = b"1. one\n2. two\n\n   | a | b |\n   |---|---|\n   | c | d |\n3. | e |\n   |---|\n\nafter"
    assert next(read_markdown(page)).text == "1. one\n2. two\na | b\nc | d\n3. e\n\nafter"


def test_data_within_a_link_is_no_text() -> None:
    page = f"![a](data:image/png;base64,{'QUJD' * 100_000}) b [c]\n\n[c]: <data:image/png;base64,{'QUJD' * 100_000}>\n"
    assert next(read_markdown(page.encode())).text == "b c"


def test_links_by_name_find_what_a_later_window_defines() -> None:
    page = "[one][name] and [none]\n\n" + "word\n\n" * 1000 + "[name]: /address\n"
    assert next(read_markdown(page.encode(), 500)).text.startswith("one and [none]\n\nword")


def test_memory_is_that_of_a_window() -> None:
    page = "".join(f"- item {number}\n" for number in range(6_000))
    tracemalloc.start()
    text = next(read_markdown(page.encode(), 2048)).text
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert text == page.strip()
    assert peak < 50 * len(page)  # parsed whole, 500 times


@pytest.mark.parametrize(
    "line", ["word word\n", "    code\n", "[a", "*", "<", "x ", "> ", "- ", "| a |", "_a", "\n```\n"]
)
def test_one_block_longer_than_windows_loses_nothing(line: str) -> None:
    page = line * 400
    kept = next(read_markdown(f"{page}\n\nend".encode(), 256)).text
    assert re.sub(r"\W", "", kept) == re.sub(r"\W", "", page) + "end"


def test_a_listing_or_comment_longer_than_windows_stays_one() -> None:
    listing = next(read_markdown(b"```py\n" + b"# no heading\n" * 100 + b"```\n\n# A\n", 256))
    assert [section["heading"] for section in listing.sections] == ["A"]
    assert listing.text.count("# no heading") == 100
    assert next(read_markdown(b"<!--\n" + b"unseen\n" * 100 + b"-->\n\nseen\n", 256)).text == "seen"


_WORDS = st.sampled_from(
    ["word", "*stress*", "[link](/a)", "[name]", "`code`", "x<br>y", "高血压", "a | b", "1.", "- ", "#"]
)
_LINE = st.lists(_WORDS, min_size=1, max_size=4).map(" ".join)
_MARK = st.sampled_from(["- ", "* ", "+ ", "1. ", "7) ", "  - ", "> ", "> - ", "> > ", "  ", "", "    ", "   1. "])
_BLOCKS = st.one_of(
    st.builds("{}{}\n".format, _MARK, _LINE),
    st.builds("{}{}\n".format, _MARK, _LINE),
    st.builds("{}{}\n".format, _MARK, _LINE),
    st.builds("{} {}\n".format, st.sampled_from(["#", "##", "######"]), _LINE),
    st.just("\n"),
    st.just("\n\n"),
    st.sampled_from(["===\n", "---\n", "***\n", "[name]: /u 'title'\n", "[^1]: note\n", "```\n# code\n\n- x\n```\n"]),
    st.sampled_from(
        ["<div>\n*a*\n\n*b*\n</div>\n\n", "<!-- a\n\nb -->\n", "- a\n\n  - b\n\n    c\n", "-\n", "&amp; \\*\n"]
    ),
    st.lists(_LINE, min_size=1, max_size=30).map(
        lambda cells: "\n| a | b |\n|---|---|\n" + "".join(f"| {cell} | x |\n" for cell in cells)
    ),
    st.lists(_LINE, min_size=5, max_size=30).map(lambda items: "".join(f"- {item}\n" for item in items)),
    st.lists(_LINE, min_size=5, max_size=30).map(lambda items: "\n\n".join(f"> 1. {item}\n>" for item in items)),
)


@given(st.lists(_BLOCKS, max_size=60).map("".join))
@settings(max_examples=200, deadline=None)
def test_windows_do_not_show(page: str) -> None:
    whole, cut = next(read_markdown(page.encode())), next(read_markdown(page.encode(), 1000))
    assert cut == whole


def test_windows_do_not_show_in_real_pages(real_data: Path) -> None:
    paths = [path for name in ("web", "nonmedical") for path in sorted((real_data / name).rglob("*.md"))]
    assert len(paths) > 100
    for path in paths[::3]:
        data = path.read_bytes()
        assert next(read_markdown(data, 4096)) == next(read_markdown(data))
