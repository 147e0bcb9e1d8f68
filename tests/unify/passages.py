"""Passages for the tests of rewriting: short texts in both languages, and tables of them."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.records import PASSAGE, text_hash
from pipeline.shards import Shard
from unify.pair import Passage

GOUT = (
    "Gout is an inflammatory arthritis caused by monosodium urate crystals in the joints. "
    "It often begins at night. "
    "Low-dose colchicine relieves an acute attack of gout and commonly causes diarrhoea. "
    "Allopurinol lowers serum urate below 360 micromol/L and prevents further attacks of gout."
)
GAOXUEYA = (
    "高血压的基础治疗是改善生活方式，包括减少钠盐摄入、控制体重和规律运动。"
    "常用的降压药物有利尿剂、钙通道阻滞剂和血管紧张素转换酶抑制剂。"
    "血压在140/90 mmHg以上的患者一般需要长期服药。"
)


def passage(
    text: str = GOUT,
    *,
    lang: str = "en",
    title: str | None = "Gout",
    heading: str = "Treatment",
    kind: str = "web",
    doc: str = "web/1",
) -> Passage:
    """Build a passage; its id follows from document and text, as segment makes it."""
    headings = [heading] if heading else []
    return Passage(f"{doc}#{text_hash(text)}", doc, doc.split("/")[0], kind, lang, text, title, headings)


def shard(folder: Path, passages: list[Passage], name: str = "part-00000.parquet") -> Shard:
    """Write passages as a shard of clean or dedup would hold them."""
    rows = [vars(one) | {"start": 0, "end": len(one.text), "page": None} for one in passages]
    pq.write_table(pa.Table.from_pylist(rows, schema=PASSAGE), folder / name)
    return Shard(folder / name, len(rows))
