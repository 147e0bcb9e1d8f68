import pytest

from pipeline.line import read_line
from pipeline.recipe import RecipeError
from pipeline.shards import dropped_of, read_manifest
from pipeline.stages import run_line
from tests import contract
from tests.world import write_world


def second_recipe(first, name="second", against="world.toml", head="", tables=""):
    """A recipe beside the first one, of the same sources, deduplicated against another."""
    text = first.read_text().replace('name = "world"', f'name = "{name}"\n{head}')
    path = first.with_name(f"{name}.toml")
    path.write_text(f'{text}\n[dedup]\nagainst = ["{against}"]\n{tables}')
    return path


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    recipe = write_world(tmp_path_factory.mktemp("first"), articles=8, talks=6)
    run_line(read_line(recipe, "dedup"))
    return recipe


def test_a_recipe_is_deduplicated_against_what_an_earlier_one_kept(first):
    line = read_line(second_recipe(first), "dedup")
    run_line(line)
    own = {step.form: step for step in read_line(first, "dedup").steps if step.stage.name == "dedup"}
    made = [step for step in line.steps if step.stage.name == "dedup"]
    assert {step.form for step in made} == {"text", "pairs"}
    for step in made:
        assert step.key != own[step.form].key
        manifest = read_manifest(step.directory)
        assert manifest["rows_in"] == sum(manifest["dropped"].values()) > 0  # the sources are the same
        kept = {row["id"] for row in contract.rows_of(own[step.form], ["id"])}
        details = [detail for table in dropped_of(step.directory) for detail in table["detail"].to_pylist()]
        named = {detail.removeprefix("kept ").split(", jaccard")[0] for detail in details if detail.startswith("kept ")}
        assert named == kept
        contract.rows_conserved(step)


def test_a_recipe_against_it_is_also_against_those_before_it(first):
    second = second_recipe(first, "middle")
    run_line(read_line(second, "dedup"))
    line = read_line(second_recipe(first, "third", against="middle.toml"), "dedup")
    (text,) = (step for step in line.steps if step.label == "dedup/text")
    assert [len(text.inputs[name]) for name in ("kept", "kept_sketch")] == [2, 4]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"against": "absent.toml"}, r"against: got .*absent.toml, expected a recipe that exists"),
        ({"against": "itself.toml", "name": "itself"}, r"leads back to itself"),
        ({"head": "seed = 3"}, r"got .*world.toml with other \[sketch\] settings or seed"),
        ({"tables": "[sketch]\nngram = 4\n"}, r"got .*world.toml with other \[sketch\] settings or seed"),
    ],
)
def test_a_recipe_that_cannot_be_compared_with_is_one_line_to_mend(first, change, message):
    with pytest.raises(RecipeError, match=message) as raised:
        read_line(second_recipe(first, **{"name": "wrong", **change}), "dedup")
    assert "\n" not in str(raised.value)


def test_a_recipe_that_is_not_finished_is_named_with_the_command_to_finish_it(tmp_path):
    recipe = write_world(tmp_path, articles=2, talks=2)
    with pytest.raises(RecipeError, match=r"is not made, expected a finished run; first: onestage run .*world.toml"):
        read_line(second_recipe(recipe), "dedup")
