"""Measure the corpus stages on one core: megabytes of UTF-8 text a CPU second, of the function and of the whole stage.

    python -m benchmarks.bench_stages [FOLDER]

Plain text, as much Chinese as English: the .txt files below FOLDER if one is given, else documents of 2 to 50 kB made
of the demo's sentences in random order. Default settings, the demo's lexicons. "function" is the stage's own function
on tables in memory, the best of three, compilation left out; "stage" is all of it once: reading, the function, writing,
hashing, checking. Megabytes are those of the text that a stage reads. What people may choose beyond the defaults, and
formats other than text, are measured apart.
"""

import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.line import read_line
from pipeline.minhash import texts_of
from pipeline.sentences import split_sentences
from pipeline.shards import shards_of
from pipeline.stages import Line, Step, run_stage

ROOT = Path(__file__).resolve().parents[1]
MEGABYTES = 6
RUNS = 3
CARD = """origin = "made of the demo's sentences"
licence = "Apache-2.0"
kind = "books"
checked = { by = "bench", on = 2026-11-21, scope = "benchmarks" }
"""


def main(folders: Sequence[str]) -> None:
    """Print a Markdown table of the stages, and one of what is apart."""
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        texts = Path(folders[0]).resolve() if folders else write_texts(work / "texts", MEGABYTES << 20)
        print("| stage | rows | MB | function, MB/s | stage, MB/s |\n|---|---:|---:|---:|---:|")
        line = line_of(work, "plain", {"texts": f"{texts}/**/*.txt"}, "dedup")
        for step in line.steps:
            print(measure(step, line), flush=True)
        print("\n| apart | rows | MB | function, MB/s | stage, MB/s |\n|---|---:|---:|---:|---:|")
        for name, path, tables, stage in (
            ("HTML", write_pages(work / "pages", texts), "", "collect"),
            ("traditional to simplified", texts, "[clean]\nsimplify = true\n", "clean"),
            ("tokenizer budget", texts, "[segment]\nmax_tokens = 384\n", "segment"),
        ):
            apart = line_of(work, name, {"texts": f"{path}/**/*"}, stage, tables)
            for step in apart.steps[:-1]:
                run_stage(step, apart)
            print(measure(apart.steps[-1], apart, name), flush=True)


def measure(step: Step, line: Line, name: str = "") -> str:
    """Run a stage and return its line of the table."""
    started = time.process_time()
    run_stage(step, line)
    whole = time.process_time() - started
    read = [shard for before in step.inputs.get("rows", ()) for shard in shards_of(before.directory)]
    rows = [shard.read() for shard in read or shards_of(step.directory)]
    size = sum(pc.sum(pc.binary_length(texts_of(table))).as_py() or 0 for table in rows) / 1e6
    rate = "–"
    if step.stage.over == "shard":
        arguments = (step.config, step.files) if step.stage.files else (step.config,)
        seconds = min(cpu_seconds(step.stage.function, rows, *arguments) for _ in range(RUNS))
        rate = f"{size / seconds:.1f}"
    number = sum(table.num_rows for table in rows)
    return f"| {name or step.stage.name} | {number:,} | {size:.1f} | {rate} | {size / whole:.1f} |"


def cpu_seconds(function: Callable[..., object], tables: Sequence[pa.Table], *arguments: object) -> float:
    """Return the CPU time of this process that a function takes on tables."""
    started = time.process_time()
    for table in tables:
        function(table, *arguments)
    return time.process_time() - started


def line_of(work: Path, name: str, sources: dict[str, str], through: str, tables: str = "") -> Line:
    """Lay out a recipe over sources of one path each."""
    folder = work / f"recipe of {name}"
    folder.mkdir()
    for source, path in sources.items():
        (folder / f"{source}.toml").write_text(f'{CARD}path = "{path}"\n')
    lexicons = [str(ROOT / "recipes" / "lexicons" / f"medical_{lang}.txt") for lang in ("zh", "en")]
    (folder / "bench.toml").write_text(
        f'name = "bench"\nsources = {list(sources)}\ncards = "."\noutput = "data"\n{tables}\n'
        f"[filter]\nlexicons = {lexicons}\nmin_chars = 1\n"
        '[train]\nmodel = "smollm2-135m-instruct"\n'
    )
    return read_line(folder / "bench.toml", through)


def write_texts(folder: Path, size: int) -> Path:
    """Write plain texts of `size` bytes in all, the sentences of the demo's documents in random order."""
    folder.mkdir(parents=True)
    draw = random.Random(0)
    of_language = {lang: sorted(set(sentences(lang))) for lang in ("zh", "en")}
    written, number = 0, 0
    while written < size:
        lang = ("zh", "en")[number % 2]
        paragraphs, length = [], draw.randint(2_000, 50_000)
        while sum(len(paragraph.encode()) for paragraph in paragraphs) < length:
            paragraphs.append(("" if lang == "zh" else " ").join(draw.sample(of_language[lang], draw.randint(2, 8))))
        data = "\n\n".join(paragraphs).encode()
        (folder / f"{number:05d}.txt").write_bytes(data)
        written, number = written + len(data), number + 1
    return folder


def sentences(lang: str) -> Iterator[str]:
    """Yield the sentences of the demo's documents of a language."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "demo.toml"
        sources = [f"demo_{kind}" for kind in ("web", "encyclopedia", "book", "literature")]
        path.write_text(f'name = "demo"\nsources = {sources}\ncards = "{ROOT}/data_cards"\noutput = "data"\n')
        line = read_line(path, "collect")
        for step in line.steps:
            run_stage(step, line)
            for document in (row for shard in shards_of(step.directory) for row in shard.read().to_pylist()):
                if document["lang"].startswith(lang):
                    text = document["text"]
                    yield from (text[start:end] for start, end in split_sentences(text, lang) if end - start > 20)


def write_pages(folder: Path, texts: Path) -> Path:
    """Write an eighth of the texts as web pages."""
    folder.mkdir()
    for path in sorted(texts.glob("**/*.txt"))[::8]:
        paragraphs = "".join(f"<p>{paragraph}</p>\n" for paragraph in path.read_text().split("\n\n"))
        furniture = "<nav><ul><li><a href='/'>Home</a></li></ul></nav><script>var x = 1;</script>"
        body = f"<body>{furniture}<article><h1>Page</h1>{paragraphs}</article></body>"
        (folder / f"{path.stem}.html").write_text(f"<html><head><title>Page</title></head>{body}</html>")
    return folder


if __name__ == "__main__":
    main(sys.argv[1:])
