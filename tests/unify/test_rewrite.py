"""The stage against a fake server: every passage comes out, in order, asked once, whatever is killed or re-cut."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from pipeline.progress import Meter
from pipeline.recipe import Recipe, RecipeError, RunConfig, SourceCard
from pipeline.records import EXAMPLE
from pipeline.shards import Shard, dropped_of, file_sha256, parts_of, written_of
from tests.fakes_server import Reply, fake_server
from tests.unify.passages import GAOXUEYA, GOUT, passage, shard
from unify.pair import Pair, Passage
from unify.request import Ask
from unify.rewrite import RewriteConfig, cut, draw_style, pilot_documents, prompts_of, rewrite_stage
from unify.styles import STYLES, Style

QUESTIONS = (
    "What is gout?",
    "What does allopurinol do to serum urate?",
    "How does colchicine help in an acute attack?",
    "How does asthma help?",
)
CONFIG = RewriteConfig(
    model="fake-model",
    styles={"excerpt": 1.0},
    model_languages=("en",),
    candidates=4,
    repairs=0,
    excerpt_by="program",
    max_pairs_per_passage=1,
    max_excerpt_sentences=1,
    shard_passages=4,
)


def good(body: dict[str, Any]) -> Reply:
    return Reply(QUESTIONS)


def recipe(folder: Path, *urls: str, **run: Any) -> Recipe:
    settings = RunConfig(base_urls=urls, **({"in_flight": 3} | run))
    return Recipe(path=folder / "r.toml", name="r", sources=("web",), output=str(folder / "data"), run=settings)


def card(name: str = "web", egress: str = "any") -> SourceCard:
    checked = {"by": "us", "on": "2026-01-01", "scope": "tests"}
    fields = {"origin": "here", "licence": "CC0-1.0", "kind": "web", "path": "x", "checked": checked, "egress": egress}
    return SourceCard(name=name, **fields)


def rewrite(
    shards: Sequence[Shard], config: RewriteConfig, one: Recipe, name: str = "out", cards: Sequence[SourceCard] = ()
) -> Path:
    out = one.path.parent / name
    out.mkdir(exist_ok=True)
    rewrite_stage(shards, config, one, cards or [card()], out, Meter("rewrite", 0, "passages"))
    return out


def rows_of(out: Path) -> list[dict[str, Any]]:
    return [row for part in parts_of(out) for row in Shard(part, 0).read().to_pylist()]


def dropped(out: Path) -> list[dict[str, Any]]:
    return [row for table in dropped_of(out) for row in table.to_pylist()]


def hashes(out: Path) -> list[str]:
    return [file_sha256(part) for part in sorted(out.glob("*.parquet"))]


def passages(count: int) -> list[Passage]:
    return [passage(f"{GOUT} Case {number} was typical.", doc=f"web/{number}") for number in range(count)]


def test_every_passage_comes_out_kept_or_dropped(tmp_path: Path) -> None:
    given = [*passages(6), passage(GAOXUEYA, lang="zh-Hans", doc="web/zh"), passage("x" * 7000, doc="web/long")]
    with fake_server(good) as fake:
        out = rewrite([shard(tmp_path, given)], CONFIG, recipe(tmp_path, fake.url))
    kept, lost = rows_of(out), dropped(out)
    assert [row["passage_id"] for row in kept] == [one.id for one in given[:6]]
    assert {"no_style", "passage_too_long"} <= {row["reason"] for row in lost}
    accounted = {row["passage_id"] for row in kept} | {json.loads(row["row"])["passage_id"] for row in lost}
    assert accounted == {one.id for one in given}
    assert sum(written_of(part).rows_in for part in parts_of(out)) == len(given)
    assert Shard(parts_of(out)[0], 0).read().schema.equals(EXAMPLE, check_metadata=False)


class OneFails:
    """A style with a fault of its own: it cannot cope with one passage."""

    PROMPTS = STYLES["heading"].PROMPTS

    def applies(self, passage: Passage, config: RewriteConfig) -> bool:
        return True

    async def write(self, passage: Passage, config: RewriteConfig, ask: Ask) -> list[Pair]:
        numbers = [int(word) for word in passage.document_id.split("/") if word != "web"]
        return [Pair("heading", passage.lang, "What is it?", f"{12 // numbers[0]} times {passage.text}")]


def test_a_fault_of_a_style_costs_one_passage_and_says_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(cast(dict[str, Style], STYLES), "heading", OneFails())
    config = CONFIG.model_copy(update={"styles": {"heading": 1.0}})
    out = rewrite([shard(tmp_path, passages(4))], config, recipe(tmp_path))
    assert len(rows_of(out)) == 3
    (lost,) = dropped(out)
    assert lost["reason"] == "style_failed"
    assert re.fullmatch(r"heading: ZeroDivisionError in test_rewrite\.py:\d+: .*zero", lost["detail"])


def test_every_excerpt_is_verbatim_in_its_passage(tmp_path: Path) -> None:
    given = {one.id: one for one in passages(6)}
    with fake_server(good) as fake:
        out = rewrite([shard(tmp_path, list(given.values()))], CONFIG, recipe(tmp_path, fake.url))
    for row in rows_of(out):
        (span,) = row["support"]
        assert row["messages"][1]["content"] == given[row["passage_id"]].text[span["start"] : span["end"]]
        assert [message["loss"] for message in row["messages"]] == [False, True]


def test_a_rerun_sends_nothing_and_gives_the_same_bytes(tmp_path: Path) -> None:
    given = [shard(tmp_path, passages(9))]
    with fake_server(good) as fake:
        first = rewrite(given, CONFIG, recipe(tmp_path, fake.url))
        sent = len(fake.requests)
        second = rewrite(given, CONFIG, recipe(tmp_path, fake.url, in_flight=7), "again")
        assert sent
        assert len(fake.requests) == sent
    assert hashes(first) == hashes(second)


def test_a_recipe_without_endpoints_starts_no_server_when_the_journal_has_it_all(tmp_path: Path) -> None:
    given = [shard(tmp_path, passages(5))]
    with fake_server(good) as fake:
        first = rewrite(given, CONFIG, recipe(tmp_path, fake.url))
    second = rewrite(given, CONFIG, recipe(tmp_path), "again")
    assert hashes(first) == hashes(second)
    assert not (tmp_path / "data" / "server.json").exists()


def test_how_the_input_is_cut_changes_nothing(tmp_path: Path) -> None:
    given = passages(9)
    whole = [shard(tmp_path, given)]
    pieces = [shard(tmp_path, given[:2], "a"), shard(tmp_path, given[2:7], "b"), shard(tmp_path, given[7:], "c")]
    with fake_server(good) as fake:
        one = rewrite(whole, CONFIG, recipe(tmp_path, fake.url))
        other = rewrite(pieces, CONFIG, recipe(tmp_path, fake.url), "other")
    assert len(parts_of(one)) == 3
    assert hashes(one) == hashes(other)


def test_finished_parts_are_not_made_again(tmp_path: Path) -> None:
    given = [shard(tmp_path, passages(9))]
    with fake_server(good) as fake:
        out = rewrite(given, CONFIG, recipe(tmp_path, fake.url))
        before = {part: part.stat().st_mtime_ns for part in parts_of(out)}
        gone = parts_of(out)[1]
        gone.unlink()
        rewrite(given, CONFIG, recipe(tmp_path, fake.url))
    after = {part: part.stat().st_mtime_ns for part in parts_of(out)}
    assert {part for part in before if before[part] != after[part]} == {gone}


def test_no_more_passages_than_in_flight_are_under_way(tmp_path: Path) -> None:
    with fake_server(lambda _: Reply(QUESTIONS, wait=0.02)) as fake:
        rewrite([shard(tmp_path, passages(12))], CONFIG, recipe(tmp_path, fake.url, in_flight=3))
        assert fake.most_in_flight == 3  # across parts: no barrier holds them back, and no more are begun


def test_errors_that_do_not_heal_stop_the_run_and_keep_what_was_answered(tmp_path: Path) -> None:
    given = [shard(tmp_path, passages(8))]
    left = [1] * 6

    def reply(body: dict[str, Any]) -> Reply:
        return Reply(QUESTIONS) if left and left.pop() else Reply(status=500)

    with (
        fake_server(reply) as fake,
        pytest.raises(RecipeError, match=r"no server has answered for 0.1 s \(HTTP 500.*go on"),
    ):
        rewrite(given, CONFIG, recipe(tmp_path, fake.url, retries=0, in_flight=1, max_outage=0.1))
    with fake_server(good) as fake:
        out = rewrite(given, CONFIG, recipe(tmp_path, fake.url))
        undisturbed = len(fake.asked())
    (tmp_path / "fresh").mkdir()
    with fake_server(good) as fake:
        whole = rewrite(given, CONFIG, recipe(tmp_path / "fresh", fake.url))
        assert undisturbed == len(fake.asked()) - 5  # the first of the six was the preflight
    assert hashes(out) == hashes(whole)


def test_text_that_must_stay_is_refused_a_public_endpoint_before_any_request(tmp_path: Path) -> None:
    local = [card(), card("private", egress="local")]
    given = [shard(tmp_path, passages(1))]
    with pytest.raises(
        RecipeError, match=r"got http://8.8.8.8/v1, expected a private address: private has egress = \"local\""
    ):
        rewrite(given, CONFIG, recipe(tmp_path, "http://8.8.8.8/v1"), cards=local)
    assert not (tmp_path / "data").exists()
    with fake_server(good) as fake:
        rewrite(given, CONFIG, recipe(tmp_path, fake.url), cards=local)
        assert fake.asked()


def test_styles_of_a_source_that_is_not_there_are_refused(tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"styles_by_source": {"wbe": {"heading": 1.0}}})
    with pytest.raises(RecipeError, match="styles_by_source: got wbe, expected a source of the recipe"):
        rewrite([shard(tmp_path, passages(1))], config, recipe(tmp_path))


def test_a_pilot_keeps_whole_documents_and_says_what_it_left_out(tmp_path: Path) -> None:
    given = [passage(f"{GOUT} Case {n}.", doc=f"{source}/{n // 2}") for source in ("web", "book") for n in range(12)]
    config = CONFIG.model_copy(update={"pilot": 2, "styles": {"heading": 1.0}})
    shards = [shard(tmp_path, given[:7], "a"), shard(tmp_path, given[7:], "b")]
    chosen = pilot_documents(shards, config)
    assert chosen is not None
    assert Counter(document.split("/")[0] for document in chosen) == {"web": 2, "book": 2}
    out = rewrite(shards, config, recipe(tmp_path), cards=[card(), card("book")])
    assert {row["passage_id"].split("#")[0] for row in rows_of(out)} == chosen
    assert Counter(row["reason"] for row in dropped(out)) == {"not_in_pilot": 16}
    assert chosen <= (pilot_documents(shards, config.model_copy(update={"pilot": 4})) or set())


def test_styles_are_drawn_by_weight_and_by_source() -> None:
    weights = {"excerpt": 3.0, "heading": 1.0}
    config = CONFIG.model_copy(update={"styles": weights, "styles_by_source": {"book": {"heading": 1.0}}})
    drawn = Counter(draw_style(one, config) for one in passages(400))
    assert 250 < drawn["excerpt"] < 350
    assert drawn["heading"] == 400 - drawn["excerpt"]
    assert draw_style(passage(doc="book/1"), config) == "heading"
    assert draw_style(passage(GAOXUEYA, lang="zh-Hans"), config) == "heading"
    assert draw_style(passage(lang="und"), config) is None


def test_the_prompts_of_styles_in_use_are_given_and_no_others() -> None:
    assert set(prompts_of(CONFIG)) == {"excerpt"}
    assert set(prompts_of(CONFIG.model_copy(update={"repairs": 1}))) == {"excerpt", "repair"}
    assert set(prompts_of(CONFIG.model_copy(update={"styles_by_source": {"book": {"huatuo2": 1.0}}}))) == {
        "excerpt",
        "huatuo2",
    }
    assert "immune" not in str(prompts_of(CONFIG))
    assert "Tetanus" in str(prompts_of(CONFIG))


def test_no_rows_make_one_empty_part(tmp_path: Path) -> None:
    assert [(index, table.num_rows) for index, table in cut([], 4)] == [(0, 0)]
    out = rewrite([], CONFIG, recipe(tmp_path))
    assert rows_of(out) == []
    assert len(parts_of(out)) == 1


KILLED = """
import sys
from pathlib import Path
from tests.unify.test_rewrite import CONFIG, passages, recipe, rewrite
from tests.unify.passages import shard
folder = Path(sys.argv[1])
rewrite([shard(folder, passages(24))], CONFIG, recipe(folder, sys.argv[2]))
"""


def test_a_killed_run_asks_nothing_twice_that_was_committed(tmp_path: Path) -> None:
    answered, enough = Counter[str](), threading.Event()

    def reply(body: dict[str, Any]) -> Reply:
        answered[json.dumps(body, sort_keys=True)] += 1
        if len(answered) == 12:
            enough.set()
        return Reply(QUESTIONS, wait=0.03)

    def run(url: str) -> subprocess.Popen[bytes]:
        root = Path(__file__).parents[2]
        return subprocess.Popen(
            [sys.executable, "-c", KILLED, str(tmp_path), url], cwd=root, env={**os.environ, "PYTHONPATH": str(root)}
        )

    with fake_server(reply) as fake:
        process = run(fake.url)
        assert enough.wait(60)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        committed, asked_before = _journal_rows(tmp_path), answered.total()
        assert committed > 0
        assert run(fake.url).wait(120) == 0
        asked_again = answered.total() - asked_before - 1  # without the preflight
        assert asked_again == _journal_rows(tmp_path) - committed > 0
        (tmp_path / "fresh").mkdir()
        undisturbed = rewrite([shard(tmp_path, passages(24))], CONFIG, recipe(tmp_path / "fresh", fake.url))
    assert hashes(tmp_path / "out") == hashes(undisturbed)


def _journal_rows(folder: Path) -> int:
    with sqlite3.connect(folder / "data" / "journal.sqlite") as database:
        return int(database.execute("SELECT count(*) FROM responses").fetchone()[0])
