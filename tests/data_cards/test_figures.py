"""What a card counts, against the rows themselves."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from data_cards.figures import dropped_samples, funnel, mixture, pair_figures, quantiles, training, unfinished
from pipeline.lookup import parts
from pipeline.shards import read_manifest, shards_of
from tests.stage_folders import BOOK, WEB, Plan, passage_id, stage_folders

MARKS = {
    "clean": {passage_id("book", BOOK[2]): "advertisement"},
    "rewrite": {passage_id("web_zh", WEB[1]) + "@heading": "title_only"},
}


def test_the_whole_of_a_stage_is_what_its_manifests_say(tmp_path):
    stages = stage_folders(tmp_path, Plan(marks=MARKS))
    for stage, by_source in funnel(stages).items():
        manifests = [read_manifest(directory) for directory in stages[stage]]
        assert by_source[""].rows_in == sum(manifest["rows_in"] for manifest in manifests)
        assert by_source[""].rows_out == sum(manifest["rows_out"] for manifest in manifests)


def test_sources_sum_to_the_whole_in_and_out(tmp_path):
    rows = funnel(stage_folders(tmp_path, Plan(marks=MARKS)))
    for stage in ("collect", "filter", "clean", "sketch", "dedup", "rewrite", "mix", "encode"):
        sources = [passed for name, passed in rows[stage].items() if name]
        assert sum(passed.rows_in or 0 for passed in sources) == rows[stage][""].rows_in
        assert sum(passed.rows_out for passed in sources) == rows[stage][""].rows_out
        assert all(passed.rows_in == passed.rows_out + passed.dropped.total() for passed in sources)


def test_parts_without_a_manifest_count_like_parts_with_one(tmp_path):
    whole = stage_folders(tmp_path / "whole", Plan(marks=MARKS))
    partial = stage_folders(tmp_path / "partial", Plan(marks=MARKS, published=False))
    assert unfinished(whole) == {}
    assert unfinished(partial) == {"rewrite": 2}
    assert funnel(partial)["rewrite"] == funnel(whole)["rewrite"]


@given(st.lists(st.integers(0, 50), min_size=1))
def test_quantiles_are_those_of_the_values_counted(values):
    expected = np.quantile(values, [0, 0.5, 0.9, 1], method="inverted_cdf")
    assert quantiles(Counter(values)) == tuple(expected)


def test_nothing_counted_has_no_quantiles():
    assert quantiles({}) is None


def test_mixture_counts_tokens_and_padding(tmp_path):
    stages = stage_folders(tmp_path)
    rows = [row for shard in shards_of(stages["pack"][0]) for row in shard.read().to_pylist()]
    found = mixture(stages)
    for split, sums in found.packed.items():
        own = [row for row in rows if row["split"] == split]
        assert sums["rows"] == len(own)
        assert sums["tokens"] == sum(len(row["input_ids"]) for row in own)
        assert sums["padding"] == sum(row["input_ids"].count(0) for row in own)
        assert sums["target_tokens"] == sum(label != -100 for row in own for label in row["labels"])
    assert set(found.packed) == {"train", "heldout"}
    assert found.positions == {"books": 3, "web": 2, "sft": 2}


def test_pairs_are_counted_by_style_and_by_whether_a_model_asked(tmp_path):
    figures = pair_figures(stage_folders(tmp_path, Plan(marks=MARKS))["rewrite"])
    assert figures.styles == {("book", "excerpt"): 2, ("web_zh", "heading"): 1}
    assert figures.by_model == {"excerpt": 2}
    assert figures.rejected == {"heading": {"title_only": 1}}
    assert figures.checks["verbatim"] == {"yes": 3}
    assert figures.rejected_checks["verbatim"] == {"yes": 1}


def test_what_pairs_carry_is_summed_over_kept_and_rejected_ones(tmp_path):
    figures = pair_figures(stage_folders(tmp_path, Plan(marks=MARKS))["rewrite"])
    assert figures.carried == {"excerpt": {"sentences": 2}, "heading": {"sentences": 2}}
    assert {style: set(whole) for style, whole in figures.whole.items()} == {
        "excerpt": {"sentences"},
        "heading": {"sentences"},
    }
    assert not any(name.endswith("_carried") for name in (*figures.checks, *figures.rejected_checks))


def test_each_reason_has_the_first_rows_by_hash(tmp_path):
    marks = {"clean": {passage_id("book", text): "short" for text in BOOK}}
    stages = stage_folders(tmp_path, Plan(marks=marks))
    few, all_of_them = (dropped_samples(stages["clean"], each)["short"] for each in (2, 9))
    assert len(all_of_them) == 3
    assert few == all_of_them[:2]


def test_training_is_absent_until_it_wrote_a_whole_line(tmp_path):
    stages = stage_folders(tmp_path, Plan(trained=False))
    folder = tmp_path / "train"
    folder.mkdir()
    (folder / "metrics.jsonl").write_text('{"step": 1, "lo')
    assert training(stages) is None
    assert training({**stages, "train": [folder]}) is None


def test_training_reports_held_out_loss_before_and_after(tmp_path):
    found = training(stage_folders(tmp_path))
    assert found is not None
    assert found.heldout == [("books", 2.5, 2.25), ("sft", 3.0, 2.0)]
    assert (found.steps, found.tokens, found.target_tokens) == (2, 30, 8)


def test_training_losses_add_up_by_kind_and_copy(tmp_path):
    found = training(stage_folders(tmp_path))
    assert found is not None
    assert found.copies == [("books", 1, 1, 3.0), ("sft", 1, 5, 2.8), ("sft", 2, 2, 2.5)]


def test_the_folders_under_test_have_more_than_one_part(tmp_path):
    stages = stage_folders(tmp_path)
    assert len(parts(stages["rewrite"])) > 1
