"""Parse Markdown of any length by CommonMark with tables (markdown-it-py), window by window, as one stream of tokens.

The parser makes a kilobyte of tokens from a few characters, so a text is parsed by windows of about 128 Ki. A window
ends where a block begins: at top level, in block quotes, at an item of a list or a row of a table; what comes
behind is parsed in the next window, and its tokens follow as if the window had no end. So the text of a document is the
same as if it were parsed whole, but for one block that fills a window without a seam (a paragraph, a listing, one
item): that is several blocks. Link references are looked up in the whole document, by a pass before.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.token import Token

WINDOW_CHARS = 1 << 17
_MAX_REFERENCES = 50_000  # that links by name are looked up in; links to later ones stay as they are written
_MAX_NESTING = 100  # what is nested deeper is a paragraph as it is written; each level takes three frames of the stack
_MAX_BRACKET_WORK, _MAX_BRACKET_DEPTH = 2_000_000, 50  # in one block; beyond, it stays as it is written
_CONTAINERS = ("blockquote_open", "bullet_list_open", "ordered_list_open")
_ROWS = ["table_open", "tbody_open"]
_BRACKET = re.compile(r"[\[\]]")
_UNSEEN = re.compile(r"\s*(?P<opening><(?:!--|script\b|style\b))", re.IGNORECASE)
_CLOSING = {"<!--": "-->", "<script": "</script>", "<style": "</style>"}


@dataclass(frozen=True)
class _Seam:
    """Where a window is cut, and how the next goes on.

    Attributes:
        token: the first of the tokens that are left to the next window.
        line: the line of the window it begins at.
        before: what stands before that line, so that it is read as what it is: the header of a table, a fence.
        level: of the first token of the next window that is not a repetition, which begins at `from_line` or behind.
    """

    token: int
    line: int
    before: str = ""
    level: int = 0
    from_line: int = 0


_START = _Seam(0, 0)


def tokens_of(text: str, prepare: Callable[[str], str], window_chars: int = WINDOW_CHARS) -> Iterator[Token]:
    """Yield the tokens of a text, inline ones parsed.

    Args:
        prepare: applied to each run of about `window_chars` characters, which ends with a line where it can.
    """
    parser = _parser()
    known: dict[str, Any] = {}
    if len(text) > window_chars and "]:" in text:
        for _, references in _windows(parser, text, prepare, window_chars, known):
            known |= references
            if len(known) > _MAX_REFERENCES:
                break
    for tokens, references in _windows(parser, text, prepare, window_chars, known):
        for token in tokens:
            if token.type == "inline":
                token.children = []
                if _is_light(token.content):
                    parser.inline.parse(token.content, parser, {"references": references}, token.children)
                else:
                    token.children.append(Token("text", "", 0, content=token.content))
            yield token


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"maxNesting": _MAX_NESTING + 5}).enable("table")
    parser.core.ruler.enableOnly(["normalize", "block"])
    parser.block.ruler.before("table", "too_deep", _too_deep)
    return parser


def _too_deep(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Read what is nested too deep as a paragraph: the parser's own way is to leave it out."""
    if silent or state.level < _MAX_NESTING:
        return False
    behind = start + 1
    while behind < end and (state.isEmpty(behind) or state.sCount[behind] >= state.blkIndent):
        behind += 1
    state.push("paragraph_open", "p", 1).map = [start, behind]
    state.push("inline", "", 0).content = state.getLines(start, behind, state.blkIndent, False).strip()
    state.push("paragraph_close", "p", -1)
    state.line = behind
    return True


def _windows(
    parser: MarkdownIt, text: str, prepare: Callable[[str], str], window_chars: int, known: dict[str, Any]
) -> Iterator[tuple[Sequence[Token], dict[str, Any]]]:
    """Yield the block tokens of each window, and the link references known in it."""
    rest, start, seam = "", 0, _START
    while start < len(text) or rest:
        end = _window_end(text, start, window_chars)
        window = seam.before + rest + prepare(text[start:end])
        start = end
        references = dict(known)
        tokens = parser.parse(window, {"references": references})
        first = _first_new(tokens, seam)
        is_last = start >= len(text)
        seam = _Seam(len(tokens), window.count("\n") + 1) if is_last else _seam(tokens, window, seam)
        yield tokens[first : seam.token], references
        rest = "\n".join(window.split("\n")[seam.line :])


def _first_new(tokens: Sequence[Token], seam: _Seam) -> int:
    places = (
        place
        for place, token in enumerate(tokens)
        if token.level == seam.level and token.map is not None and token.map[0] >= seam.from_line
    )
    return next(places, 0)


def _window_end(text: str, start: int, window_chars: int) -> int:
    """Return where a window may end: before a line that begins with a letter, else before a line, a word, anywhere.

    Such a line goes on with a paragraph that is too long to be parsed in one, and is not taken for anything else.
    """
    end = start + window_chars
    if end >= len(text):
        return len(text)
    lowest = start + window_chars // 2
    last = place = text.rfind("\n", lowest, end)
    while place >= 0:
        if text[place + 1].isalnum():
            return place + 1
        place = text.rfind("\n", lowest, place)
    return (last if last >= 0 else text.rfind(" ", lowest, end)) + 1 or end


def _seam(tokens: Sequence[Token], window: str, before: _Seam) -> _Seam:
    """Find the last place in a window where a block begins that can be parsed without what is before it.

    Whatever follows the window, blocks before its last are what they are: the parser looks ahead for no other reason
    than to find where a block ends.
    """
    line = max(before.before.count("\n"), before.from_line)
    found: tuple[int, list[Token]] | None = None
    above: list[Token] = []
    for place, token in enumerate(tokens):
        if token.nesting < 0:
            above.pop()
            continue
        if token.map is not None and token.map[0] > line and _can_part(above):
            found, line = (place, [*above]), token.map[0]
        if token.nesting > 0:
            above.append(token)
    if found is None:
        return _Seam(len(tokens), window.count("\n") + 1, _reopening(tokens, window))
    place, above = found
    table = above[0].map if above and above[0].type == "table_open" else None
    if table is None:
        return _Seam(place, line, level=len(above))
    header = window.split("\n")[table[0] : table[0] + 2]
    return _Seam(place, line, "\n".join(header) + "\n", level=len(above), from_line=2)


def _can_part(above: Sequence[Token]) -> bool:
    types = [token.type for token in above]
    return types == _ROWS or all(type in _CONTAINERS for type in types)


def _reopening(tokens: Sequence[Token], window: str) -> str:
    """Return the line that goes on with a listing, or with what a page does not show, that a window ended in."""
    last = tokens[-1] if tokens else None
    if last is not None and last.type == "fence" and last.level == 0:
        line = window.rstrip("\n").rpartition("\n")[2].strip()
        closed = len(line) >= len(last.markup) and not line.strip(last.markup[0])
        return "" if closed else f"{last.markup}\n"
    if last is not None and last.type == "html_block" and (unseen := _UNSEEN.match(last.content)):
        opening = unseen.group("opening").lower()
        if _CLOSING[opening] not in last.content.lower():
            return f"{opening}\n" if opening == "<!--" else f"{opening}>\n"
    return ""


def _is_light(content: str) -> bool:
    """Tell whether the brackets of a block can be paired in good time: each is searched for its other half."""
    if content.count("[") <= _MAX_BRACKET_DEPTH:
        return True
    opened: list[int] = []
    work = deepest = 0
    for bracket in _BRACKET.finditer(content):
        if bracket.group() == "[":
            opened.append(bracket.start())
            deepest = max(deepest, len(opened))
        elif opened:
            work += bracket.start() - opened.pop()
    work += sum(len(content) - place for place in opened)
    return work <= _MAX_BRACKET_WORK and deepest <= _MAX_BRACKET_DEPTH
