import itertools
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasketch import MinHash, MinHashLSH
from opencc import OpenCC

from pipeline import dedup
from pipeline.dedup import DedupConfig, dedup_rows
from pipeline.letters import fold_text
from pipeline.records import EXAMPLE, PASSAGE, marked_schema
from pipeline.shards import ContractError, Shard
from pipeline.sketch import SketchConfig, sketch_rows

ZH = "高血压患者应当每日监测血压并按时服药注意低盐饮食规律运动戒烟限酒定期复查肝肾功能遵医嘱调整剂量"
EN = ["patients", "with", "gout", "should", "drink", "water", "and", "avoid", "alcohol", "because", "urate", "inflames"]


def write(folder: Path, name: str, table: pa.Table) -> Shard:
    folder.mkdir(exist_ok=True)
    pq.write_table(table, folder / name)
    return Shard(folder / name, table.num_rows)


def passages(rows: list[tuple[str, str, str]]) -> pa.Table:
    columns = {"document_id": "d", "start": 0, "end": 1, "kind": "web", "lang": "zh-Hans", "headings": [], "page": None}
    return pa.Table.from_pylist(
        [{**columns, "id": id, "source": source, "text": text, "title": None} for source, id, text in rows],
        schema=PASSAGE,
    )


def inputs_of(folder: Path, shards: list[list[tuple[str, str, str]]]) -> dict[str, list[Shard]]:
    tables = [passages(rows) for rows in shards]
    sketches = [sketch_rows(table, SketchConfig()).drop_columns(["drop_reason", "drop_detail"]) for table in tables]
    return {
        "rows": [write(folder, f"rows-{index}.parquet", table) for index, table in enumerate(tables)],
        "sketch": [write(folder, f"sketch-{index}.parquet", table) for index, table in enumerate(sketches)],
    }


def run(folder: Path, shards: list[list[tuple[str, str, str]]], config: DedupConfig = DedupConfig()) -> list[pa.Table]:  # noqa: B008
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "scratch").mkdir(exist_ok=True)
    return list(dedup_rows(inputs_of(folder, shards), config, folder / "scratch", {}))


def outcome(tables: list[pa.Table]) -> dict[str, tuple[str | None, str | None]]:
    rows = pa.concat_tables(tables).to_pylist()
    return {row["id"]: (row["drop_reason"], row["drop_detail"]) for row in rows}


def corpus(num_originals: int, seed: int = 0) -> list[tuple[str, str, str]]:
    """Made-up originals in Chinese and English, most with copies that are equal, edited a little, or edited a lot."""
    generator = random.Random(seed)
    rows = []
    for original in range(num_originals):
        if original % 2:
            units, joint = generator.choices(ZH, k=generator.randrange(60, 300)), ""
        else:
            units, joint = [f"{word}{generator.randrange(50)}" for word in generator.choices(EN, k=60)], " "
        for copy in range(generator.randrange(4)):
            edited = [generator.choice(units) if generator.random() < 0.01 * copy * copy else unit for unit in units]
            text = joint.join(edited).upper() if copy == 0 and original % 3 == 0 else joint.join(edited)
            rows.append((f"source{original % 3}", f"source{original % 3}/{original}.{copy}", text))
    generator.shuffle(rows)
    return sorted(rows, key=lambda row: row[0])


def grams_of(text: str) -> set[str]:
    letters = fold_text(text)
    return {letters[i : i + 5] for i in range(max(1, len(letters) - 4))}


def true_jaccard(left: str, right: str) -> float:
    return len(grams_of(left) & grams_of(right)) / len(grams_of(left) | grams_of(right))


def true_pairs(rows: list[tuple[str, str, str]], least: float) -> dict[tuple[str, str], float]:
    grams = [(id, grams_of(text)) for _, id, text in rows]
    pairs = {}
    for (left, a), (right, b) in itertools.combinations(grams, 2):
        if (similarity := len(a & b) / len(a | b)) >= least:
            pairs[left, right] = similarity
    return pairs


ROWS = corpus(150)


def test_rows_are_conserved_in_order_one_table_a_shard(tmp_path):
    shards = [ROWS[:100], [], ROWS[100:]]
    tables = run(tmp_path, shards)
    assert [table["id"].to_pylist() for table in tables] == [[id for _, id, _ in shard] for shard in shards]
    assert all(table.schema.equals(marked_schema(PASSAGE)) for table in tables)
    assert tables[0]["text"].to_pylist() == [text for *_, text in ROWS[:100]]


def test_no_two_kept_rows_are_duplicates_and_every_drop_is_one(tmp_path):
    found = outcome(run(tmp_path, [ROWS[:90], ROWS[90:]]))
    pairs = true_pairs(ROWS, 0.8)
    assert len(pairs) > 50
    missed = [pair for pair in pairs if found[pair[0]][0] is None and found[pair[1]][0] is None]
    assert len(missed) <= 0.01 * len(pairs)
    linked = {id for pair in pairs for id in pair}
    dropped = {id for id, (reason, _) in found.items() if reason}
    assert dropped
    assert dropped <= linked  # precision 1: each drop is within 0.8 of some row


def test_every_pair_that_datasketch_finds_and_jaccard_confirms_is_found(tmp_path):
    lsh, signs = MinHashLSH(params=(21, 6), num_perm=126), {}
    for _, id, text in ROWS:
        signs[id] = MinHash(num_perm=126, seed=7)
        signs[id].update_batch([gram.encode() for gram in grams_of(text)])
        lsh.insert(id, signs[id])
    truth = true_pairs(ROWS, 0.8)
    theirs = [pair for pair in truth if pair[1] in lsh.query(signs[pair[0]])]
    found = outcome(run(tmp_path, [ROWS]))
    assert len(theirs) > 50
    assert sum(found[a][0] is None and found[b][0] is None for a, b in theirs) <= 0.01 * len(theirs)


def test_the_detail_names_a_kept_row_and_its_exact_jaccard(tmp_path):
    found = outcome(run(tmp_path, [ROWS]))
    texts = {id: text for _, id, text in ROWS}
    reasons = set()
    for id, (reason, detail) in found.items():
        if reason:
            kept, similarity = detail.removeprefix("kept ").split(", jaccard ")
            assert found[kept][0] is None
            assert similarity == f"{true_jaccard(texts[id], texts[kept]):.2f}"
            same = fold_text(texts[id]) == fold_text(texts[kept])
            assert reason == ("exact_duplicate" if same else "near_duplicate")
            reasons.add(reason)
    assert reasons == {"exact_duplicate", "near_duplicate"}


@pytest.mark.parametrize("seed", range(3))
def test_shards_and_the_order_of_a_sources_rows_do_not_change_what_is_kept(tmp_path, seed):
    generator = random.Random(seed)
    shuffled = sorted(generator.sample(ROWS, len(ROWS)), key=lambda row: row[0])
    cuts = sorted(generator.sample(range(len(ROWS)), 4))
    shards = [shuffled[a:b] for a, b in itertools.pairwise([0, *cuts, len(ROWS)])]
    assert outcome(run(tmp_path / "a", shards)) == outcome(run(tmp_path / "b", [ROWS]))


def test_ranges_of_keys_do_not_change_what_is_dropped(tmp_path, monkeypatch):
    whole = outcome(run(tmp_path / "whole", [ROWS[:70], ROWS[70:]]))
    monkeypatch.setattr(dedup, "ROWS_AT_ONCE", 32)
    ranged = outcome(run(tmp_path / "ranged", [ROWS[:70], ROWS[70:]]))
    assert len(list((tmp_path / "ranged/scratch").glob("edges-000-*.npy"))) == -(-len(ROWS) // 32) > 1
    assert ranged == whole


def test_the_earliest_source_then_the_longest_text_then_the_smallest_id_stays(tmp_path):
    text = "".join(random.Random(5).choices(ZH, k=200))
    shards = [[("b", "b/2", text), ("b", "b/1", text), ("b", "b/3", text + "！")], [("a", "a/1", text + "，")]]
    assert [id for id, (reason, _) in outcome(run(tmp_path / "1", shards)).items() if not reason] == ["b/3"]
    assert [id for id, (reason, _) in outcome(run(tmp_path / "2", [shards[0][:2]])).items() if not reason] == ["b/1"]
    assert [id for id, (reason, _) in outcome(run(tmp_path / "3", shards[::-1])).items() if not reason] == ["a/1"]


def test_short_texts_do_not_collapse(tmp_path):
    texts = ["高血", "高压", "a", "b", "", "?!", "…", "是", "是。"]
    found = outcome(run(tmp_path, [[("s", f"s/{place}", text) for place, text in enumerate(texts)]]))
    assert {id: reason for id, (reason, _) in found.items() if reason} == {"s/7": "exact_duplicate"}  # 是。 is longer


def test_a_finished_task_is_not_done_again_after_a_kill(tmp_path):
    whole = outcome(run(tmp_path / "whole", [ROWS[:100], ROWS[100:]]))
    inputs = inputs_of(tmp_path, [ROWS[:100], ROWS[100:]])
    (tmp_path / "scratch").mkdir()

    def killed_after(left: int):
        def run_some(function, tasks):
            nonlocal left
            for task in tasks:
                if left == 0:
                    raise KeyboardInterrupt
                left -= 1
                yield function(*task)

        return run_some

    tasks, done = 0, {}
    for left in itertools.chain([0, 1, 1, 1, 2, 3, 5, 8], itertools.repeat(4)):
        try:
            tables = list(dedup_rows(inputs, DedupConfig(), tmp_path / "scratch", {}, killed_after(left)))
            break
        except KeyboardInterrupt:
            tasks += left
            paths = [
                path for pattern in ("edges-*", "rows-*/*", "marks-*") for path in (tmp_path / "scratch").glob(pattern)
            ]
            now = {path: path.stat().st_mtime_ns for path in paths}
            assert done.items() <= now.items()
            done = now
    assert tasks > 20
    assert outcome(tables) == whole


def test_tasks_in_any_order_give_the_same(tmp_path):
    whole = outcome(run(tmp_path / "whole", [ROWS[:100], ROWS[100:]]))
    inputs = inputs_of(tmp_path, [ROWS[:100], ROWS[100:]])
    (tmp_path / "scratch").mkdir()

    def backwards(function, tasks):
        return (function(*task) for task in reversed(list(tasks)))

    assert outcome(list(dedup_rows(inputs, DedupConfig(), tmp_path / "scratch", {}, backwards))) == whole


def test_pairs_are_compared_by_their_contents(tmp_path):
    def example(id: str, *contents: str) -> dict[str, object]:
        messages = [{"role": "user", "content": content, "loss": False} for content in contents]
        texts = dict.fromkeys(("source", "kind", "lang", "style", "split"), "x")
        return {"id": id, "passage_id": None, **texts, "messages": messages, "support": [], "checks": [], "made_by": []}

    rows = [
        example("x/1", "痛风能喝酒吗", "不能"),
        example("x/2", "痛风能喝酒吗？", "不能。"),
        example("x/3", "别的问题", "不能"),
    ]
    table = pa.Table.from_pylist(rows, schema=EXAMPLE)
    sketch = sketch_rows(table, SketchConfig()).drop_columns(["drop_reason", "drop_detail"])
    inputs = {"rows": [write(tmp_path, "r.parquet", table)], "sketch": [write(tmp_path, "s.parquet", sketch)]}
    (marked,) = dedup_rows(inputs, DedupConfig(), tmp_path, {})
    assert marked["drop_reason"].to_pylist() == ["exact_duplicate", None, None]
    assert marked.schema.equals(marked_schema(EXAMPLE))


def test_no_rows_at_all(tmp_path):
    assert run(tmp_path / "none", []) == []
    assert [table.num_rows for table in run(tmp_path / "empty", [[], []])] == [0, 0]


def test_a_sketch_of_other_rows_is_refused(tmp_path):
    inputs = inputs_of(tmp_path, [ROWS[:3], ROWS[3:6]])
    with pytest.raises(ContractError, match=r"sketch-1.parquet: got other passage_ids"):
        list(dedup_rows({"rows": inputs["rows"], "sketch": inputs["sketch"][::-1]}, DedupConfig(), tmp_path, {}))


def earlier_of(folder: Path, rows: list[tuple[str, str, str]]) -> dict[str, list[Shard]]:
    """What an earlier run kept, and its sketches of all its rows."""
    inputs = inputs_of(folder, [rows[: len(rows) // 2], rows[len(rows) // 2 :]])
    (folder / "scratch").mkdir()
    tables = list(dedup_rows(inputs, DedupConfig(), folder / "scratch", {}))
    kept = [
        table.filter(table["drop_reason"].is_null()).drop_columns(["drop_reason", "drop_detail"]) for table in tables
    ]
    shards = [write(folder, f"kept-{index}.parquet", table) for index, table in enumerate(kept)]
    return {"kept": shards, "kept_sketch": inputs["sketch"]}


def test_new_rows_give_way_to_what_an_earlier_run_kept(tmp_path):
    old, new = ROWS[:100], [(source, f"new/{id}", text) for source, id, text in ROWS[50:]]
    earlier = earlier_of(tmp_path / "old", old)
    kept = {id: text for shard in earlier["kept"] for id, text in zip(*shard.read(["id", "text"]).to_pydict().values())}  # noqa: B905
    assert len(kept) < len(old)
    inputs = {**inputs_of(tmp_path / "new", [new[:40], new[40:]]), **earlier}
    (tmp_path / "scratch").mkdir()
    found = outcome(list(dedup_rows(inputs, DedupConfig(), tmp_path / "scratch", {})))
    assert set(found) == {id for _, id, _ in new}
    details = [detail for _, detail in found.values() if detail]
    assert any(detail.removeprefix("kept ").split(", ")[0] in kept for detail in details)
    together = [("old", id, text) for id, text in kept.items()] + new
    pairs = true_pairs(together, 0.8)
    for (left, right), _ in pairs.items():
        if left in kept and right in found:
            assert found[right][0] in ("exact_duplicate", "near_duplicate")
            assert found[right][1].removeprefix("kept ").split(", ")[0] in kept


def test_rows_kept_before_are_never_compared_with_each_other(tmp_path):
    text = "".join(random.Random(5).choices(ZH, k=200))
    near = text[:-1] + "药"
    tables = [passages([("s", "s/1", text), ("s", "s/2", near)])]  # an earlier run with a stricter threshold kept both
    sketches = [sketch_rows(table, SketchConfig()).drop_columns(["drop_reason", "drop_detail"]) for table in tables]
    earlier = {
        "kept": [write(tmp_path, "kept.parquet", tables[0])],
        "kept_sketch": [write(tmp_path, "kept-sketch.parquet", sketches[0])],
    }
    for number, (own, expected) in enumerate([(text, "kept s/1, jaccard 1.00"), (FAR, None)]):
        inputs = {**inputs_of(tmp_path / str(number), [[("a", "a/1", own)]]), **earlier}
        (tmp_path / str(number) / "scratch").mkdir()
        assert (
            outcome(list(dedup_rows(inputs, DedupConfig(), tmp_path / str(number) / "scratch", {})))["a/1"][1]
            == expected
        )


FAR = "".join(random.Random(6).choices(ZH, k=200))


def test_a_row_that_an_exam_holds_is_dropped_before_duplicates_are_sought(tmp_path):
    (tmp_path / "exam.jsonl").write_text(f'{{"id": "q1", "question": "{FAR}"}}', encoding="utf-8")
    rows = [("a", "a/1", FAR), ("a", "a/2", FAR + "。"), ("b", "b/1", ROWS[0][2])]
    (tmp_path / "scratch").mkdir()
    files = {"exams": [tmp_path / "exam.jsonl"]}
    found = outcome(list(dedup_rows(inputs_of(tmp_path, [rows]), DedupConfig(), tmp_path / "scratch", files)))
    assert found["a/1"] == found["a/2"] == ("contaminated", "exam.jsonl:q1, item in row 1.00")
    assert found["b/1"] == (None, None)


def test_a_corpus_of_one_text_keeps_one_row(tmp_path):
    rows = [("s", f"s/{number:04d}", FAR) for number in range(3000)]
    found = outcome(run(tmp_path, [rows[:1500], rows[1500:]]))
    assert [id for id, (reason, _) in found.items() if reason is None] == ["s/0000"]


def test_texts_of_a_megabyte_are_compared(tmp_path):
    text = "".join(random.Random(8).choices(ZH, k=350_000))
    long = [("s", "s/1", text), ("s", "s/2", text[: len(text) // 2] + "新" + text[len(text) // 2 :]), ("s", "s/3", FAR)]
    found = outcome(run(tmp_path, [long]))
    assert [id for id, (reason, _) in found.items() if reason] == ["s/1"]


def test_copies_in_traditional_full_width_or_upper_case_are_duplicates(tmp_path):
    text = "Gout 痛风患者应当多饮水，避免饮酒，定期复查尿酸与肾功能，急性发作时卧床休息并抬高患肢。" * 3
    wide = "".join(chr(ord(char) + 0xFEE0) if "!" <= char <= "~" else char for char in text)
    copies = [OpenCC("s2t").convert(text), wide, text.upper()]
    assert all(copy != text for copy in copies)
    rows = [("a", "a/0", text), *(("b", f"b/{number}", copy) for number, copy in enumerate(copies))]
    assert [reason for reason, _ in outcome(run(tmp_path, [rows])).values()] == [None] + ["exact_duplicate"] * 3
