"""Try a recipe's model on a fixed set of passages before a million are paid for: `onestage accept`.

Each of the passages that ship with us (accept_passages.toml: Chinese, English, classical, and both languages mixed) is
rewritten in every style that the recipe gives a weight, by the recipe's settings, endpoints and budget, and judged by
the same checks as in a run. The pairs are kept beside the journal, to be read; nothing else is written.

Intervals are of 95% and count passages, since the pairs of one are no independent trials: Wilson's (1927) for shares of
pairs, percentiles of the bootstrap over passages (Efron, 1979) for ratios of sums.
"""

import asyncio
import json
import math
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.recipe import Recipe, RecipeError
from pipeline.records import text_hash
from pipeline.shards import write_atomically
from unify.pair import Passage, language_of
from unify.request import RewriteConfig, StyleName
from unify.styles import STYLES
from unify.trial import Estimate, Moment, Taken, in_flow, rewrite_some

PASSAGES = Path(__file__).with_name("accept_passages.toml")
LANGS = {"zh": "zh-Hans", "en": "en", "classical": "lzh"}  # of a set's passages, where one does not name its own
NORMAL = 1.96
RESAMPLES = 2000
SLICES = 10  # of the time in full flow, for the interval of the speed
CARRIED = {"sentences_carried": "sentences carried", "numbers_carried": "numbers carried"}
Named = tuple[str, Passage]  # a set's name, and a passage of it
Part = tuple[float, float]  # what a passage adds to the two sums of a ratio


def accept(config: RewriteConfig, recipe: Recipe, say: Callable[[str], None] = print) -> None:
    """Rewrite the passages that ship with us and say what came of them, by set and style.

    Raises:
        RecipeError: no style of the recipe fits any of them; else as rewriting does. Stopped: at a limit of the recipe.
    """
    tried = [
        (name, style, passage, settings)
        for style in styles_of(config)
        for settings in [config.model_copy(update={"styles": {style: 1.0}, "styles_by_source": {}})]
        for name, passage in read_passages()
        if STYLES[style].applies(passage, settings)
    ]
    if not tried:
        raise RecipeError(f"{recipe.path} [rewrite]: got no style that fits a passage, expected one")
    trial = asyncio.run(rewrite_some([one[2:] for one in tried], config, recipe, lambda _: None))
    groups: dict[tuple[str, str], list[Taken]] = {}
    for (name, style, passage, _), taken in zip(tried, trial.taken, strict=True):
        groups.setdefault((f"{name}{_direction(passage, taken)}", style), []).append(taken)
    for (name, of), group in groups.items():
        say(f"{name}, {of}: {len(group)} passages")
        for line in figures(group):
            say(f"  {line}")
    if left := sorted({name for name, _ in read_passages()} - {name for name, *_ in tried}):
        say(f"{', '.join(left)}: no style of the recipe fits these passages")
    for line in spent(trial.taken, trial.moments):
        say(line)
    path = recipe.output_folder / f"accept-{recipe.name}.jsonl"
    told = [_told(passage, row) for (_, _, passage, _), one in zip(tried, trial.taken, strict=True) for row in one.rows]
    write_atomically(path, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in told))
    say(f"read the pairs, kept and rejected, beside their passages: {path}")


def read_passages() -> list[Named]:
    """Read the passages that ship with us, each with the name of its set."""
    return [
        (row["set"], _passage(number, row)) for number, row in enumerate(tomllib.loads(PASSAGES.read_text())["passage"])
    ]


def styles_of(config: RewriteConfig) -> list[StyleName]:
    """List the styles that a recipe gives a weight, for any source."""
    tables = [config.styles, *config.styles_by_source.values()]
    return [name for name in STYLES if any(table.get(name) for table in tables)]


def figures(taken: Sequence[Taken]) -> Iterator[str]:
    """Write what came of the passages of a set in one style: kept pairs, reasons, what they carry, what they cost."""
    rows = [row for one in taken for row in one.rows]
    reasons = Counter(row["drop_reason"] for row in rows)
    kept = reasons.pop(None, 0)
    yield f"{'pairs kept':<22}{share_of(kept, len(rows), len(taken))}   {kept} of {len(rows)}"
    if repairs := [check["value"] for row in rows for check in row["checks"] if check["name"].endswith("_repair")]:
        helped = repairs.count("passed")
        share = share_of(helped, len(repairs), min(len(repairs), len(taken)))
        yield f"{'repairs that helped':<22}{share}   {helped} of {len(repairs)}"
    for check, name in CARRIED.items():
        if (carried := ratio([_carried(one, check) for one in taken])) is not None:
            yield f"{name:<22}{_estimate(carried, '{:.0%}')}"
    if (cost := ratio([(one.output_tokens, one.kept) for one in taken])) is not None:
        yield f"{'output tokens a pair':<22}{_estimate(cost, '{:,.0f}')}"
    for reason, count in reasons.most_common():
        yield f"{reason:<22}{share_of(count, len(rows), len(taken))}"


def spent(taken: Sequence[Taken], moments: Sequence[Moment]) -> Iterator[str]:
    """Write what all of it took, and how fast it was."""
    sums = [sum(getattr(one, name) for one in taken) for name in ("requests", "prompt_tokens", "output_tokens")]
    yield "{:,} requests, {:,} prompt tokens, {:,} output tokens".format(*sums)
    flow = in_flow(moments)
    cuts = [flow[len(flow) * number // SLICES] for number in range(SLICES)] if len(flow) >= SLICES else []
    slices = [(after[1] - before[1], after[0] - before[0]) for before, after in pairwise([*cuts, *flow[-1:]])]
    speed = ratio(slices)
    yield (
        "speed: not measured, the journal had the answers, or too few came"
        if speed is None
        else f"speed: {_estimate(speed, '{:,.0f}')} output tokens/s; a run with more passages under way may be faster"
    )


def wilson(share: float, trials: int) -> Estimate:
    """Return the interval of a share that was seen in so many independent trials."""
    squared = NORMAL**2
    middle = (share + squared / (2 * trials)) / (1 + squared / trials)
    half = NORMAL / (1 + squared / trials) * math.sqrt(share * (1 - share) / trials + squared / (4 * trials**2))
    return Estimate(share, max(middle - half, 0.0), min(middle + half, 1.0))


def ratio(parts: Sequence[Part]) -> Estimate | None:
    """Return the ratio of two sums over passages, and the interval that resampling them gives; None over nothing."""
    parts_N2 = np.array(parts, dtype=np.float64).reshape(-1, 2)
    if not parts_N2[:, 1].any():
        return None
    drawn_RN = np.random.default_rng(0).integers(0, len(parts_N2), (RESAMPLES, len(parts_N2)))
    sums_R2 = parts_N2[drawn_RN].sum(axis=1)
    sums_R2 = sums_R2[sums_R2[:, 1] > 0]
    low, high = np.percentile(sums_R2[:, 0] / sums_R2[:, 1], [2.5, 97.5])
    above, below = parts_N2.sum(axis=0)
    return Estimate(float(above / below), float(low), float(high))


def _passage(number: int, row: Mapping[str, str]) -> Passage:
    document = f"accept/{row['set']}-{number:02}"
    return Passage(
        id=f"{document}#{text_hash(row['text'])}",
        document_id=document,
        source="accept",
        kind=row.get("kind", "web"),
        lang=row.get("lang") or LANGS[row["set"]],
        text=row["text"],
        title=row["title"],
        headings=[row["heading"]],
    )


def _direction(passage: Passage, taken: Taken) -> str:
    """Name the language of pairs that are not in their passage's."""
    written = next((language_of(row["lang"]) for row in taken.rows), passage.language)
    return "" if written == passage.language else f" → {written}"


def _carried(taken: Taken, check: str) -> Part:
    """Read how many sentences or numbers of a passage its kept pairs carry, and how many it has."""
    told = next((one["value"] for row in taken.rows for one in row["checks"] if one["name"] == check), "0/0")
    carried, there = told.split("/")
    return float(carried), float(there)


def share_of(count: int, total: int, trials: int | None = None) -> str:
    """Write a share with its interval; `trials` where fewer of the total are independent."""
    return _estimate(wilson(count / max(total, 1), total if trials is None else trials), "{:.0%}")


def _estimate(estimate: Estimate, form: str) -> str:
    middle, low, high = (form.format(value) for value in (estimate.expected, estimate.low, estimate.high))
    return f"{middle:>7} ({low} to {high})"


def _told(passage: Passage, row: Mapping[str, Any]) -> dict[str, Any]:
    question, answer = [message["content"] for message in row["messages"]] or ["", ""]
    told = {"passage": passage.text, "question": question, "answer": answer, "style": row["style"]}
    return told | {"rejected": row["drop_reason"], "evidence": row["drop_detail"]}
