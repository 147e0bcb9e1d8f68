import collections
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from pipeline.collect import card_settings, collect_unit
from pipeline.recipe import RecipeError, SourceCard, load_card
from pipeline.records import DOCUMENT, EXAMPLE, marked_schema
from pipeline.worklist import CollectConfig, plan_source

REAL_CARDS = Path(__file__).resolve().parents[1] / "real" / "cards"
DEMO_CARDS = Path(__file__).resolve().parents[2] / "data_cards"
CONFIG = CollectConfig()


def card(path: str, **fields: Any) -> SourceCard:
    checked = {"by": "tests", "on": "2026-11-20", "scope": "tests"}
    return SourceCard.model_validate(
        {
            "name": "source",
            "origin": "tests",
            "licence": "CC0-1.0",
            "kind": "web",
            "checked": checked,
            "path": path,
            **fields,
        }
    )


def collect(source: SourceCard, folder: Path, cache: Path, config: CollectConfig = CONFIG) -> pa.Table:
    units = plan_source(source, folder, config, cache, cache / "scratch")
    tables = [collect_unit(source, unit, config, cache) for unit in units]
    schema = marked_schema(EXAMPLE if source.form == "pairs" else DOCUMENT)
    assert all(table.schema.equals(schema) for table in tables)
    return pa.concat_tables(tables)


def kept_ids(table: pa.Table) -> list[str]:
    ids: list[str] = table.filter(pc.is_null(table["drop_reason"]))["id"].to_pylist()
    return ids


def write_lines(path: Path, *rows: Any) -> None:
    path.write_text(
        "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows), encoding="utf-8"
    )


def test_ids_are_paths_native_ids_or_hashes_and_never_positions(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("第一篇。", encoding="utf-8")
    write_lines(tmp_path / "rows.jsonl", {"id": "n1", "text": "有号。"}, {"text": "无号。"})
    ids = kept_ids(collect(card("*"), tmp_path, tmp_path / "cache"))
    assert ids[:2] == ["source/one.txt", "source/rows.jsonl:n1"]
    write_lines(tmp_path / "rows.jsonl", {"text": "无号。"}, {"id": "n1", "text": "有号。"})
    assert set(kept_ids(collect(card("*"), tmp_path, tmp_path / "cache"))) == set(ids)


def test_ids_stay_unique_however_rows_are_cut_into_units(tmp_path: Path) -> None:
    rows = [{"text": f"第{number % 7}条。"} for number in range(20)] + [
        {"id": "x", "text": "甲"},
        "",
        {"id": "x", "text": "乙"},
    ]
    write_lines(tmp_path / "rows.jsonl", *rows)
    tables = [
        collect(card("rows.jsonl"), tmp_path, tmp_path / "cache", CollectConfig(shard_bytes=size))
        for size in (100_000, 100, 1)
    ]
    assert len(kept_ids(tables[0])) == len(set(kept_ids(tables[0]))) == 8
    for table in tables[1:]:
        assert table.combine_chunks().equals(tables[0].combine_chunks())
    assert collections.Counter(tables[0]["drop_reason"].to_pylist()) == {None: 8, "duplicate_id": 14}


def test_whole_files_are_put_into_units_by_size(tmp_path: Path) -> None:
    for number in range(6):
        (tmp_path / f"{number}.txt").write_text("x" * 40)
    config = CollectConfig(shard_bytes=2200)  # a piece weighs 1024 bytes beside its own
    units = plan_source(card("*.txt"), tmp_path, config, tmp_path / "cache", tmp_path / "scratch")
    assert [len(unit) for unit in units] == [2, 2, 2]


def test_every_item_is_a_row_or_a_dropped_row(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(bytes(range(256)) * 40)
    (tmp_path / "b.txt").write_text(" ")
    (tmp_path / "c.xml").write_text("<a>")
    (tmp_path / "d.html").write_text("<p>" + "x" * 200)
    (tmp_path / "f.bin").write_bytes(bytes(range(256)))
    write_lines(tmp_path / "e.jsonl", {"text": "甲。"}, "{broken", [1], {"other": 1}, '{"text": "\\ud800乙"}')
    table = collect(card("*"), tmp_path, tmp_path / "cache", CollectConfig(max_document_bytes=100))
    reasons = dict(zip(table["id"].to_pylist(), table["drop_reason"].to_pylist(), strict=True))
    found = [reasons[f"source/{name}"] for name in ("b.txt", "c.xml", "d.html", "f.bin")]
    assert found == ["empty", "unreadable", "too_large", "unknown_format"]
    rest = [reason for id, reason in reasons.items() if "e.jsonl" in id]
    assert rest == [None, "unreadable", "unreadable", "empty", None]
    assert collect(card("a.txt"), tmp_path, tmp_path / "cache")["drop_reason"].to_pylist() == ["undecodable"]


def test_tables_of_every_format_read_the_same(tmp_path: Path) -> None:
    rows = [{"id": "1", "title": "一", "text": "NA，第一。"}, {"id": "2", "title": "二", "text": '有"引号"和\n换行。'}]
    write_lines(tmp_path / "t.jsonl", *rows)
    (tmp_path / "t.json").write_text(json.dumps(rows))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "t.parquet")
    csv = 'id,title,text\n1,一,"NA，第一。"\n2,二,"有""引号""和\n换行。"\n'
    (tmp_path / "t.csv").write_bytes(csv.encode("gb18030"))
    columns = ["title", "text", "lang", "drop_reason"]
    expected = collect(card("t.jsonl"), tmp_path, tmp_path / "cache").select(columns)
    assert expected["text"].to_pylist() == [row["text"] for row in rows]
    for name in ("t.json", "t.parquet", "t.csv"):
        assert collect(card(name), tmp_path, tmp_path / "cache").select(columns).equals(expected), name


def test_columns_by_number_and_objects_by_id_are_read(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text('to title\t甲"乙。\t题\n', encoding="utf-8")
    row = collect(card("t.tsv", fields={"text": "1", "title": "2"}), tmp_path, tmp_path / "cache").to_pylist()[0]
    assert (row["text"], row["title"]) == ('甲"乙。', "题")
    (tmp_path / "t.json").write_text(json.dumps({"77": {"Q": "Why?", "C": ["One.", "Two."], "L": ["A", "B"]}}))
    by_id = card("t.json", format="json-by-id", fields={"text": "C", "headings": "L", "title": "Q"})
    row = collect(by_id, tmp_path, tmp_path / "cache").to_pylist()[0]
    assert (row["id"], row["title"], row["text"]) == ("source/t.json:77", "Why?", "A\n\nOne.\n\nB\n\nTwo.")
    assert [section["heading"] for section in row["sections"]] == ["A", "B"]


@pytest.mark.parametrize(
    "whole", [[["q", "a"], ["q", "a", "b", "c"]], {"part": [["q", "a"]], "other": [["q", "a", "b", "c"]]}]
)
def test_lists_of_turns_are_examples(tmp_path: Path, whole: Any) -> None:
    (tmp_path / "t.json").write_text(json.dumps(whole))
    rows = collect(card("t.json", form="pairs", lang="en"), tmp_path, tmp_path / "cache").to_pylist()
    assert [len(row["messages"]) for row in rows] == [2, 4]
    for row in rows:
        assert [message["loss"] for message in row["messages"]] == [False, True] * (len(row["messages"]) // 2)
        assert (row["style"], row["split"], row["passage_id"], row["lang"]) == ("pairs", "", None, "en")


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("t.csv", {"fields": {"text": "body"}}, r"fields.text: got 'body', expected one of \['id', 'text'\]"),
        ("t.csv", {"fields": {"words": "text"}}, "fields: got 'words', expected one of"),
        ("t.csv", {"format": "pages"}, "format: got 'pages', expected one of"),
        ("t.txt", {"form": "pairs"}, "t.txt: got not_a_table: text, and .* expected a table of pairs"),
    ],
)
def test_mistakes_in_a_card_are_said_in_one_line(
    tmp_path: Path, name: str, fields: dict[str, Any], message: str
) -> None:
    (tmp_path / "t.csv").write_text("id,text\n1,a\n")
    (tmp_path / "t.txt").write_text("{no")
    with pytest.raises(RecipeError, match=message) as error:
        collect(card(name, **fields), tmp_path, tmp_path / "cache")
    assert "\n" not in str(error.value)


def test_only_what_changes_rows_is_in_the_key() -> None:
    one = card("a.txt")
    same = one.model_copy(update={"origin": "elsewhere", "licence": "MIT", "egress": "local", "path": "b/a.txt"})
    assert card_settings(one) == card_settings(same)
    for update in (
        {"kind": "books"},
        {"fields": {"text": "x"}},
        {"lang": "en"},
        {"format": "text"},
        {"path": "hub:a/b"},
    ):
        assert card_settings(one) != card_settings(one.model_copy(update=update))


@pytest.mark.parametrize("name", sorted(path.stem for path in DEMO_CARDS.glob("demo_*.toml")))
def test_demo_sources_are_read_whole(name: str, tmp_path: Path) -> None:
    table = collect(load_card(DEMO_CARDS, name), DEMO_CARDS, tmp_path / "cache")
    assert table.num_rows >= 5
    assert table["drop_reason"].null_count == table.num_rows
    assert len(set(table["id"].to_pylist())) == table.num_rows
    assert set(table["lang"].to_pylist()) <= {"zh-Hans", "en"}


REAL = {
    "csl": 1000,
    "csl_titles": 1000,
    "gutenberg_books": 2,
    "gutenberg_nonmedical": 2,
    "gutenberg_nonmedical_pages": 1,
    "gutenberg_pages": 1,
    "gutenberg_surgery": 1,
    "gutenberg_utf8": 1,
    "howtocook": 189,
    "howtolivelonger": 2,
    "huatuo_llama": 8658,
    "medicalgpt": 1000,
    "medquad": 2133,
    "medquad_empty": 180,
    "mtf_wiki": 73,
    "mts_dialog": 1201,
    "mts_dialog_augmented": 2402,
    "openstax_pharmacology": 203,
    "peps": 57,
    "poetry": 7606,
    "pubmedqa": 1000,
    "rust_book": 101,
    "smile": 400,
    "tcm_books": 57,
    "toyhom": 7644,
    "warc": 44,
}
DROPPED = {
    "medquad": {"empty": 1},
    "medquad_empty": {"empty": 180},
    "mtf_wiki": {"empty": 12},
    "mts_dialog": {"bad_turns": 130},
    "mts_dialog_augmented": {"bad_turns": 297, "duplicate_id": 40},
    "poetry": {"duplicate_id": 2},
    "smile": {"bad_turns": 67},
    "toyhom": {"duplicate_id": 378},
    "warc": {"empty": 3, "not_a_document": 33},
}


@pytest.mark.parametrize("name", REAL)
def test_real_sources_are_read_whole(name: str, real_data: Path, tmp_path: Path) -> None:
    source = load_card(REAL_CARDS, name)
    table = collect(source, REAL_CARDS, tmp_path / "cache", CollectConfig(shard_bytes=1_000_000))
    assert table.num_rows == REAL[name]
    dropped = collections.Counter(reason for reason in table["drop_reason"].to_pylist() if reason)
    assert dropped == DROPPED.get(name, {})
    assert len(set(kept_ids(table))) == len(kept_ids(table))


def test_every_real_card_has_a_count() -> None:
    assert sorted(path.stem for path in REAL_CARDS.glob("*.toml")) == sorted(REAL)


@pytest.fixture
def data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data set of the hub's layout, in a folder of this machine, with two configurations."""
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    folder = tmp_path / "set"
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
    write_lines(
        folder / "a" / "train.jsonl", *({"id": f"n{number % 9}", "text": f"第{number}条。"} for number in range(10))
    )
    write_lines(folder / "b" / "train.jsonl", {"question": "问？", "answer": "答。"})
    configs = "".join(f"- config_name: {name}\n  data_files: {name}/train.jsonl\n" for name in "ab")
    (folder / "README.md").write_text(f"---\nconfigs:\n{configs}---\n")
    return folder


def test_a_data_set_of_the_hub_is_read_by_configuration(data_set: Path, tmp_path: Path) -> None:
    texts = card(f"hub:{data_set}:a")
    whole, cut = (
        collect(texts, tmp_path, tmp_path / "cache", CollectConfig(shard_bytes=size)) for size in (1 << 20, 1)
    )
    assert whole.combine_chunks() == cut.combine_chunks()
    assert kept_ids(whole) == [f"source/n{number}" for number in range(9)]
    assert whole["drop_reason"].to_pylist()[9] == "duplicate_id"
    pairs = card(f"hub:{data_set}:b", form="pairs")
    assert collect(pairs, tmp_path, tmp_path / "cache")["messages"][0].as_py()[1]["content"] == "答。"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ({}, r"Config name is missing.*\['a', 'b'\]"),
        ({"a/train.jsonl": '{"id": 1, "text": "a"}\n{"id":\n'}, "JSON parse error"),
        ({"a/train.jsonl": ""}, "no rows"),
        ({"set.py": "import datasets\n", "README.md": ""}, "scripts are no longer supported"),
    ],
)
def test_a_data_set_that_cannot_be_loaded_is_said_in_one_line(
    data_set: Path, tmp_path: Path, damage: dict[str, str], message: str
) -> None:
    for name, text in damage.items():
        (data_set / name).write_text(text)
    path = f"hub:{data_set}" + (":a" if "a/train.jsonl" in damage else "")
    with pytest.raises(RecipeError, match=message) as error:
        collect(card(path), tmp_path, tmp_path / "cache")
    assert "\n" not in str(error.value)
