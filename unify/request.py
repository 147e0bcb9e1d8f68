"""What is asked of a model: the settings of rewriting, one request, one response, and the hash that names a request.

A request's hash covers all that can change its answer (model, messages, sampling, attempt) and nothing of where it is
sent, so that an answer outlives its server.
"""

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from pipeline.recipe import Config
from pipeline.records import uniform

StyleName = Literal[
    "huatuo2",
    "excerpt",
    "heading",
    "translation",
    "drug_label",
    "classical",
    "multiple_choice",
    "consultation",
    "not_stated",
    "raw",
]  # a file each in unify/styles; new ones go to the end
Weight = Annotated[float, Field(ge=0)]


class RewriteConfig(Config):
    """Settings of rewriting; `styles` maps a style to its weight, `styles_by_source` replaces it for a source."""

    model: str = "smollm2-135m-instruct"
    styles: dict[StyleName, Weight] = Field(default={"huatuo2": 1.0})
    styles_by_source: dict[str, dict[StyleName, Weight]] = Field(default={})
    model_languages: tuple[Literal["zh", "en"], ...] = ("zh", "en")  # other passages get styles that ask no model
    target_lang: Literal["passage", "zh-Hans", "en"] = "passage"  # of huatuo2; the others follow the passage
    thinking: Literal["off", "on"] = "off"  # off: the chat template is told so; reasoning is stripped either way
    dialect: Literal["vllm", "openai"] = (
        "vllm"  # openai: without top_k, min_p, repetition_penalty, chat_template_kwargs
    )
    temperature: float = Field(default=0.7, ge=0)
    top_p: float = Field(default=0.95, gt=0, le=1)
    top_k: int = Field(default=-1, ge=-1)  # -1: all tokens
    min_p: float = Field(default=0.0, ge=0, le=1)
    presence_penalty: float = Field(default=0.0, ge=-2, le=2)
    frequency_penalty: float = Field(default=0.0, ge=-2, le=2)
    repetition_penalty: float = Field(default=1.0, gt=0)
    max_tokens: int = Field(default=1024, ge=1)  # of one answer
    max_question_tokens: int = Field(default=96, ge=1)
    candidates: int = Field(default=1, ge=1)  # answers sampled at a time, of which the first that passes is kept
    tries: int = Field(default=2, ge=1)  # rounds of sampling
    repairs: int = Field(default=1, ge=0)  # requests after those that tell the model what is wrong with its text
    max_pairs_per_passage: int = Field(default=4, ge=1)  # of styles that ask a model
    sentences_per_pair: int = Field(default=4, ge=1)  # one pair for so many sentences that say something, rounded up
    min_coverage: float = Field(default=0.0, ge=0, le=1)  # share of a passage's sentences until which it is asked on
    excerpt_by: Literal["model", "program"] = "model"  # who chooses the sentences of `excerpt`; program: weak models
    max_excerpt_sentences: int = Field(default=4, ge=1, le=12)
    max_passage_chars: int = Field(default=6000, ge=1)  # longer ones are dropped, never cut
    min_answer_chars: int = Field(default=40, ge=1)
    max_answer_chars: int = Field(default=4000, ge=1)
    max_question_chars: int = Field(default=180, ge=1)  # HuatuoGPT-II's limit (released code)
    min_support: float = Field(default=0.3, ge=0, le=1)  # share of a huatuo2 answer's character n-grams in the passage
    shard_passages: int = Field(default=256, ge=1)  # passages a part, so that finished ones can be read early
    round: int = Field(
        default=0, ge=0
    )  # raised, everything is asked again; what was answered before stays in the journal
    regenerate: str | None = None  # a file of rules for what alone is asked again (again.py)
    seed: int = 0
    pilot: int | None = None


@dataclass(frozen=True)
class Request:
    """One chat completion; `parameters` are keyword arguments of the OpenAI client, all of them explicit."""

    model: str
    messages: tuple[Mapping[str, str], ...]
    parameters: Mapping[str, Any]
    attempt: int = 0
    about: str = ""  # the passage it is for: the journal keeps it, the hash leaves it out


@dataclass(frozen=True)
class Response:
    """What came back: N texts as the model wrote them, why each ended, and who wrote them."""

    texts: tuple[str, ...]
    finish_reasons: tuple[str, ...]  # stop, length; where there are no texts: a drop reason, and its detail
    fingerprint: str
    prompt_tokens: int
    output_tokens: int

    @property
    def refusal(self) -> tuple[str, str] | None:
        """Why the prompt got no texts, as a drop reason and its detail; None where it got some."""
        return None if self.texts else (self.finish_reasons[0], " ".join(self.finish_reasons[1:]) or "no answer")


Ask = Callable[[Request], Awaitable[Response]]

ATTEMPTS_A_ROUND = 1000  # more than any style makes

REFUSED_LENGTH = "prompt_too_long"  # the server takes no prompt of that length
PROMPT_REFUSED = "prompt_refused"  # an error about this prompt alone, a content filter's too
UNANSWERED = "unanswered"  # no usable answer in all retries, though the server answers other prompts


def whole_characters(text: str) -> str:
    """Put U+FFFD in the place of half a surrogate pair, which no file can hold; two halves become their character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def request_hash(request: Request) -> str:
    """Name a request by the SHA-256 of its canonical JSON."""
    asked = {name: getattr(request, name) for name in ("model", "messages", "parameters", "attempt")}
    canonical = json.dumps(asked, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()


def request_of(
    config: RewriteConfig,
    messages: Sequence[tuple[str, str]],
    *,
    names: Sequence[str],
    max_tokens: int,
    n: int = 1,
    stop: Sequence[str] = (),
    attempt: int = 0,
    schema: Mapping[str, Any] | None = None,
) -> Request:
    """Build the request for messages of (role, content).

    Args:
        names: what the request is for (passage first, style, step); the sampling seed is drawn from them.
        n: texts to sample.
        schema: the JSON schema that the server is to hold the texts to; it may not, so read them by `read_json`.
    """
    attempt += ATTEMPTS_A_ROUND * config.round
    parameters: dict[str, Any] = {
        "temperature": config.temperature,
        "top_p": config.top_p,
        "max_tokens": max_tokens,
        "n": n,
        "seed": int(uniform(config.seed, *names, str(attempt)) * 2**31),
        "presence_penalty": config.presence_penalty,
        "frequency_penalty": config.frequency_penalty,
        "stop": list(stop),
    }
    if schema is not None:
        named = {"name": names[-1], "strict": True, "schema": schema}
        parameters["response_format"] = {"type": "json_schema", "json_schema": named}
    if config.dialect == "vllm":
        parameters["extra_body"] = {
            "top_k": config.top_k,
            "min_p": config.min_p,
            "repetition_penalty": config.repetition_penalty,
            "chat_template_kwargs": {"enable_thinking": config.thinking == "on"},
        }
    chat = tuple({"role": role, "content": content} for role, content in messages)
    return Request(config.model, chat, parameters, attempt, about=names[0])
