import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.readers.encoding import decode
from pipeline.readers.items import Refused
from pipeline.readers.mojibake import repair

WORDS = (
    *("患者", "血压", "血糖", "测量", "医生", "药物", "治疗", "疾病", "疼痛", "发热", "咳嗽", "心脏"),
    *("肾脏", "剂量", "说明", "检查", "症状", "饮食", "运动", "睡眠", "儿童", "老人", "妊娠", "注意"),
)
LOSSY = "戊酸雌二醇注射液，国内尚无相关产品，大多数为日本进口。\n请仔细阅读说明书并在医师指导下使用药物。\n" * 5


def as_gbk(text: str) -> str:
    return "\n".join(line.encode().decode("gbk", errors="replace") for line in text.split("\n"))


def surviving() -> str:
    """Return a line whose UTF-8 has no byte that GBK cannot show: each of its words is six bytes, three pairs."""
    words = [word for word in WORDS if "\ufffd" not in as_gbk(word)]
    assert len(words) >= 8
    return "，，".join(words)


def test_utf8_read_as_gbk_is_undone_exactly_where_nothing_was_lost() -> None:
    text = "\n".join([surviving()] * 3)
    assert as_gbk(text) != text
    assert decode(as_gbk(text).encode()) == text
    assert repair(as_gbk(text))[2] == 0


def test_what_a_wrong_reading_lost_is_counted_and_refused() -> None:
    text, repaired, lost = repair(as_gbk(LOSSY))
    assert 0.02 * repaired < lost == text.count("\ufffd")
    assert "请仔细阅读" in text
    with pytest.raises(Refused, match=rf"^mojibake: .*{lost} of {repaired} characters"):
        decode(as_gbk(LOSSY).encode())


def test_a_few_lost_characters_do_not_lose_a_book() -> None:
    text = "\n".join([surviving()] * 200) + "\n" + LOSSY[: LOSSY.index("\n")]
    undone = decode(as_gbk(text).encode())
    assert undone is not None
    assert undone.startswith(surviving())
    assert 0 < undone.count("\ufffd") < 10


def test_only_the_lines_that_are_mojibake_change() -> None:
    line = surviving()
    text = f"患者应定期测量血压。\n{as_gbk(line)}\nplain ASCII\n{as_gbk(line)}"
    assert repair(text)[0] == f"患者应定期测量血压。\n{line}\nplain ASCII\n{line}"


def test_utf8_read_as_western_is_undone() -> None:
    text = "Menière’s disease and café-au-lait spots: “déjà vu in the naïve patient.\n" * 3
    assert decode(text.encode().decode("cp1252").encode()) == text
    assert decode(text.encode().decode("latin-1").encode()) == text


@pytest.mark.parametrize("western", ["latin-1", "sloppy-windows-1252"])
def test_chinese_in_utf8_read_as_western_is_undone_headings_too(western: str) -> None:
    text = "高血压防治\n患者应定期测量血压，并听从医生的建议。\n坚持用药，少盐。"
    assert decode(text.encode().decode(western).encode()) == text
    assert repair(text.encode().decode(western))[0] == text
    assert repair("a naïve façade, ãbc\n" * 9)[0] == "a naïve façade, ãbc\n" * 9


@given(st.text(alphabet="的一是在有高血压患者应定期测量并听从医生建议，。、abc \n", max_size=200))
def test_what_reads_well_is_left_alone(text: str) -> None:
    assert repair(text) == (text, 0, 0)


def test_a_long_line_without_signs_is_passed_over_at_once() -> None:
    line = "a" * 2_000_000  # looked through from each of its places it would take hours
    assert repair(f"{line}\nÃ©tÃ©")[0] == f"{line}\nété"
