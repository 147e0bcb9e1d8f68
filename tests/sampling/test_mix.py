import json
from collections import defaultdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.recipe import RecipeError
from pipeline.records import EXAMPLE, marked_schema, uniform
from pipeline.shards import Shard
from sampling.mix import MixConfig, mix_examples


def example(id: str, passage: str | None, source: str, kind: str) -> dict[str, object]:
    messages = [{"role": "user", "content": "问", "loss": False}, {"role": "assistant", "content": "答", "loss": True}]
    texts = {"source": source, "kind": kind, "lang": "zh-Hans", "style": "x", "split": "train"}
    return {"id": id, "passage_id": passage, **texts, "messages": messages, "support": [], "checks": [], "made_by": []}


def born(source: str, kind: str, documents: int, copies: int = 3) -> list[dict[str, object]]:
    """Examples of text: several of each document, from two passages."""
    return [
        example(f"{source}/{document}#{copy % 2}:{copy}", f"{source}/{document}#{copy % 2}", source, kind)
        for document in range(documents)
        for copy in range(copies)
    ]


def pairs(source: str, kind: str, count: int) -> list[dict[str, object]]:
    return [example(f"{source}/{number}", None, source, kind) for number in range(count)]


TEXT = born("wiki", "encyclopedia", 80) + born("site", "web", 60)
PAIRS = pairs("talks", "sft", 90)


def shards(folder: Path, name: str, rows: list[dict[str, object]], size: int) -> list[Shard]:
    found = []
    for start in range(0, len(rows), size):
        table = pa.Table.from_pylist(rows[start : start + size], schema=EXAMPLE)
        path = folder / f"{name}-{size}-{start}.parquet"
        pq.write_table(table, path)
        found.append(Shard(path, table.num_rows))
    return found


def mix(folder: Path, config: MixConfig, verdicts: str | None = None, size: int = 50, text=TEXT, ready=PAIRS):
    files = {"verdicts": ()}
    if verdicts is not None:
        (folder / "verdicts.jsonl").write_text(verdicts, encoding="utf-8")
        files = {"verdicts": (folder / "verdicts.jsonl",)}
    inputs = {"pairs": shards(folder, "pairs", ready, size), "rewrite": shards(folder, "rewrite", text, size)}
    return list(mix_examples(inputs, config, folder, files))


def rows_of(tables: list[pa.Table]) -> list[dict[str, object]]:
    return [row for table in tables for row in table.to_pylist()]


def reasons_of(tables: list[pa.Table]) -> dict[str, str | None]:
    return {str(row["id"]): row["drop_reason"] for row in rows_of(tables)}  # type: ignore[misc]


def verdict(id: str, verdict: str, reason: str = "wrong dose", who: str = "Dr Li") -> str:
    return json.dumps({"id": id, "verdict": verdict, "reason": reason, "who": who}) + "\n"


def document_of(row: dict[str, object]) -> str:
    return str(row["passage_id"] or row["id"]).rsplit("#", 1)[0]


def test_rows_are_conserved_in_order_text_before_pairs(tmp_path):
    tables = mix(tmp_path, MixConfig())
    assert [row["id"] for row in rows_of(tables)] == [row["id"] for row in TEXT + PAIRS]
    assert [table.num_rows for table in tables] == [50] * 8 + [20, 50, 40]
    assert all(table.schema.equals(marked_schema(EXAMPLE)) for table in tables)


def test_all_examples_of_a_document_are_in_one_split(tmp_path):
    splits = defaultdict(set)
    for row in rows_of(mix(tmp_path, MixConfig(heldout=0.3))):
        splits[document_of(row)].add(row["split"])
    assert {len(found) for found in splits.values()} == {1}
    share = sum("heldout" in found for found in splits.values()) / len(splits)
    assert 0.2 < share < 0.4


@pytest.mark.parametrize("heldout", [1e-9, 0.01, 0.999999])
def test_each_kind_is_held_out_in_part_and_never_whole(tmp_path, heldout):
    splits = defaultdict(set)
    documents = defaultdict(set)
    for row in rows_of(mix(tmp_path, MixConfig(heldout=heldout))):
        splits[row["kind"]].add(row["split"])
        documents[row["kind"], row["split"]].add(document_of(row))
    assert splits == {kind: {"train", "heldout"} for kind in ("encyclopedia", "web", "sft")}
    if heldout == 1e-9:
        assert {len(found) for (_, split), found in documents.items() if split == "heldout"} == {1}


def test_one_document_alone_is_trained_on(tmp_path):
    tables = mix(tmp_path, MixConfig(heldout=0.5), text=born("wiki", "books", 1), ready=[])
    assert {row["split"] for row in rows_of(tables)} == {"train"}


def test_nothing_is_held_out_where_the_share_is_0(tmp_path):
    assert {row["split"] for row in rows_of(mix(tmp_path, MixConfig(heldout=0.0)))} == {"train"}


def test_only_kept_documents_count_as_held_out(tmp_path):
    first = min((row["id"] for row in PAIRS), key=lambda id: uniform(0, "split", str(id)))
    tables = mix(tmp_path, MixConfig(heldout=1e-9), verdict(str(first), "exclude"))
    kept = {row["split"] for row in rows_of(tables) if row["kind"] == "sft" and row["drop_reason"] is None}
    assert kept == {"train", "heldout"}


@pytest.mark.parametrize(
    ("id", "count"), [("wiki/3#0:0", 1), ("wiki/3#0", 2), ("wiki/3", 3), ("site", 180), ("talks/7", 1), ("nowhere", 0)]
)
def test_a_verdict_may_name_an_example_a_passage_a_document_or_a_source(tmp_path, id, count):
    rows = rows_of(mix(tmp_path, MixConfig(), verdict(id, "exclude")))
    excluded = [row for row in rows if row["drop_reason"] == "excluded_by_verdict"]
    assert len(excluded) == count
    assert {row["drop_detail"] for row in excluded} <= {"Dr Li: wrong dose"}


def test_the_last_line_about_an_id_holds(tmp_path):
    lines = verdict("wiki/3", "exclude") + verdict("wiki/4", "exclude") + "\n" + verdict("wiki/3", "include")
    reasons = reasons_of(mix(tmp_path, MixConfig(), lines))
    assert {id.split("#")[0] for id, reason in reasons.items() if reason} == {"wiki/4"}


def test_the_verdict_about_the_smaller_thing_holds(tmp_path):
    lines = verdict("wiki/3#0", "include") + verdict("wiki", "exclude")
    reasons = reasons_of(mix(tmp_path, MixConfig(), lines))
    assert {id for id, reason in reasons.items() if id.startswith("wiki") and not reason} == {
        "wiki/3#0:0",
        "wiki/3#0:2",
    }


@pytest.mark.parametrize(
    "line",
    [
        "{not json",
        '["a", "exclude"]',
        '{"id": "a", "verdict": "maybe", "reason": "", "who": ""}',
        '{"id": "a", "verdict": "exclude", "reason": "x"}',
        '{"id": 3, "verdict": "exclude", "reason": "x", "who": "y"}',
    ],
)
def test_a_malformed_verdict_is_named_by_file_and_line(tmp_path, line):
    with pytest.raises(RecipeError, match=r"verdicts.jsonl:2: got .* expected"):
        mix(tmp_path, MixConfig(), verdict("a", "include") + line + "\n")


def test_a_cap_keeps_the_smallest_by_hash(tmp_path):
    reasons = reasons_of(mix(tmp_path, MixConfig(max_examples={"wiki": 17, "talks": 1000, "site": 0})))
    kept = {id for id, reason in reasons.items() if id.startswith("wiki") and reason is None}
    ids = [str(row["id"]) for row in TEXT if row["source"] == "wiki"]
    assert kept == set(sorted(ids, key=lambda id: uniform(0, "cap", id))[:17])
    assert {reason for id, reason in reasons.items() if id.startswith("talks")} == {None}
    assert {reason for id, reason in reasons.items() if id.startswith("site")} == {"over_cap"}


def test_a_cap_of_a_source_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(RecipeError, match=r"max_examples: got wikki"):
        mix(tmp_path, MixConfig(max_examples={"wikki": 3}))


def test_a_pilot_of_pairs_is_a_subset_by_hash_and_leaves_text_alone(tmp_path):
    reasons = reasons_of(mix(tmp_path, MixConfig(pilot=10)))
    kept = [id for id, reason in reasons.items() if id.startswith("talks") and reason is None]
    ids = [str(row["id"]) for row in PAIRS]
    assert set(kept) == set(sorted(ids, key=lambda id: uniform(0, "pilot", id))[:10])
    assert {reason for id, reason in reasons.items() if not id.startswith("talks")} == {None}
    assert {reason for id, reason in reasons.items() if id.startswith("talks")} == {None, "not_in_pilot"}


def test_a_cap_counts_only_what_is_left(tmp_path):
    config = MixConfig(pilot=20, max_examples={"talks": 15})
    reasons = reasons_of(mix(tmp_path, config, verdict("talks/7", "exclude")))
    kept = [id for id, reason in reasons.items() if id.startswith("talks") and reason is None]
    assert len(kept) == 15


def test_sharding_changes_nothing(tmp_path):
    config = MixConfig(heldout=0.1, max_examples={"wiki": 30}, pilot=20)
    assert rows_of(mix(tmp_path, config, size=7)) == rows_of(mix(tmp_path, config, size=1000))


def test_no_rows_at_all(tmp_path):
    assert mix(tmp_path, MixConfig(), text=[], ready=[]) == []


def asking(id: str, question: str, answer: str = "答") -> dict[str, object]:
    row = example(id, id.rsplit(":", 1)[0], "wiki", "encyclopedia")
    contents = [{"role": "user", "content": question, "loss": False}]
    return row | {"messages": [*contents, {"role": "assistant", "content": answer, "loss": True}]}


def test_made_pairs_that_show_an_exam_stay_out(tmp_path):
    item = "关于急性肾小球肾炎患儿水肿特点的叙述，正确的是晨起眼睑水肿明显，逐渐向下肢蔓延，多为非凹陷性水肿"
    (tmp_path / "exam.jsonl").write_text(json.dumps({"id": "q7", "question": item}, ensure_ascii=False) + "\n")
    made = [asking("wiki/1#a:1", item + "？"), asking("wiki/2#b:1", "痛风患者的饮食应当注意哪些方面的问题？")]
    ready = [asking("talks/1", item) | {"passage_id": None, "source": "talks", "kind": "sft"}]
    inputs = {"rewrite": shards(tmp_path, "rewrite", made, 1), "pairs": shards(tmp_path, "pairs", ready, 1)}
    rows = rows_of(list(mix_examples(inputs, MixConfig(), tmp_path, {"exams": (tmp_path / "exam.jsonl",)})))
    assert [row["drop_reason"] for row in rows] == ["contaminated", None, None]
    assert "q7" in rows[0]["drop_detail"]


def test_a_question_asked_again_stays_out_unless_the_first_does(tmp_path):
    made = [asking(f"wiki/{number}#a:1", "痛风患者的饮食应当注意哪些方面的问题？", str(number)) for number in range(4)]
    out = json.dumps({"id": "wiki/0#a:1", "verdict": "exclude", "reason": "wrong", "who": "A"})
    settings = {"text": made, "ready": [], "verdicts": out}
    rows = rows_of(mix(tmp_path, MixConfig(min_question_jaccard=0.8), size=1, **settings))
    assert [row["drop_reason"] for row in rows] == ["excluded_by_verdict", None, *["repeated_question"] * 2]
    assert rows_of(mix(tmp_path, MixConfig(min_question_jaccard=0.8), size=9, **settings)) == rows
    assert all(row["drop_reason"] is None for row in rows_of(mix(tmp_path, MixConfig(), **settings))[1:])
