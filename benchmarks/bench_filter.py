"""Speed of filter and select on plain text: python -m benchmarks.bench_filter FILE... (texts in UTF-8).

Prints MB of UTF-8 text per second of processor time, the best of three, for filter (documents, with the judgement of
their language that collect makes) and for select (passages of 400 characters).
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from pipeline.domain import read_lexicons
from pipeline.filter import FilterConfig, filter_documents
from pipeline.readers.language import detect
from pipeline.select import SelectConfig, select_passages

LEXICONS = tuple(sorted((Path(__file__).resolve().parents[1] / "recipes" / "lexicons").glob("medical_*.txt")))


def best_of_three(call: Callable[[], object]) -> float:
    """Return the least processor time of three calls, in seconds."""
    times = []
    for _ in range(3):
        started = time.process_time()
        call()
        times.append(time.process_time() - started)
    return min(times)


def judge_documents(texts: list[str]) -> pa.Table:
    """Tell the language of documents and filter them."""
    documents = pa.table({"text": texts, "lang": [detect(text) for text in texts]})
    return filter_documents(documents, FilterConfig(), {"lexicons": LEXICONS})


def main(paths: list[str]) -> None:
    """Measure each file."""
    config = SelectConfig(languages=FilterConfig().languages, lexicons=())
    read_lexicons(LEXICONS)
    for path in paths:
        text = Path(path).read_text(encoding="utf-8")
        size = len(text.encode()) / 1e6
        documents = [text[start : start + 20_000] for start in range(0, len(text), 20_000)]
        passages = pa.table({"text": [text[start : start + 400] for start in range(0, len(text), 400)]})
        coarse = best_of_three(lambda documents=documents: judge_documents(documents))
        fine = best_of_three(lambda passages=passages: select_passages(passages, config, {"lexicons": LEXICONS}))
        print(f"{path}: {size:.1f} MB, filter {size / coarse:.1f} MB/s, select {size / fine:.1f} MB/s")


if __name__ == "__main__":
    main(sys.argv[1:])
