"""Split a text into sentences, Chinese and English, without a model: terminators, what follows them, abbreviations.

A sentence ends at 。！？ (with closing quotes and brackets), at a line end, and at . ! ? where white space and the look
of a new sentence follow. Abbreviations, initials, decimals and enumerations do not end one. In Chinese text a full
stop in ASCII also ends a sentence right after a Han character, as many abstracts are typeset.
"""

import re

Span = tuple[int, int]

_CLOSERS = "”’\"'」』）)】〕》］]"
_TERMINATOR = re.compile(rf"[。！？!?．.]+[{re.escape(_CLOSERS)}]*|\n")
_CLAUSE_END = re.compile(rf"[；;][{re.escape(_CLOSERS)}]*")
_STARTS_SENTENCE = re.compile(r"\s+[\"'“‘(\[<«*•\-–—]*(?:[A-Z0-9À-ÖØ-Þ]|[^\x00-\u024f])")
_HAN = re.compile(r"[\u2e80-\u9fff\uf900-\ufaff，；：、）”》\U00020000-\U0003ffff]")
_LAST_WORD = re.compile(r"[(\[\"'“‘]*((?:[^\W\d_]\.)*[^\W\d_]+)$")
_LETTERED = re.compile(  # what a single letter names, so that it is no initial
    r"(?:\d|\b(?:vitamins?|hepatitis|influenza|types?|groups?|grades?|stages?|class|factors?|appendix|and|or))\s+$",
    re.IGNORECASE,
)
_ABBREVIATED = """
    dr mr mrs ms prof st jr sr vs viz cf al fig figs tab eq eqs ref refs no nos vol vols pp p ch sec ed eds approx ca
    e.g i.e a.m p.m u.s u.k u.n ph.d m.d b.i.d t.i.d q.d q.i.d i.v i.m s.c p.o dept univ inc ltd co corp
    jan feb mar apr jun jul aug sep sept oct nov dec mon tue wed thu fri sat sun min max est gen col lt sgt rev hon
    spp sp subsp var syn cv art arts med surg hosp resp wt ht dx rx tx hx
"""
_ABBREVIATIONS = frozenset(_ABBREVIATED.split())


def split_sentences(text: str, lang: str) -> list[Span]:
    """Return the spans of a text's sentences in order; together they cover everything but white space, once."""
    cuts = [mark.end() for mark in _TERMINATOR.finditer(text) if _ends_sentence(text, mark, lang)]
    return trim_spans(text, cuts)


def split_clauses(text: str) -> list[Span]:
    """Return the spans between semicolons of a text that is too long for one sentence."""
    return trim_spans(text, [mark.end() for mark in _CLAUSE_END.finditer(text)])


def trim_spans(text: str, cuts: list[int]) -> list[Span]:
    """Return what lies between the cuts, without white space around it, where there is anything."""
    spans = []
    for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        piece = text[start:end]
        if body := piece.strip():
            start += len(piece) - len(piece.lstrip())
            spans.append((start, start + len(body)))
    return spans


def _ends_sentence(text: str, mark: re.Match[str], lang: str) -> bool:
    run = mark.group()
    before, after = text[: mark.start()][-40:], text[mark.end() : mark.end() + 12]
    if run == "\n" or run[0] in "。！？":
        return True
    chinese = lang.startswith("zh") or lang == "lzh"
    if run[0] in "!?" and chinese:
        return not after[:1].isalnum() or not after[:1].isascii()
    if run[0] in ".．" and chinese and _HAN.search(before[-1:]) and not re.match(r"\s*\d", after):
        return True
    if not after.strip():
        return True
    if not _STARTS_SENTENCE.match(after):
        return False
    return run[0] in "!?" or not _abbreviated(before, run)


def _abbreviated(before: str, run: str) -> bool:
    """Tell whether the full stop after `before` belongs to an abbreviation, an initial or the number of an item."""
    if run.startswith(".."):
        return False
    if re.search(r"(?:^|\n)\s*\(?\d{1,3}$", before):
        return True  # "1. First item"
    word = _LAST_WORD.search(before)
    if word is None:
        return False
    name = word.group(1)
    if name.lower() in _ABBREVIATIONS:
        return True
    return len(name) == 1 and name.isupper() and not _LETTERED.search(before[: word.start()])
