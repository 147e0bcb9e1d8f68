import math
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

from pipeline.recipe import RecipeError
from sampling.law import Law, draw_groups, expected_drawn
from sampling.order import Origin, PrioritizeConfig, plan_order
from tests.sampling.chance import is_drawn_from, sequences

# Instances of HuatuoGPT-II by kind (arXiv:2311.09774), and its SFT data three times.
PAPER_SLOTS = {"books": 2_604_039, "encyclopedia": 558_242, "literature": 1_055_502, "sft": 426_744, "web": 1_035_111}
PAPER_PRIORITY = {"books": 4.0, "encyclopedia": 8.0, "literature": 16.0, "sft": 1.0, "web": 32.0}


def law_of(slots, priority, stages=None) -> Law:
    return Law(np.array(slots), np.array(priority, float), np.array(stages or [0] * len(slots)))


def paper_law() -> Law:
    return law_of(list(PAPER_SLOTS.values()), list(PAPER_PRIORITY.values()))


def whole(law: Law, seed: int, block: int = 1 << 20) -> list[int]:
    left = law.slots_K.copy()
    return [group for _ in range(-(-law.num_slots // block)) for group in draw_groups(law, left, block, seed=seed)]


LAWS = {
    "two and two": law_of((2, 2), (4, 1)),
    "three groups": law_of((1, 2, 1), (8, 2, 1)),
    "a group without slots": law_of((3, 1, 0), (1, 1, 5)),
    "several epochs": law_of((2 * 2, 1 * 3), (16, 1)),
    "stages": law_of((2, 1, 2), (1, 1, 1), (1, 0, 1)),
    "huge and tiny priorities": law_of((2, 2), (1e300, 1e299)),
}


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("block", [1, 100])
def test_every_sequence_of_groups_has_the_probability_of_the_law(name, block):
    law = LAWS[name]
    seen = Counter(tuple(whole(law, seed, block)) for seed in range(4000))
    assert is_drawn_from(seen, sequences(law))


def test_another_law_would_be_told():
    law, other = LAWS["three groups"], law_of((1, 2, 1), (7, 2, 1))
    seen = Counter(tuple(whole(law, seed)) for seed in range(20_000))
    assert is_drawn_from(seen, sequences(law))
    assert not is_drawn_from(seen, sequences(other))


@pytest.mark.parametrize("order", ["priority", "uniform", "temperature", "stages"])
def test_the_orders_are_the_law_with_their_priorities(order):
    rows = {Origin("web", "site", "raw"): 1, Origin("sft", "talks", "pairs"): 2}
    config = PrioritizeConfig(
        order=order, epochs={"sft": 2}, temperature=2.0, stages=(("sft",), ("web",)) if order == "stages" else ()
    )
    law = plan_order(rows, config).law
    sft, web = {"priority": (1, 32), "uniform": (1, 1), "temperature": (4**-0.5, 1), "stages": (1, 1)}[order]
    assert law.slots_K.tolist() == [4, 1]
    assert law.priority_K.tolist() == [sft, web]
    expected = sequences(law_of((4, 1), (sft, web), (0, 1) if order == "stages" else None))
    assert is_drawn_from(Counter(tuple(whole(law, seed)) for seed in range(2000)), expected)


def test_blocks_and_a_kept_state_change_nothing():
    law = law_of((300, 50, 700), (1, 9, 3), (0, 1, 0))
    left, first = law.slots_K.copy(), draw_groups(law, law.slots_K.copy(), 2000, seed=3)
    pieces = [draw_groups(law, left, count, seed=3) for count in (1, 500, 13)]
    kept = left.copy()
    pieces.append(draw_groups(law, left, 2000, seed=3))
    assert np.concatenate(pieces).tolist() == first.tolist()
    assert draw_groups(law, kept, 2000, seed=3).tolist() == pieces[-1].tolist()
    assert left.tolist() == [0, 0, 0]
    assert len(draw_groups(law, left, 5, seed=3)) == 0
    assert np.bincount(first).tolist() == [300, 50, 700]
    assert draw_groups(law, law.slots_K.copy(), 2000, seed=4).tolist() != first.tolist()


@pytest.mark.parametrize("priority", [0.0, -1.0, math.nan, math.inf])
def test_a_priority_that_is_no_weight_is_refused(priority):
    with pytest.raises(ValueError, match="finite and above 0"):
        law_of((1,), (priority,))


def test_the_papers_order_has_the_shares_that_were_computed_for_it():
    law = paper_law()
    left = law.slots_K.copy()
    tenth = law.num_slots // 10
    first = np.bincount(draw_groups(law, left, tenth, seed=0), minlength=5) / tenth
    draw_groups(law, left, 8 * tenth, seed=0)
    last = left / left.sum()
    names = list(PAPER_SLOTS)
    for name, share in {"web": 0.48, "literature": 0.26, "sft": 0.01}.items():
        assert abs(first[names.index(name)] - share) < 0.02
    for name, share in {"books": 0.55, "sft": 0.44, "web": 0.0}.items():
        assert abs(last[names.index(name)] - share) < 0.02


@pytest.mark.parametrize("stages", [None, (0, 1, 0)])
def test_the_expected_share_is_the_mean_of_many_orders(stages):
    law = law_of((400, 250, 50), (8, 1, 3), stages)
    places = np.array([0, 35, 200, 430, 500, 699, 700])
    drawn = np.zeros((200, len(places), 3))
    for seed in range(200):
        groups = draw_groups(law, law.slots_K.copy(), 700, seed=seed)
        for index, place in enumerate(places):
            drawn[seed, index] = np.bincount(groups[:place], minlength=3)
    error = drawn.std(0) / math.sqrt(200)
    assert (np.abs(drawn.mean(0) - expected_drawn(law, places.astype(float))) <= 4 * error + 0.5).all()
    assert expected_drawn(law, places.astype(float)).sum(1) == pytest.approx(places, abs=1e-6)


MANY = """
import resource, sys
import numpy as np
from sampling.law import Law, draw_groups
count = int(sys.argv[1])
law = Law(np.array([count // 2, count // 4, count // 4]), np.array([32.0, 4.0, 1.0]), np.zeros(3, int))
left = law.slots_K.copy()
draw_groups(law, left, 1 << 17, seed=0)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
while left.any():
    draw_groups(law, left, 1 << 17, seed=0)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_ten_million_slots_need_no_more_memory_than_a_block():
    done = subprocess.run([sys.executable, "-c", MANY, "10000000"], check=True, capture_output=True, text=True)
    assert int(done.stdout) < 4096  # KiB; the slots alone are 20 MB


def test_a_budget_of_tokens_scales_all_epochs_alike():
    rows = {Origin("web", "site", "raw"): 100, Origin("sft", "talks", "pairs"): 50}
    tokens = {Origin("web", "site", "raw"): 30_000.0, Origin("sft", "talks", "pairs"): 5_000.0}
    plan = plan_order(rows, PrioritizeConfig(epochs={"sft": 2}, tokens=60_000), tokens)
    assert plan.tokens_K.tolist() == [100.0, 300.0]
    assert plan.law.slots_K.tolist() == [150, 150]  # 40,000 tokens of 100 and 100 slots, half as many again
    assert abs((plan.law.slots_K * plan.tokens_K).sum() - 60_000) <= 300


def test_names_mean_a_style_before_a_source_before_a_kind():
    rows = {
        Origin("web", "site", "raw"): 5, Origin("web", "site", "excerpt"): 4,
        Origin("web", "blog", "excerpt"): 3, Origin("web", "blog", "raw"): 2, Origin("sft", "talks", "pairs"): 1,
    }  # fmt: skip
    plan = plan_order(rows, PrioritizeConfig(priority={"web": 2, "sft": 1, "raw": 7, "blog": 3}))
    named = {name: (int(n), float(w)) for name, n, w in zip(plan.names, plan.rows_K, plan.law.priority_K, strict=True)}
    assert named == {"sft": (1, 1.0), "web": (4, 2.0), "blog": (3, 3.0), "raw": (7, 7.0)}


def test_mistakes_in_the_table_are_one_line():
    rows = {Origin("web", "site", "raw"): 1, Origin("sft", "talks", "pairs"): 2}
    with pytest.raises(RecipeError, match="got no stage for sft"):
        plan_order(rows, PrioritizeConfig(order="stages", stages=(("web",),)))
    with pytest.raises(ValueError, match='expected stages with order "stages"'):
        PrioritizeConfig(order="stages")
    with pytest.raises(ValueError, match="expected each name once"):
        PrioritizeConfig(order="stages", stages=(("web",), ("web", "sft")))
    with pytest.raises(ValueError, match="greater than 0"):
        PrioritizeConfig(priority={"web": 0.0})
