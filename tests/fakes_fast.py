"""A stand-in for a model server, fast and without manners.

    python -m tests.fakes_fast FOLDER [--faults SHARE] [--wait SECONDS] [--forget]

HTTP/1.1 with keep-alive on bare sockets, in a process of its own, so that what a client costs can be told from what the
server costs. It writes its address into FOLDER/url. With faults, a hash of the prompt and of how often it was asked
decides what goes wrong; a few prompts are answered wrongly for ever. GET /log lists what was done with each prompt.
"""

import argparse
import asyncio
import contextlib
import hashlib
import json
import subprocess
import sys
import time
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
QUESTIONS = (
    "What is gout?",
    "What does allopurinol do to serum urate?",
    "How does low-dose colchicine help in an acute attack of gout?",
    "How does asthma help?",
)
_FAULTS = """
    429 500 503 hang reset cut_json cut_body thinking empty wrong huge non_utf8 refused filtered
"""
FAULTS = _FAULTS.split()
STUBBORN = 0.2  # share of the prompts with faults that meet the same one again and again
HANG = 30.0  # seconds, beyond any timeout of a test
HUGE = 64 << 20


class Server:
    """Answers; `log` holds, for each prompt, what was done each time it was asked."""

    def __init__(self, faults: float, wait: float, forget: bool) -> None:
        self.faults, self.wait, self.forget = faults, wait, forget
        self.log: dict[str, list[str]] = defaultdict(list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    (line[15:] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
                )
                body = await reader.readexactly(int(length)) if length else b""
                if not await self.answer(head.split(b" ", 2)[1], body, writer):
                    break
        writer.close()

    async def answer(self, path: bytes, body: bytes, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; return whether the connection stays open."""
        if path.endswith(b"/models"):
            entry = {"id": "fake-model", "object": "model", "created": int(time.time()), "owned_by": "fake"}
            return await _write(writer, json.dumps({"object": "list", "data": [entry]}).encode())
        if path == b"/log":
            return await _write(writer, json.dumps(self.log).encode())
        asked = json.loads(body)
        if self.wait:
            await asyncio.sleep(self.wait)
        prompt = asked["messages"][-1]["content"]
        if self.forget or prompt == "Name one vitamin.":
            return await _write(writer, completion(asked.get("n", 1)))
        fault = self.fault_of(prompt) if self.faults else "answered"
        self.log[prompt].append(fault)
        return await _misbehave(fault, asked, writer)

    def fault_of(self, prompt: str) -> str:
        """Draw what goes wrong with a prompt this time."""
        stubborn, most = _draw("stubborn", prompt), STUBBORN * self.faults
        if stubborn < most:
            return FAULTS[int(stubborn / most * len(FAULTS))]
        drawn = _draw(str(len(self.log[prompt])), prompt)
        transient = [fault for fault in FAULTS if fault not in ("refused", "filtered")]
        return transient[int(drawn / self.faults * len(transient))] if drawn < self.faults else "answered"


async def _misbehave(fault: str, asked: dict[str, Any], writer: asyncio.StreamWriter) -> bool:
    good = completion(asked.get("n", 1))
    match fault:
        case "answered":
            return await _write(writer, good)
        case "thinking":
            return await _write(writer, completion(asked.get("n", 1), thinking=True))
        case "429":
            return await _write(writer, _error("slow down"), "429 Too Many Requests", "Retry-After: 0.02\r\n")
        case "500" | "503":
            return await _write(writer, _error("broken"), f"{fault} Broken")
        case "refused" | "filtered":
            told = "bad request" if fault == "refused" else "content_filter: this prompt is not answered"
            return await _write(writer, _error(told), "400 Bad Request")
        case "hang":
            await asyncio.sleep(HANG)
        case "cut_json":
            return await _write(writer, good[: len(good) // 2])
        case "cut_body":
            writer.write(_head("200 OK", len(good)) + good[: len(good) // 2])
            await writer.drain()
        case "empty":
            return await _write(writer, b"")
        case "wrong":
            return await _write(writer, b'{"object": "chat.completion", "choices": {"0": ["no message"]}}')
        case "non_utf8":
            return await _write(writer, good.replace(b"gout", b"g\xff\xfet"))
        case "huge":
            writer.write(_head("200 OK", HUGE))
            for _ in range(HUGE >> 20):
                writer.write(b" " * (1 << 20))
                await writer.drain()
    writer.transport.abort()
    return False


def completion(texts: int, *, thinking: bool = False) -> bytes:
    """Build the body of a completion with so many texts, each behind a thought, if wanted; one thought has no end."""
    thoughts = (
        ["<think>A question is wanted. ", *["<think>What shall I ask?</think>\n"] * texts] if thinking else [""] * texts
    )
    choices = [
        {
            "index": index,
            "finish_reason": "stop",
            "message": {"role": "assistant", "content": thoughts[index] + QUESTIONS[index % len(QUESTIONS)]},
        }
        for index in range(texts)
    ]
    head = {
        "id": "x",
        "object": "chat.completion",
        "created": 0,
        "model": "fake-model",
        "system_fingerprint": "fp_fast",
    }
    usage = {"prompt_tokens": 100, "completion_tokens": 10 * texts, "total_tokens": 100 + 10 * texts}
    return json.dumps({**head, "choices": choices, "usage": usage}).encode()


@contextmanager
def fast_server(folder: Path, *arguments: str) -> Iterator[str]:
    """Run the server in a process of its own while the block runs, and yield its base URL."""
    address = folder / "url"
    address.unlink(missing_ok=True)
    process = subprocess.Popen([sys.executable, "-m", "tests.fakes_fast", str(folder), *arguments], cwd=ROOT)
    try:
        while not address.exists() and process.poll() is None:
            time.sleep(0.01)
        yield address.read_text()
    finally:
        process.terminate()
        process.wait()


def log_of(url: str) -> dict[str, list[str]]:
    """Read what a server did with each prompt, time by time."""
    with urllib.request.urlopen(url.removesuffix("/v1") + "/log", timeout=30) as response:
        log: dict[str, list[str]] = json.load(response)
    return log


def _draw(*names: str) -> float:
    return int.from_bytes(hashlib.blake2b("\0".join(names).encode(), digest_size=7).digest(), "big") / 2**56


def _error(message: str) -> bytes:
    return json.dumps({"error": {"message": message, "type": "fake"}}).encode()


def _head(status: str, length: int, more: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{more}Content-Length: {length}\r\n\r\n".encode()


async def _write(writer: asyncio.StreamWriter, body: bytes, status: str = "200 OK", more: str = "") -> bool:
    writer.write(_head(status, len(body), more) + body)
    await writer.drain()
    return True


async def _main(folder: Path, server: Server) -> None:
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, limit=1 << 22, backlog=4096)
    port = listening.sockets[0].getsockname()[1]
    (folder / "url.tmp").write_text(f"http://127.0.0.1:{port}/v1")
    (folder / "url.tmp").rename(folder / "url")
    await listening.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--faults", type=float, default=0.0)
    parser.add_argument("--wait", type=float, default=0.0)
    parser.add_argument("--forget", action="store_true", help="keep no log")
    options = parser.parse_args()
    asyncio.run(_main(options.folder, Server(options.faults, options.wait, options.forget)))
