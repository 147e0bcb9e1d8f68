"""Checkpoints that are complete or absent, and go on with any number of ranks and any ZeRO stage.

    data/train/<key>/step-<n>/rank-<r>.safetensors   fp32 weights and Adam's moments of the elements that rank r steps
                              manifest.json          step, rows, losses so far, world size, file sizes

Each rank streams its own pieces to its own file; a checkpoint is written under a hidden name and renamed once every
rank's file is whole. A tensor is named <parameter>@<first element>/<weight, exp_avg or exp_avg_sq>. Reading copies
what overlaps with the reader's own pieces, so that ranks and stages may be others. DeepSpeed's own format is not used:
it is cut for one number of ranks, and its `latest` is written before every rank has saved, and not atomically.
"""

import json
import os
import shutil
from collections import defaultdict
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors import safe_open
from torch import Tensor

from pipeline.shards import ContractError, write_atomically
from training.pieces import MOMENTS, adam_steps, begin_moments, is_replicated, own_pieces, take_weights

TENSORS = ("weight", *MOMENTS)


def save_checkpoint(engine: Any, directory: Path, progress: dict[str, Any], *, keep: int) -> None:
    """Save the engine as directory/step-<n>, delete all but the newest `keep` and the best; every rank calls this.

    Args:
        progress: what the manifest says of the run: "step" and "rows" done, the key, losses so far.

    Raises:
        ContractError: a rank's file is missing or cut short; nothing is published.
    """
    final = directory / f"step-{progress['step']}"
    if final.exists():
        return
    working = final.with_name("." + final.name)
    dist.barrier()  # no rank may still be asking whether `final` exists when it appears
    working.mkdir(parents=True, exist_ok=True)
    mine = {} if is_replicated(engine) and dist.get_rank() else _tensors(engine)
    size = write_safetensors(working / f"rank-{dist.get_rank():05d}.safetensors", mine)
    sizes: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(sizes, size)
    if dist.get_rank() == 0:
        for rank, expected in enumerate(sizes):
            path = working / f"rank-{rank:05d}.safetensors"
            actual = path.stat().st_size if path.exists() else 0
            if actual != expected:
                raise ContractError(f"{path}: got {actual} bytes, expected the {expected} that rank {rank} wrote")
        layout = {"world_size": len(sizes), "zero_stage": engine.zero_optimization_stage()}
        publish_folder(working, final, {**progress, **layout, "adam_steps": adam_steps(engine)})
        for old in _superseded(directory, keep):
            shutil.rmtree(old.rename(directory / f".old-{old.name}"))  # absent at once
    dist.barrier()


def load_newest(engine: Any, directory: Path) -> dict[str, Any] | None:
    """Load the newest checkpoint into the engine and return its manifest, or None where there is none.

    Raises:
        ContractError: a file does not have the size that the manifest states, or elements of a parameter are missing.
    """
    found = checkpoints(directory)
    if not found:
        return None
    newest = found[-1][1]
    manifest: dict[str, Any] = json.loads((newest / "manifest.json").read_text(encoding="utf-8"))
    for name, size in manifest["files"].items():
        actual = (newest / name).stat().st_size if (newest / name).exists() else 0
        if actual != size:
            raise ContractError(
                f"{newest / name}: got {actual} bytes, expected {size} (delete {newest.name} to use an older one)"
            )
    if "adam_steps" not in manifest:
        raise ContractError(f"{newest}: written by an earlier version, expected rank-*.safetensors (delete the folder)")
    begin_moments(engine, manifest["adam_steps"])
    read_pieces(engine, sorted(newest.glob("rank-*.safetensors")))
    take_weights(engine)
    return manifest


def read_pieces(engine: Any, paths: list[Path]) -> None:
    """Copy what the files hold of this rank's pieces into them.

    Raises:
        ContractError: elements of a piece are in none of the files.
    """
    stored: dict[str, list[tuple[int, int, Path]]] = defaultdict(
        list
    )  # parameter -> the span of its elements, and the file
    for path in paths:
        with safe_open(path, "pt") as file:
            for key in [*file.keys()]:
                place, _, tensor = key.rpartition("/")
                if tensor == "weight":
                    name, _, start = place.rpartition("@")
                    stored[name].append((int(start), int(start) + file.get_slice(key).get_shape()[0], path))
    for piece in own_pieces(engine):
        views, copied = piece.views(engine.basic_optimizer), 0
        for start, stop, path in stored[piece.name]:
            begin, end = max(start, piece.start), min(stop, piece.start + piece.length)
            if begin >= end:
                continue
            copied += end - begin
            with safe_open(path, "pt") as file:
                for tensor in TENSORS:
                    values = file.get_slice(f"{piece.name}@{start}/{tensor}")[begin - start : end - start]
                    views[tensor][begin - piece.start : end - piece.start].copy_(values)
        if copied != piece.length:
            raise ContractError(
                f"{paths[0].parent if paths else 'no files'}: got {copied} elements of {piece.name}, "
                f"expected {piece.length}"
            )


def write_safetensors(path: Path, tensors: dict[str, Tensor]) -> int:
    """Write flat fp32 tensors one after another, so that no second copy of all is in memory; return the file's size."""
    header, end = {}, 0
    for name, tensor in tensors.items():
        begin, end = end, end + tensor.numel() * 4
        header[name] = {"dtype": "F32", "shape": [tensor.numel()], "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for tensor in tensors.values():
            assert tensor.dtype == torch.float32
            tensor.cpu().numpy().tofile(file)
        file.flush()
        os.fsync(file.fileno())
    return 8 + len(text) + end


def remove_unfinished(directory: Path) -> None:
    """Delete what a killed run left half-written or half-deleted."""
    for path in [*directory.glob(".step-*"), *directory.glob(".old-*"), *directory.glob(".hf*")]:
        shutil.rmtree(path)


def publish_folder(working: Path, final: Path, manifest: dict[str, Any]) -> None:
    """Flush a folder's files to disk, list them with their sizes in its manifest.json, and rename it into place."""
    files = sorted(path for path in working.rglob("*") if path.is_file())
    for path in files:
        with path.open("rb+") as file:
            os.fsync(file.fileno())
    sizes = {str(path.relative_to(working)): path.stat().st_size for path in files}
    write_atomically(
        working / "manifest.json", json.dumps({**manifest, "files": sizes}, ensure_ascii=False, indent=1) + "\n"
    )
    _sync_names(working)
    os.rename(working, final)
    _sync_names(final.parent)


def _sync_names(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)


def checkpoints(directory: Path) -> list[tuple[int, Path]]:
    """Return the whole checkpoints of a run by step, oldest first."""
    found = [path for path in directory.glob("step-*") if (path / "manifest.json").is_file()]
    return sorted((int(path.name.removeprefix("step-")), path) for path in found)


def _superseded(directory: Path, keep: int) -> list[Path]:
    """Name the checkpoints that are neither among the newest `keep` nor the one with the lowest held-out loss."""
    found = checkpoints(directory)
    progress = json.loads((found[-1][1] / "manifest.json").read_text(encoding="utf-8"))
    heldout = {step: loss for step, _ in found if (loss := progress.get("heldout_loss", {}).get(str(step))) is not None}
    best = min(heldout, key=lambda step: heldout[step], default=None)
    return [path for step, path in found[:-keep] if step != best]


def _tensors(engine: Any) -> dict[str, Tensor]:
    return {
        f"{piece.name}@{piece.start}/{name}": tensor
        for piece in own_pieces(engine)
        for name, tensor in piece.views(engine.basic_optimizer).items()
    }
