"""Undo hard wraps: which lines belong to one paragraph, and how their ends are put together.

The width that lines were wrapped at is found by region, as a book's parts differ: many lines end within a few columns
of it, and most of those do not end a sentence. A line is joined to the next where the next one's first word would not
have fitted; and, as careless re-wrapping leaves lines of any length, where the sentence plainly goes on. Verse, tables
and list items stay lines of their own. A wide character is two columns.

A hyphen at a line's end is taken out unless the document itself has the word with a hyphen, or has both halves as
words and not the whole: `exam-/ple` is joined, `well-/known` keeps its hyphen.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate, pairwise

_REGION_LINES = 256
_MIN_LINES = 4  # full lines that a wrap width needs
_MIN_COLUMNS = 24  # of a line that tells of a width
_MIN_FULL, _MAX_ENDED = 0.3, 0.5  # share of long lines that are full, and of these that end a sentence
_CLEAR_FULL, _MAX_ENDED_CLEAR = 0.6, 0.85  # the same where the width is plain
_MIN_TORN = 0.25  # share of the lines with a sentence's end inside that do not end with one
_MIN_FULL_TORN = 0.2  # lines of a dialogue lack full stops too, but are of all widths
_MAX_COLUMNS = 130  # wider lines are paragraphs
_SLACK_COLUMNS = 14  # how much shorter than the width a full line may be: an English word
_SLACK_WIDE = 6  # the same for wide characters: one, and punctuation that may not begin a line
_SPILLED_COLUMNS = 12  # what re-wrapping at a smaller width leaves of a line
_LONGEST_WORD = 80  # characters
_LONGEST_TEST = 2000  # characters of a line that are looked at for its kind

SENTENCE_END = re.compile(r"[。！？!?.；;：:…」』”\"）)〕】]\s*$")
_GOES_ON = re.compile(r"[，、,（(〔【《「『“\-—–]\s*$")  # a line that ends so is not the last of its sentence
_CLOSING = re.compile(r"[，。、；：！？）」』”》〕】]|[,.;:!?)\]](?=\s|$)")  # and one that begins so not the first
_SENTENCE_INSIDE = re.compile(r"[。！？](?=\s*[^\s。！？」』”）])|\w[.!?] +\w")
_INSIDE = re.compile(r"[，。；、]")  # prose, and not an entry of a list
_WIDE_END = re.compile(r"[\u2e80-\uffef\U00020000-\U0003ffff]\s*$")
_WIDE_START = re.compile(r"\s*[\u2e80-\uffef\U00020000-\U0003ffff]")
_INDENT = re.compile(r"[ \t　]*")
_TABLE = re.compile(r"\s*(?:\||\+[-=+])|\S(?: {3,}|\t+)\S| \| ")  # set in columns: joined, it would say something else
_ITEM = re.compile(
    r"\s*(?:[-*•·●○▪◆■]\s|\d{1,3}[.)、．]\s?\S|[(（][\d一二三四五六七八九十]{1,3}[)）]|[①-⑳⑴-⒇]|[一二三四五六七八九十]{1,3}、|[a-z][.)]\s)"
)
_WORD = re.compile(r"[^\W\d_]+(?:[-‐'’][^\W\d_]+)*")
_BROKEN = re.compile(r"(?P<word>[^\W\d_]{1,60})(?P<hyphen>[-‐\u00ad¬])\s*$")
_FIRST_WORD = re.compile(r"\s*([^\W\d_]+)")
_NEXT = re.compile(r"\s*(\S*)")
# Halves that make one word although both are words, and first halves that hardly ever do.
_CLOSED = re.compile(
    r"(?:some|any|every|out|over|under|with|fore|after|inter|super)-\w+|"
    r"\w+-(?:thing|body|where|times|self|selves|ever|wards?|ful|less|ness|ment|able|tion|tions|ing|ings)"
)
_OPEN = re.compile(r"(?:self|well|half|long|short|high|low|cross)-\w{4,}")

Dehyphenate = Callable[[str, str], str]


def columns(line: str) -> int:
    """Return the width of a line in columns of a fixed-width font.

    The mean of its characters and of its bytes in UTF-8 is one column for ASCII and two for a wide character's three
    bytes; an accented letter counts half a column too much.
    """
    return len(line) if line.isascii() else (len(line) + len(line.encode("utf-8", "surrogatepass"))) // 2


def wrap_width(lines: Sequence[str]) -> int | None:
    """Return the columns at which lines were wrapped, or None when they were not.

    It is the width that most lines end at or a little before; these are many of the long lines, and do not all end a
    sentence, as paragraphs do. Where nearly all lines end so near to it, chance may end many a sentence there. Lines
    wrapped twice, at any width, are told by the sentences they tear.
    """
    return _wrap_width(lines, [columns(line.rstrip()) for line in lines])


def region_widths(lines: Sequence[str]) -> Callable[[int], int | None]:
    """Return a function from a line's number to the width that its region, or else the file, is wrapped at."""
    taken = [columns(line.rstrip()) for line in lines]
    of_file = _wrap_width(lines, taken)
    widths: list[int | None] = []
    for start in range(0, len(lines), _REGION_LINES):
        region = slice(max(0, start - _REGION_LINES // 2), start + _REGION_LINES * 3 // 2)
        telling = sum(width > _MIN_COLUMNS for width in taken[region]) >= 4 * _MIN_LINES
        widths.append((_wrap_width(lines[region], taken[region]) if telling else None) or of_file)
    return lambda number: widths[number // _REGION_LINES]


def _wrap_width(lines: Sequence[str], taken: Sequence[int]) -> int | None:
    long = [width for width in taken if width > _MIN_COLUMNS]
    if len(long) < _MIN_LINES:
        return None
    wide = 2 * sum(line.isascii() for line in lines) < len(lines)
    slack = _SLACK_WIDE if wide else _SLACK_COLUMNS
    counts = [0] * (_MAX_COLUMNS + 1)
    for width in long:
        if width <= _MAX_COLUMNS:
            counts[width] += 1
    sums = list(accumulate(counts))
    most, width = max((sums[end] - sums[end - slack - 1], -end) for end in range(slack + 1, _MAX_COLUMNS + 1))
    width = -width
    full = [line for line, columns in zip(lines, taken, strict=True) if width - slack <= columns <= width + 4]
    ended = sum(bool(SENTENCE_END.search(line[-8:])) for line in full) / max(1, len(full))
    clear = most >= _CLEAR_FULL * len(long) and ended < _MAX_ENDED_CLEAR
    wrapped = most >= max(_MIN_LINES, _MIN_FULL * len(long)) and (ended < _MAX_ENDED or clear)
    return width if wrapped or (most >= _MIN_FULL_TORN * len(long) and _are_torn(lines, taken)) else None


def _are_torn(lines: Sequence[str], taken: Sequence[int]) -> bool:
    """Tell whether lines that have the end of a sentence inside them mostly lack one at their own end."""
    prose = [
        line
        for line, width in zip(lines, taken, strict=True)
        if _MIN_COLUMNS < width <= _MAX_COLUMNS and _SENTENCE_INSIDE.search(line)
    ]
    torn = sum(SENTENCE_END.search(line[-8:]) is None for line in prose)
    return torn >= max(_MIN_LINES, _MIN_TORN * len(prose))


def paragraphs(lines: Sequence[str], width: int | None, dehyphenate: Dehyphenate) -> Iterator[tuple[int, str]]:
    """Join the lines of a block without blank lines into paragraphs.

    Args:
        width: columns its region is wrapped at; None where it is not.

    Yields:
        The number of a paragraph's first line, and its text; lines of verse, a table or a list are one, by lines.
    """
    width = _own_width(lines, width)
    begin, begun = 0, 0  # the first line of the paragraph, and that of the joined line within it
    kept: list[str] = []
    for number in range(1, len(lines) + 1):
        if number < len(lines) and _goes_on(lines[number - 1], lines[number], width, first=number - 1 == begun):
            continue
        kept.append(join_wrapped(lines[begun:number], dehyphenate))
        if number == len(lines) or not _stand_together(lines[number - 1], lines[number], width):
            yield begin, "\n".join(kept)
            begin, kept = number, []
        begun = number


def join_wrapped(lines: Sequence[str], dehyphenate: Dehyphenate) -> str:
    """Join the lines of one paragraph: without a space between wide characters, after a dash, before a comma."""
    joined = [lines[0].strip()]
    for line in lines[1:]:
        after, before = line.strip(), joined[-1]
        if (broken := _BROKEN.search(before[-_LONGEST_WORD:])) and (word := _FIRST_WORD.match(after)):
            joined[-1] = before[:-_LONGEST_WORD]  # of a chain of broken words, each is looked at once
            whole = dehyphenate(broken[0].strip(), word[1])
            joined.append(before[-_LONGEST_WORD:][: broken.start()] + whole + after[word.end() :])
        elif not before or not after or _joins_tightly(before, after):
            joined.append(after)
        else:
            joined += [" ", after]
    return "".join(joined)


def dehyphenation(lines: Iterable[str]) -> Dehyphenate:
    """Return how a document's words broken at line ends are put together, judged by its own words.

    The function takes a first half with its hyphen, and a second.
    """
    before, broken = "", set[tuple[str, str]]()
    lines = [line for line in lines if line and not line.isspace()]
    for line in lines:
        if before[-1:] in "-‐" and (found := _BROKEN.search(before)) and (word := _FIRST_WORD.match(line)):
            broken.add((found["word"], word[1]))
        before = line.rstrip()
    wanted = {
        form for halves in broken for part in (*halves, "".join(halves), "-".join(halves)) for form in [part.lower()]
    }
    counts = _counts(lines, wanted) if wanted else Counter[str]()

    def dehyphenate(first: str, second: str) -> str:
        half, hyphen = first[:-1], first[-1]
        whole, parted = half + second, f"{half}-{second}"
        keep = counts[parted.lower()] > counts[whole.lower()] or (
            not counts[whole.lower()]
            and (
                (second[0].isupper() and not half.isupper())
                or bool(_OPEN.fullmatch(parted.lower()))
                or (
                    min(len(half), len(second)) > 2
                    and min(counts[half.lower()], counts[second.lower()]) > 0
                    and not _CLOSED.fullmatch(parted.lower())
                )
            )
        )
        return parted if keep and hyphen in "-‐" else whole

    return dehyphenate


def _counts(lines: Iterable[str], wanted: set[str]) -> Counter[str]:
    """Count the wanted words, leaving out what stands broken at line ends."""
    counts: Counter[str] = Counter()
    continued = False
    for line in lines:
        words = _WORD.findall(line.lower())[1 if continued else 0 :]
        continued = _BROKEN.search(line[-_LONGEST_WORD:]) is not None
        for word in words[:-1] if continued else words:
            if word in wanted:
                counts[word] += 1
            if not word.isalpha():
                counts.update(part for part in re.split(r"[-‐'’]", word) if part in wanted)
    return counts


def _joins_tightly(before: str, after: str) -> bool:
    spaced_dash = re.search(r"\s[-—–]+$", before[-8:])
    return bool(
        _WIDE_END.search(before[-1:])
        or _WIDE_START.match(after[:1])
        or (before[-1] in "-—–‐" and not spaced_dash)
        or _CLOSING.match(after)
    )


def _own_width(lines: Sequence[str], width: int | None) -> int | None:
    """Return the width of a block set narrower than its region, such as a quotation: all but its last line are full."""
    if width is None or len(lines) < _MIN_LINES:
        return width
    own = max(map(columns, lines))
    full = all(_is_full(before, after, own) for before, after in pairwise(lines))
    ended = sum(bool(SENTENCE_END.search(line[-8:])) for line in lines[:-1])
    narrow = _MIN_COLUMNS < own < width - _SLACK_COLUMNS
    return own if narrow and full and 2 * ended < len(lines) else width


def _is_full(before: str, after: str, width: int) -> bool:
    """Tell whether the next line's first word would not have fitted."""
    before = before.rstrip()
    if len(before) > 2 * width:  # no line of this width, but a paragraph
        return False
    if _WIDE_END.search(before[-1:]) or _WIDE_START.match(after):
        return columns(before) >= width - _SLACK_WIDE
    word = _NEXT.match(after[:_MAX_COLUMNS])
    return columns(before) + 1 + min(_SLACK_COLUMNS, columns(word[1] if word else "")) > width - 2


def _goes_on(before: str, after: str, width: int | None, *, first: bool) -> bool:
    """Tell whether a line is the continuation of the one before, which is the first of its paragraph or is not."""
    if _BROKEN.search(before[-_LONGEST_WORD:]) and _FIRST_WORD.match(after):
        return True
    if width is None or _is_set_apart(before, after, first):
        return False
    if _is_full(before, after, width) or _CLOSING.match(after.lstrip()):
        return True
    if SENTENCE_END.search(before[-8:]):
        return False
    taken = columns(before.rstrip())
    if not _WIDE_END.search(before[-8:]):
        return taken >= width // 2 and after.lstrip()[:1].islower()
    if _is_verse(before, after, width):
        return False
    return (
        bool(_GOES_ON.search(before[-8:]))
        or (not first and taken <= _SPILLED_COLUMNS)
        or _INSIDE.search(before[:_LONGEST_TEST]) is not None
    )


def _is_set_apart(before: str, after: str, first: bool) -> bool:
    """Tell whether the next line begins something: by an indent, as a row of a table, as an item of a list."""
    indent, indent_before = (_INDENT.match(line)[0] for line in (after, before))  # type: ignore[index]
    if "　" in indent or "\t" in indent:
        return True
    deeper = len(indent) >= len(indent_before) + 2
    if deeper and not (first and _ITEM.match(before)):
        return True
    if _TABLE.search(after[:_LONGEST_TEST].strip()) or _TABLE.search(before[:_LONGEST_TEST].strip()):
        return True
    return bool(_ITEM.match(after) and SENTENCE_END.search(before[-8:]))


def _is_verse(before: str, after: str, width: int) -> bool:
    taken = columns(before.strip())
    return taken == columns(after.strip()) and taken < 0.6 * width


def _stand_together(before: str, after: str, width: int | None) -> bool:
    """Tell whether two lines that are not joined are lines of one paragraph: a table, a list, verse, an address."""
    if _TABLE.search(after[:_LONGEST_TEST].strip()) and _TABLE.search(before[:_LONGEST_TEST].strip()):
        return True
    if _ITEM.match(after):
        return bool(_ITEM.match(before)) or before.rstrip().endswith((":", "："))
    if _WIDE_END.search(before[-8:]) or _WIDE_START.match(after):
        return _is_verse(before, after, width or _MAX_COLUMNS)
    indented = len(_INDENT.match(after)[0]) > len(_INDENT.match(before)[0])  # type: ignore[index]
    return not indented and max(columns(before), columns(after)) < (width or _MAX_COLUMNS) - _SLACK_COLUMNS
