"""The client against a server that misbehaves: what is retried, what stops the run, and what never shows."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from pipeline.recipe import RecipeError, RunConfig
from tests.fakes_server import Fake, Reply, fake_server
from unify import client
from unify.client import connected
from unify.request import PROMPT_REFUSED, REFUSED_LENGTH, UNANSWERED, Request, Response, RewriteConfig, request_of

CONFIG = RewriteConfig(model="fake-model", temperature=0.3, top_k=7, min_p=0.05, repetition_penalty=1.1)
PREFLIGHT = request_of(CONFIG, [("user", "Name one vitamin.")], names=("preflight",), max_tokens=16)


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "FIRST_WAIT", 0.01)


def a_request(config: RewriteConfig = CONFIG, n: int = 1) -> Request:
    return request_of(config, [("user", "Ask something.")], names=("p",), max_tokens=32, n=n, stop=["\n"])


def ask_all(
    urls: Sequence[str], requests: Sequence[Request], said: Callable[[str], None] = lambda _: None, **run: Any
) -> list[Response]:
    async def go() -> list[Response]:
        settings = RunConfig(**run)
        async with connected(lambda: settings, lambda: urls, PREFLIGHT, said) as ask:
            return list(await asyncio.gather(*map(ask, requests)))

    return asyncio.run(go())


def is_preflight(body: dict[str, Any]) -> bool:
    return bool(body["messages"][-1]["content"] == "Name one vitamin.")


def replies(fake_replies: Sequence[Reply]) -> Callable[[dict[str, Any]], Reply]:
    """Answer the preflight, then reply by reply, the last one again and again."""
    left = [Reply(), *fake_replies]
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


def test_every_sampling_parameter_is_sent() -> None:
    with fake_server(replies([Reply()])) as fake:
        ask_all([fake.url], [a_request(n=3)])
    sent = fake.asked()[0]
    names = "temperature top_p max_tokens n seed presence_penalty frequency_penalty stop top_k min_p repetition_penalty"
    assert set(names.split()) <= set(sent)
    assert (sent["temperature"], sent["top_k"], sent["n"], sent["stop"]) == (0.3, 7, 3, ["\n"])
    assert sent["chat_template_kwargs"] == {"enable_thinking": False}


def test_an_openai_endpoint_gets_no_parameters_of_vllm() -> None:
    with fake_server(replies([Reply()])) as fake:
        ask_all([fake.url], [a_request(CONFIG.model_copy(update={"dialect": "openai"}))])
    assert not {"top_k", "min_p", "repetition_penalty", "chat_template_kwargs"} & set(fake.asked()[0])


@pytest.mark.parametrize("bad", [Reply(status=429), Reply(status=500), Reply(status=503), Reply(wait=1.5)], ids=str)
def test_what_can_heal_is_asked_again(bad: Reply) -> None:
    with fake_server(replies([bad, bad, Reply(("good?",))])) as fake:
        (response,) = ask_all([fake.url], [a_request()], timeout=0.5)
    assert response.texts == ("good?",)
    assert len(fake.asked()) == 3


def test_a_server_that_fails_on_everything_ends_the_run_after_the_stated_time_in_one_line() -> None:
    with fake_server(replies([Reply(status=500)])) as fake:
        with pytest.raises(
            RecipeError, match=r"no server has answered for 0.2 s \(HTTP 500: .*told to fail.*go on"
        ) as raised:
            ask_all([fake.url], [a_request()], retries=2, max_outage=0.2)
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize(("status", "reason"), [(500, UNANSWERED), (422, PROMPT_REFUSED)])
def test_a_prompt_that_alone_fails_ends_in_a_reason(status: int, reason: str) -> None:
    with fake_server(lambda body: Reply(status=200 if is_preflight(body) else status)) as fake:
        (response,) = ask_all([fake.url], [a_request()], retries=2)
    assert (response.texts, response.finish_reasons[0]) == ((), reason)
    assert response.finish_reasons[1].startswith(f"HTTP {status}: ")
    assert len(fake.asked()) == (3 if status == 500 else 1)  # what cannot heal is not tried again


def test_what_no_prompt_survives_ends_the_run() -> None:
    in_a_row = pytest.raises(RecipeError, match="21 prompts in a row got no answer, the last: HTTP 400")
    with fake_server(lambda body: Reply(status=200 if is_preflight(body) else 400)) as fake, in_a_row:
        ask_all([fake.url], [a_request()] * 21)
    with fake_server(replies([Reply(status=400)])) as fake, pytest.raises(RecipeError, match="preflight: HTTP 400"):
        ask_all([fake.url], [a_request()])


def test_a_prompt_that_is_too_long_is_data() -> None:
    refusal = Reply(status=400, error="This model's maximum context length is 2048 tokens, however you requested 9999")
    with fake_server(replies([refusal])) as fake:
        (response,) = ask_all([fake.url], [a_request()])
    assert (response.texts, response.finish_reasons[0]) == ((), REFUSED_LENGTH)


def test_no_server_is_an_error_of_one_line() -> None:
    with pytest.raises(
        RecipeError, match=r"http://127.0.0.1:9/v1: no server there .*, expected an OpenAI-compatible one"
    ):
        ask_all(["http://127.0.0.1:9/v1"], [])


def test_an_unknown_model_is_named_with_what_is_served() -> None:
    unknown = pytest.raises(RecipeError, match="got models another, expected fake-model")
    with fake_server(replies([Reply()]), model="another") as fake, unknown:
        ask_all([fake.url], [])


def test_the_preflight_shows_who_answers_and_what() -> None:
    said: list[str] = []
    with fake_server(lambda _: Reply(("Vitamin\nC, of course",))) as fake:
        ask_all([fake.url], [], said.append)
    assert said == [f"{fake.url}: fake-model (fp_fake) answers 'Vitamin C, of course'"]


def test_the_key_comes_from_the_environment_and_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", "sk-very-secret")
    said: list[str] = []
    refused = pytest.raises(RecipeError, match="bad key <key>")
    with fake_server(replies([Reply(status=401, error="bad key sk-very-secret")])) as fake, refused as raised:
        ask_all([fake.url], [a_request()], said.append, api_key_env="SOME_KEY")
    assert set(fake.keys) == {"Bearer sk-very-secret"}
    assert "secret" not in " ".join(said) + str(raised.value)


def test_a_server_without_fingerprint_gets_a_stable_one() -> None:
    def fingerprint(fake: Fake) -> str:
        return ask_all([fake.url], [a_request()])[0].fingerprint

    with (
        fake_server(lambda _: Reply(), fingerprint=None) as one,
        fake_server(lambda _: Reply(), fingerprint=None) as two,
    ):
        assert fingerprint(one) == fingerprint(two) != ""


def test_a_passage_keeps_to_its_server_until_that_has_clearly_more_to_do() -> None:
    with fake_server(lambda _: Reply(wait=0.05)) as one, fake_server(lambda _: Reply(wait=0.05)) as two:
        ask_all([one.url, two.url], [a_request()] * 4)
        assert {len(one.asked()), len(two.asked())} == {0, 4}
        ask_all([one.url, two.url], [a_request()] * 40)
    assert min(len(one.asked()), len(two.asked())) >= 16


def test_passages_are_spread_over_the_servers() -> None:
    with fake_server(lambda _: Reply(wait=0.05)) as one, fake_server(lambda _: Reply(wait=0.05)) as two:
        ask_all([one.url, two.url], [replace(a_request(), about=f"p{number}") for number in range(40)])
    assert min(len(one.asked()), len(two.asked())) >= 16


def test_the_wait_that_a_server_asks_for_is_kept() -> None:
    times: list[float] = []

    def reply(body: dict[str, Any]) -> Reply:
        times.append(time.monotonic())
        return Reply(status=429, headers={"Retry-After": "0.4"}) if len(times) == 2 else Reply()

    with fake_server(reply) as fake:
        ask_all([fake.url], [a_request()])
    assert times[2] - times[1] >= 0.4


def test_a_redirect_is_not_followed() -> None:
    elsewhere = Reply(status=307, headers={"Location": "http://8.8.8.8/v1/chat/completions"})
    with fake_server(replies([elsewhere])) as fake, pytest.raises(RecipeError, match="HTTP 307"):
        ask_all([fake.url], [a_request()])


def test_a_server_that_takes_no_response_format_is_asked_without_it_from_then_on() -> None:
    config = CONFIG.model_copy(update={"dialect": "openai"})
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}
    asked = replace(a_request(config), parameters={**a_request(config).parameters, "response_format": schema})

    def reply(body: dict[str, Any]) -> Reply:
        refused = "response_format" in body
        return Reply(status=400 if refused else 200, error="response_format json_schema is not supported")

    async def go(url: str) -> list[Response]:
        settings = RunConfig()
        async with connected(lambda: settings, lambda: [url], PREFLIGHT, lambda _: None) as ask:
            return [await ask(asked), await ask(asked)]

    with fake_server(reply) as fake:
        responses = asyncio.run(go(fake.url))
    assert all(response.texts for response in responses)
    assert ["response_format" in body for body in fake.asked()] == [True, False, False]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"fingerprint": "fp_other"}, "was fake-model@fp_fake, is fake-model@fp_other; start the old one"),
        ({"answers_as": "other-model"}, "was fake-model@fp_fake, is other-model@fp_fake; start the old one"),
        ({"root": "/models/other"}, "/models/fake.* is .*/models/other.*; start the old one"),
    ],
)
def test_a_model_that_changes_behind_its_name_ends_the_run(changed: dict[str, str], told: str) -> None:
    replies = [
        Reply(),
        Reply(),
        Reply(status=500),
        Reply(),
    ]  # preflight, one answer, and a failure, so that it is greeted

    with fake_server(lambda _: replies.pop(0) if "root" in changed else Reply()) as fake:

        async def go() -> None:
            settings = RunConfig(retries=0)
            async with connected(lambda: settings, lambda: [fake.url], PREFLIGHT, lambda _: None) as ask:
                await ask(a_request())
                for name, value in changed.items():
                    setattr(fake, name, value)
                await ask(a_request())

        with pytest.raises(RecipeError, match=told):
            asyncio.run(go())


def test_a_run_goes_on_while_a_server_is_down_and_uses_it_when_it_is_back() -> None:
    down = True

    def reply(body: dict[str, Any]) -> Reply:
        return Reply(status=503) if down else Reply(wait=0.01)

    requests = [replace(a_request(), about=f"p{number}") for number in range(40)]
    said: list[str] = []

    async def go(urls: Sequence[str], bad: Fake) -> int:
        nonlocal down
        settings = RunConfig(retries=1)
        async with connected(lambda: settings, lambda: urls, PREFLIGHT, said.append) as ask:
            first = await asyncio.gather(*map(ask, requests))
            down = False
            while f"{bad.url}: back" not in said:
                await asyncio.sleep(0.01)
            before = len(bad.asked())
            second = await asyncio.gather(*map(ask, requests))
            assert all(response.texts for response in (*first, *second))
            return len(bad.asked()) - before

    with fake_server(lambda _: Reply(wait=0.01)) as good, fake_server(reply) as bad:
        assert asyncio.run(go([good.url, bad.url], bad)) >= 10
    assert f"{bad.url}: set aside: HTTP 503: " in "".join(said)


def test_the_servers_may_change_while_a_request_waits_for_one() -> None:
    urls: list[str] = []
    down = False

    said: list[str] = []

    async def go(other: Fake, wrong: Fake) -> Response:
        nonlocal down
        settings = RunConfig(retries=0, max_outage=20.0)
        async with connected(lambda: settings, lambda: urls, PREFLIGHT, said.append) as ask:
            down = True
            waiting = asyncio.create_task(ask(a_request()))
            await asyncio.sleep(0.05)
            assert not waiting.done()
            urls[:] = [other.url, wrong.url]  # the second has another model, which costs the run nothing
            return await waiting

    with (
        fake_server(lambda _: Reply(status=503 if down else 200)) as one,
        fake_server(lambda _: Reply()) as other,
        fake_server(lambda _: Reply(), model="another") as wrong,
    ):
        urls.append(one.url)
        assert asyncio.run(go(other, wrong)).texts
    assert len(other.asked()) == 1
    assert f"{wrong.url}: got models another, expected fake-model; it is not used" in said


def test_half_a_character_in_an_answer_becomes_a_sign_that_files_can_hold() -> None:
    with fake_server(replies([Reply(("half \ud83d a character?",))])) as fake:
        (response,) = ask_all([fake.url], [a_request()])
    assert response.texts == ("half \ufffd a character?",)
