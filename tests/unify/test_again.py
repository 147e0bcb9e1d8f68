"""Asking again: what a rule fits gets other requests, all else keeps its rows to the byte, and reruns are stable."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli import main
from pipeline.line import read_line
from pipeline.progress import Meter
from pipeline.recipe import RecipeError
from pipeline.shards import Shard
from tests.fakes_server import Reply, fake_server
from tests.unify.passages import passage, shard
from tests.unify.test_rewrite import CONFIG, QUESTIONS, _journal_rows, card, dropped, passages, recipe, rows_of
from tests.world import write_world
from unify.again import CHECK, Rule, fits, read_rules
from unify.pair import Pair, example_of, without_pair
from unify.request import request_of
from unify.rewrite import RewriteConfig, rewrite_stage

LEAKY = CONFIG.model_copy(update={"tries": 1, "repairs": 0, "candidates": 1})
LEAK = Reply(("According to the passage, what is gout?",))


def rewrite(folder: Path, shards: Sequence[Shard], config: RewriteConfig, url: str, rules: str = "") -> Path:
    out = folder / f"out-{len(list(folder.glob('out-*')))}"
    out.mkdir()
    (folder / "rules.toml").write_text(rules)
    files = {"regenerate": [folder / "rules.toml"]} if rules else {}
    one = recipe(folder, url, in_flight=4)
    rewrite_stage(shards, config, one, [card(), card("book")], out, Meter("rewrite", 0, "passages"), files=files)
    return out


def all_rows(out: Path) -> dict[str, list[str]]:
    """Passage id -> its rows, kept and dropped, as text."""
    rows: dict[str, list[str]] = {}
    for row in [*rows_of(out), *(json.loads(row["row"]) for row in dropped(out))]:
        rows.setdefault(row["passage_id"], []).append(json.dumps(row, sort_keys=True))
    return rows


def seeds_that_fail(body: dict[str, Any]) -> Reply:
    """Leak for a third of the requests, by their seed: asked again, most of them do better."""
    return LEAK if body["seed"] % 3 == 0 else Reply(QUESTIONS)


def test_only_what_a_rule_fits_is_asked_again_and_the_rest_keeps_its_bytes(tmp_path: Path) -> None:
    given = [*passages(30), *(passage(f"{one.text} Twice.", doc=f"book/{n}") for n, one in enumerate(passages(10)))]
    shards = [shard(tmp_path, given)]
    with fake_server(seeds_that_fail) as fake:
        before = all_rows(rewrite(tmp_path, shards, LEAKY, fake.url))
        asked = len(fake.asked())
        rules = '[[rule]]\nreason = "leak"\nsource = "web"\nwho = "a reader"\n'
        out = rewrite(tmp_path, shards, LEAKY, fake.url, rules)
        again = len(fake.asked()) - asked
        repeated = all_rows(rewrite(tmp_path, shards, LEAKY, fake.url, rules))
        assert len(fake.asked()) == asked + again
    after = all_rows(out)
    leaked = {json.loads(row["row"])["passage_id"] for row in dropped(tmp_path / "out-0") if row["reason"] == "leak"}
    fitting = {id for id in leaked if id.startswith("web/")}
    assert len(leaked) > len(fitting) == again > 3
    assert {id for id in before if before[id] != after[id]} == fitting
    assert all(CHECK in "".join(after[id]) for id in fitting)
    assert after == repeated
    assert _journal_rows(tmp_path) == asked + again  # the old responses stay, as evidence
    still = Counter(row["reason"] for row in dropped(out))["leak"]
    assert still < len(leaked)


def test_rounds_go_on_while_the_rule_fits_and_end(tmp_path: Path) -> None:
    shards = [shard(tmp_path, passages(5))]
    with fake_server(lambda _: LEAK) as fake:
        out = rewrite(tmp_path, shards, LEAKY, fake.url, '[[rule]]\nreason = "leak"\ntimes = 3\n')
        assert len(fake.asked()) == 5 * 4
    whole = [json.loads(row["row"]) for row in dropped(out)]
    assert all({"name": CHECK, "value": "3"} in row["checks"] for row in whole)


def test_a_round_changes_every_request_and_no_round_none() -> None:
    def ask(config: RewriteConfig, attempt: int = 0) -> tuple[int, int]:
        one = request_of(config, [("user", "x")], names=("p", "s"), max_tokens=5, attempt=attempt)
        return one.attempt, one.parameters["seed"]

    rounds = [CONFIG.model_copy(update={"round": number}) for number in range(4)]
    assert ask(rounds[0]) == ask(CONFIG)
    assert len({ask(config, attempt) for config in rounds for attempt in range(20)}) == 80


ONE = passage()
KEPT = example_of(ONE, Pair("excerpt", "en", "What?", "That.", checks=(("support", "0.42"), ("form", "plain"))))
REJECTED = example_of(ONE, replace(Pair("huatuo2", "en", "What?", "That."), reason="leak"))


@pytest.mark.parametrize(
    ("rule", "kept", "rejected"),
    [
        ({"reason": "leak"}, False, True),
        ({"style": "excerpt"}, True, False),
        ({"source": "web"}, True, True),
        ({"source": "web", "reason": "other"}, False, False),
        ({"check": "support"}, True, False),
        ({"check": "support", "below": 0.5}, True, False),
        ({"check": "support", "below": 0.4}, False, False),
        ({"check": "support", "above": 0.4}, True, False),
        ({"check": "form", "below": 0.4}, False, False),
        ({"id": KEPT["id"]}, True, False),
        ({"id": ONE.id}, True, True),
        ({"id": ONE.document_id}, True, True),
        ({"id": "web"}, False, False),
    ],
)
def test_all_fields_of_a_rule_must_fit(rule: dict[str, Any], kept: bool, rejected: bool) -> None:
    assert (fits(Rule(**rule), KEPT), fits(Rule(**rule), REJECTED)) == (kept, rejected)


def test_a_passage_without_a_pair_can_be_asked_again_for_its_reason() -> None:
    assert fits(Rule(reason="no_pair"), without_pair(ONE, "no_pair"))


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("", "got nothing, expected"),
        ("[rule]\nreason = 'leak'", r"expected \[\[rule\]\] tables alone"),
        ("[[rule]]\nwho = 'me'", "rule 1: got no field, expected reason, check, style, source or id"),
        ("[[rule]]\nreason = 'leak'\n[[rule]]\nreasons = 'x'", "rule 2: reasons: unknown key"),
        ("[[rule]]\nreason = ", "expected TOML"),
    ],
)
def test_mistakes_in_rules_are_told_in_one_line(tmp_path: Path, written: str, told: str) -> None:
    (tmp_path / "rules.toml").write_text(written)
    with pytest.raises(RecipeError, match=told) as raised:
        read_rules([tmp_path / "rules.toml"])
    assert "\n" not in str(raised.value)


def test_the_commands_regenerate_and_sample(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    world = write_world(tmp_path, articles=8, talks=2)
    text = world.read_text().replace("styles = { heading = 1.0 }", "styles = { excerpt = 1.0 }\nrepairs = 0\ntries = 1")
    with fake_server(seeds_that_fail) as fake:
        fake.model = str(read_line(world).configs["rewrite"].model_dump()["model"])
        text += f'[run]\nbase_urls = ["{fake.url}"]\n'
        world.write_text(text)
        assert main(["regenerate", str(world)]) == 2
        assert "[rewrite] regenerate: got no file, expected one with [[rule]] tables" in capsys.readouterr().err
        assert main(["sample", str(world)]) == 2
        assert "got no finished part" in capsys.readouterr().err
        assert main(["run", str(world), "--through", "rewrite"]) == 0
        assert main(["sample", str(world)]) == 0
        assert "passage: " in (said := capsys.readouterr().out)
        assert "rows dropped in the 1 parts written last" in said
        key = read_line(world).step("rewrite").key
        (tmp_path / "again.toml").write_text('[[rule]]\nstyle = "excerpt"\n')
        world.write_text(text.replace("tries = 1", 'tries = 1\nregenerate = "again.toml"'))
        assert read_line(world).step("rewrite").key != key
        assert main(["regenerate", str(world)]) == 0
    assert "asked again for " in capsys.readouterr().out
