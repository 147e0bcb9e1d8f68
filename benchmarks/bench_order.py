"""Draw the order of HuatuoGPT-II's 5.7 million rows, and of 10^9 in the same shares: CPU time and peak memory.

python -m benchmarks.bench_order [ROWS]
"""

import resource
import sys
import time

import numpy as np

from sampling.law import Law, draw_groups

KINDS = ("books", "encyclopedia", "literature", "sft", "web")
SLOTS = np.array([2_604_039, 558_242, 1_055_502, 426_744, 1_035_111])  # arXiv:2311.09774, SFT three times
PRIORITY = np.array([4.0, 8.0, 16.0, 1.0, 32.0])  # its code
BLOCK = 1 << 17


def draw(slots_K: np.ndarray) -> None:
    """Draw a whole order block by block, and say what the first and the last tenth hold."""
    law = Law(slots_K, PRIORITY, np.zeros(len(KINDS), np.int64))
    left, drawn, tenth = law.slots_K.copy(), 0, law.num_slots // 10
    counts = np.zeros((2, len(KINDS)), np.int64)
    started = time.process_time()
    while left.any():
        groups = draw_groups(law, left, BLOCK, seed=0)
        for row, part in enumerate((groups[: max(tenth - drawn, 0)], groups[max(9 * tenth - drawn, 0) :])):
            counts[row] += np.bincount(part, minlength=len(KINDS))
        drawn += len(groups)
    seconds = time.process_time() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{drawn:,} rows: {seconds:.2f} CPU-s, {drawn / seconds:,.0f} a second, peak {peak:.0f} MiB with all imports")
    for name, row in zip(("first", "last"), counts, strict=True):
        shares = ", ".join(f"{kind} {share:.3f}" for kind, share in zip(KINDS, row / row.sum(), strict=True))
        print(f"  {name} tenth: {shares}")


if __name__ == "__main__":
    draw(SLOTS)
    rows = int(sys.argv[1]) if sys.argv[1:] else 10**9
    draw((SLOTS * (rows / SLOTS.sum())).astype(np.int64))
