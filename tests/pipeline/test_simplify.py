import pytest

from pipeline.clean import CleanConfig, clean_rows, clean_text
from pipeline.simplify import simplified
from tests.pipeline.tables_of import passages

CONFIG = CleanConfig(simplify=True)
TERMS = """
    壞死 坏死  組織壞死 组织坏死  癥瘕 癥瘕  癥瘕積聚 癥瘕积聚  癥積 癥积  痃癥 痃癥  癥狀 症状  體癥 体症  癥結 症结
    乾薑 干姜  乾坤 乾坤  乾隆 乾隆  乾燥 干燥  乾咳 干咳  乾嘔 干呕  神麴 神曲  麴黴 曲霉  紅麴 红曲
    著名 著名  著作 著作  編著 编著  原著 原著  專著 专著  顯著 显著  昭著 昭著  卓著 卓著  土著 土著
    接著 接着  附著 附着  隨著 随着  睡著 睡着  著床 着床  著涼 着凉  意味著 意味着
    躺著有困難 躺着有困难  接著作心電圖 接着作心电图  接著說明 接着说明  所著 所著
    著有《醫貫》 著有《医贯》  張仲景著《傷寒論》 张仲景著《伤寒论》
    鬱金 郁金  昇麻 升麻  穀芽 谷芽  山茱萸 山茱萸  覆盆子 覆盆子  複方 复方  五臟 五脏  皇后 皇后  以後 以后
    鍾乳石 钟乳石  痠痛 酸痛  癒合 愈合  黴菌 霉菌  梅毒 梅毒  徵候 征候  瘀血 瘀血  薑黃 姜黄  頭髮 头发  發熱 发热
"""
TRADITIONAL = (
    "癥瘕之為病，多因氣滯血瘀，接著出現乾嘔、發熱等癥狀，療效顯著者以神麴、乾薑配伍。組織壞死者，應當儘早就醫，"
    "並且注意飲食清淡，不可勞累。"
)


@pytest.mark.parametrize(("before", "after"), list(zip(TERMS.split()[::2], TERMS.split()[1::2], strict=True)))
def test_terms_are_written_as_the_standard_has_them(before: str, after: str) -> None:
    assert simplified(before) == after
    assert simplified(f"，{before}。") == f"，{after}。"


def test_a_traditional_passage_is_simplified_and_says_so_and_can_be_made_again() -> None:
    [row] = clean_rows(passages(TRADITIONAL, lang="zh-Hant"), CONFIG).to_pylist()
    assert (row["lang"], row["drop_reason"]) == ("zh-Hans", None)
    assert row["text"] == clean_text(TRADITIONAL, "zh-Hant", CONFIG)
    assert row["text"].startswith("癥瘕之为病，多因气滞血瘀，接着出现干呕、发热等症状，疗效显著者以神曲、干姜配伍。")
    assert clean_text(row["text"], row["lang"], CONFIG) == row["text"]


@pytest.mark.parametrize("lang", ["zh-Hans", "lzh", "en", "und"])
def test_text_of_another_language_keeps_its_characters(lang: str) -> None:
    text = "心肌坏死、着床与著作，乾坤与乾姜、神麴与癥瘕，都照原样保留，不作任何改动，以免误伤原文的用字。"
    assert clean_text(text, lang, CONFIG) == text


def test_nothing_is_simplified_unless_asked_for() -> None:
    [row] = clean_rows(passages(TRADITIONAL, lang="zh-Hant"), CleanConfig()).to_pylist()
    assert (row["lang"], row["text"]) == ("zh-Hant", TRADITIONAL)
