"""Lay a region of a document out as units: stretches that no cut goes through, and what a cut before each costs.

Lines are units; a line over budget is cut into sentences, and a sentence over budget at semicolons (classical Chinese:
at pauses, as old books have no full stops). Items of a list, rows of a table, a line that ends with a colon and what it
introduces, a question and its answer, a warning and what it qualifies hang together: a cut between them costs more.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import chain, pairwise

from pipeline.cuts import BOUND, CLAUSE, LINE, MEMBER, PARAGRAPH, SENTENCE, WARNED
from pipeline.regions import Region
from pipeline.sentences import iterate_sentences, split_clauses, split_pauses

Table = tuple[str, ...]  # its caption, where it has one, and its header row
Unit = tuple[int, int, int, Table]  # start, end, what a cut before it costs, the table that it goes on with
_Line = tuple[int, int, int, bool]  # start, end, kind, whether no blank line stands before it

_PLAIN, _ITEM, _ROW = range(3)
_AFTER: _Line = (0, 0, _PLAIN, False)  # what follows the last line
_ROW_MARK = re.compile(r" \| ")
_LINE = re.compile(
    r"(?P<item>(?:[-*•●○■◆▪]|\d{1,3}[.)、．](?!\d)|[(（]\d{1,3}[)）]|[a-zA-Z]\))[ \u3000]?(?=\S)|[①-⑳])?\S(?:[^\n]*\S)?"
)
_BEGINS = re.compile(
    r"(?P<warning>[【\[（(*※△▲⚠！!]{0,2}\s*(?:\d{1,2}[.、)）]\s*)?(?:"
    r"禁忌|禁用|忌用|慎用|注意(?!力)|警告|警示|不良反应|副作用|严禁|切勿|切忌|不可|不宜|孕妇|"
    r"(?i:contraindicat|(?:boxed |black[- ]box )?warnings?\b|cautions?\b|precautions?\b|do not\b|never\b|"
    r"adverse (?:reactions?|effects?)\b|side effects?\b)))"
    r"|(?P<answer>(?:[答Aa]|Answer|ANSWER|回答|回复|医生|医师|大夫|专家|药师|医|Doctor|DOCTOR|Dr|Physician|Expert)"
    r"\s?\d{0,3}\s?[:：∶])"
)
# What makes a sentence a warning. Looked up one by one: three times as fast as one expression.
_QUALIFIES = (
    *("禁忌", "禁用", "忌用", "慎用", "警告", "不良反应", "严禁", "切勿", "切忌"),
    *("ontraindicat", "warning", "Warning", "caution", "Caution", "do not ", "Do not ", "must not ", "Must not "),
)


def units(text: str, region: Region, ruler: Sequence[int], most: int, lang: str) -> Iterator[Unit]:
    """Yield the units of a region: lines, of those over budget sentences, of those over budget clauses.

    Args:
        ruler: how much of the budget is used up before each character of the text.
        most: the budget.
    """
    table: Table = ()
    first_row = False
    before: _Line | None = None
    for line, after in pairwise(chain(_lines(text, region), (_AFTER,))):
        start, end, kind, near = line
        cost = _cost(text, before[1], start, near) if before else PARAGRAPH
        if before and near and kind == before[2] != _PLAIN:
            cost = max(cost, BOUND if first_row else MEMBER)
        inside = table = table if before and near and kind == before[2] == _ROW else ()
        first_row = kind == _ROW and not table and after[2:] == (_ROW, True)
        if first_row:  # the header of a table, and its caption the line before
            above = start
            if before and near:
                cost, above = BOUND, before[0]
            table = tuple(text[above:end].split("\n")) if ruler[end] - ruler[above] <= most else ()
        if ruler[end] - ruler[start] <= most:
            yield start, end, cost, inside
        else:
            yield from _parts(text, (start, end, cost, inside), ruler, most, lang)
        before = line


def _lines(text: str, region: Region) -> Iterator[_Line]:
    last = -1
    rows = text.find(" | ", region.start, region.end) >= 0
    for line in _LINE.finditer(text, region.start, region.end):
        start, end = line.span()
        kind = _ROW if rows and _ROW_MARK.search(text, start, end) else _ITEM if line.lastgroup else _PLAIN
        yield start, end, kind, last >= 0 and (start - last == 1 or text.count("\n", last, start) < 2)
        last = end


def _cost(text: str, last: int, start: int, near: bool) -> int:
    """Return what a cut between a line that ends at `last` and one that begins at `start` costs."""
    begins = _BEGINS.match(text, start)
    if begins:
        return WARNED if begins.lastgroup == "warning" else BOUND
    if text[last - 1] in ":：∶?？":
        return BOUND
    return LINE if near else PARAGRAPH


def _parts(text: str, line: Unit, ruler: Sequence[int], most: int, lang: str) -> Iterator[Unit]:
    """Cut a line that is over budget into sentences, and those over budget at semicolons or pauses."""
    start, end, cost, table = line
    whole = text[start:end]
    warning = [word for word in _QUALIFIES if word in whole]
    split = split_pauses if lang == "lzh" else split_clauses
    for first, stop in iterate_sentences(whole, lang):
        if first and whole[first - 1] in "?？":
            cost = BOUND
        if first and warning and any(word in whole[first:stop] for word in warning):
            cost = WARNED
        first, stop = start + first, start + stop
        if ruler[stop] - ruler[first] <= most:
            yield first, stop, cost, table
        else:
            for begin, finish in split(text[first:stop]):
                yield first + begin, first + finish, cost, table
                cost = CLAUSE
        cost = SENTENCE
