"""A stand-in for vLLM's program: it takes the same arguments, says what it was given, and answers like fakes_fast.

    python -m tests.fakes_vllm --port PORT … [serve PATH …]

A path that ends in "broken" makes it end at once. Like vLLM it has an engine, a process of its own that outlives it.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

from tests.fakes_fast import ROOT, Server, _write

PLACES = ("CUDA_DEVICE_ORDER", "CUDA_VISIBLE_DEVICES", "VLLM_CPU_OMP_THREADS_BIND")


class Serving(Server):
    """Answers for its health as well."""

    async def answer(self, path: bytes, body: bytes, writer: asyncio.StreamWriter) -> bool:
        if path == b"/health":
            return await _write(writer, b"")
        return await super().answer(path, body, writer)


def environment(folder: Path, installed: str, marker: str) -> Path:
    """Make a folder that passes for a whole environment of the model server, whose Python is this program."""
    (folder / "bin").mkdir(parents=True)
    (folder / marker).write_text(installed)
    script = f'#!/bin/sh\ncd {ROOT} && exec {sys.executable} -m tests.fakes_vllm "$@"\n'
    program(folder / "bin" / "python", script)
    return folder


def program(path: Path, script: str) -> None:
    """Write a program."""
    path.write_text(script)
    path.chmod(0o755)


def started(log: Path) -> list[dict[str, str]]:
    """Read what each process of a server said it was given, oldest first."""
    return [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]


async def _serve(port: int) -> None:
    serving = Serving(0.0, 0.05, False)
    await (await asyncio.start_server(serving.serve, "127.0.0.1", port)).serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    given, _ = parser.parse_known_args()
    engine = subprocess.Popen(["sleep", "600"])
    told = {"pid": os.getpid(), "engine": engine.pid, "arguments": sys.argv[1:]}
    print(json.dumps(told | {name: os.environ[name] for name in PLACES if name in os.environ}), flush=True)
    if any(argument.endswith("broken") for argument in sys.argv):
        sys.exit("ValueError: no such architecture")
    asyncio.run(_serve(given.port))
