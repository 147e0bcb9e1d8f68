"""Which model servers run on which GPUs: a replica a GPU where the model fits one, tensor parallel where it does not.

Replicas share nothing and so lose nothing to one another; a model is spread over GPUs only to make it fit. What it
takes is read from its files, what there is from `nvidia-smi`; the plan is a pure function of both.
"""

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pipeline.recipe import RecipeError

MEMORY_SHARE = 0.9  # of a GPU's memory, what its server may take; vLLM is told so
WEIGHTS_SHARE = 0.7  # of that, what weights may take: the rest is for the KV cache, without which few requests run
ELSEWHERE = "or name a server in [run] base_urls"
QUERY = ["nvidia-smi", "--query-gpu=index,uuid,memory.total,memory.free", "--format=csv,noheader,nounits"]
Wanted = int | Literal["auto"]


@dataclass(frozen=True)
class Gpu:
    """A GPU: its index in the order of the PCI bus, and its memory in bytes."""

    index: int
    memory: int
    free: int


@dataclass(frozen=True)
class ModelSize:
    """What of a model decides where it fits: bytes of its weights as stored, and its heads of attention."""

    weight_bytes: int
    attention_heads: int
    kv_heads: int


@dataclass(frozen=True)
class Plan:
    """The GPUs of each server, and why it is these."""

    servers: tuple[tuple[int, ...], ...]
    why: str

    @property
    def tensor_parallel(self) -> int:
        """GPUs a server."""
        return len(self.servers[0])


def plan_servers(
    size: ModelSize, gpus: Sequence[Gpu], *, replicas: Wanted = "auto", tensor_parallel: Wanted = "auto"
) -> Plan:
    """Place as many servers as fit, each on the smallest power of two of GPUs that divides the heads and has room.

    GPUs that others use are left alone. A number in place of "auto" is taken as it is; whether the model then fits is
    for the person who wrote it.

    Raises:
        RecipeError: it fits nowhere, or not so often, or cannot be divided like that.
    """
    idle = sorted(
        (gpu for gpu in gpus if gpu.free >= MEMORY_SHARE * gpu.memory), key=lambda gpu: (-gpu.memory, gpu.index)
    )
    if not idle:
        raise RecipeError(f"[serve]: all {len(gpus)} GPUs are in use; stop what runs there, {ELSEWHERE}")
    if tensor_parallel != "auto" and not divides(tensor_parallel, size):
        raise RecipeError(
            f"[serve] tensor_parallel: got {tensor_parallel}, expected a divisor of the model's {size.attention_heads}"
            f" attention heads that fits its {size.kv_heads} key-value heads"
        )
    tried = _powers_of_two(len(idle), size) if tensor_parallel == "auto" else [tensor_parallel]
    for width in tried:
        groups = [idle[at : at + width] for at in range(0, len(idle) - width + 1, width)]
        if tensor_parallel == "auto":
            groups = [group for group in groups if fits(size.weight_bytes, group)]
        if groups:
            break
    else:
        raise RecipeError(
            f"[serve]: weights of {_gib(size.weight_bytes)} do not fit the {len(idle)} idle of {len(gpus)} GPUs"
            f" (tried {', '.join(map(str, tried))} a server, {_gib(sum(gpu.memory for gpu in idle))} in all);"
            f" expected a smaller or quantised model, {ELSEWHERE}"
        )
    if replicas != "auto" and replicas > len(groups):
        raise RecipeError(
            f"[serve] replicas: got {replicas}, expected at most {len(groups)}: {width} of {len(idle)} idle GPUs each"
        )
    chosen = groups if replicas == "auto" else groups[:replicas]
    return Plan(
        tuple(tuple(gpu.index for gpu in group) for group in chosen), _reason(size, gpus, chosen, tensor_parallel)
    )


def fits(weight_bytes: int, group: Sequence[Gpu]) -> bool:
    """Tell whether a part of the weights on each GPU leaves the smallest of them its share for the KV cache."""
    return weight_bytes <= WEIGHTS_SHARE * MEMORY_SHARE * len(group) * min(gpu.memory for gpu in group)


def divides(width: int, size: ModelSize) -> bool:
    """Tell whether a model can be spread over so many GPUs: key-value heads are divided evenly, or repeated evenly."""
    return size.attention_heads % width == 0 and (size.kv_heads % width == 0 or width % size.kv_heads == 0)


def _powers_of_two(most: int, size: ModelSize) -> list[int]:
    return [
        width for width in (1 << power for power in range(most.bit_length())) if width <= most and divides(width, size)
    ]


def _reason(size: ModelSize, gpus: Sequence[Gpu], groups: Sequence[Sequence[Gpu]], tensor_parallel: Wanted) -> str:
    width = len(groups[0])
    part = size.weight_bytes / width / (MEMORY_SHARE * min(gpu.memory for group in groups for gpu in group))
    left = [gpu.index for gpu in gpus if all(gpu not in group for group in groups)]
    how = "one GPU each" if width == 1 else f"tensor parallel over {width} GPUs each"
    asked = "as [serve] tensor_parallel says" if tensor_parallel != "auto" else f"{WEIGHTS_SHARE:.0%} at most"
    return (
        f"{len(groups)} server{'s' if len(groups) > 1 else ''}, {how}: weights of {_gib(size.weight_bytes)} take"
        f" {part:.0%} of what a server may use of a GPU's memory ({asked}; the rest is for the KV cache)"
        + (f"; GPU {', '.join(map(str, left))} unused" if left else "")
    )


def split_cores(cores: Sequence[int], servers: int) -> list[list[int]]:
    """Give each of some servers on a CPU cores of its own.

    Raises:
        RecipeError: there are more servers than cores.
    """
    if servers > len(cores):
        raise RecipeError(f"[serve] replicas: got {servers}, expected at most {len(cores)}, one a core")
    return [list(cores[len(cores) * n // servers : len(cores) * (n + 1) // servers]) for n in range(servers)]


def has_gpu() -> bool:
    """Tell whether this machine has an NVIDIA GPU that its driver answers for."""
    if shutil.which("nvidia-smi") is None:
        return False
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True)
    return listed.returncode == 0 and "GPU " in listed.stdout


def gpus_here() -> list[Gpu]:
    """List this machine's GPUs, of those that CUDA_VISIBLE_DEVICES names if it is set.

    Raises:
        RecipeError: the driver does not say what memory they have, or the variable names something else.
    """
    listed = subprocess.run(QUERY, capture_output=True, text=True)
    return read_gpus(listed.stdout, os.environ.get("CUDA_VISIBLE_DEVICES"))


def read_gpus(listed: str, visible: str | None = None) -> list[Gpu]:
    """Read what `nvidia-smi` lists: index, UUID, and MiB in all and free, a line each."""
    found: dict[str, Gpu] = {}
    for line in listed.splitlines():
        try:
            index, uuid, memory, free = (field.strip() for field in line.split(","))
            found[uuid] = Gpu(int(index), int(memory) << 20, int(free) << 20)
        except ValueError:
            raise RecipeError(
                f"nvidia-smi: got {line.strip()!r}, expected index, UUID, and MiB in all and free; {ELSEWHERE}"
            ) from None
    if visible is None:
        return list(found.values())
    named = [name.strip() for name in visible.split(",") if name.strip()]
    chosen = [gpu for uuid, gpu in found.items() if any(_names(name, uuid, gpu) for name in named)]
    if len(chosen) != len(set(named)):
        raise RecipeError(
            f"CUDA_VISIBLE_DEVICES: got {visible!r}, expected indices or UUIDs of {len(found)} GPUs; {ELSEWHERE}"
        )
    return chosen


def _names(name: str, uuid: str, gpu: Gpu) -> bool:
    return name == str(gpu.index) or (name.startswith("GPU-") and uuid.startswith(name))


def size_of(model: str) -> ModelSize:
    """Read a model's size from its folder, or from the hub if it is a name there.

    Raises:
        RecipeError: no safetensors files, no heads in its config, or no hub that has it.
    """
    folder = Path(model)
    try:
        config, weight_bytes = _in_folder(folder) if folder.is_dir() else _on_hub(model)
        config = config.get("text_config", config)  # of a model that reads pictures, too
        heads = int(config["num_attention_heads"])
        size = ModelSize(weight_bytes, heads, int(config.get("num_key_value_heads") or heads))
    except (OSError, ValueError, KeyError, TypeError) as error:
        told = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise RecipeError(f"{model}: {told}, expected a Hugging Face model with config.json and safetensors") from None
    if not size.weight_bytes:
        raise RecipeError(f"{model}: no *.safetensors, expected a Hugging Face model")
    return size


def _in_folder(folder: Path) -> tuple[Mapping[str, Any], int]:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        return config, int(json.loads(index.read_text(encoding="utf-8"))["metadata"]["total_size"])
    return config, weights_of({path.name: path.stat().st_size for path in folder.glob("*.safetensors")})


def _on_hub(name: str) -> tuple[Mapping[str, Any], int]:
    from huggingface_hub import HfApi, hf_hub_download, snapshot_download

    with contextlib.suppress(FileNotFoundError):  # in the cache; elsewhere it is looked for before anything is fetched
        config, weight_bytes = _in_folder(Path(snapshot_download(name, local_files_only=True)))
        if weight_bytes:
            return config, weight_bytes
    files = HfApi().model_info(name, files_metadata=True).siblings or []
    config = json.loads(Path(hf_hub_download(name, "config.json")).read_text(encoding="utf-8"))
    return config, weights_of({file.rfilename: file.size or 0 for file in files})


def weights_of(sizes: Mapping[str, int]) -> int:
    """Sum the sizes of a model's weight files, in bytes; some repositories have them in a second format, too."""
    weights = {name: size for name, size in sizes.items() if name.endswith(".safetensors") and "/" not in name}
    named = {name: size for name, size in weights.items() if name.startswith("model")}
    return sum((named or weights).values())


def _gib(size: float) -> str:
    return f"{size / 2**30:,.1f} GiB"
