"""Decode a file's bytes: by its byte-order mark, as UTF-8, or as the legacy encoding that makes the most sense.

Encodings of Chinese are told apart by how many of the decoded characters are among the most frequent of the language:
about a third of real text, next to none of text decoded wrongly. A file that is not one encoding throughout is decoded
by runs of lines: a line that is UTF-8 with wide characters in it is that, whatever stands beside it. Bytes that
nothing explains are not guessed at; a few broken ones become U+FFFD. What was decoded wrongly before it came to us is
mojibake.py's to undo.
"""

import codecs
import re
from collections.abc import Iterator, Sequence
from itertools import groupby

from pipeline.readers.items import Refused
from pipeline.readers.mojibake import WESTERN_RUN, repaired_file

# Frequent characters, both scripts and classical texts included, and the punctuation between them.
_FREQUENT = re.compile(
    "[的一是不了在人有我他这這中大来上国个到说们为子和你地出道也时年得就那要下以生会自着去之过家学对可她里后小么心多"
    "天而能好都然没日于起还发成事只作当想看文无开手十用主行方又如前所本见经头面公同三已老从动說個們這時會後來對國過學"
    "者其曰二四五六七八九病治药藥气氣血水热熱，。、：；]"
)
_BOMS = (  # that of UTF-16-LE begins that of UTF-32-LE
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_MIN_FREQUENT = 0.15  # share of wide characters; real text of any script measured here has 0.24 or more
_MAX_BROKEN = 0.002  # share of characters that may be undecodable in an otherwise convincing text
_MIN_WIDE_UTF8 = 0.7  # share of a line's bytes beyond ASCII in wide UTF-8; GB18030 read as UTF-8 has about 0.1
_MAX_BROKEN_IN_LINE = 0.1  # share of a line's characters beyond ASCII that a line in UTF-8 may have lost
_MAX_HIGH_WESTERN = 0.2  # share of bytes above 0x7f in a Western European text; French has about 0.04
_MIN_ASCII_UTF16 = 0.9  # share of characters, in a Western text of two bytes each
_MAX_NULS = 0.001  # share of bytes; a binary file has more
_SAMPLE = 60_000  # bytes that are enough to choose by
_MIN_RUN = 200  # bytes beyond ASCII of a run that chooses its encoding for itself
_ASCII = bytes(range(128))
_WIDE_LEGACY = ("gb18030", "big5hkscs")
_WIDE_UTF8 = re.compile(rb"[\xe2-\xef][\x80-\xbf]{2}|\xf0[\x90-\xbf][\x80-\xbf]{2}")
# The commonest character and marks of Chinese, in GB18030 and in Big5, as Latin-1 shows them.
_VEILED_SIGNS = tuple(char.encode(name).decode("latin-1") for name in _WIDE_LEGACY for char in "的，。、")
_MIN_SIGNS = 2


def decode(data: bytes) -> str | None:
    """Return the text of a file, or None when no encoding explains its bytes.

    Raises:
        Refused: the text is mojibake that cannot be undone.
    """
    for bom, encoding in _BOMS:
        if data.startswith(bom):
            return _if_whole(data.decode(encoding, errors="replace"))
    nuls = data.count(b"\x00") > _MAX_NULS * len(data)
    try:
        text: str | None = None if nuls else data.decode("utf-8")
    except UnicodeDecodeError:
        text = None
    if text is None and (wide := _utf16_of(data, nuls)):
        text = _if_whole(data[: len(data) // 2 * 2].decode(wide, errors="replace"))
    elif text is None and not nuls:
        text = _if_whole("\n".join(_decoded_runs(data.split(b"\n"), _legacy_encoding(data))))
    return None if text is None else repaired_file(_unveiled(text))


def decode_or_refuse(data: bytes) -> str:
    """Decode the bytes of a file.

    Raises:
        Refused: no encoding explains them.
    """
    text = decode(data)
    if text is None:
        raise Refused("undecodable", "no encoding explains its bytes; convert it to UTF-8")
    return text


def encoding_of(data: bytes) -> str | None:
    """Name a file's one encoding: utf-8[-sig], utf-16[-le|-be], utf-32, gb18030, big5hkscs, cp1252; None for others."""
    for bom, encoding in _BOMS:
        if data.startswith(bom):
            return encoding if _decodes(data, encoding) else None
    nuls = data.count(b"\x00") > _MAX_NULS * len(data)
    if not nuls and _decodes(data, "utf-8"):
        return "utf-8"
    if wide := _utf16_of(data, nuls):
        return wide
    legacy = None if nuls else _legacy_encoding(data)
    return legacy if legacy and _if_whole(data.decode(legacy, errors="replace")) is not None else None


def _if_whole(text: str) -> str | None:
    return text if text.count("\ufffd") <= _MAX_BROKEN * len(text) else None


def _decodes(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _starts_as_utf8(sample: bytes) -> bool:
    try:
        sample.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start >= len(sample) - 3  # the sample ends within a character
    return True


def _utf16_of(data: bytes, nuls: bool) -> str | None:
    """Tell UTF-16 without a mark: by frequent wide characters, or by ASCII in every second byte."""
    sample = data[:_SAMPLE] if len(data) > _SAMPLE else data[: len(data) // 2 * 2]
    for name, zero in (("utf-16-le", 1), ("utf-16-be", 0)):
        if _frequent_share(sample, name) >= _MIN_FREQUENT:
            return name
        if nuls and sample[zero::2].count(b"\x00") >= _MIN_ASCII_UTF16 * (len(sample) // 2):
            letters = sample[1 - zero :: 2]
            return name if len(re.findall(rb"[\t\n\r\x20-\x7e]", letters)) >= _MIN_ASCII_UTF16 * len(letters) else None
    return None


def _legacy_encoding(data: bytes) -> str | None:
    """Name the legacy encoding that bytes make the most sense in, by a sample of the lines that are no UTF-8."""
    sample = data[:_SAMPLE]
    mixed = _starts_as_utf8(sample)  # the legacy part comes later
    if not mixed and (found := _wide_legacy(sample)):
        return found
    legacy = b"\n".join(line for line in data.split(b"\n") if not _decodes(line, "utf-8"))[:_SAMPLE]
    if found := _wide_legacy(legacy):
        return found
    sample = legacy if mixed else sample
    western = _num_high(sample) <= _MAX_HIGH_WESTERN * len(sample) and _decodes(data, "cp1252")
    return "cp1252" if western else None


def _wide_legacy(sample: bytes) -> str | None:
    best, score = max(((name, _frequent_share(sample, name)) for name in _WIDE_LEGACY), key=lambda pair: pair[1])
    return best if score >= _MIN_FREQUENT else None


def _unveiled(text: str) -> str:
    """Undo mojibake of the other kind, "¸ßÑªÑ¹": lines of GB18030 or Big5 that were read as Latin-1 or cp1252."""
    if sum(map(text.count, _VEILED_SIGNS)) < _MIN_SIGNS:
        return text
    lines = text.split("\n")
    veiled = {place: data for place, line in enumerate(lines) if WESTERN_RUN.search(line) and (data := _western(line))}
    if encoding := _wide_legacy(b"\n".join(veiled.values())[:_SAMPLE]):
        for place, data in veiled.items():
            if _decodes(data, encoding):
                lines[place] = data.decode(encoding)
    return "\n".join(lines)


def _western(line: str) -> bytes | None:
    """Return the bytes that a line was, if it was read as Latin-1 or cp1252, and those are no UTF-8."""
    for encoding in ("latin-1", "sloppy-windows-1252"):  # ftfy's: with the five bytes that cp1252 does not define
        try:
            data = line.encode(encoding)
        except UnicodeEncodeError:
            continue
        return None if _decodes(data, "utf-8") else data
    return None


def _decoded_runs(lines: Sequence[bytes], legacy: str | None) -> Iterator[str]:
    """Decode a file's lines by runs of one encoding. Lines in ASCII alone go with what stands before them."""
    kinds: list[str] = []
    for line in lines:
        kinds.append((kinds[-1] if kinds else "utf-8") if line.isascii() else _kind_of(line, legacy))
    at = 0
    for kind, run in groupby(kinds):
        size = sum(1 for _ in run)
        data = b"\n".join(lines[at : at + size])
        at += size
        own = _legacy_encoding(data) if kind == "legacy" and _num_high(data[:_SAMPLE]) >= _MIN_RUN else None
        encoding = "utf-8" if kind == "utf-8" else own or legacy or "utf-8"
        yield data.decode(encoding, errors="replace")


def _kind_of(line: bytes, legacy: str | None) -> str:
    """Tell whether a line beyond ASCII is UTF-8, be it with a broken byte.

    Two-byte sequences alone prove nothing beside GB18030, where one character in eight looks like one.
    """
    if legacy in _WIDE_LEGACY:
        wide = 3 * len(_WIDE_UTF8.findall(line)) / _num_high(line)
        proven = wide > 1 - _MAX_BROKEN_IN_LINE or (wide >= _MIN_WIDE_UTF8 and _decodes(line, "utf-8"))
        return "utf-8" if proven else "legacy"
    text = line.decode("utf-8", errors="replace")
    return "utf-8" if text.count("\ufffd") <= _MAX_BROKEN_IN_LINE * (len(text) - _num_ascii(text)) else "legacy"


def _num_high(data: bytes) -> int:
    return len(data.translate(None, _ASCII))


def _num_ascii(text: str) -> int:
    return len(text.encode("ascii", errors="ignore"))


def _frequent_share(sample: bytes, encoding: str) -> float:
    text = sample.decode(encoding, errors="replace")
    wide = len(text) - _num_ascii(text)
    return len(_FREQUENT.findall(text)) / wide if wide else 0.0
