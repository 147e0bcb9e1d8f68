"""Count what a recipe's stage directories hold, for its data card.

Reads manifests, parts, dropped rows and training's metrics; writes nothing. One shard is in memory at a time. A
directory that is not published yet is counted from the parts that are finished.
"""

import heapq
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.lookup import Stages, dropped_parts, opened, parts, rows_where, source_of
from pipeline.records import IGNORE_INDEX, text_hash
from pipeline.shards import is_complete, parts_of, read_manifest, written_of

FUNNEL = {
    "collect": "documents",
    "filter": "documents",
    "boilerplate": "documents",
    "segment": "passages",
    "clean": "passages",
    "select": "passages",
    "sketch": "sketches",
    "dedup": "passages",
    "rewrite": "pairs",
    "mix": "pairs",
    "encode": "pairs",
    "prioritize": "positions",
    "pack": "rows",
}  # stage -> what its rows are; a source of ready-made pairs has pairs from the first stage on
Number = TypeVar("Number", int, float)

PER_SOURCE = ("collect", "filter", "boilerplate", "segment", "clean", "select", "sketch")
BATCH_ROWS = 1024  # packed rows read at a time: 4,096 tokens of input_ids and labels in each are 32 MiB


def unfinished(stages: Stages) -> dict[str, int]:
    """Count the parts finished so far of each stage that is not published."""
    return {
        stage: len(parts(directories))
        for stage, directories in stages.items()
        if stage in FUNNEL and not all(is_complete(directory) for directory in directories)
    }


@dataclass
class Passed:
    """How many rows a stage took and gave; `rows_in` is None where rows do not map to rows."""

    rows_in: int | None = 0
    rows_out: int = 0
    dropped: Counter[str] = field(default_factory=Counter)


def funnel(stages: Stages) -> dict[str, dict[str, Passed]]:
    """Count each stage's rows by source; the source "" is the stage's whole."""
    counted: dict[str, dict[str, Passed]] = {}
    for stage in FUNNEL:
        if stages.get(stage):
            by_source: dict[str, Passed] = {"": Passed()}
            for directory in stages[stage]:
                _add(by_source, directory, stage in PER_SOURCE)
            counted[stage] = by_source
    return counted


def _add(by_source: dict[str, Passed], directory: Path, per_source: bool) -> None:
    rows_in, rows = _rows(opened(directory))
    owner = source_of(directory) if per_source else None
    conserved = rows_in == sum(kept + sum(dropped.values()) for kept, dropped in rows.values())
    if owner is not None:
        by_source.setdefault(owner, Passed()).rows_in = rows_in
    for name, (kept, dropped) in rows.items():
        if name or owner:
            passed = by_source.setdefault(owner or name, Passed())
            passed.rows_out += kept
            passed.dropped.update(dropped)
            if owner is None:
                passed.rows_in = passed.rows_out + passed.dropped.total() if conserved else None
        by_source[""].rows_out += kept
        by_source[""].dropped.update(dropped)
    by_source[""].rows_in = (by_source[""].rows_in or 0) + rows_in


def _rows(directory: Path) -> tuple[int, dict[str, tuple[int, dict[str, int]]]]:
    if is_complete(directory):
        manifest = read_manifest(directory)
        return manifest["rows_in"], {
            name: (row["rows_out"], row["dropped"]) for name, row in manifest["by_source"].items()
        }
    rows_in, kept, dropped = 0, Counter[str](), dict[str, Counter[str]]()
    for part in parts_of(directory):
        written = written_of(part)
        rows_in += written.rows_in
        kept.update(written.kept)
        for name, reasons in written.dropped.items():
            dropped.setdefault(name, Counter()).update(reasons)
    return rows_in, {name: (kept[name], dict(dropped.get(name, {}))) for name in sorted({*kept, *dropped})}


@dataclass(frozen=True)
class DroppedRow:
    """One dropped row, as a card shows it."""

    id: str
    source: str
    detail: str
    text: str


def dropped_samples(directories: Iterable[Path], each: int) -> dict[str, list[DroppedRow]]:
    """Take, for each drop reason, the rows with the smallest hashes of their ids among those stored whole."""
    best: dict[str, list[tuple[str, str, dict[str, Any]]]] = {}
    for row in rows_where(dropped_parts(directories), "row", pc.is_valid):
        ranked = best.setdefault(row["reason"], [])
        ranked.append((text_hash(row["id"]), row["id"], row))
        if len(ranked) > 100 * each:
            best[row["reason"]] = heapq.nsmallest(each, ranked, key=lambda item: item[:2])
    return {
        reason: [
            DroppedRow(id, row["source"], row["detail"] or "", _text(json.loads(row["row"])) or id)
            for _, id, row in heapq.nsmallest(each, ranked, key=lambda item: item[:2])
        ]
        for reason, ranked in sorted(best.items())
    }


def _text(record: dict[str, Any]) -> str:
    if "messages" in record:
        return " / ".join(f"{message['role']}: {message['content']}" for message in record["messages"])
    return str(record.get("text") or "")


@dataclass
class PairFigures:
    """What pairs are like. Lengths are characters -> how many."""

    pairs: int = 0
    styles: Counter[tuple[str, str]] = field(default_factory=Counter)  # source, style
    by_model: Counter[str] = field(default_factory=Counter)  # style -> pairs with a model's words in them
    langs: Counter[str] = field(default_factory=Counter)
    questions: Counter[int] = field(default_factory=Counter)
    answers: Counter[int] = field(default_factory=Counter)
    checks: dict[str, Counter[str]] = field(default_factory=dict)  # check -> value -> pairs
    made_by: Counter[tuple[str, str, str]] = field(default_factory=Counter)  # step, model, prompt
    rejected: dict[str, Counter[str]] = field(default_factory=dict)  # style -> reason -> pairs
    rejected_checks: dict[str, Counter[str]] = field(default_factory=dict)
    crossed: Counter[str] = field(default_factory=Counter)  # style -> pairs in another language than their passage
    repaired: Counter[str] = field(default_factory=Counter)  # style -> pairs kept after a step was sent back
    carried: dict[str, Counter[str]] = field(default_factory=dict)  # style -> sentences, numbers, names of its passages
    whole: dict[str, Counter[str]] = field(default_factory=dict)  # that pairs carry, and of how many

    def of_style(self, style: str) -> int:
        """Count the kept pairs of one style."""
        return sum(count for (_, name), count in self.styles.items() if name == style)


def pair_figures(directories: Sequence[Path]) -> PairFigures:
    """Count what the kept pairs of directories are like, and what the rejected ones failed."""
    figures = PairFigures()
    for part in parts(directories):
        columns = ["source", "style", "lang", "messages", "checks", "made_by"]
        _count_pairs(figures, pq.read_table(part, columns=columns, partitioning=None))
    for path in dropped_parts(directories):
        _count_rejected(figures, pq.read_table(path, columns=["reason", "row"], partitioning=None))
    return figures


def _count_pairs(figures: PairFigures, examples: pa.Table) -> None:
    styles = examples["style"].to_pylist()
    figures.pairs += examples.num_rows
    figures.styles.update(zip(examples["source"].to_pylist(), styles, strict=True))
    figures.langs.update(examples["lang"].to_pylist())
    made_by = examples["made_by"].to_pylist()
    figures.by_model.update(
        style for style, steps in zip(styles, made_by, strict=True) if any(step["request"] for step in steps)
    )
    messages = pc.list_flatten(examples["messages"])
    chars, roles = pc.utf8_length(pc.struct_field(messages, "content")), pc.struct_field(messages, "role")
    figures.questions.update(chars.filter(pc.equal(roles, "user")).to_pylist())
    figures.answers.update(chars.filter(pc.equal(roles, "assistant")).to_pylist())
    for style, checks in zip(styles, examples["checks"].to_pylist(), strict=True):
        _count_checks(figures, style, checks, figures.checks)
        figures.crossed[style] += any(check["name"] == "from_lang" for check in checks)
        figures.repaired[style] += any(check["name"].endswith("_repair") for check in checks)
    for made in (step for steps in made_by for step in steps):
        figures.made_by[made["step"], made["model"], made["prompt"]] += 1


def _count_rejected(figures: PairFigures, dropped: pa.Table) -> None:
    for reason, row in zip(dropped["reason"].to_pylist(), dropped["row"].to_pylist(), strict=True):
        example = json.loads(row) if row else {}
        figures.rejected.setdefault(example.get("style", ""), Counter())[reason] += 1
        _count_checks(figures, example.get("style", ""), example.get("checks", ()), figures.rejected_checks)


def _count_checks(
    figures: PairFigures, style: str, checks: Sequence[Mapping[str, str]], counts: dict[str, Counter[str]]
) -> None:
    """Count the values of a pair's checks; what its passage's pairs carry, "carried/all", is summed by style."""
    for check in checks:
        name = check["name"].removesuffix("_carried")
        if name != check["name"]:
            have, whole = map(int, check["value"].split("/"))
            figures.carried.setdefault(style, Counter())[name] += have
            figures.whole.setdefault(style, Counter())[name] += whole
        else:
            counts.setdefault(name, Counter())[_rounded(check["value"])] += 1


def _rounded(value: str) -> str:
    """Round a number to two decimals: a card counts values, and scores would have as many as there are pairs."""
    try:
        return f"{float(value):.2f}".removesuffix(".00")
    except ValueError:
        return value


def passage_lengths(directories: Iterable[Path]) -> Counter[int]:
    """Count the passages of each length in characters."""
    counts: Counter[int] = Counter()
    for part in parts(directories):
        counts.update(pc.utf8_length(pq.read_table(part, columns=["text"], partitioning=None)["text"]).to_pylist())
    return counts


def quantiles(counts: Mapping[Number, int]) -> tuple[Number, Number, Number, Number] | None:
    """Return minimum, median, 90th percentile and maximum of counted values: the smallest that reach that share."""
    if not counts:
        return None
    values = sorted(counts)
    reached = np.cumsum([counts[value] for value in values])
    at = np.searchsorted(reached, np.ceil(np.array([0.5, 0.9]) * reached[-1]))
    return values[0], values[at[0]], values[at[1]], values[-1]


@dataclass
class Mixture:
    """What training is given: counts by kind, and how full the packed rows are."""

    examples: Counter[tuple[str, str]] = field(default_factory=Counter)  # kind, split
    tokens: Counter[tuple[str, str]] = field(default_factory=Counter)
    target_tokens: Counter[tuple[str, str]] = field(default_factory=Counter)
    lengths: Counter[int] = field(default_factory=Counter)  # tokens of an example -> how many
    positions: Counter[str] = field(default_factory=Counter)  # kind -> places in the training order
    packed: dict[str, Counter[str]] = field(default_factory=dict)  # split -> rows, tokens, padding, targets
    displaced: tuple[float, int] | None = None  # rows by which packing moved examples ahead: mean, most


def mixture(stages: Stages) -> Mixture:
    """Count what mix, encode, prioritize and pack made, each as far as it exists."""
    found = Mixture()
    for part in parts(stages.get("mix", ())):
        examples = pq.read_table(part, columns=["kind", "split"], partitioning=None)
        found.examples.update(zip(examples["kind"].to_pylist(), examples["split"].to_pylist(), strict=True))
    for part in parts(stages.get("encode", ())):
        for batch in pq.ParquetFile(part).iter_batches(BATCH_ROWS, columns=["kind", "split", "input_ids", "labels"]):
            _count_tokens(found, batch)
    for part in parts(stages.get("prioritize", ())):
        found.positions.update(pq.read_table(part, columns=["kind"], partitioning=None)["kind"].to_pylist())
    for part in parts(stages.get("pack", ())):
        for batch in pq.ParquetFile(part).iter_batches(
            BATCH_ROWS, columns=["split", "input_ids", "labels", "seq_lens"]
        ):
            _count_packed(found, batch)
    for directory in stages.get("pack", ()):
        figures = read_manifest(directory).get("figures", {}) if is_complete(directory) else {}
        if examples := figures.get("train_examples"):
            found.displaced = figures["train_displaced_rows"] / examples, figures["train_displaced_rows_max"]
    return found


def _count_tokens(found: Mixture, encoded: pa.RecordBatch) -> None:
    tokens, targets = pc.list_value_length(encoded["input_ids"]).to_pylist(), _targets(encoded["labels"])
    kinds, splits = encoded["kind"].to_pylist(), encoded["split"].to_pylist()
    found.lengths.update(tokens)
    for kind, split, length, loss in zip(kinds, splits, tokens, targets, strict=True):
        found.tokens[kind, split] += length
        found.target_tokens[kind, split] += int(loss)


def _count_packed(found: Mixture, packed: pa.RecordBatch) -> None:
    places = pc.list_value_length(packed["input_ids"]).to_pylist()
    targets, lengths = _targets(packed["labels"]), packed["seq_lens"].to_pylist()
    for split, tokens, seq_lens, loss in zip(packed["split"].to_pylist(), places, lengths, targets, strict=True):
        sums = found.packed.setdefault(split, Counter())
        sums.update(rows=1, tokens=tokens, padding=tokens - sum(seq_lens), target_tokens=int(loss))


def _targets(labels: pa.ListArray) -> list[int]:
    """Count the labels with loss in each of N lists, from the running sum over all of them."""
    with_loss = np.asarray(labels.flatten()) != IGNORE_INDEX
    running = np.concatenate([[0], np.cumsum(with_loss)])
    ends = np.cumsum(pc.list_value_length(labels).to_numpy(zero_copy_only=False)).astype(np.int64)
    starts = np.concatenate([[0], ends[:-1]])
    return list(running[ends] - running[starts]) if len(ends) else []


@dataclass(frozen=True)
class Training:
    """How training went: the first and last lines that it wrote, and where the model is."""

    steps: int
    tokens: int
    target_tokens: int
    losses: list[tuple[int, float]]  # step, loss: at most five, evenly spaced
    heldout: list[tuple[str, float, float]]  # kind, loss before, loss after
    copies: list[tuple[str, int, int, float]]  # kind, which copy of its examples, tokens with loss, loss a token
    first_eval: int
    last_eval: int
    exported: Path | None


def training(stages: Stages) -> Training | None:
    """Read training's metrics; None before it wrote any."""
    for directory in stages.get("train", ()):
        metrics = directory / "metrics.jsonl"
        text = metrics.read_text(encoding="utf-8") if metrics.is_file() else ""
        lines = [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
        steps = [(line["step"], line["loss"]) for line in lines if "loss" in line]
        evals = [(line["step"], line["heldout"]) for line in lines if "heldout" in line]
        if not steps and not evals:
            continue
        spaced = sorted({round(index) for index in np.linspace(0, len(steps) - 1, 5)}) if steps else []
        (first, before), (last, after) = (evals[0], evals[-1]) if evals else ((0, {}), (0, {}))
        return Training(
            steps=max((step for step, _ in steps), default=0),
            tokens=sum(line.get("tokens", 0) for line in lines),
            target_tokens=sum(line.get("target_tokens", 0) for line in lines),
            losses=[steps[index] for index in spaced],
            heldout=[(kind, before[kind], after[kind]) for kind in sorted(before) if kind in after],
            copies=_losses_by_copy(lines),
            first_eval=first,
            last_eval=last,
            exported=directory / "hf" if (directory / "hf").is_dir() else None,
        )
    return None


def _losses_by_copy(lines: list[dict[str, Any]]) -> list[tuple[str, int, int, float]]:
    """Add up the losses that each step's line gives by kind and copy, which is counted from 1."""
    sums: dict[tuple[str, int], list[float]] = {}
    for line in lines:
        for kind, copies in line.get("sums_by_kind", {}).items():
            for epoch, (loss, tokens) in copies.items():
                total = sums.setdefault((kind, int(epoch) + 1), [0.0, 0])
                total[0] += loss
                total[1] += tokens
    return [(kind, copy, int(tokens), loss / tokens) for (kind, copy), (loss, tokens) in sorted(sums.items())]
