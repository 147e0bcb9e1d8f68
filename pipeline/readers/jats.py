"""Read JATS, the XML of articles (jats.nlm.nih.gov): titles, abstract, body, tables, captions, no references."""

import re
from collections.abc import Iterator

from lxml import etree

from pipeline.readers.items import PARAGRAPH, Block, Item, compose, named, one_line
from pipeline.readers.xml_flow import Dialect, flow, text_of
from pipeline.records import text_hash

_JATS = Dialect(
    sections=named("sec abstract ack app boxed-text glossary fn-group notes"),
    headings=frozenset(("title",)),
    labels=frozenset(("label",)),
    blocks=named(
        "p fig-group caption disp-quote statement speech app-group table-wrap-group verse-group "
        "alternatives table-wrap-foot attrib floats-group"
    ),
    lists=frozenset(("list", "def-list")),
    items=frozenset(("list-item", "def-item")),
    terms=frozenset(("term",)),
    tables=frozenset(("table-wrap",)),
    captions=frozenset(("label", "caption")),
    notes=frozenset(("table-wrap-foot",)),
    figures=frozenset(("fig",)),
    asides=frozenset(("fn",)),
    dropped=named(
        "ref-list tex-math annotation annotation-xml supplementary-material media graphic inline-graphic "
        "object-id sec-meta related-article permissions bio"
    ),
)
_CITED = ("bibr", "fn", "table-fn", "corresp", "aff")  # marks that lead to a reference or a note
_AROUND_TEX = re.compile(r"^.*\\begin\{document\}|\\end\{document\}.*$", re.DOTALL)  # a formula may be a whole document
_EMPTY_BRACKETS = re.compile(r"\s*[\[(（［][\s,;，；–—-]*[\])）］]")


def read_jats(root: etree._Element) -> Iterator[Item]:
    """Yield a document an article; those of a set are named by their PMC or PubMed id, or by their content."""
    articles = [root] if root.tag == "article" else list(root.iter("{*}article"))
    for article in articles:
        yield _article(article, alone=article is root)


def _article(article: etree._Element, *, alone: bool) -> Item:
    for mark in article.iter("{*}xref"):
        if mark.get("ref-type") in _CITED:
            mark.clear(keep_tail=True)
    for formula in article.iter("{*}tex-math"):
        above = formula.getparent()
        if above is not None and above.find("{*}math") is None:  # else MathML says the same in fewer marks
            formula.tag, formula.text = "tex", one_line(_AROUND_TEX.sub("", formula.text or ""))
    about = article.find("{*}front/{*}article-meta")
    if about is None:
        about = article.find("{*}front-stub")
    blocks: list[Block] = []
    for abstract in about.iterfind("{*}abstract") if about is not None else ():
        if abstract.get("abstract-type") not in ("graphical", "teaser", "toc"):
            blocks += _abstract_blocks(abstract)
    for name in ("body", "back", "floats-group"):
        part = article.find(f"{{*}}{name}")
        if part is not None:
            blocks += flow(part, _JATS)
    text, sections = compose(Block(block.level, _EMPTY_BRACKETS.sub("", block.text)) for block in blocks)
    ids = (
        {} if about is None else {entry.get("pub-id-type"): text_of(entry) for entry in about.iterfind("{*}article-id")}
    )
    native = None if alone else ids.get("pmc") or ids.get("pmcid") or ids.get("pmid") or text_hash(text)
    return Item(
        native=native,
        text=text,
        title=None if about is None else text_of(about.find("{*}title-group/{*}article-title"), _JATS.dropped) or None,
        url=f"https://doi.org/{ids['doi']}" if ids.get("doi") else None,
        published=None if about is None else _published(about),
        sections=sections,
    )


def _abstract_blocks(abstract: etree._Element) -> Iterator[Block]:
    """Yield an abstract; the titles of a structured one stand before its paragraphs."""
    for part in abstract.findall("{*}sec"):
        label = text_of(part.find("{*}title")).rstrip(":：")
        paragraphs = [block for block in flow(part, _JATS) if not block.level and block.text]
        if label and paragraphs:
            paragraphs[0] = Block(PARAGRAPH, f"{label}: {paragraphs[0].text}")
        yield from paragraphs
        abstract.remove(part)
    yield from flow(abstract, _JATS, level=1)


def _published(about: etree._Element) -> str | None:
    dates = about.findall("{*}pub-date")
    for date in sorted(dates, key=lambda date: date.get("pub-type") == "collection"):
        parts = [one_line(date.findtext(f"{{*}}{part}") or "") for part in ("year", "month", "day")]
        known = parts[: parts.index("")] if "" in parts else parts
        if known:
            return "-".join(part.zfill(2) for part in known)
    return None
