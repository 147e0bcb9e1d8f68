"""The stages on a local Ray cluster of two nodes: the same bytes as in this process, made on both nodes."""

import os
from pathlib import Path

import pytest

from pipeline.engine import run_tasks
from pipeline.line import read_line
from pipeline.recipe import RunConfig
from pipeline.shards import ContractError, read_manifest, shards_of
from pipeline.stages import run_line
from tests import contract
from tests.world import write_world

ray = pytest.importorskip("ray", reason="the extra onestage[ray] is not installed")
pytestmark = pytest.mark.slow


def node_of(number: int) -> str:
    return str(ray.get_runtime_context().get_node_id())


def break_contract(number: int) -> None:
    raise ContractError(f"task {number}: got a gap, expected none")


@pytest.fixture(scope="module")
def cluster():
    from ray.cluster_utils import Cluster

    os.environ["PYTHONPATH"] = str(Path(__file__).resolve().parents[2])  # where tasks of this file are imported from
    nodes = {"num_cpus": 1, "object_store_memory": 100 << 20}
    made = Cluster(initialize_head=True, head_node_args={**nodes, "include_dashboard": False})
    made.add_node(**nodes)
    made.wait_for_nodes()
    ray.init(address=made.address, log_to_driver=False, logging_level="ERROR")
    yield made
    ray.shutdown()
    made.shutdown()
    del os.environ["PYTHONPATH"]


def test_both_nodes_take_part(cluster):
    nodes = set(run_tasks(node_of, [(number,) for number in range(16)], RunConfig(engine="ray")))
    assert len(nodes) == 2


def test_what_a_task_raises_on_a_node_rises_as_it_is(cluster):
    with pytest.raises(ContractError) as error:
        list(run_tasks(break_contract, [(1,)], RunConfig(engine="ray")))
    assert str(error.value) == "task 1: got a gap, expected none"


def test_a_cluster_gives_the_bytes_of_one_process(cluster, tmp_path):
    small = "[collect]\nshard_bytes = 6_000\n"
    alone = read_line(write_world(tmp_path / "alone", articles=48, tables=small), "dedup")
    spread = read_line(write_world(tmp_path / "spread", articles=48, tables=f'{small}[run]\nengine = "ray"\n'), "dedup")
    run_line(alone)
    run_line(spread)
    assert sum(len(shards_of(step.directory)) for step in spread.steps if step.stage.name == "clean") >= 8
    contract.equal_hashes(alone, spread)
    assert read_manifest(spread.step("dedup").directory)["dropped"]
