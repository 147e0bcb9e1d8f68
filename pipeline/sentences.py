"""Split a text into sentences, Chinese and English, without a model: terminators, what follows them, abbreviations.

A sentence ends at 。！？ (with closing quotes, brackets and reference marks), at a line end, and at . ! ? where white
space and the look of a new sentence follow. Abbreviations, initials, decimals, the numbers of items and ellipses do not
end one. In Chinese text a full stop in ASCII also ends a sentence right after a Han character, as many abstracts are
typeset. Every look around a mark is bounded, so that the time is linear in the text, whatever the text.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import chain

Span = tuple[int, int]

_CLOSERS = re.escape("”’\"'」』）)】〕》］]")
_REFERENCE = r"(?:[\[［〔]\d{1,3}(?:[,，、\-–~]\s?\d{1,3}){0,20}[\]］〕])"  # "...well.[3,4] The next"
# The set stands first, so that the search leaps from mark to mark; what mark it was is told by looking back.
_MARK = re.compile(
    rf"[。！？\n!?．.](?:(?<=\n)|(?<=[。！？])[。！？!?.．…]*+(?:{_REFERENCE}|[{_CLOSERS}])*+(?![，、；：,;])"
    rf"|(?<=[!?．.])(?P<half>[!?．.]*+)(?!\d)(?:{_REFERENCE}|[{_CLOSERS}])*+)"
)
_CLAUSE_END = re.compile(rf"[；;][{_CLOSERS}]*+")
# How old books mark a pause: commas, gaps, circles, or nothing but the particle that ends a statement or question.
_PAUSE = re.compile(r"[，,、；;：:∶○◯〇·．\u3000 ]+|[也矣焉哉耳乎歟欤耶](?![也矣焉哉耳乎歟欤耶者夫])")
_STARTS_SENTENCE = re.compile(r"\s{1,8}[\"'“‘(\[<«*•\-–—]{0,4}(?:[A-Z0-9À-ÖØ-Þ]|[^\x00-\u024f])")
_STARTER = re.compile(
    r"\s+(?:The|This|These|Those|It|Its|He|She|They|We|You|In|On|At|For|If|When|However|Although|There|A|An|Patients?|"
    r"After|Before|Then|No|Our|His|Her|Their|Do|To|As|Most|Some|All|Both|Take|Use|Treatment)\s"
)
_HAN = re.compile(r"[\u2e80-\u9fff\uf900-\ufaff，；：、）”》%％℃\U00020000-\U0003ffff]")
_ITEM_NUMBER = re.compile(r"(?:(?:^|\n)\s*|[；：。，、）]\s*|(?<!\d)[;:)]\s*|[.,]\s+)[(（]?(?:\d{1,3}|[IVX]{1,5})$")
_LATIN_END = re.compile(r"((?:[^\W\d_\u2e80-\uffff]\.)*[^\W\d_\u2e80-\uffff]+)$")
_DATE = re.compile(r"\s+(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun|Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec|[A-Z]{2,4}\b)")
_NUMERALS = frozenset("0123456789IVX")
_SPACED_NUMBER = re.compile(r"\s\d{1,2}$")
_LETTERED = re.compile(  # what a single letter names, so that it is no initial
    r"(?:\d|\b(?:vitamins?|hepatitis|influenza|types?|groups?|grades?|stages?|class|factors?|appendix|and|or))\s+$",
    re.IGNORECASE,
)
_ABBREVIATED = """
    dr drs mr mrs ms prof st jr sr vs viz cf al fig figs tab eq eqs ref refs no nos vol vols pp p ch sec ed eds
    approx ca e.g i.e a.m p.m u.s u.k u.n ph.d m.d b.i.d t.i.d q.d q.i.d i.v i.m s.c p.o dept univ inc ltd co corp
    jan feb mar apr jun jul aug sep sept oct nov dec mon tue wed thu fri sat sun min max est gen col lt sgt rev hon
    temp spp sp subsp var syn cv art arts med surg hosp resp wt ht dx rx tx hx
"""
_ABBREVIATIONS = frozenset(_ABBREVIATED.split())
# These may stand at the end of a sentence as well; the word that follows tells.
_ENDING = "a.m p.m u.s u.k u.n ph.d m.d b.i.d t.i.d q.d q.i.d i.v i.m s.c p.o inc ltd co corp al jr sr"
_MAY_END = frozenset(_ENDING.split())
_UNITS = frozenset(("min", "max", "sec", "wt", "ht", "mon"))  # "for 5 min. The": a unit when a digit stands before it


def split_sentences(text: str, lang: str) -> list[Span]:
    """Return the spans of a text's sentences in order; together they cover everything but white space, once."""
    return list(iterate_sentences(text, lang))


def iterate_sentences(text: str, lang: str) -> Iterator[Span]:
    """Yield the spans of a text's sentences as `split_sentences` returns them, in no memory."""
    chinese = lang.startswith("zh") or lang == "lzh"
    return _between(
        text,
        (
            mark.end()
            for mark in _MARK.finditer(text)
            if mark.lastgroup is None or _ends_sentence(text, mark.start(), mark.end("half"), mark.end(), chinese)
        ),
    )


def split_clauses(text: str) -> list[Span]:
    """Return the spans between semicolons of a text that is too long for one sentence."""
    return list(_between(text, (mark.end() for mark in _CLAUSE_END.finditer(text))))


def split_pauses(text: str) -> list[Span]:
    """Return the spans between the pauses of a classical text that has no full stops."""
    return list(_between(text, (mark.end() for mark in _PAUSE.finditer(text))))


def _between(text: str, cuts: Iterable[int]) -> Iterator[Span]:
    """Yield what lies between the cuts, without white space around it, where there is anything."""
    start = 0
    for end in chain(cuts, (len(text),)):
        piece = text[start:end]
        if body := piece.strip():
            first = start if piece[0] == body[0] else start + len(piece) - len(piece.lstrip())
            yield first, first + len(body)
        start = end


def _ends_sentence(text: str, start: int, stop: int, end: int, chinese: bool) -> bool:
    """Tell whether the run of half-width marks text[start:stop], with closers up to `end`, ends a sentence."""
    dots = text[start] in ".．"
    after = text[end : end + 16]
    if chinese:
        if not dots:
            return not (after[:1].isascii() and after[:1].isalnum()) and after[:1] not in {"，", "、", ",", "；", "："}
        if stop - start > 1:
            return not after or after[:1].isspace()
        if _HAN.match(text, start - 1 if start else 0) and start and not re.match(r"\s*\d", after):
            return True
    if not after.strip():
        return True
    if not _STARTS_SENTENCE.match(after):
        return False
    return not dots or stop - start > 1 or not _abbreviated(text[max(0, start - 40) : start], after, chinese)


def _abbreviated(before: str, after: str, chinese: bool) -> bool:
    """Tell whether the full stop after `before` belongs to an abbreviation, an initial or the number of an item."""
    if before[-1:] in _NUMERALS and (item := _ITEM_NUMBER.search(before)):
        return _last_word(before[: item.start()]) not in _ABBREVIATIONS  # "1. First item", but "in Fig. 1. The"
    if before[-1:].isdigit():
        return chinese and _SPACED_NUMBER.search(before) is not None
    if chinese and not after.lstrip()[:1].isascii():
        return False
    name = _last_word(before)
    if name == "no":
        return after.lstrip()[:1].isdigit()
    if name in _ABBREVIATIONS:
        if name in _UNITS and before[: -len(name)].rstrip()[-1:].isdigit():
            return False
        if name in ("a.m", "p.m"):
            return _DATE.match(after) is not None
        return not (name in _MAY_END and _STARTER.match(after))
    return len(name) == 1 and before[-1].isupper() and not _LETTERED.search(before[:-1])


def _last_word(before: str) -> str:
    """Return what stands after the last white space or bracket, in small letters; of Chinese, the Latin end."""
    words = before.split()
    if not words or words[-1].isascii():
        return words[-1].lstrip("([\"'").lower() if words else ""
    found = _LATIN_END.search(words[-1])
    return found.group(1).lower() if found else ""
