import json
from pathlib import Path

import pytest

from pipeline.filter import FilterConfig, density, filter_documents
from pipeline.readers.language import detect
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


def test_density_is_the_share_of_letters_in_terms(tmp_path: Path) -> None:
    lexicon = tmp_path / "terms.txt"
    lexicon.write_text("# made up\n高血压\nblood pressure\nPRESSURE\nulcer\n", encoding="utf-8")
    assert density("高血压很常见", (lexicon,)) == pytest.approx(3 / 6)
    assert density("Blood pressure rose, 120 / 80.", (lexicon,)) == pytest.approx(13 / 17)
    assert density("The pressure of ulcers", (lexicon,)) == pytest.approx((8 + 6) / 19)
    assert density("Blood. Pressure", (lexicon,)) == pytest.approx(8 / 13), "a term does not reach over a full stop"
    assert density("12 + 3", (lexicon,)) == 0.0


def test_lexicons_say_where_they_come_from_and_hold_clean_terms() -> None:
    assert sum(path.stat().st_size for path in LEXICONS) < 600_000
    for path in LEXICONS:
        lines = path.read_text(encoding="utf-8").splitlines()
        head = [line for line in lines if line.startswith("#")]
        terms = [line for line in lines if not line.startswith("#")]
        assert any("commit " in line for line in head)
        assert terms == sorted(set(terms))
        assert all(term == term.strip().lower() and len(term) > 1 for term in terms)


def test_the_domain_is_told_on_labelled_passages(real_data: Path) -> None:
    path = real_data / "nonmedical" / "domain_dev" / "labelled.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    limits = FilterConfig().min_density
    right: dict[str, list[bool]] = {"zh": [], "en": []}
    for row in rows:
        if row["label"] != "borderline" and not row["suspect"]:
            lang = detect(row["text"])
            limit = limits.get(lang, limits.get(lang.split("-")[0], limits["en"]))
            right[row["lang"]].append((density(row["text"], LEXICONS) >= limit) == (row["label"] == "medical"))
    accuracy = {lang: sum(found) / len(found) for lang, found in right.items()}
    print(accuracy)
    assert accuracy["zh"] > 0.93
    assert accuracy["en"] > 0.95
