"""Cut a JSON file into its items without parsing it: byte ranges, found in chunks whatever the length of the file.

Which bytes are inside strings follows from the parity of the quotation marks before them, and the depth of nesting from
a running sum over the brackets outside strings (after simdjson, arXiv:1902.08318, section 3): both are operations on
arrays. A file that is cut off, or one item that is no JSON, costs that item and no other; a parser of events would
stop at the first mistake, and holds whole strings however long.
"""

import re
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import numpy as np

_CHUNK = 1 << 20
_KEY_HEAD = 4096  # bytes in which the key of an object's value ends
_LIST_UNDER_KEY = re.compile(rb'\s*"(?:[^"\\]|\\.)*"\s*:\s*\[')
_KINDS = bytes({91: 1, 123: 1, 93: 2, 125: 2, 34: 3, 44: 4}.get(byte, 0) for byte in range(256))  # [ { ] } " ,
_OPENS, _CLOSES, _QUOTE, _COMMA = 1, 2, 3, 4
_STEP = np.array([0, 1, -1, 0, 0], np.int32)  # of the nesting


class Cut(NamedTuple):
    """The bytes of an item from `start` on: `data` is their beginning alone where `size` is more than the limit."""

    start: int
    size: int
    data: bytes


def item_depth(file: BinaryIO, start: int, *, by_id: bool) -> int:
    """Tell how deep the items of a JSON file lie whose value begins at `start`.

    1 in a list, or under keys that are ids; 2 in the lists that are an object's values; 0 where all is one item.

    Raises:
        ValueError: items by id are expected, and it is no object.
    """
    first = _first_byte(file, start)
    if by_id:
        if first != b"{":
            raise ValueError("expected an object of items by id")
        return 1
    if first == b"[":
        return 1
    file.seek(start)
    values = [bool(_LIST_UNDER_KEY.match(cut.data)) for cut in cut_items(file, 1, max_bytes=_KEY_HEAD)]
    return 2 if first == b"{" and values and all(values) else 0


def cut_items(file: BinaryIO, depth: int, max_bytes: int, *, inside: bool = False) -> Iterator[Cut]:
    """Yield the items at a depth, in order, from where the file stands; starts are counted from there.

    Args:
        depth: as item_depth tells it; 0 yields the rest of the file as one item.
        max_bytes: of longer items only the first so many bytes are yielded.
        inside: the file stands at the start of an item rather than before the whole value.
    """
    if depth == 0:
        data = file.read(max_bytes)
        yield Cut(0, len(data) + sum(map(len, iter(lambda: file.read(_CHUNK), b""))), data)
        return
    level = depth if inside else 0
    in_string = False
    open_item = inside
    kept = bytearray()
    start = size = seen = 0
    while chunk := file.read(_CHUNK):
        while chunk.endswith(b"\\") and (more := file.read(1)):  # an escape is never cut in two
            chunk += more
        marks, level, in_string = _marks(chunk, depth, level, in_string)
        begun = 0
        for at, opens, closes in marks:
            if open_item:
                size += at - begun
                kept += chunk[begun : min(at, begun + max(0, max_bytes - len(kept)))]
                if kept.strip() or size > max_bytes:
                    yield Cut(start, size, bytes(kept))
            kept, size, begun, start = bytearray(), 0, at + 1, seen + at + 1
            open_item = opens or not closes
        if open_item:
            size += len(chunk) - begun
            kept += chunk[begun : begun + max(0, max_bytes - len(kept))]
        seen += len(chunk)
    if open_item and kept.strip():
        yield Cut(start, size, bytes(kept))


def _marks(chunk: bytes, depth: int, level: int, in_string: bool) -> tuple[list[tuple[int, bool, bool]], int, bool]:
    """Find where items at a depth begin and end: (position, opens the first item, closes the last) each.

    Returns:
        The marks, the nesting after the chunk, and whether it ends inside a string.
    """
    plain = chunk.replace(b"\\\\", b"__").replace(b'\\"', b"__") if b"\\" in chunk else chunk
    codes = np.frombuffer(plain.translate(_KINDS), np.uint8)
    places = np.flatnonzero(codes)
    kinds = codes[places]
    inside = (np.cumsum(kinds == _QUOTE) + in_string) % 2 == 1
    in_string = bool(inside[-1]) if inside.size else in_string
    places, kinds = places[~inside], kinds[~inside]
    levels = level + np.cumsum(_STEP[kinds])
    opens = (kinds == _OPENS) & (levels == depth)
    closes = (kinds == _CLOSES) & (levels == depth - 1)
    found = np.flatnonzero(opens | closes | ((kinds == _COMMA) & (levels == depth)))
    marks = list(zip(places[found].tolist(), opens[found].tolist(), closes[found].tolist(), strict=True))
    return marks, int(levels[-1]) if levels.size else level, in_string


def _first_byte(file: BinaryIO, start: int) -> bytes:
    file.seek(start)
    while (byte := file.read(1)).isspace():
        pass
    return byte
