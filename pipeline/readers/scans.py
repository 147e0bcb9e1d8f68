"""Read what MinerU and PaddleOCR write for scanned pages, with page numbers, headings, tables and captions.

MinerU (docs/reference/output_files of 2.5): `*_content_list.json`, a list of blocks with `type` and `page_idx`, and
`*_middle.json`, blocks of lines of spans below `pdf_info`. PaddleOCR 3 (PP-StructureV3, PaddleOCR-VL), one JSON a page:
`parsing_res_list` of blocks with `block_label` and `block_content`, bare, below `res`, or below `layoutParsingResults`
as the service answers, also as a list or lines of them. Their Markdown has no pages and is read as Markdown.

Running heads, feet and page numbers are left out, as both tools mark them; tables, which both write in HTML, become
rows between bars with their caption before them.
"""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from pipeline.readers.encoding import decode_or_refuse
from pipeline.readers.html import parse_html
from pipeline.readers.html_blocks import pieces_of, remove_unseen
from pipeline.readers.items import PARAGRAPH, Block, Item, Refused, compose, one_line
from pipeline.readers.markdown import read_markdown
from pipeline.readers.wraps import dehyphenation, join_wrapped

ADVICE = "expected *_content_list.json or *_middle.json of MinerU, a result of PP-StructureV3, or their Markdown"
SCANS = (  # the name a tool gives a file, and what its first bytes hold
    ("mineru", re.compile(r"_(?:content_list|middle)\.json$"), re.compile(rb'"pdf_info"\s*:\s*\[')),
    ("paddleocr", re.compile(r"(?!)"), re.compile(rb'"(?:parsing_res_list|layoutParsingResults)"\s*:')),
)
_FURNITURE = frozenset(("header", "footer", "page_number", "number", "header_image", "footer_image", "formula_number"))
_PICTURES = frozenset(("image", "seal", "figure", "chart_body", "image_body"))
_CAPTIONS = frozenset(("table_title", "figure_title", "chart_title", "figure_table_chart_title", "table_caption"))
_HEADINGS = {"doc_title": 1, "paragraph_title": 2, "title": 2}
_MARKED = re.compile(r"(#{1,6})\s+(.*)", re.DOTALL)  # a heading where the tool formats contents as Markdown
_ITEM = re.compile(r"\s*(?:[-*•·●○]\s|\d{1,3}[.)、．]|[(（]\d{1,3}[)）]|[①-⑳])")
_MARKUP = re.compile(r"<table\b|</?(?:div|p|td|tr|html)\b", re.IGNORECASE)
_IMAGE = re.compile(r"<img\b[^>]*>|!\[[^\]]*\]\([^)]*\)", re.IGNORECASE)
_MAX_DEPTH = 8


def read_scan(data: bytes) -> Iterator[Item]:
    """Yield the one document of a file that MinerU or PaddleOCR wrote."""
    text = decode_or_refuse(data)
    if text.lstrip()[:1] not in ("{", "["):
        yield from read_markdown(data)
        return
    value = _json(text)
    try:
        blocks = [block for block in _blocks(value) if block.text.strip()]
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise Refused("unreadable", f"{type(error).__name__} in its blocks; {ADVICE}") from None
    if not blocks:
        raise Refused("empty", "no block holds text")
    text, sections = compose(blocks)
    title = next((one_line(block.text) for block in blocks if block.level == 1), None)
    yield Item(text=text, sections=sections, title=title)


def scan_format(called: str, head: bytes) -> str | None:
    """Tell the tool that wrote a JSON file by the file's name or first bytes; None where it was none of the two."""
    return next((name for name, ending, holds in SCANS if ending.search(called) or holds.search(head)), None)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise Refused("unreadable", "nested too deep") from None
    except ValueError as error:
        lines = [line for line in text.split("\n") if line.strip()]
        try:
            return [json.loads(line) for line in lines]
        except (ValueError, RecursionError):
            raise Refused("unreadable", f"no JSON: {error}"[:200]) from None


def _blocks(value: Any) -> Iterator[Block]:
    if isinstance(value, dict) and isinstance(value.get("pdf_info"), list):
        for index, page in enumerate(value["pdf_info"]):
            number = _page(page.get("page_idx"), index)
            for block in page.get("para_blocks") or ():
                yield from _middle(block, number, 0)
    elif pages := list(_paddle_pages(value, 0)):
        for index, page in enumerate(pages):
            yield from _paddle(page["parsing_res_list"], _page(page.get("page_index"), index))
    elif isinstance(value, list) and all(isinstance(block, dict) and "type" in block for block in value):
        for block in value:
            yield from _content(block, _page(block.get("page_idx"), 0))
    else:
        raise Refused("unknown_format", ADVICE)


def _page(index: object, default: int) -> int:
    """Return a page's number from 1: both tools count from 0, and PaddleOCR has none for a single image."""
    return (index if isinstance(index, int) and 0 <= index < 1 << 30 else default) + 1


def _content(block: dict[str, Any], page: int) -> Iterator[Block]:
    """Read a block of MinerU's content list."""
    kind = block["type"]
    if kind in _FURNITURE:
        return
    level = block.get("text_level") or (1 if kind == "title" else 0)
    own = [str(block.get(name) or "") for name in ("text", "code_body", "table_body")]
    if kind == "list":
        own = [_as_list(_strings(block.get("list_items")))]
    captions, notes = (_strings(block.get(f"{kind}_{part}")) for part in ("caption", "footnote"))
    if kind in ("table", "code"):
        yield Block(PARAGRAPH, "\n".join(filter(None, (*captions, *map(_flat, own), *notes))), page)
    elif kind in ("text", "title") and level:
        yield Block(min(int(level), 6), own[0], page)
    else:
        for text in (*captions, *own, *([str(block.get("content") or "")] if kind == "chart" else ()), *notes):
            yield Block(PARAGRAPH, _flat(text), page)


def _middle(block: dict[str, Any], page: int, depth: int) -> Iterator[Block]:
    """Read a block of MinerU's middle JSON, whose tables, pictures and lists hold blocks."""
    kind = block.get("type")
    if kind in _FURNITURE or depth > _MAX_DEPTH:
        return
    inner = [part for child in block.get("blocks") or () for part in _middle(child, page, depth + 1)]
    lines = ["".join(map(_span, line.get("spans") or ())) for line in block.get("lines") or ()]
    text = "\n".join(lines) if any("<table" in line for line in lines) else _joined(lines)
    if kind == "title":
        yield Block(max(1, min(int(block.get("level") or 1), 6)), text, page)
    elif kind == "list":
        yield Block(
            PARAGRAPH, _as_list([part.text for part in inner] or [line for line in lines if line.strip()]), page
        )
    elif kind in ("table", "code"):
        rank = {f"{kind}_caption": 0, f"{kind}_body": 1}
        order = sorted(block.get("blocks") or (), key=lambda child: rank.get(child.get("type"), 2))
        parts = [part.text for child in order for part in _middle(child, page, depth + 1)]
        yield Block(PARAGRAPH, "\n".join(filter(None, (*parts, _flat(text)))), page)
    else:
        yield from inner
        yield Block(PARAGRAPH, _flat(text), page)


def _span(span: dict[str, Any]) -> str:
    return str(span.get("html") or span.get("content") or "")


def _paddle_pages(value: Any, depth: int) -> Iterator[dict[str, Any]]:
    """Find the pages of PaddleOCR's results in what they are wrapped in."""
    if isinstance(value, dict) and isinstance(value.get("parsing_res_list"), list):
        yield value
    elif depth < _MAX_DEPTH:
        wrapped = value if isinstance(value, list) else []
        if isinstance(value, dict):
            wrapped = [value.get(name) for name in ("result", "res", "layoutParsingResults", "prunedResult")]
        for inner in wrapped:
            yield from _paddle_pages(inner, depth + 1)


def _paddle(blocks: Sequence[dict[str, Any]], page: int) -> Iterator[Block]:
    """Read the blocks of a page of PaddleOCR; a caption waits for the table behind it."""
    caption = ""
    for block in blocks:
        label, content = str(block["block_label"]), str(block.get("block_content") or "")
        if label in _FURNITURE or label in _PICTURES:
            continue
        if caption and label != "table":
            yield Block(PARAGRAPH, caption, page)
        text = _flat(content) if _MARKUP.search(content) else _joined(_IMAGE.sub("", content).split("\n"))
        marked = _MARKED.fullmatch(text)
        if label in _HEADINGS or (marked and label != "table"):
            yield Block(_HEADINGS.get(label, 2) if not marked else len(marked[1]), marked[2] if marked else text, page)
        elif label not in _CAPTIONS:
            yield Block(PARAGRAPH, "\n".join(filter(None, (caption, text))), page)
        caption = text if label in _CAPTIONS else ""
    if caption:
        yield Block(PARAGRAPH, caption, page)


def _flat(text: str) -> str:
    """Return a text with its HTML laid out, and without pictures."""
    text = _IMAGE.sub("", text)
    if not _MARKUP.search(text):
        return text.strip()
    page = parse_html(text)
    remove_unseen(page, furniture=False)
    return "\n".join(piece.block.text for piece in pieces_of(page))


def _joined(lines: Sequence[str]) -> str:
    """Join the lines that a page had; an item of a list begins a line."""
    filled = [line for line in lines if line.strip()]
    dehyphenate = dehyphenation(filled)
    runs: list[list[str]] = []
    for line in filled:
        if not runs or _ITEM.match(line):
            runs.append([])
        runs[-1].append(line)
    return "\n".join(join_wrapped(run, dehyphenate) for run in runs)


def _as_list(items: Sequence[str]) -> str:
    return "\n".join(item.strip() if _ITEM.match(item) else f"- {item.strip()}" for item in items)


def _strings(value: object) -> list[str]:
    return [str(part).strip() for part in value] if isinstance(value, list) else [str(value)] if value else []
