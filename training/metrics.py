"""Sums of losses by kind, source and copy, and where they are written: metrics.jsonl and TensorBoard.

Legend: E examples of a step.
"""

import importlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch.utils.tensorboard import SummaryWriter

from pipeline.recipe import RecipeError
from pipeline.records import KINDS
from pipeline.shards import write_atomically
from training.rows import Rows


def tally(
    sums_E: NDArray[np.float64], targets_E: NDArray[np.int64], code_E: NDArray[np.int64], size: int
) -> NDArray[np.float64]:
    """Return (2, size): the losses and the target tokens of the E examples, added up by their codes."""
    return np.stack([np.bincount(code_E, sums_E, size), np.bincount(code_E, targets_E, size)])


def by_copy(
    sums_E: NDArray[np.float64],
    targets_E: NDArray[np.int64],
    code_E: NDArray[np.int64],
    epoch_E: NDArray[np.int64],
    names: Sequence[str],
) -> dict[str, dict[str, list[float]]]:
    """Return name -> epoch -> [sum of losses, target tokens] in full precision, without those of no tokens."""
    epochs = int(epoch_E.max(initial=0)) + 1
    sums = tally(sums_E, targets_E, code_E * epochs + epoch_E, len(names) * epochs).reshape(2, len(names), epochs)
    found: dict[str, dict[str, list[float]]] = {}
    for code, epoch in zip(*np.nonzero(sums[1]), strict=True):
        found.setdefault(names[code], {})[str(epoch)] = [float(sums[0, code, epoch]), int(sums[1, code, epoch])]
    return found


def losses_of(batch: Rows, sums_E: NDArray[np.float64], sources: Sequence[str]) -> dict[str, Any]:
    """Return what metrics.jsonl says of a step's losses by source and by kind: means, tokens, and sums by copy."""
    targets_E = batch.targets_E
    by_source = tally(sums_E, targets_E, batch.source_E, len(sources))
    by_kind = tally(sums_E, targets_E, batch.kind_E, len(KINDS))
    return {
        "loss_by_source": means(by_source, sources),
        "targets_by_source": {name: int(count) for name, count in zip(sources, by_source[1], strict=True)},
        "targets_by_kind": {kind: int(count) for kind, count in zip(KINDS, by_kind[1], strict=True) if count},
        "sums_by_source": by_copy(sums_E, targets_E, batch.source_E, batch.epoch_E, sources),
        "sums_by_kind": by_copy(sums_E, targets_E, batch.kind_E, batch.epoch_E, KINDS),
    }


def sum_over_ranks(values: NDArray[np.float64], device: torch.device) -> NDArray[np.float64]:
    """Add an array of every rank, in double precision."""
    tensor = torch.from_numpy(values).to(device)
    dist.all_reduce(tensor)
    return tensor.cpu().numpy()


def means(sums: NDArray[np.float64], names: Sequence[str]) -> dict[str, float]:
    """Return name -> mean loss of its tokens, for the (2, len(names)) sums of `tally`; without those of no tokens."""
    return {name: round(float(total / count), 6) for name, total, count in zip(names, *sums, strict=True) if count}


class Metrics:
    """The lines of a run on disk, and what shows them. A resumed run cuts off what came after its checkpoint."""

    def __init__(self, directory: Path, *, resumed_step: int, trackers: Sequence[str] = ()) -> None:
        path = directory / "metrics.jsonl"
        kept = []
        if path.exists():
            whole = [line for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")]
            kept = [line for line in whole if json.loads(line)["step"] <= resumed_step] if resumed_step else []
        self.trackers = [_begin_tracking(name, directory.name) for name in trackers]
        write_atomically(path, "".join(kept))
        self.file = path.open("a", encoding="utf-8")
        self.board = SummaryWriter(str(directory / "tensorboard"), purge_step=resumed_step + 1)

    def write(self, step: int, line: dict[str, Any]) -> None:
        """Append one line, and its numbers to TensorBoard and the trackers."""
        self.file.write(json.dumps({"step": step, **line}, ensure_ascii=False) + "\n")
        self.file.flush()
        numbers: dict[str, float] = {}
        for name, value in line.items():
            for label, number in value.items() if isinstance(value, dict) else [("", value)]:
                if isinstance(number, int | float):
                    numbers[f"{name}/{label}".rstrip("/")] = number
        for name, number in numbers.items():
            self.board.add_scalar(name, number, step)
        self.board.flush()
        for tracker in self.trackers:
            tracker.log(numbers, step=step)

    def close(self) -> None:
        """Close the files, and end the run for the trackers."""
        self.file.close()
        self.board.close()
        for tracker in self.trackers:
            tracker.finish()


def _begin_tracking(name: str, run: str) -> Any:
    """Begin a run of wandb or trackio, or go on with it.

    Raises:
        RecipeError: it is not installed.
    """
    try:
        tracker = importlib.import_module(name)
    except ImportError as error:
        raise RecipeError(
            f"[train] trackers: got {name}, expected it installed (pip install {name}): {error}"
        ) from None
    if name == "wandb":
        return tracker.init(project="onestage", id=run, name=run, resume="allow")
    return tracker.init(project="onestage", name=run, resume="allow")
