"""All real corpora through dedup, against what is known of them: editions, translations, contamination, quotations."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from pipeline.line import read_line
from pipeline.shards import dropped_of, read_manifest
from pipeline.stages import Line
from tests import contract

ROOT = Path(__file__).resolve().parents[1]
MOST_MEMORY = 2 << 30
WATCHED = """
import sys
from pathlib import Path
from pipeline.cli import main
code = main(sys.argv[1:])
status = Path("/proc/self/status").read_text()  # getrusage begins at the peak of whoever started this
print(next(line for line in status.splitlines() if line.startswith("VmHWM")))
sys.exit(code)
"""
pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's /proc")]


@pytest.fixture(scope="module")
def line(real_data, tmp_path_factory) -> Line:
    """The recipe over everything, run through dedup in a process whose memory is watched."""
    folder = tmp_path_factory.mktemp("everything")
    text = (ROOT / "tests" / "real" / "everything.toml").read_text()
    for old, new in (
        ('cards = "cards"', f'cards = "{ROOT}/tests/real/cards"'),
        ('output = "../../data/everything"', 'output = "data"'),
        ("../../../shared/data", str(real_data)),
    ):
        assert old in text
        text = text.replace(old, new)
    (folder / "everything.toml").write_text(text)
    arguments = ["run", str(folder / "everything.toml"), "--through", "dedup"]
    done = subprocess.run([sys.executable, "-c", WATCHED, *arguments], cwd=ROOT, check=True, stdout=subprocess.PIPE)
    print(done.stdout.decode())
    (folder / "peak").write_text(done.stdout.split()[-2].decode())
    return read_line(folder / "everything.toml", "dedup")


def dropped(line: Line, label: str) -> dict[str, tuple[str, str]]:
    step = next(step for step in line.steps if step.label == label)
    rows = [row for table in dropped_of(step.directory) for row in table.to_pylist()]
    return {row["id"]: (row["reason"], row["detail"] or "") for row in rows}


def characters(line: Line, source: str) -> dict[str, int]:
    """Passage id -> its length, of the passages of a source that went into dedup."""
    step = next(step for step in line.steps if step.label == f"select/{source}")
    return {row["id"]: len(row["text"]) for row in contract.rows_of(step, ["id", "text"])}


def share_dropped(line: Line, source: str) -> float:
    gone, sizes = dropped(line, "dedup/text"), characters(line, source)
    return sum(size for id, size in sizes.items() if id in gone) / sum(sizes.values())


def test_every_source_goes_through_and_every_file_is_accounted_for(line):
    for step in line.steps:
        contract.complete_or_absent(step.directory)
        contract.rows_conserved(step)
    read = {step.part: read_manifest(step.directory)["rows_in"] for step in line.steps if step.stage.name == "collect"}
    assert set(read) == {card.name for card in line.cards}
    assert min(read.values()) > 0


def test_memory_stays_under_two_gigabytes(line):
    peak = int((line.recipe.path.parent / "peak").read_text()) << 10
    print(json.dumps({"peak MB": peak >> 20}))
    assert peak < MOST_MEMORY


@pytest.mark.parametrize("second", ["gutenberg_utf8", "gutenberg_pages", "gutenberg_nonmedical_pages"])
def test_of_a_book_in_two_forms_the_second_is_dropped(line, second):
    share = share_dropped(line, second)
    print(json.dumps({second: round(share, 4)}))
    assert share >= 0.95


def test_the_same_abstracts_with_other_targets_are_one(line):
    assert share_dropped(line, "csl_titles") >= 0.99
    assert share_dropped(line, "csl") < 0.01


def test_a_translation_is_no_duplicate(line):
    assert len(characters(line, "howtolivelonger")) > 50
    assert share_dropped(line, "howtolivelonger") == 0


def test_every_item_of_a_contaminated_exam_is_found(line):
    items = [row for row in dropped(line, "dedup/text").values() if row[0] == "contaminated"]
    found = {detail.split(",")[0] for _, detail in items if detail.startswith("pubmedqa_500.jsonl:")}
    assert len(found) == 500


def test_repeated_rows_of_dialogues_are_gone(line):
    collect = next(step for step in line.steps if step.label == "collect/toyhom")
    twice = read_manifest(collect.directory)["dropped"].get("duplicate_id", 0)
    again = Counter(reason for id, (reason, _) in dropped(line, "dedup/pairs").items() if id.startswith("toyhom/"))
    print(json.dumps({"toyhom": {"duplicate_id": twice, **again}}))
    assert twice + again.total() >= 396  # of its 7,644 rows, 378 repeat another whole and 396 its question and answer


def test_quotations_and_paraphrases_are_reported_and_stay(line):
    text, pairs = dropped(line, "dedup/text"), dropped(line, "dedup/pairs")
    quoted = Counter(reason for id, (reason, _) in text.items() if id.startswith("tcm_books/"))
    paraphrases = Counter(reason for id, (reason, _) in pairs.items() if id.startswith("mts_dialog_augmented/"))
    print(json.dumps({"tcm_books": dict(quoted), "mts_dialog_augmented": dict(paraphrases)}))
    assert share_dropped(line, "tcm_books") < 0.01
