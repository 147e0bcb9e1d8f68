"""Start and stop the model servers of a recipe: `vllm serve` on a GPU machine, the build of vLLM for CPUs elsewhere.

They are kept by a process of their own (replicas.py), which starts again what ends, and stops all when their owner is
gone. The next run on the same output finds servers that run and uses them, if they are what the recipe asks for, or
stops them. Those of another living process (`onestage serve`) are used and left alone.
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil

from pipeline.recipe import Recipe, RecipeError, ServeConfig
from unify.environment import ensure_environment
from unify.placement import MEMORY_SHARE, gpus_here, has_gpu, plan_servers, size_of, split_cores
from unify.replicas import OWNER, STATE, STOP_AFTER, answers, identity, lives, locked, members, read_state, write_state
from unify.weights import ensure_model

CPU_SERVER = "vllm.entrypoints.openai.api_server"
LOOK_EVERY = 5.0  # seconds between two looks of `onestage serve`


def serve_until_interrupted(recipe: Recipe, model: str) -> None:
    """Start the servers of a recipe, say where they are, and stop them on Ctrl-C or SIGTERM.

    Raises:
        RecipeError: they do not come up, or all are gone for good.
    """

    async def stay() -> None:
        async with running_servers(recipe, model) as urls:
            print(f"{' '.join(urls)}: serving {model}; Ctrl-C stops", flush=True)
            stop = asyncio.Event()
            for number in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(number, stop.set)
            while not stop.is_set():
                if all(server["given_up"] for server in _kept(recipe.output_folder)):
                    raise RecipeError(f"{recipe.output_folder / 'server.log'}: no server is left")
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), LOOK_EVERY)

    asyncio.run(stay())


@asynccontextmanager
async def running_servers(
    recipe: Recipe, model: str, say: Callable[[str], None] = print
) -> AsyncIterator[Sequence[str]]:
    """Find or start the servers of a model, yield their base URLs, and stop them unless another process owns them.

    Raises:
        RecipeError: no environment can be made, the model fits nowhere, or a server does not come up; its log is named.
    """
    output = recipe.output_folder
    output.mkdir(parents=True, exist_ok=True)
    try:
        await asyncio.to_thread(_find_or_start, recipe, model, say)
        yield await _all_answering(output, model, recipe.serve.startup_timeout)
    finally:
        with locked(output):
            if _is_me(read_state(output / OWNER)):
                for server in (read_state(output / STATE) or {"servers": []})["servers"]:
                    if server["restarts"]:
                        say(f"{server['url']}: was started again {server['restarts']} times; its log: {server['log']}")
                _stop(output)


def serve_arguments(
    serve: ServeConfig, model: str, path: str, port: int, *, gpu: bool, tensor_parallel: int = 1
) -> list[str]:
    """Build the arguments of vLLM's server.

    Args:
        model: the name requests ask for.
        path: the folder or hub name that is loaded.
        tensor_parallel: GPUs that it is spread over.
    """
    arguments = {
        "--model": path,
        "--served-model-name": model,
        "--host": serve.host,
        "--port": str(port),
        "--dtype": serve.dtype,
        "--max-model-len": str(serve.max_model_len),
        "--max-num-seqs": str(serve.max_num_seqs),
        "--generation-config": "vllm",  # no sampling defaults from the model's folder: requests say all
    }
    listed = [part for pair in arguments.items() for part in pair] + ["--disable-uvicorn-access-log"]
    if gpu:
        shares = ["--tensor-parallel-size", str(tensor_parallel), "--gpu-memory-utilization", str(MEMORY_SHARE)]
        return ["serve", path, *listed[2:], *shares]
    # chunked prefill: a request with a seed kills the engine of the CPU build
    batched = str(max(4096, serve.max_model_len))
    return [*listed, "--enforce-eager", "--no-enable-chunked-prefill", "--max-num-batched-tokens", batched]


def server_variables(serve: ServeConfig, path: str, *, gpu: bool) -> dict[str, str]:
    """Build the environment variables that a server gets beside ours, wherever it runs."""
    variables = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
    if Path(path).is_dir():
        variables["HF_HUB_OFFLINE"] = "1"
    if not gpu:
        variables["VLLM_CPU_KVCACHE_SPACE"] = str(serve.kv_cache_gib)
    return variables


def is_serving(base_url: str, model: str) -> bool:
    """Tell whether a server is healthy and has the model."""
    if answers(base_url.removesuffix("/v1") + "/health", 10) is None:
        return False
    try:
        return model in {entry["id"] for entry in json.loads(answers(base_url + "/models", 10) or b"")["data"]}
    except (ValueError, KeyError, TypeError):
        return False


def _find_or_start(recipe: Recipe, model: str, say: Callable[[str], None]) -> None:
    output, serve, gpu = recipe.output_folder, recipe.serve, has_gpu()
    path = ensure_model(model, recipe, say)
    programs = ensure_environment(recipe.resolve(serve.environment), gpu=gpu, say=say)
    program = [str(programs / "python"), *([str(programs / "vllm")] if gpu else ["-m", CPU_SERVER])]
    settings = serve.model_dump(exclude={"port", "startup_timeout"})
    wanted = {"program": program, "model": model, "path": path, "settings": settings}
    with locked(output):
        state, owner = read_state(output / STATE), read_state(output / OWNER)
        if state is not None and lives(state) and state["wanted"] == wanted:
            say(f"{output / STATE}: servers of {model} are running (process {state['pid']}); using them")
            if not lives(owner):
                write_state(output / OWNER, identity(os.getpid()))
            return
        if lives(state) and owner is not None and lives(owner) and not _is_me(owner):
            raise RecipeError(
                f"{output / STATE}: process {owner['pid']} serves something else, expected {model}: "
                "stop that process, or change output in the recipe"
            )
        _stop(output)
        servers = _servers(serve, model, path, program, gpu=gpu, say=say)
        for server in servers:
            say(f"{server['url']}: starting a server of {model}; its log: {output / 'server-*.log'}")
        write_state(output / OWNER, identity(os.getpid()))
        _start(output, {"wanted": wanted, "servers": servers})


def _servers(
    serve: ServeConfig, model: str, path: str, program: list[str], *, gpu: bool, say: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Give each server its GPUs or cores, its address and its command."""
    width = 1
    if gpu:
        plan = plan_servers(size_of(path), gpus_here(), replicas=serve.replicas, tensor_parallel=serve.tensor_parallel)
        say(f"{model}: {plan.why}")
        width = plan.tensor_parallel
        places = [
            {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": ",".join(map(str, gpus))}
            for gpus in plan.servers
        ]
    else:
        shares = split_cores(sorted(os.sched_getaffinity(0)), 1 if serve.replicas == "auto" else serve.replicas)
        places = [{"VLLM_CPU_OMP_THREADS_BIND": ",".join(map(str, cores))} for cores in shares]
    servers, port = [], serve.port - 1
    host = "127.0.0.1" if serve.host == "0.0.0.0" else serve.host
    for place in places:
        port = _free_port(serve.host, port + 1)
        command = program + serve_arguments(serve, model, path, port, tensor_parallel=width, gpu=gpu)
        variables = server_variables(serve, path, gpu=gpu) | place
        servers.append({"url": f"http://{host}:{port}/v1", "command": command, "variables": variables})
    return servers


def _start(output: Path, plan: Mapping[str, Any]) -> None:
    """Start the process that keeps the servers, and wait until it has told so."""
    with (output / "server.log").open("wb") as log:
        keeper = subprocess.Popen(
            [sys.executable, "-m", "unify.replicas", str(output)],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            cwd=Path(__file__).parents[1],
            start_new_session=True,
        )
    assert keeper.stdin is not None
    with keeper.stdin:
        keeper.stdin.write(json.dumps(plan).encode())
    while not (output / STATE).exists():
        if keeper.poll() is not None:
            raise RecipeError(f"{output / 'server.log'}: no server was started: {_last_words(output / 'server.log')}")
        time.sleep(0.05)


async def _all_answering(output: Path, model: str, timeout: float) -> list[str]:
    """Wait until all servers answer and have the model."""
    deadline = time.monotonic() + timeout
    while True:
        servers = _kept(output)
        for server in servers:
            if server["given_up"]:
                log = Path(server["log"])
                raise RecipeError(f"{server['url']}: the server ended: {_last_words(log)}; its log: {log}")
        urls = [server["url"] for server in servers]
        answering = await asyncio.gather(*(asyncio.to_thread(is_serving, url, model) for url in urls))
        if urls and all(answering):
            return urls
        if time.monotonic() > deadline:
            late = next(server for server, answers in zip(servers, answering, strict=True) if not answers)
            raise RecipeError(f"{late['url']}: no answer within {timeout:g} s; its log: {late['log']}")
        await asyncio.sleep(0.5)


def _kept(output: Path) -> list[dict[str, Any]]:
    """Read what is known of the servers of an output folder."""
    state = read_state(output / STATE)
    if state is None or not lives(state):
        raise RecipeError(f"{output / 'server.log'}: the servers are gone: {_last_words(output / 'server.log')}")
    servers: list[dict[str, Any]] = state["servers"]
    return servers


def _stop(output: Path) -> None:
    """End what keeps the servers of an output folder, and whatever it leaves."""
    state = read_state(output / STATE)
    if state is None:
        return
    if lives(state):
        keeper = psutil.Process(state["pid"])
        keeper.terminate()
        psutil.wait_procs([keeper], timeout=2 * STOP_AFTER + 5)
    for process in members([state["pid"]], os.getsid):  # a session's number is not given out again while it has members
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.create_time() >= state["started"]:
                process.kill()
    for name in (STATE, OWNER):
        (output / name).unlink(missing_ok=True)


def _is_me(process: Mapping[str, Any] | None) -> bool:
    return process is not None and int(process["pid"]) == os.getpid() and lives(process)


def _free_port(host: str, first: int) -> int:
    for port in range(first, min(first + 100, 65536)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
                return port
            except PermissionError as error:
                raise RecipeError(
                    f"[serve] port: got {first} on {host} ({error}), expected one that may be bound"
                ) from None
            except OSError:
                continue
    raise RecipeError(f"[serve] port: got {first} on {host}, expected a free one among the 100 from there")


def _last_words(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-200:] if log.exists() else []
    told = [line for line in lines if "Error" in line and "Traceback" not in line]
    return " ".join((told or lines or ["it said nothing"])[-1].split())[:300]
