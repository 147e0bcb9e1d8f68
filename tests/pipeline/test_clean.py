import unicodedata

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.clean import CleanConfig, clean_rows, clean_text
from pipeline.quality import REASONS
from pipeline.records import EXAMPLE, marked_schema, text_hash
from tests.pipeline.tables_of import passages

CONFIG = CleanConfig()
GOOD = (
    "高血压是一种常见的慢性疾病，多数患者早期没有明显症状，常在体检时被发现。长期血压升高会损害心脏、大脑和肾脏等器官，"
    "因此需要坚持治疗。限制食盐、控制体重、规律运动和戒烟限酒有助于控制血压，多数患者仍要长期服用降压药物。"
)
GOOD_EN = (
    "Gout is an inflammatory arthritis caused by the deposition of monosodium urate crystals in and around joints. "
    "Urate is the end product of purine metabolism, and most people with gout have a high serum urate level."
)
CASES = [
    (GOOD, "zh-Hans", None),
    (GOOD_EN, "en", None),
    ("客问于予曰，伤寒之病，其脉浮紧者，麻黄汤主之。汗出而解，不可再服。", "lzh", None),
    ("高血压。", "zh-Hans", "too_short"),
    ("A short line.", "en", "too_short"),
    ("【广告】康欣牌智能手环今日限时优惠，扫码下单即可包邮到家。高血压要治。", "zh-Hans", "advertisement"),
    ("Advertisement: buy the best pillow of the year now and sleep like a stone.", "en", "advertisement"),
    (GOOD + "□□□□□", "zh-Hans", "missing_glyphs"),
    (
        "1. 张三, 李四. 高血压的治疗[J]. 中华医学杂志, 2019, 99(3): 12-18.\n"
        "2. 王五. 肾病研究[M]. 北京: 人民卫生出版社, 2005.",
        "zh-Hans",
        "references_only",
    ),
    (
        "Smith J, Doe A B, et al. Urate lowering in gout. Lancet 2004;12(3):45-8.\n"
        "Roe R. Colchicine. BMJ 1999;1:2-3. doi:10.1000/x1",
        "en",
        "references_only",
    ),
    ("血压 120/80 130/85 140/90 150/95 160/100 170/105 180/110 1 2 3 4 5 6 7 8 9 10 11 12", "zh-Hans", "symbol_heavy"),
    (GOOD + "#" * 40, "zh-Hans", "symbol_heavy"),
    (
        "高血压症状 高血压治疗 糖尿病饮食 冠心病预防 脑卒中康复 老年人保健 儿童用药 孕期检查 眼科门诊 口腔护理 "
        "皮肤病药膏 中医养生 针灸推拿 骨科手术 体检套餐 医院挂号 专家预约",
        "zh-Hans",
        "no_sentences",
    ),
    (GOOD_EN + " Lorem ipsum dolor sit amet, consectetur adipiscing elit.", "en", "placeholder"),
    ("患者应当注意休息并且多饮水，避免劳累和受凉。\n" * 4, "zh-Hans", "repetitive"),
    ("这种药物可以缓解头痛和发热症状，" * 8, "zh-Hans", "repetitive"),
]


@pytest.mark.parametrize(("text", "lang", "reason"), CASES)
def test_each_rule_fires_alone(text: str, lang: str, reason: str | None) -> None:
    assert clean_rows(passages(text, lang=lang), CONFIG)["drop_reason"].to_pylist() == [reason]


def test_every_rule_has_a_case() -> None:
    assert {reason for _, _, reason in CASES} == {None, *REASONS}


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("血压升高[1]会损害肾脏[2,3]和心脏 [4-6]。", "血压升高会损害肾脏和心脏。"),
        ("第一段。\n\n\n\n　　第二段。  ", "第一段。\n\n第二段。"),
        ("高\u200b血\ufeff压\x07病", "高血压病"),
        ("详见\nhttps://example.org/a/b?c=1\n正文。", "详见\n正文。"),
        ("正文。\n责任编辑：张三\n版权所有 © 2024 清溪健康网", "正文。"),
        ("Text.\n© 2024 Lindenbrook. All rights reserved.\nWe use cookies to improve this website.", "Text."),
        ("缓解疼痛。加微信领取优惠券。及时就医。", "缓解疼痛。及时就医。"),
        ("Rest helps. Click here to buy a pillow. See a doctor.", "Rest helps. See a doctor."),
        ("cafe\u0301", "caf\u00e9"),
        ("１２０ｍｍＨｇ", "１２０ｍｍＨｇ"),
    ],
)
def test_text_comes_out_clean(text: str, cleaned: str) -> None:
    assert clean_text(text, "zh-Hans", CONFIG) == cleaned


@given(text=st.text(alphabet="高血压，。 　\n\t[1]#a.B\u200be\u0301广告：Advert"))
def test_cleaning_depends_on_the_text_alone_and_leaves_normal_text(text: str) -> None:
    row = clean_rows(passages(text), CONFIG).to_pylist()[0]
    assert row["text"] == clean_text(text, "zh-Hans", CONFIG)
    assert row["text"] == row["text"].strip() == unicodedata.normalize("NFC", row["text"])


def test_rows_keep_their_order_and_ids() -> None:
    before = passages(GOOD, "短。", GOOD_EN)
    after = clean_rows(before, CONFIG)
    assert after["id"].to_pylist() == before["id"].to_pylist()
    assert after.schema.names == [*before.schema.names, "drop_reason", "drop_detail"]


def test_prose_that_cites_is_no_bibliography() -> None:
    text = (
        "Potassium is necessary for conduction of nerve impulses (Dalga et al., 2023). "
        "Stock et al. (Eur Respir J 25:47-53, 2005) estimated it."
    )
    assert clean_rows(passages(text, lang="en"), CONFIG)["drop_reason"].to_pylist() == [None]


@settings(deadline=None)
@given(
    lines=st.lists(
        st.sampled_from(
            [
                "高血压[1]要治[[2]3]。",
                "扫码领取",
                "点击这里。多饮水。",
                "广告：新品",
                "https://a.org/x",
                "见 (http://b.org)。",
                "[1] 张三. 痛风[J]. 2019, 3: 1.",
                "参考文献",
                "首页 | 登录",
                "锛屽彂鐑銆",
                "Ã©tÃ©",
                "Call now. Rest.",
                "95% CI [1, 3]",
                "",
                "\u200b e\u0301",
            ]
        ),
        max_size=6,
    ),
    joint=st.sampled_from(["\n", "", " ", "\n\n\n", "\r\n", "\u3000"]),
    lang=st.sampled_from(["zh-Hans", "zh-Hant", "en"]),
    simplify=st.booleans(),
)
def test_cleaning_what_is_clean_changes_nothing(lines: list[str], joint: str, lang: str, simplify: bool) -> None:
    config = CleanConfig(simplify=simplify)
    cleaned = clean_text(joint.join(lines), lang, config)
    assert clean_text(cleaned, "zh-Hans" if simplify and lang == "zh-Hant" else lang, config) == cleaned


def dialogue(*messages: tuple[str, str], lang: str = "zh-Hans") -> dict[str, object]:
    turns = [{"role": role, "content": content, "loss": role == "assistant"} for role, content in messages]
    lists: dict[str, list[object]] = {"support": [], "checks": [], "made_by": []}
    common = {"source": "talks", "kind": "sft", "lang": lang, "style": "pairs", "split": ""}
    return {"id": f"talks/{text_hash(str(messages))}", "messages": turns, **common, **lists}


def test_messages_of_pairs_are_cleaned_and_an_emptied_one_drops_its_pair() -> None:
    rows = [
        dialogue(("user", "头痛怎么办？\u200b"), ("assistant", "多休息[1]。加微信领取优惠券。必要时就医。")),
        dialogue(("user", "有药吗？"), ("assistant", "扫码下单，包邮到家。")),
        dialogue(("system", ""), ("user", "是吗？"), ("assistant", "是。")),
        dialogue(("user", "什么是□□？"), ("assistant", "一种药。")),
    ]
    table = clean_rows(pa.Table.from_pylist(rows, schema=EXAMPLE), CONFIG)
    assert table.schema.equals(marked_schema(EXAMPLE))
    contents = [[message["content"] for message in row] for row in table["messages"].to_pylist()]
    assert contents[0] == ["头痛怎么办？", "多休息。必要时就医。"]
    assert contents[2] == ["", "是吗？", "是。"]
    assert table["drop_reason"].to_pylist() == [None, "advertisement", None, "missing_glyphs"]


def test_a_table_without_rows_is_cleaned() -> None:
    assert clean_rows(passages(), CONFIG).num_rows == clean_rows(EXAMPLE.empty_table(), CONFIG).num_rows == 0


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("鐨勬槸鐨勬槸锛屾偅鑰呭彂鐑銆", "的是的是，患者发"),
        ("Les patients ÃĘgÃ©s prÃ©sentent de la fiÃ¨vre.", "présentent de la fièvre."),
    ],
)
def test_mojibake_is_repaired_on_suspects(text: str, cleaned: str) -> None:
    assert cleaned in clean_text(text, "zh-Hans", CONFIG)


@pytest.mark.parametrize(
    "text",
    [
        *("如有不适，应立即咨询医生。", "出现胸痛时请立即咨询。", "患者应立即预约复诊。", "若出血不止，立即咨询医师。"),
        *(
            "来源：为豆科植物甘草的干燥根和根茎。",
            "来源：本品为菊科植物红花的干燥花",
            "Call now if you have chest pain.",
        ),
    ],
)
def test_advice_and_the_origin_of_a_drug_are_no_advertisement(text: str) -> None:
    assert clean_text(text, "zh-Hans", CONFIG) == text


@pytest.mark.parametrize(
    "text",
    [
        *("立即咨询>>", "名医在线，立即预约", "立即预约专家，优惠多多。", "点此立即咨询客服。", "Call now!"),
        *(
            "Call now for a free pillow.",
            "Call now: 555 0100",
            "来源：新华网",
            "来源：人民日报 ",
            "来源：清溪健康公众号",
        ),
    ],
)
def test_calls_to_buy_and_lines_that_name_a_site_go(text: str) -> None:
    assert clean_text(text, "zh-Hans", CONFIG) == ""


@pytest.mark.parametrize(
    "text", ["OR 1.8, 95% CI [1, 3] in adults.", "住院天数中位数为[7]天，范围[3-9]天。", "见图[A]。"]
)
def test_intervals_are_no_reference_marks(text: str) -> None:
    assert clean_text(text, "en", CONFIG) == text


def test_a_pattern_that_is_none_is_refused() -> None:
    with pytest.raises(ValidationError, match="expected a pattern of RE2"):
        CleanConfig(advertisement_lines=("(?=no lookahead)",))


def test_a_recipe_s_own_patterns_take_the_place_of_ours() -> None:
    config = CleanConfig(advertisement_lines=(), advertisement_sentences=("抽奖",), boilerplate_lines=("^推荐阅读",))
    text = "推荐阅读：十种食物\n参加抽奖。多饮水。扫码下单。\n首页"
    assert clean_text(text, "zh-Hans", config) == "多饮水。扫码下单。\n首页"


@pytest.mark.parametrize("text", ["[1" * 50_000 + "]" * 50_000, "www." * 50_000 + " x", "(" * 99_999, "[1,2]" * 40_000])
def test_hostile_texts_end_soon_and_stay_clean(text: str) -> None:
    cleaned = clean_text(text, "en", CONFIG)
    assert clean_text(cleaned, "en", CONFIG) == cleaned


def test_marks_of_digitised_classics_go_and_formulas_stay() -> None:
    text = "<目录> <篇名>自序 内容：\n\n古人有三不朽。\n\n\\x又方\\x 治痹。\\r卫分肉图\\pt31a39.bmp\\r\n\n内容：正文。"
    assert clean_text(text, "lzh", CleanConfig()) == "自序\n\n古人有三不朽。\n\n又方 治痹。卫分肉图\n\n内容：正文。"
    assert clean_text("$\\xi + \\rho$ 与 \\right", "zh-Hans", CleanConfig()) == "$\\xi + \\rho$ 与 \\right"
