from pathlib import Path

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
    assert first.text == "AIM\n\nTo see.\n\nEND\n\nSeen."
    assert [section["heading"] for section in first.sections] == ["AIM", "END"]
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


def test_broken_xml_is_a_dropped_item() -> None:
    assert next(read_xml(b"<a><b></a>")).drop_reason == "unreadable"
    assert next(read_xml(b" ")).drop_reason == "empty"


def test_unknown_xml_is_read_by_block() -> None:
    item = next(read_xml(b"<doc><title>T</title><body><p>One <b>two</b>.</p><p>Three.</p></body></doc>"))
    assert item.text == "T\n\nOne two.\n\nThree."


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
