"""Choose pairs for a data card and put each beside its passage.

Reads the parts and dropped rows of rewrite, dedup, mix and encode; writes nothing. Choice is by hash of the id, so it
does not depend on shards; ids are scanned alone, and only the rows chosen are read whole.
"""

import heapq
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.lookup import Stages, dropped_parts, one_of, parts, ready_dirs, rows_where, text_dirs
from pipeline.records import text_hash


@dataclass(frozen=True)
class Pair:
    """An Example, kept or rejected, and the Passage it came from."""

    example: dict[str, Any]
    passage: dict[str, Any] | None
    stage: str = ""  # where it was rejected; empty = kept
    reason: str = ""
    detail: str = ""


def chosen_pairs(stages: Stages, most: int) -> tuple[list[Pair], int]:
    """Choose pairs, kept and rejected, by hash.

    Returns:
        All pairs, or `most` of them, those of one passage together; and how many there are to choose from.
    """
    folders = [*stages.get("rewrite", ()), *ready_dirs(stages)]
    total = sum(1 for _ in _ids(folders))
    chosen = {id for _, id in heapq.nsmallest(most, ((text_hash(id), id) for id in _ids(folders)))}
    pairs = [*_kept(stages, folders, chosen), *_rejected(stages, chosen)]
    beside = _with_passages(stages, pairs)
    return sorted(beside, key=_place), total


def sampled_pairs(stages: Stages, most: int) -> list[Pair]:
    """Choose pairs that were kept and come from a passage, by hash, in turn from each style and language."""
    folders = stages.get("mix") or stages.get("rewrite", ())
    strata: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for part in parts(folders):
        examples = pq.read_table(part, columns=["id", "style", "lang", "passage_id"], partitioning=None)
        for row in examples.filter(pc.is_valid(examples["passage_id"])).select(["id", "style", "lang"]).to_pylist():
            stratum = strata.setdefault((row["style"], row["lang"]), [])
            stratum.append((text_hash(row["id"]), row["id"]))
            if len(stratum) > 100 * most:
                strata[row["style"], row["lang"]] = heapq.nsmallest(most, stratum)
    queues = [heapq.nsmallest(most, stratum) for _, stratum in sorted(strata.items())]
    in_turn = [queue[turn][1] for turn in range(most) for queue in queues if turn < len(queue)]
    chosen = set(in_turn[:most])
    pairs = [Pair(example, None) for example in rows_where(parts(folders), "id", one_of(chosen))]
    return sorted(
        _with_passages(stages, pairs), key=lambda pair: (pair.example["style"], pair.example["lang"], *_place(pair))
    )


def _ids(folders: Collection[Path]) -> Iterator[str]:
    for part in parts(folders):
        yield from pq.read_table(part, columns=["id"], partitioning=None)["id"].to_pylist()
    for path in dropped_parts(folders):
        dropped = pq.read_table(path, columns=["id", "row"], partitioning=None)
        yield from dropped["id"].filter(pc.is_valid(dropped["row"])).to_pylist()


def _kept(stages: Stages, folders: Collection[Path], chosen: set[str]) -> Iterator[Pair]:
    later = {
        row["id"]: (stage, row["reason"], row["detail"] or "")
        for stage in ("encode", "mix")
        for row in rows_where(dropped_parts(stages.get(stage, ())), "id", one_of(chosen), ["id", "reason", "detail"])
    }
    splits = {
        row["id"]: row["split"]
        for row in rows_where(parts(stages.get("mix", ())), "id", one_of(chosen), ["id", "split"])
    }
    for example in rows_where(parts(folders), "id", one_of(chosen)):
        example["split"] = splits.get(example["id"], example["split"])
        yield Pair(example, None, *later.get(example["id"], ()))


def _rejected(stages: Stages, chosen: set[str]) -> Iterator[Pair]:
    for stage, folders in (("rewrite", stages.get("rewrite", ())), ("dedup", ready_dirs(stages))):
        for row in rows_where(dropped_parts(folders), "id", one_of(chosen)):
            if row["row"]:
                yield Pair(json.loads(row["row"]), None, stage, row["reason"], row["detail"] or "")


def _with_passages(stages: Stages, pairs: list[Pair]) -> list[Pair]:
    wanted = {pair.example["passage_id"] for pair in pairs if pair.example["passage_id"]}
    passages = {row["id"]: row for row in rows_where(parts(text_dirs(stages)), "id", one_of(wanted))}
    return [
        Pair(pair.example, passages.get(pair.example["passage_id"]), pair.stage, pair.reason, pair.detail)
        for pair in pairs
    ]


def _place(pair: Pair) -> tuple[str, str, int, str]:
    """Order by source, document, place in the document, id."""
    passage = pair.passage or {"document_id": "", "start": 0}
    return pair.example["source"], passage["document_id"], passage["start"], pair.example["id"]
