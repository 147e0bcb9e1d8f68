"""Find rows by id in a recipe's stage directories, and what became of them.

Reads parts and dropped rows; writes nothing. One row group is in memory at a time, so memory does not grow with the
corpus; a directory that is not published yet is read as far as it goes.
"""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.shards import hidden, parts_of

Row = dict[str, Any]
Stages = Mapping[str, Sequence[Path]]  # stage -> its directories: one a source, or one or two for all
Matches = Callable[[pa.ChunkedArray], pa.ChunkedArray]  # a column of N values -> (N,) booleans


@dataclass(frozen=True)
class Found:
    """A Document, Passage or Example as it last stood: kept by `stage`, or dropped there for a reason."""

    id: str
    source: str
    stage: str
    row: Row | None  # None: dropped, and not among those stored whole
    reason: str = ""
    detail: str = ""


def find_document(stages: Stages, id: str) -> Found | None:
    """Find a Document by its id."""
    collected = [folder for folder in _of_source(stages, "collect", id) if not holds_pairs(folder)]
    own = [(stage, _of_source(stages, stage, id)) for stage in ("filter", "boilerplate")]
    return follow([("collect", collected), *own], "id", one_of([id])).get(id)


def find_passage(stages: Stages, id: str) -> Found | None:
    """Find a Passage by its id."""
    return follow(_passage_steps(stages, id), "id", one_of([id])).get(id)


def find_pair(stages: Stages, id: str) -> Found | None:
    """Find an Example by its id."""
    own = [
        (stage, [folder for folder in stages.get(stage, ()) if holds_pairs(folder)]) for stage in ("collect", "clean")
    ]
    return follow([*own, ("dedup", ready_dirs(stages)), *_pair_steps(stages)], "id", one_of([id])).get(id)


def passages_of(stages: Stages, document_id: str) -> list[Found]:
    """List a document's passages, kept and dropped, in the document's order."""
    found = follow(_passage_steps(stages, document_id), "id", lambda ids: pc.starts_with(ids, f"{document_id}#"))
    return sorted(found.values(), key=lambda passage: ((passage.row or {}).get("start", 0), passage.id))


def pairs_of(stages: Stages, passage_ids: Sequence[str], within: str) -> list[Found]:
    """List the pairs of passages, kept and rejected, in the passages' order.

    Args:
        within: text that all of the passage ids begin with; rejected pairs without it are not parsed.
    """
    folders, wanted = stages.get("rewrite", ()), set(passage_ids)
    passage_of = {
        row["id"]: row["passage_id"]
        for row in rows_where(parts(folders), "passage_id", one_of(wanted), ["id", "passage_id"])
    }
    quoted = json.dumps(within, ensure_ascii=False)[1:-1]
    for row in rows_where(dropped_parts(folders), "row", lambda rows: pc.match_substring(rows, quoted)):
        if (passage_id := json.loads(row["row"])["passage_id"]) in wanted:
            passage_of[row["id"]] = passage_id
    found = follow(_pair_steps(stages), "id", one_of(passage_of))
    rank = {id: place for place, id in enumerate(passage_ids)}
    return [found[id] for id in sorted(passage_of, key=lambda id: (rank[passage_of[id]], id))]


def follow(steps: Iterable[tuple[str, Sequence[Path]]], column: str, matches: Matches) -> dict[str, Found]:
    """Follow rows through stages, first to last; a row dropped without its text keeps that of the stage before."""
    found: dict[str, Found] = {}
    for stage, folders in steps:
        if stage != "encode":  # its rows are tokens, no Examples
            for row in rows_where(parts(folders), column, matches):
                found[row["id"]] = Found(row["id"], row["source"], stage, row)
        for row in rows_where(dropped_parts(folders), column, matches):
            before = found.get(row["id"])
            whole = json.loads(row["row"]) if row["row"] else before.row if before else None
            found[row["id"]] = Found(row["id"], row["source"], stage, whole, row["reason"], row["detail"] or "")
    return found


def rows_where(
    paths: Iterable[Path], column: str, matches: Matches, columns: Sequence[str] | None = None
) -> Iterator[Row]:
    """Read the rows of Parquet files whose column matches, in order; row groups without a match are not read whole."""
    for path in paths:
        with pq.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                hits = matches(file.read_row_group(group, [column])[column])
                if pc.any(hits).as_py():
                    yield from file.read_row_group(group, columns).filter(hits).to_pylist()


def one_of(ids: Collection[str]) -> Matches:
    """Match a column of ids against some."""
    wanted = pa.array(sorted(ids), pa.string())
    return lambda column: pc.is_in(column, value_set=wanted)


def opened(directory: Path) -> Path:
    """Return where a stage directory's parts are: under its name, or still under its hidden one."""
    return directory if directory.exists() else hidden(directory)


def parts(directories: Iterable[Path]) -> list[Path]:
    """List the parts that directories hold so far, in order."""
    return [part for directory in directories for part in parts_of(opened(directory))]


def dropped_parts(directories: Iterable[Path]) -> list[Path]:
    """List the dropped rows beside those parts, in order; they are written first, so one may wait for its part."""
    return [part.with_name(part.name.replace("part-", "dropped-")) for part in parts(directories)]


def holds_pairs(directory: Path) -> bool:
    """Tell whether a directory's rows are Examples."""
    return any("messages" in pq.read_schema(part).names for part in parts([directory])[:1])


def text_dirs(stages: Stages) -> list[Path]:
    """List the dedup directories that hold the passages which are rewritten."""
    return [directory for directory in stages.get("dedup", ()) if not holds_pairs(directory)]


def ready_dirs(stages: Stages) -> list[Path]:
    """List the dedup directories that hold ready-made pairs."""
    return [directory for directory in stages.get("dedup", ()) if holds_pairs(directory)]


def source_of(directory: Path) -> str:
    """Name the source of a per-source directory, `<source>-<key>`; empty for one that is named by its key alone."""
    return directory.name.removeprefix(".").rpartition("-")[0]


def _passage_steps(stages: Stages, id: str) -> list[tuple[str, Sequence[Path]]]:
    own = [(stage, _of_source(stages, stage, id)) for stage in ("segment", "clean", "select")]
    return [*own, ("dedup", text_dirs(stages))]


def _pair_steps(stages: Stages) -> list[tuple[str, Sequence[Path]]]:
    return [(stage, stages.get(stage, ())) for stage in ("rewrite", "mix", "encode")]


def _of_source(stages: Stages, stage: str, id: str) -> list[Path]:
    """Narrow a per-source stage to the source that a document's or passage's id begins with."""
    folders = list(stages.get(stage, ()))
    return [folder for folder in folders if source_of(folder) == id.partition("/")[0]] or folders
