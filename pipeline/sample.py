"""Read what rewriting has made so far: a random sample of fresh pairs, and what came of asking again.

Reads the finished parts of a rewrite directory, published or not, and the passages behind them; writes nothing.
"""

import json
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from pipeline.lookup import Stages, dropped_parts, one_of, parts, rows_where, text_dirs
from pipeline.recipe import RecipeError
from unify.again import CHECK

FRESH_PARTS = 8  # parts written last that a sample is drawn from
KEPT, REJECTED = 6, 4  # pairs shown


def sample(directory: Path, stages: Stages) -> str:
    """Write some pairs of the parts written last, kept and rejected, beside their passages; other ones at each call.

    Raises:
        RecipeError: no part is finished.
    """
    fresh = sorted(parts([directory]), key=lambda part: part.stat().st_mtime_ns)[-FRESH_PARTS:]
    if not fresh:
        raise RecipeError(
            f"{directory}: got no finished part, expected one; a part has [rewrite] shard_passages passages"
        )
    rows = [row for part in fresh for row in rows_where([part], "id", pc.is_valid)]
    dropped = [
        json.loads(row["row"]) | {"drop_reason": row["reason"], "drop_detail": row["detail"]}
        for part in fresh
        for row in rows_where([part.with_name(part.name.replace("part-", "dropped-"))], "row", pc.is_valid)
    ]
    rejected = [row for row in dropped if row["messages"]]
    drawn = [*_some(rows, KEPT), *_some(rejected, REJECTED)]
    wanted = one_of({row["passage_id"] for row in drawn})
    texts = {row["id"]: row["text"] for row in rows_where(parts(text_dirs(stages)), "id", wanted, ["id", "text"])}
    ends = Counter(row["drop_reason"] for row in dropped)
    summary = f"{len(rows):,} pairs kept, {ends.total():,} rows dropped in the {len(fresh)} parts written last"
    reasons = "".join(f"\n  {count:>7,} {reason}" for reason, count in ends.most_common())
    return (
        "\n\n".join([*(_shown(row, texts.get(row["passage_id"], "")) for row in drawn), f"{summary}{reasons}"]) + "\n"
    )


def what_came(directory: Path) -> str:
    """Say in one line what came of the passages that were asked again."""
    kept = {row["passage_id"] for row in rows_where(parts([directory]), "id", pc.is_valid) if _again(row)}
    ends: dict[str, str] = {}
    for row in rows_where(dropped_parts([directory]), "row", pc.is_valid):
        whole = json.loads(row["row"])
        if _again(whole) and whole["passage_id"] not in kept:
            ends.setdefault(whole["passage_id"], row["reason"])
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in Counter(ends.values()).most_common())
    without = f"; {len(ends):,} have none ({reasons})" if ends else ""
    return f"asked again for {len(kept) + len(ends):,} passages: {len(kept):,} have a pair{without}"


def _again(row: dict[str, Any]) -> bool:
    return any(check["name"] == CHECK for check in row["checks"])


def _some(rows: list[dict[str, Any]], number: int) -> list[dict[str, Any]]:
    return random.sample(rows, min(number, len(rows)))


def _shown(row: dict[str, Any], passage: str) -> str:
    def lines() -> Iterator[str]:
        yield f"-- {row['id']}"
        yield (
            f"   {row['style']}, {row['source']}: {row['drop_reason']}"
            if row.get("drop_reason")
            else f"   {row['style']}, {row['source']}: kept"
        )
        yield f"   passage: {' '.join(passage.split())}"
        for message in row["messages"]:
            yield f"   {message['role']}: {' '.join(message['content'].split())}"

    return "\n".join(lines())
