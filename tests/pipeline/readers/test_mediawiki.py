from pipeline.readers.xml import read_xml

WIKI = """{{Infobox drug|name=Aspirin|dose={{convert|5|mg}}}}
'''Aspirin'''<ref name="a">Smith, {{cite|x}}</ref><ref name="b" /> is a [[drug|medicine]] for [[pain]]<!-- no -->,
in {{lang|de|Acetylsalicylsäure}}, 10<sup>3</sup> {{convert|5|mg|oz}} &amp; [https://example.org more].
[[File:a.jpg|thumb|A [[pill]]]]
-{zh-hans:头痛;zh-hant:頭痛}-

== Use ==
* one
** ''two''
#three

{| class="wikitext"
|+ Doses
! Drug !! Dose
|-
| align="left" | A || [[x|5 mg]]
|-
| B
| 6
mg
|}
=== Harm ===
----
Bleeding &lt; 1 {{unclosed
[[Category:Drugs]] [[fr:Aspirine]]
"""


def dump(*pages: str) -> bytes:
    return f"<mediawiki xmlns='http://www.mediawiki.org/xml/export-0.11/'>{''.join(pages)}</mediawiki>".encode()


def page(number: int, text: str, about: str = "<ns>0</ns>") -> str:
    escaped = text.replace("&", "&amp;").replace("<", "&lt;")
    dated = "<timestamp>2020-01-02T03:04:05Z</timestamp>"
    revision = f"<revision>{dated}<text>{escaped}</text></revision>"
    return f"<page><title>P{number}</title>{about}<id>{number}</id>{revision}</page>"


def test_a_page_is_a_document_as_a_reader_sees_it() -> None:
    (item,) = read_xml(dump(page(7, WIKI)))
    assert (item.native, item.title, item.published) == ("7", "P7", "2020-01-02")
    assert [section["heading"] for section in item.sections] == ["Use", "Harm"]
    assert item.text.split("\n\n") == [
        "Aspirin is a medicine for pain, in Acetylsalicylsäure, 10³ 5 mg & more.",
        "头痛",
        "Use",
        "- one\n- two\n- three",
        "Doses\nDrug | Dose\nA | 5 mg\nB | 6 mg",
        "Harm",
        "Bleeding < 1 {{unclosed",
    ]


def test_what_is_no_article_is_a_dropped_row() -> None:
    items = read_xml(dump(page(1, "a", "<ns>10</ns>"), page(2, "b", "<ns>0</ns><redirect title='x'/>"), page(3, "c")))
    assert [(item.native, item.drop_reason, item.drop_detail) for item in items] == [
        ("1", "not_a_document", "namespace 10"),
        ("2", "not_a_document", "a redirect"),
        ("3", None, None),
    ]


def test_marks_without_end_take_no_longer_than_others() -> None:
    for mark in ("{{", "[[", "<ref>", "<!--", "-{", "{|\n", "[http://a ", "'''", "==", "<b", "}}"):
        (item,) = read_xml(dump(page(1, mark * 20_000 + " end")))
        assert item.drop_reason is None
