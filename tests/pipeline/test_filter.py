import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.domain import least_relevance, read_lexicons, read_weights, relevance
from pipeline.filter import FilterConfig, filter_documents
from pipeline.readers.language import detect
from pipeline.select import SelectConfig
from tests.pipeline.tables_of import documents

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
LEXICONS = (RECIPES / "lexicons" / "medical_zh.txt", RECIPES / "lexicons" / "medical_en.txt")
MEDICAL = "高血压患者应按时服用降压药物，定期测量血压，并遵医嘱复查肝功能和肾功能。" * 2
COOKING = "把土豆切成丝放进锅里翻炒三分钟，加盐和酱油，出锅前撒上葱花就可以吃了。" * 2
CASES = [
    (MEDICAL, "zh-Hans", None),
    (COOKING, "zh-Hans", "off_domain"),
    ("高血压。", "zh-Hans", "too_short"),
    (MEDICAL, "und", "wrong_language"),
    ("Patients with diabetes need insulin, a healthy diet and regular blood tests. " * 2, "en", None),
    ("The suspension bridge hangs from long cables that pass over two tall towers. " * 2, "en", "off_domain"),
]


@pytest.mark.parametrize(("text", "lang", "reason"), CASES)
def test_each_rule_fires_alone(text: str, lang: str, reason: str | None) -> None:
    marked = filter_documents(documents(text, lang=lang), FilterConfig(), {"lexicons": LEXICONS})
    assert marked["drop_reason"].to_pylist() == [reason]
    assert (marked["drop_detail"].to_pylist() == [None]) == (reason is None)


def test_without_lexicons_any_domain_stays() -> None:
    assert filter_documents(documents(COOKING), FilterConfig(), {})["drop_reason"].to_pylist() == [None]


def test_lexicons_say_where_they_come_from_and_hold_clean_terms() -> None:
    for path in LEXICONS:
        assert path.stat().st_size < 1_000_000
        lines = path.read_text(encoding="utf-8").splitlines()
        head = [line for line in lines if line.startswith("#")]
        terms = [line.partition("\t")[0] for line in lines if not line.startswith("#")]
        assert any("commit " in line for line in head)
        assert any("Weights: " in line for line in head)
        assert terms == sorted(set(terms))
        assert all(term == term.strip().lower() for term in terms)
        assert all(-1 <= weight <= 1 for weight in read_weights((path,)).values())


PROBES = Path(__file__).parent / "domain_probes.tsv"  # label, language, genre, text: written for these tests


def accuracy(rows: list[dict[str, str]], limits: dict[str, float], by: str) -> dict[str, float]:
    """The share of labelled passages told right, by one of their columns."""
    found = relevance([row["text"] for row in rows], read_lexicons(LEXICONS))
    least = least_relevance([detect(row["text"]) for row in rows], limits)
    right = (found >= least) == np.array([row["label"] == "medical" for row in rows])
    return {name: float(right[[row[by] == name for row in rows]].mean()) for name in {row[by] for row in rows}}


LIMITS = [FilterConfig().min_relevance, SelectConfig(languages=(), lexicons=()).min_relevance]


@pytest.mark.parametrize("limits", LIMITS)
def test_the_domain_is_told_in_many_genres(limits: dict[str, float]) -> None:
    names = ("label", "lang", "genre", "text")
    rows = [dict(zip(names, line.split("\t"), strict=True)) for line in PROBES.read_text("utf-8").splitlines()]
    assert len(rows) > 100
    assert {row["lang"] for row in rows} == {"zh", "zh-Hant", "en"}
    for lang, share in accuracy(rows, limits, by="lang").items():
        assert share >= 0.95, lang


@pytest.mark.parametrize("limits", LIMITS)
def test_the_domain_is_told_on_labelled_passages(real_data: Path, limits: dict[str, float]) -> None:
    path = real_data / "nonmedical" / "domain_dev" / "labelled.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    rows = [row for row in rows if row["label"] != "borderline" and not row["suspect"]]
    assert min(accuracy(rows, limits, by="source").values()) > 0.9
    pooled = accuracy(rows, limits, by="lang")
    assert pooled["zh"] > 0.96
    assert pooled["en"] > 0.97
