from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.line import read_line
from pipeline.readers.items import PARAGRAPH, Block, compose
from pipeline.recipe import RecipeError
from pipeline.records import DOCUMENT, PASSAGE, marked_schema, text_hash
from pipeline.regions import join_spans
from pipeline.segment import BATCH_UNITS, SegmentConfig, segment_documents
from pipeline.tokens import token_ruler
from tests.fakes import tiny_tokenizer
from tests.pipeline.tables_of import documents
from tests.world import write_world

SMALL = SegmentConfig(max_chars={"zh": 20, "en": 60}, min_chars={"zh": 5, "en": 15})
WORDS = st.text(alphabet="高血压病人，。；！a b.C 1\n　「」|-：？答", max_size=60)
Laid = tuple[str, list[dict[str, Any]], list[dict[str, int]]]


def segmented(
    text: str, sections: Any = (), boilerplate: Any = (), lang: str = "zh-Hans", config: SegmentConfig = SMALL
) -> list[dict[str, Any]]:
    """Segment one document and return its rows."""
    table = documents(text, lang=lang, sections=list(sections))
    column = pa.array([list(boilerplate)], DOCUMENT.field("boilerplate").type)
    place = table.schema.get_field_index("boilerplate")
    table = table.set_column(place, DOCUMENT.field("boilerplate"), column)
    return list(segment_documents(table, config).to_pylist())


def texts(*arguments: Any, **settings: Any) -> list[str]:
    return [row["text"] for row in segmented(*arguments, **settings)]


@st.composite
def marked_spans(draw: st.DrawFn, text: str) -> list[dict[str, int]]:
    places = st.integers(min_value=0, max_value=len(text))
    spans = draw(st.lists(st.tuples(places, places), max_size=3))
    return [{"start": min(pair), "end": max(pair)} for pair in spans]


@st.composite
def composed(draw: st.DrawFn) -> Laid:
    levels = st.integers(min_value=PARAGRAPH, max_value=3)
    blocks = draw(st.lists(st.builds(Block, level=levels, text=WORDS, page=st.sampled_from([None, 1, 2])), max_size=12))
    text, sections = compose(blocks)
    return text, sections, draw(marked_spans(text))


@st.composite
def any_sections(draw: st.DrawFn) -> Laid:
    text = draw(WORDS)
    places = st.integers(min_value=0, max_value=len(text))
    headings = st.sampled_from(["", "h"])
    spans = draw(st.lists(st.tuples(places, places, headings), max_size=5))
    sections = [{"start": min(a, b), "end": max(a, b), "heading": heading, "page": None} for a, b, heading in spans]
    return text, sections, draw(marked_spans(text))


def heading_places(text: str, sections: list[dict[str, Any]]) -> set[int]:
    places: set[int] = set()
    for section in sections:
        if section["heading"]:
            line = text[section["start"] : section["end"]].split("\n")[0]
            places |= set(range(section["start"], section["start"] + len(line)))
    return places


def places_of(rows: list[dict[str, Any]], text: str) -> list[int]:
    return [place for row in rows for place in range(row["start"], row["end"]) if not text[place].isspace()]


@settings(deadline=None)
@given(document=st.one_of(composed(), any_sections()), lang=st.sampled_from(["zh-Hans", "en", "lzh", "und"]))
def test_passages_boilerplate_and_headings_cover_all_but_space_exactly_once(document: Laid, lang: str) -> None:
    text, sections, marked = document
    rows = segmented(text, sections, marked, lang)
    covered = places_of(rows, text)
    assert len(covered) == len(set(covered)), "a character is in two rows"
    expected = {place for place, char in enumerate(text) if not char.isspace()}
    assert expected - set(covered) <= heading_places(text, sections), "a character is lost"
    apart = [row for row in rows if row["drop_reason"] == "boilerplate"]
    spans = [(span["start"], span["end"]) for span in marked]
    assert set(places_of(apart, text)) == {place for place in expected if any(a <= place < b for a, b in spans)}
    assert [(row["start"], row["end"]) for row in apart] == join_spans(text, spans)


@settings(deadline=None)
@given(document=composed())
def test_a_heading_is_over_a_passage_or_in_it(document: Laid) -> None:
    text, sections, _ = document
    rows = segmented(text, sections)
    said = {heading for row in rows for heading in row["headings"]}
    covered = set(places_of(rows, text))
    for section in sections:
        inside = set(range(section["start"], section["start"] + len(section["heading"])))
        assert section["heading"] in said or {place for place in inside if not text[place].isspace()} <= covered


@settings(deadline=None)
@given(document=composed())
def test_a_passage_is_its_span_and_its_id_is_its_text(document: Laid) -> None:
    text, sections, marked = document
    table = segment_documents(documents(text, sections=sections), SMALL)
    assert table.schema.equals(marked_schema(PASSAGE))
    assert set(table["document_id"].to_pylist()) == {"source/0"}
    for row in [*table.to_pylist(), *segmented(text, sections, marked)]:
        assert row["text"] == text[row["start"] : row["end"]] == row["text"].strip()
        assert row["id"] == f"source/0#{text_hash(row['text'])}"
    kept = table.filter(pc.is_null(table["drop_reason"]))
    assert len(set(kept["id"].to_pylist())) == kept.num_rows


@settings(deadline=None)
@given(document=composed())
def test_only_one_sentence_or_clause_alone_is_over_budget(document: Laid) -> None:
    text, sections, _ = document
    for row in segmented(text, sections):
        if len(row["text"]) > 20:
            assert not any(mark in row["text"][:-2] for mark in "\n；"), "it could have been cut"


def test_a_budget_holds_but_for_one_longer_sentence() -> None:
    long = "这句话没有任何可以断开的地方所以只能整句留下不管它有多长都一样。"
    text = "短句一。短句二。短句三。短句四。短句五。短句六。" + long + "短句七。"
    found = texts(text)
    assert [text for text in found if len(text) > 20] == [long]
    assert len(found) == 4


def test_a_sentence_of_many_budgets_is_dropped_with_its_length() -> None:
    endless = "无" * 90 + "。"
    rows = segmented("甲乙丙丁。" + endless)
    assert [(row["text"], row["drop_reason"], row["drop_detail"]) for row in rows] == [
        ("甲乙丙丁。", None, None),
        (endless, "no_sentence_end", "91 of 20"),
    ]


def test_a_sentence_over_budget_is_cut_at_semicolons() -> None:
    text = "第一类药物用于轻症患者；第二类药物用于重症患者；第三类药物很少使用。"
    assert texts(text) == ["第一类药物用于轻症患者；", "第二类药物用于重症患者；", "第三类药物很少使用。"]


def test_a_classical_text_without_full_stops_is_cut_at_pauses_and_particles() -> None:
    text = "夫脉者血之府也长则气治短则气病数则烦心大则病进上盛则气高下盛则气胀也代则气衰细则气少涩则心痛矣"
    assert texts(text, lang="lzh", config=SegmentConfig(max_chars={"en": 30})) == [
        "夫脉者血之府也",
        "长则气治短则气病数则烦心大则病进上盛则气高下盛则气胀也",
        "代则气衰细则气少涩则心痛矣",
    ]


def test_headings_are_outermost_first_and_not_in_the_text() -> None:
    body = "甲乙丙丁戊己庚辛。"
    text, sections = compose(
        [Block(1, "第一章"), Block(2, "第一节"), Block(PARAGRAPH, body), Block(1, "第二章"), Block(0, body[::-1])]
    )
    assert [(row["headings"], row["text"]) for row in segmented(text, sections)] == [
        (["第一章", "第一节"], body),
        (["第二章"], body[::-1]),
    ]


def test_short_neighbouring_sections_come_together_under_the_headings_they_share() -> None:
    blocks = [Block(1, "布洛芬"), Block(2, "适应症"), Block(0, "发热。"), Block(2, "禁忌"), Block(0, "溃疡。")]
    text, sections = compose(blocks)
    rows = segmented(text, sections, config=SegmentConfig(max_chars={"en": 30}, min_chars={"en": 5}))
    assert [(row["headings"], row["text"]) for row in rows] == [(["布洛芬"], "适应症\n\n发热。\n\n禁忌\n\n溃疡。")]


def test_a_structured_abstract_that_fits_is_one_passage() -> None:
    labels = ("OBJECTIVE", "METHODS", "RESULTS", "CONCLUSION")
    blocks = [
        block for label in labels for block in (Block(1, label), Block(0, f"Here are forty of the letters {label}."))
    ]
    text, sections = compose(blocks)
    assert texts(text, sections, lang="en", config=SegmentConfig(min_chars={"en": 40})) == [text]
    apart, sections = compose([Block(0 if block.level == 0 else 1, block.text.replace("S", "x")) for block in blocks])
    assert len(texts(apart, sections, lang="en", config=SegmentConfig(min_chars={"en": 30}))) > 1


def test_the_rest_of_a_section_does_not_lose_its_heading_to_the_next() -> None:
    said = ("一二三四五六七八九十。", "一二三四五六七八。", "余。")
    blocks = [Block(1, "甲病"), *(Block(0, text) for text in said), Block(1, "乙病"), Block(0, "另说。")]
    text, sections = compose(blocks)
    rows = segmented(text, sections)
    assert [row["headings"] for row in rows if "余。" in row["text"]] == [["甲病"]]


def test_a_section_without_text_is_text_itself() -> None:
    text, sections = compose([Block(1, "洗手"), Block(1, "戴口罩"), Block(0, "出门时。")])
    assert texts(text, sections) == ["洗手\n\n戴口罩\n\n出门时。"]


def test_the_page_of_a_passage_is_where_it_begins() -> None:
    blocks = [
        Block(1, "章", 1),
        Block(0, "甲乙丙丁戊己庚辛。", 1),
        Block(0, "乙丙丁戊己庚辛壬癸。", 2),
        Block(0, "丙。", 3),
    ]
    text, sections = compose(blocks)
    rows = segmented(text, sections)
    assert [(row["page"], row["headings"]) for row in rows] == [(1, ["章"]), (2, ["章"])]
    assert rows[1]["text"] == "乙丙丁戊己庚辛壬癸。\n\n丙。"


def test_a_sentence_that_a_page_break_cuts_stays_whole() -> None:
    text, sections = compose([Block(0, "甲乙丙丁戊。", 1), Block(0, "甲乙丙丁戊", 1), Block(0, "己庚辛壬癸。", 2)])
    assert texts(text, sections) == ["甲乙丙丁戊。", "甲乙丙丁戊\n\n己庚辛壬癸。"]


TABLE = "参考值（mmol/L）\n项目 | 男 | 女\n" + "\n".join(f"第{n}项 | {n}.0 | {n}.5" for n in range(1, 9))


def test_a_table_that_fits_is_whole_with_its_caption() -> None:
    text = "正文第一段有一些字。\n\n" + TABLE + "\n\n正文第二段也有一些字。"
    assert texts(text, config=SegmentConfig(max_chars={"en": len(TABLE) + 5}, min_chars={"en": 5}))[1] == TABLE


def test_the_later_pieces_of_a_long_table_have_its_caption_and_header_as_headings() -> None:
    blocks = [Block(1, "化验"), Block(0, "说明文字。"), Block(0, TABLE)]
    text, sections = compose(blocks)
    rows = segmented(text, sections, config=SegmentConfig(max_chars={"en": 60}, min_chars={"en": 5}))
    inside = [row for row in rows if row["text"].startswith("第")]
    assert len(inside) > 1
    assert all(row["headings"] == ["化验", "参考值（mmol/L）", "项目 | 男 | 女"] for row in inside)
    assert any("参考值（mmol/L）\n项目 | 男 | 女\n第1项" in row["text"] for row in rows)
    assert "\n".join(row["text"] for row in rows).endswith(TABLE.split("\n", 2)[2])


LIST = "\n".join(f"- 要点{n}多喝水" for n in range(4))


@pytest.mark.parametrize(
    ("parts", "together"),
    [
        (("一段普通的文字在这里。", "应当做到：", LIST, "又一段普通的文字在这里。"), "应当做到：\n\n" + LIST),
        (("一段普通的文字在这里长一些。", LIST, "又一段普通的文字在这里。"), LIST),
        (
            ("普通一段文字。" * 3, "口服一次三片。", "禁忌：孕妇及哺乳期妇女。", "普通。" * 8),
            "口服一次三片。\n\n禁忌：孕妇及哺乳期妇女。",
        ),
        (
            ("普通一段文字。" * 3, "问：发热怎么办？", "答：先量体温再说。", "普通。" * 8),
            "问：发热怎么办？\n\n答：先量体温再说。",
        ),
        (("一段普通的文字。" * 4 + "此药可退热。孕妇禁用此药。" + "又说。" * 10,), "此药可退热。孕妇禁用此药。"),
    ],
)
def test_what_belongs_together_is_not_cut_where_it_fits(parts: tuple[str, ...], together: str) -> None:
    rows = texts("\n\n".join(parts), config=SegmentConfig(max_chars={"en": 45}, min_chars={"en": 5}))
    assert len(rows) > 1
    assert any(together in row for row in rows)


def test_boilerplate_is_left_out_and_accounted_for() -> None:
    text, sections = compose([Block(1, "题"), Block(0, "甲乙丙丁。"), Block(0, "分享到微博"), Block(0, "戊己庚辛。")])
    at = text.index("分享到")
    marked = [{"start": at, "end": at + 3}, {"start": at + 3, "end": at + 5}]
    rows = segmented(text, sections, marked)
    assert [(row["text"], row["drop_reason"]) for row in rows] == [
        ("甲乙丙丁。", None),
        ("分享到微博", "boilerplate"),
        ("戊己庚辛。", None),
    ]
    assert [row["headings"] for row in rows] == [["题"], [], ["题"]]


@pytest.mark.parametrize(("text", "reasons"), [("甲。", [None]), (" \n", ["no_text"]), ("", ["no_text"])])
def test_a_document_without_text_is_accounted_for(text: str, reasons: list[str | None]) -> None:
    assert segment_documents(documents(text), SMALL)["drop_reason"].to_pylist() == reasons


def test_no_documents_give_no_passages() -> None:
    assert segment_documents(documents("甲。").slice(0, 0), SMALL).schema.equals(marked_schema(PASSAGE))


def test_a_text_that_repeats_in_its_document_is_dropped_once_found() -> None:
    body = "请遵医嘱服药不可自行停药。"
    text, sections = compose([Block(1, "一"), Block(0, body), Block(1, "二"), Block(0, body)])
    assert [row["drop_reason"] for row in segmented(text, sections)] == [None, "repeated_in_document"]


def test_sharding_does_not_change_passages() -> None:
    whole = documents("甲。" * 30, "乙丙。" * 9, "")
    apart = [segment_documents(whole.slice(row, 1), SMALL) for row in range(whole.num_rows)]
    assert pa.concat_tables(apart).equals(segment_documents(whole, SMALL).combine_chunks())


def test_a_budget_in_tokens_counts_those_of_the_tokenizer(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer(tmp_path)
    config = SegmentConfig(max_tokens=60, min_chars={"en": 5})
    text = "".join(f"第{n}条：高血压患者应当监测血压。" for n in range(40))
    table = segment_documents(documents(text), config, {"tokenizer": [tmp_path]})
    sizes = [len(tokenizer(passage, add_special_tokens=False)["input_ids"]) for passage in table["text"].to_pylist()]
    assert max(sizes) <= 60 + 2
    assert len(sizes) > 5
    assert "".join(table["text"].to_pylist()) == text


def test_another_model_makes_new_passages_only_where_its_tokens_are_the_budget(tmp_path: Path) -> None:
    recipe = write_world(tmp_path, tables="[segment]\n")
    tiny_tokenizer(tmp_path / "other", vocab=300)
    (tmp_path / "other" / "config.json").write_text("{}")
    keys = {}
    for budget in ("", "max_tokens = 200"):
        for model in ("model", "other"):
            written = recipe.read_text().replace('model = "model"', f'model = "{model}"')
            path = recipe.with_name(f"{model}.toml")
            path.write_text(written.replace("[segment]\n", f"[segment]\n{budget}\n"))
            keys[budget, model] = read_line(path, through="segment").steps[-1].key
    assert keys["", "model"] == keys["", "other"]
    assert len(set(keys.values())) == 3


def test_a_model_without_tokenizer_is_named_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"max_tokens: got .*, expected a model with a tokenizer\.json"):
        token_ruler("text", str(tmp_path))


def test_a_table_of_more_units_than_are_cut_at_once_keeps_its_header() -> None:
    rows = "\n".join(f"{n} | {n}" for n in range(BATCH_UNITS * 2 + 100))
    found = segmented("No. | Value\n" + rows, config=SegmentConfig(max_chars={"en": 1000}))
    assert len(found) > 500
    assert all(row["headings"] == ["No. | Value"] for row in found[1:])
    assert "\n".join(row["text"] for row in found) == "No. | Value\n" + rows
