"""Undo mojibake: UTF-8 that was read as GBK, or as Latin-1 or cp1252, and saved as what it then looked like.

Chinese in UTF-8 read as GBK turns into rare characters, 锛 for the comma above all, and what GBK has no character for
into U+FFFD; writing the rare characters as GBK again gives the bytes back. Each lost byte costs one character, which
stays U+FFFD and is counted: it is not guessed at. The Latin kinds ("Ã©" for "é") are ftfy's to undo. Both look at
suspects alone; a text without their signs is given back as it is.
"""

import re

import ftfy

from pipeline.readers.items import Refused

# UTF-8 as GBK shows it: E3 80 and EF BC begin the full-width punctuation, E7 9A the commonest character, 的.
_GBK_SIGNS = tuple(bytes(pair).decode("gbk") for pair in ((0xE3, 0x80), (0xEF, 0xBC), (0xE7, 0x9A)))
# As Latin-1 or cp1252 show it: Latin letters, quotation marks, and the punctuation of Chinese.
_LATIN_SIGNS = ("Ã", "â€", "Â", "ï¼", "ã€", "ã\x80")
WESTERN_RUN = re.compile("[\u0080-\u00ff\u0152-\u02dc\u2013-\u2122€]{4}")  # that no language writes
_MIN_SIGNS = 2
_SAMPLE = 100_000  # characters that tell whether a longer line is mojibake: undoing takes ten times its memory
_MAX_LOST_IN_LINE = 0.25  # share of characters; more, and the line was something else
_MAX_LOST = 0.01  # share of repaired characters, as clean's limit for missing glyphs
_WIDE = re.compile(r"[\u2e80-\uffef\U00020000-\U0003ffff]")


def repair(text: str) -> tuple[str, int, int]:
    """Undo the mojibake of a text, line by line.

    Returns:
        The text, how many characters were repaired, and how many of them could not be and are U+FFFD.
    """
    repaired = lost = 0
    if sum(map(text.count, _LATIN_SIGNS)) >= _MIN_SIGNS:
        lines = text.split("\n")  # not by an expression, which would look for a sign from every place of a long line
        suspect = (WESTERN_RUN.search(line) or any(sign in line for sign in _LATIN_SIGNS) for line in lines)
        fixed = (ftfy.fix_encoding(line) if bad else line for line, bad in zip(lines, suspect, strict=True))
        text = "\n".join(fixed)
    if sum(map(text.count, _GBK_SIGNS)) >= _MIN_SIGNS:
        lines = text.split("\n")
        for number, line in enumerate(lines):
            if not line.isascii() and (undone := _as_utf8(line)) is not None:
                lines[number], lost_here = undone
                repaired += len(_WIDE.findall(lines[number]))
                lost += lost_here
        text = "\n".join(lines)
    return text, repaired, lost


def repaired_file(text: str) -> str:
    """Return a file's text with its mojibake undone.

    Raises:
        Refused: more of it is lost than a text can lack.
    """
    text, repaired, lost = repair(text)
    if lost > _MAX_LOST * repaired:
        detail = f"UTF-8 read as GBK: {lost} of {repaired} characters are lost; give the file as it was before"
        raise Refused("mojibake", detail)
    return text


def _as_utf8(line: str) -> tuple[str, int] | None:
    """Return what a line was before it was read as GBK, and its lost characters; None where it was nothing else."""
    if len(line) > _SAMPLE and _as_utf8(line[:_SAMPLE]) is None:
        return None
    try:
        # cp936 shows a lone byte 80 as the euro sign; FF stands for a lost byte, as no UTF-8 has it.
        data = b"\xff".join(
            b"\x80".join(piece.encode("gbk") for piece in part.split("€")) for part in line.split("\ufffd")
        )
    except UnicodeEncodeError:  # what no GBK file can have been read as
        return None
    before = re.sub("\ufffd+", "\ufffd", data.decode("utf-8", errors="replace"))
    lost = before.count("\ufffd")
    wide = sum(1 for _ in _WIDE.finditer(before))
    return (before, lost) if wide and lost <= _MAX_LOST_IN_LINE * wide else None
