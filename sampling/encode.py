"""Encode examples: token ids, and labels on the outputs alone.

Reads Example, writes Encoded. The chat template lives here and nowhere else. A dialogue is rendered and tokenised as
one string, because a tokenizer may merge characters across the seam of two pieces; which tokens bear a loss follows
from their characters. Where each message stands in the string is found by rendering the template once more with a
mark in place of every content.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import transformers
from jinja2 import TemplateError
from numpy.typing import NDArray
from pydantic import Field

from pipeline.recipe import Config, RecipeError
from pipeline.records import ENCODED, IGNORE_INDEX, mark

Messages = Sequence[Mapping[str, Any]]  # role, content, loss


class EncodeConfig(Config):
    """Which tokenizer, and how long an example may be."""

    tokenizer: str = Field(min_length=1, description="folder or hub name; filled from [train] model")
    max_tokens: int = Field(default=4096, ge=2, description="tokens of an example and of a packed row")
    chat_template: str | None = Field(default=None, description="file of a Jinja template; from [train] chat_template")


@dataclass(frozen=True)
class Rendered:
    """A dialogue as one string, and the characters that bear a loss: spans in order."""

    text: str
    spans: list[tuple[int, int]]


class Dropped(Exception):
    """A row that cannot be encoded: its reason, and the detail."""


def encode_examples(examples: pa.Table, config: EncodeConfig, files: Mapping[str, Sequence[Path]]) -> pa.Table:
    """Encode each of N examples; an example that has one message, with loss, is raw text and gets no template.

    A label is its token where the token begins within an output: the content of a message with loss and the
    end-of-turn token right behind it, or raw text and the end token. The first token of an example has none, for
    nothing stands before it. A dialogue that is too long, or goes on after its last output, ends earlier, at an output.

    Returns:
        N rows of Encoded in the same order plus `drop_reason`: `no_target` (no message with loss, or none of its
        tokens is a label), `special_token` (a content spells one of the tokenizer's control tokens),
        `template_mismatch` (the template changes contents, or refuses the roles), `too_long` (more than `max_tokens`
        tokens up to the first output's end).

    Raises:
        RecipeError: the tokenizer cannot be loaded, has no offsets, no end token, or lacks a template for a dialogue.
    """
    tokenizer = str(files["tokenizer"][0]) if files.get("tokenizer") else config.tokenizer
    encoder = load_encoder(tokenizer, *files.get("chat_template", ()))
    input_ids, labels, reasons, details = [], [], [], []
    for messages in examples["messages"].to_pylist():
        try:
            ids, targets = encoder.encode(messages, config.max_tokens)
            reason, detail = None, None
        except Dropped as dropped:
            ids = targets = np.zeros(0, np.int32)
            reason, detail = dropped.args
        input_ids.append(ids)
        labels.append(targets)
        reasons.append(reason)
        details.append(detail)
    columns = [examples[name] for name in ("id", "source", "kind", "style", "split")]
    tokens = pa.list_(pa.int32())
    encoded = pa.table([*columns, pa.array(input_ids, tokens), pa.array(labels, tokens)], schema=ENCODED)
    names = ("no_target", "special_token", "template_mismatch", "too_long")
    rules = {name: pa.array([reason == name for reason in reasons], pa.bool_()) for name in names}
    return mark(encoded, rules, dict.fromkeys(names, details))


@lru_cache(maxsize=4)
def load_encoder(tokenizer: str, chat_template: Path | None = None) -> "Encoder":
    """Load a tokenizer from a folder or by its hub name, once in a process; a template of ours replaces its own.

    Raises:
        RecipeError: there is none, or it cannot say which characters a token covers.
    """
    try:
        loaded = transformers.AutoTokenizer.from_pretrained(tokenizer)
    except (OSError, ValueError) as error:
        why = str(error).splitlines()[0]
        raise RecipeError(f"[train] model: got {tokenizer}, expected a tokenizer: {why}") from None
    if not loaded.is_fast:
        raise RecipeError(f"[train] model: the tokenizer of {tokenizer} has no offsets, expected a tokenizer.json")
    if loaded.eos_token is None:
        raise RecipeError(f"[train] model: the tokenizer of {tokenizer} has no end token, expected eos_token")
    if chat_template is not None:
        loaded.chat_template = chat_template.read_text(encoding="utf-8")
    return Encoder(tokenizer, loaded)


class Encoder:
    """A tokenizer with what is derived from it once: its control tokens, and where contents stand in its template."""

    def __init__(self, name: str, tokenizer: Any) -> None:
        self.name = name
        self.tokenizer = tokenizer
        # One text at a time: the backend then starts no threads, which a process that forks could not bear.
        self.backend = tokenizer.backend_tokenizer
        self.backend.no_truncation()
        self.backend.no_padding()
        added = tokenizer.added_tokens_decoder.values()
        specials = {token.content for token in added if token.special} | set(tokenizer.all_special_tokens)
        self.special = re.compile("|".join(re.escape(token) for token in sorted(specials, key=len, reverse=True)))
        self.end_of_turn = re.compile(f" *(?:{self.special.pattern})")
        self.frames: dict[tuple[str, ...], list[str]] = {}  # roles -> what the template puts around the contents

    def encode(self, messages: Messages, max_tokens: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Return the input ids and labels of one example, shortened from behind to at most `max_tokens`.

        Raises:
            Dropped: see `encode_examples`.
        """
        if found := next((found for message in messages if (found := self.special.search(message["content"]))), None):
            raise Dropped("special_token", found.group())
        ends = [place + 1 for place, message in enumerate(messages) if message["loss"]]
        fewest = 0
        for end in reversed(ends):
            rendered = self.render(messages[:end], raw=len(messages) == 1)
            tokens = self.backend.encode(rendered.text, add_special_tokens=False)
            if len(tokens.ids) <= max_tokens:
                ids = np.array(tokens.ids, np.int32)
                labels = label(ids, tokens.offsets, rendered.spans)
                if (labels == IGNORE_INDEX).all():
                    raise Dropped("no_target", None)
                return ids, labels
            fewest = len(tokens.ids)
        if fewest:
            raise Dropped("too_long", f"{fewest} tokens")
        raise Dropped("no_target", None)

    def render(self, messages: Messages, *, raw: bool) -> Rendered:
        """Lay out a dialogue as one string and find its outputs.

        Raises:
            Dropped: the template does not keep the contents, but for white space around them, or refuses the roles.
        """
        if raw:
            text = str(messages[0]["content"]) + str(self.tokenizer.eos_token)
            return Rendered(text, [(0, len(text))])
        roles = tuple(message["role"] for message in messages)
        try:
            if roles not in self.frames:
                marks = [f"\ue000{place}\ue001" for place in range(len(roles))]
                self.frames[roles] = self._pieces(self._apply(roles, marks), marks)
            text = self._apply(roles, [message["content"] for message in messages])
        except TemplateError as error:
            raise Dropped("template_mismatch", str(error)) from None
        spans = self._spans(text, messages, self.frames[roles])
        if messages[-1]["loss"] and not self.frames[roles][-1].strip():  # a template without an end of turn
            text = text[: spans[-1][1]] + str(self.tokenizer.eos_token)
            spans[-1] = (spans[-1][0], len(text))
        return Rendered(text, spans)

    def _apply(self, roles: Sequence[str], contents: Sequence[str]) -> str:
        if not self.tokenizer.chat_template:
            raise RecipeError(f"[train] model: {self.name} has no chat template, expected one for dialogues")
        turns = [{"role": role, "content": content} for role, content in zip(roles, contents, strict=True)]
        # Templates that know a thinking mode leave it off; the others ignore the name.
        return str(self.tokenizer.apply_chat_template(turns, tokenize=False, enable_thinking=False))

    @staticmethod
    def _pieces(text: str, marks: Sequence[str]) -> list[str]:
        pieces = []
        for content in marks:
            before, found, text = text.partition(content)
            if not found:
                raise Dropped("template_mismatch", "the template leaves out a message")
            pieces.append(before)
        return [*pieces, text]

    def _spans(self, text: str, messages: Messages, pieces: Sequence[str]) -> list[tuple[int, int]]:
        """Find the outputs in a rendered dialogue, whose contents the template may have stripped."""
        spans, at = [], 0
        if not text.startswith(pieces[0]):
            raise Dropped("template_mismatch", "the template depends on a content")
        at = len(pieces[0])
        for message, behind in zip(messages, pieces[1:], strict=True):
            content = message["content"]
            stripped = (content.strip(), content.lstrip(), content.rstrip(), content.strip("\n"), content.lstrip("\n"))
            kept = next((kept for kept in (content, *stripped) if text.startswith(kept + behind, at)), None)
            if kept is None:
                raise Dropped("template_mismatch", "the template changes a content")
            stop = at + len(kept)
            if message["loss"]:
                end = self.end_of_turn.match(behind)
                spans.append((at, stop + (end.end() if end else 0)))
            at = stop + len(behind)
        if at != len(text):
            raise Dropped("template_mismatch", "the template repeats a content")
        return spans


def label(
    ids: NDArray[np.int32], offsets: Sequence[tuple[int, int]], spans: Sequence[tuple[int, int]]
) -> NDArray[np.int32]:
    """Label the T tokens that begin within a span of characters, all but the first token.

    Args:
        offsets: the characters of each token. A token that begins with a space may be said to begin behind it; it is
            taken to begin where the token before it ends, as it does.
        spans: in order, without overlap.

    Returns:
        (T,) the token where it has a loss, IGNORE_INDEX elsewhere.
    """
    begins, ends = np.array(offsets, np.int64).reshape(-1, 2).T
    begins[1:] = np.minimum(begins[1:], ends[:-1])
    bounds = np.array(spans, np.int64).reshape(-1)
    inside = np.searchsorted(bounds, begins, side="right") % 2 == 1  # between a start and its end
    inside[:1] = False
    return np.where(inside, ids, np.int32(IGNORE_INDEX)).astype(np.int32)
