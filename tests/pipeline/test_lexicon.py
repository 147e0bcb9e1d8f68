"""`onestage lexicon`: a domain that no line of code names, from made-up texts and, where they are, from real ones."""

from collections import Counter
from pathlib import Path

import pytest

from pipeline.cli import main
from pipeline.domain import read_weights
from pipeline.lexicon import make_lexicon
from pipeline.line import read_line
from pipeline.recipe import RecipeError, load_recipe
from pipeline.shards import read_manifest
from pipeline.stages import TABLES, run_line
from tests import contract
from tests.world import write_card

SAILING = (
    "我们把主帆升起来，逆风换舷时要收紧缭绳。The helmsman trims the mainsail and eases the jib sheet before the gybe. "
)
BAKING = "把面团揉到光滑，盖上湿布等它发酵。Knead the dough until it is smooth and let the loaf prove in its tin. "
REAL = Path(__file__).resolve().parents[1] / "real"
RECIPE = """
name = "sailing"
sources = ["mixed"]
cards = "cards"
output = "data"
[lexicon]
file = "sailing.txt"
min_pmi = 3
"""


def write_texts(folder: Path, text: str, number: int) -> None:
    folder.mkdir(parents=True)
    for place in range(number):
        (folder / f"{place}.txt").write_text(text * 4 + f"第{place}篇。\n", encoding="utf-8")


@pytest.fixture
def sailing(tmp_path: Path) -> Path:
    write_texts(tmp_path / "seed", SAILING, 40)
    write_texts(tmp_path / "other", BAKING, 40)
    path = tmp_path / "sailing.toml"
    path.write_text(RECIPE + 'seed = ["seed"]\nbackground = ["other"]\n', encoding="utf-8")
    return path


def read(path: Path):
    return load_recipe(path, TABLES)


def test_words_of_the_seed_weigh_more_than_nothing_and_those_of_the_background_less(sailing: Path) -> None:
    made = make_lexicon(read(sailing))
    weights = read_weights((made.path,))
    assert all(weights[word] > 0.5 for word in ("mainsail", "jib", "helmsman", "jib sheet", "缭绳"))
    assert all(weights[word] < -0.5 for word in ("dough", "loaf", "面团", "发酵"))
    assert not {"the", "and", "it"} & set(weights)
    assert {share for share, _ in made.accuracy.values()} == {1.0}
    assert "# Seed: seed, 40 documents" in made.path.read_text(encoding="utf-8")


def test_equal_inputs_give_an_equal_file(sailing: Path) -> None:
    first = make_lexicon(read(sailing)).path.read_bytes()
    assert make_lexicon(read(sailing)).path.read_bytes() == first


def test_terms_given_beforehand_are_kept_though_no_text_has_them(sailing: Path) -> None:
    (sailing.parent / "terms.txt").write_text("spinnaker\n舵柄\n", encoding="utf-8")
    sailing.write_text(sailing.read_text() + 'terms = ["terms.txt"]\n', encoding="utf-8")
    weights = read_weights((make_lexicon(read(sailing)).path,))
    assert weights["spinnaker"] == weights["舵柄"] == pytest.approx(30 / 50)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ('seed = ["nowhere"]\nbackground = ["other"]\n', "got 'nowhere', expected a card in .* or a path that exists"),
        ('seed = ["seed"]\n', r"\[lexicon\] background"),
        ('seed = ["seed"]\nbackground = ["other"]\ntrust = -1\n', r"\[lexicon\] trust"),
    ],
)
def test_mistakes_are_told_in_one_line(sailing: Path, written: str, message: str) -> None:
    sailing.write_text(RECIPE + written, encoding="utf-8")
    with pytest.raises(RecipeError, match=message):
        make_lexicon(read(sailing))


def test_the_line_keeps_what_the_lexicon_was_made_for(sailing: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = sailing.parent
    assert main(["lexicon", str(sailing)]) == 0
    limits = capsys.readouterr().out.strip().splitlines()[-1]
    write_texts(folder / "mixed" / "good", SAILING, 3)
    write_texts(folder / "mixed" / "bad", BAKING, 5)
    write_card(folder / "cards", "mixed", "../mixed", kind="web", extra='format = "text"\n')
    card = folder / "cards" / "mixed.toml"
    card.write_text("\n".join(line for line in card.read_text().splitlines() if not line.startswith("fields")))
    table = f'[filter]\nlexicons = ["sailing.txt"]\n{limits}\n[select]\n{limits}\n'
    sailing.write_text(sailing.read_text() + table, encoding="utf-8")
    line = read_line(sailing, through="filter")
    run_line(line)
    manifest = read_manifest(line.steps[-1].directory)
    assert (manifest["rows_out"], manifest["dropped"]) == (3, {"off_domain": 5})


def test_cooking_runs_from_a_recipe_and_cards_through_dedup(real_data: Path, tmp_path: Path) -> None:
    text = (REAL / "cooking.toml").read_text(encoding="utf-8")
    for old, new in (
        ('cards = "cards"', f'cards = "{REAL / "cards"}"'),
        ("../../data/cooking/cooking.txt", "cooking.txt"),
        ('output = "../../data/cooking"', 'output = "data"'),
        ('sources = ["howtocook", "mtf_wiki", "csl", "tcm_books", "poetry", "peps"]', 'sources = ["howtocook", "csl"]'),
        ('background = ["mtf_wiki", "csl", "toyhom", "tcm_books"]', 'background = ["csl"]'),
        ("max_chars = 1_000_000", "max_chars = 200_000"),
    ):
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "cooking.toml"
    path.write_text(text, encoding="utf-8")
    share, number = make_lexicon(read(path)).accuracy["zh"]
    assert number > 50
    assert share > 0.95
    line = read_line(path, through="dedup")
    run_line(line)
    kept = Counter(row["source"] for row in contract.rows_of(line.step("dedup"), ["source"]))
    assert kept["howtocook"] > 100
    assert kept["csl"] < 0.05 * 1000
