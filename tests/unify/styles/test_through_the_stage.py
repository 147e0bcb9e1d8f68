"""Each style behind a real server and journal: its pairs come out as rows of the Example record."""

import json
from pathlib import Path

import pytest

from tests.fakes_server import Reply, fake_server
from tests.unify.passages import passage, shard
from tests.unify.styles import test_consultation, test_multiple_choice, test_not_stated
from tests.unify.test_rewrite import CONFIG, recipe, rewrite, rows_of

REPLIES = {
    "multiple_choice": test_multiple_choice.reply(),
    "consultation": test_consultation.reply(*test_consultation.TURNS),
    "not_stated": test_not_stated.reply(),
    "excerpt": json.dumps({"question": "What does allopurinol do for people with gout?", "answer": [4]}),
}


@pytest.mark.parametrize("style", REPLIES)
def test_a_style_goes_through_server_journal_and_shards(tmp_path: Path, style: str) -> None:
    config = CONFIG.model_copy(update={"styles": {style: 1.0}, "candidates": 1, "excerpt_by": "model"})
    with fake_server(lambda _: Reply((REPLIES[style],))) as fake:
        (row,) = rows_of(rewrite([shard(tmp_path, [passage()])], config, recipe(tmp_path, fake.url)))
        assert len(fake.asked()) == 1
        assert "response_format" in fake.asked()[0]
    assert row["style"] == style
    roles = [message["role"] for message in row["messages"]]
    assert roles == ["user", "assistant"] * (len(test_consultation.TURNS) if style == "consultation" else 1)
