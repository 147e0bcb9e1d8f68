"""Rows are found by id wherever they last stood."""

import pytest

from pipeline.lookup import find_document, find_pair, find_passage, pairs_of, passages_of
from tests.stage_folders import BOOK, WEB, Plan, passage_id, stage_folders

FIRST, SECOND, THIRD = (passage_id("book", text) for text in BOOK)
CASES = [
    ("filter", "book/1", find_document),
    ("segment", THIRD, find_passage),
    ("clean", THIRD, find_passage),
    ("dedup", THIRD, find_passage),
    ("rewrite", f"{THIRD}@excerpt", find_pair),
    ("mix", f"{THIRD}@excerpt", find_pair),
    ("encode", f"{THIRD}@excerpt", find_pair),
    ("dedup", "talk-0", find_pair),
    ("collect", "talk-0", find_pair),
]


@pytest.mark.parametrize(("stage", "id", "find"), CASES)
def test_a_dropped_row_is_found_where_it_was_dropped(tmp_path, stage, id, find):
    found = find(stage_folders(tmp_path, Plan(marks={stage: {id: "planted"}})), id)
    assert (found.stage, found.reason, found.detail) == (stage, "planted", "why planted")
    assert found.row is not None


def test_a_row_that_nothing_dropped_is_found_in_the_last_stage_that_holds_it(tmp_path):
    stages = stage_folders(tmp_path)
    assert find_document(stages, "book/1").stage == "filter"
    assert find_passage(stages, FIRST).stage == "dedup"
    assert find_pair(stages, "talk-0").stage == "mix"
    assert find_pair(stages, FIRST) is None


def test_the_passages_of_a_document_are_its_own_in_its_order(tmp_path):
    stages = stage_folders(tmp_path, Plan(marks={"clean": {SECOND: "planted"}}))
    assert [(found.id, found.reason) for found in passages_of(stages, "book/1")] == [
        (FIRST, ""),
        (SECOND, "planted"),
        (THIRD, ""),
    ]


def test_the_pairs_of_passages_include_the_rejected(tmp_path):
    chinese = [passage_id("web_zh", text) for text in WEB]
    stages = stage_folders(tmp_path, Plan(copies=2, marks={"rewrite": {f"{chinese[0]}@heading": "planted"}}))
    found = pairs_of(stages, chinese, within="web_zh/1")
    assert [(pair.id, pair.reason) for pair in found] == [
        (f"{chinese[0]}@heading", "planted"),
        (f"{chinese[0]}@heading1", ""),
        (f"{chinese[1]}@heading", ""),
        (f"{chinese[1]}@heading1", ""),
    ]
