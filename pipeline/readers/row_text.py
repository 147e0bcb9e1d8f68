"""Make a document of a row: a text, a list of texts with headings beside it, or a list of sections."""

from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import Any

from pipeline.readers.items import PARAGRAPH, Block, Item, compose

TEXT_FIELDS = ("text", "title", "id", "url", "published", "sections", "headings")


def text_item(row: Mapping[str, Any], fields: Mapping[str, str], key: str | None) -> Item:
    """Make a document of a row: a text, a list of texts with headings beside it, or a list of sections."""
    native = native_id(row, fields, key)
    sections = _cell(row, fields, "sections")
    content = None if sections else _cell(row, fields, "text")
    if isinstance(sections, list):
        if not all(isinstance(section, Mapping) for section in sections):
            return Item(native=native, drop_reason="unreadable", drop_detail="sections: expected objects")
        text, spans = compose(_blocks((part.get("heading"), part.get("text")) for part in sections))
    elif isinstance(content, list):
        headings = _cell(row, fields, "headings")
        beside = headings[: len(content)] if isinstance(headings, list) else []
        text, spans = compose(_blocks(zip_longest(beside, content)))
    else:
        text, spans = _string(content) or "", []
        text = text.replace("\r\n", "\n").strip()
    title, url, published = (_string(_cell(row, fields, name)) for name in ("title", "url", "published"))
    return Item(native=native, text=text, title=title, url=url, published=published, sections=spans)


def native_id(row: Mapping[str, Any], fields: Mapping[str, str], key: str | None) -> str | None:
    """Return a row's own id: the key that it is stored under, or its id column."""
    return key if key is not None else _string(_cell(row, fields, "id"))


def _blocks(parts: Any) -> Iterator[Block]:
    for heading, text in parts:
        yield Block(1, str(heading or ""))
        for paragraph in str(text or "").replace("\r\n", "\n").split("\n\n"):
            yield Block(PARAGRAPH, paragraph)


def _cell(row: Mapping[str, Any], fields: Mapping[str, str], name: str) -> Any:
    """Return the value of a field: of the column that the card names, else of the column of that name."""
    return row.get(fields.get(name, name))


def _string(value: Any) -> str | None:
    if isinstance(value, bytes):  # Parquet's binary columns
        value = value.decode("utf-8", "replace")
    return None if value is None else str(value).strip() or None
