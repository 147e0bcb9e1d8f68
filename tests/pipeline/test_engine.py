import os
import signal
import sys
import threading
from pathlib import Path

import psutil
import pytest

from pipeline.engine import run_tasks
from pipeline.recipe import RecipeError, RunConfig
from pipeline.shards import ContractError, check_space

ROOT = Path(__file__).resolve().parents[2]


def double(number: int) -> int:
    return 2 * number


def break_contract(number: int) -> int:
    raise ContractError(f"task {number}: got a gap, expected none")


def die_once(marker: Path) -> None:
    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("processes", [1, 2])
def test_every_task_gives_its_result_once(processes):
    results = run_tasks(double, [(number,) for number in range(40)], RunConfig(processes=processes))
    assert sorted(results) == list(range(0, 80, 2))


@pytest.mark.parametrize("processes", [1, 2])
def test_what_a_task_raises_rises(processes):
    with pytest.raises(ContractError, match="got a gap, expected none"):
        list(run_tasks(break_contract, [(1,), (2,)], RunConfig(processes=processes)))


def test_a_killed_worker_ends_the_run_in_one_line_and_a_rerun_goes_on(tmp_path):
    tasks = [(tmp_path / "marker",), (tmp_path / "marker",)]
    with pytest.raises(RecipeError, match=r"a worker was killed.*run the same command again") as error:
        list(run_tasks(die_once, tasks, RunConfig(processes=2)))
    assert "\n" not in str(error.value)
    assert list(run_tasks(die_once, tasks, RunConfig(processes=2))) == [None, None]


def test_a_killed_run_leaves_no_worker_behind(tmp_path):
    script = (
        "import time; from pipeline.engine import run_tasks; from pipeline.recipe import RunConfig\n"
        "list(run_tasks(time.sleep, [(60,), (60,)], RunConfig(processes=2)))"
    )
    run = psutil.Popen([sys.executable, "-c", script], cwd=ROOT)
    while not (workers := [child for child in run.children(recursive=True) if child.num_threads() > 1]):
        threading.Event().wait(0.05)
    run.kill()
    run.wait()
    gone, left = psutil.wait_procs(workers, timeout=30)
    assert gone
    assert not left


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nowhere"])
def test_without_a_cluster_the_run_ends_in_one_line(address):
    pytest.importorskip("ray", reason="the extra onestage[ray] is not installed")
    with pytest.raises(RecipeError, match=rf"ray_address: got '{address}', expected a running Ray cluster"):
        list(run_tasks(double, [(1,)], RunConfig(engine="ray", ray_address=address)))


def test_a_stage_the_disk_cannot_hold_is_not_begun(tmp_path):
    check_space(tmp_path, [tmp_path])
    with (tmp_path / "part-00000.parquet").open("wb") as file:
        file.truncate(1 << 43)  # takes no room itself
    with pytest.raises(RecipeError, match="bytes free on this disk, expected at least 35,184,372,088,832"):
        check_space(tmp_path, [tmp_path])
