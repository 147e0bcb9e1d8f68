"""The model server: its arguments are ones that vLLM takes, it answers, and none is left or fought over."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from pipeline.progress import Meter
from pipeline.recipe import Recipe, RecipeError, RunConfig, ServeConfig
from pipeline.shards import Shard, dropped_of, parts_of
from tests import fakes_vllm
from tests.unify.conftest import ROOT, serving_recipe
from tests.unify.passages import GOUT, passage, shard
from tests.unify.test_two_servers import received
from unify import environment
from unify.environment import ensure_environment
from unify.placement import has_gpu
from unify.replicas import OWNER, STATE, read_state
from unify.rewrite import RewriteConfig, rewrite_stage
from unify.serve import _free_port, is_serving, running_servers, serve_arguments, server_variables
from unify.weights import SMOLLM2

TELL = "print(json.dumps({name: value for name, value in vars(args).items() if isinstance(value, str | int | list)}))"
PARSE_CPU = f"""
import json
from vllm.entrypoints.launchers.cli_args import make_arg_parser, validate_parsed_serve_args
from vllm.utils.argparse_utils import FlexibleArgumentParser
args = make_arg_parser(FlexibleArgumentParser()).parse_args()
validate_parsed_serve_args(args)
{TELL}
"""
PARSE_GPU = f"""
import json
from vllm.entrypoints.cli.serve import cmd_init
from vllm.utils.argparse_utils import FlexibleArgumentParser
parser = FlexibleArgumentParser()
subparsers = parser.add_subparsers(dest="subparser")
for command in cmd_init():
    command.subparser_init(subparsers)
args = parser.parse_args()
assert args.subparser == "serve"
command.validate(args)
args.model = args.model_tag
{TELL}
"""
STATIC = (
    "Osteoporosis makes bones fragile because bone mass is low. Dual-energy absorptiometry measures bone mineral "
    "density at the hip and spine. Alendronate is a common first medicine and reduces the risk of hip fractures."
)


def test_arguments_name_the_model_address_and_limits() -> None:
    config = ServeConfig(max_model_len=8192)
    cpu = serve_arguments(config, "small", "/models/small", 8001, gpu=False)
    gpu = serve_arguments(config, "Qwen/Qwen3-8B", "Qwen/Qwen3-8B", 8001, gpu=True, tensor_parallel=2)
    assert cpu[cpu.index("--served-model-name") + 1] == "small"
    assert {"--enforce-eager", "--no-enable-chunked-prefill"} <= set(cpu)
    assert cpu[cpu.index("--max-num-batched-tokens") + 1] == "8192"
    assert gpu[:2] == ["serve", "Qwen/Qwen3-8B"]
    assert gpu[gpu.index("--tensor-parallel-size") + 1] == "2"
    assert "--enforce-eager" not in gpu


def test_a_local_folder_is_served_without_the_hub(tmp_path: Path) -> None:
    assert server_variables(ServeConfig(), str(tmp_path), gpu=True)["HF_HUB_OFFLINE"] == "1"
    assert "HF_HUB_OFFLINE" not in server_variables(ServeConfig(), "Qwen/Qwen3-8B", gpu=True)
    assert server_variables(ServeConfig(kv_cache_gib=3), "x", gpu=False)["VLLM_CPU_KVCACHE_SPACE"] == "3"


def test_an_environment_that_is_whole_is_left_alone_and_a_half_made_one_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[list[str]] = []

    def install(command: list[str], lock: int) -> None:
        ran.append(command)
        (tmp_path / "env").mkdir(exist_ok=True)

    monkeypatch.setattr(environment, "_install", install)
    (tmp_path / "env").mkdir()
    (tmp_path / "env" / "half").touch()
    ensure_environment(tmp_path / "env", gpu=False, say=lambda _: None)
    assert not (tmp_path / "env" / "half").exists()
    assert len(ran) == 3
    ensure_environment(tmp_path / "env", gpu=False, say=lambda _: None)
    assert len(ran) == 3
    ensure_environment(tmp_path / "env", gpu=True, say=lambda _: None)
    assert environment.VLLM in ran[-1]


def test_a_taken_port_is_passed_over() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert _free_port("127.0.0.1", taken.getsockname()[1]) > taken.getsockname()[1]


@pytest.fixture
def standing_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """A recipe whose environment is whole and starts the stand-in, and whose model is a small folder."""
    (tmp_path / "fake-model").mkdir()
    (tmp_path / "fake-model" / "config.json").write_text(json.dumps({"num_attention_heads": 4}))
    (tmp_path / "fake-model" / "model.safetensors").write_bytes(bytes(1000))
    gpu = environment.installed(gpu=has_gpu())
    folder = fakes_vllm.environment(tmp_path / "env", gpu, environment.MARKER)
    serving = ServeConfig(environment=str(folder), port=8640, replicas=2)
    return serving_recipe(tmp_path).model_copy(update={"serve": serving})


def test_a_recipe_gets_its_servers_and_none_is_left(standing_in: Recipe, tmp_path: Path) -> None:
    told: list[str] = []

    async def serve() -> list[dict[str, Any]]:
        async with running_servers(standing_in, "fake-model", told.append) as urls:
            assert len(set(urls)) == 2
            assert all(is_serving(url, "fake-model") for url in urls)
            given = [fakes_vllm.started(tmp_path / "data" / f"server-{number}.log")[0] for number in range(2)]
            async with running_servers(standing_in, "fake-model", told.append) as again:
                assert again == urls  # found
            return given

    given = asyncio.run(serve())
    assert not (tmp_path / "data" / STATE).exists()
    assert not any(psutil.pid_exists(int(one[name])) for one in given for name in ("pid", "engine"))
    cores = [set(one["VLLM_CPU_OMP_THREADS_BIND"].split(",")) for one in given]
    assert cores[0].isdisjoint(cores[1])


GPU_MACHINE = """#!/bin/sh
case "$1" in -L) echo "GPU 0: one" ;; *) for n in 0 1 2 3; do echo "$n, GPU-$n, 81559, 81000"; done ;; esac
"""


@pytest.mark.parametrize(
    ("total", "visible", "width"), [(1000, ["0", "1", "2", "3"], "1"), (90 << 30, ["0,1", "2,3"], "2")]
)
def test_a_gpu_machine_gets_a_server_for_each_gpu_or_group(
    total: int, visible: list[str], width: str, standing_in: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    fakes_vllm.program(tmp_path / "bin" / "nvidia-smi", GPU_MACHINE)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    (tmp_path / "env" / environment.MARKER).write_text(environment.installed(gpu=True))
    index = tmp_path / "fake-model" / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": total}}))
    serving = standing_in.serve.model_copy(update={"replicas": "auto"})
    told: list[str] = []

    async def serve() -> list[dict[str, Any]]:
        recipe = standing_in.model_copy(update={"serve": serving})
        async with running_servers(recipe, "fake-model", told.append):
            logs = sorted((tmp_path / "data").glob("server-*.log"))
            return [fakes_vllm.started(log)[0] for log in logs]

    given = asyncio.run(serve())
    assert [one["CUDA_VISIBLE_DEVICES"] for one in given] == visible
    assert {one["CUDA_DEVICE_ORDER"] for one in given} == {"PCI_BUS_ID"}
    for one in given:
        arguments = one["arguments"]
        assert arguments[:2] == [str(tmp_path / "env" / "bin" / "vllm"), "serve"]
        assert arguments[arguments.index("--tensor-parallel-size") + 1] == width
    assert any(line.startswith(f"fake-model: {len(visible)} servers, ") for line in told)


def test_one_that_dies_while_passages_are_rewritten_costs_none_of_them(standing_in: Recipe, tmp_path: Path) -> None:
    given = [passage(f"{GOUT} Case {n} was typical.", doc=f"web/{n}") for n in range(300)]
    log = tmp_path / "data" / "server-0.log"

    def kill() -> None:
        while len(received(tmp_path)) < 20:
            threading.Event().wait(0.02)
        os.kill(int(fakes_vllm.started(log)[0]["pid"]), signal.SIGKILL)

    config = RewriteConfig(model="fake-model", styles={"excerpt": 1.0}, excerpt_by="program", repairs=0)
    with ThreadPoolExecutor(1) as executor:
        killing = executor.submit(kill)
        (out := tmp_path / "out").mkdir()
        rewrite_stage([shard(tmp_path, given)], config, standing_in, [], out, Meter("rewrite", 300, "passages"))
        killing.result()
    ends = {row["passage_id"] for part in parts_of(out) for row in Shard(part, 0).read().to_pylist()}
    ends |= {row["id"].rsplit(":", 2)[0] for table in dropped_of(out) for row in table.to_pylist()}
    assert ends == {one.id for one in given}
    assert not (tmp_path / "data" / STATE).exists()


@pytest.mark.slow
@pytest.mark.parametrize("gpu", [False, True])
def test_vllm_parses_the_exact_arguments(gpu: bool, tmp_path: Path) -> None:
    arguments = serve_arguments(ServeConfig(), "name", "/models/name", 8001, gpu=gpu, tensor_parallel=2)
    programs = ensure_environment(ROOT / ".venv-server", gpu=has_gpu())
    code = PARSE_GPU if gpu else PARSE_CPU
    made = subprocess.run([programs / "python", "-c", code, *arguments], capture_output=True, text=True, cwd=tmp_path)
    assert made.returncode == 0, made.stderr[-2000:]
    parsed: dict[str, Any] = json.loads(made.stdout.splitlines()[-1])
    assert parsed["model"] == "/models/name"
    assert (parsed["port"], parsed["max_model_len"], parsed["max_num_seqs"]) == (8001, 2048, 64)
    assert parsed["served_model_name"] == ["name"]
    assert (parsed["tensor_parallel_size"] == 2) == gpu


@pytest.mark.slow
def test_a_server_is_found_and_used_by_the_next_run_and_stopped_by_the_last(vllm_url: str, server_folder: Path) -> None:
    assert is_serving(vllm_url, SMOLLM2)
    before = json.loads((server_folder / "data" / OWNER).read_text())
    code = (
        "import asyncio, sys\nfrom pathlib import Path\nfrom tests.unify.conftest import serving_recipe\n"
        "from unify.serve import running_servers\n"
        "async def run():\n"
        "    async with running_servers(serving_recipe(Path(sys.argv[1])), 'smollm2-135m-instruct') as urls:\n"
        "        print(*urls)\n"
        "asyncio.run(run())"
    )
    other = subprocess.run([sys.executable, "-c", code, str(server_folder)], cwd=ROOT, capture_output=True, text=True)
    assert other.stdout.splitlines()[-1] == vllm_url, other.stderr
    assert json.loads((server_folder / "data" / OWNER).read_text()) == before
    assert is_serving(vllm_url, SMOLLM2)  # it belongs to this process, so the other left it


@pytest.mark.slow
@pytest.mark.parametrize("style", ["excerpt", "huatuo2"])
def test_a_real_server_writes_pairs(style: str, vllm_url: str, server_folder: Path, tmp_path: Path) -> None:
    config = RewriteConfig(
        styles={style: 1.0},
        model_languages=("en",),
        candidates=8,
        tries=3,
        max_tokens=120,
        max_question_tokens=40,
        max_excerpt_sentences=1,
        min_p=0.05,
        max_answer_chars=800,
    )
    given = [
        passage(),
        passage(STATIC, title="Osteoporosis", doc="web/2"),
        passage(f"{GOUT} {STATIC}", title="Joints", doc="web/3"),
    ]
    recipe = serving_recipe(server_folder).model_copy(update={"run": RunConfig(base_urls=(vllm_url,))})
    (out := tmp_path / "out").mkdir()
    rewrite_stage([shard(tmp_path, given)], config, recipe, [], out, Meter("rewrite", 3, "passages"))
    rows = [row for part in parts_of(out) for row in Shard(part, 0).read().to_pylist()]
    texts = {one.id: one.text for one in given}
    rejected = [json.loads(row) for table in dropped_of(out) for row in table["row"].to_pylist()]
    steps = ["pair"] if style == "excerpt" else ["question", "answer"]
    written = rows if style == "excerpt" else rows + rejected  # what is no JSON has no question and answer
    answered = [row for row in written if [made["step"] for made in row["made_by"]] == steps]
    assert answered, "the model wrote no question with an answer"
    assert all(len(row["messages"]) == 2 and all(m["content"] for m in row["messages"]) for row in answered)
    for row in rows:
        assert row["messages"][0]["content"].endswith("?")
        assert all(made["model"].startswith(f"{SMOLLM2}@vllm-") for made in row["made_by"])
        if style == "excerpt":
            quoted = [texts[row["passage_id"]][span["start"] : span["end"]] for span in row["support"]]
            assert quoted
            assert all(sentence in row["messages"][1]["content"] for sentence in quoted)


@pytest.mark.slow
def test_a_server_that_cannot_start_says_why_in_one_line(server_folder: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "config.json").write_text('{"model_type": "no_such_architecture"}')
    recipe = serving_recipe(tmp_path)

    async def serve() -> None:
        async with running_servers(recipe, str(broken), lambda _: None):
            pass

    with pytest.raises(RecipeError, match=r"the server ended: .*; its log: .*server-0\.log") as raised:
        asyncio.run(serve())
    assert "\n" not in str(raised.value)
    assert read_state(tmp_path / "data" / STATE) is None
