"""The only module that touches stage directories: read and write parts, manifests, publish whole or not at all.

    <stage directory>/part-00000.parquet      one record type, zstd
                      dropped-00000.parquet   id, source, reason, detail of every dropped row; some whole, as JSON
                      manifest.json           what made it and what came out

A directory is written under a hidden name (a leading dot) and renamed once its manifest is in it, so one that exists
under its own name is complete. A part is written whole or not at all, behind its dropped rows, and carries its counts
in its Parquet metadata: what a killed run left is found again by the presence of the part.
"""

import fcntl
import hashlib
import heapq
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.recipe import RecipeError
from pipeline.records import text_hash

DROPPED = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("detail", pa.string()),
        pa.field("row", pa.string()),
    ]
)
ROOM = 4  # a stage writes its rows and its evidence, and dedup its scratch: shingles are larger than compressed text
KEPT_TEXTS = 100  # whole dropped rows kept for each reason of a shard, the smallest by hash of their id


class ContractError(Exception):
    """Data breaks the contract on disk (ARCHITECTURE.md); nothing of it is published."""


@dataclass(frozen=True)
class Shard:
    """One part of a finished stage: N rows of its record."""

    path: Path
    num_rows: int

    def read(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Read the shard's N rows, or only some columns of them."""
        return pq.read_table(self.path, columns=list(columns) if columns is not None else None, partitioning=None)


@dataclass(frozen=True)
class Written:
    """What writing one part came to."""

    rows_in: int
    rows_out: int
    dropped: dict[str, dict[str, int]]  # source -> reason -> rows
    kept: dict[str, int]  # source -> rows
    figures: dict[str, int] = field(default_factory=dict)  # what the stage says of its rows: sums; `_max`, maxima


def part_name(index: int) -> str:
    """Name the part of an index."""
    return f"part-{index:05d}.parquet"


def hidden(directory: Path) -> Path:
    """Name the directory in which a stage works before it is published."""
    return directory.with_name("." + directory.name)


def is_complete(directory: Path) -> bool:
    """Tell whether a stage directory was published."""
    return (directory / "manifest.json").is_file()


def read_manifest(directory: Path) -> dict[str, Any]:
    """Read a published directory's manifest.

    Raises:
        ContractError: there is none, or it is not JSON.
    """
    try:
        manifest: dict[str, Any] = json.loads((directory / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise ContractError(f"{directory}: no readable manifest.json: {error}") from None
    return manifest


def shards_of(directory: Path) -> list[Shard]:
    """List a published directory's shards in order."""
    return [Shard(directory / part["name"], part["rows"]) for part in read_manifest(directory)["shards"]]


def parts_of(directory: Path) -> list[Path]:
    """List the parts that a directory holds so far, in order."""
    return sorted(directory.glob("part-*.parquet"))


def dropped_of(directory: Path) -> Iterator[pa.Table]:
    """Read a directory's dropped rows, one table a shard."""
    for path in sorted(directory.glob("dropped-*.parquet")):
        yield pq.read_table(path, partitioning=None)


def write_part(
    directory: Path, index: int, marked: pa.Table, record: pa.Schema, *, rows_in: int, keep_every_text: bool = False
) -> Written:
    """Write the kept rows of a marked table as one part, and what was dropped beside it.

    Args:
        marked: N rows of the record plus `drop_reason` and `drop_detail`; `figures` in its schema's metadata, as JSON.
        rows_in: input rows that these N rows account for.
        keep_every_text: keep all dropped rows whole, not only KEPT_TEXTS a reason.

    Raises:
        ContractError: the columns are not exactly the record's, or an id appears twice.
    """
    reasons = marked["drop_reason"]
    kept = marked.filter(pc.is_null(reasons)).drop_columns(["drop_reason", "drop_detail"])
    if not kept.schema.equals(record, check_metadata=False):
        raise ContractError(f"{directory.name}/{part_name(index)}: got columns {kept.schema}, expected {record}")
    kept = _without_nulls(kept.cast(record), directory, index)
    dropped = marked.filter(pc.is_valid(reasons))
    written = Written(
        rows_in=rows_in,
        rows_out=kept.num_rows,
        dropped=_count_drops(dropped),
        kept=_count(kept, "source"),
        figures=json.loads((marked.schema.metadata or {}).get(b"figures", b"{}")),
    )
    _write_parquet(directory / f"dropped-{index:05d}.parquet", _dropped_rows(dropped, keep_every_text))
    told = {name: value for name, value in vars(written).items() if name != "figures" or value}
    metadata = {"onestage": json.dumps(told, sort_keys=True)}
    _write_parquet(directory / part_name(index), kept.replace_schema_metadata(metadata))
    return written


def written_of(part: Path) -> Written:
    """Read back what writing a part came to, from its Parquet metadata."""
    metadata = pq.read_schema(part).metadata or {}
    if b"onestage" not in metadata:
        raise ContractError(f"{part}: no onestage metadata, expected a part written by write_part")
    return Written(**json.loads(metadata[b"onestage"]))


def publish(directory: Path, manifest: dict[str, Any], working: Path | None = None) -> dict[str, Any]:
    """Add the shards and sums to a manifest, write it into the working directory, and rename that into place.

    Args:
        working: where the parts are; the hidden directory by default, the directory itself if its shards were public.

    Returns:
        The whole manifest.
    """
    working = working or hidden(directory)
    shutil.rmtree(working / "scratch", ignore_errors=True)
    shards, rows_in, rows_out, dropped, by_source = [], 0, 0, Counter[str](), dict[str, dict[str, Any]]()
    figures: dict[str, int] = {}
    for part in parts_of(working):
        written = written_of(part)
        shards.append({"name": part.name, "rows": written.rows_out, "sha256": file_sha256(part)})
        for name, value in written.figures.items():
            known = figures.get(name, 0)
            figures[name] = max(known, value) if name.endswith("_max") else known + value
        rows_in += written.rows_in
        rows_out += written.rows_out
        for source in sorted({*written.kept, *written.dropped}):
            row = by_source.setdefault(source, {"rows_out": 0, "dropped": {}})
            row["rows_out"] += written.kept.get(source, 0)
            for reason, count in written.dropped.get(source, {}).items():
                row["dropped"][reason] = row["dropped"].get(reason, 0) + count
                dropped[reason] += count
    whole = {
        **manifest,
        "rows_in": rows_in,
        "rows_out": rows_out,
        "dropped": dict(sorted(dropped.items())),
        "by_source": by_source,
        **({"figures": figures} if figures else {}),
        "shards": shards,
    }
    write_atomically(working / "manifest.json", json.dumps(whole, ensure_ascii=False, indent=1) + "\n")
    if working != directory:
        os.rename(working, directory)
    _sync(directory.parent)
    return whole


def check_space(working: Path, inputs: Sequence[Path]) -> None:
    """Refuse to begin a stage for which the disk has less room than ROOM times what the stage reads.

    Raises:
        RecipeError: so many bytes are not free.
    """
    needed = ROOM * sum(part.stat().st_size for directory in inputs for part in parts_of(directory))
    free = shutil.disk_usage(working).free
    if free < needed:
        raise RecipeError(f"{working.parent}: got {free:,} bytes free on this disk, expected at least {needed:,}")


def link_latest(output: Path, recipe_name: str, stage: str, directory: Path) -> None:
    """Point data/latest/<recipe>/<stage> (or .../<stage>/<source>) at a directory."""
    link = output / "latest" / recipe_name / stage
    link.parent.mkdir(parents=True, exist_ok=True)
    target = os.path.relpath(directory, link.parent)
    if link.is_symlink() and os.readlink(link) == target:
        return
    fresh = link.with_name(f".{link.name}")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    os.replace(fresh, link)


def write_atomically(path: Path, text: str) -> None:
    """Write a text file so that it holds the old or the new text, never a part of it."""
    fresh = path.with_name(f".{path.name}.tmp")
    with fresh.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(fresh, path)


def file_sha256(path: Path) -> str:
    """Hash a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def only_run(output: Path) -> Iterator[None]:
    """Hold the output folder for one run; the lock goes with the process, however it ends.

    Raises:
        RecipeError: another run holds it.
    """
    output.mkdir(parents=True, exist_ok=True)
    with (output / ".lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise RecipeError(
                f"{output}: in use by another run (process {holder}), expected one run at a time"
            ) from None
        file.seek(0)
        file.truncate()
        file.write(str(os.getpid()))
        file.flush()
        yield


def _without_nulls(rows: pa.Table, directory: Path, index: int) -> pa.Table:
    for column in rows.schema:
        if not column.nullable and rows[column.name].null_count:
            raise ContractError(f"{directory.name}/{part_name(index)}: null in column {column.name}, expected a value")
    return rows


def id_column(record: pa.Schema) -> str | None:
    """Name the column that must be unique in a record's rows: its first, if that is an id."""
    return str(record.names[0]) if record.names[0] in ("id", "passage_id", "example_id") else None


def _count(rows: pa.Table, column: str) -> dict[str, int]:
    if column not in rows.column_names:
        return {"": rows.num_rows} if rows.num_rows else {}
    counts = rows[column].value_counts().to_pylist()
    return {item["values"]: item["counts"] for item in sorted(counts, key=lambda item: str(item["values"]))}


def _count_drops(dropped: pa.Table) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {}
    sources = dropped["source"].to_pylist() if "source" in dropped.column_names else [""] * dropped.num_rows
    for source, reason in sorted(zip(sources, dropped["drop_reason"].to_pylist(), strict=True)):
        by_reason = counts.setdefault(source, {})
        by_reason[reason] = by_reason.get(reason, 0) + 1
    return counts


def _dropped_rows(dropped: pa.Table, keep_every_text: bool) -> pa.Table:
    name = dropped.column_names[0]
    ids, reasons = dropped[name].to_pylist(), dropped["drop_reason"].to_pylist()
    whole = set(range(len(ids)))
    if not keep_every_text:
        by_reason: dict[str, list[tuple[str, int]]] = {}
        for row, (id, reason) in enumerate(zip(ids, reasons, strict=True)):
            by_reason.setdefault(reason, []).append((text_hash(str(id)), row))
        whole = {row for rows in by_reason.values() for _, row in heapq.nsmallest(KEPT_TEXTS, rows)}
    records = dropped.drop_columns(["drop_reason", "drop_detail"])
    texts = [
        json.dumps(records.slice(row, 1).to_pylist()[0], ensure_ascii=False, default=str) if row in whole else None
        for row in range(len(ids))
    ]
    sources = dropped["source"] if "source" in dropped.column_names else pa.array([""] * len(ids), pa.string())
    columns = [
        pa.array(map(str, ids), pa.string()),
        sources,
        dropped["drop_reason"],
        dropped["drop_detail"],
        pa.array(texts, pa.string()),
    ]
    return pa.table(columns, schema=DROPPED)


def _write_parquet(path: Path, rows: pa.Table) -> None:
    fresh = path.with_name(f".{path.name}.tmp")
    pq.write_table(rows, fresh, compression="zstd", row_group_size=4096)
    with fresh.open("rb+") as file:
        os.fsync(file.fileno())
    os.replace(fresh, path)
    _sync(path.parent)


def _sync(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
