"""Lay a region of a document out as units: stretches that no cut goes through, and what a cut before each costs.

Lines are units; a line over budget is cut into sentences, and a sentence over budget at semicolons (classical Chinese:
at pauses, as old books have no full stops). Items of a list, rows of a table, a line that ends with a colon and what it
introduces, a question and its answer, a warning and what it qualifies hang together: a cut between them costs more.
"""

import re
from collections.abc import Iterator, Sequence

from pipeline.cuts import BOUND, CLAUSE, LINE, MEMBER, PARAGRAPH, SENTENCE, WARNED
from pipeline.regions import Region
from pipeline.sentences import split_clauses, split_pauses, split_sentences

Unit = tuple[int, int, int]  # start, end, what a cut before it costs
Table = tuple[str, ...]  # its caption, where it has one, and its header row

_PLAIN, _ITEM, _ROW = range(3)
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


def units(text: str, region: Region, ruler: Sequence[int], most: int, lang: str) -> tuple[list[Unit], dict[int, Table]]:
    """Cut a region into its units: lines, of those over budget sentences, of those over budget clauses.

    Args:
        ruler: how much of the budget is used up before each character of the text.
        most: the budget.

    Returns:
        The units in order (the cost of the first is that of a paragraph), and for each that begins inside a table,
        by its start, the table's caption and header.
    """
    found: list[Unit] = []
    tables: dict[int, Table] = {}
    table: Table = ()
    last = last_kind = header = -1  # the end and kind of the line before; where the open table's header is in `found`
    rows = text.find(" | ", region.start, region.end) >= 0
    for line in _LINE.finditer(text, region.start, region.end):
        start, end = line.span()
        near = last >= 0 and (start - last == 1 or text.count("\n", last, start) < 2)
        kind = _ROW if rows and _ROW_MARK.search(text, start, end) else _ITEM if line.lastgroup else _PLAIN
        cost = PARAGRAPH if last < 0 else _cost(text, last, start, near)
        if near and kind == last_kind != _PLAIN:
            cost = max(cost, MEMBER)
        if kind != _ROW or not near or last_kind != _ROW:
            header = len(found) if kind == _ROW else -1
            captioned, table = near and kind == _ROW, ()
        elif header == len(found) - 1:  # the second row: now it is a table
            cost = BOUND
            caption = found[header - 1 : header] if captioned else []
            if caption:
                found[header] = (*found[header][:2], BOUND)
            if ruler[found[-1][1]] - ruler[found[header - len(caption)][0]] <= most:
                table = tuple(text[first:stop] for first, stop, _ in (*caption, found[header]))
        if kind == _ROW and 0 <= header < len(found):
            tables[start] = table
        if ruler[end] - ruler[start] <= most:
            found.append((start, end, cost))
        else:
            found += _parts(text, (start, end, cost), ruler, most, lang)
        last, last_kind = end, kind
    return found, tables


def _cost(text: str, last: int, start: int, near: bool) -> int:
    """Return what a cut between a line that ends at `last` and one that begins at `start` costs."""
    begins = _BEGINS.match(text, start)
    if begins:
        return WARNED if begins.lastgroup == "warning" else BOUND
    if text[last - 1] in ":：∶" or (near and text[last - 1] in "?？"):
        return BOUND
    return LINE if near else PARAGRAPH


def _parts(text: str, line: Unit, ruler: Sequence[int], most: int, lang: str) -> Iterator[Unit]:
    """Cut a line that is over budget into sentences, and those over budget at semicolons or pauses."""
    start, end, cost = line
    whole = text[start:end]
    warning = [word for word in _QUALIFIES if word in whole]
    split = split_pauses if lang == "lzh" else split_clauses
    for first, stop in split_sentences(whole, lang):
        if first and whole[first - 1] in "?？":
            cost = BOUND
        if first and warning and any(word in whole[first:stop] for word in warning):
            cost = WARNED
        first, stop = start + first, start + stop
        if ruler[stop] - ruler[first] <= most:
            yield first, stop, cost
        else:
            for begin, finish in split(text[first:stop]):
                yield first + begin, first + finish, cost
                cost = CLAUSE
        cost = SENTENCE
