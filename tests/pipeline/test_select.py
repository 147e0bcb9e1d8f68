from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.select import SelectConfig, select_passages
from tests.pipeline.tables_of import passages

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
LEXICONS = tuple(sorted((RECIPES / "lexicons").glob("medical_*.txt")))
CONFIG = SelectConfig(languages=("zh-Hans", "zh-Hant", "lzh", "en"), lexicons=())
MEDICAL = "高血压患者应按时服用降压药物，定期测量血压，并遵医嘱复查肝功能和肾功能。"
FRENCH = "Le soleil se lève sur la plaine et les oiseaux chantent dans les arbres du jardin de ma grand-mère."
BRIDGE = "The suspension bridge hangs from long cables that pass over two tall towers."


@pytest.mark.parametrize(("text", "reason"), [(MEDICAL, None), (FRENCH, "wrong_language"), (BRIDGE, "off_domain")])
def test_each_passage_is_judged_by_its_own_text(text: str, reason: str | None) -> None:
    marked = select_passages(passages(text, lang="en"), CONFIG, {"lexicons": LEXICONS})
    assert marked["drop_reason"].to_pylist() == [reason]
    assert marked.drop_columns(["drop_reason", "drop_detail"]) == passages(text, lang="en")


def test_without_lexicons_any_domain_stays() -> None:
    assert select_passages(passages(BRIDGE), CONFIG, {})["drop_reason"].to_pylist() == [None]


def test_a_judgement_does_not_depend_on_the_passages_beside_it() -> None:
    together = select_passages(passages(MEDICAL, FRENCH, BRIDGE), CONFIG, {"lexicons": LEXICONS})
    alone = [select_passages(passages(text), CONFIG, {"lexicons": LEXICONS}) for text in (MEDICAL, FRENCH, BRIDGE)]
    assert together.combine_chunks() == pa.concat_tables(alone).combine_chunks()
