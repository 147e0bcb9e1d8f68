"""Sums of losses by kind and source, and where they are written: metrics.jsonl, TensorBoard, progress lines."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch.utils.tensorboard import SummaryWriter

from pipeline.shards import write_atomically


def tally(losses_N: NDArray[np.float64], code_N: NDArray[np.int64], size: int) -> NDArray[np.float64]:
    """Return (2, size): the sum of the losses and the number of the tokens of each code."""
    return np.stack([np.bincount(code_N, losses_N, size), np.bincount(code_N, minlength=size).astype(np.float64)])


def sum_over_ranks(values: NDArray[np.float64], device: torch.device) -> NDArray[np.float64]:
    """Add an array of every rank, in double precision."""
    tensor = torch.from_numpy(values).to(device)
    dist.all_reduce(tensor)
    return tensor.cpu().numpy()


def means(sums: NDArray[np.float64], names: Sequence[str]) -> dict[str, float]:
    """Return name -> mean loss of its tokens, for the (2, len(names)) sums of `tally`; without those of no tokens."""
    return {name: round(float(total / count), 6) for name, total, count in zip(names, *sums, strict=True) if count}


class Metrics:
    """The lines of a run on disk. A resumed run cuts off what came after its checkpoint."""

    def __init__(self, directory: Path, *, resumed_step: int) -> None:
        path = directory / "metrics.jsonl"
        kept = []
        if path.exists():
            whole = [line for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")]
            kept = [line for line in whole if json.loads(line)["step"] <= resumed_step] if resumed_step else []
        write_atomically(path, "".join(kept))
        self.file = path.open("a", encoding="utf-8")
        self.board = SummaryWriter(str(directory / "tensorboard"), purge_step=resumed_step + 1)

    def write(self, step: int, line: dict[str, Any]) -> None:
        """Append one line, and its numbers to TensorBoard."""
        self.file.write(json.dumps({"step": step, **line}, ensure_ascii=False) + "\n")
        self.file.flush()
        for name, value in line.items():
            for label, number in value.items() if isinstance(value, dict) else [("", value)]:
                if isinstance(number, int | float):
                    self.board.add_scalar(f"{name}/{label}".rstrip("/"), number, step)
        self.board.flush()

    def close(self) -> None:
        """Close the files."""
        self.file.close()
        self.board.close()
