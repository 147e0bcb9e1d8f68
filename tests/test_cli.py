import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.cli import main
from pipeline.line import read_line
from pipeline.stages import run_line
from tests import contract
from tests.world import write_world

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def world(tmp_path) -> Path:
    return write_world(tmp_path, articles=12, talks=6)


def change(recipe: Path, old: str, new: str) -> None:
    text = recipe.read_text()
    assert old in text
    recipe.write_text(text.replace(old, new))


def break_key(recipe: Path) -> None:
    change(recipe, "[encode]", "[filter]\nmin_charz = 3\n[encode]")


def break_shared_setting(recipe: Path) -> None:
    change(recipe, "[encode]", "[pack]\nrow_tokens = 3\n[encode]")


def break_licence(recipe: Path) -> None:
    change(recipe.parent / "cards" / "web.toml", 'licence = "CC0-1.0"\n', "")


def break_source(recipe: Path) -> None:
    (recipe.parent / "texts" / "web.jsonl").unlink()


def break_model(recipe: Path) -> None:
    (recipe.parent / "model" / "config.json").unlink()


def break_server(recipe: Path) -> None:
    change(recipe, "styles = { heading = 1.0 }", "styles = { excerpt = 1.0 }")
    recipe.write_text(recipe.read_text() + '[run]\nbase_urls = ["http://127.0.0.1:9/v1"]\nretries = 0\n')


def break_egress(recipe: Path) -> None:
    change(recipe, "styles = { heading = 1.0 }", "styles = { excerpt = 1.0 }")
    recipe.write_text(recipe.read_text() + '[run]\nbase_urls = ["http://8.8.8.8/v1"]\n')
    card = recipe.parent / "cards" / "web.toml"
    card.write_text(card.read_text() + 'egress = "local"\n')


MISTAKES = {
    break_key: "[filter] min_charz: unknown key",
    break_shared_setting: "[pack] row_tokens: got a value, expected it in [encode] max_tokens alone",
    break_licence: "web.toml: licence: got nothing, expected",
    break_source: "web.jsonl",
    break_model: "model",
    break_server: "http://127.0.0.1:9/v1: no server there",
    break_egress: "8.8.8.8",
}


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.__name__)
def test_a_mistake_is_one_line_and_exit_code_2_and_leaves_nothing_half_written(world, capsys, mistake):
    mistake(world)
    assert main(["run", str(world)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("onestage: ")
    assert said.count("\n") == 1
    assert MISTAKES[mistake] in said
    data = world.parent / "data"
    assert not list(data.glob("*/*/.*.tmp"))
    for directory in data.glob("*/[!.]*"):
        if directory.parent.name not in ("rewrite", "cache", "latest", "models"):
            contract.complete_or_absent(directory)


def test_a_wrong_stage_is_refused(world, capsys):
    assert main(["run", str(world), "--through", "wash"]) == 2
    assert "--through: got 'wash', expected one of collect, filter" in capsys.readouterr().err


def test_run_show_ls_cards_explain_and_trace_tell_of_one_pair(world, capsys, monkeypatch):
    assert main(["run", str(world)]) == 0
    pair = contract.rows_of(read_line(world).step("rewrite"))[0]
    capsys.readouterr()
    for command, expected in (
        (["show", str(world)], "min_jaccard = 0.8"),
        (["ls", str(world.parent / "data")], "rows"),
        (["explain", str(world), pair["id"]], "CC0-1.0"),
        (["trace", str(world), pair["passage_id"].rsplit("#", 1)[0]], pair["id"]),
        (["cards", str(world)], "README.md"),
    ):
        assert main(command) == 0
        assert expected in capsys.readouterr().out
    assert main(["explain", str(world), "no such id"]) == 2
    assert "no such id" in capsys.readouterr().err


def test_a_verdict_excludes_a_pair_a_document_and_a_source_and_makes_another_key(world):
    assert main(["run", str(world)]) == 0
    before = read_line(world)
    pairs = contract.rows_of(before.step("mix"))
    from_text = [pair for pair in pairs if pair["passage_id"]]
    document = from_text[-1]["passage_id"].rsplit("#", 1)[0]
    (world.parent / "verdicts.jsonl").write_text(
        "".join(
            f'{{"id": "{id}", "verdict": "exclude", "reason": "{reason}", "who": "a reader"}}\n'
            for id, reason in ((from_text[0]["id"], "wrong"), (document, "old"), ("talks", "withdrawn"))
        )
    )
    world.write_text(world.read_text() + '[mix]\nverdicts = "verdicts.jsonl"\n')
    assert main(["run", str(world)]) == 0
    after = read_line(world)
    assert after.step("mix").key != before.step("mix").key
    assert after.step("rewrite").key == before.step("rewrite").key
    kept = contract.rows_of(after.step("mix"))
    assert from_text[0]["id"] not in {pair["id"] for pair in kept}
    assert document not in {pair["passage_id"].rsplit("#", 1)[0] for pair in kept if pair["passage_id"]}
    assert {pair["source"] for pair in kept} == {"encyclopedia", "web"}
    assert len(pairs) - len(kept) == len(contract.dropped_ids(after.step("mix")))


def test_run_settings_change_no_key_and_a_second_source_leaves_the_first_alone(world):
    whole = read_line(world)
    world.write_text(world.read_text() + "[run]\nprocesses = 3\nin_flight = 7\n[serve]\nport = 9000\n")
    assert [step.key for step in read_line(world).steps] == [step.key for step in whole.steps]
    change(world, '"encyclopedia", "web", "talks"', '"encyclopedia", "talks"')
    less = {step.label: step.key for step in read_line(world).steps}
    more = {step.label: step.key for step in whole.steps}
    alone = [label for label in less if label.endswith(("/encyclopedia", "/talks"))]
    assert len(alone) == 10
    assert all(less[label] == more[label] for label in alone)
    assert less["dedup/text"] != more["dedup/text"]


def test_a_recipe_of_ready_made_pairs_alone_runs_without_rewriting(world):
    change(world, '"encyclopedia", "web", "talks"', '"talks"')
    assert main(["run", str(world)]) == 0
    line = read_line(world)
    assert [step.label for step in line.steps] == [
        *("collect/talks", "clean/talks", "sketch/talks", "dedup/pairs", "mix", "encode", "prioritize", "pack")
    ]
    assert contract.rows_of(line.step("pack"))


def test_gc_keeps_what_a_recipe_made_last(world, capsys):
    assert main(["run", str(world), "--through", "mix"]) == 0
    old = read_line(world, through="mix").step("mix").directory
    change(world, "[encode]", "[mix]\nheldout = 0.3\n[encode]")
    assert main(["run", str(world), "--through", "mix"]) == 0
    new = read_line(world, through="mix").step("mix").directory
    output = str(world.parent / "data")
    assert main(["gc", output]) == 0
    assert f"unneeded {old}" in capsys.readouterr().out
    assert old.exists()
    assert main(["gc", output, "--delete"]) == 0
    assert not old.exists()
    assert new.exists()


def test_two_runs_do_not_share_an_output_folder(world):
    script = (
        "import sys; from pathlib import Path; from pipeline.shards import only_run\n"
        "with only_run(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", script, str(world.parent / "data")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout.readline() == b"held\n"
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.cli", "run", str(world)], capture_output=True, text=True, check=False
    )
    holder.communicate()
    assert done.returncode == 2
    assert f"in use by another run (process {holder.pid})" in done.stderr


def test_a_full_disk_ends_the_run_in_one_line_and_a_rerun_goes_on(tmp_path):
    recipe = write_world(tmp_path, articles=24)
    command = [sys.executable, "-m", "pipeline.cli", "run", str(recipe), "--through", "dedup"]
    limit = "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000)); sys.argv[0] = ''; "
    subprocess.run([*command[:-1], "collect"], cwd=ROOT, check=True, capture_output=True)
    small = subprocess.run(
        [sys.executable, "-c", f"{limit}runpy.run_module('pipeline.cli', run_name='__main__')", *command[3:]],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert (small.returncode, small.stderr.count("\n")) == (2, 1), small.stderr
    assert "the disk is full" in small.stderr
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    undisturbed = read_line(write_world(tmp_path / "undisturbed", articles=24), "dedup")
    run_line(undisturbed)
    contract.equal_hashes(read_line(recipe, "dedup"), undisturbed)
