"""Divide a document at its section boundaries and its boilerplate into regions, each under one path of headings."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from pipeline.cuts import CHILD, LINE, MEMBER, PARAGRAPH, SECTION
from pipeline.sentences import Span

_ENDS = frozenset("。！？!?.．：:；;”’\"'」』）)】〕》…")
_LABEL = re.compile(  # a part of a structured abstract, which is one piece of text
    r"\W*(?:目的|背景|方法|(?:资料|对象|材料)(?:与|和)方法|结果|结论|讨论|研究(?:背景|目的|方法|结果|结论)|"
    r"(?i:objectives?|aims?|purpose|background|introduction|context|design|setting|(?:study )?design|"
    r"(?:patients?|materials?|subjects?|participants?)(?: and methods)?|methods?|interventions?|measurements?|"
    r"main outcome measures?|(?:main )?results?|findings|discussion|conclusions?|interpretation|significance))\W*"
)


@dataclass(frozen=True)
class Region:
    """A stretch of a document with one path of headings, one page, and no boilerplate in it.

    Attributes:
        path: which sections with a heading it stands in, the outermost first.
        leads: where the heading lines begin that stand right before it, those of the innermost of its path.
        apart: boilerplate stands before it, so that no passage may reach across.
    """

    start: int
    end: int
    path: tuple[int, ...]
    leads: tuple[int, ...]
    page: int | None
    apart: bool = False


@dataclass(frozen=True)
class Sections:
    """The sections of one document, as columns: starts and ends in characters, headings, pages."""

    starts: Sequence[int]
    ends: Sequence[int]
    headings: Sequence[str]
    pages: Sequence[int | None]


@dataclass
class _Open:
    """A section that the walk is within: where its heading's line stands, and how many regions came before it."""

    section: int
    line: Span | None
    before: int


def regions(text: str, sections: Sections, boilerplate: Sequence[Span] = ()) -> list[Region]:
    """Cut a text at section boundaries, heading lines and boilerplate, into regions that are not blank.

    Heading lines are in no region, except those of sections without any text, which are text of the section around.
    """
    found: list[Region] = []
    inside: list[_Open] = []
    position = 0

    def emit(start: int, end: int) -> None:
        nonlocal position
        position = max(position, end)
        if start < end and not text[start:end].isspace():
            path = tuple(one.section for one in inside if one.line is not None)
            leads = [one.line[0] for one in inside if one.line is not None and one.before == len(found)]
            pages = (sections.pages[one.section] for one in reversed(inside))
            page = next((page for page in pages if page is not None), None)
            found.append(Region(start, end, path, tuple(leads), page))

    def close() -> None:
        one = inside[-1]
        emit(position, sections.ends[one.section])
        inside.pop()
        if one.line is not None and one.before == len(found):
            emit(max(one.line[0], found[-1].end if found else 0), one.line[1])

    order = sorted(range(len(sections.starts)), key=lambda section: (sections.starts[section], -sections.ends[section]))
    for section in order:
        start, end = sections.starts[section], sections.ends[section]
        while inside and sections.ends[inside[-1].section] <= start:
            close()
        emit(position, start)
        line_end = text.find("\n", start, end)
        line = (start, end if line_end < 0 else line_end) if sections.headings[section] else None
        inside.append(_Open(section, line, len(found)))
        position = max(position, line[1] if line else start)
    while inside:
        close()
    emit(position, len(text))
    return list(_without(text, found, boilerplate)) if boilerplate else found


def seam(text: str, sections: Sections, before: Region | None, region: Region, last: int) -> tuple[int, int | None]:
    """Return how many headings a region shares with the one before, and what a cut between the two costs.

    Args:
        last: where the last unit before ends.

    Returns:
        -1 headings where no passage may reach across; no cost where the seam is none to a reader.
    """
    if before is None or region.apart:
        return -1, PARAGRAPH
    shared = next(
        (depth for depth, (one, other) in enumerate(zip(before.path, region.path, strict=False)) if one != other),
        min(len(before.path), len(region.path)),
    )
    if len(before.path) == shared == len(region.path):
        ended = text[last - 1] in _ENDS or region.page == before.page
        return shared, None if ended else MEMBER  # a page break amid a sentence
    if shared < len(region.path) and _LABEL.fullmatch(sections.headings[region.path[shared]]):
        return shared, LINE
    return shared, SECTION * (len(before.path) - shared) + CHILD


def join_spans(text: str, spans: Sequence[Span]) -> list[Span]:
    """Return spans in order, those joined that overlap or have nothing but white space between them, trimmed."""
    joined: list[Span] = []
    for start, end in sorted(spans):
        if joined and (start <= joined[-1][1] or text[joined[-1][1] : start].isspace()):
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        elif start < end:
            joined.append((start, end))
    return [trimmed for span in joined if (trimmed := trim(text, span))]


def trim(text: str, span: Span) -> Span | None:
    """Return a span without the white space at its ends, or None where there is nothing else."""
    body = text[span[0] : span[1]]
    left = len(body) - len(body.lstrip())
    return (span[0] + left, span[0] + len(body.rstrip())) if left < len(body) else None


def _without(text: str, found: Sequence[Region], boilerplate: Sequence[Span]) -> Iterator[Region]:
    """Take boilerplate (joined, in order) out of regions."""
    at = before = 0  # the next span of boilerplate; where the last region ended
    apart = False
    for region in found:
        start, leads = region.start, region.leads
        while at < len(boilerplate) and boilerplate[at][0] < region.end:
            first, last = boilerplate[at]
            if last > before:
                if start < first and not text[start:first].isspace():
                    yield replace(region, start=start, end=first, leads=leads, apart=apart)
                start, leads, apart = max(start, last), (), True
            if last > region.end:
                break  # it goes on in the next region
            at += 1
        if start < region.end and not text[start : region.end].isspace():
            yield replace(region, start=start, leads=leads, apart=apart)
            apart = False
        before = region.end
