"""Remove a source from an output folder: every file there that holds its text, an id of it, or a model's words on it.

Stage directories of the source go, and those of the whole corpus that hold one of its rows, kept or dropped, finished
or not; a scratch folder cannot be read, so an unfinished one goes too. Then the journal's responses to its passages,
its fetched files, the generated cards of recipes that had it, and the links that led there. Directories of other
sources stay, and so does what the journal knows of them: the next run makes again what is missing and nothing else.

Training runs stay and are named. Files that people wrote are theirs: the source itself, its card, recipes, verdicts.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.lookup import source_of
from pipeline.recipe import RecipeError
from pipeline.shards import write_atomically
from unify.journal import forget, responses_about

OF_ALL_SOURCES = ("", "text", "pairs")  # what directories of the whole corpus have where others have a source
NO_STAGES = ("cache", "latest", "models", "train")  # folders below an output folder that hold no stage directories


@dataclass(frozen=True)
class Remains:
    """What an output folder holds of a source."""

    directories: tuple[Path, ...]  # stage directories
    unreadable: tuple[Path, ...]  # unfinished ones of the whole corpus with a scratch folder: nobody can tell
    files: tuple[Path, ...]  # generated cards, verdicts of a judge, logs of servers
    cached: tuple[Path, ...]  # fetched files and data sets
    responses: tuple[str, ...]  # request hashes in the journal
    trained: tuple[Path, ...]  # training runs that saw it; they are never removed

    def __bool__(self) -> bool:
        return bool(self.directories or self.files or self.cached or self.responses or self.trained)


def purge_source(output: Path, source: str, *, delete: bool, say: Callable[[str], None] = print) -> None:
    """List what an output folder holds of a source, and remove it if `delete` says so. The caller holds the folder.

    Raises:
        RecipeError: nothing of it is there, or another process owns the journal.
    """
    remains = find_remains(output, source)
    if not remains:
        raise RecipeError(f"{output}: got source {source!r}, expected one that this folder holds something of")
    verb = "removed" if delete else f"holds {source}:"
    for path in (*remains.directories, *remains.unreadable, *remains.cached, *remains.files):
        size = path.stat().st_size if path.is_file() else sum(one.stat().st_size for one in path.rglob("*"))
        if delete:
            path.unlink() if path.is_file() else shutil.rmtree(path)
        say(f"{verb} {path}, {size:,} bytes")
    if remains.responses:
        if delete:
            forget(_journal(output), remains.responses)
        say(f"{verb} {_journal(output)}, {len(remains.responses):,} responses")
    if delete:
        _forget_hashes(output, source)
        _remove_dead_links(output / "latest")
    for path in remains.trained:
        say(f"kept {path}: trained on {source}; what it learned cannot be taken out, remove the run by hand")
    if not delete:
        say(f"nothing was removed; to remove this: onestage gc --purge {source} {output} --delete")


def find_remains(output: Path, source: str) -> Remains:
    """Find what an output folder holds of a source, by the names of directories, their rows, and the journal."""
    stages = [path for path in sorted(output.iterdir()) if path.is_dir() and path.name not in NO_STAGES]
    directories = [path for stage in stages for path in sorted(stage.iterdir()) if path.is_dir()]
    held = [path for path in directories if holds(path, source)]
    scratch = [path for path in directories if (path / "scratch").exists() and source_of(path) in OF_ALL_SOURCES]
    files = [page for folder in sorted((output / "latest").glob("*/card")) for page in _pages(folder, source)]
    cached = [
        path for path in (output / "cache" / "remote" / source, output / "cache" / "hub" / source) if path.exists()
    ]
    responses = responses_about(_journal(output), source, lambda: _requests_of_others(output, source))
    judged = [path for path in sorted(output.glob("judge-*.jsonl")) if source.encode() in path.read_bytes()]
    logs = sorted(output.glob("server*.log"))  # a server may quote a prompt
    return Remains(
        tuple(held),
        tuple(path for path in scratch if path not in held),
        (*files, *judged, *(logs if held else [])),
        tuple(cached),
        tuple(responses),
        tuple(path.parent for path in sorted((output / "train").glob("*/metrics.jsonl")) if _saw(path, source)),
    )


def holds(directory: Path, source: str) -> bool:
    """Tell whether a stage directory, finished or not, is of a source or has rows of it, or has parts that break."""
    if source_of(directory) == source:
        return True
    try:
        return any(_has_rows(part, source) for part in _parts(directory))
    except (pa.ArrowException, OSError):
        return True


def _parts(directory: Path) -> list[Path]:
    return sorted([*directory.glob("part-*.parquet"), *directory.glob("dropped-*.parquet")])


def _has_rows(part: Path, source: str) -> bool:
    """Tell whether a part has rows of a source, by `source` or `sources`, or drops that name such a row."""
    with pq.ParquetFile(part) as file:
        names = [name for name in ("source", "sources", "detail") if name in file.schema_arrow.names]
        for group in range(file.num_row_groups if names else 0):
            rows = file.read_row_group(group, names)
            values = pc.list_flatten(rows["sources"]) if "sources" in names else rows["source"]
            if pc.any(pc.equal(values, source)).as_py():
                return True
            if "detail" in names and pc.any(pc.match_substring(rows["detail"], f"{source}/")).as_py():
                return True
    return False


def _requests_of_others(output: Path, source: str) -> Iterator[str]:
    """Yield the requests that pairs of other sources were made by, kept and rejected."""
    for part in (part for directory in sorted((output / "rewrite").glob("*")) for part in _parts(directory)):
        with pq.ParquetFile(part) as file:
            for group in range(file.num_row_groups):
                for row in file.read_row_group(group).to_pylist():
                    if row["source"] != source:
                        whole = json.loads(row["row"]) if row.get("row") else row
                        yield from (made["request"] for made in whole.get("made_by") or ())


def _pages(folder: Path, source: str) -> list[Path]:
    """List the generated pages of a recipe's card, if one of them names a source."""
    pages = sorted([*folder.glob("README.md"), *folder.glob("*.html")])
    return pages if any(source.encode() in page.read_bytes() for page in pages) else []


def _saw(metrics: Path, source: str) -> bool:
    """Tell whether a training run took loss on a source."""
    with metrics.open(encoding="utf-8") as lines:
        return any(
            json.loads(line).get("targets_by_source", {}).get(source, 0) > 0 for line in lines if line.endswith("\n")
        )


def _forget_hashes(output: Path, source: str) -> None:
    """Take the names of a source's fetched files out of the cache of hashes."""
    hashes, fetched = output / "cache" / "sha256.json", str(output / "cache" / "remote" / source) + "/"
    if hashes.exists():
        known = json.loads(hashes.read_text(encoding="utf-8"))
        write_atomically(hashes, json.dumps({name: sha for name, sha in known.items() if fetched not in name}))


def _remove_dead_links(latest: Path) -> None:
    for link in sorted(latest.rglob("*")):
        if link.is_symlink() and not link.exists():
            link.unlink()


def _journal(output: Path) -> Path:
    return output / "journal.sqlite"
