"""Lines that a source repeats: what is marked, what stays, and that neither shards nor order matter."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.boilerplate import BoilerplateConfig, mark_boilerplate, read_lines
from pipeline.records import DOCUMENT, marked_schema
from pipeline.segment import SegmentConfig, segment_documents
from pipeline.shards import Shard
from tests.pipeline.tables_of import documents

CONFIG = BoilerplateConfig()
NOTICE = "欢迎来到清溪健康网，您身边的健康顾问"
LEGAL = "Reviewed and endorsed by the Lindenbrook board of editors in 2023"


def in_turn(function: Callable[..., Any], tasks: Iterable[tuple[Any, ...]]) -> Iterator[Any]:
    for task in tasks:
        yield function(*task)


def backwards(function: Callable[..., Any], tasks: Iterable[tuple[Any, ...]]) -> Iterator[Any]:
    return in_turn(function, reversed(list(tasks)))


def marked(
    folder: Path, rows: pa.Table, cuts: tuple[int, ...] = (), config: BoilerplateConfig = CONFIG, run: Any = in_turn
) -> pa.Table:
    """Run the stage over rows cut into shards."""
    folder.mkdir(parents=True, exist_ok=True)
    shards = []
    for number, (start, end) in enumerate(zip((0, *cuts), (*cuts, rows.num_rows), strict=True)):
        path = folder / f"{number}.parquet"
        pq.write_table(rows.slice(start, end - start), path)
        shards.append(Shard(path, end - start))
    scratch = folder / "scratch"
    scratch.mkdir(exist_ok=True)
    return pa.concat_tables(mark_boilerplate({"rows": shards}, config, scratch, run)).combine_chunks()


def found(table: pa.Table) -> list[list[str]]:
    """Return the marked texts of each document."""
    return [
        [row["text"][span["start"] : span["end"]] for span in row["boilerplate"]]
        for row in table.select(["text", "boilerplate"]).to_pylist()
    ]


def body(number: int) -> str:
    return f"第{'甲乙丙丁戊己庚辛壬癸'[number % 10]}种疾病常见于{'春夏秋冬'[number % 4]}季，" + "病程各有长短。" * (
        number % 7 + 3
    )


def test_a_head_and_a_foot_that_repeat_are_marked_whole_and_the_text_stays(tmp_path: Path) -> None:
    rows = documents(
        *(f"首页\n{NOTICE}\n\n{body(n)}\n{body(n + 1)}\n浏览次数 {n} 次，感谢您的访问和支持" for n in range(20))
    )
    table = marked(tmp_path, rows)
    assert table.schema.equals(marked_schema(DOCUMENT))
    assert table["text"].to_pylist() == rows["text"].to_pylist()
    assert found(table)[3] == [f"首页\n{NOTICE}", "浏览次数 3 次，感谢您的访问和支持"]


@pytest.mark.parametrize(
    "line",
    [
        "对本品任何成分过敏的患者禁用，孕妇慎用",
        "Contraindicated in patients with known hypersensitivity to this drug",
        "通用名称：阿司匹林肠溶片一种",
        "药物名称 | 给药途径 | 常用剂量范围",
        "常用的治疗方法有以下三种，任选其一：",
        "【注意事项】",
        "注意事项",
    ],
)
def test_what_warns_labels_or_introduces_stays_however_often_it_occurs(tmp_path: Path, line: str) -> None:
    table = marked(tmp_path, documents(*(f"{line}\n{body(n)}\n{body(n + 3)}" for n in range(30))))
    assert found(table) == [[]] * 30


def test_a_repeated_line_in_the_middle_stays_unless_it_speaks_of_the_site(tmp_path: Path) -> None:
    lines = "休息几天以后一般可以自行好转", LEGAL
    rows = [f"{body(n)}\n{lines[n % 2] if n < 20 else body(n + 5)}\n{body(n + 1)}" for n in range(40)]
    table = marked(tmp_path, documents(*rows))
    assert found(table) == [[], [LEGAL]] * 10 + [[]] * 20


def test_a_line_of_most_documents_is_marked_wherever_it_stands(tmp_path: Path) -> None:
    line = "如发现有问题或可以改进的地方，请提出意见"
    rows = [f"{body(n)}\n{line if n % 3 else body(n + 5)}\n{body(n + 1)}" for n in range(30)]
    assert found(marked(tmp_path, documents(*rows))) == [[line] if n % 3 else [] for n in range(30)]


def test_headings_are_not_marked(tmp_path: Path) -> None:
    line = "不良事件的监测与报告制度说明"
    sections = [{"start": 0, "end": len(line) + 5, "heading": line, "page": None}]
    rows = [f"{line}\n{body(n)}" for n in range(10)]
    assert found(marked(tmp_path / "a", documents(*rows, sections=sections))) == [[]] * 10
    assert found(marked(tmp_path / "b", documents(*rows))) == [[line]] * 10


def test_documents_that_are_alike_as_a_whole_are_left_to_dedup(tmp_path: Path) -> None:
    text = f"{NOTICE}\n{'这一段话在每一份文件里都一样，没有别的内容。' * 3}"
    other = [body(n) for n in range(30)]
    assert found(marked(tmp_path, documents(*[text] * 6, *other)))[:6] == [[]] * 6


@pytest.mark.parametrize(("copies", "config", "marks"), [(4, {}, 0), (5, {}, 5), (5, {"min_share": 1.01}, 0)])
def test_how_many_documents_make_a_line_frequent(tmp_path: Path, copies: int, config: dict, marks: int) -> None:
    rows = [f"{NOTICE if n < copies else body(n + 7)}\n{body(n)}\n{body(n + 2)}" for n in range(40)]
    found_in = found(marked(tmp_path, documents(*rows), config=BoilerplateConfig(**config)))
    assert sum(map(len, found_in)) == marks


def test_a_source_of_few_documents_or_none_has_no_boilerplate(tmp_path: Path) -> None:
    assert found(marked(tmp_path / "a", documents(*[f"{NOTICE}\n{body(n)}" for n in range(4)]))) == [[]] * 4
    assert marked(tmp_path / "b", documents()).num_rows == 0


def test_neither_shards_nor_the_order_of_tasks_nor_a_second_run_matters(tmp_path: Path) -> None:
    rows = documents(*(f"{NOTICE}\n{body(n)}\n{LEGAL}\n{body(n + 1)}" for n in range(25)))
    whole = marked(tmp_path / "a", rows)
    assert sum(map(len, found(whole))) == 50
    for name, cuts in (("b", (1, 2, 12)), ("c", (13,))):
        apart = marked(tmp_path / name, rows, cuts, run=backwards)
        assert apart.equals(whole)
        assert marked(tmp_path / name, rows, cuts).equals(whole)  # scratch of a run that was cut off


@given(text=st.text(alphabet="甲乙aB1 \n\t：:|\U00020000。", max_size=60))
def test_lines_are_those_of_the_text(text: str) -> None:
    lines = read_lines(pa.array(["x", text], pa.string()))
    found = [(int(line["start"]), int(line["end"])) for line in lines if line["row"] == 1]
    expected, start = [], 0
    for line in text.split("\n"):
        if line.strip():
            expected.append((start, start + len(line)))
        start += len(line) + 1
    assert found == expected


def test_segment_leaves_out_what_is_marked_and_accounts_for_it(tmp_path: Path) -> None:
    rows = documents(*(f"{NOTICE}\n\n{body(n) * 4}\n\n{body(n + 1) * 4}" for n in range(12)))
    table = marked(tmp_path, rows)
    passages = segment_documents(table.drop_columns(["drop_reason", "drop_detail"]), SegmentConfig()).to_pylist()
    dropped = [row["text"] for row in passages if row["drop_reason"] == "boilerplate"]
    assert dropped == [NOTICE] * 12
    assert not [row for row in passages if row["drop_reason"] is None and NOTICE in row["text"]]


def test_what_a_reader_marked_stays_marked(tmp_path: Path) -> None:
    texts = [f"{NOTICE}\n{body(number)}\n{LEGAL}" for number in range(20)]
    rows = documents(*texts)
    known = [[{"start": 0, "end": 5}] if number == 3 else [] for number in range(20)]
    place = rows.schema.get_field_index("boilerplate")
    field = rows.schema.field(place)
    rows = rows.set_column(place, field, pa.array(known, field.type))
    spans = marked(tmp_path, rows, cuts=(2, 9)).column("boilerplate").to_pylist()
    assert all(spans)
    off = BoilerplateConfig(min_share=2)
    assert marked(tmp_path / "off", rows, config=off).column("boilerplate").to_pylist() == known
