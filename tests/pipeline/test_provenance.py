"""From a pair back to its licence, and from a document forward to its steps."""

import re
from pathlib import Path

import pytest

from pipeline.provenance import explain, trace
from pipeline.recipe import RecipeError
from pipeline.shards import ContractError
from tests.stage_folders import BOOK, WEB, Plan, clean, passage_id, recipe, source_cards, stage_folders

PASSAGE = passage_id("book", BOOK[0])
PAIR = f"{PASSAGE}@excerpt"
ADVERTISEMENT = passage_id("book", BOOK[2])
CHINESE = passage_id("web_zh", WEB[1]) + "@heading"
MARKS = {"clean": {ADVERTISEMENT: "advertisement"}, "rewrite": {CHINESE: "title_only"}, "mix": {"talk-0": "verdict"}}


def explained(root: Path, id: str, plan: Plan | None = None, batch_rows: int = 1) -> str:
    return explain(recipe(root), stage_folders(root, plan), source_cards(), id, clean=clean, batch_rows=batch_rows)


def traced(root: Path, id: str, plan: Plan | None = None, batch_rows: int = 1) -> str:
    return trace(recipe(root), stage_folders(root, plan), id, batch_rows=batch_rows)


def field(report: str, label: str) -> str:
    """Return what a report says under a label, on one line."""
    found = re.search(rf"^{label} +(.*(?:\n {{11}}.*)*)", report, re.MULTILINE)
    assert found is not None, report
    return " ".join(found[1].split())


def test_a_pair_is_led_back_to_its_licence(tmp_path):
    report = explained(tmp_path, PAIR)
    assert field(report, "source") == "book (books, edition 3rd)"
    assert field(report, "origin") == "Lindenbrook Press, pp. 1–9"
    assert field(report, "licence") == "CC-BY-4.0"
    assert field(report, "checked") == "by data team on 2026-01-02, for training, internal"
    assert field(report, "document") == "book/1 title Gout, url https://example.org/gout, edition 3rd, lang en"
    assert f"{PASSAGE} characters 0–{len(BOOK[0])} of the document, page 7 under Causes" in field(report, "passage")
    assert BOOK[0] in field(report, "passage")
    assert field(report, "style") == "excerpt"
    assert field(report, "made by") == "question: model SmolLM2-135M-Instruct@a1b2, prompt p1, request q0"
    assert field(report, "checks") == "verbatim: yes overlap: 0.1 sentences_carried: 1/2"
    assert "assistant (loss): Gout is caused by urate crystals in the joints." in field(report, "messages")
    assert field(report, "support").endswith("of the passage: Gout is caused by urate crystals in the joints.")
    assert field(report, "split") == "train"


def test_a_passage_is_verified_against_its_document(tmp_path):
    assert "verified: the document's text there" in field(explained(tmp_path, PAIR), "passage")


def test_a_passage_that_is_not_its_cleaned_span_is_an_error(tmp_path):
    stages = stage_folders(tmp_path)
    for id in (PAIR, PASSAGE):
        with pytest.raises(ContractError, match=r"got 'out is.*' at character 1, expected 'OUT IS.*book/1 at 0–"):
            explain(recipe(tmp_path), stages, source_cards(), id, clean=lambda text, lang: text.upper(), batch_rows=1)


def test_spaces_that_clean_takes_out_do_not_break_the_proof(tmp_path):
    spaced = ["One  fact.\nAnd   more."]
    report = explained(tmp_path, passage_id("book", spaced[0]), Plan(book=spaced))
    assert "verified" in report
    assert "One fact. And more." in report


def test_a_pair_stands_in_training_once_an_epoch(tmp_path):
    report = field(explained(tmp_path, "talk-0"), "training")
    assert report == "epoch 1, position 5: packed row 2, optimizer step 3; training ended at step 2 " + (
        "epoch 2, position 6: packed row 3, optimizer step 4; training ended at step 2"
    )


def test_the_optimizer_step_follows_from_the_rows_of_a_batch(tmp_path):
    report = explained(tmp_path, "talk-0", batch_rows=3)
    assert field(report, "training").startswith("epoch 1, position 5: packed row 2, optimizer step 1 epoch 2")


def test_a_held_out_pair_takes_no_step(tmp_path):
    report = explained(tmp_path, "talk-1")
    assert field(report, "split") == "heldout"
    assert field(report, "training") == "heldout row 0: no step is taken on it"
    assert field(report, "passage") == "none: the pair is ready-made"


@pytest.mark.parametrize(
    ("id", "why"), [(CHINESE, "rewrite: title_only (why title_only)"), ("talk-0", "mix: verdict (why verdict)")]
)
def test_a_dropped_pair_says_where_and_why(tmp_path, id, why):
    assert field(explained(tmp_path, id, Plan(marks=MARKS)), "training") == f"never: dropped by {why}"


def test_a_pair_is_explained_before_it_is_mixed(tmp_path):
    assert field(explained(tmp_path, PAIR, Plan(published=False)), "training") == "not mixed yet"


def test_a_passage_lists_its_pairs_and_a_document_points_to_trace(tmp_path):
    assert field(explained(tmp_path / "one", PASSAGE), "pair") == f"{PAIR}: kept by mix"
    dropped = explained(tmp_path / "two", ADVERTISEMENT, Plan(marks=MARKS))
    assert "not verified: dropped by clean: advertisement" in dropped
    document = explained(tmp_path / "three", "book/1")
    assert field(document, "licence") == "CC-BY-4.0"
    assert "onestage trace" in document


@pytest.mark.parametrize("id", ["nothing", "book/2", "book/1#000000000000", ""])
def test_an_unknown_id_is_one_line_that_says_so(tmp_path, id):
    stages = stage_folders(tmp_path)
    with pytest.raises(
        RecipeError, match=rf"^.*demo.toml: id: got '{id}', expected a pair, passage or document[^\n]*$"
    ):
        explain(recipe(tmp_path), stages, source_cards(), id, clean=clean, batch_rows=1)
    with pytest.raises(
        RecipeError, match=rf"^.*demo.toml: id: got '{id}', expected a pair, passage or document[^\n]*$"
    ):
        trace(recipe(tmp_path), stages, id, batch_rows=1)


def test_a_document_is_traced_to_its_passages_pairs_and_rows(tmp_path):
    report = traced(tmp_path, "book/1", Plan(marks=MARKS))
    assert field(report, "document").startswith("book/1: kept by filter")
    assert field(report, "passages").startswith("2 kept of 3")
    assert f"{ADVERTISEMENT}: dropped by clean: advertisement" in field(report, "passages")
    assert field(report, "pairs").startswith("2 kept of 2")
    assert f"{PAIR}: kept by mix" in field(report, "pairs")
    assert "epoch 1, position 0: packed row 0, optimizer step 1" in field(report, "pairs")
    assert "web_zh" not in report


def test_a_traced_document_shows_rejected_pairs_with_their_reason(tmp_path):
    report = traced(tmp_path, "web_zh/1", Plan(marks=MARKS))
    assert field(report, "pairs").startswith("1 kept of 2")
    assert f"{CHINESE}: dropped by rewrite: title_only" in field(report, "pairs")


def test_a_document_that_filter_dropped_is_traced_so_far(tmp_path):
    report = traced(tmp_path, "book/1", Plan(marks={"filter": {"book/1": "off_domain"}}))
    assert field(report, "document").startswith("book/1: dropped by filter: off_domain")


def test_a_passage_and_a_pair_are_traced_too(tmp_path):
    stages = stage_folders(tmp_path)
    passage, pair = (trace(recipe(tmp_path), stages, id, batch_rows=1) for id in (PASSAGE, PAIR))
    assert field(passage, "passages").startswith(f"1 kept of 1 {PASSAGE}: kept by dedup")
    assert field(passage, "pairs") == field(pair, "pairs")
