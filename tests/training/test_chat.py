import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from pipeline.recipe import RecipeError
from tests.training.conftest import tiny_model
from training.chat import chat


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tiny_model(tmp_path_factory.mktemp("chat") / "hf")
    (folder / "manifest.json").write_text("{}")
    return folder


def test_each_turn_is_answered_with_the_dialogue_in_mind(trained, capsys):
    dialogue = chat(
        trained, ["forgotten\n", "/new\n", "AB\n", "\n", " C \n", "/quit\n", "never\n"], max_answer_tokens=5
    )
    assert [turn["role"] for turn in dialogue] == ["user", "assistant"] * 2
    assert [turn["content"] for turn in dialogue[::2]] == ["AB", "C"]
    tokenizer = AutoTokenizer.from_pretrained(trained)
    model = AutoModelForCausalLM.from_pretrained(trained).eval()
    for said in (1, 3):
        asked = tokenizer.apply_chat_template(dialogue[:said], return_tensors="pt", return_dict=True)
        ids = model.generate(**asked, max_new_tokens=5, do_sample=False)[0, asked["input_ids"].shape[1] :]
        assert dialogue[said]["content"] == tokenizer.decode(ids, skip_special_tokens=True) != ""
    printed = capsys.readouterr().out
    assert all(turn["content"] in printed for turn in dialogue[1::2])


def test_a_dialogue_that_fills_the_model_is_not_asked(trained, capsys):
    assert chat(trained, ["A" * 63]) == []
    assert "would fill the model's 64 tokens" in capsys.readouterr().out


def test_a_folder_without_a_model_is_said_in_one_line(tmp_path):
    with pytest.raises(RecipeError, match=r"got no trained model, expected `make train` to have made it"):
        chat(tmp_path, [])
