import os
import subprocess
import sys

import pytest
import torch.distributed.run as torchrun
from deepspeed.launcher import runner

from pipeline.recipe import load_recipe
from tests.training.conftest import ROOT
from tests.world import write_world
from training.launch import describe_launches, launch_command, main, read_run


@pytest.mark.parametrize("processes", [1, 2])
def test_more_than_one_process_goes_through_torchrun(tmp_path, processes, monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    path = tmp_path / "recipe.toml"
    path.write_text(f'name = "r"\nsources = ["s"]\n[run]\nprocesses = {processes}\n')
    command = launch_command(load_recipe(path, ()))
    assert command[0] == sys.executable
    assert command[-2].endswith("train_onestage.py")
    assert command[-1] == str(path)
    assert ("torch.distributed.run" in command) == (processes > 1)
    assert processes == 1 or command[command.index("--nproc-per-node") + 1] == "2"


def test_what_a_person_can_mend_is_one_line_and_exit_code_2(tmp_path, capsys):
    recipe = write_world(tmp_path, articles=2, talks=2)
    model = tmp_path / "model"
    capsys.readouterr()
    for change, message in [
        (lambda: None, "got no packed rows in"),
        (lambda: (model / "config.json").rename(model / "config.txt"), "no config.json, expected a folder with"),
        (lambda: recipe.unlink(), "no such file"),
    ]:
        change()
        assert main([str(recipe)]) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.startswith("onestage: ")
        assert error.count("\n") == 1


def test_a_complete_model_is_not_made_again(tmp_path, capsys, monkeypatch):
    recipe = write_world(tmp_path, articles=2, talks=2)
    monkeypatch.setattr("training.launch.is_complete", lambda directory: True)
    assert main([str(recipe)]) == 0
    assert f"{read_run(str(recipe)).directory / 'hf'} is complete, nothing to do" in capsys.readouterr().out


@pytest.fixture
def described(tmp_path):
    """What is printed for a recipe, with a program in Python's place that prints how it is called."""
    (tmp_path / "a recipe.toml").write_text('name = "r"\nsources = ["s"]\n')
    python = tmp_path / "python"
    python.write_text(
        '#!/bin/sh\necho "$RANK $LOCAL_RANK $WORLD_SIZE $MASTER_ADDR:$MASTER_PORT"\nprintf "%s\\n" "$@"\n'
    )
    python.chmod(0o755)
    text = describe_launches(load_recipe(tmp_path / "a recipe.toml", ()))
    assert text.count(sys.executable) == 4
    return text.replace(sys.executable, str(python)), str(tmp_path / "a recipe.toml")


def printed(text, start, environment=None):
    """Run the command that begins so in a shell, with one machine of two GPUs; return its lines."""
    command = text[text.index(start) :].split("\n\n")[0]
    for name, value in (("nnodes N", "nnodes 1"), ("nodes N", "nodes 1"), (" G ", " 2 "), ("FIRST", "alpha")):
        command = command.replace(name, value)
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, env=environment, check=True)
    return done.stdout.splitlines()


def test_torchrun_and_deepspeed_understand_their_commands(described):
    text, recipe = described
    python = text.split(" -m training.launch")[0].splitlines()[-1]
    _, *arguments = printed(text, f"{python} -m torch.distributed.run")
    known = torchrun.parse_args(arguments[2:])
    assert (known.nnodes, known.nproc_per_node, known.rdzv_endpoint) == ("1", "2", "alpha:29500")
    assert known.training_script.endswith("/train_onestage.py")
    assert known.training_script_args == [recipe]
    _, *arguments = printed(text, f"{python} -m deepspeed.launcher.runner")
    known = runner.parse_args(arguments[2:])
    assert (known.hostfile, known.master_addr, known.no_local_rank) == ("hostfile", "alpha", True)
    assert (known.user_script, known.user_args) == (str(ROOT / "train_onestage.py"), [recipe])
    assert printed(text, f"{python} -m training.launch")[1:] == ["-m", "training.launch", recipe]


def test_slurm_gives_every_task_its_rank(described, tmp_path):
    text, recipe = described
    for name, lines in {
        "sbatch": "exec sh",
        "srun": 'for id in 0 1; do SLURM_PROCID=$id SLURM_LOCALID=$id SLURM_NTASKS=2 "$@"; done',
        "scontrol": "printf 'alpha\\nbeta\\n'",
    }.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{lines}\n")
        (tmp_path / name).chmod(0o755)
    found = printed(text, "sbatch", {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"})
    program = [str(ROOT / "train_onestage.py"), recipe]
    assert found == ["0 0 2 alpha:29500", *program, "1 1 2 alpha:29500", *program]
