"""Which pairs a card shows, and beside what."""

from data_cards.pairs import chosen_pairs, sampled_pairs
from pipeline.records import text_hash
from tests.stage_folders import WEB, Plan, passage_id, stage_folders

REJECTED = passage_id("web_zh", WEB[1]) + "@heading"
EXCLUDED = passage_id("web_zh", WEB[0]) + "@heading"
MARKS = {"rewrite": {REJECTED: "title_only"}, "mix": {EXCLUDED: "verdict"}}


def test_few_pairs_are_all_chosen_each_beside_its_own_passage(tmp_path):
    pairs, total = chosen_pairs(stage_folders(tmp_path, Plan(marks=MARKS)), 5000)
    assert len(pairs) == total == 7
    assert all(pair.example["passage_id"] == (pair.passage and pair.passage["id"]) for pair in pairs)
    assert sum(pair.passage is None for pair in pairs) == 2


def test_many_pairs_are_sampled_by_hash(tmp_path):
    stages = stage_folders(tmp_path, Plan(copies=5))
    whole, _ = chosen_pairs(stages, 5000)
    sample, total = chosen_pairs(stages, 6)
    ids = sorted((pair.example["id"] for pair in whole), key=text_hash)
    assert {pair.example["id"] for pair in sample} == set(ids[:6])
    assert total == len(whole) == 27


def test_a_pair_is_rejected_by_the_stage_that_dropped_it(tmp_path):
    pairs, _ = chosen_pairs(stage_folders(tmp_path, Plan(marks=MARKS)), 5000)
    rejected = {pair.example["id"]: (pair.stage, pair.reason) for pair in pairs if pair.reason}
    assert rejected == {REJECTED: ("rewrite", "title_only"), EXCLUDED: ("mix", "verdict")}


def test_a_sample_leaves_out_what_a_verdict_excluded_and_what_has_no_passage(tmp_path):
    pairs = sampled_pairs(stage_folders(tmp_path, Plan(marks=MARKS)), 24)
    assert len(pairs) == 3
    assert {pair.example["style"] for pair in pairs} == {"excerpt"}


def test_a_sample_takes_styles_and_languages_in_turn(tmp_path):
    pairs = sampled_pairs(stage_folders(tmp_path, Plan(copies=8)), 10)
    assert [pair.example["style"] for pair in pairs] == ["excerpt"] * 5 + ["heading"] * 5
