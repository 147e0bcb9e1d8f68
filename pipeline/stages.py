"""STAGES, the table of contents, and run_stage, the only loop.

A recipe is laid out as steps, one directory each (line.py). A step whose directory is complete is done; `run_stage`
makes the others, shard by shard, and checks the contract as it goes.
"""

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.boilerplate import BoilerplateConfig, mark_boilerplate
from pipeline.clean import CleanConfig, clean_rows
from pipeline.collect import collect_unit
from pipeline.dedup import DedupConfig, dedup_rows
from pipeline.engine import run_tasks
from pipeline.filter import FilterConfig, filter_documents
from pipeline.progress import meter
from pipeline.recipe import Config, Recipe, SourceCard
from pipeline.records import DOCUMENT, ENCODED, EXAMPLE, ORDER, PACKED_SEQUENCE, PASSAGE, SKETCH
from pipeline.segment import SegmentConfig, segment_documents
from pipeline.select import SelectConfig, select_passages
from pipeline.shards import (
    ContractError,
    Shard,
    check_space,
    hidden,
    id_column,
    is_complete,
    link_latest,
    part_name,
    publish,
    shards_of,
    write_part,
    written_of,
)
from pipeline.sketch import SketchConfig, sketch_rows
from pipeline.worklist import CollectConfig, Unit, plan_source
from sampling.encode import EncodeConfig, encode_examples
from sampling.mix import MixConfig, mix_examples
from sampling.pack import PackConfig, pack_sequences
from sampling.prioritize import PrioritizeConfig, prioritize_examples
from unify.rewrite import RewriteConfig, prompts_of, rewrite_stage

TEXT, PAIRS = "text", "pairs"  # the forms of a source


@dataclass(frozen=True)
class Stage:
    """One line of the table of contents."""

    name: str
    function: Callable[..., Any]
    config: type[Config]
    reads: pa.Schema | None
    writes: Mapping[str, pa.Schema]  # form -> record
    over: Literal["cards", "shard", "corpus", "stream"] = "shard"
    files: tuple[str, ...] = ()  # settings that name files, whose content is hashed in place of their path
    parent: str | None = None  # where one row becomes many: the column that names the row it came from
    conserves: tuple[str, ...] = ()  # corpus stages: the inputs whose rows must all come out, kept or dropped
    spreads: bool = False  # corpus stages: takes `run`, which calls a function for each of many tasks (engine.py)
    resumes: bool = False  # corpus stages: takes `first_part`, the first table that is still to be made
    version: int = 1


BOTH = {TEXT: PASSAGE, PAIRS: EXAMPLE}
STAGES = (
    Stage("collect", collect_unit, CollectConfig, None, {TEXT: DOCUMENT, PAIRS: EXAMPLE}, over="cards", version=17),
    Stage("filter", filter_documents, FilterConfig, DOCUMENT, {TEXT: DOCUMENT}, files=("lexicons",), version=2),
    Stage(
        "boilerplate",
        mark_boilerplate,
        BoilerplateConfig,
        DOCUMENT,
        {TEXT: DOCUMENT},
        over="corpus",
        conserves=("rows",),
        spreads=True,
        version=2,
    ),
    Stage(
        "segment",
        segment_documents,
        SegmentConfig,
        DOCUMENT,
        {TEXT: PASSAGE},
        files=("tokenizer",),
        parent="document_id",
        version=3,
    ),
    Stage("clean", clean_rows, CleanConfig, PASSAGE, BOTH, version=5),
    Stage("select", select_passages, SelectConfig, PASSAGE, {TEXT: PASSAGE}, files=("lexicons",)),
    Stage("sketch", sketch_rows, SketchConfig, PASSAGE, {TEXT: SKETCH, PAIRS: SKETCH}, version=2),
    Stage(
        "dedup",
        dedup_rows,
        DedupConfig,
        SKETCH,
        BOTH,
        over="corpus",
        files=("exams",),
        conserves=("rows",),
        spreads=True,
        version=3,
    ),
    Stage(
        "rewrite",
        rewrite_stage,
        RewriteConfig,
        PASSAGE,
        {TEXT: EXAMPLE},
        over="stream",
        files=("regenerate",),
        parent="passage_id",
        version=12,
    ),
    Stage(
        "mix",
        mix_examples,
        MixConfig,
        EXAMPLE,
        {"": EXAMPLE},
        over="corpus",
        files=("verdicts", "exams"),
        conserves=("rewrite", "pairs"),
        version=2,
    ),
    Stage(
        "encode",
        encode_examples,
        EncodeConfig,
        EXAMPLE,
        {"": ENCODED},
        files=("tokenizer", "chat_template"),
        version=2,
    ),
    Stage(
        "prioritize",
        prioritize_examples,
        PrioritizeConfig,
        ENCODED,
        {"": ORDER},
        over="corpus",
        resumes=True,
        version=2,
    ),
    Stage("pack", pack_sequences, PackConfig, ORDER, {"": PACKED_SEQUENCE}, over="corpus", version=2),
)
STAGE_NAMES = tuple(stage.name for stage in STAGES)
TABLES = (*STAGE_NAMES, "train", "lexicon", "judge")  # of a recipe


@dataclass(frozen=True)
class Step:
    """One directory to be made: a stage over one source, one form, or all that came before."""

    stage: Stage
    part: str  # the source or form; "" where the stage has one directory
    form: str
    config: Config
    inputs: Mapping[str, tuple["Step", ...]]
    key: str
    directory: Path
    files: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    card: SourceCard | None = None

    @property
    def label(self) -> str:
        """How the step is called in progress lines and links."""
        return f"{self.stage.name}/{self.part}" if self.part else self.stage.name

    @property
    def record(self) -> pa.Schema:
        """What its rows are."""
        return self.stage.writes[self.form]


@dataclass(frozen=True)
class Line:
    """A recipe, checked and laid out: its cards, every stage's settings, the steps in order."""

    recipe: Recipe
    cards: tuple[SourceCard, ...]
    configs: Mapping[str, Config]
    steps: tuple[Step, ...]

    def directories(self) -> dict[str, list[Path]]:
        """Stage name -> its directories, whether or not they are made yet."""
        found: dict[str, list[Path]] = {}
        for step in self.steps:
            found.setdefault(step.stage.name, []).append(step.directory)
        return found

    def step(self, stage: str) -> Step:
        """The only step of a stage."""
        return next(step for step in self.steps if step.stage.name == stage)


def run_line(line: Line, after_shard: Callable[[], None] = lambda: None) -> None:
    """Make every step that is not complete, in order, and link what the recipe made.

    Args:
        after_shard: called whenever a stage that publishes whole shards one by one has published one.
    """
    for step in line.steps:
        if not is_complete(step.directory):
            run_stage(step, line, after_shard)
        link_latest(line.recipe.output_folder, line.recipe.name, step.label, step.directory)


def run_stage(step: Step, line: Line, after_shard: Callable[[], None] = lambda: None) -> None:
    """Make one directory: write the parts that are missing, check the contract, publish."""
    streams = step.stage.over == "stream"
    working = step.directory if streams else hidden(step.directory)
    working.mkdir(parents=True, exist_ok=True)
    check_space(working, [before.directory for steps in step.inputs.values() for before in steps])
    started = time.monotonic()
    if streams:
        _run_stream(step, line, working, after_shard)
    else:
        {"cards": _run_cards, "shard": _run_shards, "corpus": _run_corpus}[step.stage.over](step, line, working)
    seconds = time.monotonic() - started
    _check_contract(step, working)
    manifest = _manifest(step, seconds)
    if streams:
        manifest["prompts"] = prompts_of(cast(RewriteConfig, step.config))
    made = publish(step.directory, manifest, working)
    drops = ", ".join(f"{count:,} {reason}" for reason, count in made["dropped"].items())
    rows = f"{made['rows_in']:,} in, {made['rows_out']:,} out{f' ({drops})' if drops else ''}"
    print(f"{step.label}: {rows}, {seconds:.1f} s", flush=True)


def _run_cards(step: Step, line: Line, working: Path) -> None:
    recipe, card = line.recipe, cast(SourceCard, step.card)
    cache = recipe.output_folder / "cache"
    units = plan_source(card, recipe.cards_folder, cast(CollectConfig, step.config), cache, working / "scratch")
    tasks = [
        (working, index, card, unit, step.config, cache, step.record)
        for index, unit in enumerate(units)
        if not (working / part_name(index)).exists()
    ]
    with meter(step.label, len(tasks), "units") as progress:
        for _ in run_tasks(_collect_part, tasks, recipe.run):
            progress.advance()


def _collect_part(
    working: Path,
    index: int,
    card: SourceCard,
    unit: Unit,
    config: CollectConfig,
    cache: Path,
    record: pa.Schema,
) -> None:
    marked = collect_unit(card, unit, config, cache)
    write_part(working, index, marked, record, rows_in=marked.num_rows)


def _run_shards(step: Step, line: Line, working: Path) -> None:
    shards = [shard for before in step.inputs["rows"] for shard in shards_of(before.directory)]
    tasks = [
        (working, index, shard, step.stage.name, step.config, step.files, step.form)
        for index, shard in enumerate(shards)
        if not (working / part_name(index)).exists()
    ]
    with meter(step.label, len(tasks), "shards") as progress:
        for _ in run_tasks(_shard_part, tasks, line.recipe.run):
            progress.advance()


def _shard_part(
    working: Path, index: int, shard: Shard, name: str, config: Config, files: Mapping[str, tuple[Path, ...]], form: str
) -> None:
    stage = next(stage for stage in STAGES if stage.name == name)
    rows = shard.read()
    marked = stage.function(rows, config, files) if stage.files else stage.function(rows, config)
    if stage.parent is None and marked.num_rows != rows.num_rows:
        raise ContractError(
            f"{name} {shard.path}: got {marked.num_rows} rows, expected the {rows.num_rows} that went in"
        )
    if stage.parent is not None:
        _check_accounted(f"{name} {shard.path}", rows[rows.column_names[0]], marked[stage.parent])
    write_part(working, index, marked, stage.writes[form], rows_in=rows.num_rows)


def _run_corpus(step: Step, line: Line, working: Path) -> None:
    inputs = {
        name: [shard for before in steps for shard in shards_of(before.directory)]
        for name, steps in step.inputs.items()
    }
    scratch = working / "scratch"
    scratch.mkdir(exist_ok=True)
    arguments: list[Any] = [inputs, step.config, scratch]
    if step.stage.files:
        arguments.append(step.files)
    if step.stage.spreads:
        arguments.append(partial(run_tasks, run=line.recipe.run))
    total = sum(shard.num_rows for name in step.stage.conserves or inputs for shard in inputs[name])
    rows, first = 0, 0
    if step.stage.resumes:
        while (working / part_name(first)).exists():
            rows, first = rows + written_of(working / part_name(first)).rows_out, first + 1
        arguments.append(first)
    with meter(step.label, total, "rows") as progress:
        progress.advance(rows)
        for index, marked in enumerate(step.stage.function(*arguments), start=first):
            rows += marked.num_rows
            if not (working / part_name(index)).exists():
                write_part(working, index, marked, step.record, rows_in=marked.num_rows)
            progress.advance(marked.num_rows)
    if step.stage.conserves and rows != total:
        raise ContractError(f"{step.label}: got {rows} rows, expected the {total} that went in")


def _run_stream(step: Step, line: Line, working: Path, after_shard: Callable[[], None]) -> None:
    shards = [shard for before in step.inputs["rows"] for shard in shards_of(before.directory)]
    total = sum(shard.num_rows for shard in shards)
    config = cast(RewriteConfig, step.config)
    with meter(step.label, total, "passages", plain=False) as progress:
        rewrite_stage(shards, config, line.recipe, line.cards, working, progress, after_shard, step.files)
    rows_in = sum(written_of(part).rows_in for part in sorted(working.glob("part-*.parquet")))
    if rows_in != total:
        raise ContractError(f"{step.label}: got {rows_in} passages, expected the {total} that went in")


def _check_accounted(where: str, ids: pa.ChunkedArray, parents: pa.ChunkedArray) -> None:
    lost = pc.filter(ids, pc.invert(pc.is_in(ids, pc.unique(parents))))
    if len(lost):
        raise ContractError(
            f"{where}: {len(lost)} rows unaccounted for, the first {lost[0]}; expected each kept or dropped"
        )


def _check_contract(step: Step, working: Path) -> None:
    """Check what only the whole directory shows: parts without a gap, ids that are unique and nest."""
    parts = sorted(working.glob("part-*.parquet"))
    if [part.name for part in parts] != [part_name(index) for index in range(len(parts))]:
        raise ContractError(
            f"{working}: got parts {[part.name for part in parts]}, expected them numbered without a gap"
        )
    column = id_column(step.record)
    if column is None:
        return
    hashes = []
    for part in parts:
        rows = Shard(part, 0).read([column, step.stage.parent] if step.stage.parent else [column])
        ids = rows[column].to_pylist()
        if step.stage.parent:
            for id, parent in zip(ids, rows[step.stage.parent].to_pylist(), strict=True):
                if not id.startswith(parent):
                    raise ContractError(
                        f"{part}: got id {id}, expected it to begin with its {step.stage.parent} {parent}"
                    )
        hashes.append(np.fromiter((_hash64(id) for id in ids), np.uint64, len(ids)))
    together = np.sort(np.concatenate(hashes)) if hashes else np.zeros(0, np.uint64)
    repeats = int((together[1:] == together[:-1]).sum())
    if repeats:
        raise ContractError(f"{working}: {repeats} {column}s appear more than once, expected each once")


def _hash64(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


def _manifest(step: Step, seconds: float) -> dict[str, Any]:
    return {
        "stage": step.stage.name,
        "key": step.key,
        "part": step.part,
        "inputs": {name: [before.key for before in steps] for name, steps in step.inputs.items()},
        "record": {"id": id_column(step.record), "columns": step.record.names},
        "settings": step.config.model_dump(mode="json"),
        "code_version": package_version("onestage"),
        "seconds": round(seconds, 3),
    }
