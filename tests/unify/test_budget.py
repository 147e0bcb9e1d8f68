"""Budgets and the breaker: a limit is never passed, what is under way is kept, the same command goes on."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.recipe import BudgetConfig, RecipeError, RunConfig, load_recipe
from tests.fakes_server import Reply, fake_server
from tests.unify.passages import shard
from tests.unify.test_rewrite import CONFIG, QUESTIONS, _journal_rows, hashes, passages, recipe, rewrite
from unify import budget
from unify.budget import BREAKER_LEAST, BreakerOpen, Ledger, Stopped, most_of, within
from unify.journal import Spent
from unify.request import Request, Response


def request(text: str = "a question", max_tokens: int = 10, about: str = "web/1#a") -> Request:
    return Request("m", ({"role": "user", "content": text},), {"max_tokens": max_tokens, "n": 2}, about=about)


def response(output_tokens: int = 5) -> Response:
    return Response(("x",), ("stop",), "fp", 7, output_tokens)


def ledger(spent: Spent = Spent(), **limits: Any) -> Ledger:  # noqa: B008, Spent is frozen
    run = RunConfig(budget=BudgetConfig(**limits))
    return Ledger(lambda: run, spent, now=lambda: datetime(2026, 1, 1, 12, 30))


async def ask_until_stopped(one: Ledger, answers: list[int], in_flight: int) -> list[str]:
    """Send requests, several at a time, whose answers have so many tokens; return what stopped each worker."""
    left, stopped = list(answers), []

    async def work() -> None:
        while left:
            tokens = left.pop()
            try:
                async with one.admit(request()) as count:
                    await asyncio.sleep(0)
                    count(response(tokens))
            except Stopped as limit:
                stopped.append(str(limit))
                return

    await asyncio.gather(*(work() for _ in range(in_flight)))
    return stopped


@given(st.lists(st.integers(0, 20), max_size=60), st.integers(0, 800), st.integers(1, 12))
@settings(max_examples=60, deadline=None)
def test_tokens_and_money_are_never_passed_and_not_left_over_without_need(
    answers: list[int], limit: int, in_flight: int
) -> None:
    most = most_of(request())
    for limits in ({"max_tokens": limit}, {"max_cost": limit / 1e6, "input_price": 1.0, "output_price": 1.0}):
        one = ledger(Spent(3, 20, 10), **limits)
        stopped = asyncio.run(ask_until_stopped(one, answers, in_flight))
        assert one.total.tokens <= max(limit, 30)
        if stopped:
            assert one.total.tokens + most.tokens > limit - 1e-6
        else:
            assert one.sent.requests == len(answers)


def test_requests_are_counted_over_the_whole_output() -> None:
    one = ledger(Spent(requests=95), max_requests=100)
    (*_, stopped) = asyncio.run(ask_until_stopped(one, [1] * 50, 8))
    assert one.total.requests == 100
    assert stopped.startswith("[run.budget] max_requests = 100 is reached (100 requests, 40 tokens so far); raise it")
    assert stopped.endswith("run the same command again to go on")


def test_hours_end_a_run() -> None:
    seconds = [0.0]
    run = RunConfig(budget=BudgetConfig(max_hours=2))
    one = Ledger(lambda: run, Spent(), clock=lambda: seconds[0])
    assert not asyncio.run(ask_until_stopped(one, [1], 1))
    seconds[0] = 7201.0
    assert "max_hours = 2.0 is reached" in asyncio.run(ask_until_stopped(one, [1], 1))[0]


def test_a_window_ends_a_run() -> None:
    assert not asyncio.run(ask_until_stopped(ledger(window="12:00-13:00"), [1], 1))
    assert "window = 22:00-06:00 is over" in asyncio.run(ask_until_stopped(ledger(window="22:00-06:00"), [1], 1))[0]


@pytest.mark.parametrize(
    ("window", "hour", "inside"),
    [
        ("22:00-06:00", 23, True),
        ("22:00-06:00", 5, True),
        ("22:00-06:00", 6, False),
        ("08:30-17:00", 8, False),
        ("08:30-17:00", 16, True),
        ("08:30-17:00", 17, False),
    ],
)
def test_a_window_may_reach_over_midnight(window: str, hour: int, inside: bool) -> None:
    assert within(window, datetime(2026, 1, 1, hour)) is inside


def test_a_limit_may_be_raised_while_requests_wait() -> None:
    run = [RunConfig(budget=BudgetConfig(max_requests=1))]
    one = Ledger(lambda: run[0], Spent())

    async def go() -> None:
        async with one.admit(request()) as count:
            waiting = asyncio.create_task(ask_until_stopped(one, [1, 1], 1))
            await asyncio.sleep(0)
            run[0] = RunConfig(budget=BudgetConfig(max_requests=3))
            count(response())
        assert await waiting == []

    asyncio.run(go())
    assert one.total.requests == 3


def end(one: Ledger, number: int, reason: str | None, *, asked: bool = True) -> None:
    async def go() -> None:
        async with one.admit(request(about=f"p{number}")) as count:
            count(response())

    if asked:
        asyncio.run(go())
    one.finished(f"p{number}", [{"drop_reason": reason}])


@pytest.mark.parametrize(("rejected", "opens"), [(0.49, False), (0.52, True)])
def test_the_breaker_opens_where_too_many_passages_end_alike(rejected: float, opens: bool) -> None:
    one = ledger()
    for number in range(BREAKER_LEAST):
        end(one, number, "leak" if number % 100 < 100 * rejected else None)
    stopped = asyncio.run(ask_until_stopped(one, [1], 1))
    assert bool(stopped) is opens
    if opens:
        assert stopped[0].startswith("52% of the last 500 passages end as leak, [run] breaker_share allows 50%; read")


def test_the_breaker_counts_neither_different_reasons_together_nor_what_the_journal_had() -> None:
    one = ledger()
    for number in range(BREAKER_LEAST):
        end(one, number, f"reason_{number % 3}")
        end(one, 10_000 + number, "leak", asked=False)
    assert asyncio.run(ask_until_stopped(one, [1], 1)) == []
    assert one.rejected["leak"] == BREAKER_LEAST


def test_the_breaker_is_a_stop_of_its_own() -> None:
    assert issubclass(BreakerOpen, Stopped)
    assert {0, 1, 2, Stopped.code, BreakerOpen.code, 130} == {0, 1, 2, 3, 4, 130}


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("[run.budget]\nmax_cost = 5\n", r"run.budget: got max_cost without prices, expected input_price and output"),
        ('[run.budget]\nwindow = "22-6"\n', r"run.budget.window: got '22-6', expected"),
        ("[run.budget]\nmax_token = 5\n", r"run.budget.max_token: unknown key"),
    ],
)
def test_mistakes_in_a_budget_are_told_in_one_line(tmp_path: Path, written: str, told: str) -> None:
    (tmp_path / "r.toml").write_text('name = "r"\nsources = ["web"]\n' + written)
    with pytest.raises(RecipeError, match=told) as raised:
        load_recipe(tmp_path / "r.toml", ())
    assert "\n" not in str(raised.value)


def test_a_run_stopped_by_its_budget_keeps_all_it_paid_for_and_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    given_shards = [shard(tmp_path, passages(20))]
    with fake_server(lambda _: Reply(QUESTIONS, wait=0.01)) as fake:
        with pytest.raises(Stopped, match=r"max_requests = 11 is reached \(11 requests"):
            rewrite(given_shards, CONFIG, recipe(tmp_path, fake.url, in_flight=4, budget={"max_requests": 11}))
        assert len(fake.asked()) == _journal_rows(tmp_path) == 11
        assert len(list((tmp_path / "out").glob("part-*.parquet"))) >= 1
        with pytest.raises(Stopped):
            rewrite(given_shards, CONFIG, recipe(tmp_path, fake.url, in_flight=4, budget={"max_requests": 11}))
        assert len(fake.asked()) == 11
        out = rewrite(given_shards, CONFIG, recipe(tmp_path, fake.url, in_flight=4))
        once = len(fake.asked())
        (tmp_path / "fresh").mkdir()
        whole = rewrite(given_shards, CONFIG, recipe(tmp_path / "fresh", fake.url))
        assert len(fake.asked()) == 2 * once
    assert hashes(out) == hashes(whole)


def test_the_breaker_stops_a_run_whose_answers_are_all_bad(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "BREAKER_LEAST", 30)
    given_shards = [shard(tmp_path, passages(60))]
    config = CONFIG.model_copy(update={"tries": 1, "repairs": 0, "candidates": 1})
    bad: Callable[[dict[str, Any]], Reply] = lambda _: Reply(("According to the passage, what is gout?",))  # noqa: E731
    with fake_server(bad) as fake:
        with pytest.raises(BreakerOpen, match=r"100% of the last [34]\d passages end as leak.*breaker_share"):
            rewrite(given_shards, config, recipe(tmp_path, fake.url, in_flight=16))
        assert 30 <= _journal_rows(tmp_path) < 60
        rewrite(given_shards, config, recipe(tmp_path, fake.url, in_flight=16, breaker_share=1.0))
