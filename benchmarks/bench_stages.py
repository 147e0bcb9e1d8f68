"""Measure the corpus stages on one core: megabytes of UTF-8 text a CPU second, of the function and of the whole stage.

    python -m benchmarks.bench_stages [FOLDER]

Plain text, as much Chinese as English: the .txt files below FOLDER if one is given, else documents of 2 to 50 kB made
of the demo's sentences in random order; then the real corpora of tests/real, in their own formats, where ../shared/data
is there. Default settings, the demo's lexicons. "function" is the stage's own function on tables in memory; "stage" is
all of it: reading, the function, writing, hashing, checking. Both are the best of three. What a process pays once, for
tables, lexicons and compiled code read from disk, is measured before, on a text of a few lines, and so are imports.
Megabytes are those of the text that a stage reads. What people may choose beyond the defaults, and formats other than
text, are measured apart, and dedup by bench_dedup.py.
"""

import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.clean import CleanConfig, clean_rows
from pipeline.line import read_line
from pipeline.minhash import texts_of
from pipeline.sentences import split_sentences
from pipeline.shards import Shard, shards_of
from pipeline.stages import Line, Step, run_stage

ROOT = Path(__file__).resolve().parents[1]
REAL_DATA = ROOT.parent / "shared" / "data"
MEGABYTES, APART = 32, 6
RUNS = 3
CARD = """origin = "made of the demo's sentences"
licence = "Apache-2.0"
kind = "books"
checked = { by = "bench", on = 2026-11-21, scope = "benchmarks" }
"""
HEAD = "| {} | rows | MB | function, MB/s | stage, MB/s |\n|---|---:|---:|---:|---:|"


def main(folders: Sequence[str]) -> None:
    """Print Markdown tables: what is paid once, the stages on plain text and on real corpora, and what is apart."""
    print(f"imports: {time.process_time():.2f} s\n")
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        (work / "little.txt").write_text("Hypertension is a common disease. 高血压是常见病。\n" * 9)
        start(line_of(work, "start", {"texts": f"{work}/little.txt"}, "sketch"))
        texts = Path(folders[0]).resolve() if folders else write_texts(work / "texts", MEGABYTES)
        print("\n" + HEAD.format("plain text"))
        compare(line_of(work, "plain", {"texts": f"{texts}/**/*.txt"}, "sketch"))
        if REAL_DATA.is_dir():
            print("\n" + HEAD.format("real corpora"))
            compare(real_line(work))
        print("\n" + HEAD.format("apart"))
        texts = write_texts(work / "fewer texts", APART)
        for name, path, tables, stage in (
            ("HTML", write_pages(work / "pages", texts), "", "collect"),
            ("traditional to simplified", texts, "[clean]\nsimplify = true\n", "clean"),
            ("tokenizer budget", texts, "[segment]\nmax_tokens = 384\n", "segment"),
        ):
            apart = line_of(work, name, {"texts": f"{path}/**/*"}, stage, tables)
            for step in apart.steps[:-1]:
                run_stage(step, apart)
            print(measure(apart.steps[-1:], apart, name), flush=True)
        print(measure_repair(line_of(work, "repair", {"texts": f"{texts}/**/*"}, "segment")), flush=True)


def start(line: Line) -> None:
    """Print what each stage of a line costs where there is next to nothing to do, in a process that is fresh."""
    print("| start of | CPU, s |\n|---|---:|")
    for step in line.steps:
        print(f"| {step.stage.name} | {cpu_seconds(run_stage, [step], line):.2f} |", flush=True)


def compare(line: Line) -> None:
    """Print a line of the table for each stage."""
    for name in dict.fromkeys(step.stage.name for step in line.steps):
        print(measure([step for step in line.steps if step.stage.name == name], line), flush=True)


def measure(steps: Sequence[Step], line: Line, name: str = "") -> str:
    """Run a stage on each of its sources and return its line of the table."""
    whole, function, number, size = 0.0, 0.0, 0, 0.0
    for step in steps:
        seconds = []
        for _ in range(RUNS):
            shutil.rmtree(step.directory, ignore_errors=True)
            seconds.append(cpu_seconds(run_stage, [step], line))
        whole += min(seconds)
        for shard in read_by(step):
            rows = shard.read()
            number, size = number + rows.num_rows, size + (pc.sum(pc.binary_length(texts_of(rows))).as_py() or 0) / 1e6
            if step.stage.over == "shard":
                arguments = (step.config, step.files) if step.stage.files else (step.config,)
                function += min(cpu_seconds(step.stage.function, [rows], *arguments) for _ in range(RUNS))
    rate = f"{size / function:.1f}" if function else "–"
    return f"| {name or steps[0].stage.name} | {number:,} | {size:.1f} | {rate} | {size / whole:.1f} |"


def measure_repair(line: Line) -> str:
    """Run clean's function on Chinese passages that are mojibake, UTF-8 read as GBK and as Latin-1 by turns.

    Collect has repaired files before clean sees them, so that only a text of a table gets there; there is no stage to
    measure. Megabytes are those of the mojibake.
    """
    for step in line.steps:
        run_stage(step, line)
    rows = pa.concat_tables(shard.read() for shard in shards_of(line.steps[-1].directory))
    rows = rows.filter(pc.starts_with(rows["lang"], "zh"))
    texts = [
        text.encode().decode("gbk" if place % 2 else "latin-1", errors="replace")
        for place, text in enumerate(rows["text"].to_pylist())
    ]
    rows = rows.set_column(rows.schema.get_field_index("text"), "text", pa.array(texts, pa.string()))
    size = pc.sum(pc.binary_length(rows["text"])).as_py() / 1e6
    seconds = min(cpu_seconds(clean_rows, [rows], CleanConfig()) for _ in range(RUNS))
    return f"| mojibake repair in clean | {rows.num_rows:,} | {size:.1f} | {size / seconds:.1f} | – |"


def read_by(step: Step) -> list[Shard]:
    """List the shards that a step reads, or those that it writes where it reads files."""
    return [
        shard
        for directory in [before.directory for before in step.inputs.get("rows", ())] or [step.directory]
        for shard in shards_of(directory)
    ]


def cpu_seconds(function: Callable[..., object], things: Sequence[object], *arguments: object) -> float:
    """Return the CPU time of this process that a function takes on each of some things."""
    started = time.process_time()
    for thing in things:
        function(thing, *arguments)
    return time.process_time() - started


def real_line(work: Path) -> Line:
    """Lay out the sources of text of tests/real/everything.toml, through select, with the demo's lexicons."""
    recipe = (ROOT / "tests" / "real" / "everything.toml").read_text()
    lexicons = [str(ROOT / "recipes" / "lexicons" / f"medical_{lang}.txt") for lang in ("zh", "en")]
    for old, new in (
        ('cards = "cards"', f'cards = "{ROOT}/tests/real/cards"'),
        ('output = "../../data/everything"', 'output = "data"'),
        ("../../../shared/data", str(REAL_DATA)),
        ("[dedup]", f"[filter]\nlexicons = {lexicons}\n\n[dedup]"),
    ):
        recipe = recipe.replace(old, new)
    (work / "real").mkdir()
    (work / "real" / "real.toml").write_text(recipe)
    line = read_line(work / "real" / "real.toml", "select")
    return replace(line, steps=tuple(step for step in line.steps if step.form == "text"))


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


def write_texts(folder: Path, megabytes: float) -> Path:
    """Write plain texts of so many megabytes in all, the sentences of the demo's documents in random order."""
    folder.mkdir(parents=True)
    draw = random.Random(0)
    of_language = {lang: sorted(set(sentences(lang))) for lang in ("zh", "en")}
    written, number = 0, 0
    while written < megabytes * 1e6:
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
