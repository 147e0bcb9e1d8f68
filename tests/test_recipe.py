import pytest

from pipeline.recipe import RecipeError, is_private, load_card, load_recipe

CARD = """
origin = "written for this test"
licence = "CC0-1.0"
kind = "web"
checked = { by = "a tester", on = 2026-11-20, scope = "tests" }
path = "texts/*.txt"
"""


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_a_whole_card_is_read(tmp_path):
    write(tmp_path / "leaflets.toml", CARD)
    card = load_card(tmp_path, "leaflets")
    assert (card.name, card.kind, card.form, card.egress) == ("leaflets", "web", "text", "any")


@pytest.mark.parametrize("missing", ["origin", "licence", "kind", "checked", "path"])
def test_a_card_without_a_required_field_is_refused(tmp_path, missing):
    lines = [line for line in CARD.splitlines() if not line.startswith(missing)]
    write(tmp_path / "leaflets.toml", "\n".join(lines))
    with pytest.raises(RecipeError, match=rf"leaflets\.toml: {missing}: got nothing, expected"):
        load_card(tmp_path, "leaflets")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('color = "red"', "color: unknown key"),
        ('egress = "far"', "egress: got 'far', expected"),
        ("valid_until = 2020-01-01", "valid_until: got 2020-01-01, expected a date not in the past"),
    ],
)
def test_a_card_with_a_wrong_field_is_refused(tmp_path, line, message):
    write(tmp_path / "leaflets.toml", CARD + line)
    with pytest.raises(RecipeError, match=message):
        load_card(tmp_path, "leaflets")


def test_a_licence_of_ones_own_needs_evidence(tmp_path):
    write(tmp_path / "leaflets.toml", CARD.replace("CC0-1.0", "LicenseRef-hospital"))
    with pytest.raises(RecipeError, match="evidence: got nothing"):
        load_card(tmp_path, "leaflets")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('name = "a"\nsources = ["b"]\nbatch = 3', "batch: unknown key"),
        ('name = "a"', "sources: got nothing"),
        ('name = "a b"\nsources = ["b"]', "name: got 'a b', expected"),
        ('name = "a"\nsources = ["b"]\n[run]\nprocesses = 0', "run.processes: got 0, expected"),
        ('name = "a"\nsources = ["b"]\n[run]\nthreads = 2', "run.threads: unknown key"),
        ('name = "a"\nsources = ["b"]\nfilter = 3', r"\[filter\]: got 3, expected a table"),
        ("name =", "not TOML"),
    ],
)
def test_a_wrong_recipe_is_refused_in_one_line(tmp_path, text, message):
    path = write(tmp_path / "recipe.toml", text)
    with pytest.raises(RecipeError, match=message) as caught:
        load_recipe(path, ("filter",))
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_missing_recipe_is_named(tmp_path):
    with pytest.raises(RecipeError, match=r"absent\.toml: no such file"):
        load_recipe(tmp_path / "absent.toml", ())


@pytest.mark.parametrize(
    ("url", "private"),
    [
        ("http://127.0.0.1:8000/v1", True),
        ("http://localhost:8000/v1", True),
        ("http://10.1.2.3/v1", True),
        ("http://[::1]:8000/v1", True),
        ("http://8.8.8.8/v1", False),
        ("http://no-such-host.invalid/v1", False),
    ],
)
def test_private_addresses_are_told_from_public_ones(url, private):
    assert is_private(url) is private
