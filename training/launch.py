"""Start train_onestage.py on this machine: one process a GPU, or [run] processes without one.

What a person can mend is found before any process starts, so that it is one line and exit code 2.
"""

import logging
import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
import torch.distributed.run as torchrun
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

from pipeline.line import read_line, train_directory
from pipeline.recipe import Recipe, RecipeError
from pipeline.shards import ContractError, is_complete
from training.config import TrainConfig
from unify.weights import ensure_model


@dataclass(frozen=True)
class Run:
    """A training run: what it reads, where it writes, its settings with the model resolved."""

    recipe: Recipe
    pack: Path
    directory: Path
    config: TrainConfig

    @property
    def done(self) -> str:
        """One line if the model is there already, else nothing."""
        model = self.directory / "hf"
        return f"train: {model} is complete, nothing to do" if is_complete(model) else ""


def read_run(path: str) -> Run:
    """Read a recipe's training run.

    Raises:
        RecipeError: a mistake in the recipe, nothing packed yet, or a model folder that is none.
    """
    line = read_line(path)
    config = cast(TrainConfig, line.configs["train"])
    model = ensure_model(config.model, line.recipe)
    pack = line.step("pack").directory
    if not is_complete(pack):
        raise RecipeError(f"{path}: got no packed rows in {pack}, expected `onestage run {path}` to have made them")
    template = str(line.recipe.resolve(config.chat_template)) if config.chat_template else None
    resolved = config.model_copy(update={"model": model, "chat_template": template})
    return Run(line.recipe, pack, train_directory(line), resolved)


def launch_command(recipe: Recipe) -> list[str]:
    """Return the command that trains a recipe here, under torchrun if it takes more than one process."""
    processes = torch.cuda.device_count() or recipe.run.processes
    program = [str(Path(__file__).parent.parent / "train_onestage.py"), str(recipe.path)]
    if processes == 1:
        return [sys.executable, *program]
    return [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes), *program]


def describe_launches(recipe: Recipe) -> str:
    """Say how a recipe is trained on one machine and on several: by torchrun, DeepSpeed's hostfile, and Slurm."""
    path = str(recipe.path.resolve())
    program = shlex.join([str(Path(__file__).parent.parent / "train_onestage.py"), path])
    python = shlex.quote(sys.executable)
    return f"""\
# Every machine needs this folder, its environment, the recipe, the model and the output folder at the same paths, on
# shared storage. N machines with G GPUs each; FIRST is the name of one. What was stopped goes on by the same command.

# This machine: every GPU, or [run] processes without one
{python} -m training.launch {shlex.quote(path)}

# torchrun, the same on every machine
{python} -m torch.distributed.run --nnodes N --nproc-per-node G --rdzv-backend c10d \\
    --rdzv-endpoint FIRST:29500 --rdzv-id onestage {program}

# DeepSpeed, from one machine that reaches the others by ssh; hostfile has a line "NAME slots=G" for each
{python} -m deepspeed.launcher.runner --hostfile hostfile --no_local_rank --master_addr FIRST \\
    {program}

# Slurm: a task a GPU. TERM comes ten minutes before the limit, the run is saved, and the next job goes on
sbatch --nodes N --ntasks-per-node G --gpus-per-node G --time 24:00:00 --signal TERM@600 <<'END'
#!/bin/bash
export MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1) MASTER_PORT=29500
srun bash -c 'RANK=$SLURM_PROCID LOCAL_RANK=$SLURM_LOCALID WORLD_SIZE=$SLURM_NTASKS exec "$@"' rank \\
    {python} {program}
END
"""


def main(arguments: list[str]) -> int:
    """Check the run, then become its only process, or start its processes and return their exit code."""
    try:
        if len(arguments) != 1:
            raise RecipeError(f"training.launch: got {len(arguments)} arguments, expected one, a recipe")
        run = read_run(arguments[0])
    except (RecipeError, ContractError) as error:
        print(f"onestage: {error}", file=sys.stderr)
        return 2
    if run.done:
        print(run.done)
        return 0
    processes = torch.cuda.device_count() or run.recipe.run.processes
    os.environ["OMP_NUM_THREADS"] = str(max(1, len(os.sched_getaffinity(0)) // processes))
    if not torch.cuda.device_count():
        os.environ["DS_ACCELERATOR"] = "cpu"
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # on shared cores spinning threads starve each other
    command = launch_command(run.recipe)
    if processes == 1:
        os.execvp(command[0], command)
    for name in ("torch.distributed.elastic", "torch.distributed.run"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # the processes say themselves what is wrong
    try:
        launcher: Any = torchrun
        launcher.run(launcher.parse_args(command[3:]))
    except ChildFailedError as error:
        return int(error.get_first_failure()[1].exitcode)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
