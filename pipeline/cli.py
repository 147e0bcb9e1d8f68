"""The command line: choose a recipe and what to do with it. Settings live in recipes, never in flags."""

import argparse
import errno
import os
import shutil
import signal
import sqlite3
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import cast

from data_cards.cards import render_cards
from data_cards.course import schedule_report
from pipeline.clean import CleanConfig, clean_text
from pipeline.lexicon import advice, make_lexicon
from pipeline.line import read_line, train_directory
from pipeline.provenance import explain, trace
from pipeline.purge import purge_source
from pipeline.recipe import RecipeError, load_recipe
from pipeline.sample import sample, what_came
from pipeline.shards import (
    ContractError,
    is_complete,
    link_latest,
    only_run,
    read_manifest,
    shards_of,
    write_atomically,
)
from pipeline.stages import STAGE_NAMES, TABLES, Line, Step, run_line
from unify.accept import accept
from unify.budget import Stopped
from unify.forecast import forecast
from unify.judge import judge
from unify.rewrite import RewriteConfig
from unify.serve import serve_until_interrupted


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    2 where a person can mend what is wrong; 3 at a limit of [run.budget], 4 where the breaker asks for a person.
    """
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a polite end: what was started here is stopped
    try:
        options.command(options)
    except (RecipeError, ContractError) as error:
        print(f"onestage: {error}", file=sys.stderr)
        return 2
    except Stopped as stopped:
        print(f"onestage: stopped: {stopped}", file=sys.stderr)
        return stopped.code
    except MemoryError:
        print("onestage: out of memory; run the same command again to go on", file=sys.stderr)
        return 2
    except (OSError, sqlite3.OperationalError) as error:
        if isinstance(error, BrokenPipeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        if not _disk_is_full(error):
            raise
        print(f"onestage: the disk is full ({error}); free some and run the same command to go on", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("onestage: stopped; run the same command again to go on", file=sys.stderr)
        return 130
    return 0


def _disk_is_full(error: OSError | sqlite3.OperationalError) -> bool:
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return error.sqlite_errorname == "SQLITE_FULL"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="onestage", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(
        name: str, command: Callable[[argparse.Namespace], None], help: str, *names: str
    ) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=help, description=help)
        for argument in names:
            sub.add_argument(argument.lower(), metavar=argument)
        sub.set_defaults(command=command)
        return sub

    run = add("run", _run, "run the line of a recipe; what is complete is not made again", "RECIPE")
    run.add_argument("--through", default="pack", metavar="STAGE", help=f"the last stage: {', '.join(STAGE_NAMES)}")
    run.add_argument(
        "--dry-run", action="store_true", help="make the passages, then forecast from a sample what rewriting will cost"
    )
    add(
        "regenerate",
        _regenerate,
        "ask again for what the rules of [rewrite] regenerate name, and nothing else",
        "RECIPE",
    )
    add(
        "sample",
        _sample,
        "show some of the pairs made last, beside their passages, also while rewriting runs",
        "RECIPE",
    )
    add(
        "schedule",
        _schedule,
        "show the share of each kind as training goes on: expected, weighted by learning rate, and realised",
        "RECIPE",
    )
    add("show", _show, "print a recipe resolved: cards, settings, what is made", "RECIPE")
    for name, command, help in (
        ("ls", _ls, "list what is on disk"),
        ("gc", _gc, "list what no recipe made last; with --delete, remove it (never the journal or checkpoints)"),
    ):
        sub = add(name, command, help)
        sub.add_argument(
            "output", nargs="?", default="data", metavar="OUTPUT", help="a recipe's output folder; default data"
        )
        if name == "gc":
            sub.add_argument("--delete", action="store_true", help="remove what is listed")
            sub.add_argument("--purge", metavar="SOURCE", help="list all that holds text of a source, journal included")
    add("lexicon", _lexicon, "weigh the words of a seed corpus against a background into a lexicon", "RECIPE")
    add("cards", _cards, "render the data card from what is made so far", "RECIPE")
    add("explain", _explain, "lead a pair, passage or document back to its source and licence", "RECIPE", "ID")
    add("trace", _trace, "lead a document forward to its passages, pairs and training rows", "RECIPE", "ID")
    add(
        "accept", _accept, "try the model of a recipe on passages that ship with us, before a run is paid for", "RECIPE"
    )
    add("judge", _judge, "have a model judge a sample of the pairs, and measure the judge beside it", "RECIPE")
    add("launch", _launch, "print the commands that train a recipe on one machine or many", "RECIPE")
    add("chat", _chat, "talk to the model that a recipe trained", "RECIPE")
    add("serve", _serve, "start the model servers of a recipe and stay until interrupted", "RECIPE")
    return parser


def _run(options: argparse.Namespace) -> None:
    if options.dry_run:
        return _forecast(options)
    line = read_line(options.recipe, options.through)
    with only_run(line.recipe.output_folder):
        run_line(line, after_shard=_card_now_and_then(line))
    _render(line)


def _forecast(options: argparse.Namespace) -> None:
    line = read_line(options.recipe, "rewrite")
    step = _rewriting(line)
    with only_run(line.recipe.output_folder):
        run_line(replace(line, steps=tuple(before for before in line.steps if before is not step)))
        shards = [shard for before in step.inputs["rows"] for shard in shards_of(before.directory)]
        forecast(shards, cast(RewriteConfig, step.config), line.recipe, line.cards, step.directory)


def _regenerate(options: argparse.Namespace) -> None:
    line = read_line(options.recipe, "rewrite")
    step = _rewriting(line)
    if not step.files.get("regenerate"):
        raise RecipeError(f"{line.recipe.path} [rewrite] regenerate: got no file, expected one with [[rule]] tables")
    with only_run(line.recipe.output_folder):
        run_line(line, after_shard=_card_now_and_then(line))
    print(what_came(step.directory))
    _render(line)


def _sample(options: argparse.Namespace) -> None:
    line = read_line(options.recipe, "rewrite")
    print(sample(_rewriting(line).directory, _made(line)), end="")


def _rewriting(line: Line) -> Step:
    step = next((step for step in line.steps if step.stage.name == "rewrite"), None)
    if step is None:
        raise RecipeError(
            f"{line.recipe.path}: got sources of ready-made pairs alone, expected one with text to rewrite"
        )
    return step


def _schedule(options: argparse.Namespace) -> None:
    line = read_line(options.recipe)
    text, picture = schedule_report(line, train_directory(line))
    path = line.recipe.cards_folder / line.recipe.name / "schedule.svg"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, picture)
    print(f"{text}picture: {path}")


def _show(options: argparse.Namespace) -> None:
    line = read_line(options.recipe)
    print(f"recipe {line.recipe.name} ({line.recipe.path}), output {line.recipe.output_folder}")
    for card in line.cards:
        print(f"source {card.name}: {card.kind}, {card.form}, {card.licence}, {card.path}")
    for table, config in line.configs.items():
        print(f"\n[{table}]")
        for name, value in config.model_dump(mode="json").items():
            print(f"{name} = {value!r}")
    print()
    for step in line.steps:
        print(f"{step.label}: {step.directory} ({'complete' if is_complete(step.directory) else 'to do'})")
    print(f"train: {train_directory(line)} ({'complete' if is_complete(train_directory(line) / 'hf') else 'to do'})")


def _ls(options: argparse.Namespace) -> None:
    needed = _needed(Path(options.output))
    for directory in _directories(Path(options.output)):
        if is_complete(directory):
            manifest = read_manifest(directory)
            rows = f"{manifest['rows_out']:>10,} rows, {len(manifest['shards']):>4} shards"
        else:
            rows = "unfinished"
        print(
            f"{directory}  {rows}, {_bytes(directory):,} bytes{'' if directory.resolve() in needed else ', unneeded'}"
        )


def _gc(options: argparse.Namespace) -> None:
    output = Path(options.output)
    needed = _needed(output)
    if options.purge:
        with only_run(output):
            purge_source(output, options.purge, delete=options.delete)
        return
    unneeded = [directory for directory in _directories(output) if directory.resolve() not in needed]
    with only_run(output):
        for directory in unneeded:
            print(f"{'removed' if options.delete else 'unneeded'} {directory}, {_bytes(directory):,} bytes")
            if options.delete:
                shutil.rmtree(directory)
    if unneeded and not options.delete:
        print("nothing was removed; to remove these: onestage gc --delete")


def _lexicon(options: argparse.Namespace) -> None:
    made = make_lexicon(load_recipe(options.recipe, TABLES))
    for lang, (share, number) in made.accuracy.items():
        print(f"{lang}: {share:.3f} of {number:,} held-out passages told right")
    print(f"lexicon: {made.path}, {made.num_terms:,} terms; it goes with\n{advice(made)}")


def _cards(options: argparse.Namespace) -> None:
    _render(read_line(options.recipe))


def _explain(options: argparse.Namespace) -> None:
    line = read_line(options.recipe)
    clean = partial(clean_text, config=cast(CleanConfig, line.configs["clean"]))
    print(explain(line.recipe, _made(line), line.cards, options.id, clean=clean, batch_rows=_batch_rows(line)), end="")


def _trace(options: argparse.Namespace) -> None:
    line = read_line(options.recipe)
    print(trace(line.recipe, _made(line), options.id, batch_rows=_batch_rows(line)), end="")


def _accept(options: argparse.Namespace) -> None:
    line = read_line(options.recipe, through="collect")
    with only_run(line.recipe.output_folder):
        accept(cast(RewriteConfig, line.configs["rewrite"]), line.recipe)


def _judge(options: argparse.Namespace) -> None:
    line = read_line(options.recipe, "rewrite")
    step = _rewriting(line)
    with only_run(line.recipe.output_folder):
        judge(cast(RewriteConfig, step.config), line.recipe, line.cards, step.directory, _made(line))


def _serve(options: argparse.Namespace) -> None:
    line = read_line(options.recipe, through="collect")
    serve_until_interrupted(line.recipe, str(line.configs["rewrite"].model_dump()["model"]))


def _launch(options: argparse.Namespace) -> None:
    from training.launch import describe_launches  # torch takes seconds to import

    print(describe_launches(read_line(options.recipe).recipe), end="")


def _chat(options: argparse.Namespace) -> None:
    from training.chat import chat_in_terminal  # torch takes seconds to import

    chat_in_terminal(train_directory(read_line(options.recipe)) / "hf")


def _card_now_and_then(line: Line, every: float = 60.0) -> Callable[[], None]:
    """Render the card when a shard was published, at most every so many seconds."""
    last = time.monotonic()

    def render() -> None:
        nonlocal last
        if time.monotonic() - last >= every:
            _render(line)
            last = time.monotonic()

    return render


def _render(line: Line) -> None:
    path = render_cards(line.recipe, _made(line), line.cards)
    link_latest(line.recipe.output_folder, line.recipe.name, "card", path.parent)  # where gc --purge looks for it
    print(f"card: {path}", flush=True)


def _made(line: Line) -> dict[str, list[Path]]:
    """Stage name -> those of its directories that exist; a rewriting under way is among them."""
    made = {name: [path for path in paths if path.exists()] for name, paths in line.directories().items()}
    if line.steps[-1].stage.name == "pack":
        made["train"] = [path for path in [train_directory(line)] if path.exists()]
    return made


def _batch_rows(line: Line) -> int:
    return int(line.configs["train"].model_dump()["batch_rows"])


def _directories(output: Path) -> list[Path]:
    """List the stage directories below an output folder, finished or not; training runs are not among them."""
    return sorted(path for name in STAGE_NAMES for path in (output / name).glob("*") if path.is_dir()) + sorted(
        path for name in STAGE_NAMES for path in (output / name).glob(".*") if path.is_dir()
    )


def _needed(output: Path) -> set[Path]:
    if not output.is_dir():
        raise RecipeError(f"{output}: no such folder, expected a recipe's output folder")
    return {link.resolve() for link in (output / "latest").rglob("*") if link.is_symlink()}


def _bytes(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


if __name__ == "__main__":
    sys.exit(main())
