from pipeline.readers.xml import read_xml

BOOK = """<TEI xmlns="http://www.tei-c.org/ns/1.0" xml:id="b1"><teiHeader><fileDesc>
<titleStmt><title>Nursing</title></titleStmt>
<publicationStmt><date when="1860"/></publicationStmt></fileDesc></teiHeader><text><body>
<div><head>Of air</head><pb n="12"/><fw>NURSING</fw><p>Keep the
<choice><sic>aire</sic><corr>air</corr></choice> pure<note>Always.</note>,
as <abbr>Dr</abbr> said<ref type="bibr">[3]</ref>.</p><pb n="13"/><div><head>Windows</head>
<lg><l>Open</l><l>them</l></lg>
<table><head>Doses</head><row><cell>A</cell><cell>1 mg</cell></row></table>
<list><label>Air</label><item>fresh</item><item>warm</item></list></div></div></body></text></TEI>"""


def test_a_book_has_divisions_verse_tables_and_pages() -> None:
    item = next(read_xml(BOOK.encode()))
    assert (item.native, item.title, item.published) == (None, "Nursing", "1860")
    assert item.text.split("\n\n") == [
        "Of air",
        "Keep the air pure, as Dr said.",
        "Always.",
        "Windows",
        "Open\nthem",
        "Doses\nA | 1 mg",
        "- Air: fresh\n- warm",
    ]
    pages = [
        (item.text[section["start"] : section["end"]].split("\n")[0], section["page"]) for section in item.sections
    ]
    assert ("Keep the air pure, as Dr said.", 12) in pages
    assert ("Open", 13) in pages


def test_texts_of_a_corpus_are_documents_of_their_own() -> None:
    items = list(
        read_xml(
            f"<teiCorpus xmlns='http://www.tei-c.org/ns/1.0'>{BOOK}{BOOK.replace('b1', 'b2')}</teiCorpus>".encode()
        )
    )
    assert [item.native for item in items] == ["b1", "b2"]
