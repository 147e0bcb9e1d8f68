"""The ten lines of the contract (ARCHITECTURE.md), each held by the test of its name and shown to fail when broken."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from transformers import AutoTokenizer

from pipeline import stages
from pipeline.line import read_line
from pipeline.records import IGNORE_INDEX
from pipeline.shards import ContractError, hidden, is_complete, part_name, shards_of
from pipeline.stages import run_line, run_stage
from tests import contract
from tests.world import write_world

SMALL_SHARDS = "[collect]\nshard_bytes = 7_000\n[segment]\nmax_chars = { zh = 120, en = 300 }\n"


def make(folder: Path, **world):
    recipe = write_world(folder, **world)
    line = read_line(recipe)
    run_line(line)
    return line


@pytest.fixture(scope="module")
def line(tmp_path_factory):
    return make(tmp_path_factory.mktemp("world"), tables=SMALL_SHARDS)


@pytest.fixture
def broken(line, tmp_path):
    """A copy of the world's output, to be broken."""
    shutil.copytree(line.recipe.output_folder, tmp_path / "data", symlinks=True)

    def moved(step):
        inputs = {name: tuple(map(moved, steps)) for name, steps in step.inputs.items()}
        directory = tmp_path / "data" / step.directory.relative_to(line.recipe.output_folder)
        return dataclasses.replace(step, directory=directory, inputs=inputs)

    return dataclasses.replace(line, steps=tuple(map(moved, line.steps)))


def rewrite_part(step, change, index=0):
    """Change the rows of a part; the manifest's sums of rows follow, as those of a faulty stage would."""
    path = step.directory / part_name(index)
    table = pq.read_table(path)
    changed = change(table).replace_schema_metadata(table.schema.metadata)
    pq.write_table(changed, path)
    manifest = json.loads((step.directory / "manifest.json").read_text())
    manifest["rows_out"] += changed.num_rows - table.num_rows
    manifest["shards"][index]["rows"] = changed.num_rows
    (step.directory / "manifest.json").write_text(json.dumps(manifest))


def test_the_world_exercises_the_line(line):
    assert [step.stage.name for step in line.steps if len(shards_of(step.directory)) > 1], "one shard only"
    dropped = {step.stage.name for step in line.steps if contract.dropped_ids(step)}
    assert "dedup" in dropped
    assert all(contract.rows_of(step) for step in line.steps)


def test_complete_or_absent(line, broken):
    for step in line.steps:
        contract.complete_or_absent(step.directory)
    assert not list(line.recipe.output_folder.glob("*/.*-*")), "unfinished directories left"
    (broken.step("mix").directory / "manifest.json").unlink()
    with pytest.raises(AssertionError, match="no manifest"):
        contract.complete_or_absent(broken.step("mix").directory)
    (broken.step("dedup").directory / part_name(1)).unlink()
    with pytest.raises(AssertionError, match="other parts"):
        contract.complete_or_absent(broken.step("dedup").directory)
    rewrite_part(broken.step("encode"), lambda rows: rows.slice(0, 3))
    with pytest.raises(AssertionError, match="changed"):
        contract.complete_or_absent(broken.step("encode").directory)


def test_a_killed_stage_resumes_at_a_shard(line, broken, monkeypatch):
    step = next(step for step in broken.steps if step.label == "clean/web")
    hidden(step.directory).mkdir()
    for number in (0, 2):
        for kind in ("part", "dropped"):
            name = f"{kind}-{number:05d}.parquet"
            shutil.copy(step.directory / name, hidden(step.directory) / name)
    assert len(shards_of(step.directory)) > 3
    shutil.rmtree(step.directory)
    made = []
    real = stages._shard_part
    monkeypatch.setattr(stages, "_shard_part", lambda *task: (made.append(task[1]), real(*task)))
    run_stage(step, broken)
    assert made == [number for number in range(len(shards_of(step.directory))) if number not in (0, 2)]
    contract.complete_or_absent(step.directory)


def test_rows_conserved(line, broken):
    for step in line.steps:
        contract.rows_conserved(step)
    for name in (
        "pack",
        "prioritize",
        "encode",
        "mix",
        "rewrite",
        "dedup",
        "sketch",
        "select",
        "clean",
        "segment",
        "boilerplate",
        "filter",
    ):
        step = broken.step(name)
        column = step.stage.parent or step.record.names[0]
        rewrite_part(step, lambda rows, column=column: rows.filter(pc.not_equal(rows[column], rows[column][0])))
        with pytest.raises(AssertionError):  # noqa: PT012
            contract.rows_conserved(step)
            pytest.fail(f"{name}: a lost row went unseen")


@pytest.mark.parametrize(
    "name", ["filter", "boilerplate", "segment", "clean", "select", "sketch", "dedup", "mix", "encode"]
)
def test_a_stage_that_loses_a_row_publishes_nothing(line, broken, monkeypatch, name):
    step = broken.step(name)

    def lossy(*arguments):
        made = step.stage.function(*arguments)
        if step.stage.over == "corpus":
            return (table.slice(1) for table in made)
        first = made[step.stage.parent or made.column_names[0]][0]
        return made.filter(pc.not_equal(made[step.stage.parent or made.column_names[0]], first))

    monkeypatch.setattr(
        stages,
        "STAGES",
        tuple(dataclasses.replace(stage, function=lossy) if stage.name == name else stage for stage in stages.STAGES),
    )
    lossy_step = dataclasses.replace(step, stage=next(stage for stage in stages.STAGES if stage.name == name))
    shutil.rmtree(step.directory)
    with pytest.raises(ContractError, match="expected"):
        run_stage(lossy_step, broken)
    assert not is_complete(step.directory)


def test_ids_unique(line, broken):
    for step in line.steps:
        contract.ids_unique(step)
    rewrite_part(broken.step("mix"), lambda rows: pa.concat_tables([rows, rows.slice(0, 1)]))
    with pytest.raises(AssertionError, match="twice"):
        contract.ids_unique(broken.step("mix"))
    rewrite_part(
        broken.step("segment"), lambda rows: rows.set_column(1, rows.schema.field(1), pa.array(["x"] * rows.num_rows))
    )
    with pytest.raises(AssertionError, match="does not begin"):
        contract.ids_unique(broken.step("segment"))


def test_a_stage_that_repeats_an_id_publishes_nothing(line, broken, monkeypatch):
    step = broken.step("encode")
    function = step.stage.function

    def repeating(rows, config, files):
        made = function(rows, config, files)
        first = made.slice(0, 1)
        return pa.concat_tables([first, first, made.slice(2)]) if made.num_rows > 1 else made

    monkeypatch.setattr(
        stages,
        "STAGES",
        tuple(
            dataclasses.replace(stage, function=repeating) if stage.name == "encode" else stage
            for stage in stages.STAGES
        ),
    )
    shutil.rmtree(step.directory)
    with pytest.raises(ContractError, match="more than once"):
        run_stage(
            dataclasses.replace(step, stage=next(stage for stage in stages.STAGES if stage.name == "encode")), broken
        )
    assert not is_complete(step.directory)


def test_schema_exact(line, broken):
    for step in line.steps:
        contract.schema_exact(step)
    rewrite_part(broken.step("mix"), lambda rows: rows.append_column("extra", pa.array([1] * rows.num_rows)))
    with pytest.raises(AssertionError):
        contract.schema_exact(broken.step("mix"))


def test_deterministic(line, tmp_path):
    again = make(tmp_path / "again", tables=SMALL_SHARDS + "[run]\nprocesses = 2\n")
    contract.equal_hashes(line, again)
    other = make(tmp_path / "other", tables=SMALL_SHARDS, head="seed = 1")
    with pytest.raises(AssertionError, match="differ"):
        contract.equal_hashes(line, other)


def test_shard_invariant(line, tmp_path):
    one = make(tmp_path, tables=SMALL_SHARDS.replace("shard_bytes = 7_000", "shard_bytes = 1_000_000"))
    compared = 0
    for left, right in zip(line.steps, one.steps, strict=True):
        if left.stage.over in ("cards", "shard") and left.part:
            assert contract.rows_of(left) == contract.rows_of(right), left.label
            compared += len(shards_of(left.directory)) > len(shards_of(right.directory))
    assert compared >= 5
    by_shard = [row for shard in shards_of(line.step("filter").directory) for row in shard.read().to_pylist()[:-1]]
    assert by_shard != contract.rows_of(one.step("filter")), "a stage that treats a shard's last row apart would pass"


def test_order_kept(line, broken):
    checked = [step for step in line.steps if step.stage.over in ("shard", "stream") or step.stage.name == "pack"]
    for step in checked:
        contract.order_kept(step)
    rewrite_part(broken.step("clean"), lambda rows: rows.take(list(reversed(range(rows.num_rows)))))
    with pytest.raises(AssertionError, match="order"):
        contract.order_kept(broken.step("clean"))
    encoded = {row["example_id"] for row in contract.rows_of(line.step("encode"), ["example_id"])}
    assert len(encoded) > 50


def test_no_straddle(line, broken):
    contract.no_straddle(line.step("mix"))

    def flip(rows):
        documents = [id.rsplit("#", 1)[0] for id in rows["id"].to_pylist()]
        first = next(row for row in range(1, len(documents)) if documents[row] == documents[row - 1])
        splits = rows["split"].to_pylist()
        splits[first] = "heldout" if splits[first] == "train" else "train"
        return rows.set_column(rows.schema.get_field_index("split"), rows.schema.field("split"), pa.array(splits))

    rewrite_part(broken.step("mix"), flip)
    with pytest.raises(AssertionError, match="two splits"):
        contract.no_straddle(broken.step("mix"))


def test_loss_on_outputs(line):
    tokenizer = AutoTokenizer.from_pretrained(line.recipe.path.parent / "model")
    outputs = {
        row["id"]: [message["content"] for message in row["messages"] if message["loss"]]
        for row in contract.rows_of(line.step("mix"))
    }
    encoded = contract.rows_of(line.step("encode"))
    for row in encoded:
        contract.loss_on_outputs(row["input_ids"], row["labels"], [0], outputs[row["example_id"]], tokenizer.decode)
    planted = encoded[0]
    first_target = next(i for i, label in enumerate(planted["labels"]) if label != IGNORE_INDEX)
    labels = list(planted["labels"])
    labels[first_target - 3 : first_target] = planted["input_ids"][first_target - 3 : first_target]
    with pytest.raises(AssertionError, match="no output says"):
        contract.loss_on_outputs(planted["input_ids"], labels, [0], outputs[planted["example_id"]], tokenizer.decode)
    packed = contract.rows_of(line.step("pack"))
    for row in packed:
        starts = [sum(row["seq_lens"][:i]) for i in range(len(row["seq_lens"]))]
        texts = [text for id in row["example_ids"] for text in outputs[id]]
        contract.loss_on_outputs(row["input_ids"], row["labels"], starts, texts, tokenizer.decode)
    assert {row["split"] for row in packed} == {"train", "heldout"}


PEAKS = """
import json, sys
import pyarrow as pa
from pathlib import Path
from pipeline.shards import is_complete
from pipeline.line import read_line
from pipeline.stages import run_stage

def peak():
    return int(next(l for l in open("/proc/self/status") if l.startswith("VmHWM")).split()[1])

line, peaks = read_line(sys.argv[1]), {}
for step in line.steps:
    pa.default_memory_pool().release_unused()
    Path("/proc/self/clear_refs").write_text("5")
    run_stage(step, line)
    peaks[step.stage.name] = max(peak(), peaks.get(step.stage.name, 0))
print(json.dumps(peaks))
"""


@pytest.mark.slow
@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="peak memory is read from Linux's /proc")
def test_memory_bounded(tmp_path):
    tables = SMALL_SHARDS.replace("shard_bytes = 7_000", "shard_bytes = 200_000") + "[dedup]\nmin_jaccard = 0.8\n"
    peaks = []
    for size in (300, 3000):
        folder = tmp_path / str(size)
        recipe = write_world(folder, articles=size, talks=size, tables=tables)
        printed = subprocess.run(
            [sys.executable, "-c", PEAKS, str(recipe)], check=True, capture_output=True, text=True, cwd=Path.cwd()
        )
        peaks.append(json.loads(printed.stdout.splitlines()[-1]))
    assert set(peaks[0]) == set(stages.STAGE_NAMES)
    grown = {name: peaks[1][name] / peaks[0][name] for name in peaks[0]}
    assert max(grown.values()) <= 1.3, grown


@pytest.mark.slow
def test_a_stage_that_holds_the_whole_corpus_is_seen(tmp_path):
    script = PEAKS.replace("line, peaks = ", "hoard = []\nline, peaks = ").replace(
        "    run_stage(step, line)\n",
        "    run_stage(step, line)\n    hoard += [p.read_bytes() * 400 for p in step.directory.glob('part-*')]\n",
    )
    peaks = []
    for size in (20, 200):
        folder = tmp_path / str(size)
        recipe = write_world(folder, articles=size, talks=size)
        printed = subprocess.run(
            [sys.executable, "-c", script, str(recipe)], check=True, capture_output=True, text=True, cwd=Path.cwd()
        )
        peaks.append(json.loads(printed.stdout.splitlines()[-1]))
    assert max(peaks[1][name] / peaks[0][name] for name in peaks[0]) > 1.3


def test_a_kill_at_any_moment_changes_no_hash(line, tmp_path):
    recipe = write_world(tmp_path, tables=SMALL_SHARDS)
    killed = 0
    for delay in (2.5, 3.5, 4.5, 5.5):
        running = subprocess.Popen(
            [sys.executable, "-m", "pipeline.cli", "run", str(recipe)],
            start_new_session=True,
            stdout=subprocess.DEVNULL,
        )
        try:
            running.wait(timeout=delay)
        except subprocess.TimeoutExpired:
            os.kill(running.pid, signal.SIGKILL)
            running.wait()
            killed += 1
    assert killed, "every run had ended before it was killed"
    again = read_line(recipe)
    run_line(again)
    contract.equal_hashes(line, again)
