"""Read the cells of spreadsheets: CSV and TSV from any row on, XLSX as lines of JSON.

Cells stay text as written: no number, date or missing value is guessed, and of a formula the value last shown is read,
never the formula. A quotation mark that is never closed costs its own line, not what follows.
"""

import csv
import datetime
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import openpyxl

from pipeline.readers.items import Refused, one_line

Fault = tuple[str, str]  # a drop reason and its detail


class Cells(NamedTuple):
    """A row of cells: the byte it begins at, its size in bytes; where it has a fault, of its first line alone."""

    start: int
    size: int
    cells: list[str]
    fault: Fault | None = None


def too_large(size: int, max_bytes: int) -> Fault:
    """Say that an item is larger than a document may be."""
    return "too_large", f"{size} bytes in one item, more than collect.max_document_bytes = {max_bytes}"


def skip_line(file: BinaryIO) -> int:
    """Read on to the end of a line; return how many bytes that were."""
    size = 0
    while part := file.readline(1 << 20):
        size += len(part)
        if part.endswith(b"\n"):
            break
    return size


def read_cells(file: BinaryIO, start: int, end: int, max_bytes: int, *, tabs: bool) -> Iterator[Cells]:
    """Yield the rows of a CSV or TSV in UTF-8 that begin at `start` or behind it and before `end`."""
    csv.field_size_limit(sys.maxsize)  # rows are limited here, and their cells with them
    file.seek(start)
    at = start
    lines: list[bytes] = []  # of the row being read

    def feed() -> Iterator[str]:
        while line := file.readline(max_bytes + 1):
            lines.append(line)
            if len(line) > max_bytes or (len(lines) % 64 == 0 and sum(map(len, lines)) > max_bytes):
                raise OverflowError
            yield line.decode("utf-8", "replace")

    def begin() -> Any:
        # in TSV a quotation mark is text
        return csv.reader(
            feed(), delimiter="\t" if tabs else ",", quoting=csv.QUOTE_NONE if tabs else csv.QUOTE_MINIMAL
        )

    reader = begin()
    while at < end:
        lines.clear()
        fault = None
        try:
            cells = next(reader, None)
            if not tabs and len(lines) > 1 and b"".join(lines).count(b'"') % 2 and _at_end(file):
                fault = "unreadable", "a quotation mark that is never closed"
        except csv.Error as error:
            cells, fault = [], ("unreadable", str(error)[:200])
        except OverflowError:
            cells, fault = [], too_large(sum(map(len, lines)), max_bytes)
        if fault and lines:
            file.seek(at + len(lines[0]))
            size = len(lines[0]) + (0 if lines[0].endswith(b"\n") else skip_line(file))
            reader = begin()
            yield Cells(at, size, [lines[0].decode("utf-8", "replace")[:200]], fault)
        elif cells is None:
            return
        else:
            size = sum(map(len, lines))
            if cells:
                yield Cells(at, size, cells)
        at += size


def _at_end(file: BinaryIO) -> bool:
    at = file.tell()
    more = file.read(1)
    file.seek(at)
    return not more


def xlsx_lines(path: Path, *, by_number: bool) -> Iterator[bytes]:
    """Yield the rows of all sheets as lines of JSON, under the header that begins each sheet."""
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True, keep_links=False)
        for sheet in book.worksheets:
            names: list[str] | None = None
            for row in sheet.iter_rows(values_only=True):
                cells = [_cell_text(value) for value in row]
                if not any(cells):
                    continue
                if names is None and not by_number:
                    names = [cell or str(place) for place, cell in enumerate(cells)]
                    continue
                keys = names if names is not None else map(str, range(len(cells)))
                line = json.dumps(dict(zip(keys, cells, strict=False)), ensure_ascii=False)
                yield line.encode("utf-8", "replace") + b"\n"
        book.close()
    except Exception as error:  # openpyxl lets whatever its parsers meet rise
        raise Refused("unreadable", one_line(repr(error))[:200]) from None


def _cell_text(value: Any) -> str | None:
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        value = value.date()
    return None if value is None else str(value)
