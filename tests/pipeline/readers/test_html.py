from pathlib import Path

from pipeline.readers.html import read_html

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
    assert next(read_html(b"  ")).drop_reason == "empty"
    assert next(read_html(b"<html><body></body></html>")).text == ""
