import json
from pathlib import Path

import pytest

from pipeline.readers.language import detect


@pytest.mark.parametrize(
    ("text", "lang"),
    [
        ("高血压是一种常见的慢性疾病。", "zh-Hans"),
        ("高血壓是一種常見的慢性疾病，會損害腎臟。", "zh-Hant"),
        ("客问于予曰：闻予有纲目拾遗之作乎？予曰：然。其言简，其旨赅矣。", "lzh"),
        ("Gout is an inflammatory arthritis caused by crystals in the joints.", "en"),
        ("La goutte est une maladie inflammatoire des articulations due aux cristaux.", "und"),
        ("高血圧とは、血圧が高い状態のことです。", "und"),
        ("고혈압은 흔한 만성 질환이다.", "und"),
        ("患者服用 metformin 和 sulfonylurea 后 HbA1c 下降", "zh-Hans"),
        ("120/80 (5) 3.14", "und"),
        ("", "und"),
    ],
)
def test_scripts_and_registers_are_told_apart(text: str, lang: str) -> None:
    assert detect(text) == lang


def test_real_passages_are_told(real_data: Path) -> None:
    path = real_data / "nonmedical" / "domain_dev" / "labelled.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    english = [detect(row["text"]) == "en" for row in rows if row["lang"] == "en"]
    modern = [
        detect(row["text"]) in ("zh-Hans", "zh-Hant") for row in rows if row["source"] in ("csl", "mtf_wiki", "toyhom")
    ]
    classical = [detect(row["text"]) == "lzh" for row in rows if row["source"] == "tcm"]
    assert sum(english) / len(english) > 0.99
    assert sum(modern) / len(modern) > 0.99
    assert sum(classical) / len(classical) > 0.7
