import itertools
import random
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.coverage import WINDOW
from pipeline.dedup import DedupConfig
from pipeline.letters import fold_text
from tests.pipeline.test_dedup import outcome, run

LETTERS = {
    "zh": "高血压患者应当每日监测血压并按时服药注意低盐饮食规律运动戒烟限酒定期复查肝肾功能",
    "en": "etaoinshrdlcumwfgypb ",
}


def prose(lang: str, chars: int, seed: str) -> str:
    return "".join(random.Random(seed).choices(LETTERS[lang], k=chars))


def cut(source: str, text: str, first: int, size: int) -> list[tuple[str, str, str]]:
    """Cut a text into passages, the first of them `first` characters long."""
    edges = [0, *range(first, len(text), size), len(text)]
    return [(source, f"{source}/book#{start:05d}", text[start:end]) for start, end in itertools.pairwise(edges)]


def covered(tables: list[pa.Table]) -> dict[str, str]:
    return {id: detail or "" for id, (reason, detail) in outcome(tables).items() if reason == "covered"}


@pytest.mark.parametrize(("lang", "size"), [("zh", 400), ("en", 1400)])
def test_a_book_cut_at_other_places_is_covered_by_its_first_edition(tmp_path, lang, size):
    book = prose(lang, 20 * size, "book")
    first, second = cut("a", book, size, size), cut("b", book.upper(), size // 2, size)
    found = covered(run(tmp_path, [first, second]))
    assert set(found) == {id for _, id, _ in second}
    assert found["b/book#00000"].endswith("of it in a/book#00000")
    assert "in a/book#00000, a/book#" in found[second[1][1]]


def test_passages_that_quote_others_in_part_stay(tmp_path):
    first = cut("a", prose("zh", 8000, "book"), 400, 400)
    quoting = [("b", f"b/{id}", text[:240] + prose("zh", 160, f"own {id}")) for _, id, text in first]
    assert not covered(run(tmp_path / "quotes", [first, quoting]))
    assert len(covered(run(tmp_path / "half", [first, quoting], DedupConfig(min_covered=0.5)))) == len(quoting)


def test_what_is_put_together_from_several_documents_stays(tmp_path):
    books = [cut(f"a{number}", prose("zh", 2000, f"book {number}"), 400, 400) for number in range(4)]
    put_together = [("b", "b/all#1", "".join(book[1][2][:120] for book in books))]
    assert not covered(run(tmp_path, [*books, put_together]))


def test_the_share_is_that_of_windows_in_rows_before(tmp_path):
    first = cut("a", prose("en", 14000, "book"), 1400, 1400)
    mostly = ("b", "b/mostly", first[0][2][500:] + first[1][2][:600] + prose("en", 60, "new"))
    detail = covered(run(tmp_path, [first, [mostly]]))["b/mostly"]
    grams = lambda text: {fold_text(text)[at : at + WINDOW] for at in range(len(fold_text(text)) - WINDOW + 1)}  # noqa: E731
    before = set().union(*(grams(text) for _, _, text in first[:2]))
    share = len(grams(mostly[2]) & before) / len(grams(mostly[2]))
    assert detail == f"{share:.2f} of it in a/book#00000, a/book#01400"


def test_how_rows_lie_in_shards_changes_nothing(tmp_path):
    book = prose("zh", 12000, "book")
    rows = cut("a", book, 400, 400) + cut("b", book, 150, 400)
    whole = outcome(run(tmp_path / "whole", [rows]))
    parts = outcome(run(tmp_path / "parts", [rows[start : start + 7] for start in range(0, len(rows), 7)]))
    assert whole == parts
    assert sum(reason == "covered" for reason, _ in whole.values()) > 25


def test_a_passage_is_not_covered_by_what_comes_after_it(tmp_path: Path):
    book = prose("zh", 8000, "book")
    found = covered(run(tmp_path, [cut("a", book, 200, 400), cut("b", book, 400, 400)]))
    assert found
    assert all(id.startswith("b/") for id in found)
