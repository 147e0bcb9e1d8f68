"""A small recipe's stage directories, written as the stages write them: two text sources, one of ready-made pairs."""

import datetime
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.recipe import Checked, Recipe, SourceCard
from pipeline.records import (
    DOCUMENT,
    ENCODED,
    EXAMPLE,
    IGNORE_INDEX,
    ORDER,
    PACKED_SEQUENCE,
    PASSAGE,
    SKETCH,
    marked_schema,
    text_hash,
)
from pipeline.shards import hidden, publish, write_part

Row = dict[str, Any]
BOOK = [
    "Gout is caused by urate crystals in the joints. A sudden attack often starts at night. The toe is usual.",
    "Allopurinol lowers urate. It is started at a low dose, and the dose is raised slowly.",
    "Buy our slippers now | **half price** `today`.",
]
WEB = ["痛风由关节中的尿酸盐结晶引起。发作常在夜间突然开始。", "别嘌醇降低尿酸。起始剂量宜小，逐渐加量。"]


@dataclass
class Plan:
    """What to write. `marks` are stage -> row id -> drop reason."""

    book: Sequence[str] = tuple(BOOK)
    web: Sequence[str] = tuple(WEB)
    model: str = "SmolLM2-135M-Instruct@a1b2"
    question: str = "What does the passage say about passage {number}?"
    published: bool = True  # false: rewrite has parts and no manifest, and nothing stands behind it
    trained: bool = True
    seconds: float = 1.0
    copies: int = 1  # pairs of each passage
    marks: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def source_cards() -> list[SourceCard]:
    """Describe the three sources."""
    checked = Checked(by="data team", on=datetime.date(2026, 1, 2), scope="training, internal")
    common: dict[str, Any] = {"checked": checked, "path": "x", "licence": "CC-BY-4.0"}
    return [
        SourceCard(name="book", origin="Lindenbrook Press, pp. 1–9", kind="books", edition="3rd", **common),
        SourceCard(name="web_zh", origin="https://example.org/a_b", kind="web", **common),
        SourceCard(name="talks", origin="our own", kind="sft", form="pairs", **common),
    ]


def recipe(root: Path) -> Recipe:
    """Name a recipe whose cards are written to <root>/data_cards/demo/."""
    return Recipe(path=root / "recipes" / "demo.toml", name="demo", sources=("book", "web_zh", "talks"))


def clean(text: str, lang: str = "en") -> str:
    """Clean as these directories' clean stage did, whatever the language."""
    return " ".join(text.split())


def stage_folders(root: Path, plan: Plan | None = None) -> dict[str, list[Path]]:
    """Write the directories of every stage and return them by stage."""
    return _Writer(root, plan or Plan()).write()


def document_id(source: str) -> str:
    """Return the id of a source's one document."""
    return f"{source}/1"


def passage_id(source: str, text: str) -> str:
    """Return the id of the passage with a text."""
    return f"{document_id(source)}#{text_hash(text)}"


class _Writer:
    def __init__(self, root: Path, plan: Plan) -> None:
        self.root, self.plan = root, plan
        self.folders: dict[str, list[Path]] = {}

    def write(self) -> dict[str, list[Path]]:
        texts = {"book": self.plan.book, "web_zh": self.plan.web}
        passages: list[Row] = []
        for source, own in texts.items():
            documents = [document(source, own)]
            self.stage("collect", f"{source}-c0", documents, DOCUMENT)
            self.stage("filter", f"{source}-f0", documents, DOCUMENT)
            raw = [passage(source, own, number) for number in range(len(own))]
            raw = self.stage("segment", f"{source}-s0", raw, PASSAGE, rows_in=1)
            cleaned = self.stage("clean", f"{source}-k0", [{**row, "text": clean(row["text"])} for row in raw], PASSAGE)
            cleaned = self.stage("select", f"{source}-l0", cleaned, PASSAGE)
            self.stage("sketch", f"{source}-h0", [sketch(row["id"]) for row in cleaned], SKETCH)
            passages += cleaned
        talks = self.stage("collect", "talks-c1", [talk(number) for number in range(2)], EXAMPLE)
        self.stage("sketch", "talks-h1", [sketch(row["id"]) for row in talks], SKETCH)
        ready = self.stage("dedup", "d1", talks, EXAMPLE)
        passages = self.stage("dedup", "d0", passages, PASSAGE)
        pairs = [
            pair(row, number, copy, self.plan)
            for number, row in enumerate(passages)
            for copy in range(self.plan.copies)
        ]
        pairs = self.stage("rewrite", "r0", pairs, EXAMPLE, rows_in=len(pairs), published=self.plan.published)
        if self.plan.published:
            self.sampling([*pairs, *ready])
        return self.folders

    def sampling(self, pairs: list[Row]) -> None:
        mixed = [{**row, "split": "heldout" if row["id"] == "talk-1" else "train"} for row in pairs]
        mixed = self.stage("mix", "m0", mixed, EXAMPLE)
        tokens = self.stage("encode", "e0", [encoded(row) for row in mixed], ENCODED)
        train = [
            (row, epoch)
            for epoch in (1, 2)
            for row in tokens
            if row["split"] == "train" and (epoch == 1 or row["kind"] == "sft")
        ]
        places = [order(position, row, epoch) for position, (row, epoch) in enumerate(train)]
        self.stage("prioritize", "p0", places, ORDER, rows_in=len(tokens))
        held = [(row, 1) for row in tokens if row["split"] != "train"]
        rows = [packed(two) for split in (train, held) for two in zip(split[::2], [*split[1::2], None], strict=False)]
        self.stage("pack", "q0", rows, PACKED_SEQUENCE, rows_in=len(places))
        if self.plan.trained:
            self.folders["train"] = [training(self.root / "data" / "train" / "t0")]

    def stage(
        self,
        name: str,
        folder: str,
        rows: list[Row],
        record: pa.Schema,
        *,
        rows_in: int | None = None,
        published: bool = True,
    ) -> list[Row]:
        """Write rows, in parts of three, dropping those that the plan marks; return those kept."""
        directory = self.root / "data" / name / folder
        working = directory if name == "rewrite" else hidden(directory)
        working.mkdir(parents=True)
        reasons = [self.plan.marks.get(name, {}).get(str(row[record.names[0]])) for row in rows]
        taken = len(rows) if rows_in is None else rows_in
        for index, start in enumerate(range(0, max(len(rows), 1), 3)):
            part = [
                {**row, "drop_reason": reason, "drop_detail": reason and f"why {reason}"}
                for row, reason in zip(rows[start : start + 3], reasons[start : start + 3], strict=True)
            ]
            table = pa.Table.from_pylist(part, schema=marked_schema(record))
            counted = len(part) if rows_in is None or rows_in == len(rows) else taken if start == 0 else 0
            write_part(working, index, table, record, rows_in=counted, keep_every_text=name == "rewrite")
        if published:
            settings = {"model": self.plan.model.partition("@")[0]}
            publish(
                directory, {"stage": name, "key": folder, "settings": settings, "seconds": self.plan.seconds}, working
            )
        self.folders.setdefault(name, []).append(directory)
        return [row for row, reason in zip(rows, reasons, strict=True) if reason is None]


def document(source: str, texts: Sequence[str]) -> Row:
    text = "\n\n".join(texts)
    return {
        "id": document_id(source),
        "source": source,
        "kind": "books" if source == "book" else "web",
        "lang": "en" if source == "book" else "zh-Hans",
        "text": text,
        "title": "Gout" if source == "book" else "痛风",
        "url": "https://example.org/gout",
        "sections": [],
        "boilerplate": [],
        "edition": "3rd" if source == "book" else None,
        "published": None,
    }


def passage(source: str, texts: Sequence[str], number: int) -> Row:
    whole = document(source, texts)
    start = sum(len(text) + 2 for text in texts[:number])
    return {
        **{name: whole[name] for name in ("source", "kind", "lang", "title")},
        "id": passage_id(source, texts[number]),
        "document_id": whole["id"],
        "start": start,
        "end": start + len(texts[number]),
        "text": texts[number],
        "headings": ["Causes"],
        "page": 7 if source == "book" else None,
    }


def sketch(id: str) -> Row:
    return {"passage_id": id, "digest": b"\x00", "bands": b"\x01", "sketch": b"\x00", "chars": 10}


def pair(row: Row, number: int, copy: int, plan: Plan) -> Row:
    """Pair a passage's first sentence with a question: a model's in English, a template's in Chinese."""
    english = row["lang"] == "en"
    end = len(row["text"]) - len(row["text"].lstrip("。.")) + row["text"].find("." if english else "。") + 1
    made = {"step": "question", "model": plan.model, "prompt": "p1", "request": f"q{number}"}
    return {
        "id": f"{row['id']}@{'excerpt' if english else 'heading'}{copy or ''}",
        "passage_id": row["id"],
        **{name: row[name] for name in ("source", "kind", "lang")},
        "style": "excerpt" if english else "heading",
        "messages": [
            {"role": "user", "content": plan.question.format(number=number), "loss": False},
            {"role": "assistant", "content": row["text"][:end], "loss": True},
        ],
        "support": [{"start": 0, "end": end}],
        "checks": [
            {"name": "verbatim", "value": "yes"},
            {"name": "overlap", "value": f"0.{number + 1}"},
            *([{"name": "sentences_carried", "value": f"1/{number + 2}"}] if not copy else []),
        ],
        "made_by": [made] if english else [],
        "split": "",
    }


def talk(number: int) -> Row:
    return {
        "id": f"talk-{number}",
        "passage_id": None,
        "source": "talks",
        "kind": "sft",
        "lang": "en",
        "style": "dialogue",
        "messages": [
            {"role": "user", "content": "Hello?", "loss": False},
            {"role": "assistant", "content": "Hello.", "loss": True},
        ],
        "support": [],
        "checks": [],
        "made_by": [],
        "split": "",
    }


def encoded(row: Row) -> Row:
    ids = [1, 2, 3, 4]
    labels = [IGNORE_INDEX, IGNORE_INDEX, 3, 4]
    return {
        "example_id": row["id"],
        **{name: row[name] for name in ("source", "kind", "style", "split")},
        "input_ids": ids,
        "labels": labels,
    }


def order(position: int, row: Row, epoch: int) -> Row:
    return {
        **{name: row[name] for name in ("example_id", "kind", "source", "style")},
        "position": position,
        "shard": 0,
        "row": position,
        "epoch": epoch,
    }


def packed(two: Sequence[tuple[Row, int] | None]) -> Row:
    """Pack up to two examples of four tokens into a row of ten."""
    inside = [item for item in two if item is not None]
    padding = 10 - 4 * len(inside)
    return {
        "split": inside[0][0]["split"],
        "input_ids": [*(token for row, _ in inside for token in row["input_ids"]), *([0] * padding)],
        "labels": [*(label for row, _ in inside for label in row["labels"]), *([IGNORE_INDEX] * padding)],
        "seq_lens": [4] * len(inside),
        "example_ids": [row["example_id"] for row, _ in inside],
        "kinds": [row["kind"] for row, _ in inside],
        "sources": [row["source"] for row, _ in inside],
        "epochs": [epoch for _, epoch in inside],
    }


def training(folder: Path) -> Path:
    os.makedirs(folder / "hf")
    lines = [
        {"step": 0, "heldout": {"sft": 3.0, "books": 2.5}},
        {"step": 1, "loss": 3.1, "lr": 1e-4, "tokens": 20, "target_tokens": 6, "tokens_per_s": 100.0}
        | {"sums_by_kind": {"sft": {"0": [12.0, 4], "1": [5.0, 2]}}},
        {"step": 2, "loss": 2.9, "lr": 1e-5, "tokens": 10, "target_tokens": 2, "tokens_per_s": 100.0}
        | {"sums_by_kind": {"sft": {"0": [2.0, 1]}, "books": {"0": [3.0, 1]}}},
        {"step": 2, "heldout": {"sft": 2.0, "books": 2.25}},
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return folder
