"""Checkpoints that are complete or absent, and the newest of them to go on from.

    data/train/<key>/step-<n>/state/           DeepSpeed's files of every rank
                              manifest.json    step, rows, world size, file sizes

A checkpoint is written under a hidden name and renamed once every rank's files are there. DeepSpeed's own `latest`
file is not used: it is written before every rank has saved, and not atomically.
"""

import json
import os
import shutil
import zipfile
from pathlib import Path
from typing import Any

import torch.distributed as dist

from pipeline.recipe import RecipeError
from pipeline.shards import ContractError, write_atomically

STATE = "state"


def save_checkpoint(engine: Any, directory: Path, progress: dict[str, Any], *, keep: int) -> None:
    """Save the engine as directory/step-<n> and delete all but the newest `keep`; every rank calls this.

    Args:
        progress: what the manifest says of the run: "step" and "rows" done, the key, losses so far.

    Raises:
        ContractError: a rank's files are missing or cut short; nothing is published.
    """
    final = directory / f"step-{progress['step']}"
    if final.exists():
        return
    working = final.with_name("." + final.name)
    dist.barrier()  # no rank may still be asking whether `final` exists when it appears
    engine.save_checkpoint(str(working), tag=STATE, save_latest=False)
    dist.barrier()
    if dist.get_rank() == 0:
        _check_files(working / STATE, engine)
        publish_folder(working, final, {**progress, **_layout(engine)})
        for _, old in _checkpoints(directory)[:-keep]:
            shutil.rmtree(old)
    dist.barrier()


def load_newest(engine: Any, directory: Path) -> dict[str, Any] | None:
    """Load the newest checkpoint into the engine and return its manifest, or None where there is none.

    Raises:
        RecipeError: it was saved by another number of ranks, or with another ZeRO stage.
        ContractError: a file does not have the size that the manifest states.
    """
    found = _checkpoints(directory)
    if not found:
        return None
    newest = found[-1][1]
    manifest: dict[str, Any] = json.loads((newest / "manifest.json").read_text(encoding="utf-8"))
    for name, here in _layout(engine).items():
        if manifest[name] != here:
            raise RecipeError(
                f"{newest}: saved with {name} {manifest[name]}, this run has {here}; "
                "expected the same ([run] processes or GPUs, [train] zero_stage), or the folder deleted"
            )
    for name, size in manifest["files"].items():
        actual = (newest / name).stat().st_size if (newest / name).exists() else 0
        if actual != size:
            raise ContractError(
                f"{newest / name}: got {actual} bytes, expected {size} (delete {newest.name} to use an older one)"
            )
    path, _ = engine.load_checkpoint(str(newest), tag=STATE)
    if path is None:
        raise ContractError(f"{newest}: DeepSpeed found no checkpoint in it, expected one that it saved")
    return manifest


def remove_unfinished(directory: Path) -> None:
    """Delete what a killed run left half-written."""
    for path in [*directory.glob(".step-*"), *directory.glob(".hf*")]:
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
    os.rename(working, final)
    handle = os.open(final.parent, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)


def _layout(engine: Any) -> dict[str, int]:
    """What decides how DeepSpeed cuts its files."""
    return {"world_size": dist.get_world_size(), "zero_stage": engine.zero_optimization_stage()}


def _checkpoints(directory: Path) -> list[tuple[int, Path]]:
    found = [path for path in directory.glob("step-*") if (path / "manifest.json").is_file()]
    return sorted((int(path.name.removeprefix("step-")), path) for path in found)


def _check_files(working: Path, engine: Any) -> None:
    expected = ["*model_states.pt"]
    if engine.zero_optimization():
        expected += [f"*zero_pp_rank_{rank}_mp_rank_00_optim_states.pt" for rank in range(dist.get_world_size())]
    for pattern in expected:
        found = list(working.glob(pattern))
        if not found or not all(map(zipfile.is_zipfile, found)):  # torch saves zip archives, their directory at the end
            raise ContractError(
                f"{working}: got {[path.name for path in found]} for {pattern}, expected whole files of every rank"
            )
