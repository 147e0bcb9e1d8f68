"""The model server: its arguments are ones that vLLM takes, it answers, and none is left or fought over."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from pipeline.progress import Meter
from pipeline.recipe import RecipeError, RunConfig, ServeConfig
from pipeline.shards import Shard, dropped_of, parts_of
from tests.unify.conftest import ROOT, serving_recipe
from tests.unify.passages import GOUT, passage, shard
from unify import serve
from unify.rewrite import RewriteConfig, rewrite_stage
from unify.serve import ensure_environment, is_serving, serve_arguments, server_variables
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
    config = ServeConfig(max_model_len=8192, tensor_parallel=2)
    cpu = serve_arguments(config, "small", "/models/small", 8001, gpu=False)
    gpu = serve_arguments(config, "Qwen/Qwen3-8B", "Qwen/Qwen3-8B", 8001, gpu=True)
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

    monkeypatch.setattr(serve, "_install", install)
    (tmp_path / "env").mkdir()
    (tmp_path / "env" / "half").touch()
    ensure_environment(tmp_path / "env", gpu=False, say=lambda _: None)
    assert not (tmp_path / "env" / "half").exists()
    assert len(ran) == 3
    ensure_environment(tmp_path / "env", gpu=False, say=lambda _: None)
    assert len(ran) == 3
    ensure_environment(tmp_path / "env", gpu=True, say=lambda _: None)
    assert serve.VLLM in ran[-1]


def test_a_taken_port_is_passed_over() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert serve._free_port("127.0.0.1", taken.getsockname()[1]) > taken.getsockname()[1]


def test_a_process_is_known_by_its_number_and_start(tmp_path: Path) -> None:
    me = serve._me()
    assert serve._lives(me)
    assert not serve._lives(me | {"started": me["started"] - 5})
    assert not serve._lives({"pid": 2**22 - 3, "started": 1.0})


def test_stopping_ends_the_whole_group_and_only_that(tmp_path: Path) -> None:
    script = "import subprocess, sys, time; subprocess.Popen(['sleep', '600']); time.sleep(600)"
    state = {"wanted": [], "url": "", "owner": serve._me()}
    serve._start(tmp_path, state, [sys.executable, "-c", script], {})
    known = serve._read_state(tmp_path)
    assert known is not None
    while len(group := serve._members(known["pid"])) < 2:
        time.sleep(0.05)
    os.kill(known["pid"], signal.SIGKILL)  # the engine of a server may outlive it
    serve._stop(tmp_path, known)
    _, alive = psutil.wait_procs(group, timeout=10)
    assert all(process.status() == psutil.STATUS_ZOMBIE for process in alive)
    assert not (tmp_path / "server.json").exists()


@pytest.mark.slow
@pytest.mark.parametrize("gpu", [False, True])
def test_vllm_parses_the_exact_arguments(gpu: bool, tmp_path: Path) -> None:
    arguments = serve_arguments(ServeConfig(tensor_parallel=2), "name", "/models/name", 8001, gpu=gpu)
    programs = ensure_environment(ROOT / ".venv-server", gpu=serve.has_gpu())
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
    before = json.loads((server_folder / "data" / "server.json").read_text())
    code = (
        "import asyncio, sys\nfrom pathlib import Path\nfrom tests.unify.conftest import serving_recipe\n"
        "from unify.serve import running_server\n"
        "async def run():\n"
        "    async with running_server(serving_recipe(Path(sys.argv[1])), 'smollm2-135m-instruct') as url:\n"
        "        print(url)\n"
        "asyncio.run(run())"
    )
    other = subprocess.run([sys.executable, "-c", code, str(server_folder)], cwd=ROOT, capture_output=True, text=True)
    assert other.stdout.splitlines()[-1] == vllm_url, other.stderr
    assert json.loads((server_folder / "data" / "server.json").read_text()) == before
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
    steps = ["question"] if style == "excerpt" else ["question", "answer"]
    answered = [row for row in rows + rejected if [made["step"] for made in row["made_by"]] == steps]
    assert answered, "the model wrote no question with an answer"
    assert all(len(row["messages"]) == 2 and all(m["content"] for m in row["messages"]) for row in answered)
    if style == "excerpt":
        assert rows
    for row in rows:
        assert row["messages"][0]["content"].endswith("?")
        assert all(made["model"].startswith(f"{SMOLLM2}@vllm-") for made in row["made_by"])
        if style == "excerpt":
            (span,) = row["support"]
            assert row["messages"][1]["content"] == texts[row["passage_id"]][span["start"] : span["end"]]


@pytest.mark.slow
def test_a_server_that_cannot_start_says_why_in_one_line(server_folder: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "config.json").write_text('{"model_type": "no_such_architecture"}')
    recipe = serving_recipe(tmp_path)
    with pytest.raises(RecipeError, match=r"the server ended: .*; its log: .*server\.log") as raised:
        serve._find_or_start(recipe, str(broken), lambda _: None)
    assert "\n" not in str(raised.value)
    assert serve._read_state(tmp_path / "data") is None
