from pathlib import Path

import pytest

from pipeline.readers.items import Refused
from pipeline.readers.xml import read_xml

PUBMED = b"""<?xml version="1.0"?>
<!DOCTYPE PubmedArticleSet [<!ENTITY leak SYSTEM "file:///etc/hostname">]>
<PubmedArticleSet><PubmedArticle><MedlineCitation><PMID>123</PMID><Article>
<Journal><JournalIssue><PubDate><Year>2004</Year><Month>May</Month></PubDate></JournalIssue></Journal>
<ArticleTitle>Gout &amp; <i>urate</i></ArticleTitle>
<Abstract><AbstractText Label="AIM">To see.&leak;</AbstractText>
<AbstractText Label="END">Seen.</AbstractText></Abstract>
</Article></MedlineCitation></PubmedArticle>
<PubmedArticle><MedlineCitation><Article><ArticleTitle>None</ArticleTitle></Article></MedlineCitation></PubmedArticle>
</PubmedArticleSet>"""


def test_pubmed_gives_a_document_an_article_and_resolves_no_entity() -> None:
    first, second = read_xml(PUBMED)
    assert (first.native, first.title, first.published) == ("123", "Gout & urate", "2004-May")
    assert first.url == "https://pubmed.ncbi.nlm.nih.gov/123/"
    assert first.text == "AIM: To see.\n\nEND: Seen."
    assert first.sections == []
    assert second.native is not None
    assert second.text == ""


def test_medquad_questions_are_headings_and_empty_answers_are_left_out() -> None:
    item = next(
        read_xml(
            b"""<Document id="1" url="https://example.org/x"><Focus>Gout</Focus><QAPairs>
            <QAPair><Question>What is (are) Gout ?</Question><Answer>A disease.</Answer></QAPair>
            <QAPair><Question>Who has it? ?</Question><Answer></Answer></QAPair></QAPairs></Document>"""
        )
    )
    assert (item.text, item.title, item.url) == ("What is (are) Gout?\n\nA disease.", "Gout", "https://example.org/x")


@pytest.mark.parametrize(
    ("data", "reason"), [(b"<a><b></a>", "unreadable"), (b" ", "empty"), (b"<a>" * 300 + b"</a>" * 300, "unreadable")]
)
def test_what_is_no_xml_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        list(read_xml(data))


def test_a_broken_set_keeps_the_articles_before_the_break() -> None:
    found = read_xml(PUBMED.replace(b"<ArticleTitle>None", b"<ArticleTitle>N&one"))
    assert next(found).native == "123"
    with pytest.raises(Refused, match="from here on"):
        next(found)


def test_a_billion_laughs_and_includes_are_inert() -> None:
    laughs = b"<!DOCTYPE d [<!ENTITY a 'ha'>" + b"".join(
        b"<!ENTITY a%d '&a%s;&a%s;'>" % (depth, previous, previous)
        for depth in range(1, 15)
        for previous in [b"" if depth == 1 else b"%d" % (depth - 1)]
    )
    laughs += b"]><d>once&a14;<x xmlns:xi='http://www.w3.org/2001/XInclude'><xi:include href='/etc/hostname'/></x></d>"
    assert next(read_xml(laughs)).text == "once"


def test_lists_of_medquad_come_back() -> None:
    answer = "Tests:         - Blood test : A check.    -  Biopsy.        Then treatment.   More of it."
    item = next(
        read_xml(
            f"<Document><QAPairs><QAPair><Question>Q?</Question><Answer>{answer}</Answer></QAPair>"
            "</QAPairs></Document>".encode()
        )
    )
    assert item.text == "Q?\n\nTests:\n\n- Blood test : A check.\n- Biopsy.\n\nThen treatment.\n\nMore of it."


def test_unknown_xml_is_read_by_block() -> None:
    item = next(read_xml(b"<doc><title>T</title><body><p>One <b>two</b>.</p><p>Three.</p></body></doc>"))
    assert item.text == "T\n\nOne two.\n\nThree."


def test_a_module_has_counted_lists_and_notes_behind_their_paragraphs() -> None:
    steps = "<list list-type='enumerated'><item>wash</item><item>wait</item></list>"
    module = f"<content><para>Cells are units<footnote>Of life.</footnote>.</para>{steps}</content>"
    item = next(read_xml(f"<document xmlns='http://cnx.rice.edu/cnxml'>{module}</document>".encode()))
    assert item.text == "Cells are units.\n\nOf life.\n\n1. wash\n2. wait"


def test_real_modules_have_sections_tables_and_glossary(real_data: Path) -> None:
    paths = sorted((real_data / "books" / "openstax_pharmacology_cnxml").glob("m*.cnxml"))[:30]
    assert paths
    items = [next(read_xml(path.read_bytes())) for path in paths]
    assert all(item.title and item.text for item in items)
    assert sum(len(item.sections) > 3 for item in items) > 15
    assert any(" | " in item.text for item in items)
    assert all("<" not in item.text[:200] for item in items)


def test_real_answers_that_were_removed_leave_no_text(real_data: Path) -> None:
    paths = sorted((real_data / "encyclopedia" / "medquad_empty_answers").rglob("*.xml"))[:20]
    assert paths
    assert all(next(read_xml(path.read_bytes())).text == "" for path in paths)
