"""Read the pages of a MediaWiki dump (mediawiki.org/wiki/Help:Export_formats): wiki text as a reader sees it.

Of templates, only those that show what they are given are shown; the others' text is elsewhere in the dump, behind code
that is not run. Pages outside of the article namespace, redirects and pages that are no wiki text are dropped rows.
"""

import html
import re
from collections.abc import Callable, Iterator

from lxml import etree

from pipeline.readers.items import PARAGRAPH, Block, Item, compose, join_lines, named, one_line, superscript, table_text
from pipeline.readers.xml_flow import local_name

_TAG = r"<{name}\b[^<>]*(?<!/)>", r"</{name}\s*>"
_DROPPED_TAGS = ("ref", "gallery", "timeline", "imagemap", "score", "templatestyles", "mapframe", "graph")
_SHOWING = named("lang nowrap nobr small big abbr tooltip lj link-en link-ja tsl ill le")  # their text is an argument
_VARIANT = re.compile(r"zh(?:-(?:hans|cn))?:(?P<shown>[^;{}]*)", re.IGNORECASE)
_NO_TEXT = re.compile(r"\s*(?:file|image|media|category|文件|檔案|档案|图像|圖像|分类|分類)\s*:", re.IGNORECASE)
_INTERWIKI = re.compile(r"[a-z]{2,3}(?:-[a-z]{2,8})?:[^|]*")
_ADDRESS = re.compile(r"\[(?:https?:)?//[^\s\[\]]{1,2000}(?P<label>[^\[\]\n]{0,1000})\]")
_RAISED = re.compile(r"<sup>(?P<raised>[0-9+\u2212\u2013-]{1,6})</sup>", re.IGNORECASE)
_ANY_TAG = re.compile(r"</?[A-Za-z][^<>]{0,1000}>")
_MAGIC = re.compile(r"__[A-Z]{3,20}__")
_HEADING = re.compile(r"(?P<marks>={1,6})(?P<heading>[^\n]*[^=\s][^\n]*?)(?P=marks)\s*")
_ITEM = re.compile(r"(?P<marks>[*#:;]+)[ \t]*(?P<body>.*)")
_ATTRIBUTES = re.compile(r"^[^|\[\]]*=[^|\[\]]*\|(?!\|)")


def page_item(page: etree._Element) -> Item:
    """Make one document of a page, by its last revision, named by its number."""
    parts = {local_name(part): part for part in page if isinstance(part.tag, str)}
    revision = {local_name(part): part.text or "" for part in parts.get("revision", ()) if isinstance(part.tag, str)}
    about = {name: (part.text or "").strip() for name, part in parts.items()}
    space, model = about.get("ns") or "0", revision.get("model", "").strip() or "wikitext"
    refused = (
        (f"namespace {space}" if space != "0" else "")
        or ("a redirect" if "redirect" in parts else "")
        or (model if model != "wikitext" else "")
    )
    text, sections = ("", []) if refused else compose(_blocks(_plain(revision.get("text", ""))))
    return Item(
        native=about.get("id") or None,
        title=about.get("title") or None,
        published=revision.get("timestamp", "")[:10] or None,
        text=text,
        sections=sections,
        drop_reason="not_a_document" if refused else None,
        drop_detail=refused or None,
    )


def _plain(text: str) -> str:
    """Take out the marks within lines; those of lines and blocks stay."""
    text = _shown(text, "<!--", "-->", lambda inner: "")
    for name in _DROPPED_TAGS:
        text = _shown(text, _TAG[0].format(name=name), _TAG[1].format(name=name), lambda inner: "")
    text = _shown(text, r"-\{", r"\}-", _variant)
    text = _shown(text, r"\{\{(?!\|)", r"\}\}", _template)
    text = _shown(text, r"\[\[", r"\]\]", _link)
    text = _RAISED.sub(lambda found: superscript(found.group("raised")), text)
    text = _ADDRESS.sub(lambda found: found.group("label").strip(), re.sub(r"<br\s*/?>", " ", text))
    text = html.unescape(_MAGIC.sub("", _ANY_TAG.sub("", text)))
    return re.sub(r"'{2,5}", "", text)


def _shown(text: str, opening: str, closing: str, show: Callable[[str], str]) -> str:
    """Replace what stands between marks, the innermost first, by what it shows; what is never closed stays."""
    written: list[list[str]] = [[]]
    end = 0
    for mark in re.finditer(f"(?P<open>{opening})|{closing}", text, re.IGNORECASE):
        written[-1].append(text[end : mark.start()])
        end = mark.end()
        if mark.group("open"):
            written.append([mark.group()])
        elif len(written) > 1:
            inner = written.pop()
            written[-1].append(show("".join(inner[1:])))
        else:
            written[-1].append(mark.group())
    return "".join(part for parts in written for part in parts) + text[end:]


def _variant(inner: str) -> str:
    """Return of a text in several scripts the simplified one."""
    shown = _VARIANT.search(inner)
    return shown.group("shown") if shown else inner.rpartition("|")[2].partition(";")[0].rpartition(":")[2]


def _template(inner: str) -> str:
    name, *given = (part.strip() for part in inner.split("|"))
    values = [part for part in given if "=" not in part]
    lower = name.lower()
    if lower in ("convert", "cvt") and len(values) > 1:
        return f"{values[0]} {values[1]}"
    return values[-1] if values and (lower in _SHOWING or lower.startswith("lang-")) else ""


def _link(inner: str) -> str:
    if _NO_TEXT.match(inner) or _INTERWIKI.fullmatch(inner):
        return ""
    return inner.removeprefix(":").rpartition("|")[2]


def _blocks(text: str) -> Iterator[Block]:
    paragraph: list[str] = []
    items: list[str] = []
    lines = iter(text.split("\n"))
    for line in lines:
        stripped = line.strip()
        heading, item = _HEADING.fullmatch(stripped), _ITEM.fullmatch(stripped)
        if items and not item:
            yield Block(PARAGRAPH, "\n".join(items))
            items = []
        if paragraph and (not stripped or heading or item or stripped.startswith("{|")):
            yield Block(PARAGRAPH, join_lines(paragraph))
            paragraph = []
        if heading:
            yield Block(max(1, len(heading.group("marks")) - 1), heading.group("heading").strip())
        elif stripped.startswith("{|"):
            yield Block(PARAGRAPH, _table(lines))
        elif item and one_line(item.group("body")):
            items.append(f"- {one_line(item.group('body'))}")
        elif stripped and not item and stripped.strip("-"):
            paragraph.append(stripped)
    yield Block(PARAGRAPH, "\n".join(items))
    yield Block(PARAGRAPH, join_lines(paragraph))


def _table(lines: Iterator[str]) -> str:
    """Lay a table out whose first line was read; one within it is part of it."""
    rows: list[list[str]] = [[]]
    caption, depth = "", 1
    for line in map(str.strip, lines):
        if line.startswith("{|"):
            depth += 1
        elif line.startswith("|}"):
            depth -= 1
            if not depth:
                break
        elif line.startswith("|+"):
            caption = _ATTRIBUTES.sub("", line[2:])
        elif line.startswith("|-"):
            rows.append([])
        elif line.startswith(("|", "!")):
            cells = re.split(r"\|\||!!" if line[0] == "!" else r"\|\|", line[1:])
            rows[-1] += [_ATTRIBUTES.sub("", cell).strip() for cell in cells]
        elif rows[-1]:
            rows[-1][-1] += f" {line}"
    return table_text(rows, caption=caption)
