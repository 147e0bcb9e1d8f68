import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.readers.items import PARAGRAPH, Block, compose, join_lines

BLOCKS = st.lists(
    st.builds(
        Block,
        level=st.integers(min_value=PARAGRAPH, max_value=3),
        text=st.text(alphabet="甲乙a \n", max_size=6),
        page=st.sampled_from([None, 1, 2]),
    ),
    max_size=12,
)


@given(blocks=BLOCKS)
def test_sections_nest_and_start_at_their_headings(blocks: list[Block]) -> None:
    text, sections = compose(blocks)
    assert [section["heading"] for section in sections if section["heading"]] == [
        " ".join(block.text.split()) for block in blocks if block.level and block.text.strip()
    ]
    for section in sections:
        assert 0 <= section["start"] < section["end"] <= len(text)
        assert text[section["start"] : section["end"]].startswith(section["heading"])
        for other in sections:
            apart = other["end"] <= section["start"] or section["end"] <= other["start"]
            inside = section["start"] <= other["start"] and other["end"] <= section["end"]
            around = other["start"] <= section["start"] and section["end"] <= other["end"]
            assert apart or inside or around


@given(blocks=BLOCKS)
def test_no_letter_of_a_block_is_lost(blocks: list[Block]) -> None:
    assert "".join(compose(blocks)[0].split()) == "".join("".join(block.text for block in blocks).split())


@pytest.mark.parametrize(
    ("lines", "joined"),
    [
        (["服用", "过量。"], "服用过量。"),
        (["of the", "heart"], "of the heart"),
        (["well-", "known"], "well-known"),
        (["服用 aspirin", "过量"], "服用 aspirin过量"),
        (["the “heart”", "beats"], "the “heart” beats"),
        (["", "a", ""], "a"),
    ],
)
def test_lines_join_as_their_script_is_written(lines: list[str], joined: str) -> None:
    assert join_lines(lines) == joined
