import gzip
import io
import json
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import zstandard

from pipeline.collect import collect_unit
from pipeline.recipe import SourceCard
from pipeline.worklist import CollectConfig, Unit, plan_source

SENTENCES = [f"第{number}味药性温，治头痛。" for number in range(3000)]


def card(path: str, **fields: Any) -> SourceCard:
    checked = {"by": "tests", "on": "2026-11-20", "scope": "tests"}
    written = {"name": "source", "origin": "tests", "licence": "CC0-1.0", "kind": "web", "checked": checked}
    return SourceCard.model_validate({**written, "path": path, **fields})


def plan(folder: Path, path: str = "*", **settings: int) -> tuple[list[Unit], pa.Table]:
    """Plan a source and read it; return its units and rows."""
    config = CollectConfig(**settings)
    units = plan_source(card(path), folder, config, folder / ".cache", folder / ".scratch")
    return units, pa.concat_tables([collect_unit(card(path), unit, config, folder / ".cache") for unit in units])


def rows_by_reason(table: pa.Table) -> dict[str | None, list[str]]:
    found: dict[str | None, list[str]] = {}
    for id, reason in zip(table["id"].to_pylist(), table["drop_reason"].to_pylist(), strict=True):
        found.setdefault(reason, []).append(id)
    return found


def test_long_texts_are_split_at_sentences_and_each_part_is_counted(tmp_path: Path) -> None:
    for name, data in (
        ("a.txt", "".join(SENTENCES).encode()),
        ("b.txt.gz", gzip.compress("".join(SENTENCES).encode())),
    ):
        (tmp_path / name).write_bytes(data)
    (tmp_path / "c.txt").write_bytes("".join(SENTENCES).encode("gb18030"))
    _, table = plan(tmp_path, max_document_bytes=10_000, shard_bytes=20_000)
    for name in ("a.txt", "b.txt.gz", "c.txt"):
        parts = [row for row in table.to_pylist() if row["id"].startswith(f"source/{name}:")]
        assert len(parts) > 5
        assert "".join(row["text"] for row in parts) == "".join(SENTENCES)
        assert all(row["drop_reason"] is None and row["text"].endswith("。") for row in parts)
    assert table["drop_reason"].null_count == table.num_rows


def test_parts_that_repeat_are_counted_once(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(("一样的句子。" * 8).encode())
    found = rows_by_reason(plan(tmp_path, max_document_bytes=40, shard_bytes=100_000)[1])
    assert {reason: len(ids) for reason, ids in found.items()} == {None: 1, "duplicate_id": 3}


def test_cutting_changes_no_row(tmp_path: Path) -> None:
    rows = [{"id": str(n % 90), "text": text} for n, text in enumerate(SENTENCES[:100])]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "a.jsonl").write_text(lines)
    (tmp_path / "b.json").write_text(json.dumps(rows))
    (tmp_path / "c.csv").write_text("id,text\n" + "".join(f'{row["id"]},"{row["text"]}"\n' for row in rows))
    (tmp_path / "d.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    (tmp_path / "e.jsonl").write_bytes(lines.encode("utf-16"))
    whole_units, whole = plan(tmp_path)
    assert len(whole_units) == 1
    assert [len(ids) for ids in rows_by_reason(whole).values()] == [450, 50]
    for size in (20_000, 3_000, 1):
        units, table = plan(tmp_path, shard_bytes=size)
        assert len(units) > 1
        assert table.combine_chunks().equals(whole.combine_chunks())


def test_every_member_of_every_archive_is_a_row(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, data in (("a.txt", b"One."), ("../b.txt", b"Two."), ("page", b"<html><p>Three.</p></html>")):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    with zipfile.ZipFile(tmp_path / "all.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("in.tar.gz", packed.getvalue())
        archive.writestr("rows.jsonl", '{"id": "x", "text": "Four."}\n{broken\n')
        archive.writestr("rows.txt.gz", gzip.compress(b"Five."))
        archive.writestr("picture.png", b"\x89PNG\r\n\x1a\n" + bytes(range(256)))
        archive.writestr("nothing.txt", b"")
    found = rows_by_reason(plan(tmp_path)[1])
    assert found[None] == [
        "source/all.zip/in.tar.gz/a.txt",
        "source/all.zip/in.tar.gz/page",
        "source/all.zip/rows.jsonl:x",
        "source/all.zip/rows.txt.gz",
    ]
    assert found["unsafe_member"] == ["source/all.zip/in.tar.gz/../b.txt"]
    assert found["unknown_format"] == ["source/all.zip/picture.png"]
    assert found["empty"] == ["source/all.zip/nothing.txt"]
    assert len(found["unreadable"]) == 1


@pytest.mark.parametrize("keep", [100, 1 << 24])
def test_what_stands_before_damage_is_read_and_the_damage_is_a_row(keep: int, tmp_path: Path) -> None:
    rows = "".join(json.dumps({"id": str(n), "text": text}) + "\n" for n, text in enumerate(SENTENCES)).encode()
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(rows)[:-9000])
    (tmp_path / "b.txt.zst").write_bytes(zstandard.compress(rows)[:-10])
    found = rows_by_reason(plan(tmp_path, shard_bytes=keep)[1])
    assert len(found[None]) > 100
    assert {"source/a.jsonl.gz", "source/b.txt.zst"} <= set(found["unreadable"])


def test_web_archives_are_read_record_by_record_however_they_are_cut(real_data: Path, tmp_path: Path) -> None:
    source = card(str(real_data / "web" / "warc"))
    tables = []
    for size in (1 << 24, 2000):
        config = CollectConfig(shard_bytes=size)
        units = plan_source(source, tmp_path, config, tmp_path, tmp_path / "scratch")
        tables.append(pa.concat_tables([collect_unit(source, unit, config, tmp_path) for unit in units]))
    assert {reason: len(ids) for reason, ids in rows_by_reason(tables[0]).items()} == {
        None: 8,
        "empty": 3,
        "not_a_document": 33,
    }
    assert tables[1].combine_chunks().equals(tables[0].combine_chunks())


MESSY = {
    "4_single_line/one_line_array.json": ({}, 12),
    "8_compressed/medquad.warc.gz": ({}, 12),
    "9_tabular/newlines_in_cells.csv": ({"form": "pairs"}, 40),
    "9_tabular/bad_lines.jsonl": ({"form": "pairs", "fields": {"question": "instruction", "answer": "output"}}, 40),
}


@pytest.mark.parametrize("name", MESSY)
def test_hostile_tables_give_every_good_row(name: str, real_data: Path, tmp_path: Path) -> None:
    fields, expected = MESSY[name]
    for size in (1 << 24, 5000):
        source, config = card(str(real_data / "messy" / name), **fields), CollectConfig(shard_bytes=size)
        units = plan_source(source, tmp_path, config, tmp_path, tmp_path / "scratch")
        table = pa.concat_tables([collect_unit(source, unit, config, tmp_path) for unit in units])
        assert table["drop_reason"].null_count == expected


def test_compressed_text_is_the_text_that_was_compressed(real_data: Path, tmp_path: Path) -> None:
    packed, plain = real_data / "messy/8_compressed/tcm_gbk.txt.zst", real_data / "messy/1_encoding/gb18030_real.txt"
    texts = [
        collect_unit(card(str(path)), unit, CollectConfig(), tmp_path)["text"].to_pylist()
        for path in (packed, plain)
        for unit in plan_source(card(str(path)), tmp_path, CollectConfig(), tmp_path, tmp_path / "scratch")
    ]
    assert texts[0] == texts[1]
    assert len(texts[0]) == 1


MEASURED = """
import sys
from pathlib import Path
from tests.pipeline.test_worklist import card
from pipeline.collect import collect_unit
from pipeline.worklist import CollectConfig, plan_source
folder = Path(sys.argv[1])
config = CollectConfig(max_document_bytes=4 << 20, shard_bytes=4 << 20)
source = card("*")
reasons = {}
for unit in plan_source(source, folder, config, folder / ".cache", folder / ".scratch"):
    for reason in collect_unit(source, unit, config, folder / ".cache")["drop_reason"].to_pylist():
        reasons[reason] = reasons.get(reason, 0) + 1
status = Path("/proc/self/status").read_text()  # getrusage begins at the peak of whoever started this
print(next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) >> 10, reasons)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_a_file(tmp_path: Path) -> None:
    """A text, a JSON string, and lines, of 96 MiB each, and a bomb of 1 GiB, with items of 4 MiB: under 512 MiB."""
    sentence = "".join(SENTENCES).encode()
    for name, before, after in (
        ("a.txt", b"", b""),
        ("b.json", b'[{"text": "', b'"}, {"text": "One."}]'),
        ("c.jsonl", b'{"text": "', b'"}\n{"text": "One."}\n'),
    ):
        with (tmp_path / name).open("wb") as file:
            file.write(before)
            for number in range((96 << 20) // len(sentence)):
                file.write(sentence + str(number).encode())
            file.write(after)
    with gzip.open(tmp_path / "d.txt.gz", "wb") as bomb:
        for _ in range(1 << 4):
            bomb.write(bytes(64 << 20))
    printed = subprocess.run(
        [sys.executable, "-c", MEASURED, str(tmp_path)], check=True, capture_output=True, text=True, cwd=Path.cwd()
    ).stdout
    peak, reasons = printed.split(" ", 1)
    assert "'too_large': 2" in reasons
    assert "'expands_too_much': 1" in reasons
    assert int(peak) < 512


PUBMED = (
    "<PubmedArticle><MedlineCitation><PMID>{id}</PMID><Article><ArticleTitle>T</ArticleTitle><Abstract>"
    "<AbstractText>Text &lt;{number}&gt;.</AbstractText></Abstract></Article></MedlineCitation></PubmedArticle>\n"
)
JATS = (
    "<article><front><article-meta><article-id pub-id-type='pmc'>{id}</article-id></article-meta></front><body>"
    "<p>Text <![CDATA[</article><article>]]>{number}.</p></body></article> <!-- <article> -->"
)
SETS = {
    "pubmed": (
        "<?xml version='1.0'?>\n<!DOCTYPE PubmedArticleSet SYSTEM 'x'>\n<PubmedArticleSet>",
        PUBMED,
        "</PubmedArticleSet>",
    ),
    "jats": ("<pmc-articleset xmlns:m='urn:m'>\n", JATS, "\n</pmc-articleset>\n"),
    "oai": (
        "<OAI-PMH xmlns='urn:o'><request/><ListRecords>",
        "<record><metadata>" + JATS.replace("<article>", "<article xmlns=''>", 1) + "</metadata></record>",
        "</ListRecords></OAI-PMH>",
    ),
    "tei": (
        "<teiCorpus xmlns='http://www.tei-c.org/ns/1.0'>",
        "<TEI xml:id='t{id}'><text><body><p>Text {number}</p></body></text></TEI>",
        "</teiCorpus>",
    ),
    "wiki": (
        "<mediawiki xmlns='http://www.mediawiki.org/xml/export-0.11/'><siteinfo><base>x</base></siteinfo>",
        "<page><title>T</title><id>{id}</id><revision><text>''Text'' {number} &lt;page></text></revision></page>",
        "</mediawiki>",
    ),
}


@pytest.mark.parametrize("name", SETS)
def test_a_long_set_gives_the_documents_that_it_gives_whole(name: str, tmp_path: Path) -> None:
    head, record, tail = SETS[name]
    ids = [*range(40), 3, *range(50, 60), 59]
    body = "".join(record.replace("{id}", str(id)).replace("{number}", str(at)) for at, id in enumerate(ids))
    (tmp_path / "set.xml").write_text(head + body + tail)
    units, whole = plan(tmp_path)
    assert len(units) == 1
    assert whole.num_rows == len(ids)
    assert len(rows_by_reason(whole)["duplicate_id"]) == 2
    for size in (1, 1500):
        units, cut = plan(tmp_path, shard_bytes=size, max_document_bytes=3000)
        assert len(units) > 2
        assert cut.combine_chunks() == whole.combine_chunks()
    (tmp_path / "set.xml").write_bytes(gzip.compress((head + body + tail).encode()))
    assert plan(tmp_path, shard_bytes=1500, max_document_bytes=3000)[1].combine_chunks() == whole.combine_chunks()


def test_long_xml_that_is_no_set_is_read_in_parts_or_refused(tmp_path: Path) -> None:
    rows = "".join(f"<row><title>Row {number}</title><p>Text {number}.</p></row>" for number in range(300))
    (tmp_path / "rows.xml").write_text(f"<?xml version='1.0'?><rows>{rows}</rows>")
    units, parts = plan(tmp_path, shard_bytes=2000, max_document_bytes=2100)
    whole = plan(tmp_path)[1]
    assert len(units) == parts.num_rows > 5
    assert len(set(parts["id"].to_pylist())) == parts.num_rows
    assert "\n\n".join(parts["text"].to_pylist()) == whole["text"][0].as_py()
    (tmp_path / "rows.xml").write_text(f"<article><body><p>{'Text. ' * 1000}</p></body></article>")
    assert list(rows_by_reason(plan(tmp_path, shard_bytes=2000, max_document_bytes=2100)[1])) == ["too_large"]


def test_what_is_wrong_in_a_long_set_costs_no_more_than_what_it_must(tmp_path: Path) -> None:
    head, record, tail = SETS["pubmed"]
    records = [record.replace("{id}", str(id)).replace("{number}", str(id)) for id in range(30)]
    long = records[0].replace("Text &lt;", "Text " * 1000).replace("<PMID>0<", "<PMID>99<")
    (tmp_path / "set.xml").write_text(head + "".join([*records, long, *records[:1]]) + tail)
    rows = rows_by_reason(plan(tmp_path, shard_bytes=1000, max_document_bytes=3000)[1])
    assert {reason: len(ids) for reason, ids in rows.items()} == {None: 30, "too_large": 1, "duplicate_id": 1}
    (tmp_path / "set.xml").write_text(head + "".join(records) + "<PubmedArticle><PMID>5</PubmedArticle>" + tail)
    rows = rows_by_reason(plan(tmp_path, shard_bytes=1000, max_document_bytes=3000)[1])
    assert {reason: len(ids) for reason, ids in rows.items()} == {None: 30, "unreadable": 1}
    laughs = "<!DOCTYPE s [<!ENTITY a 'ha'><!ENTITY b '&a;&a;'>]>" + head[head.index("<Pub") :]
    (tmp_path / "set.xml").write_text(laughs + "".join(records) + tail)
    assert list(rows_by_reason(plan(tmp_path, shard_bytes=1000, max_document_bytes=3000)[1])) == ["unreadable"]
