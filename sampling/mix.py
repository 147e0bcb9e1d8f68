"""Mix examples: join text-born and ready-made pairs, apply people's verdicts, a pilot and caps, set the split.

Reads Example, writes Example. Whatever is chosen is chosen by a hash of the row's own id, so that neither the order of
rows nor their number of shards matters, and a document's examples stay together.
"""

import json
import math
from array import array
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import pyarrow as pa
from pydantic import Field

from pipeline.decontaminate import strike, write_index
from pipeline.letters import FOLDS, Fold
from pipeline.minhash import texts_of
from pipeline.recipe import Config, RecipeError
from pipeline.records import mark, uniform
from pipeline.shards import Shard
from sampling.questions import question_of, repeated_questions

TRAIN, HELDOUT = "train", "heldout"
ID_COLUMNS = ["id", "passage_id", "source", "kind"]
PAIRS_INPUT = "pairs"


class MixConfig(Config):
    """What goes into training and what is held out."""

    heldout: float = Field(default=0.01, ge=0, lt=1, description="share of documents held out; 0: none")
    max_examples: dict[str, Annotated[int, Field(ge=0)]] = Field(default={}, description="by source, chosen by hash")
    verdicts: str | None = Field(default=None, description="JSON lines of people's decisions; None: there are none")
    min_question_jaccard: float | None = Field(
        default=None, gt=0, le=1, description="similarity from which a made question repeats one; None: not compared"
    )
    exams: tuple[str, ...] = Field(
        default=(), description="filled from [dedup]; made pairs that show an item are dropped"
    )
    min_contained: float = Field(default=0.6, ge=0.5, le=1, description="filled from [dedup]")
    min_jaccard: float = Field(default=0.8, gt=0, le=1, description="filled from [dedup]; of a pair and an exam's item")
    ngram: int = Field(default=5, ge=1, description="filled from [sketch]")
    normalise: tuple[Fold, ...] = Field(default=FOLDS, description="filled from [sketch]")
    seed: int = Field(default=0, description="filled from the recipe")
    pilot: int | None = Field(default=None, description="filled from the recipe; documents of each source of pairs")


class Verdict(NamedTuple):
    """A person's decision about an example, a passage, a document or a source."""

    excludes: bool
    who: str
    reason: str


class Row(NamedTuple):
    """What decides an example's fate."""

    id: str
    passage: str | None
    document: str
    source: str
    kind: str
    is_pair: bool


def mix_examples(
    inputs: Mapping[str, Sequence[Shard]], config: MixConfig, scratch: Path, files: Mapping[str, Sequence[Path]]
) -> Iterator[pa.Table]:
    """Mark the examples that stay out and set `split` of all, a table a shard, those of "rewrite" before "pairs".

    A row stays out for the first of: `excluded_by_verdict` (the verdict about its example, else its passage, else its
    document, else its source; the last line about an id holds), `contaminated` and `repeated_question` (made pairs
    alone, as dedup saw the others), `not_in_pilot` (ready-made pairs alone: text was chosen by collect) and `over_cap`.
    Split is by document: a kind that keeps two documents or more has at least one held out and one to train on, unless
    `heldout` is 0.

    In memory: one shard, the verdicts, 8 bytes a row of sources that have a pilot or a cap, and what questions.py has.

    Raises:
        RecipeError: a line of the verdicts is malformed, or a cap names a source that is not there.
    """
    shards = [(shard, name == PAIRS_INPUT) for name in ("rewrite", PAIRS_INPUT) for shard in inputs.get(name, ())]
    fate = Fate(config, read_verdicts(files.get("verdicts", ())))
    made = [shard for shard, is_pair in shards if not is_pair]
    if files.get("exams"):
        fate.learn_exams(made, files["exams"], scratch / "exams")
    if config.min_question_jaccard is not None:
        fate.learn_questions(made, config.min_question_jaccard)
    if config.pilot is not None:
        fate.learn_pilot(_rows(shards))
    if config.max_examples:
        fate.learn_caps(_rows(shards))
    if config.heldout:
        fate.learn_split(_rows(shards))
    for shard, is_pair in shards:
        examples = shard.read()
        yield _mark_shard(examples, list(_rows_of(examples, is_pair)), fate)


def read_verdicts(paths: Sequence[Path]) -> dict[str, Verdict]:
    """Read people's decisions: id -> the last verdict about it.

    Raises:
        RecipeError: a line is not an object with texts `id`, `verdict` (exclude or include), `reason` and `who`.
    """
    verdicts: dict[str, Verdict] = {}
    for path in paths:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            if not line.strip():
                continue
            try:
                written = json.loads(line)
                id, verdict, reason, who = (written[name] for name in ("id", "verdict", "reason", "who"))
            except (json.JSONDecodeError, KeyError, TypeError):
                id = verdict = reason = who = None
            if not all(isinstance(text, str) for text in (id, reason, who)) or verdict not in ("exclude", "include"):
                expected = 'expected {"id": …, "verdict": "exclude" or "include", "reason": …, "who": …}'
                raise RecipeError(f"{path}:{number}: got {line.strip()[:80]!r}, {expected}")
            verdicts[str(id)] = Verdict(verdict == "exclude", str(who), str(reason))
    return verdicts


class Fate:
    """What is known of the whole mix after a pass over its rows: thresholds that one row is then held against."""

    def __init__(self, config: MixConfig, verdicts: Mapping[str, Verdict]) -> None:
        self.config = config
        self.verdicts = verdicts
        self.struck: dict[str, str] = {}  # id of a made pair -> the exam's item
        self.repeats: dict[str, str] = {}  # id of a made pair -> the pair that asks the same
        self.pilot: dict[str, float] = {}  # source of pairs -> largest draw in the pilot
        self.caps: dict[str, float] = {}  # source -> largest draw under the cap
        self.split: dict[str, float] = {}  # kind -> documents that draw less are held out

    def of(self, row: Row) -> tuple[str | None, str | None]:
        """Return a row's drop reason and detail."""
        for id in (row.id, row.passage, row.document, row.source):
            if id is not None and (verdict := self.verdicts.get(id)):
                if verdict.excludes:
                    return "excluded_by_verdict", f"{verdict.who}: {verdict.reason}"
                break
        for reason, found in (("contaminated", self.struck), ("repeated_question", self.repeats)):
            if not row.is_pair and row.id in found:
                return reason, found[row.id]
        if row.is_pair and self._draw("pilot", row.document) > self.pilot.get(row.source, 1.0):
            return "not_in_pilot", None
        if row.source in self.caps and self._draw("cap", row.id) > self.caps[row.source]:
            return "over_cap", None
        return None, None

    def split_of(self, row: Row) -> str:
        """Return the split of a row's document."""
        return HELDOUT if self._draw("split", row.document) < self.split.get(row.kind, 0.0) else TRAIN

    def learn_exams(self, made: Sequence[Shard], exams: Sequence[Path], index: Path) -> None:
        """Find the made pairs that an exam's item contains or that contain one."""
        if not (index / "settings.json").exists():
            settings = self.config.model_dump(include={"min_contained", "min_jaccard", "ngram"})
            write_index(exams, index, self.config.normalise, settings)
        for shard in made:
            rows = shard.read(["id", "messages"])
            ids = rows["id"].to_pylist()
            struck = strike(texts_of(rows), index, self.config.normalise)
            self.struck |= {ids[place]: item for place, item in struck.items()}

    def learn_questions(self, made: Sequence[Shard], min_jaccard: float) -> None:
        """Find the made pairs whose question one before them asks, among those that nothing else keeps out."""

        def read() -> Iterator[tuple[list[str], list[str]]]:
            for shard in made:
                rows = shard.read([*ID_COLUMNS, "messages"])
                asked = zip(_rows_of(rows, is_pair=False), rows["messages"].to_pylist(), strict=True)
                left = [(row.id, question_of(messages)) for row, messages in asked if self.of(row)[0] is None]
                left = [(id, question) for id, question in left if question]  # raw text has none
                yield [id for id, _ in left], [question for _, question in left]

        self.repeats = repeated_questions(read, min_jaccard, self.config.normalise)

    def learn_pilot(self, rows: Iterator[Row]) -> None:
        """Find the draw up to which documents of each source of pairs belong to the pilot."""
        draws: dict[str, array[float]] = defaultdict(lambda: array("d"))
        for row in rows:
            if row.is_pair:
                draws[row.source].append(self._draw("pilot", row.document))
        self.pilot = {source: _smallest(drawn, self.config.pilot or 0) for source, drawn in draws.items()}

    def learn_caps(self, rows: Iterator[Row]) -> None:
        """Find the draw up to which examples of each capped source are under its cap."""
        draws: dict[str, array[float]] = {source: array("d") for source in self.config.max_examples}
        sources = set()
        for row in rows:
            sources.add(row.source)
            if row.source in draws and self.of(row)[0] is None:
                draws[row.source].append(self._draw("cap", row.id))
        if missing := sorted(draws.keys() - sources):
            raise RecipeError(f"[mix] max_examples: got {missing[0]}, expected one of the sources {sorted(sources)}")
        self.caps = {source: _smallest(drawn, self.config.max_examples[source]) for source, drawn in draws.items()}

    def learn_split(self, rows: Iterator[Row]) -> None:
        """Find for each kind the draw below which its documents are held out: some of several, never all."""
        least: dict[str, float] = {}
        most: dict[str, float] = {}
        for row in rows:
            if self.of(row)[0] is None:
                draw = self._draw("split", row.document)
                least[row.kind] = min(draw, least.get(row.kind, 1.0))
                most[row.kind] = max(draw, most.get(row.kind, 0.0))
        self.split = {
            kind: min(max(self.config.heldout, math.nextafter(least[kind], 1.0)), most[kind]) for kind in least
        }

    def _draw(self, *names: str) -> float:
        return uniform(self.config.seed, *names)


def _smallest(draws: "array[float]", count: int) -> float:
    """Return the largest of the `count` smallest draws: 1 if there are no more than that, below 0 if count is 0."""
    if count == 0:
        return -1.0
    return 1.0 if len(draws) <= count else float(np.partition(np.frombuffer(draws), count - 1)[count - 1])


def _rows(shards: Sequence[tuple[Shard, bool]]) -> Iterator[Row]:
    for shard, is_pair in shards:
        yield from _rows_of(shard.read(ID_COLUMNS), is_pair)


def _rows_of(examples: pa.Table, is_pair: bool) -> Iterator[Row]:
    columns = [examples[name].to_pylist() for name in ID_COLUMNS]
    for id, passage, source, kind in zip(*columns, strict=True):
        yield Row(id, passage, passage.rsplit("#", 1)[0] if passage else id, source, kind, is_pair)


def _mark_shard(examples: pa.Table, rows: Sequence[Row], fate: Fate) -> pa.Table:
    place = examples.schema.get_field_index("split")
    splits = pa.array([fate.split_of(row) for row in rows], pa.string())
    examples = examples.set_column(place, examples.schema.field(place), splits)
    fates = [fate.of(row) for row in rows]
    names = ("excluded_by_verdict", "contaminated", "repeated_question", "not_in_pilot", "over_cap")
    rules = {name: pa.array([reason == name for reason, _ in fates], pa.bool_()) for name in names}
    details = [detail for _, detail in fates]
    return mark(examples, rules, dict.fromkeys(names[:3], details))
