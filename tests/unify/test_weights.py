"""A model is a folder, a name on the hub, or the small one; a path without a model is an error of one line."""

import json
from pathlib import Path

import pytest

from pipeline.recipe import Recipe, RecipeError
from tests.unify.conftest import serving_recipe
from unify.weights import SMOLLM2, ensure_model, model_path


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    """A recipe in a folder of its own."""
    return serving_recipe(tmp_path)


def test_a_local_folder_is_relative_to_the_recipe(recipe: Recipe, tmp_path: Path) -> None:
    (tmp_path / "models" / "own").mkdir(parents=True)
    (tmp_path / "models" / "own" / "config.json").write_text("{}")
    assert ensure_model("models/own", recipe) == str(tmp_path / "models" / "own")


def test_a_name_on_the_hub_stays_as_it_is(recipe: Recipe) -> None:
    assert ensure_model("Qwen/Qwen3-8B", recipe) == "Qwen/Qwen3-8B"
    assert not model_path("Qwen/Qwen3-8B", recipe).is_dir()


@pytest.mark.parametrize("name", ["./missing", "/no/such/model", "../a/b"])
def test_a_path_that_is_not_there_is_an_error(recipe: Recipe, name: str) -> None:
    with pytest.raises(RecipeError, match="no such folder, expected a Hugging Face model"):
        ensure_model(name, recipe)


def test_a_folder_without_a_model_is_an_error(recipe: Recipe, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(RecipeError, match=r"empty: no config\.json, expected a folder with a Hugging Face model"):
        ensure_model("empty", recipe)


@pytest.mark.slow
def test_the_small_model_is_a_normal_folder_with_a_chat_template(server_folder: Path) -> None:
    from transformers import AutoConfig, AutoTokenizer

    path = Path(ensure_model(SMOLLM2, serving_recipe(server_folder)))
    assert AutoConfig.from_pretrained(path).num_hidden_layers == 30
    tokenizer = AutoTokenizer.from_pretrained(path)
    assert "<|im_start|>" in tokenizer.apply_chat_template([{"role": "user", "content": "hi"}], tokenize=False)
    assert "高血压" in tokenizer.decode(tokenizer.encode("高血压"))
    assert json.loads((path / "config.json").read_text())["dtype"] == "bfloat16"
