"""The formats that collect reads: the readers of files that are one document, the names and suffixes of all formats."""

from collections.abc import Callable, Iterator, Mapping

from pipeline.readers.html import read_html
from pipeline.readers.items import Item
from pipeline.readers.markdown import read_markdown
from pipeline.readers.tables import FORMATS
from pipeline.readers.text import read_text
from pipeline.readers.xml import read_xml

READERS: Mapping[str, Callable[[bytes], Iterator[Item]]] = {
    "text": read_text,
    "html": read_html,
    "markdown": read_markdown,
    "xml": read_xml,
}
SUFFIXES: Mapping[str, str] = {
    "txt": "text",
    "html": "html",
    "htm": "html",
    "xhtml": "html",
    "md": "markdown",
    "markdown": "markdown",
    "xml": "xml",
    "nxml": "xml",
    "cnxml": "xml",
    "ndjson": "jsonl",
    **{name: name for name in FORMATS},
}
