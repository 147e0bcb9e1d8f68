"""Segment documents into passages: self-contained pieces along sections, then paragraphs, then sentences.

Reads Document, writes Passage; one to many. A passage is `document.text[start:end]` as it stands, without white space
around it. Heading lines are left out of passages, as they are in `headings`, the outermost first. Paragraphs of one
section are put together up to the budget; only a paragraph over budget is cut, at sentences, then at semicolons, and
one sentence that is still longer stays whole. A document that has no text gives one dropped row.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
from pydantic import Field

from pipeline.recipe import Config
from pipeline.records import PASSAGE, marked_schema, text_hash
from pipeline.sentences import Span, split_clauses, split_sentences, trim_spans


class SegmentConfig(Config):
    """How long a passage may be. Lengths are in characters, by language: of a tag, of its first part, or of "en"."""

    max_chars: dict[str, int] = Field(default={"zh": 500, "lzh": 500, "en": 1500}, description="budget of a passage")
    min_chars: dict[str, int] = Field(
        default={"zh": 120, "lzh": 80, "en": 360}, description="the last piece of a section grows to this"
    )


def segment_documents(documents: pa.Table, config: SegmentConfig) -> pa.Table:
    """Cut each document into passages, in order.

    Returns:
        Passages plus drop columns. A text that repeats within its document is dropped as `repeated_in_document`, a
        document without text gives one row `no_text`; so every document's id appears in some row's `document_id`.
    """
    columns = ["id", "source", "kind", "lang", "text", "title", "sections"]
    rows = [row for document in documents.select(columns).to_pylist() for row in _passages(document, config)]
    return pa.Table.from_pylist(rows, schema=marked_schema(PASSAGE))


def for_language(limits: Mapping[str, int], lang: str) -> int:
    """Return the limit for a language: of its tag, else of the part before the hyphen, else of English."""
    return limits.get(lang, limits.get(lang.split("-")[0], limits["en"]))


def _passages(document: Mapping[str, Any], config: SegmentConfig) -> Iterator[dict[str, Any]]:
    text, lang = document["text"], document["lang"]
    common = {name: document[name] for name in ("source", "kind", "lang", "title")} | {"document_id": document["id"]}
    seen: set[str] = set()
    for region, headings, page in regions(text, document["sections"]):
        for start, end in _pieces(text, region, lang, config):
            id = f"{document['id']}#{text_hash(text[start:end])}"
            yield common | {
                "id": id,
                "start": start,
                "end": end,
                "text": text[start:end],
                "headings": headings,
                "page": page,
                "drop_reason": "repeated_in_document" if id in seen else None,
            }
            seen.add(id)
    if not seen:
        empty = {"id": f"{document['id']}#{text_hash('')}", "start": 0, "end": 0, "text": "", "headings": []}
        yield common | empty | {"drop_reason": "no_text"}


def regions(text: str, sections: Sequence[Mapping[str, Any]]) -> Iterator[tuple[Span, list[str], int | None]]:
    """Yield the spans of a text between section boundaries and heading lines, with their headings and page."""
    position = 0
    inside: list[Mapping[str, Any]] = []

    def leave(until: int) -> Iterator[tuple[Span, list[str], int | None]]:
        nonlocal position
        if position < until:
            page = next((section["page"] for section in reversed(inside) if section["page"] is not None), None)
            yield (position, until), [section["heading"] for section in inside if section["heading"]], page
            position = until

    for section in sorted(sections, key=lambda section: (section["start"], -section["end"])):
        while inside and inside[-1]["end"] <= section["start"]:
            yield from leave(inside[-1]["end"])
            inside.pop()
        yield from leave(section["start"])
        inside.append(section)
        if section["heading"]:
            line_end = text.find("\n", section["start"], section["end"])
            position = max(position, section["end"] if line_end < 0 else line_end)
    while inside:
        yield from leave(inside[-1]["end"])
        inside.pop()
    yield from leave(len(text))


def _pieces(text: str, region: Span, lang: str, config: SegmentConfig) -> list[Span]:
    """Put the units of a region together into pieces within budget."""
    most, least = for_language(config.max_chars, lang), for_language(config.min_chars, lang)
    pieces: list[list[Span]] = []
    for unit in _units(text, region, lang, most):
        if pieces and unit[1] - pieces[-1][0][0] <= most:
            pieces[-1].append(unit)
        else:
            pieces.append([unit])
    if len(pieces) > 1:
        _balance(pieces[-2], pieces[-1], least, most)
    return [(piece[0][0], piece[-1][1]) for piece in pieces]


def _balance(before: list[Span], last: list[Span], least: int, most: int) -> None:
    """Move units from the last piece but one to a last piece that is too short to stand alone."""
    while (
        len(before) > 1
        and last[-1][1] - last[0][0] < least
        and last[-1][1] - before[-1][0] <= most
        and before[-2][1] - before[0][0] >= least
    ):
        last.insert(0, before.pop())


def _units(text: str, region: Span, lang: str, most: int) -> Iterator[Span]:
    """Yield paragraphs; of those over budget, sentences; of those over budget, clauses."""
    for paragraph in _within(
        text, region, lambda part: trim_spans(part, [at + 1 for at, char in enumerate(part) if char == "\n"])
    ):
        if paragraph[1] - paragraph[0] <= most:
            yield paragraph
            continue
        for sentence in _within(text, paragraph, lambda part: split_sentences(part, lang)):
            yield from [sentence] if sentence[1] - sentence[0] <= most else _within(text, sentence, split_clauses)


def _within(text: str, span: Span, split: Callable[[str], list[Span]]) -> list[Span]:
    start, end = span
    return [(start + first, start + last) for first, last in split(text[start:end])]
