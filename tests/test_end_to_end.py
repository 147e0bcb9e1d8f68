"""The demo as a user runs it: a real vLLM server asks, DeepSpeed trains, the card and the model come out."""

import json
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from pipeline.line import read_line, train_directory
from pipeline.sentences import split_sentences
from pipeline.shards import read_manifest
from tests import contract

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.slow


def onestage(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.cli", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> Path:
    """The demo's recipe in a folder of its own, run through pack."""
    folder = tmp_path_factory.mktemp("demo")
    shutil.copytree(ROOT / "recipes", folder / "recipes")
    (folder / "data_cards").mkdir()
    for card in (ROOT / "data_cards").glob("demo_*.toml"):
        shutil.copy(card, folder / "data_cards")
    recipe = folder / "recipes" / "demo.toml"
    half = "max_steps = 8 # a third of the demo's\n"
    recipe.write_text(f'{recipe.read_text()}{half}[serve]\nenvironment = "{ROOT}/.venv-server"\n')
    onestage("run", str(recipe))
    return recipe


def pairs_of(demo: Path) -> list[dict]:
    return contract.rows_of(read_line(demo).step("rewrite"))


def test_enough_pairs_are_kept_of_each_style(demo):
    counts = Counter((pair["style"], pair["lang"]) for pair in pairs_of(demo))
    assert sum(counts.values()) >= 60
    assert counts["excerpt", "en"] >= 30
    assert counts["heading", "zh-Hans"] >= 20


def test_every_excerpt_is_verbatim_in_its_passage_and_not_always_its_first_sentence(demo):
    passages = {
        row["id"]: row for row in contract.rows_of(next(s for s in read_line(demo).steps if s.label == "dedup/text"))
    }
    excerpts = [pair for pair in pairs_of(demo) if pair["style"] == "excerpt"]
    starts = Counter()
    for pair in excerpts:
        text = passages[pair["passage_id"]]["text"]
        answer = pair["messages"][-1]["content"]
        assert answer in text
        assert [text[span["start"] : span["end"]] for span in pair["support"]] == [answer]
        starts[pair["support"][0]["start"] == split_sentences(text, pair["lang"])[0][0]] += 1
    assert starts[False] >= len(excerpts) / 4


def test_no_heading_template_asks_too_often(demo):
    checks = [
        {check["name"]: check["value"] for check in pair["checks"]}
        for pair in pairs_of(demo)
        if pair["style"] == "heading"
    ]
    templates = Counter(check["template"] for check in checks)
    assert max(templates.values()) <= 0.2 * sum(templates.values())


def test_the_corpus_has_what_a_real_one_has(demo):
    line = read_line(demo)
    dropped = Counter()
    for step in line.steps:
        for reason, count in read_manifest(step.directory)["dropped"].items():
            dropped[step.stage.name, reason] += count
    assert dropped["filter", "off_domain"] >= 3
    assert dropped["dedup", "near_duplicate"] >= 3
    kept = [row["text"].lower() for row in contract.rows_of(next(s for s in line.steps if s.label == "clean/demo_web"))]
    assert not [text for text in kept if "buy now" in text or "点击购买" in text]


def test_the_contract_holds_for_the_demo(demo):
    line = read_line(demo)
    for step in line.steps:
        contract.complete_or_absent(step.directory)
        contract.rows_conserved(step)
        contract.ids_unique(step)
        contract.schema_exact(step)
    contract.no_straddle(line.step("mix"))


def test_a_second_run_asks_nothing(demo):
    line = read_line(demo)
    count = "SELECT count(*) FROM responses"
    before = sqlite3.connect(line.recipe.output_folder / "journal.sqlite").execute(count).fetchone()
    assert before[0] > 0
    made = onestage("run", str(demo))
    assert sqlite3.connect(line.recipe.output_folder / "journal.sqlite").execute(count).fetchone() == before
    assert "rewrite" not in made


def test_a_second_source_leaves_the_first_alone_and_asks_only_for_itself(demo):
    less = demo.with_name("less.toml")
    less.write_text(demo.read_text().replace('name = "demo"', 'name = "less"').replace('"demo_literature", ', ""))
    assert "demo_literature" in demo.read_text()
    journal = sqlite3.connect(read_line(demo).recipe.output_folder / "journal.sqlite")
    before = journal.execute("SELECT count(*) FROM responses").fetchone()
    printed = onestage("run", str(less), "--through", "rewrite")
    assert "collect/" not in printed
    assert "clean/" not in printed
    assert journal.execute("SELECT count(*) FROM responses").fetchone() == before


def test_explain_leads_from_a_pair_to_its_licence_and_trace_from_a_document_to_its_rows(demo):
    pair = next(pair for pair in pairs_of(demo) if pair["style"] == "excerpt")
    explained = onestage("explain", str(demo), pair["id"])
    for said in ("Apache-2.0", "excerpt", pair["made_by"][0]["prompt"], pair["made_by"][0]["model"], "verified"):
        assert said in explained
    traced = onestage("trace", str(demo), pair["passage_id"].rsplit("#", 1)[0])
    assert pair["passage_id"] in traced
    assert pair["id"] in traced


def test_training_lowers_the_held_out_loss_of_every_kind_and_exports_a_model(demo):
    subprocess.run([sys.executable, "-m", "training.launch", str(demo)], cwd=ROOT, check=True)
    directory = train_directory(read_line(demo))
    evals = [
        row["heldout"]
        for row in map(json.loads, (directory / "metrics.jsonl").read_text().splitlines())
        if "heldout" in row
    ]
    kinds = {row["kind"] for row in contract.rows_of(read_line(demo).step("mix"), ["kind"])}
    assert set(evals[0]) == kinds == {"web", "encyclopedia", "books", "literature", "sft", "general"}
    assert {kind: evals[-1][kind] < evals[0][kind] for kind in kinds} == dict.fromkeys(kinds, True)
    tokenizer = AutoTokenizer.from_pretrained(directory / "hf")
    model = AutoModelForCausalLM.from_pretrained(directory / "hf")
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "What is asthma?"}],
        add_generation_prompt=True,
        return_tensors="pt",
        return_dict=True,
    )
    answer = model.generate(**prompt, max_new_tokens=12, do_sample=False)
    assert tokenizer.decode(answer[0, prompt["input_ids"].shape[1] :], skip_special_tokens=True).strip()
    onestage("cards", str(demo))
    card = (demo.parents[1] / "data_cards" / "demo" / "README.md").read_text()
    assert "135M" in card
