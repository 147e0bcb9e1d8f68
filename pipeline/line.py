"""Lay out a recipe: its cards, every stage's settings, and the steps to be made, each with its key.

`key` hashes what can change a step's rows and nothing else: stage and version, settings that differ from their default,
the text of prompts, the content of every file that is named, and the keys of the inputs. [run] and [serve] are no part.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from pipeline.collect import card_settings
from pipeline.dedup import DedupConfig
from pipeline.recipe import Config, Recipe, RecipeError, SourceCard, load_cards, load_recipe, read_table
from pipeline.shards import file_sha256, is_complete, write_atomically
from pipeline.sources import is_hub, source_files
from pipeline.stages import PAIRS, STAGE_NAMES, STAGES, TABLES, TEXT, Line, Stage, Step
from pipeline.worklist import CollectConfig
from training.config import UNHASHED, TrainConfig
from unify.rewrite import RewriteConfig, prompts_of
from unify.weights import ensure_model

# Two settings that must agree are one: the second is where the first takes its value from.
SHARED = {
    ("select", "languages"): ("filter", "languages"),
    ("select", "lexicons"): ("filter", "lexicons"),
    ("dedup", "ngram"): ("sketch", "ngram"),
    ("segment", "tokenizer"): ("train", "model"),
    ("dedup", "normalise"): ("sketch", "normalise"),
    ("mix", "exams"): ("dedup", "exams"),
    ("mix", "min_contained"): ("dedup", "min_contained"),
    ("mix", "min_jaccard"): ("dedup", "min_jaccard"),
    ("mix", "ngram"): ("sketch", "ngram"),
    ("mix", "normalise"): ("sketch", "normalise"),
    ("encode", "tokenizer"): ("train", "model"),
    ("encode", "chat_template"): ("train", "chat_template"),
    ("pack", "row_tokens"): ("encode", "max_tokens"),
}

IN_INPUTS = ("against",)  # settings that inputs stand for, by their keys


def read_line(path: str | Path, through: str = "pack", above: tuple[Path, ...] = ()) -> Line:
    """Read a recipe and lay out its steps through a stage.

    Args:
        above: the recipes that name this one in [dedup] against.

    Raises:
        RecipeError: a mistake in the recipe, a card, or a file that they name.
    """
    recipe = load_recipe(path, TABLES)
    if through not in STAGE_NAMES:
        raise RecipeError(f"--through: got {through!r}, expected one of {', '.join(STAGE_NAMES)}")
    cards = tuple(load_cards(recipe))
    configs = read_configs(recipe)
    names = STAGE_NAMES[: STAGE_NAMES.index(through) + 1]
    earlier = _kept_before(recipe, configs, above) if "dedup" in names else {}
    steps = _steps(recipe, cards, configs, names, earlier)
    _remember_hashes(recipe)
    return Line(recipe, cards, configs, steps)


def read_configs(recipe: Recipe) -> dict[str, Config]:
    """Validate every table of a recipe with its stage's Config.

    Raises:
        RecipeError: an unknown key, a value out of range, or a setting that is taken from another table.
    """
    types: dict[str, type[Config]] = {stage.name: stage.config for stage in STAGES} | {"train": TrainConfig}
    written = {name: dict(recipe.tables.get(name, {})) for name in types}
    for (table, name), (from_table, from_name) in SHARED.items():
        if name in written[table]:
            raise RecipeError(
                f"{recipe.path} [{table}] {name}: got a value, expected it in [{from_table}] {from_name} alone"
            )
        default = types[from_table].model_fields[from_name].get_default()
        written[table][name] = written[from_table].get(from_name, default)
    for table, config in types.items():
        for name in ("seed", "pilot"):
            if name in written[table] and name in config.model_fields:
                raise RecipeError(
                    f"{recipe.path} [{table}] {name}: got a value, expected it at the top of the recipe alone"
                )
            if name in config.model_fields:
                written[table][name] = getattr(recipe, name)
    return {table: read_table(recipe, table, config, written[table]) for table, config in types.items()}


def train_directory(line: Line) -> Path:
    """Name the directory of a recipe's training run: data/train/<key>."""
    config = cast(TrainConfig, line.configs["train"])
    model = _model_identity(line.recipe, config.model)
    settings = config.model_dump(mode="json", exclude_defaults=True, exclude={"model", "chat_template", *UNHASHED})
    key = _hash({"stage": "train", "settings": settings, "model": model, "inputs": [line.step("pack").key]})
    return line.recipe.output_folder / "train" / key


Inputs = Mapping[str, tuple[Step, ...]]


def _kept_before(recipe: Recipe, configs: Mapping[str, Config], above: tuple[Path, ...]) -> dict[str, Inputs]:
    """Return, by form, what the recipes of [dedup] against kept: their dedup and sketch steps, and theirs in turn.

    Raises:
        RecipeError: such a recipe is not there, not finished, sketched otherwise, or leads back to this one.
    """
    found: dict[str, dict[str, tuple[Step, ...]]] = {}
    for name in cast(DedupConfig, configs["dedup"]).against:
        path, where = recipe.resolve(name), f"{recipe.path} [dedup] against"
        if path.resolve() in (recipe.path.resolve(), *above):
            raise RecipeError(f"{where}: got {path}, which leads back to itself, expected an earlier recipe")
        if not path.is_file():
            raise RecipeError(f"{where}: got {path}, expected a recipe that exists")
        line = read_line(path, "dedup", (*above, recipe.path.resolve()))
        if line.configs["sketch"] != configs["sketch"]:
            raise RecipeError(f"{where}: got {path} with other [sketch] settings or seed, expected the same in both")
        for step in line.steps:
            if step.stage.name != "dedup":
                continue
            if unfinished := [need for need in (*step.inputs["sketch"], step) if not is_complete(need.directory)]:
                raise RecipeError(
                    f"{where}: got {path}, whose {unfinished[0].label} is not made, expected a finished run; "
                    f"first: onestage run {path} --through dedup"
                )
            into = found.setdefault(step.form, {"kept": (), "kept_sketch": ()})
            for input, own in (("kept", (step,)), ("kept_sketch", step.inputs["sketch"])):
                known = {before.directory for before in into[input]}
                together = (*step.inputs.get(input, ()), *own)
                into[input] += tuple(before for before in together if before.directory not in known)
    return dict(found)


def _steps(
    recipe: Recipe,
    cards: Sequence[SourceCard],
    configs: Mapping[str, Config],
    names: Sequence[str],
    earlier: Mapping[str, Inputs],
) -> tuple[Step, ...]:
    """Lay out the steps of the named stages; the inputs of each stand before it."""
    stages = {stage.name: stage for stage in STAGES}
    steps: list[Step] = []

    def of(name: str, form: str) -> tuple[Step, ...]:
        return tuple(step for step in steps if step.stage.name == name and step.form == form)

    def add(
        name: str, part: str, form: str, inputs: Mapping[str, tuple[Step, ...]], card: SourceCard | None = None
    ) -> None:
        if name in names:
            steps.append(_step(recipe, stages[name], part, form, configs[name], inputs, card))

    for name in ("collect", "filter", "boilerplate", "segment", "clean", "select", "sketch"):
        for card in cards:
            if card.form in stages[name].writes:
                before = tuple(step for step in steps if step.part == card.name)[-1:]
                add(name, card.name, card.form, {"rows": before} if before else {}, card)
    for form in (TEXT, PAIRS):
        if sketches := of("sketch", form):
            rows = tuple(before for sketch in sketches for before in sketch.inputs["rows"])
            add("dedup", form, form, {"sketch": sketches, "rows": rows, **earlier.get(form, {})})
    if of("dedup", TEXT):
        add("rewrite", "", TEXT, {"rows": of("dedup", TEXT)})
    add("mix", "", "", {"rewrite": of("rewrite", TEXT), "pairs": of("dedup", PAIRS)})
    add("encode", "", "", {"rows": of("mix", "")})
    add("prioritize", "", "", {"encode": of("encode", "")})
    add("pack", "", "", {"prioritize": of("prioritize", ""), "encode": of("encode", "")})
    return tuple(steps)


def _step(
    recipe: Recipe,
    stage: Stage,
    part: str,
    form: str,
    config: Config,
    inputs: Mapping[str, tuple[Step, ...]],
    card: SourceCard | None,
) -> Step:
    settings = config.model_dump(mode="json")
    if "tokenizer" in settings and settings["max_tokens"] is None:
        settings["tokenizer"] = None  # nothing is counted in tokens, so that the model may change
    files = {name: _setting_files(recipe, stage, name, settings[name]) for name in stage.files}
    identity: dict[str, Any] = {
        "stage": stage.name,
        "version": stage.version,
        "settings": config.model_dump(mode="json", exclude_defaults=True, exclude={*stage.files, *IN_INPUTS}),
        "files": {name: [_content(recipe, path) for path in paths] for name, paths in files.items() if paths},
        "inputs": {name: [step.key for step in steps] for name, steps in inputs.items()},
    }
    if stage.over == "cards" and card is not None:
        identity["card"] = card_settings(card)
        identity["sources"] = _source_content(recipe, card, cast(CollectConfig, config))
    if stage.over == "stream":
        identity["prompts"] = prompts_of(cast(RewriteConfig, config))
    key = _hash(identity)
    directory = recipe.output_folder / stage.name / (f"{part}-{key}" if part and stage.over != "stream" else key)
    return Step(stage, part, form, config, inputs, key, directory, files, card)


def _setting_files(recipe: Recipe, stage: Stage, name: str, value: str | Sequence[str] | None) -> tuple[Path, ...]:
    """Resolve the files of a setting; the embedded model and local folders come out as folders."""
    if value is None:
        return ()
    if name == "tokenizer":
        return (Path(ensure_model(str(value), recipe)),)
    paths = tuple(recipe.resolve(path) for path in ([value] if isinstance(value, str) else value))
    for path in paths:
        if not path.exists():
            raise RecipeError(f"{recipe.path} [{stage.name}] {name}: got {path}, expected a file that exists")
    return paths


TOKENIZER_FILES = ("*token*", "vocab*", "merges*", "chat_template*", "*.model", "added_tokens*")


def _content(recipe: Recipe, path: Path) -> Any:
    """Return what stands for a file or a folder's tokenizer in a key; a hub name stands for itself."""
    if path.is_dir():
        names = sorted({found for pattern in TOKENIZER_FILES for found in path.glob(pattern) if found.is_file()})
        return {found.name: _cached_sha256(recipe, found) for found in names}
    return _cached_sha256(recipe, path) if path.exists() else str(path)


def _model_identity(recipe: Recipe, name: str) -> Any:
    path = Path(ensure_model(name, recipe))
    if not path.is_dir():
        return name
    return {found.name: _cached_sha256(recipe, found) for found in sorted(path.iterdir()) if found.is_file()}


def _source_content(recipe: Recipe, card: SourceCard, config: CollectConfig) -> list[Any]:
    """Return what stands for a source's files in a key: their names, sizes and hashes, or why there is no file."""
    if is_hub(card):
        return [card.path]
    files = source_files(card, recipe.cards_folder, recipe.output_folder / "cache", config.max_fetched_bytes)
    return [
        (file.name, str(file.refused))
        if file.path is None
        else (file.name, file.path.stat().st_size, _cached_sha256(recipe, file.path))
        for file in files
    ]


_SHA256: dict[Path, dict[str, str]] = {}  # cache file -> "path:size:mtime" -> sha256


def _hash_cache(recipe: Recipe) -> Path:
    return recipe.output_folder / "cache" / "sha256.json"


def _cached_sha256(recipe: Recipe, path: Path) -> str:
    """Hash a file, or remember its hash from the time it had this size and time of change."""
    cache = _hash_cache(recipe)
    known = _SHA256.setdefault(cache, json.loads(cache.read_text()) if cache.exists() else {})
    stat = path.stat()
    name = f"{path}:{stat.st_size}:{stat.st_mtime_ns}"
    if name not in known:
        known[name] = file_sha256(path)
    return known[name]


def _remember_hashes(recipe: Recipe) -> None:
    if known := _SHA256.get(_hash_cache(recipe)):
        _hash_cache(recipe).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(_hash_cache(recipe), json.dumps(known))


def _hash(identity: Mapping[str, Any]) -> str:
    text = json.dumps(identity, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
