import sys

import pytest

from pipeline.recipe import load_recipe
from tests.world import write_world
from training.launch import launch_command, main, read_run


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
