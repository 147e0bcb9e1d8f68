import time
from itertools import pairwise

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.clean import CleanConfig, clean_rows, clean_text
from pipeline.privacy import MARKS, find_personal_data, mark_of, mask_personal_data
from pipeline.recognisers import is_nhs_number, is_resident_number, passes_luhn
from pipeline.records import EXAMPLE
from pipeline.shards import DROPPED, write_part
from tests.pipeline.tables_of import passages
from tests.planted import TEMPLATES, Planted, planted

ITEMS = {type: planted(type) for type in TEMPLATES}


def hidden(item: Planted) -> bool:
    """Tell whether every letter and digit of a planted item is found."""
    covered = {place for found in find_personal_data(item.text) for place in range(found.start, found.end)}
    return all(place in covered for place in range(item.start, item.end) if item.text[place].isalnum())


@pytest.mark.parametrize("type", TEMPLATES)
def test_of_planted_items_of_each_type_at_least_98_in_100_are_found(type):
    missed = [item for item in ITEMS[type] if not hidden(item)]
    assert len(ITEMS[type]) >= 200
    assert len({item.value for item in ITEMS[type]}) >= 50
    assert len(missed) <= 0.02 * len(ITEMS[type]), missed[:5]


def test_every_type_is_planted_and_has_marks_of_its_own():
    assert set(TEMPLATES) == set(MARKS)
    assert len({mark for marks in MARKS.values() for mark in marks}) == 2 * len(MARKS)


@pytest.mark.parametrize("type", TEMPLATES)
def test_what_is_masked_is_gone_and_masking_again_changes_nothing(type):
    for item in ITEMS[type]:
        lang = "zh-Hans" if item.lang == "zh" else "en"
        masked, types, chars = mask_personal_data(item.text, lang)
        assert mask_personal_data(masked, lang) == (masked, {}, 0)
        if hidden(item):
            assert item.value not in masked
            assert types
            assert chars >= sum(map(str.isalnum, item.value))


def test_no_mark_is_found_beside_any_label():
    labelled = [
        item.text[: item.start] + mark_of(type, lang) + item.text[item.end :]
        for type in ITEMS
        for item in ITEMS[type][:40]
        for lang in ("zh-Hans", "en")
    ]
    found = [(text, [text[one.start : one.end] for one in find_personal_data(text)]) for text in labelled]
    assert not [one for one in found if any("[" in value or "]" in value for value in one[1])]


CODES = [
    "国药准字Z20025123，国药准字H20013800138，批号：13800138000。",
    "doi:10.3760/cma.j.cn112137-20200101-00123，PMID: 31978945，PMCID: PMC7092802。",
    "ISBN 978-7-117-12345-6；ISSN 0253-9624；ISBN 9787117123456。",
    "注册号 NCT01234567、ChiCTR2000029308、ISRCTN12345678。",
    "国家自然科学基金（编号：81370123811）资助，项目编号13812345678。",
    "ICD-10编码 E11.900、I10.x00x002；基因 BRCA1 rs1801133，NM_007294.4。",
    "血压 120/80 130/85 140/90 mmHg，血糖 5.6 6.1 7.8 8.3 mmol/L，心率 72 次/分。",
    "白细胞 4.5×10^9/L，血小板 125~350×10^9/L，eGFR 90 85 80 75 60。",
    "每日 1000 1500 2000 mg，疗程 2010-2015 年，发表于 2020-01-15。",
    "请拨打120急救，或110报警，心理援助热线12320；咨询 400-820-8820。",
    "测得 130 1400 1500 1600 1700 ml 的尿量。",
    "发表于2019年5月3日，2020年1月1日起施行，张仲景约生于公元150年。",
    "孙中山于1866年11月12日出生于广东。李时珍生于1518年。",
    "患者：高血压，怎么治疗？病人：最近头疼。患者，男，56岁。患者张某，女，30岁，李某某诉腹痛。",
    "患者高热，女性多见。患者常因劳累发病。病人黄疸，因胆道梗阻。",
    "王医生您好，李主任你好，请问张大夫在吗？医生姓名：周建英。李时珍先生著《本草纲目》。",
    "尿路3号方，通路1号，第2号染色体，经络路线5号。病房在3号楼，取药到1号窗口。",
    "作者地址不详；地址：略。该药名叫黄连，味苦。药名：黄连解毒汤。",
    "Published May 12, 2020. Darwin was born on 12 February 1809. Vol. 12, 2019; 345:1-9.",
    "Call 911 or 1-800-232-4636; grant R01-HL-123456; version 10.0.19041.1234.",
    "Brand name: Tylenol Extra. Generic name: Folic Acid. Drug name: Vitamin B Complex.",
    "Patient: Yes, I do. Patient: No Ma'am. Doctor: Hello, how are you? Dear Sir or Madam, Dear Colleagues,",
    "The patient is 54 years old, 170 cm, 70 kg, 120 130 1450 ml. Mean 943 476 5920 and 12 345 6789 units.",
    "She lives in the United States. The address is not given. Insured patients live at home.",
    "See https://example.org/details.html?id=5183272274855936 and 192.168.100.100.",
    "@property decorators, a@b and 5 @ 3 dot products.",
    "CT号 Q 值，微信公众号，QQ 间期延长，车牌效应，银行卡片。",
]


@pytest.mark.parametrize("text", CODES)
def test_codes_measurements_and_public_facts_are_left_alone(text):
    assert [text[found.start : found.end] for found in find_personal_data(text)] == []


def test_checksums_agree_with_published_numbers():
    assert is_resident_number("11010519491231002X")  # GB 11643-1999, annex
    assert not is_resident_number("110105194912310021")
    assert not is_resident_number("110105194913310025")
    assert is_nhs_number("943 476 5919")  # NHS Data Dictionary
    assert not is_nhs_number("943 476 5918")
    assert passes_luhn("4111 1111 1111 1111")
    assert not passes_luhn("4111 1111 1111 1112")


@given(
    st.text(alphabet="0123456789０１Xx+-. ()（）年月日生于@患者姓名：张三先生您好电话路号室市区id:MRaDe", max_size=300)
)
def test_findings_are_in_order_apart_and_gone_after_masking(text):
    found = find_personal_data(text)
    assert all(0 <= item.start < item.end <= len(text) for item in found)
    assert all(one.end <= other.start for one, other in pairwise(found))
    masked, _, _ = mask_personal_data(text, "zh-Hans")
    assert find_personal_data(masked) == []


HOSTILE = [
    "1",
    "1 ",
    "1-",
    "a",
    "a.",
    "张",
    "张三",
    "姓名：",
    "@",
    "a@",
    "(at",
    "路1号",
    "北京市",
    "1990年",
    "Dear A ",
    "住",
    "+8",
    "(",
    "电话",
    "Name: A ",
]


@pytest.mark.parametrize("piece", HOSTILE)
def test_time_grows_with_the_length_of_a_hostile_text(piece):
    def seconds(chars: int) -> float:
        text = piece * (chars // len(piece))
        times = []
        for _ in range(3):
            started = time.process_time()
            find_personal_data(text)
            times.append(time.process_time() - started)
        return min(times)

    # 16 times the text: a quadratic search takes 256 times as long, and a machine at work on other things not 64
    assert seconds(128_000) < 64 * max(0.005, seconds(8_000))


LETTER = (
    "尊敬的王建国先生：您好。您的检查结果已经出来，血压和血糖都高于正常范围，请您坚持限盐饮食，按时服用降压药物。"
    "复查时请带上病历，如果出现头晕、胸闷，请致电13800138000，或者到门诊来就诊，由医生调整用药的剂量。"
)
HIDDEN = LETTER.replace("王建国", "[姓名]").replace("13800138000", "[电话]")
SECRETS = ("王建国", "13800138000")


def cleaned(config: CleanConfig, text: str = LETTER) -> dict:
    table = passages(text)
    for name, value in (
        ("title", pa.array(["患者王建国，男，56岁"])),
        (
            "headings",
            pa.array(
                [
                    ["联系电话13800138000"],
                ]
            ),
        ),
    ):
        place = table.schema.get_field_index(name)
        table = table.set_column(place, table.schema.field(name), value.cast(table.schema.field(name).type))
    return clean_rows(table, config).to_pylist()[0]


@pytest.mark.parametrize("title", ["Mr.", "Mrs", "Dr.", "Prof."])
def test_the_title_of_a_masked_name_stays(title):
    assert mask_personal_data(f"Dear {title} Smith, welcome", "en")[0] == f"Dear {title} [name], welcome"


def test_clean_masks_text_title_and_headings_and_says_nothing_where_little_was_found():
    row = cleaned(CleanConfig())
    assert (row["text"], row["title"], row["headings"]) == (HIDDEN, "患者[姓名]，男，56岁", ["联系电话[电话]"])
    assert row["drop_reason"] is None
    assert clean_text(LETTER, "zh-Hans", CleanConfig()) == HIDDEN
    assert clean_text(HIDDEN, "zh-Hans", CleanConfig()) == HIDDEN


@pytest.mark.parametrize(
    "config", [{"personal_data": "drop"}, {"max_personal_items": 1}, {"max_personal_share": 0.05}], ids=str
)
def test_a_text_with_too_much_is_dropped_with_types_and_counts_and_without_the_data(config, tmp_path):
    row = cleaned(CleanConfig(**config))
    assert (row["drop_reason"], row["drop_detail"]) == ("personal_data", "1 name, 1 phone")
    assert not [secret for secret in SECRETS if secret in str(row)]


def test_dropped_rows_of_any_reason_keep_no_personal_data_on_disk(tmp_path):
    table = clean_rows(
        passages(LETTER, LETTER + "□" * 20, "患者王建国，男，头晕三天来诊。"), CleanConfig(max_personal_items=1)
    )
    assert table["drop_reason"].to_pylist() == ["personal_data", "personal_data", "too_short"]
    record = pa.schema([field for field in table.schema if not field.name.startswith("drop_")])
    write_part(tmp_path, 0, table, record, rows_in=3)
    dropped = tmp_path / "dropped-00000.parquet"
    rows = pq.read_table(dropped).to_pylist()
    assert [row["row"] is not None for row in rows] == [True] * 3
    assert set(rows[0]) == set(DROPPED.names)
    assert not [secret for secret in SECRETS for row in rows if secret in str(row)]


def test_personal_data_is_kept_where_the_recipe_says_so():
    row = cleaned(CleanConfig(personal_data="keep"))
    assert (row["text"], row["title"], row["drop_reason"]) == (LETTER, "患者王建国，男，56岁", None)


def test_messages_of_all_roles_are_masked_and_counted_together():
    contents = {"system": "患者姓名：王建国。", "user": "我叫王建国，电话13800138000，最近头晕。", "assistant": LETTER}
    messages = [{"role": role, "content": content, "loss": role == "assistant"} for role, content in contents.items()]
    row = {field.name: "x" for field in EXAMPLE} | {"messages": messages, "support": [], "checks": [], "made_by": []}
    examples = pa.Table.from_pylist([row | {"lang": "zh-Hans"}], schema=EXAMPLE)
    after = clean_rows(examples, CleanConfig()).to_pylist()[0]
    assert [message["content"] for message in after["messages"]] == [
        "患者姓名：[姓名]。",
        "我叫[姓名]，电话[电话]，最近头晕。",
        HIDDEN,
    ]
    assert after["drop_reason"] is None
    assert clean_rows(examples, CleanConfig(max_personal_items=4))["drop_detail"].to_pylist() == ["3 name, 2 phone"]
