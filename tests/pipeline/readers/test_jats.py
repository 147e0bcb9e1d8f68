from pipeline.readers.xml import read_xml

ARTICLE = """<article xmlns:xlink="http://www.w3.org/1999/xlink"><front><article-meta>
<article-id pub-id-type="pmc">77</article-id><article-id pub-id-type="doi">10.1/x</article-id>
<title-group><article-title>Urate <italic>in vivo</italic></article-title></title-group>
<pub-date><year>2004</year><month>5</month></pub-date>
<abstract><sec><title>Aim:</title><p>To see.</p></sec><sec><title>End</title><p>Seen.</p></sec></abstract>
<trans-abstract><p>Andere Sprache.</p></trans-abstract></article-meta></front>
<body><sec><label>1</label><title>Methods</title><p>We saw 10<sup>9</sup> cells [<xref ref-type="bibr">3</xref>,
<xref ref-type="bibr">4</xref>] in <xref ref-type="fig">Figure 1</xref><fn><p>Twice.</p></fn>.
<list><list-item><p>one</p><list><list-item><p>in it</p></list-item></list></list-item></list>then more.</p>
<sec><title>Doses</title><table-wrap><label>Table 1</label><caption><title>Doses</title></caption><table><thead><tr>
<th>Drug</th><th>mg</th></tr></thead><tr><td rowspan="2">A</td><td>1</td></tr><tr><td>2</td></tr></table>
<table-wrap-foot><p>Daily.</p></table-wrap-foot></table-wrap>
<fig><label>Figure 1</label><caption><p>Cells.</p></caption></fig></sec></sec></body>
<back><ref-list><ref><mixed-citation>Old paper.</mixed-citation></ref></ref-list></back></article>"""


def test_an_article_has_sections_tables_and_no_references() -> None:
    item = next(read_xml(ARTICLE.encode()))
    assert (item.native, item.title, item.url, item.published) == (
        None,
        "Urate in vivo",
        "https://doi.org/10.1/x",
        "2004-05",
    )
    assert item.text.split("\n\n") == [
        "Aim: To see.",
        "End: Seen.",
        "1 Methods",
        "We saw 10⁹ cells in Figure 1.",
        "- one\n- in it",
        "then more.",
        "Twice.",
        "Doses",
        "Table 1 Doses\nDrug | mg\nA | 1\nA | 2",
        "Daily.",
        "Figure 1 Cells.",
    ]
    assert [section["heading"] for section in item.sections] == ["1 Methods", "Doses"]


def test_articles_of_a_set_are_named_by_their_ids() -> None:
    second = ARTICLE.replace(">77<", ">78<")
    items = list(read_xml(f"<pmc-articleset>{ARTICLE}{second}</pmc-articleset>".encode()))
    assert [item.native for item in items] == ["77", "78"]
    assert items[0].text == items[1].text


def test_items_of_a_counted_list_keep_their_numbers() -> None:
    counted = "<list list-type='order'><list-item><p>wash</p></list-item><list-item><p>wait</p></list-item></list>"
    named = "<list><list-item><label>(a)</label><p>rest</p></list-item><list-item><p>drink</p></list-item></list>"
    item = next(read_xml(f"<article><body><p>Do:{counted}{named}</p></body></article>".encode()))
    assert item.text == "Do:\n\n1. wash\n2. wait\n\n(a) rest\n- drink"


def test_a_formula_is_its_mathml_or_where_there_is_none_its_tex() -> None:
    tex = r"<tex-math>\documentclass{article}\usepackage{x}\begin{document}$$k = C / V$$\end{document}</tex-math>"
    mathml = f"<alternatives>{tex}<math><mi>k</mi></math></alternatives>"
    body = f"<p>So <inline-formula>{tex}</inline-formula> holds, and <inline-formula>{mathml}</inline-formula> too.</p>"
    item = next(read_xml(f"<article><body>{body}</body></article>".encode()))
    assert item.text == "So $$k = C / V$$ holds, and k too."
