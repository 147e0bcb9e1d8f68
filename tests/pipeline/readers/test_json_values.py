import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.readers import json_values
from pipeline.readers.json_values import cut_items, item_depth

TRICKY = st.text(alphabet='ab"\\[]{},:\n中', max_size=9)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), TRICKY),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TRICKY, inner, max_size=3),
    max_leaves=9,
)


def cut(written: str, depth: int, max_bytes: int = 1 << 20) -> list[Any]:
    return [json.loads(cut.data) for cut in cut_items(io.BytesIO(written.encode()), depth, max_bytes)]


@pytest.fixture(params=[1, 7, 1 << 20], autouse=True)
def _chunks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_values, "_CHUNK", request.param)


@given(st.lists(VALUES, max_size=5), st.booleans(), st.sampled_from([None, 1]))
def test_items_are_those_that_json_has(items: list[Any], ascii_only: bool, indent: int | None) -> None:
    written = json.dumps(items, ensure_ascii=ascii_only, indent=indent)
    assert cut(written, item_depth(io.BytesIO(written.encode()), 0, by_id=False)) == items
    lists = json.dumps({'one"': items, "two": [1], "none": []}, indent=indent)
    assert item_depth(io.BytesIO(lists.encode()), 0, by_id=False) == 2
    assert cut(lists, 2) == [*items, 1]


@given(st.lists(VALUES, min_size=2, max_size=5))
def test_reading_goes_on_at_any_item(items: list[Any]) -> None:
    file = io.BytesIO(json.dumps(items).encode())
    cuts = list(cut_items(file, 1, 1 << 20))
    assert [file.getvalue()[cut.start : cut.start + cut.size] for cut in cuts] == [cut.data for cut in cuts]
    for place, found in enumerate(cuts[1:], 1):
        file.seek(found.start)
        again = [json.loads(cut.data) for cut in cut_items(file, 1, 1 << 20, inside=True)]
        assert again == [json.loads(cut.data) for cut in cuts[place:]]


def test_of_a_long_item_only_its_beginning_is_held() -> None:
    written = json.dumps(["a", "x" * 5000, "b"]).encode()
    long = list(cut_items(io.BytesIO(written), 1, 100))[1]
    assert long.size > 5000
    assert len(long.data) == 100


def test_one_value_is_one_item() -> None:
    written = json.dumps({"a": [1], "b": 2})
    assert item_depth(io.BytesIO(written.encode()), 0, by_id=False) == 0
    assert cut(written, 0) == [{"a": [1], "b": 2}]
    with pytest.raises(ValueError, match="expected an object"):
        item_depth(io.BytesIO(b"[1]"), 0, by_id=True)
