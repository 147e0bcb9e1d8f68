"""A server that does all that servers do wrong: every passage ends as a pair or as a reason."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.fakes_fast import FAULTS, fast_server, log_of
from tests.unify.passages import passage, shard
from tests.unify.test_rewrite import CONFIG, dropped, recipe, rewrite, rows_of
from unify import client

ENDS = {
    "refused": {"prompt_refused"},
    "filtered": {"prompt_refused"},
    "thinking": {"pair"},  # the candidates whose thought has an end
} | {fault: {"unanswered"} for fault in FAULTS if fault not in ("refused", "filtered", "thinking")}
FACT = "Allopurinol lowers serum urate below 360 micromol/L and prevents further attacks of gout."


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(client, "LONGEST_WAIT", 0.05)


def faults_and_ends(folder: Path, passages: int, in_flight: int) -> tuple[Counter[str], dict[str, Counter[str]]]:
    """Rewrite passages against a server that faults; count the faults, and the ends of passages by what they met.

    A passage is put under the fault that it met for ever, under "passing" if it met faults and was answered in the end,
    and under "none".
    """
    given = [passage(FACT, title=f"Gout {number}", doc=f"web/{number}") for number in range(passages)]
    config = CONFIG.model_copy(update={"shard_passages": 256, "tries": 1})
    with fast_server(folder, "--faults", "0.4") as url:
        settings = recipe(folder, url, in_flight=in_flight, timeout=2.0, retries=2, max_outage=60.0)
        out = rewrite([shard(folder, given)], config, settings)
        log = log_of(url)
    end = {row["passage_id"]: "pair" for row in rows_of(out)}
    end |= {row["id"].rsplit(":", 2)[0]: row["reason"] for row in dropped(out)}
    assert len(end) == passages
    met = {prompt.split("Gout ")[1].split()[0]: _met(faults) for prompt, faults in log.items()}
    ends: dict[str, Counter[str]] = {}
    for one in given:
        ends.setdefault(met[str(one.title).split()[-1]], Counter())[end[one.id]] += 1
    return Counter(fault for faults in log.values() for fault in faults), ends


def _met(faults: list[str]) -> str:
    if faults[-1] in ("refused", "filtered", "thinking"):
        return faults[-1]
    if set(faults) == {"answered"}:
        return "none"
    return faults[0] if len(faults) > 2 and len(set(faults)) == 1 else "passing"


def check(faults: Counter[str], ends: Mapping[str, Counter[str]]) -> None:
    assert set(FAULTS) <= set(faults)
    assert set(ends["passing"]) <= {"pair", "unanswered"}
    assert set(ends["none"]) == {"pair"}
    for fault, allowed in ENDS.items():
        assert set(ends.get(fault, ())) <= allowed, fault


def test_every_passage_ends_as_a_pair_or_a_reason_whatever_a_server_does(tmp_path: Path) -> None:
    faults, ends = faults_and_ends(tmp_path, 500, in_flight=100)
    check(faults, ends)
