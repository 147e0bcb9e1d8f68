from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.readers.items import PARAGRAPH, Block, compose
from pipeline.records import PASSAGE, marked_schema, text_hash
from pipeline.segment import SegmentConfig, segment_documents
from tests.pipeline.tables_of import documents

SMALL = SegmentConfig(max_chars={"zh": 20, "en": 60}, min_chars={"zh": 5, "en": 15})
WORDS = st.text(alphabet="高血压病人，。；！a b.C 1\n　「」", max_size=60)


@st.composite
def composed(draw: st.DrawFn) -> tuple[str, list[dict[str, Any]]]:
    levels = st.integers(min_value=PARAGRAPH, max_value=3)
    blocks = draw(st.lists(st.builds(Block, level=levels, text=WORDS, page=st.sampled_from([None, 1, 2])), max_size=12))
    return compose(blocks)


@st.composite
def any_sections(draw: st.DrawFn) -> tuple[str, list[dict[str, Any]]]:
    text = draw(WORDS)
    places = st.integers(min_value=0, max_value=len(text))
    headings = st.sampled_from(["", "h"])
    spans = draw(st.lists(st.tuples(places, places, headings), max_size=5))
    return text, [{"start": min(a, b), "end": max(a, b), "heading": heading, "page": None} for a, b, heading in spans]


def heading_places(text: str, sections: list[dict[str, Any]]) -> set[int]:
    places: set[int] = set()
    for section in sections:
        if section["heading"]:
            line = text[section["start"] : section["end"]].split("\n")[0]
            places |= set(range(section["start"], section["start"] + len(line)))
    return places


@settings(deadline=None)
@given(document=composed(), lang=st.sampled_from(["zh-Hans", "en", "lzh", "und"]))
def test_passages_cover_all_but_headings_and_space_exactly_once(
    document: tuple[str, list[dict[str, Any]]], lang: str
) -> None:
    text, sections = document
    rows = segment_documents(documents(text, lang=lang, sections=sections), SMALL).to_pylist()
    covered = [place for row in rows for place in range(row["start"], row["end"]) if not text[place].isspace()]
    expected = [place for place, char in enumerate(text) if not char.isspace()]
    assert sorted(covered) == sorted(set(expected) - heading_places(text, sections))


@settings(deadline=None)
@given(document=any_sections())
def test_no_character_is_in_two_passages_or_lost_however_sections_cross(
    document: tuple[str, list[dict[str, Any]]],
) -> None:
    text, sections = document
    rows = segment_documents(documents(text, sections=sections), SMALL).to_pylist()
    covered = [place for row in rows for place in range(row["start"], row["end"]) if not text[place].isspace()]
    expected = {place for place, char in enumerate(text) if not char.isspace()}
    assert len(covered) == len(set(covered))
    assert expected - heading_places(text, sections) <= set(covered)


@settings(deadline=None)
@given(document=composed())
def test_a_passage_is_its_span_and_its_id_is_its_text(document: tuple[str, list[dict[str, Any]]]) -> None:
    text, sections = document
    table = segment_documents(documents(text, sections=sections), SMALL)
    assert table.schema.equals(marked_schema(PASSAGE))
    assert set(table["document_id"].to_pylist()) == {"source/0"}
    for row in table.to_pylist():
        assert row["text"] == text[row["start"] : row["end"]] == row["text"].strip()
        assert row["id"] == f"source/0#{text_hash(row['text'])}"
    kept = table.filter(pc.is_null(table["drop_reason"]))
    assert len(set(kept["id"].to_pylist())) == kept.num_rows


def test_a_budget_holds_but_for_one_longer_sentence() -> None:
    long = "这句话没有任何可以断开的地方所以只能整句留下不管它有多长都一样。"
    text = "短句一。短句二。短句三。短句四。短句五。短句六。" + long + "短句七。"
    rows = segment_documents(documents(text), SMALL).to_pylist()
    over = [row["text"] for row in rows if len(row["text"]) > 20]
    assert over == [long]
    assert len(rows) > 2


def test_a_sentence_over_budget_is_cut_at_semicolons() -> None:
    text = "第一类药物用于轻症患者；第二类药物用于重症患者；第三类药物很少使用。"
    texts = segment_documents(documents(text), SMALL)["text"].to_pylist()
    assert texts == ["第一类药物用于轻症患者；", "第二类药物用于重症患者；", "第三类药物很少使用。"]


def test_headings_are_outermost_first_and_not_in_the_text() -> None:
    text, sections = compose(
        [Block(1, "第一章"), Block(2, "第一节"), Block(PARAGRAPH, "甲乙丙。"), Block(1, "第二章"), Block(0, "丁。")]
    )
    rows = segment_documents(documents(text, sections=sections), SMALL).to_pylist()
    assert [(row["headings"], row["text"]) for row in rows] == [
        (["第一章", "第一节"], "甲乙丙。"),
        (["第二章"], "丁。"),
    ]


def test_pages_reach_passages() -> None:
    text, sections = compose([Block(1, "章", 1), Block(0, "甲。", 1), Block(0, "乙。", 2)])
    rows = segment_documents(documents(text, sections=sections), SMALL).to_pylist()
    assert [(row["text"], row["page"], row["headings"]) for row in rows] == [("甲。", 1, ["章"]), ("乙。", 2, ["章"])]


@pytest.mark.parametrize(("text", "reasons"), [("甲。", [None]), (" \n", ["no_text"]), ("", ["no_text"])])
def test_a_document_without_text_is_accounted_for(text: str, reasons: list[str | None]) -> None:
    assert segment_documents(documents(text), SMALL)["drop_reason"].to_pylist() == reasons


def test_a_text_that_repeats_in_its_document_is_dropped_once_found() -> None:
    text, sections = compose([Block(1, "一"), Block(0, "请遵医嘱。"), Block(1, "二"), Block(0, "请遵医嘱。")])
    table = segment_documents(documents(text, sections=sections), SMALL)
    assert table["drop_reason"].to_pylist() == [None, "repeated_in_document"]


def test_sharding_does_not_change_passages() -> None:
    whole = documents("甲。" * 30, "乙丙。" * 9, "")
    apart = [segment_documents(whole.slice(row, 1), SMALL) for row in range(whole.num_rows)]
    assert pa.concat_tables(apart).equals(segment_documents(whole, SMALL).combine_chunks())
