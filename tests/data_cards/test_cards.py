"""The data card: valid on the hub, escaped everywhere, the same bytes each time."""

import re
from pathlib import Path

import pytest
from huggingface_hub import DatasetCard
from hypothesis import example, given
from hypothesis import strategies as st
from lxml import html
from markdown_it import MarkdownIt

from data_cards import cards as renderer
from data_cards.cards import hub_metadata, markdown, marked, render_cards, shortened
from tests.stage_folders import BOOK, WEB, Plan, passage_id, recipe, source_cards, stage_folders

SCRIPT = "<script>alert({number})</script> | `a` \n\n# b ](javascript:1) <img src=x onerror=1>"
REJECTED = {
    "clean": {passage_id("book", BOOK[2]): "advertisement"},
    "rewrite": {passage_id("web_zh", WEB[1]) + "@heading": "title_only"},
    "mix": {"talk-0": "verdict"},
}
MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


def card(root: Path, plan: Plan | None = None) -> Path:
    return render_cards(recipe(root), stage_folders(root, plan), source_cards())


def tables(readme: str) -> list[list[list[str]]]:
    """Parse the tables of a card as a Markdown reader does: tables of rows of cells."""
    page = html.fromstring(MARKDOWN.render(readme))
    return [[[cell.text_content() for cell in row] for row in table.iter("tr")] for table in page.iter("table")]


def table(readme: str, first: str) -> dict[str, list[str]]:
    """Return the rows of the table that begins with a heading, by their first cell."""
    found = next(rows for rows in tables(readme) if rows[0][0] == first)
    return {row[0]: row[1:] for row in found}


def test_the_front_matter_is_a_dataset_card_of_the_hub(tmp_path):
    data = DatasetCard.load(card(tmp_path)).data.to_dict()
    assert data["language"] == ["en", "zh"]
    assert data["license"] == "cc-by-4.0"
    assert data["size_categories"] == ["n<1K"]
    assert data["task_categories"] == ["text-generation", "question-answering"]
    assert "onestage" in data["tags"]


@pytest.mark.parametrize(
    ("licences", "licence", "name"),
    [
        (["Apache-2.0", "Apache-2.0"], "apache-2.0", None),
        (["Apache-2.0", "CC0-1.0"], "other", "several-see-sources"),
        (["LicenseRef-Our Press"], "other", "licenseref-our-press"),
    ],
)
def test_licences_are_those_that_the_hub_knows_or_other_with_a_name(licences, licence, name):
    written = hub_metadata("demo", licences, ["und"], 12_000, demonstration=False)
    data = DatasetCard(f"---\n{written}\n---\n").data.to_dict()
    assert (data["license"], data.get("license_name")) == (licence, name)
    assert data["size_categories"] == ["10K<n<100K"]
    assert "language" not in data


def test_the_first_line_says_which_pairs_the_small_model_asked(tmp_path):
    lines = card(tmp_path, Plan(marks=REJECTED)).read_text().split("# demo\n\n")[1].splitlines()
    assert lines[0].startswith(
        "**A demonstration, not training data:** SmolLM2-135M-Instruct, a model of 135M parameters"
    )
    assert "asked the questions of 2 pairs (style excerpt: 2 pairs)" in lines[0]
    assert "1 pair made without a model (style heading: 1 pair)" in lines[0]


def test_coverage_translations_and_repairs_have_a_column(tmp_path):
    rows = next(rows for rows in tables(card(tmp_path).read_text()) if "repaired" in rows[0])
    assert rows[0] == [
        "style",
        "pairs",
        "in another language than the passage",
        "repaired",
        "sentences",
        "numbers",
        "names",
    ]
    assert [row[0] for row in rows[1:]] == ["excerpt", "heading"]
    assert rows[1][2:4] == ["0", "0"]
    assert " of " in rows[1][4]


def test_another_writer_is_no_demonstration(tmp_path):
    readme = card(tmp_path, Plan(model="Qwen/Qwen3-8B")).read_text()
    assert "Qwen/Qwen3-8B" in readme
    assert "emonstration" not in readme


def test_pairs_without_any_model_are_said_to_be_so(tmp_path):
    lines = card(tmp_path, Plan(model="none", book=[], marks={"collect": {"book/1": "empty"}})).read_text()
    assert "2 pairs written from passages of 2 sources, none of them by a model, and 2 pairs ready-made" in lines


def test_sources_show_licence_and_who_checked_it(tmp_path):
    book = table(card(tmp_path).read_text(), "source")["book"]
    checked = "by data team on 2026-01-02, for training, internal"
    assert book == ["Lindenbrook Press, pp. 1–9", "CC-BY-4.0", "books", "text", checked, "3rd", "1"]


def test_the_funnel_counts_every_stage_by_source(tmp_path):
    readme = card(tmp_path, Plan(marks=REJECTED)).read_text()
    rows = {row[0]: row[1:] for row in tables(readme)[1]}
    assert rows["source"][:3] == ["collectdocuments", "filterdocuments", "segmentpassages"]
    assert rows["book"] == ["1", "1", "1 → 3", "3 → 2", "2", "2", "2", "2", "2", "2", "2", "–"]
    assert rows["web_zh"] == ["1", "1", "1 → 2", "2", "2", "2", "2", "2 → 1", "1", "1", "1", "–"]
    assert rows["talks"] == ["2", "–", "–", "–", "–", "2", "2", "–", "2 → 1", "1", "–", "–"]


def test_each_drop_reason_shows_a_dropped_row(tmp_path):
    readme = card(tmp_path, Plan(marks=REJECTED)).read_text()
    samples = [row for rows in tables(readme) if rows[0][0] == "sample" for row in rows[1:]]
    assert [row[0] for row in samples] == ["advertisement", "title_only", "verdict"]
    assert samples[0][2] == BOOK[2]


def test_mixture_and_training_appear_once_they_exist(tmp_path):
    readme = card(tmp_path, Plan(marks=REJECTED)).read_text()
    assert table(readme, "kind")["books"] == ["train", "2", "8", "4", "2", "1"]
    assert table(readme, "packed")["train"] == ["2", "20", "6", "40.0%"]
    assert table(readme, "held-out loss")["sft"] == ["3.000", "2.000", "-1.000"]
    assert "Left out by mix: verdict 1." in readme
    assert "../../data/train/t0/hf" in readme
    earlier = card(tmp_path / "earlier", Plan(published=False)).read_text()
    assert "## Mixture" not in earlier
    assert "## Training" not in earlier


def test_at_least_twenty_pairs_stand_beside_their_passages_with_the_support_marked(tmp_path):
    readme = card(tmp_path, Plan(copies=10)).read_text()
    samples = [rows[1] for rows in tables(readme) if rows[0] == ["passage", "pair"]]
    assert len(samples) == 24
    assert all(answer in passage for passage, answer in ((p, pair.split("assistant: ")[1]) for p, pair in samples))
    assert readme.count("<mark>") == 24 + 1
    assert "<mark>别嘌醇降低尿酸。</mark>起始剂量宜小" in readme


def test_two_runs_that_made_the_same_give_the_same_bytes(tmp_path):
    first, second = (card(tmp_path / name, Plan(marks=REJECTED, seconds=len(name))) for name in ("one", "three"))
    assert first.read_bytes() == second.read_bytes()
    assert first.with_name("index.html").read_bytes() == second.with_name("index.html").read_bytes()


def test_an_unfinished_rewriting_gives_a_card_marked_partial(tmp_path):
    readme = card(tmp_path, Plan(published=False))
    assert "# demo (partial)" in readme.read_text()
    assert "partial: 2 shards of rewrite finished so far" in readme.read_text()
    assert "2 shards of rewrite finished so far" in readme.with_name("index.html").read_text()
    assert "partial" not in card(tmp_path / "whole").read_text()


def test_text_cannot_become_markup(tmp_path):
    readme = card(tmp_path, Plan(question=SCRIPT))
    page = html.fromstring(readme.with_name("index.html").read_text())
    assert len(page.xpath("//article")) == 7
    assert len(page.xpath("//script")) == 1
    assert "<script>alert(0)</script> | `a`" in page.xpath("//article")[0].text_content()
    rendered = html.fromstring(MARKDOWN.render(readme.read_text()))
    assert not rendered.xpath("//script | //img | //a[starts-with(@href, 'javascript')]")
    assert all(len(row) == len(rows[0]) for rows in tables(readme.read_text()) for row in rows)


def test_the_page_asks_for_nothing_from_elsewhere(tmp_path):
    page = html.fromstring(card(tmp_path).with_name("index.html").read_text())
    assert set(page.xpath("//@href")) == {"data:,"}
    assert not page.xpath("//@src | //@action")
    assert "default-src 'none'" in page.xpath("//meta/@content")[-1]


def test_the_page_shows_kept_and_rejected_pairs_with_their_reasons(tmp_path):
    page = html.fromstring(card(tmp_path, Plan(marks=REJECTED)).with_name("index.html").read_text())
    statuses = page.xpath("//article//*[@class='status']/text()")
    assert sorted(statuses) == ["kept"] * 4 + ["rejected by mix: verdict", "rejected by rewrite: title_only"]
    chinese = page.xpath("//article[@data-style='heading']")[0]
    assert chinese.xpath(".//p[@lang='zh-Hans']/mark/text()") == ["痛风由关节中的尿酸盐结晶引起。"]
    assert "document web_zh/1" in chinese.text_content()


def test_pairs_come_in_pages_and_old_pages_go(tmp_path, monkeypatch):
    monkeypatch.setattr(renderer, "PAGE_PAIRS", 3)
    stages = stage_folders(tmp_path)
    home = render_cards(recipe(tmp_path), stages, source_cards()).parent
    names = ["index.html", "page-0002.html", "page-0003.html"]
    assert sorted(path.name for path in home.glob("*.html")) == names
    pages = [html.fromstring((home / name).read_text()) for name in names]
    assert [len(page.xpath("//article")) for page in pages] == [3, 3, 1]
    assert pages[0].xpath("//nav/a/@href") == names[1:]
    monkeypatch.setattr(renderer, "PAGE_PAIRS", 500)
    render_cards(recipe(tmp_path), stages, source_cards())
    assert [path.name for path in home.glob("*.html")] == ["index.html"]


def test_of_too_many_pairs_a_sample_is_shown_and_said_to_be_one(tmp_path, monkeypatch):
    monkeypatch.setattr(renderer, "SHOWN_PAIRS", 4)
    page = card(tmp_path).with_name("index.html").read_text()
    assert page.count("<article") == 4
    assert "A sample of 4 pairs, chosen by hash of their ids, of 7" in page


@example("__0__")
@given(st.text())
def test_markdown_says_the_text_and_nothing_else(text):
    page = html.fromstring(MARKDOWN.render(f"| head |\n|---|\n| a{markdown(text)}z |\n"))
    (cell,) = page.xpath("//td")
    said = " ".join(["".join(cell.itertext())]).split()
    expected = re.sub(r"[\x00-\x1f\x7f-\x9f]", " ", f"a{text}z").split()
    assert "".join(said).replace("\ufffd", "") == "".join(expected).replace("\ufffd", "")
    assert {element.tag for element in cell.iter()} <= {"td", "br"}


@given(st.text(max_size=30), st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40))))
def test_marking_loses_no_character_and_marks_those_in_a_span(text, spans):
    pieces = marked(text, [{"start": start, "end": end} for start, end in spans])
    assert "".join(piece for piece, _ in pieces) == text
    supported = [supports for piece, supports in pieces for _ in piece]
    assert supported == [any(start <= at < end for start, end in spans) for at in range(len(text))]


@given(st.text())
def test_a_shortened_text_is_one_line_and_no_longer_than_said(text):
    assert len(shortened(text, 10)) <= 12
    assert shortened(text, 10) == " ".join(shortened(text, 10).split())
