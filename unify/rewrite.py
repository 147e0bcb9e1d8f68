"""Rewrite passages as training pairs: the coroutine of one passage, and the stage around it.

Reads Passage, writes Example. One coroutine a passage goes from question to answer to checks; `[run] in_flight` of
them are under way at a time, across parts and without a barrier between steps, and a part is written as soon as its
last passage is done. Every passage comes out, as a pair or as a dropped row with its reason. All responses go through
the journal; a model server is started only when one is missing from it.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from traceback import extract_tb
from types import MappingProxyType
from typing import Any, TypeVar

import pyarrow as pa

from pipeline.progress import Meter
from pipeline.recipe import Recipe, RecipeError, SourceCard, is_private
from pipeline.records import EXAMPLE, marked_schema, uniform
from pipeline.shards import Shard, part_name, write_part
from unify.again import Rule, read_rules, rewritten
from unify.asking import asking
from unify.coverage import with_coverage
from unify.meter import shown_live
from unify.pair import Passage, example_of, passage_of, without_pair
from unify.request import Ask, StyleName
from unify.request import RewriteConfig as RewriteConfig
from unify.step import PROMPTS as REPAIR_PROMPTS
from unify.styles import STYLES

# What a fault of ours raises on a text that nobody thought of. What servers, disks and limits raise is none of these.
FAULTS = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
T = TypeVar("T")
OPEN_PARTS = 64  # parts begun and not yet written, at most: what a few slow passages may hold back in memory


def prompts_of(config: RewriteConfig) -> dict[str, dict[str, str]]:
    """Return the static prompt texts of the styles in use, by style and language, which the stage's key hashes."""
    weights: list[Mapping[StyleName, float]] = [config.styles, *config.styles_by_source.values()]
    used = {name: dict(style.PROMPTS) for name, style in STYLES.items() if any(table.get(name) for table in weights)}
    return used | ({"repair": dict(REPAIR_PROMPTS)} if config.repairs else {})


async def rewrite_passage(passage: Passage, config: RewriteConfig, ask: Ask) -> list[dict[str, Any]]:
    """Rewrite one passage: at least one Example row, kept or dropped, each id once.

    A style or check that fails on it costs this passage alone, as `style_failed` with the place of the fault; once that
    is mended, a rule of `onestage regenerate` has such passages made again. Where many that were asked about fail, the
    breaker stops the run.
    """
    if len(passage.text) > config.max_passage_chars:
        return [
            without_pair(passage, "passage_too_long", f"{len(passage.text)} > {config.max_passage_chars} characters")
        ]
    name = draw_style(passage, config)
    if name is None:
        return [without_pair(passage, "no_style", f"no style of the recipe fits lang {passage.lang}")]
    try:
        pairs = with_coverage(passage, await STYLES[name].write(passage, config, ask))
    except FAULTS as error:
        at = extract_tb(error.__traceback__)[-1]
        told = f"{name}: {type(error).__name__} in {Path(at.filename).name}:{at.lineno}: {error}"
        return [without_pair(passage, "style_failed", told[:300])]
    rows = [example_of(passage, pair) for pair in sorted(pairs, key=lambda pair: pair.reason is not None)]
    once = {row["id"]: row for row in reversed(rows)}  # the first of an id, which is a kept one if any is
    return [row for row in rows if once[row["id"]] is row] or [without_pair(passage, "no_pair", name)]


def draw_style(passage: Passage, config: RewriteConfig) -> StyleName | None:
    """Draw a passage's style by weight among those that fit it, from a hash of its id; None if none fits."""
    table: Mapping[StyleName, float] = config.styles_by_source.get(passage.source, config.styles)
    weights = {
        name: table.get(name, 0.0)
        for name, style in STYLES.items()
        if table.get(name) and style.applies(passage, config)
    }
    left = uniform(config.seed, "style", passage.id) * sum(weights.values())
    for name, weight in weights.items():
        left -= weight
        if left < 0:
            return name
    return next(reversed(weights), None)


def rewrite_stage(
    shards: Sequence[Shard],
    config: RewriteConfig,
    recipe: Recipe,
    cards: Sequence[SourceCard],
    directory: Path,
    progress: Meter,
    after_shard: Callable[[], None] = lambda: None,
    files: Mapping[str, Sequence[Path]] = MappingProxyType({}),
) -> None:
    """Rewrite the rows of all shards in order, `config.shard_passages` a part; parts that exist are not made again.

    Args:
        directory: an existing folder that receives the parts, in no fixed order of time.
        progress: advanced once a passage.
        after_shard: called when a part has been written.
        files: those that settings name; "regenerate" has the rules for what is asked again.

    Raises:
        RecipeError: no server, one that fails after all retries, text that may not leave, a journal in use.
        Stopped: at a limit of the recipe.
    """
    check_egress(recipe, cards)
    check_sources(config, recipe, cards)
    rules = read_rules(files.get("regenerate", ()))
    asyncio.run(_rewrite_all(shards, config, recipe, cards, directory, progress, after_shard, rules))


def check_egress(recipe: Recipe, cards: Sequence[SourceCard]) -> None:
    """Refuse endpoints outside private addresses where a card keeps its text local.

    Raises:
        RecipeError: such a card and such an endpoint are in the recipe.
    """
    local = [card.name for card in cards if card.form == "text" and card.egress == "local"]
    for url in recipe.run.base_urls:
        if local and not is_private(url):
            raise RecipeError(
                f'{recipe.path} [run] base_urls: got {url}, expected a private address: {local[0]} has egress = "local"'
            )


def check_sources(config: RewriteConfig, recipe: Recipe, cards: Sequence[SourceCard]) -> None:
    """See that the sources with styles of their own are in the recipe.

    Raises:
        RecipeError: one is not.
    """
    if unknown := set(config.styles_by_source) - {card.name for card in cards}:
        raise RecipeError(
            f"{recipe.path} [rewrite] styles_by_source: got {min(unknown)}, expected a source of the recipe"
        )


def pilot_documents(shards: Sequence[Shard], config: RewriteConfig) -> set[str] | None:
    """Choose `config.pilot` documents a source, those with the smallest hash; None where the recipe has no pilot."""
    if config.pilot is None:
        return None
    chosen: dict[str, dict[str, float]] = {}
    for shard in shards:
        documents = shard.read(["source", "document_id"]).group_by(["source", "document_id"]).aggregate([])
        for row in documents.to_pylist():
            drawn = chosen.setdefault(row["source"], {})
            drawn[row["document_id"]] = uniform(config.seed, "pilot", row["document_id"])
        for source, drawn in chosen.items():
            chosen[source] = dict(sorted(drawn.items(), key=lambda item: (item[1], item[0]))[: config.pilot])
    return {document for drawn in chosen.values() for document in drawn}


async def _rewrite_all(
    shards: Sequence[Shard],
    config: RewriteConfig,
    recipe: Recipe,
    cards: Sequence[SourceCard],
    directory: Path,
    progress: Meter,
    after_shard: Callable[[], None],
    rules: Sequence[Rule],
) -> None:
    pilot = pilot_documents(shards, config)
    open_parts = asyncio.Semaphore(OPEN_PARTS)

    async with (
        asking(config, recipe, lambda changed: check_egress(changed, cards)) as (ask, ledger, in_flight, live, retried),
        shown_live(ledger, progress, lambda: live.run, retried),
    ):

        async def rows_of(passage: Passage) -> list[dict[str, Any]]:
            try:
                if pilot is not None and passage.document_id not in pilot:
                    return [without_pair(passage, "not_in_pilot")]
                rows = await rewritten(passage, config, ask, rules, rewrite_passage)
                ledger.finished(passage.id, rows)
                return rows
            finally:
                progress.advance(1)
                in_flight.end()

        async def write(index: int, tasks: Sequence[asyncio.Task[list[dict[str, Any]]]]) -> None:
            rows = [row for task in tasks for row in await task]
            marked = pa.Table.from_pylist(rows, schema=marked_schema(EXAMPLE))
            await asyncio.to_thread(
                write_part, directory, index, marked, EXAMPLE, rows_in=len(tasks), keep_every_text=True
            )
            open_parts.release()
            after_shard()

        try:
            async with asyncio.TaskGroup() as group:
                following = group.create_task(live.follow())
                writing: list[asyncio.Task[None]] = []
                for index, passages in cut(shards, config.shard_passages):
                    if (directory / part_name(index)).exists():
                        progress.advance(passages.num_rows)
                        continue
                    await open_parts.acquire()
                    tasks = []
                    for row in passages.to_pylist():
                        await in_flight.begin()
                        tasks.append(group.create_task(rows_of(passage_of(row))))
                    writing = [task for task in writing if not task.done()]
                    writing.append(group.create_task(write(index, tasks)))
                await asyncio.gather(*writing)
                following.cancel()
        except BaseExceptionGroup as failed:
            raise first_of(failed) from None


def cut(shards: Sequence[Shard], size: int) -> Iterator[tuple[int, pa.Table]]:
    """Cut the rows of all shards, in order, into numbered tables of `size` rows; no rows make one empty table."""
    index, waiting = 0, []
    for shard in shards:
        waiting.append(shard.read())
        while sum(table.num_rows for table in waiting) >= size:
            whole = pa.concat_tables(waiting)
            yield index, whole.slice(0, size)
            index, waiting = index + 1, [whole.slice(size)]
    rest = pa.concat_tables(waiting) if waiting else pa.table({})
    if rest.num_rows or index == 0:
        yield index, rest


async def all_done(works: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Do all at one time and return what each gives, in order; the first error ends the others and is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work) for work in works]
    except BaseExceptionGroup as failed:
        raise first_of(failed) from None
    return [task.result() for task in tasks]


def first_of(failed: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first exception of a group that is no group."""
    error = failed.exceptions[0]
    return first_of(error) if isinstance(error, BaseExceptionGroup) else error
