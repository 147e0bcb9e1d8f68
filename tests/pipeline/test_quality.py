"""What is judged: counts against plain Python, good prose of real corpora, and junk of each sort."""

import json
import random
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import characters
from pipeline.clean import CleanConfig, clean_column, clean_rows, tidied, unmarked, without_debris
from tests.pipeline.tables_of import passages

CONFIG = CleanConfig()
GOOD = (
    "痛风是由尿酸盐结晶沉积于关节引起的炎症性疾病，急性期以消炎止痛为主，缓解期需要长期降低血尿酸水平，"
    "并注意控制体重、限制饮酒，定期复查肾功能和血尿酸。"
)
TEXTS = st.text(alphabet="高血压病人，。；！ab.C 1\n|-•*□口\ue000#…①", max_size=80)


def by_hand(text: str, size: int) -> list[int]:
    """Count as the docstring of `characters.count` says, with strings and sets."""
    lines = [line for line in text.split("\n") if line]
    framed = [line for line in lines if "|" in line or re.match(r"[-•*]|[\d①]+[.、)）]", line)]
    dense = [char for char in text if not char.isspace()]
    free = "".join(char for line in lines if line not in framed for char in line if not char.isspace())
    seen: set[str] = set()
    covered: set[int] = set()
    for start in range(len(free) - size + 1):
        if (ngram := free[start : start + size]) in seen:
            covered |= set(range(start, start + size))
        seen.add(ngram)
    ordinary = frozenset(characters.ORDINARY)
    symbols = [c for c in dense if not c.isalnum() and c not in ordinary and unicodedata.category(c)[0] != "M"]
    boxes = sum(len(run) for line in lines for run in re.findall("口{3,}", "".join(line.split())))
    return [
        len(text),
        len(dense),
        sum(char.isalpha() for char in dense),
        len(symbols),
        sum(char in characters.BOXES or "\ue000" <= char <= "\uf8ff" or char == "\ufffd" for char in dense) + boxes,
        sum(char in characters.PAUSES for char in dense),
        sum(map(len, lines)),
        sum(len(line) for place, line in enumerate(lines) if line in lines[:place]),
        len(covered),
        sum(map(len, framed)),
    ]


@settings(deadline=None)
@given(texts=st.lists(TEXTS, min_size=1, max_size=3), size=st.integers(min_value=1, max_value=5))
def test_counts_are_those_of_plain_python(texts: list[str], size: int) -> None:
    counted = characters.count(pa.array(texts), np.full(len(texts), size))
    assert counted.tolist() == [by_hand(text, size) for text in texts]


@settings(max_examples=300, deadline=None)
@given(
    text=st.text(max_size=20)
    | st.text(alphabet="高e\u0301\u1161\uac00 \t\u3000\n\r\u200b\u00c3\u00e2\u951bＡ", max_size=12)
)
def test_a_text_that_is_not_found_untidy_is_tidy(text: str) -> None:
    found = characters.untidy(pa.array([text]))[0]
    assert found or tidied(text) == text
    assert tidied(tidied(text)) == tidied(text)


JUNK = {
    "navigation": "首页 | 新闻中心 | 专家介绍 | 科室导航 | 联系我们\n"
    "关于我们 | 网站地图 | 在线咨询 | 会员中心 | 登录 | 注册",
    "navigation_en": "Home | About us | Contact us | Log in | Register | Sitemap | Privacy policy | Terms of use",
    "stuffing": "高血压 高血压症状 高血压治疗 高血压饮食 高血压用药 "
    "高血压食谱 高血压吃什么好 高血压怎么治 高血压偏方 高血压专家 高血压医院",
    "stuffing_en": "cheap pills buy pills online pills best pills weight loss pills diet pills natural pills " * 5,
    "digits": "2019 1.23 4.56 7.89\n2020 2.34 5.67 8.90\n2021 3.45 6.78 9.01\n2022 4.56 7.89 0.12\n" * 3,
    "debris": "~^ l1| _. ,;' ^^ |l ~~ ¬¬ ¦¦ §§ ¤¤ ^l| ~. ,_ ;; ¬¬ ¦¦ §§ ¤¤ ^^ ~~ " * 4,
    "boxes": "患者服用口口口口与□□□□之后，症状明显减轻，继续服用半个月，然后改服■■■■巩固疗效。",
    "placeholder": "Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor.",
    "cookies": "We use cookies to improve your experience. Accept all cookies or change your cookie settings here.",
    "script": "Please enable JavaScript in your browser to view this page. This site requires JavaScript to work.",
    "script_zh": "您的浏览器不支持JavaScript，请启用JavaScript之后刷新本页面，以便正常浏览全部的内容。",
    "loop": "复方丹参滴丸用于冠心病心绞痛的治疗，" * 12,
    "promotion": "新品上市，限时优惠，扫码下单即可包邮到家，厂家直销，买一送一，先到先得，送完为止。",
}


@pytest.mark.parametrize("text", JUNK.values(), ids=JUNK.keys())
def test_junk_is_dropped(text: str) -> None:
    lang = "en" if text.isascii() or "¬" in text else "zh-Hans"
    assert clean_rows(passages(text, lang=lang), CONFIG)["drop_reason"].to_pylist() != [None]


LISTS = [
    "- 鸡蛋 2 个\n- 面粉 200 克\n- 牛奶 250 毫升\n- 白糖 20 克\n- 黄油 15 克\n- 食盐 2 克\n- 酵母 3 克",
    "药物 | 剂量 | 次数\n阿莫西林 | 0.5 g | 每日三次\n头孢克洛 | 0.25 g | 每日三次\n"
    "布洛芬 | 0.3 g | 每日三次\n甲硝唑 | 0.4 g | 每日三次",
    "1. 询问患者的过敏史，必要时做皮试。\n2. 询问患者的用药史，必要时查血药浓度。\n"
    "3. 询问患者的家族史，必要时做基因检测。",
    "- Explain the indications, actions, adverse reactions, and interactions of drugs used to treat gout.\n"
    "- Explain the indications, actions, adverse reactions, and interactions of drugs used to treat pain.",
]


@pytest.mark.parametrize("text", LISTS)
def test_lists_and_tables_are_no_junk(text: str) -> None:
    lang = "en" if text.isascii() else "zh-Hans"
    assert clean_rows(passages(text, lang=lang), CONFIG)["drop_reason"].to_pylist() == [None]


def real_texts(data: Path) -> Iterator[tuple[str, str, list[str]]]:
    """Yield name, language and some hundred texts of good prose of each of five corpora."""
    abstracts = (data / "literature/csl_zh/ts_dev.tsv").read_text(encoding="utf-8").splitlines()
    yield "csl", "zh-Hans", [line.split("\t")[1] for line in abstracts]
    items = json.loads((data / "literature/pubmedqa/ori_pqal.json").read_text(encoding="utf-8"))
    yield "pubmedqa", "en", ["\n\n".join(item["CONTEXTS"]) for item in items.values()]
    answers = [
        " ".join(("".join(answer.itertext())).split())
        for path in sorted((data / "encyclopedia/medquad").rglob("*.xml"))[::4]
        for answer in ElementTree.parse(path).iter("Answer")
    ]
    yield "medquad", "en", [answer for answer in answers if len(answer) >= 80]
    paragraphs = [
        " ".join("".join(paragraph.itertext()).split())
        for path in sorted((data / "books/openstax_pharmacology_cnxml").rglob("*.cnxml"))[::4]
        for paragraph in ElementTree.parse(path).iter("{http://cnx.rice.edu/cnxml}para")
    ]
    yield "openstax", "en", [paragraph for paragraph in paragraphs if len(paragraph) >= 80]
    books = sorted((data / "books/tcm_gb18030").glob("*.txt"))[::6]
    lines = [
        line.strip() for book in books for line in book.read_text(encoding="gb18030", errors="replace").split("\n")
    ]
    yield "tcm", "lzh", [line for line in lines if len(line) >= 30]


def test_good_prose_passes_and_is_left_as_it_is(real_data: Path) -> None:
    for name, lang, texts in real_texts(real_data):
        assert len(texts) >= 300, name
        chosen = random.Random(0).sample(texts, min(len(texts), 1500))
        reasons = clean_rows(passages(*chosen, lang=lang), CONFIG)["drop_reason"].to_pylist()
        assert reasons.count(None) >= 0.97 * len(reasons), (name, [r for r in reasons if r])


def test_what_is_found_in_whole_columns_is_what_is_found_text_by_text(real_data: Path) -> None:
    for name, lang, texts in real_texts(real_data):
        chosen = random.Random(1).sample(texts, 300)
        together = clean_column(pa.array(chosen), [lang] * len(chosen), CONFIG).texts.to_pylist()
        assert without_debris([unmarked(tidied(text)) for text in chosen], CONFIG)[0] == together, name
        again = clean_column(pa.array(together), [lang] * len(together), CONFIG).texts.to_pylist()
        assert again == together, name
        untouched = sum(before == after for before, after in zip(chosen, together, strict=True))
        assert untouched >= 0.8 * len(chosen), name
