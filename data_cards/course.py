"""`onestage schedule`: say in text, and draw, the share of each group of rows as training goes on.

Reads a recipe's cards, and of its Encoded, Order, PackedSequence and metrics what is there; returns text and SVG.
"""

import json
from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, cast

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.records import KINDS
from pipeline.shards import Shard, is_complete, shards_of
from pipeline.stages import Line
from sampling.ledger import check_ledger
from sampling.mix import MixConfig
from sampling.order import Plan, PrioritizeConfig
from training.config import TrainConfig
from training.course import Course, expected_course, plan_of, realised_course

COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bbbbbb", "#222255", "#225522", "#666633")
WIDTH, HEIGHT, LEGEND = 640, 240, 18  # pixels
NOTES = (
    "A priority says how early, never how much: each row is used as often as its epochs say, whatever its priority.",
    "Order and learning rate are confounded: what comes late meets another learning rate than what comes early. "
    "Compare orders under one schedule, best under a plateau (wsd) or with a floor (min_lr_ratio).",
)


def schedule_report(line: Line, train: Path) -> tuple[str, str]:
    """Return what is expected of a recipe's training, and what came of it as far as it has come: text and SVG.

    Args:
        train: the directory of its training run.

    Raises:
        RecipeError: neither rows nor cards say how many rows there will be. ContractError: the ledger does not add up.
    """
    config, order = cast(TrainConfig, line.configs["train"]), cast(PrioritizeConfig, line.configs["prioritize"])
    made = {name: _made(line, name) for name in ("encode", "prioritize", "pack")}
    plan = plan_of(made["encode"], line.cards, cast(MixConfig, line.configs["mix"]), order)
    expected = expected_course(plan)
    unit = "rows" if np.isnan(plan.tokens_K).any() else "tokens"
    tokens = None if unit == "rows" else float(plan.law.slots_K @ plan.tokens_K)
    planned = _steps(made["pack"], tokens, int(line.configs["encode"].model_dump()["max_tokens"]), config.batch_rows)
    steps = min(planned, config.max_steps or planned) if planned else None
    known = "rows as encoded" if made["encode"] is not None else "rows as the cards state them, nothing is encoded yet"
    text = [f'{line.recipe.name}: order "{order.order}", {plan.law.num_slots:,} places; {known}', _groups(plan), ""]
    text += [_size(tokens, steps, planned, config, line.recipe.output_folder, train), ""]
    courses = {"expected": expected}
    if made["prioritize"] is not None:
        courses["realised"] = realised_course(expected, plan, made["prioritize"])
    text += [f"share of {unit} of each group, by tenth of the run", shares_table(courses), ""]
    share = expected.share(0, steps / planned if steps and planned else 1.0)
    text += [
        f"share of {unit} of each group, weighted by learning rate",
        weights_table(plan.names, share, expected.weighted_by_schedule(config, steps, planned)),
        "",
    ]
    text += [*_trained(train, config.batch_rows), *NOTES]
    if made["encode"] is not None and made["prioritize"] is not None:
        uses = check_ledger(plan, made["encode"], made["prioritize"], made["pack"] or ())
        where = "order and packed rows" if made["pack"] is not None else "order"
        total = f"{sum(slots for _, slots in uses.values()):,} uses of {sum(rows for rows, _ in uses.values()):,} rows"
        text.append(f"Ledger: {total} in {where}, each row as often as its epochs say.")
    return "\n".join(text) + "\n", course_svg(courses, f"schedule of {line.recipe.name}")


def _made(line: Line, stage: str) -> list[Shard] | None:
    directory = line.step(stage).directory
    return shards_of(directory) if is_complete(directory) else None


def _steps(packed: Sequence[Shard] | None, tokens: float | None, row_tokens: int, batch_rows: int) -> int | None:
    """Count the steps of one pass: by the packed rows, or by the tokens as if no row had padding."""
    if packed is not None:
        rows = sum(int(pc.sum(pc.equal(shard.read(["split"])["split"], "train")).as_py() or 0) for shard in packed)
        return -(-rows // batch_rows)
    return -(-int(tokens) // (row_tokens * batch_rows)) if tokens else None


def _groups(plan: Plan) -> str:
    columns = (plan.names, plan.rows_K, plan.law.slots_K, plan.tokens_K, plan.law.priority_K, plan.law.stage_K)
    lines = [f"{'':<16}{'rows':>12}{'epochs':>8}{'places':>12}{'tokens':>16}{'priority':>10}{'stage':>7}"]
    for name, rows, slots, size, priority, stage in zip(*columns, strict=True):
        tokens = "unknown" if np.isnan(size) else f"{slots * size:,.0f}"
        epochs = f"{slots / max(rows, 1):.2f}".removesuffix(".00")
        lines.append(f"{name:<16}{rows:>12,}{epochs:>8}{slots:>12,}{tokens:>16}{priority:>10.3g}{stage + 1:>7}")
    return "\n".join(lines)


def _size(
    tokens: float | None, steps: int | None, planned: int | None, config: TrainConfig, output: Path, train: Path
) -> str:
    if tokens is None or steps is None or planned is None:
        return "tokens, steps, hours: not known before rows are encoded, or every card has `mean_tokens`"
    done = tokens * steps / planned
    ends = f" of {planned:,} ([train] max_steps)" if steps < planned else ""
    said = f"{done:,.0f} tokens, {steps:,} steps{ends} of {config.batch_rows} packed rows"
    rate, where = _rate(output, train)
    if rate is None:
        return f"{said}; hours: not known, no run in {output / 'train'} has measured a rate"
    return f"{said}; {done / rate / 3600:,.2f} hours at {rate:,.0f} tokens/s, as measured in {where}"


def _rate(output: Path, train: Path) -> tuple[float | None, Path]:
    """Return the median tokens a second of this run, or else of the last run in the output folder."""
    others = sorted(output.glob("train/*/metrics.jsonl"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in (train / "metrics.jsonl", *others):
        if rates := [line["tokens_per_s"] for line in _metrics(path) if "tokens_per_s" in line]:
            return median(rates), path.parent
    return None, train


def _metrics(path: Path) -> list[dict[str, Any]]:
    written = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.is_file() else []
    return [json.loads(line) for line in written if line.endswith("\n")]


def _trained(train: Path, batch_rows: int) -> list[str]:
    """Say what training has consumed: its target tokens by kind, weighted by the learning rate that they met."""
    steps = [line for line in _metrics(train / "metrics.jsonl") if "targets_by_kind" in line]
    if not steps:
        return []
    kinds = [kind for kind in KINDS if any(kind in line["targets_by_kind"] for line in steps)]
    targets_SK = np.array([[line["targets_by_kind"].get(kind, 0) for kind in kinds] for line in steps], float)
    weighted = np.array([line["lr"] for line in steps]) @ targets_SK
    table = weights_table(
        kinds, targets_SK.sum(0) / max(targets_SK.sum(), 1), {"by learning rate": weighted / max(weighted.sum(), 1e-12)}
    )
    cursor = [line["rows"] for line in steps]
    gaps = [at for at, (before, after) in enumerate(zip([0, *cursor], cursor, strict=False)) if after <= before]
    gapless = "every row once" if not gaps and cursor[-1] <= batch_rows * len(steps) else f"but not in order at {gaps}"
    return [f"trained: {len(steps):,} steps, {cursor[-1]:,} packed rows, {gapless}; share of target tokens", table, ""]


def shares_table(courses: Mapping[str, Course], tenths: int = 10) -> str:
    """Return each group's share of the whole and of each tenth of a run, for courses side by side by name."""
    width = max(12, *(len(f"{name} {label}") for label, one in courses.items() for name in one.names)) + 1
    lines = [f"{'':<{width}}{'all':>7}" + "".join(f"{number:>6}" for number in range(1, tenths + 1))]
    columns = {
        label: np.stack([one.share(), *(one.share(at / tenths, (at + 1) / tenths) for at in range(tenths))])
        for label, one in courses.items()
    }
    for group, name in enumerate(next(iter(courses.values())).names):
        for label, shares in columns.items():
            line = "".join(f"{share:>6.1%}" if share >= 0.0005 else f"{'.':>6}" for share in shares[1:, group])
            lines.append(f"{f'{name} {label}'.strip():<{width}}{shares[0, group]:>7.1%}{line}")
    return "\n".join(lines)


def weights_table(
    names: Sequence[str], share_K: NDArray[np.float64], weighted: Mapping[str, NDArray[np.float64]]
) -> str:
    """Return each group's share as it is, and weighted by the learning rates of some schedules."""
    width = max(12, *map(len, names)) + 1
    lines = [f"{'':<{width}}{'unweighted':>12}" + "".join(f"{name:>{len(name) + 3}}" for name in weighted)]
    for group, name in enumerate(names):
        cells = "".join(f"{shares[group]:>{len(label) + 3}.1%}" for label, shares in weighted.items())
        lines.append(f"{name:<{width}}{share_K[group]:>12.1%}{cells}")
    return "\n".join(lines)


def course_svg(courses: Mapping[str, Course], title: str, points: int = 100) -> str:
    """Draw each course as areas stacked over the run, one picture above the other."""
    pictures = []
    for number, (label, one) in enumerate(courses.items()):
        edges = np.linspace(0, 1, points + 1)
        shares = np.stack([one.share(first, last) for first, last in pairwise(edges)])
        tops = HEIGHT * (1 - np.cumsum(shares, axis=1))
        bottoms = np.column_stack([np.full(points, float(HEIGHT)), tops[:, :-1]])
        x = np.linspace(0, WIDTH, points)
        areas = [
            _area(x, tops[:, group], bottoms[:, group], COLOURS[group % len(COLOURS)], f"{name} {label}")
            for group, name in enumerate(one.names)
        ]
        down = 30 + number * (HEIGHT + 40)
        text = f'<text x="0" y="-6">{escape(label)}: share of each group, from the first step to the last</text>'
        pictures.append(f'<g transform="translate(10 {down})">{text}{"".join(areas)}</g>')
    names = next(iter(courses.values())).names
    keys = [
        f'<rect x="{WIDTH + 20}" y="{30 + LEGEND * at}" width="12" height="12" fill="{COLOURS[at % len(COLOURS)]}"/>'
        f'<text x="{WIDTH + 38}" y="{41 + LEGEND * at}">{escape(name)}</text>'
        for at, name in enumerate(names)
    ]
    height = max(30 + len(courses) * (HEIGHT + 40), 60 + LEGEND * len(names))
    head = f'xmlns="http://www.w3.org/2000/svg" width="{WIDTH + 220}" height="{height}" font-family="sans-serif"'
    drawn = f"<title>{escape(title)}</title>{''.join(pictures)}{''.join(keys)}"
    return f'<svg {head} font-size="12">{drawn}</svg>\n'


def _area(x: NDArray[np.float64], top: NDArray[np.float64], bottom: NDArray[np.float64], colour: str, name: str) -> str:
    there = [f"{at:.1f},{y:.1f}" for at, y in zip(x, top, strict=True)]
    back = [f"{at:.1f},{y:.1f}" for at, y in zip(x[::-1], bottom[::-1], strict=True)]
    return f'<polygon points="{" ".join(there + back)}" fill="{colour}"><title>{escape(name)}</title></polygon>'
