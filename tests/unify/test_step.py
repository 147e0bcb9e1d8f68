"""A step: rounds of sampling, the best that passes, and the repair that is told what was wrong."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from tests.unify.passages import passage
from unify.checks import Finding
from unify.request import REFUSED_LENGTH, Request, Response, RewriteConfig, request_hash
from unify.step import FAULTS, Step, Written, take

CONFIG = RewriteConfig(candidates=2, tries=2)


def taken(
    replies: Sequence[tuple[str, ...]],
    config: RewriteConfig = CONFIG,
    language: str = "en",
    schema: Mapping[str, Any] | None = None,
) -> tuple[Written[str], list[Request]]:
    asked: list[Request] = []

    async def ask(request: Request) -> Response:
        asked.append(request)
        texts = replies[len(asked) - 1]
        return Response(texts, ("stop",) * len(texts) or (REFUSED_LENGTH,), "fp", 1, 1)

    def read(text: str, finish_reason: str) -> tuple[str, Finding | None]:
        return text, None if text.startswith("good") else ("not_a_question", f"begins {text[:3]}")

    messages = [("system", "Ask."), ("user", "Text")]
    step = Step("style", "question", language, "prompt", messages, read, 9, schema=schema, rank=len)
    return asyncio.run(take(step, passage(), config, ask, config.tries)), asked


def test_the_highest_ranked_of_those_that_pass_is_taken() -> None:
    written, asked = taken([("good", "a long bad one", "good one")])
    assert (written.value, written.finding, len(asked)) == ("good one", None, 1)
    assert not written.repaired


def test_after_the_rounds_the_model_is_shown_its_text_and_what_is_wrong_with_it() -> None:
    written, asked = taken([("bad",), ("worse",), ("<think>hm</think>good",)])
    assert (written.value, written.repaired) == ("good", True)
    assert asked[2].messages[:2] == asked[0].messages
    assert asked[2].messages[2] == {"role": "assistant", "content": "worse"}
    assert FAULTS["en"]["not_a_question"] in asked[2].messages[3]["content"]
    assert "begins wor" in asked[2].messages[3]["content"]
    assert [(made.step, made.request) for made in written.made] == [
        ("question", request_hash(asked[1])),
        ("question_repair", request_hash(asked[2])),
    ]
    assert [request.attempt for request in asked] == [0, 1, 2]


def test_a_second_repair_shows_the_text_of_the_first() -> None:
    written, asked = taken([("bad",), ("worse",), ("worst",), ("good",)], CONFIG.model_copy(update={"repairs": 2}))
    assert written.repaired
    assert [message["content"] for message in asked[3].messages if message["role"] == "assistant"] == ["worst"]


def test_what_cannot_be_repaired_keeps_its_reason() -> None:
    written, asked = taken([("bad",), ("worse",), ("worst",)])
    assert (written.value, written.finding) == ("worst", ("not_a_question", "begins wor"))
    assert len(asked) == 3
    assert not written.repaired
    assert len(taken([("bad",), ("worse",)], CONFIG.model_copy(update={"repairs": 0}))[1]) == 2


def test_an_empty_text_is_nothing_to_repair() -> None:
    assert len(taken([("",), ("",)])[1]) == 2


def test_a_prompt_that_the_server_does_not_take_ends_the_step() -> None:
    written, asked = taken([()])
    assert (written.value, written.finding, len(asked)) == (None, (REFUSED_LENGTH, "no answer"), 1)
    written, _ = taken([("bad",), ("worse",), ()])  # the repair is what was too long
    assert written.finding == ("not_a_question", "begins wor")


@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_model_is_spoken_to_in_the_language_that_it_writes(language: str) -> None:
    _, asked = taken([("bad",), ("worse",), ("good",)], language=language)
    assert FAULTS[language]["not_a_question"] in asked[2].messages[3]["content"]
    assert FAULTS["en"].keys() == FAULTS["zh"].keys()


def test_a_schema_goes_with_the_request_and_into_its_hash() -> None:
    schema = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    _, (plain,) = taken([("good",)])
    _, (held,) = taken([("good",)], schema=schema)
    assert held.parameters["response_format"]["json_schema"] == {"name": "question", "strict": True, "schema": schema}
    assert "response_format" not in plain.parameters
    assert request_hash(plain) != request_hash(held)
