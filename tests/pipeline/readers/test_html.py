import re
from pathlib import Path

import pytest

from pipeline.readers.html import read_html
from pipeline.readers.items import Refused
from pipeline.readers.text import read_text

WEB = Path(__file__).resolve().parents[3] / "recipes" / "demo" / "web"


def test_an_article_comes_without_its_furniture() -> None:
    item = next(read_html((WEB / "en_gout.html").read_bytes()))
    assert (item.title, item.url) == ("Gout", "https://www.example.org/topics/gout")
    assert [section["heading"] for section in item.sections][:2] == ["Gout", "Why gout attacks occur"]
    assert "Urate is the end product of purine metabolism" in item.text
    for furniture in ("lbData", "Find a clinic", "cookies", "All rights reserved", "font-family"):
        assert furniture not in item.text
    for section in item.sections:
        assert item.text[section["start"] :].startswith(section["heading"])


def test_a_page_too_short_for_extraction_still_has_its_text() -> None:
    page = "<html><head><title>痛风</title><script>var x</script></head>"
    page += "<body><nav>首页</nav><h1>痛风</h1><p>少喝酒。</p></body></html>"
    item = next(read_html(page.encode()))
    assert item.title == "痛风"
    assert "少喝酒。" in item.text
    assert "var x" not in item.text
    assert "首页" not in item.text


def test_a_declared_encoding_is_used_and_a_false_one_is_not() -> None:
    body = "<body><h1>高血压</h1><p>高血压是一种常见的慢性病，会损害心脏和肾脏，患者要定期测量血压。</p></body>"
    for declared, real in (("gb2312", "gb18030"), ("gb2312", "utf-8"), ("utf-8", "gb18030")):
        page = f'<html><head><meta charset="{declared}"></head>{body}</html>'.encode(real)
        assert "会损害心脏和肾脏" in next(read_html(page)).text


def test_an_empty_page_says_so() -> None:
    with pytest.raises(Refused, match="empty"):
        next(read_html(b"  "))
    assert next(read_html(b"<html><body></body></html>")).text == ""


def text_of(body: str) -> str:
    """Return the text of a page whose article is the body given, between two paragraphs that make it one."""
    long = "The kidneys keep the amount of water and salt in the body steady, and they do so at every hour of the day."
    page = f"<html><title>t</title><body><div><p>{long}</p>{body}<p>{long} So they do.</p></div></body></html>"
    return next(read_html(page.encode())).text.removeprefix(long).removesuffix(f"{long} So they do.").strip()


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("<p>10<sup>9</sup>/L</p><p>H<sub>2</sub>O</p><p><b>Dose</b>: 2</p>", "10⁹/L\n\nH2O\n\nDose: 2"),
        ("<figure><img src=a.png><figcaption>Fig. 1 The kidney</figcaption></figure>", "Fig. 1 The kidney"),
        (
            "<table><caption>Table 1. Ions (mmol/L)</caption><thead><tr><th>Ion<th>Range</tr></thead>"
            "<tr><td>K<td>3.5<br>to 5</tr><tr><td>Na<td></tr></table>",
            "Table 1. Ions (mmol/L)\nIon | Range\nK | 3.5 to 5\nNa |",
        ),
        (
            "<table><tr><th>Drug<th>Dose<th>Unit</tr><tr><td rowspan=2>A<td>1<td>mg</tr>"
            "<tr><td colspan=2>2 g</tr></table>",
            "Drug | Dose | Unit\nA | 1 | mg\nA | 2 g |",
        ),
        ("<ul><li>one <b>thing</b><ul><li>in it</ul><li><p>two</p></ul>", "- one thing\n- in it\n- two"),
        ("<ol start=' 3'><li>c<li>d</ol><ol start=x><li>a</ol>", "3. c\n4. d\n\n1. a"),
        ("<ol><li>first<li>second</ol><dl><dt>Gout<dd>A disease</dl>", "1. first\n2. second\n\n- Gout: A disease"),
        ("<h2>Dose</h2><pre>a\n  b</pre>", "Dose\n\na\n  b"),
        (
            "<p>It is 4.0&times;10<sup>9</sup>/L<sup><a href='#n1'>3</a></sup> of blood.</p>",
            "It is 4.0×10⁹/L of blood.",
        ),
        (
            "<p>高血压是一种\n  常见的慢性病，要经常测量自己的血压和体重。</p>",
            "高血压是一种常见的慢性病，要经常测量自己的血压和体重。",
        ),
        (
            "<p>One line is here.<br>And another one.<br><br>Then more.</p>",
            "One line is here.\nAnd another one.\n\nThen more.",
        ),
        (
            "<p hidden>no</p><p aria-hidden=true>no</p><p style='display: none'>no</p><i class=sr-only>no</i>"
            "<!-- no -->",
            "",
        ),
        ("<div class='ad'>Cheap pills here.</div><ul><li><a href=/a>Home</a><li><a href=/b>News</a></ul>", ""),
    ],
)
def test_what_a_page_shows_is_laid_out_as_text(body: str, text: str) -> None:
    assert text_of(body) == text


def test_hostile_pages_do_not_leak(real_data: Path) -> None:
    for number in (0, 1):
        page = (real_data / "messy" / "5_html_scripts" / f"page_zh_{number}.html").read_bytes()
        item = next(read_html(page))
        for hidden in ("commented paragraph", "_hmt", "hidden keywords", "栏目39", "not text", "广告", "版权所有"):
            assert hidden in page.decode()
            assert hidden not in item.text
        assert "说明书" in item.text
        assert len(item.text) > 4000


@pytest.mark.parametrize(
    ("folder", "text", "page"),
    [("books", "17921-8.txt", "17921-h_17921-h.htm"), ("nonmedical", "14263-8.txt", "14263-h_14263-h.htm")],
)
def test_a_whole_book_comes_out_nearly_whole(real_data: Path, folder: str, text: str, page: str) -> None:
    """The oracle is the same book as plain text; transcribers' notes and lists of figures differ between the two."""
    books = real_data / folder / "gutenberg_en"
    plain = next(read_text((books / text).read_bytes())).text
    item = next(read_html((books / page).read_bytes()))
    letters = letters_of(item.text)
    sentences = [found for found in map(letters_of, re.split(r"(?<=[.!?])\s+", plain)) if len(found) >= 25]
    assert len(sentences) > 2500
    assert sum(sentence in letters for sentence in sentences) >= 0.98 * len(sentences)
    assert len(item.sections) > 50


def letters_of(text: str) -> str:
    return re.sub(r"[\W_]+", "", text.lower()).replace("œ", "oe")


def test_depth_is_refused_or_read_but_never_cut_off_in_silence() -> None:
    with pytest.raises(Refused, match="nested deeper"):
        next(read_html(b"<div>" * 300 + b"deep"))
    assert next(read_html(b"<p>" + b"<font size=2>" * 300 + b"never closed")).text == "never closed"


def test_text_beyond_a_limit_of_the_parser_is_refused_and_never_lost_in_silence() -> None:
    with pytest.raises(Refused, match="limit"):
        next(read_html(b"<p>" + b"long " * (2 << 20)))


def test_spans_of_cells_are_bounded() -> None:
    page = b"<table><tr><th rowspan=99 colspan=99999>a" + b"<tr><td rowspan=99 colspan=99999>b" * 2000
    assert len(next(read_html(page)).text) < 2_000_000


def test_control_characters_in_an_article_stop_nothing() -> None:
    words = "The kidneys keep the amount of water and salt in the body steady, at every hour of the day and night. " * 9
    page = f"<html><body><pre><code>{words}\x0f{words}</code></pre></body></html>"
    assert words.strip() in next(read_html(page.encode())).text
