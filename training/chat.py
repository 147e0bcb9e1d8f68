"""Talk to the model that a recipe trained, in the chat template that it was trained with."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, TextStreamer

from pipeline.recipe import RecipeError
from pipeline.shards import is_complete

HELP = "a line is a turn; /new begins another dialogue, /quit or the end of input leaves"
MAX_ANSWER_TOKENS = 1024  # a model that was trained little may find no end


def chat(folder: Path, lines: Iterable[str], max_answer_tokens: int = MAX_ANSWER_TOKENS) -> list[dict[str, str]]:
    """Answer each line, the dialogue so far in mind, and print answers as they come; return the last dialogue.

    The most likely token is taken each time, so that the same words get the same answer.

    Raises:
        RecipeError: there is no trained model in the folder, or it has no chat template.
    """
    if not is_complete(folder):
        raise RecipeError(f"{folder}: got no trained model, expected `make train` to have made it")
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    if not tokenizer.chat_template:
        raise RecipeError(f"{folder}: got a tokenizer without a chat template, expected one to talk by")
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype="auto")  # in eval mode
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    window = getattr(model.config.get_text_config(), "max_position_embeddings", None) or sys.maxsize
    streamer = TextStreamer(tokenizer, skip_prompt=True, skip_special_tokens=True)
    print(f"{folder}: {HELP}", flush=True)
    dialogue: list[dict[str, str]] = []
    for line in lines:
        words = line.strip()
        if words == "/quit":
            break
        if words == "/new":
            dialogue = []
        elif words:
            turns = [*dialogue, {"role": "user", "content": words}]
            # Templates that know a thinking mode leave it off, as in training; the others ignore the name.
            asked = tokenizer.apply_chat_template(
                turns, add_generation_prompt=True, enable_thinking=False, return_tensors="pt", return_dict=True
            ).to(model.device)
            said = asked["input_ids"].shape[1]
            if said >= window:
                print(f"(the dialogue would fill the model's {window} tokens; /new begins another)", flush=True)
                continue
            longest = min(max_answer_tokens, window - said)
            ids = model.generate(**asked, max_new_tokens=longest, do_sample=False, streamer=streamer)
            answer = tokenizer.decode(ids[0, said:], skip_special_tokens=True)
            dialogue = [*turns, {"role": "assistant", "content": answer}]
    return dialogue


def chat_in_terminal(folder: Path) -> None:
    """Talk over standard input and output."""
    chat(folder, _typed())


def _typed() -> Iterator[str]:
    while True:
        try:
            yield input("> " if sys.stdin.isatty() else "")
        except EOFError:
            return
