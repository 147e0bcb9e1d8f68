"""The contract of ARCHITECTURE.md as checks of what is on disk; each raises AssertionError where it is broken."""

import json
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq

from pipeline.records import IGNORE_INDEX
from pipeline.shards import dropped_of, file_sha256, is_complete, read_manifest, shards_of
from pipeline.stages import Line, Step

ROW_TO_ROW = ("filter", "boilerplate", "clean", "select", "sketch", "dedup", "mix", "encode")


def rows_of(step: Step, columns: list[str] | None = None) -> list[dict]:
    """Read the kept rows of a step."""
    return [row for shard in shards_of(step.directory) for row in shard.read(columns).to_pylist()]


def dropped_ids(step: Step) -> list[str]:
    """Read the ids of a step's dropped rows."""
    return [id for table in dropped_of(step.directory) for id in table["id"].to_pylist()]


def complete_or_absent(directory: Path) -> None:
    """A directory has a manifest and just the shards it lists, each with the rows and bytes it says."""
    assert is_complete(directory), f"{directory} has no manifest"
    manifest = read_manifest(directory)
    listed = [shard["name"] for shard in manifest["shards"]]
    assert listed == sorted(path.name for path in directory.glob("part-*")), "other parts than the manifest lists"
    for shard in manifest["shards"]:
        assert file_sha256(directory / shard["name"]) == shard["sha256"], f"{shard['name']} changed"
        assert pq.read_metadata(directory / shard["name"]).num_rows == shard["rows"]
    assert not list(directory.glob(".*")), "unfinished files left"


def rows_conserved(step: Step) -> None:
    """Where rows map to rows, in = out + dropped, by manifests and rows on disk; else every row is accounted for."""
    manifest = read_manifest(step.directory)
    assert manifest["rows_out"] == sum(shard.num_rows for shard in shards_of(step.directory))
    assert sum(manifest["dropped"].values()) == len(dropped_ids(step))
    inputs = {
        name: sum(read_manifest(before.directory)["rows_out"] for before in steps)
        for name, steps in step.inputs.items()
    }
    if step.stage.name in ROW_TO_ROW:
        names = step.stage.conserves or ("rows",)
        assert manifest["rows_in"] == sum(inputs[name] for name in names)
        assert manifest["rows_in"] == manifest["rows_out"] + sum(manifest["dropped"].values())
    elif step.stage.name == "segment":
        came = {row["document_id"] for row in rows_of(step, ["document_id"])} | {
            id.rsplit("#", 1)[0] for id in dropped_ids(step)
        }
        assert came == {row["id"] for before in step.inputs["rows"] for row in rows_of(before, ["id"])}
    elif step.stage.name == "rewrite":
        dropped = [
            json.loads(row)["passage_id"] for table in dropped_of(step.directory) for row in table["row"].to_pylist()
        ]
        came = {row["passage_id"] for row in rows_of(step, ["passage_id"])} | set(dropped)
        assert came == {row["id"] for before in step.inputs["rows"] for row in rows_of(before, ["id"])}
    elif step.stage.name == "prioritize":
        order = Counter(row["example_id"] for row in rows_of(step, ["example_id"]))
        train = [
            row
            for before in step.inputs["encode"]
            for row in rows_of(before, ["example_id", "split", "kind"])
            if row["split"] == "train"
        ]
        epochs = step.config.epochs  # type: ignore[attr-defined]
        assert order == {row["example_id"]: epochs.get(row["kind"], 1) for row in train}
    elif step.stage.name == "pack":
        packed = Counter(
            id
            for row in rows_of(step, ["split", "example_ids"])
            if row["split"] == "train"
            for id in row["example_ids"]
        )
        assert packed == Counter(
            row["example_id"] for before in step.inputs["prioritize"] for row in rows_of(before, ["example_id"])
        )


def ids_unique(step: Step) -> None:
    """No id twice in a stage's output; the id of what came of a row begins with that row's id."""
    columns = step.record.names
    if columns[0] in ("id", "passage_id", "example_id"):
        ids = [row[columns[0]] for row in rows_of(step, [columns[0]])]
        assert len(ids) == len(set(ids)), "an id appears twice"
    if step.stage.parent:
        for row in rows_of(step, [columns[0], step.stage.parent]):
            assert row[columns[0]].startswith(row[step.stage.parent]), "an id does not begin with the id it came from"


def schema_exact(step: Step) -> None:
    """Every part has the record's columns, types and nullability, and no others."""
    for shard in shards_of(step.directory):
        found = pq.read_schema(shard.path)
        assert found.equals(step.record, check_metadata=False), f"{shard.path}: {found}"


def equal_hashes(one: Line, other: Line) -> None:
    """Equal keys gave equal shard hashes."""
    compared = 0
    for left, right in zip(one.steps, other.steps, strict=True):
        assert left.key == right.key, f"{left.label}: keys differ"
        hashes = [[shard["sha256"] for shard in read_manifest(step.directory)["shards"]] for step in (left, right)]
        assert hashes[0] == hashes[1], f"{left.label}: shard hashes differ"
        compared += len(hashes[0])
    assert compared > len(one.steps) // 2


def order_kept(step: Step) -> None:
    """A per-shard stage keeps its input's order; packing keeps priority order within its displacement."""
    if step.stage.name == "pack":
        positions = {
            row["example_id"]: row["position"]
            for before in step.inputs["prioritize"]
            for row in rows_of(before, ["example_id", "position"])
        }
        packed = [
            id
            for row in rows_of(step, ["split", "example_ids"])
            if row["split"] == "train"
            for id in row["example_ids"]
        ]
        longest = max(len(row["example_ids"]) for row in rows_of(step, ["example_ids"]))
        limit = (step.config.open_rows + 1) * longest  # type: ignore[attr-defined]
        if len(positions) == len(packed):  # with several epochs an id has several positions
            assert all(abs(positions[id] - place) <= limit for place, id in enumerate(packed)), (
                "an example is packed far from its position"
            )
        return
    column = step.stage.parent or step.record.names[0]
    before = [row for step_before in step.inputs["rows"] for row in rows_of(step_before)]
    place = {next(iter(row.values())): number for number, row in enumerate(before)}
    places = [place[row[column]] for row in rows_of(step, [column])]
    assert places == sorted(places), "rows changed their order"


def no_straddle(mix: Step) -> None:
    """All examples of one document are in one split."""
    splits: dict[str, set[str]] = {}
    for row in rows_of(mix, ["id", "passage_id", "split"]):
        document = row["passage_id"].rsplit("#", 1)[0] if row["passage_id"] else row["id"]
        splits.setdefault(document, set()).add(row["split"])
    assert all(len(found) == 1 for found in splits.values()), "a document is in two splits"
    assert {split for found in splits.values() for split in found} == {"train", "heldout"}


def loss_on_outputs(
    input_ids: list[int], labels: list[int], first_tokens: list[int], outputs: list[str], decode
) -> None:
    """A label is IGNORE_INDEX or the token it stands on; the labelled tokens spell the outputs and their end tokens."""
    assert all(label in (IGNORE_INDEX, token) for token, label in zip(input_ids, labels, strict=True)), (
        "a label is not its token"
    )
    assert all(labels[first] == IGNORE_INDEX for first in first_tokens), "an example's first token has a label"
    spelled = decode([label for label in labels if label != IGNORE_INDEX])
    for output in outputs:
        assert output in spelled, "an output is without loss"
        spelled = spelled.replace(output, "", 1)
    left = spelled.replace("<|im_end|>", "").strip()
    assert not left, f"loss on what no output says: {left[:40]!r}"
