"""The meter: speeds of the last readings, the best stretch, one JSON object where there is no terminal."""

import asyncio
import json

import pytest

from pipeline.progress import Meter
from pipeline.recipe import BudgetConfig, RunConfig
from unify.budget import Ledger
from unify.journal import Spent
from unify.meter import SPEED_OVER, Reading, Speeds, figures, note, shown_live


def readings(tokens_a_second: list[int]) -> Speeds:
    speeds, tokens = Speeds(), 0
    for second, more in enumerate([0, *tokens_a_second]):
        tokens += more
        speeds.read(Reading(float(second), second, second, 2 * second, tokens))
    return speeds


def test_speeds_are_those_of_the_last_thirty_seconds() -> None:
    speeds = readings([100] * 60 + [10] * SPEED_OVER)
    assert speeds.of("output_tokens") == pytest.approx(10)
    assert speeds.of("requests") == pytest.approx(2)


def test_the_best_stretch_is_sustained_and_no_single_second() -> None:
    assert readings([900] * (SPEED_OVER - 2)).best == 0  # no whole stretch yet
    assert readings([100] * 60 + [3000] + [100] * 60).best == pytest.approx((29 * 100 + 3000) / SPEED_OVER)


def test_no_reading_has_no_speed() -> None:
    assert Speeds().of("requests") == 0


def test_time_left_is_reckoned_from_the_first_response_on_and_unknown_before_an_asked_passage_is_done() -> None:
    speeds, left = Speeds(), []
    for moment, passages, asked, requests in (
        (0.0, 0, 0, 0),
        (1.0, 23, 0, 0),  # 23 passages without a model, while the server starts
        (600.0, 23, 0, 0),
        (601.0, 23, 0, 2),
        (602.0, 24, 0, 4),  # one more without a model
        (604.0, 25, 1, 6),
        (610.0, 28, 4, 12),
    ):
        speeds.read(Reading(moment, passages, asked, requests, 10 * requests))
        left.append(speeds.seconds_for(100))
    assert left == [None] * 5 + [pytest.approx(100 * 4 / 2), pytest.approx(100 * 10 / 5)]


def test_a_run_of_which_all_is_done_has_no_time_left() -> None:
    run = RunConfig()
    progress = Meter("rewrite", 0, "passages", done=60)
    assert figures(Ledger(lambda: run, Spent()), readings([200] * 30), progress, run, retries=0)["seconds_left"] == 0


def test_figures_say_speed_share_cost_rejections_and_time_left() -> None:
    run = RunConfig(budget=BudgetConfig(input_price=2.0, output_price=10.0))
    ledger = Ledger(lambda: run, Spent(4, 1_000_000, 500_000))
    ledger.finished("p", [{"drop_reason": "leak"}, {"drop_reason": None}])
    progress = Meter("rewrite", 160, "passages", done=60)
    shown = figures(ledger, readings([200] * 30 + [100] * 30), progress, run, retries=3)
    assert shown["share_of_best"] == 0.5
    assert shown["seconds_left"] == 100
    assert shown["cost"] == 7.0
    assert shown["rejected"] == {"leak": 1}
    assert (shown["pairs"], shown["retries"], shown["requests"]) == (1, 3, 4)
    line = note(shown)
    for told in ("2.0 requests/s", "100 output tokens/s (50% of its best)", "cost 7.00", "3 retries", "1 leak"):
        assert told in line


def test_without_a_terminal_a_run_ends_with_a_line_of_json_and_without_requests_with_none() -> None:
    async def go(spent: bool) -> list[str]:
        said: list[str] = []
        run = RunConfig()
        ledger = Ledger(lambda: run, Spent())
        ledger.sent = ledger.sent.plus(Spent(int(spent), 3, 4))
        async with shown_live(ledger, Meter("rewrite", 1, "passages"), lambda: run, lambda: 0, said.append):
            await asyncio.sleep(0)
        return said

    (line,) = asyncio.run(go(True))
    assert json.loads(line)["rewrite"]["of"] == 1
    assert asyncio.run(go(False)) == []
