"""Find where the records of a long XML file begin, by bytes, so that runs of them can be read as files of their own.

One pass by expat, in constant memory but 8 bytes a record; nothing is expanded, fetched or kept. A run of records
between the head of the file and the closing tags is a whole file, which the readers of XML read as they read any other.
"""

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.parsers import expat

from pipeline.readers.items import Refused, named, one_line

# The records of a set by its root: how deep below it they are, and their names.
_SETS: Mapping[str, tuple[int, frozenset[str]]] = {
    "PubmedArticleSet": (1, named("PubmedArticle PubmedBookArticle")),
    "pmc-articleset": (1, named("article")),
    "OAI-PMH": (2, named("record")),
    "teiCorpus": (1, named("TEI TEI.2 teiCorpus")),
    "mediawiki": (1, named("page")),
}
_DOCUMENTS = named(
    "article Document document TEI TEI.2 html PubmedArticle PubmedBookArticle"
)  # one, whatever its length
_MAX_HEAD_BYTES = 1 << 20
_CHUNK = 1 << 20


@dataclass
class Records:
    """The records of an XML file.

    Attributes:
        is_set: whether each is an item of its own; else they are pieces of one text.
        head: the bytes before the first.
        tail: the tags that close what `head` opens.
        starts: the byte at which each begins.
        end: the byte behind the last.
        fault: why there are no more, if it is not the end of the set.
    """

    is_set: bool = False
    head: bytes = b""
    tail: bytes = b""
    starts: "array[int]" = field(default_factory=lambda: array("q"))
    end: int = 0
    fault: Refused | None = None


class _OneDocument(Exception):
    """The root has no records."""


def find_records(path: Path, *, sets_only: bool) -> Records | None:
    """Return the records of a file; None where it is one document.

    Args:
        sets_only: take a file whose root is not known as the root of a set for one document.

    Raises:
        Refused: it is not XML, or in an encoding of more than one byte a character that is not UTF-8.
    """
    records = Records()
    with path.open("rb") as file:
        if file.read(2) in (b"\xff\xfe", b"\xfe\xff"):
            raise Refused("too_large", "XML in UTF-16; convert it to UTF-8")
        parser = _parser(records, sets_only=sets_only)
        try:
            file.seek(0)
            while chunk := file.read(_CHUNK):
                parser.Parse(chunk, False)
            parser.Parse(b"", True)
        except _OneDocument:
            return None
        except (expat.ExpatError, ValueError) as error:
            records.fault = Refused("unreadable", "from here on: " + one_line(str(error))[:200])
            if not records.end and records.starts:
                records.end = records.starts.pop()  # the record that the fault is in
            if not records.starts:
                raise Refused("unreadable", one_line(str(error))[:200]) from None
        if not records.starts:
            return None
        file.seek(0)
        records.head = file.read(records.starts[0])
    if len(records.head) > _MAX_HEAD_BYTES:
        raise Refused("too_large", f"{len(records.head)} bytes before the first record")
    return records


def _parser(records: Records, *, sets_only: bool) -> Any:
    parser = expat.ParserCreate()
    opened: list[str] = []
    depth, names = 1, frozenset[str]()  # of the records; without names, whatever is that deep is one

    def start(name: str, attributes: object) -> None:
        nonlocal depth, names
        local = name.rpartition(":")[2]
        if not opened:
            records.is_set = local in _SETS
            if local in _DOCUMENTS or (sets_only and not records.is_set):
                raise _OneDocument
            depth, names = _SETS.get(local, (1, names))
        elif len(opened) == depth and (local in names or not names):
            records.starts.append(parser.CurrentByteIndex)
            if not records.tail:
                records.tail = "".join(f"</{outer}>" for outer in reversed(opened)).encode()
            records.end = 0
        opened.append(name)

    def end(name: str) -> None:
        opened.pop()
        if len(opened) == depth - 1 and not records.end:
            records.end = parser.CurrentByteIndex

    def declared(name: str, is_parameter: bool, value: str | None, *outside: object) -> None:
        if value is not None:
            raise ValueError(f"it declares the entity {name[:100]!r}; entities are not expanded")

    parser.StartElementHandler, parser.EndElementHandler, parser.EntityDeclHandler = start, end, declared
    return parser


def record_runs(records: Records, max_bytes: int) -> list[tuple[int, int]]:
    """Cut the records into runs of at most max_bytes where they are shorter than that: (start, end) bytes."""
    runs: list[tuple[int, int]] = []
    begin = records.starts[0]
    for place, after in zip(records.starts, [*records.starts[1:], records.end], strict=True):
        if place > begin and after - begin > max_bytes:
            runs.append((begin, place))
            begin = place
    if records.end > begin:
        runs.append((begin, records.end))
    return runs
