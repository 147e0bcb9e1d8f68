import json
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.readers.items import Refused
from pipeline.readers.places import Place
from pipeline.readers.tables import Row, open_table, read_rows
from pipeline.recipe import SourceCard

LIMIT = 10_000


def card(**fields: Any) -> SourceCard:
    checked = {"by": "tests", "on": "2026-11-20", "scope": "tests"}
    written = {"name": "t", "origin": "tests", "licence": "CC0-1.0", "kind": "web", "checked": checked, "path": "t"}
    return SourceCard.model_validate({**written, **fields})


def rows_of(path: Path, format: str, max_bytes: int = LIMIT, **fields: Any) -> list[Row]:
    """Read a table in one go, and check that it reads the same from every one of its rows on."""
    source = card(**fields)
    table, damage = open_table(Place(path), "t", format, source, path.parent / "scratch", path.parent)
    if damage:
        raise damage
    rows = list(read_rows(table, table.start, table.end, source, path.parent, max_bytes))
    for place, row in enumerate(rows):
        assert list(read_rows(table, row.number, table.end, source, path.parent, max_bytes)) == rows[place:]
        assert list(read_rows(table, table.start, row.number, source, path.parent, max_bytes)) == rows[:place]
    return rows


def test_lines_are_numbered_by_their_first_byte(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_bytes('\ufeff{"a": 1}\n\n{"a": "\u2028"}\r\n{bad\n{"a": 1, "a": 2}'.encode())
    rows = rows_of(path, "jsonl")
    assert [(row.number, row.value) for row in rows] == [(3, {"a": 1}), (13, {"a": "\u2028"}), (27, None), (32, None)]
    assert [row.fault and row.fault[0] for row in rows] == [None, None, "unreadable", "unreadable"]


@pytest.mark.parametrize("format", ["jsonl", "csv", "json"])
def test_an_item_over_the_limit_is_a_fault_and_the_next_is_read(format: str, tmp_path: Path) -> None:
    long = json.dumps({"text": "x" * 2 * LIMIT})
    written = {
        "jsonl": f'{{"text": "a"}}\n{long}\n{{"text": "b"}}\n',
        "csv": f"text\na\n{'x' * 2 * LIMIT}\nb\n",
        "json": f'[{{"text": "a"}}, {long}, {{"text": "b"}}]',
    }
    path = tmp_path / "t"
    path.write_text(written[format])
    rows = rows_of(path, format)
    assert [row.value and row.value["text"] for row in rows] == ["a", None, "b"]
    assert rows[1].fault is not None
    assert rows[1].fault[0] == "too_large"


CELL = st.text(st.characters(exclude_characters="\x00"), max_size=12)  # a file of NULs is no text


@given(st.lists(st.tuples(CELL, CELL), min_size=1, max_size=6))
def test_cells_are_read_as_they_were_written(tmp_path_factory: pytest.TempPathFactory, cells: Any) -> None:
    path = tmp_path_factory.mktemp("cells") / "t.csv"
    lines = ["first,second", *(",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in cells)]
    path.write_bytes("\n".join(lines).encode("utf-8", "replace"))
    expected = [tuple(cell.encode("utf-8", "replace").decode() for cell in row) for row in cells]
    assert [(row.value["first"], row.value["second"]) for row in rows_of(path, "csv")] == expected


def test_a_quotation_mark_never_closed_costs_its_own_line(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('id,text\n1,"a\nb"\n2,"never closed\n3,c\n4,d,e\n5,f\n')
    rows = rows_of(path, "csv")
    assert [row.value and row.value["id"] for row in rows] == ["1", None, "3", None, "5"]
    assert [row.fault[0] for row in rows if row.fault] == ["unreadable", "unreadable"]


def test_json_of_every_shape_is_cut_into_items(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    items = [{"text": 'a "[quoted]", \\ one'}, {"text": ["b", {"c": "}"}]}]
    for value, format in ((items, "json"), ({"one": items[:1], "two": items[1:]}, "json")):
        path.write_text(json.dumps(value))
        assert [row.value for row in rows_of(path, format)] == items
    path.write_text(json.dumps({"k1": items[0], "k2": items[1]}, indent=1))
    assert [(row.key, row.value) for row in rows_of(path, "json-by-id")] == [("k1", items[0]), ("k2", items[1])]
    path.write_text(json.dumps({"k1": items[0], "k2": 1}))
    assert [row.value for row in rows_of(path, "json")] == [{"k1": items[0], "k2": 1}]
    path.write_text('[{"text": "a"}, {"text": b}, {"text": "c"}, {"te')
    assert [row.value for row in rows_of(path, "json")] == [{"text": "a"}, None, {"text": "c"}, None]


def test_nested_beyond_measure_is_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text("[" * 5000 + "\n" + '{"text": "a"}\n')
    assert [row.value for row in rows_of(path, "jsonl")] == [None, {"text": "a"}]


def test_legacy_tables_are_read_wherever_their_first_character_is(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    for encoding in ("gb18030", "utf-16"):
        text = "id,text\n" + "".join(f"{n},plain\n" for n in range(400)) + "x,高血压是常见的病。\n"
        path.write_bytes(text.encode(encoding))
        source = card()
        table, _ = open_table(Place(path), "t", "csv", source, tmp_path / "scratch", tmp_path)
        *_, last = read_rows(table, table.start, table.end, source, tmp_path, LIMIT)
        assert last.value == {"id": "x", "text": "高血压是常见的病。"}


def test_rows_of_parquet_are_read_over_row_groups(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"text": [str(n) for n in range(10)], "vector": [[0.5]] * 10}), path, row_group_size=3)
    assert [(row.number, row.value) for row in rows_of(path, "parquet")] == [(n, {"text": str(n)}) for n in range(10)]


def test_sheets_give_values_and_never_formulas(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for sheet, rows in (
        (book.active, [["id", "text"], [1, "甲"], [None, None]]),
        (book.create_sheet(), [["text"], ["乙"]]),
    ):
        for row in rows:
            sheet.append(row)
    book.active.append([2, "=1+1"])
    book.save(tmp_path / "t.xlsx")
    values = [row.value for row in rows_of(tmp_path / "t.xlsx", "xlsx")]
    assert values == [{"id": "1", "text": "甲"}, {"id": "2", "text": None}, {"text": "乙"}]
    by_number = rows_of(tmp_path / "t.xlsx", "xlsx", fields={"text": "0"})
    assert [row.value["0"] for row in by_number] == ["id", "1", "2", "text", "乙"]


@pytest.mark.parametrize("format", ["csv", "parquet", "xlsx", "json-by-id"])
def test_what_is_no_table_is_refused(format: str, tmp_path: Path) -> None:
    (tmp_path / "t").write_text("\n" if format == "csv" else "x")
    with pytest.raises(Refused, match="unreadable"):
        rows_of(tmp_path / "t", format)
