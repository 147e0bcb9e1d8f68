"""Forecast what rewriting will cost, from a calibration: some passages really asked, whose responses are kept.

The sample is stratified by source and length (doublings of characters), drawn by hash, so that asking for a forecast
again asks nothing anew, and the run that follows does not pay for it twice. Totals and their 90% intervals are those
of a stratified mean with the finite population correction (Cochran, Sampling Techniques, chapter 5), with Student's t
approximated from the normal quantile.
"""

import asyncio
import heapq
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import NormalDist, fmean, variance
from typing import Any

from pipeline.recipe import Recipe, RunConfig, SourceCard
from pipeline.records import uniform
from pipeline.shards import Shard, part_name
from unify.pair import passage_of
from unify.request import RewriteConfig
from unify.rewrite import check_egress, check_sources, cut, pilot_documents
from unify.trial import Estimate, Taken, in_flow, rewrite_some, speed_of

SAMPLE = 96  # passages, more where there are many strata
LEAST = 2  # of a stratum, so that it has a variance
COVERAGE = 0.9
QUANTITIES: Mapping[str, Callable[[Taken], int]] = {
    "requests": lambda taken: taken.requests,
    "prompt tokens": lambda taken: taken.prompt_tokens,
    "output tokens": lambda taken: taken.output_tokens,
    "pairs": lambda taken: taken.kept,
}
Stratum = tuple[str, int]


@dataclass
class Passages:
    """The passages of a stratum that are still to be rewritten: how many, and those with the smallest hashes."""

    number: int = 0
    drawn: list[tuple[float, str, dict[str, Any]]] = field(default_factory=list)  # a heap, the largest hash first


def forecast(
    shards: Sequence[Shard],
    config: RewriteConfig,
    recipe: Recipe,
    cards: Sequence[SourceCard],
    directory: Path,
    say: Callable[[str], None] = print,
) -> None:
    """Ask for a sample of the passages whose parts are not in `directory` yet, and say what all of them will cost.

    Raises:
        RecipeError: as rewriting does. Stopped: the calibration alone passes a limit.
    """
    check_egress(recipe, cards)
    check_sources(config, recipe, cards)
    strata = strata_of(shards, config, directory)
    sample = {name: drawn_of(stratum, share_of(strata)) for name, stratum in strata.items()}
    passages = [(passage_of(row), config) for rows in sample.values() for row in rows]
    trial = asyncio.run(rewrite_some(passages, config, recipe, lambda changed: check_egress(changed, cards)))
    taken = iter(trial.taken)
    asked = {name: [next(taken) for _ in rows] for name, rows in sample.items()}
    numbers = {name: stratum.number for name, stratum in strata.items()}
    estimates = {
        quantity: total_of(numbers, {name: [count(one) for one in asked[name]] for name in strata})
        for quantity, count in QUANTITIES.items()
    }
    say(f"{sum(numbers.values()):,} passages to rewrite; {sum(map(len, sample.values())):,} of them asked, and kept")
    say(f"{trial.spent:,} tokens of {config.model} spent in this output folder so far, the calibration included")
    say(_table(estimates, recipe.run, speed_of(in_flow(trial.moments))))
    ends = Counter("kept" if one.kept else f"rejected: {one.rows[0]['drop_reason']}" for one in trial.taken)
    for reason, number in ends.most_common():
        say(f"in the sample {number / max(ends.total(), 1):>6.1%} {reason}")


def strata_of(shards: Sequence[Shard], config: RewriteConfig, directory: Path) -> dict[Stratum, Passages]:
    """Count the passages to be rewritten by stratum, and keep of each those that a sample may want."""
    pilot, strata = pilot_documents(shards, config), dict[Stratum, Passages]()
    for index, passages in cut(shards, config.shard_passages):
        if (directory / part_name(index)).exists():
            continue
        for row in passages.to_pylist():
            if pilot is not None and row["document_id"] not in pilot:
                continue
            stratum = strata.setdefault((row["source"], len(row["text"]).bit_length()), Passages())
            stratum.number += 1
            push = heapq.heappush if len(stratum.drawn) < SAMPLE else heapq.heappushpop
            push(stratum.drawn, (-uniform(config.seed, "forecast", row["id"]), row["id"], row))
    return dict(sorted(strata.items()))


def share_of(strata: Mapping[Stratum, Passages]) -> float:
    """Return the share of passages that is sampled."""
    return min(1.0, SAMPLE / max(sum(stratum.number for stratum in strata.values()), 1))


def drawn_of(stratum: Passages, share: float) -> list[dict[str, Any]]:
    """Take a stratum's share of the sample, LEAST passages at least."""
    size = min(max(LEAST, round(share * stratum.number)), len(stratum.drawn))
    return [row for *_, row in sorted(stratum.drawn, key=lambda item: (-item[0], item[1]))[:size]]


def total_of(numbers: Mapping[Stratum, int], seen: Mapping[Stratum, Sequence[float]]) -> Estimate:
    """Estimate the total over strata of so many passages, from what was seen of some of each."""
    total = sum(number * fmean(seen[name]) for name, number in numbers.items())
    squared = sum(
        number**2 * (1 - len(seen[name]) / number) * variance(seen[name]) / len(seen[name])
        for name, number in numbers.items()
        if len(seen[name]) > 1
    )
    freedom = max(sum(len(values) - 1 for values in seen.values()), 1)
    normal = NormalDist().inv_cdf((1 + COVERAGE) / 2)
    within = (normal + (normal**3 + normal) / (4 * freedom)) * math.sqrt(squared)
    least = sum(sum(values) for values in seen.values())  # what the sample itself has cost
    return Estimate(total, max(total - within, least), total + within)


def _table(estimates: Mapping[str, Estimate], run: RunConfig, speed: float | None) -> str:
    def lines() -> Iterator[str]:
        yield f"{'':<16}{'expected':>16}{'from':>16}{'to':>16}   ({COVERAGE:.0%} interval)"
        for name, one in estimates.items():
            yield f"{name:<16}{one.expected:>16,.0f}{one.low:>16,.0f}{one.high:>16,.0f}"
        price = run.budget
        if price.input_price or price.output_price:
            given, written = (estimates[f"{name} tokens"] for name in ("prompt", "output"))
            sums = [
                (getattr(given, end) * price.input_price + getattr(written, end) * price.output_price) / 1e6
                for end in ("expected", "low", "high")
            ]
            yield f"{'cost':<16}" + "".join(f"{value:>16,.2f}" for value in sums)
        if speed is None:
            yield "hours           not measured: all of the sample was in the journal"
            return
        hours = estimates["output tokens"].times(1 / speed / 3600)
        yield (
            f"{'hours':<16}{hours.expected:>16,.2f}{hours.low:>16,.2f}{hours.high:>16,.2f}"
            f"   (at the calibration's {speed:,.0f} output tokens/s; more under way may be faster)"
        )

    return "\n".join(lines())
