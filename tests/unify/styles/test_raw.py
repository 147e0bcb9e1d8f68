import asyncio

from tests.unify.passages import GOUT, passage
from unify.request import Request, RewriteConfig
from unify.rewrite import rewrite_passage


async def nobody(request: Request):
    raise AssertionError("raw text asks no model")


def test_the_passage_is_one_message_with_loss():
    (row,) = asyncio.run(rewrite_passage(passage(f" {GOUT}\n"), RewriteConfig(styles={"raw": 1.0}), nobody))
    assert row["messages"] == [{"role": "assistant", "content": GOUT, "loss": True}]
    assert row["support"] == [{"start": 1, "end": 1 + len(GOUT)}]
    assert (row["style"], row["drop_reason"]) == ("raw", None)


def test_a_weight_is_a_share_of_the_passages():
    config = RewriteConfig(styles={"raw": 0.5, "heading": 0.5})
    rows = [asyncio.run(rewrite_passage(passage(f"{GOUT} {number}"), config, nobody))[0] for number in range(200)]
    assert 70 < sum(row["style"] == "raw" for row in rows) < 130
