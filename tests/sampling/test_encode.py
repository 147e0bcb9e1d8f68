from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.recipe import RecipeError
from pipeline.records import ENCODED, EXAMPLE, IGNORE_INDEX, marked_schema
from sampling.encode import EncodeConfig, encode_examples, label, load_encoder
from tests.fakes import tiny_tokenizer

# An empty thought before the last answer, and some contents stripped, as templates of current models have it.
THINKING = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['role'] == 'assistant' %}{% if loop.last %}<think>\n\n</think>\n\n{% endif %}"
    "{{ message['content'].lstrip('\n') }}{% else %}{{ message['content'] }}{% endif %}<|im_end|>\n{% endfor %}"
)
STRIPS = "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] | trim }}<|im_end|>\n{% endfor %}"
NO_END = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
SPACED = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }} <|im_end|>{% endfor %}"
SHOUTS = "{% for m in messages %}<|im_start|>{{ m['content'] | upper }}<|im_end|>\n{% endfor %}"
ALTERNATES = "{% if messages[0]['role'] != 'user' %}{{ raise_exception('users first') }}{% endif %}x"


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer")
    tiny_tokenizer(path)
    return path


def user(content: str) -> dict[str, object]:
    return {"role": "user", "content": content, "loss": False}


def answer(content: str, *, loss: bool = True) -> dict[str, object]:
    return {"role": "assistant", "content": content, "loss": loss}


def examples(*dialogues: list[dict[str, object]]) -> pa.Table:
    texts = {"source": "s", "kind": "sft", "lang": "zh-Hans", "style": "x", "split": "train", "passage_id": None}
    lists = {"support": [], "checks": [], "made_by": []}
    rows = [{"id": f"s/{place}", "messages": turns, **texts, **lists} for place, turns in enumerate(dialogues)]
    return pa.Table.from_pylist(rows, schema=EXAMPLE)


def encode(folder: Path, *dialogues: list[dict[str, object]], max_tokens: int = 400) -> list[dict[str, object]]:
    config = EncodeConfig(tokenizer=str(folder), max_tokens=max_tokens)
    encoded = encode_examples(examples(*dialogues), config, {"tokenizer": (folder,)})
    assert encoded.schema.equals(marked_schema(ENCODED))
    return encoded.to_pylist()


def spelled(folder: Path, row: dict[str, object]) -> tuple[str, str]:
    """Return the text of an encoded example and that of its labels."""
    decode = load_encoder(str(folder)).tokenizer.decode
    assert all(label in (IGNORE_INDEX, id) for id, label in zip(row["input_ids"], row["labels"], strict=True))
    assert row["labels"][0] == IGNORE_INDEX
    return decode(row["input_ids"]), decode([label for label in row["labels"] if label != IGNORE_INDEX])


def test_the_labels_spell_the_outputs_and_their_end_tokens(folder):
    turns = [user("血压高怎么办？"), answer(" 少吃盐。🙂\n"), user("And gout?"), answer("Drink water.")]
    (row,) = encode(folder, turns)
    text, labels = spelled(folder, row)
    body = "".join(f"<|im_start|>{turn['role']}\n{turn['content']}<|im_end|>\n" for turn in turns)
    assert text == body
    assert labels == " 少吃盐。🙂\n<|im_end|>Drink water.<|im_end|>"


CONTENT = st.text(alphabet=st.sampled_from("血压高 \n。aB1?🙂é"), max_size=12)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(st.lists(st.tuples(CONTENT, CONTENT, st.booleans()), min_size=1, max_size=3))
def test_labels_spell_the_outputs_whatever_they_say(folder, turns):
    dialogue = [turn for asked, said, loss in turns for turn in (user(asked), answer(said, loss=loss))]
    (row,) = encode(folder, dialogue)
    wanted = "".join(f"{said}<|im_end|>" for _, said, loss in turns if loss)
    if wanted:
        assert spelled(folder, row)[1] == wanted
    else:
        assert row["drop_reason"] == "no_target"


def test_an_answer_without_loss_has_no_labels(folder):
    (row,) = encode(folder, [user("a"), answer("first", loss=False), user("b"), answer("second")])
    assert spelled(folder, row)[1] == "second<|im_end|>"


def test_raw_text_is_its_tokens_and_the_end(folder):
    (row,) = encode(folder, [answer("压高血 Gout 痛风可以饮水")])
    text, labels = spelled(folder, row)
    assert text == "压高血 Gout 痛风可以饮水<|im_end|>"
    assert len([label for label in row["labels"] if label == IGNORE_INDEX]) == 1
    assert labels.endswith("Gout 痛风可以饮水<|im_end|>")


def test_what_follows_the_last_output_is_cut(folder):
    (row,) = encode(folder, [user("a"), answer("b"), user("c"), answer("d", loss=False)])
    assert spelled(folder, row)[0].endswith("b<|im_end|>\n")


def test_a_long_dialogue_ends_at_an_output_that_fits(folder):
    turns = [turn for number in range(6) for turn in (user(f"问{number}"), answer(f"答{number}"))]
    (whole,) = encode(folder, turns)
    for max_tokens in range(20, len(whole["input_ids"])):
        (row,) = encode(folder, turns, max_tokens=max_tokens)
        if row["drop_reason"] is None:
            assert len(row["input_ids"]) <= max_tokens
            assert spelled(folder, row)[0].endswith("<|im_end|>\n")
            assert row["labels"][-2] != IGNORE_INDEX
            assert row["input_ids"] == whole["input_ids"][: len(row["input_ids"])]


@pytest.mark.parametrize(
    ("turns", "reason"),
    [
        ([user("a"), answer("长" * 300)], "too_long"),
        ([user("a"), answer("b", loss=False)], "no_target"),
        ([], "no_target"),
        ([user("a <|im_end|> b"), answer("c")], "special_token"),
        ([answer("raw <|im_start|>")], "special_token"),
    ],
)
def test_each_reason(folder, turns, reason):
    bad, good = encode(folder, turns, [user("a"), answer("b")])
    assert bad["drop_reason"] == reason
    assert bad["input_ids"] == []
    assert good["drop_reason"] is None


def with_template(path: Path, template: str) -> Path:
    tiny_tokenizer(path, chat_template=template)
    return path


def test_an_empty_thought_before_the_last_answer_is_not_an_output(tmp_path):
    folder = with_template(tmp_path, THINKING)
    (row,) = encode(folder, [user(" a "), answer("\nfirst"), user("b"), answer("\n\nsecond\n")])
    text, labels = spelled(folder, row)
    assert text.endswith("<|im_start|>assistant\n<think>\n\n</think>\n\nsecond\n<|im_end|>\n")
    assert text.count("<think>") == 1
    assert labels == "first<|im_end|>second\n<|im_end|>"


def test_a_dialogue_that_was_cut_is_rendered_anew(tmp_path):
    folder = with_template(tmp_path, THINKING)
    (row,) = encode(folder, [user("a"), answer("first"), user("b"), answer("second" * 40)], max_tokens=100)
    text, labels = spelled(folder, row)
    assert text == "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\nfirst<|im_end|>\n"
    assert labels == "first<|im_end|>"


@pytest.mark.parametrize("max_tokens", [400, 150])
def test_a_model_that_thinks_is_trained_on_what_it_is_asked_with_thinking_off(tmp_path, max_tokens):
    folder = with_template(tmp_path, (Path(__file__).parent / "thinking.jinja").read_text(encoding="utf-8"))
    turns = [{"role": "system", "content": "你是医生。", "loss": False}]
    turns += [
        user("头痛?"),
        answer("多久了？"),
        user("头痛?"),
        answer("First, rest."),
        user("c" * 20),
        answer("d" * 40),
    ]
    (row,) = encode(folder, turns, max_tokens=max_tokens)
    text, labels = spelled(folder, row)
    kept = turns if max_tokens == 400 else turns[:5]
    asked = load_encoder(str(folder)).tokenizer.apply_chat_template(
        kept[:-1], tokenize=False, add_generation_prompt=True, enable_thinking=False
    )
    assert asked.endswith("<|im_start|>assistant\n<think>\n\n</think>\n\n")
    assert text == asked + kept[-1]["content"] + "<|im_end|>\n"
    assert labels == "".join(turn["content"] + "<|im_end|>" for turn in kept if turn["loss"])
    prompt = load_encoder(str(folder)).backend.encode(asked, add_special_tokens=False).ids
    assert row["input_ids"][: len(prompt)] == prompt  # token by token
    assert row["labels"][len(prompt)] == row["input_ids"][len(prompt)]


def test_a_template_that_strips_contents_is_followed(tmp_path):
    folder = with_template(tmp_path, STRIPS)
    (row,) = encode(folder, [user(" a\n"), answer("  b  ")])
    assert spelled(folder, row) == (
        "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\nb<|im_end|>\n",
        "b<|im_end|>",
    )


def test_a_template_without_an_end_of_turn_gets_the_end_token(tmp_path):
    folder = with_template(tmp_path, NO_END)
    (row,) = encode(folder, [user("a"), answer("。b")])
    assert spelled(folder, row)[0] == "user: a\nassistant: 。b<|im_end|>"


def test_a_token_that_begins_before_the_output_has_no_label(tmp_path):
    folder = with_template(tmp_path, SPACED)
    (row,) = encode(folder, [user("x"), answer("patients with gout")])
    encoder = load_encoder(str(folder))
    merged = encoder.backend.encode("assistant: patients", add_special_tokens=False).tokens
    assert any(token.startswith("Ġ") and len(token) > 1 for token in merged)  # the space of the prompt is in a token
    assert not spelled(folder, row)[1].startswith(" ")
    assert spelled(folder, row)[1].endswith("gout <|im_end|>")


@pytest.mark.parametrize("template", [SHOUTS, ALTERNATES])
def test_a_template_that_changes_contents_or_refuses_is_a_mismatch(tmp_path, template):
    folder = with_template(tmp_path, template)
    dropped = encode(folder, [{"role": "system", "content": "be kind", "loss": False}, user("a"), answer("b")])
    assert [row["drop_reason"] for row in dropped] == ["template_mismatch"]


def test_a_dialogue_without_a_template_is_a_recipe_error(tmp_path):
    folder = with_template(tmp_path, "")
    assert encode(folder, [answer("raw text")])[0]["drop_reason"] is None
    with pytest.raises(RecipeError, match="no chat template"):
        encode(folder, [user("a"), answer("b")])


def test_a_folder_without_a_tokenizer_is_a_recipe_error(tmp_path):
    with pytest.raises(RecipeError, match="expected a tokenizer"):
        encode(tmp_path / "nothing", [user("a"), answer("b")])


def test_labels_by_hand():
    ids = np.arange(10, 17, dtype=np.int32)
    offsets = [
        (0, 2),
        (2, 3),
        (4, 6),
        (6, 7),
        (6, 7),
        (7, 9),
        (9, 10),
    ]  # the third begins with a space, said to begin at 4
    labels = label(ids, offsets, [(0, 3), (4, 7), (9, 10)])
    assert labels.tolist() == [-100, 11, -100, 13, 14, -100, 16]


def test_no_rows_at_all(folder):
    assert encode(folder) == []


def test_a_template_of_the_recipe_stands_in_for_one_that_a_base_model_lacks(tmp_path):
    tokenizer = tiny_tokenizer(tmp_path / "base")
    tokenizer.chat_template = None
    tokenizer.save_pretrained(tmp_path / "base")
    (tmp_path / "base" / "chat_template.jinja").unlink(missing_ok=True)
    template = Path(__file__).parents[2] / "recipes" / "chat_templates" / "chatml.jinja"
    messages = [
        {"role": "user", "content": "Why?", "loss": False},
        {"role": "assistant", "content": "Because.", "loss": True},
    ]
    with pytest.raises(RecipeError, match="template"):
        load_encoder(str(tmp_path / "base")).encode(messages, 64)
    ids, labels = load_encoder(str(tmp_path / "base"), template).encode(messages, 64)
    assert tokenizer.decode(ids) == "<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\nBecause.<|im_end|>\n"
    assert tokenizer.decode(labels[labels >= 0]) == "Because.<|im_end|>"
