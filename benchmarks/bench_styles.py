"""`excerpt` beside `huatuo2` on the same passages: python -m benchmarks.bench_styles [VARIANT …]; without any a table.

Passages are 200 of MedQuAD and OpenStax (../shared/data beside the checkout), drawn by hash from what the line makes of
them. The model is the demo's, of 135M parameters: what is measured is the machinery and its cost, not the
quality of the pairs. The variants without repair sample twice where the others repair once, so that both may ask as
often. Each has a journal of its own, from which an interrupted run goes on; its pairs, kept and rejected, are left in
data/bench_styles/VARIANT.txt for reading.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.cli import main as onestage
from pipeline.line import read_line
from pipeline.progress import Meter
from pipeline.recipe import Recipe, RunConfig, ServeConfig
from pipeline.records import PASSAGE, uniform
from pipeline.shards import Shard, parts_of
from unify.journal import open_journal
from unify.rewrite import RewriteConfig, rewrite_stage
from unify.serve import running_servers

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "data" / "bench_styles"
PASSAGES, MOST_CHARS = 200, 1500
RECIPE = f"""
name = "styles"
sources = ["medquad", "openstax_pharmacology"]
cards = "{ROOT}/tests/real/cards"
output = "line"
[filter]
lexicons = ["{ROOT}/recipes/lexicons/medical_en.txt", "{ROOT}/recipes/lexicons/medical_zh.txt"]
"""
COMMON: dict[str, Any] = {
    "model_languages": ("en",),
    "max_tokens": 128,
    "max_question_tokens": 40,
    "min_p": 0.05,
    "max_pairs_per_passage": 1,
    "shard_passages": PASSAGES,
}
VARIANTS: dict[str, dict[str, Any]] = {
    f"{style}_{name}": {"styles": {style.split("-")[0]: 1.0}, **settings, **more}
    for style, more in {
        "excerpt": {"excerpt_by": "model"},
        "excerpt-program": {"excerpt_by": "program", "candidates": 4, "max_excerpt_sentences": 2},
        "huatuo2": {},
    }.items()
    for name, settings in {"sampled": {"tries": 2, "repairs": 0}, "repaired": {"tries": 1, "repairs": 1}}.items()
}


def passages() -> Shard:
    """Return the passages as a shard, made the first time."""
    path = FOLDER / "passages.parquet"
    if not path.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        recipe = FOLDER / "styles.toml"
        recipe.write_text(RECIPE, encoding="utf-8")
        if onestage(["run", str(recipe), "--through", "dedup"]):
            raise SystemExit(1)
        line = read_line(recipe, "dedup")
        texts = [step.directory for step in line.steps if step.stage.name == "dedup"]
        rows = [row for folder in texts for part in parts_of(folder) for row in Shard(part, 0).read().to_pylist()]
        short = [row for row in rows if row["lang"] == "en" and len(row["text"]) <= MOST_CHARS]
        drawn = sorted(short, key=lambda row: uniform(0, "bench_styles", row["id"]))[:PASSAGES]
        pq.write_table(pa.Table.from_pylist(drawn, schema=PASSAGE), path)
    return Shard(path, pq.read_metadata(path).num_rows)


def measure(variant: str, url: str) -> None:
    """Rewrite the passages in one variant; write its pairs and figures."""
    config = RewriteConfig(**COMMON, **VARIANTS[variant])
    folder = FOLDER / variant
    (folder / "parts").mkdir(parents=True, exist_ok=True)
    clock = folder / "seconds"  # of all runs: one that is interrupted goes on from its journal
    before = float(clock.read_text()) if clock.exists() else 0.0
    run = RunConfig(base_urls=(url,), in_flight=48)
    recipe = Recipe(path=folder / "r.toml", name="styles", sources=("medquad",), output=str(folder), run=run)
    began = time.perf_counter()
    try:
        rewrite_stage([passages()], config, recipe, [], folder / "parts", Meter("rewrite", PASSAGES, "passages"))
    finally:
        seconds = before + time.perf_counter() - began
        clock.write_text(str(seconds))

    async def spent() -> tuple[int, int]:
        async with open_journal(folder / "journal.sqlite") as journal:
            found = journal.spent(config.model)
            return found.requests, found.output_tokens

    requests, tokens = asyncio.run(spent())
    kept = [row for part in parts_of(folder / "parts") for row in Shard(part, 0).read().to_pylist()]
    dropped = [
        json.loads(row["row"]) | {"drop_reason": row["reason"], "drop_detail": row["detail"]}
        for path in sorted((folder / "parts").glob("dropped-*.parquet"))
        for row in pq.read_table(path).to_pylist()
    ]
    figures = figures_of(kept, dropped) | {"requests": requests, "tokens": tokens, "seconds": round(seconds, 1)}
    (FOLDER / f"{variant}.json").write_text(json.dumps(figures, indent=1), encoding="utf-8")
    (FOLDER / f"{variant}.txt").write_text(as_text(kept, dropped), encoding="utf-8")


def figures_of(kept: list[dict[str, Any]], dropped: list[dict[str, Any]]) -> dict[str, Any]:
    """Sum what the pairs of one variant are like."""
    carried: Counter[str] = Counter()
    repairs: Counter[str] = Counter()
    quoted, answers = 0.0, 0
    for row in [*kept, *dropped]:
        values = {check["name"]: check["value"] for check in row["checks"]}
        for name in ("sentences", "numbers", "names"):
            have, whole = map(int, values.get(f"{name}_carried", "0/0").split("/"))
            carried[name] += have
            carried[f"all {name}"] += whole
        repairs.update(f"{name} {value}" for name, value in values.items() if name.endswith("_repair"))
        if not row.get("drop_reason"):
            chars = len(row["messages"][1]["content"])
            quoted, answers = quoted + float(values["quoted"]) * chars, answers + chars
    return {
        "kept": len(kept),
        "passages": len({row["passage_id"] for row in kept}),
        "rejected": dict(Counter(row["drop_reason"] for row in dropped).most_common()),
        "repairs": dict(sorted(repairs.items())),
        "quoted": round(quoted / max(1, answers), 3),
        **{name: f"{carried[name]}/{carried[f'all {name}']}" for name in ("sentences", "numbers", "names")},
    }


def as_text(kept: list[dict[str, Any]], dropped: list[dict[str, Any]]) -> str:
    """Write pairs beside their passages, in the order of a hash, for a person to read."""
    texts = {row["id"]: (row["title"], row["text"]) for row in passages().read().to_pylist()}
    rows = sorted([*kept, *dropped], key=lambda row: uniform(0, "read", row["id"]))
    lines = []
    for row in rows:
        title, text = texts[row["passage_id"]]
        said = [message["content"] for message in row["messages"]] or ["", ""]
        verdict = f"{row['drop_reason']}: {row['drop_detail']}" if row.get("drop_reason") else "kept"
        lines += [f"## {verdict} {row['checks']}", f"[{title}] {text}", f"Q: {said[0]}", f"A: {said[1]}", ""]
    return "\n".join(lines)


def table() -> str:
    """Return the figures of all variants measured so far, as a Markdown table."""
    lines = [
        "| | kept, of passages | requests | output tokens a kept pair | kept pairs/s | quoted | sentences carried |"
    ]
    for variant in VARIANTS:
        path = FOLDER / f"{variant}.json"
        if path.exists():
            found = json.loads(path.read_text(encoding="utf-8"))
            kept, tokens = found["kept"], found["tokens"] / max(1, found["kept"])
            lines.append(
                f"| {variant} | {kept}, {found['passages']} | {found['requests']} | {tokens:.0f} "
                f"| {kept / found['seconds']:.2f} | {found['quoted']:.0%} | {found['sentences']} | "
                f"{found['numbers']} numbers, {found['names']} names; {found['repairs']}; {found['rejected']}"
            )
    return "\n".join(lines)


def serve_and_measure(variants: list[str]) -> None:
    """Start the model's server, measure the variants one after another, and stop it, also when interrupted."""
    serve = ServeConfig(environment=str(ROOT / ".venv-server"), port=8460)
    recipe = Recipe(path=FOLDER / "r.toml", name="styles", sources=("medquad",), output=str(FOLDER), serve=serve)
    with asyncio.Runner() as runner, ExitStack() as stack:
        server = running_servers(recipe, RewriteConfig().model)
        stack.callback(lambda: runner.run(server.__aexit__(None, None, None)))
        (url,) = runner.run(server.__aenter__())
        for variant in variants:
            measure(variant, url)


if __name__ == "__main__":
    passages()
    serve_and_measure(sys.argv[1:]) if sys.argv[1:] else print(table())
