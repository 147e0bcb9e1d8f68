"""What rewriting costs beside its model server.

    python -m benchmarks.bench_unify client          CPU a request at 512 in flight, beside a bare loop
    python -m benchmarks.bench_unify memory [N]      memory at each quarter of N requests, 200,000 by default
    python -m benchmarks.bench_unify faults [N]      N passages, 6,500 by default, against a server that does all wrong
    python -m benchmarks.bench_unify server URL      output tokens/s of a real server, beside a bare saturating loop

The first three run against tests/fakes_fast.py, in a process of its own. The bare loop is what a script of ten lines
would do: AsyncOpenAI over aiohttp, a semaphore, no retry, no journal.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import httpx2
from openai import AsyncOpenAI, DefaultAioHttpClient

from pipeline.recipe import RunConfig
from tests.fakes_fast import FAULTS, fast_server
from tests.unify.test_faults import faults_and_ends
from unify import client as client_module
from unify.client import connected
from unify.in_flight import InFlight
from unify.journal import open_journal, remembering
from unify.request import Ask, Request, Response, RewriteConfig, request_of

MODEL = "smollm2-135m-instruct"
IN_FLIGHT, REQUESTS, ROUNDS = 512, 2500, 5
SERVER_IN_FLIGHT, SERVER_REQUESTS, SERVER_TOKENS = 32, 96, 24
PASSAGE = (
    "Gout is an inflammatory arthritis caused by monosodium urate crystals in the joints. It often begins at night. "
    "Low-dose colchicine relieves an acute attack of gout and commonly causes diarrhoea. "
)
PREFLIGHTS = {
    model: request_of(RewriteConfig(model=model), [("user", "Name one vitamin.")], names=("preflight",), max_tokens=16)
    for model in ("fake-model", MODEL)
}


def requests_of(model: str, run: str, number: int, max_tokens: int) -> Iterator[Request]:
    """Yield requests like those of a passage; no two runs share a prompt or its beginning."""
    config = RewriteConfig(model=model, temperature=0.7)
    for index in range(number):
        prompt = (
            f"{run}, {index}. {PASSAGE * (1 if max_tokens == SERVER_TOKENS else 4)}\nAsk a question that this answers."
        )
        request = request_of(config, [("user", prompt)], names=(f"{run}/{index}",), max_tokens=max_tokens)
        if max_tokens == SERVER_TOKENS:  # both loops get as many tokens from a real server
            request.parameters["extra_body"]["ignore_eos"] = True  # type: ignore[index]
        yield request


async def bare_loop(url: str, requests: Iterator[Request], in_flight: int) -> int:
    """Send all requests, so many at a time, and return the output tokens."""
    http = DefaultAioHttpClient(limits=httpx2.Limits(max_connections=0), timeout=600)
    async with AsyncOpenAI(base_url=url, api_key="EMPTY", max_retries=0, http_client=http) as client:
        slots, tokens = asyncio.Semaphore(in_flight), 0

        async def one(request: Request) -> None:
            nonlocal tokens
            create = client.chat.completions.create
            answer = await create(model=request.model, messages=list(request.messages), **request.parameters)  # type: ignore[call-overload]
            tokens += answer.usage.completion_tokens
            slots.release()

        async with asyncio.TaskGroup() as group:
            for request in requests:
                await slots.acquire()
                group.create_task(one(request))
        return tokens


async def our_loop(
    url: str, requests: Iterator[Request], in_flight: int, folder: Path | None, model: str = "fake-model"
) -> int:
    """Send all requests through our client, and through the journal where a folder is given."""
    run = RunConfig(in_flight=in_flight)
    places, tokens = InFlight(lambda: run.in_flight), 0
    async with AsyncExitStack() as stack:
        ask: Ask = await stack.enter_async_context(
            connected(lambda: run, lambda: [url], PREFLIGHTS[model], lambda _: None)
        )
        if folder is not None:
            journal = await stack.enter_async_context(open_journal(folder / "journal.sqlite"))
            ask = remembering(journal, ask)

        async def one(request: Request) -> None:
            nonlocal tokens
            response: Response = await ask(request)
            tokens += response.output_tokens
            places.answered(response.output_tokens)
            places.end()

        async with asyncio.TaskGroup() as group:
            for request in requests:
                await places.begin()
                group.create_task(one(request))
        return tokens


def bench_client() -> None:
    """Print the processor time a request of the bare loop and of ours, round by round."""
    spent: dict[str, list[float]] = {"bare": [], "client": [], "client and journal": []}
    with tempfile.TemporaryDirectory() as name, fast_server(Path(name)) as url:
        for round_number in range(ROUNDS + 1):
            for what in spent:
                folder = Path(name) / f"{round_number}" if what == "client and journal" else None
                requests = requests_of("fake-model", f"{what} {round_number}", REQUESTS, 64)
                started = time.process_time()
                if what == "bare":
                    asyncio.run(bare_loop(url, requests, IN_FLIGHT))
                else:
                    asyncio.run(our_loop(url, requests, IN_FLIGHT, folder))
                if round_number:  # the first warms up
                    spent[what].append((time.process_time() - started) / REQUESTS)
    for what, times in spent.items():
        ratio = statistics.median(one / bare for one, bare in zip(times, spent["bare"], strict=True))
        shown = " ".join(f"{1000 * one:.2f}" for one in times)
        print(f"{what}: {shown} ms CPU a request, median of ratios to bare {ratio:.2f}")


def bench_memory(number: int) -> None:
    """Send so many requests through client and journal, and print this process's memory at each quarter of them."""
    started = time.monotonic()

    def watched(requests: Iterator[Request]) -> Iterator[Request]:
        for sent, request in enumerate(requests):
            if sent and not sent % (number // 4):
                _print_memory(sent, started)
            yield request

    with tempfile.TemporaryDirectory() as name, fast_server(Path(name), "--forget") as url:
        requests = requests_of("fake-model", "memory", number, 64)
        asyncio.run(our_loop(url, watched(requests), IN_FLIGHT, Path(name)))
        _print_memory(number, started)


def _print_memory(sent: int, started: float) -> None:
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    now, peak = (int(status[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))
    print(f"{sent:,} requests, {time.monotonic() - started:.0f} s: {now:.0f} MiB, peak {peak:.0f}", flush=True)


def bench_faults(number: int) -> None:
    """Print the faults that a server made and how the passages that met them ended."""
    client_module.FIRST_WAIT, client_module.LONGEST_WAIT = 0.01, 0.5
    with tempfile.TemporaryDirectory() as name:
        faults, ends = faults_and_ends(Path(name), number, in_flight=256)
    print(
        f"{faults.total():,} requests, {number:,} passages\n"
        "\n| Fault | Injected | Passages that met nothing else, and ended as |\n|---|---|---|"
    )
    for fault in FAULTS:
        ended = ", ".join(f"{count} {end}" for end, count in sorted(ends.get(fault, {}).items()))
        print(f"| {fault} | {faults[fault]} | {ended} |")
    for met in ("passing", "none"):
        print(f"{met}: {dict(ends[met])}")


def bench_server(url: str) -> None:
    """Print the output tokens/s of a real server under the bare loop and under ours, in turn.

    Time runs from the first request on: what our client asks a server before it, once a run, is no part of a rate.
    """
    speeds: dict[str, list[float]] = {"bare": [], "ours": []}
    with tempfile.TemporaryDirectory() as name:
        for round_number in range(ROUNDS + 1):
            for what in sorted(speeds, reverse=bool(round_number % 2)):
                begun: list[float] = []
                requests = _timed(requests_of(MODEL, f"{what} {round_number}", SERVER_REQUESTS, SERVER_TOKENS), begun)
                if what == "bare":
                    tokens = asyncio.run(bare_loop(url, requests, SERVER_IN_FLIGHT))
                else:
                    folder = Path(name) / f"{round_number}"
                    tokens = asyncio.run(our_loop(url, requests, SERVER_IN_FLIGHT, folder, MODEL))
                if round_number:
                    speeds[what].append(tokens / (time.monotonic() - begun[0]))
                    print(f"{what} {round_number}: {speeds[what][-1]:.1f} output tokens/s", flush=True)
    medians = {what: statistics.median(found) for what, found in speeds.items()}
    print(f"medians {medians}, ours / bare {medians['ours'] / medians['bare']:.3f}")


def main(arguments: Sequence[str]) -> None:
    """Run what is asked for."""
    match arguments:
        case ["client"]:
            bench_client()
        case ["memory", *number]:
            bench_memory(int(number[0]) if number else 200_000)
        case ["faults", *number]:
            bench_faults(int(number[0]) if number else 6_500)
        case ["server", url]:
            bench_server(url)
        case _:
            print(__doc__)


def _timed(requests: Iterator[Request], begun: list[float]) -> Iterator[Request]:
    begun.append(time.monotonic())
    yield from requests


if __name__ == "__main__":
    main(sys.argv[1:])
