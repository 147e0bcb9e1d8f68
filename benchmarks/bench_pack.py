"""Packing at 4,096 tokens beside the reference's, TRL's best fit decreasing, next fit: padding, displacement, speed.

Lengths are those of the rows of a folder's JSON Lines, 0.7 tokens a character, drawn with replacement. Displacement:
how many rows an example lies before the newest row begun by an example that precedes it. CPU time, best of three, on
one thread; the peers are our own transcription of their rule (bfd runs in our kernel, so that its speed is not TRL's).

    python -m benchmarks.bench_pack [DATA] [EXAMPLES]
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sampling.pack import PackConfig, Placed, fill_rows, plan_rows

ROW_TOKENS = 4096
REFERENCE_WINDOW = 256  # examples that the reference packs at a time (its code)
BFD_WINDOW = 1000  # examples that TRL's map packs at a time (its default)


def lengths_of(data: Path, count: int) -> NDArray[np.int64]:
    """Draw lengths in tokens from those of the texts in a folder's JSON, JSONL and Parquet files."""
    sizes = []
    for path in sorted(data.rglob("*.json*")):
        with path.open(encoding="utf-8", errors="replace") as lines:
            for line, _ in zip(lines, range(20_000), strict=False):
                try:
                    row = json.loads(line.strip().rstrip(","))
                except json.JSONDecodeError:
                    continue
                chars = sum(len(str(value)) for value in row.values()) if isinstance(row, dict) else 0
                sizes.append(int(np.clip(chars * 0.7, 8, ROW_TOKENS)))
    print(f"{len(sizes):,} texts of {data}, {np.mean(sizes):.0f} tokens on average (0.7 a character)")
    return np.random.default_rng(0).choice(np.array(sizes, np.int64), count)


def ours(tokens_E: NDArray[np.int64]) -> NDArray[np.int64]:
    """Lay examples out by `plan_rows`."""
    return plan_rows(tokens_E, np.zeros(PackConfig().open_rows, np.int64), 0, ROW_TOKENS)[0]


def next_fit(tokens_E: NDArray[np.int64]) -> NDArray[np.int64]:
    """Fill one row until an example does not fit."""
    return plan_rows(tokens_E, np.zeros(1, np.int64), 0, ROW_TOKENS)[0]


def best_fit_decreasing(tokens_E: NDArray[np.int64], window: int = BFD_WINDOW) -> NDArray[np.int64]:
    """Sort each window by length, then best fit over all of its rows, as TRL's bfd."""
    row_E, opened = np.empty_like(tokens_E), 0
    for start in range(0, len(tokens_E), window):
        part = tokens_E[start : start + window]
        order = np.argsort(-part, kind="stable")
        rows, _ = plan_rows(part[order], np.zeros(window, np.int64), 0, ROW_TOKENS)
        row_E[start + order] = opened + rows
        opened += int(rows.max()) + 1
    return row_E


def reference(tokens_E: NDArray[np.int64], window: int = REFERENCE_WINDOW) -> NDArray[np.int64]:
    """Fill one row until an example does not fit, and begin anew behind each window."""
    row_E, opened = np.empty_like(tokens_E), 0
    for start in range(0, len(tokens_E), window):
        part = slice(start, start + window)
        row_E[part] = opened + next_fit(tokens_E[part])
        opened = int(row_E[part].max()) + 1
    return row_E


def displacement(row_E: NDArray[np.int64]) -> tuple[float, int]:
    """Return by how many rows an example lies before the newest row begun by one that precedes it: mean, most."""
    ahead = np.maximum.accumulate(row_E) - row_E
    return float(ahead.mean()), int(ahead.max())


def timed(work: Callable[[], object], times: int = 3) -> float:
    """Return the least CPU seconds of some runs."""
    seconds = []
    for _ in range(times):
        started = time.process_time()
        work()
        seconds.append(time.process_time() - started)
    return min(seconds)


def main(data: Path, count: int) -> None:
    """Print a row for each packer."""
    tokens_E = lengths_of(data, count)
    packers = {
        "onestage, best fit over 32 open rows": ours,
        "next fit": next_fit,
        "best fit decreasing, 1,000 at a time (TRL's bfd)": best_fit_decreasing,
        "next fit, begun anew every 256 examples (reference)": reference,
    }
    print("| Packer | padding | displacement, rows: mean | most | examples/CPU-s |\n|---|---|---|---|---|")
    for name, packer in packers.items():
        row_E = packer(tokens_E)
        padding = 1 - tokens_E.sum() / (ROW_TOKENS * (row_E.max() + 1))
        mean, most = displacement(row_E)
        speed = count / timed(lambda packer=packer: packer(tokens_E))  # type: ignore[misc]
        print(f"| {name} | {padding:.2%} | {mean:.1f} | {most:,} | {speed:,.0f} |")
    examples = [Placed(0, tokens, "id", "web", "source", 0) for tokens in tokens_E.tolist()]
    whole = timed(lambda: list(fill_rows(examples, row_tokens=ROW_TOKENS, open_rows=PackConfig().open_rows)))
    print(f"onestage with its rows gathered (fill_rows): {count / whole:,.0f} examples/CPU-s")


if __name__ == "__main__":
    main(Path(sys.argv[1] if sys.argv[1:] else "../shared/data/sft"), int(sys.argv[2] if sys.argv[2:] else 200_000))
