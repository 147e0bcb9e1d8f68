"""Segment documents into passages: self-contained pieces along sections, then paragraphs, then sentences.

Reads Document, writes Passage; one to many. A passage is `document.text[start:end]` as it stands, without white space
around it. regions.py and units.py take a document apart, cuts.py chooses where passages begin. The heading lines over a
passage are left out of it, as they are in `headings`, the outermost first. Short neighbouring sections, as those of a
structured abstract, come together: then `headings` are those they share and the other heading lines stay in the text.
A table over budget is cut between its rows, and `headings` of the later pieces end with its caption and header row.
"""

from array import array
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field

from pipeline.cuts import END, LINE, SHARED, START, cheapest_cuts
from pipeline.recipe import Config
from pipeline.records import PASSAGE, marked_schema, text_hash
from pipeline.regions import Region, Sections, join_spans, regions, seam, trim
from pipeline.sentences import Span
from pipeline.tokens import token_ruler
from pipeline.units import Table, units

BATCH_UNITS = 1 << 15  # that cuts are chosen between at once, so that memory is bounded


class SegmentConfig(Config):
    """How long a passage may be. Lengths are in characters, by language: of a tag, of its first part, or of "en"."""

    max_chars: dict[str, int] = Field(default={"zh": 500, "lzh": 500, "en": 1500}, description="budget of a passage")
    min_chars: dict[str, int] = Field(
        default={"zh": 120, "lzh": 80, "en": 360}, description="what is shorter joins a neighbour that it fits beside"
    )
    max_tokens: int | None = Field(
        default=None, ge=1, description="budget in tokens of the model that is trained, in place of max_chars"
    )
    tokenizer: str = Field(default="", description="folder or hub name; filled from [train] model")
    max_sentence: float = Field(
        default=4, ge=1, description="budgets that one sentence may be long; a longer one is dropped"
    )


class Piece(NamedTuple):
    """A passage to be: its span, the headings over it, its page, and why it is dropped, if it is."""

    start: int
    end: int
    headings: Sequence[str]
    page: int | None
    drop_reason: str | None = None
    drop_detail: str | None = None


def segment_documents(
    documents: pa.Table, config: SegmentConfig, files: Mapping[str, Sequence[Path]] | None = None
) -> pa.Table:
    """Cut each document into passages, in order.

    Args:
        files: `tokenizer`, its folder or hub name, where the budget is in tokens.

    Returns:
        Passages plus drop columns; every document's id appears in some row's `document_id`. Dropped are a text that
        repeats within its document (`repeated_in_document`), spans marked as `boilerplate`, what has no place to cut
        it for several budgets (`no_sentence_end`), and a document without text (`no_text`, one row).
    """
    tokenizer = str(files["tokenizer"][0]) if files and files.get("tokenizer") else None
    rows: list[tuple[Any, ...]] = []
    parents: list[int] = []
    sections = _sections(documents)
    columns = (documents[name].to_pylist() for name in ("id", "lang", "boilerplate"))
    for row, (id, lang, boilerplate) in enumerate(zip(*columns, strict=True)):
        text = documents["text"][row].as_py()
        ruler = range(len(text) + 1) if tokenizer is None else token_ruler(text, tokenizer)
        spans = join_spans(text, [(span["start"], span["end"]) for span in boilerplate])
        seen: set[str] = set()
        for piece in pieces(text, sections[row], spans, ruler, lang, config):
            passage = text[piece.start : piece.end]
            passage_id = f"{id}#{text_hash(passage)}"
            if piece.drop_reason is None and passage_id in seen:
                piece = piece._replace(drop_reason="repeated_in_document")
            seen.add(passage_id)
            rows.append((passage_id, passage, *piece))
            parents.append(row)
    return _passages(documents, parents, rows)


def pieces(
    text: str, sections: Sections, boilerplate: Sequence[Span], ruler: Sequence[int], lang: str, config: SegmentConfig
) -> Iterator[Piece]:
    """Yield the passages of a text in order, and its boilerplate, as rows to be dropped, among them.

    Args:
        boilerplate: spans in order that do not touch.
        ruler: how much of the budget is used up before each character of the text, and at its end.
    """
    most = config.max_tokens or for_language(config.max_chars, lang)
    least = for_language(config.min_chars, lang)
    dropped = [Piece(start, end, (), None, "boilerplate") for start, end in boilerplate]
    if not sections.starts and not boilerplate and ruler[-1] <= most and (whole := trim(text, (0, len(text)))):
        found = [Piece(*whole, (), None)]
    else:
        found = list(_cut(text, sections, regions(text, sections, boilerplate), ruler, lang, most, least))
    for piece in sorted(found + dropped) if dropped else found:
        size = ruler[piece.end] - ruler[piece.start]
        if size > most * config.max_sentence and piece.drop_reason is None:
            piece = piece._replace(drop_reason="no_sentence_end", drop_detail=f"{size} of {most}")
        yield piece
    if not found and not dropped:
        yield Piece(0, 0, (), None, "no_text")


def for_language(limits: Mapping[str, int], lang: str) -> int:
    """Return the limit for a language: of its tag, else of the part before the hyphen, else of English."""
    return limits.get(lang, limits.get(lang.split("-")[0], limits["en"]))


def _cut(
    text: str, sections: Sections, found: Sequence[Region], ruler: Sequence[int], lang: str, most: int, least: int
) -> Iterator[Piece]:
    """Lay out the units of all regions, choose the cuts, and yield what lies between them."""
    rows, of = array("q"), list[tuple[Region, Table]]()  # U times the nine columns of cuts.py; what each stands in
    before, last = None, 0
    for region in found:
        shared, cost = seam(text, sections, before, region, last)
        depth, lead = len(region.path), region.leads[0] if region.leads else None
        for start, end, inner, table in units(text, region, ruler, most, lang):
            if len(of) >= BATCH_UNITS and (inner <= LINE or len(of) >= 2 * BATCH_UNITS):
                yield from _choose(np.frombuffer(rows, np.int64).reshape(-1, 9), of, sections, most, least)
                rows, of = array("q"), []
            opened = depth if lead is None else depth - len(region.leads)
            rows.extend(
                (start, end, ruler[start], ruler[end], ruler[start if lead is None else lead], depth, opened, shared)
            )
            rows.append(inner if cost is None else cost)
            of.append((region, table))
            shared, cost, lead, last = depth, None, None, end
        before = region
    if of:
        yield from _choose(np.frombuffer(rows, np.int64).reshape(-1, 9), of, sections, most, least)


def _choose(
    units_U9: NDArray[np.int64], of: Sequence[tuple[Region, Table]], sections: Sections, most: int, least: int
) -> Iterator[Piece]:
    """Choose the cuts between U units and yield the passages."""
    firsts = cheapest_cuts(units_U9, most, least).tolist()
    for first, stop in zip(firsts, [*firsts[1:], len(of)], strict=True):
        region, table = of[first]
        shared = min([len(region.path), *units_U9[first + 1 : stop, SHARED].tolist()])
        start, end = int(units_U9[first, START]), int(units_U9[stop - 1, END])
        if shared < len(region.path):
            start = region.leads[shared - len(region.path)]
        headings = [sections.headings[section] for section in region.path[:shared]]
        yield Piece(start, end, [*headings, *table], region.page)


def _sections(documents: pa.Table) -> list[Sections]:
    """Take the sections of all documents apart by column."""
    column = documents["sections"].combine_chunks()
    flat = column.flatten()
    starts, ends = flat.field("start").to_pylist(), flat.field("end").to_pylist()
    headings, pages = flat.field("heading").to_pylist(), flat.field("page").to_pylist()
    bounds = [0, *np.cumsum(pc.list_value_length(column).to_numpy(zero_copy_only=False)).tolist()]
    return [
        Sections(starts[first:stop], ends[first:stop], headings[first:stop], pages[first:stop])
        for first, stop in pairwise(bounds)
    ]


def _passages(documents: pa.Table, parents: Sequence[int], rows: Sequence[tuple[Any, ...]]) -> pa.Table:
    """Put N passages together as a table: what they have of their own, and what they have from their documents."""
    own = dict(zip(("id", "text", *Piece._fields), zip(*rows, strict=True) if rows else [()] * 8, strict=True))
    parent = documents.select(["id", "source", "kind", "lang", "title"]).take(pa.array(parents, pa.int64()))
    inherited = dict(zip(("document_id", "source", "kind", "lang", "title"), parent.columns, strict=True))
    schema = marked_schema(PASSAGE)
    return pa.table([inherited.get(name, own.get(name)) for name in schema.names], schema=schema)
