"""A journal of a million responses: python -m benchmarks.bench_journal [ENTRIES] [IN_FLIGHT].

Writes ENTRIES responses (sentences of the demo's sources in both languages; one question, or one in four a batch of
four candidates) the way a run does, with IN_FLIGHT of them waiting at a time; opens the file again and looks up what
was written; then brings the same file over from version 2 and forgets one passage in a hundred. Prints rates, bytes an
entry, peak memory of each step in a process of its own, and seconds until a reopened journal gives its first answer.
"""

import asyncio
import hashlib
import json
import multiprocessing
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.sentences import split_sentences
from tests.unify.journals import as_of_version
from unify.journal import forget, open_journal, responses_about
from unify.request import Response

DEMO = Path(__file__).resolve().parents[1] / "recipes" / "demo"
LOOKUPS = 100_000


def sentences_of_demo() -> list[str]:
    """List the sentences of the demo's encyclopedias."""
    found = []
    for lang, name in (("en", "encyclopedia_en.jsonl"), ("zh-Hans", "encyclopedia_zh.jsonl")):
        for line in (DEMO / name).read_text(encoding="utf-8").splitlines():
            for section in json.loads(line)["sections"]:
                text = section["text"]
                found += [text[start:end] for start, end in split_sentences(text, lang)]
    return found


def name_of(number: int) -> str:
    """Name a request as a hash does."""
    return hashlib.sha256(str(number).encode()).hexdigest()


def write(path: Path, entries: int, in_flight: int) -> dict[str, float]:
    """Keep `entries` responses, `in_flight` at a time."""
    drawn, sentences = random.Random(0), sentences_of_demo()

    async def some(journal: Any, numbers: range) -> None:
        for number in numbers:
            texts = tuple(" ".join(drawn.choices(sentences, k=2)) for _ in range(drawn.choice((1, 1, 1, 4))))
            response = Response(texts, ("stop",) * len(texts), "fp_44709d6fcb", 412, 60)
            about = f"source/article-{number // 6:07}#{number // 3:012x}"
            await journal.keep(name_of(number), response, model="model", about=about)

    async def all_of_them() -> None:
        async with open_journal(path) as journal:
            await asyncio.gather(*(some(journal, range(first, entries, in_flight)) for first in range(in_flight)))

    started, used = time.perf_counter(), time.process_time()
    asyncio.run(all_of_them())
    seconds, cpu = time.perf_counter() - started, time.process_time() - used
    return {"entries/s": entries / seconds, "CPU-us an entry": 1e6 * cpu / entries}


def resume(path: Path, entries: int) -> dict[str, float]:
    """Open the journal, find one response and what was spent, then look up a hundred thousand at random."""
    drawn = random.Random(1)

    async def look_up() -> dict[str, float]:
        started = time.perf_counter()
        async with open_journal(path) as journal:
            assert journal.find(name_of(entries - 1)) is not None
            assert journal.spent("model").requests >= entries
            first = time.perf_counter() - started
            used = time.process_time()
            assert all(journal.find(name_of(drawn.randrange(entries))) for _ in range(LOOKUPS))
            return {"seconds to resume": first, "CPU-us a lookup": 1e6 * (time.process_time() - used) / LOOKUPS}

    return asyncio.run(look_up())


def migrate(path: Path, entries: int) -> dict[str, float]:
    """Bring the file over from version 2."""
    size = path.stat().st_size
    started = time.perf_counter()
    asyncio.run(_open_and_close(path))
    return {"bytes an entry in version 2": size / entries, "seconds to bring over": time.perf_counter() - started}


async def _open_and_close(path: Path) -> None:
    async with open_journal(path):
        pass


def purge(path: Path, entries: int) -> dict[str, float]:
    """Forget one response in a hundred."""
    started = time.perf_counter()
    found = responses_about(path, "source", list)
    forget(path, found[::100])
    return {"seconds to forget a hundredth": time.perf_counter() - started}


def _measured(results: Any, step: Callable[..., dict[str, float]], *arguments: Any) -> None:
    figures = step(*arguments)
    status = Path("/proc/self/status").read_text()  # getrusage would tell of the parent, too
    peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024
    results.put(figures | {"peak MiB": peak})


def main(entries: int, in_flight: int) -> None:
    """Run each step in a process of its own."""
    spawning = multiprocessing.get_context("spawn")
    results: Any = spawning.Queue()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.sqlite"
        for step in (write, resume, migrate, resume, purge):
            if step is migrate:
                as_of_version(2, path)
            arguments = (path, entries, in_flight) if step is write else (path, entries)
            process = spawning.Process(target=_measured, args=(results, step, *arguments))
            process.start()
            figures = results.get()
            process.join()
            figures["bytes an entry"] = path.stat().st_size / entries
            print(
                f"{step.__name__}: " + ", ".join(f"{name} {value:,.3g}" for name, value in figures.items()), flush=True
            )


if __name__ == "__main__":
    main(*(int(number) for number in (*sys.argv[1:], *("1000000", "256")[len(sys.argv) - 1 :])))
