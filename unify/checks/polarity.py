"""Polarity and strength: a statement turned round, as 禁用 for 慎用, "increases" for "decreases", a "not" more or less.

Every word of an axis (a table below), and every word that the answer or the passage negates, is a stance: an axis, a
pole, and the words around it. An answer's stance is turned round if the passage takes the opposite one in the same
surroundings, and its own nowhere in surroundings as alike.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from pipeline.sentences import Span, split_sentences
from unify.checks.names import lowered
from unify.checks.words import HAN_RUN, STOPWORDS, stem

# Each axis: pole -> words. Two poles of an axis exclude each other in the same surroundings.
AXES = {
    "zh": (
        {
            "forbidden": r"禁用|忌用|禁止使用|禁忌|禁服|忌服|不宜|不可使用|不得使用|不能使用",
            "caution": r"慎用|慎重使用|谨慎使用",
            "allowed": r"可用(?!于)|可以使用|可使用|适宜|适用",
            "first": r"首选",
        },
        {
            "up": r"升高|增高|增加|上升|增强|增多|增大|提高|偏高|过高|加快|延长|加重|扩张|促进",
            "down": r"降低|减低|减少|下降|减弱|缩小|减轻|偏低|过低|减慢|缩短|缓解|收缩|抑制",
        },
        {"positive": r"阳性", "negative": r"阴性"},
        {
            "over": r"≥|＞|>|大于|高于|多于|超过|不少于|不低于|至少|以上",
            "under": r"≤|＜|<|小于|低于|少于|不超过|不多于|不高于|至多|以下|以内",
        },
        {"benign": r"良性", "malignant": r"恶性"},
        {"acute": r"急性", "chronic": r"慢性"},
        {"before": r"[饭餐术睡]前|空腹", "after": r"[饭餐术睡]后"},
        {"left": r"左(?=[侧心肺肾上下半室房])", "right": r"右(?=[侧心肺肾上下半室房])"},
        {
            "with": r"(?<![没未])有(?!效|关|时|些|的|助|利|机|可能)|伴有?|存在",
            "without": r"无(?!论|力|菌|机)|没有|不伴|不存在|未见",
        },
    ),
    "en": (
        {
            "forbidden": r"contraindicated|prohibited|avoided?|(?:should|must) not be (?:used|taken|given)",
            "caution": r"with caution|cautiously|carefully",
            "allowed": r"indicated|allowed|safely|(?:can|may) be (?:used|taken|given)|recommended",
            "first": r"first[- ]line|(?:drug|treatment) of choice|preferred",
        },
        {
            "up": r"increas\w*|elevat\w*|rais(?:e|es|ed|ing)|ris(?:e|es|ing)|higher|greater|more|improv\w*|longer|"
            r"promot\w*|stimulat\w*|faster",
            "down": r"decreas\w*|reduc\w*|lower\w*|declin\w*|fewer|less|worsen\w*|shorter|inhibit\w*|slower",
        },
        {"positive": r"positive(?:ly)?", "negative": r"negative(?:ly)?"},
        {
            "over": r"≥|>|above|over|more than|at least|exceed\w*|greater than|higher than|no less than",
            "under": r"≤|<|below|under|less than|at most|up to|fewer than|lower than|no more than|within",
        },
        {"benign": r"benign", "malignant": r"malignant"},
        {"acute": r"acute(?:ly)?", "chronic": r"chronic(?:ally)?"},
        {"before": r"before|prior to|preoperative(?:ly)?", "after": r"after|following|postoperative(?:ly)?"},
        {"left": r"left", "right": r"right"},
        {"with": r"with", "without": r"without"},
        {"effective": r"effective(?:ly)?|safe", "ineffective": r"ineffective(?:ly)?|unsafe"},
        {"high": r"high", "low": r"low"},
        {"common": r"common(?:ly)?", "rare": r"uncommon(?:ly)?|rare(?:ly)?"},
        {"significant": r"significant(?:ly)?", "insignificant": r"insignificant(?:ly)?"},
    ),
}
# One pattern an axis, its poles the groups; an English word stands alone.
_BORDERS = {"zh": ("", ""), "en": ("(?<![a-z])", "(?![a-z])")}
SHAPES = {
    language: [
        re.compile(
            _BORDERS[language][0]
            + "(?:"
            + "|".join(f"(?P<{pole}>{words})" for pole, words in axis.items())
            + ")"
            + _BORDERS[language][1]
        )
        for axis in axes
    ]
    for language, axes in AXES.items()
}
_WORD = re.compile(r"[a-z][a-z'’-]*|\d+(?:\.\d+)?")
# 不 and the like where they deny nothing: 不良反应, 无论, 非常.
NEGATOR = {  # but for the reply to a question, before a comma: No, … and 不可以，…
    "zh": re.compile(
        r"(?:不(?![良适同足仅断但论管过如明典孕育全当洁齐])|未(?![来婚])|无(?![论力菌机])|没有?|非(?![常典洲])"
        r"|勿|莫)(?:会|能|可以|应|宜|须|需|必|得|是|明显|显著|太|很|再|曾)?+(?![，,])"
    ),
    "en": re.compile(r"\b(?:not|no(?!,)|never|cannot|neither|nor|none)\b|n't\b", re.IGNORECASE),
}
# Chinese pieces are pairs of characters; English ones stems. A window of them stands for the surroundings.
REACH = 7
# Sentences that ask or plan state nothing yet.
AIMS = re.compile(
    r"[?？]|是否|目的|探讨|旨在|假设|\b(?:whether|if|aim(?:s|ed)?|objectives?|purpose|hypothes\w+|question\w*)\b|"
    r"\bto (?:determine|evaluate|assess|investigate|examine|compare|explore|study|test|identify|analy[sz]e)\b"
)
LIKENESS = 0.5  # of the surroundings, from which on two stances are about the same
LEAD = 0.2  # by which the opposite stance must be more alike than one's own


Piece = tuple[int, int, str]  # where it starts and ends, and what it is compared by


@dataclass(frozen=True)
class Stance:
    """A pole taken, as written, and the pieces of text that surround it."""

    pole: str
    written: str
    around: frozenset[str]


@dataclass(frozen=True)
class Statements:
    """A text in small letters, its pieces, and the sentences of it that state something."""

    low: str
    pieces: tuple[Piece, ...]
    sentences: tuple[Span, ...]
    negations: tuple[tuple[Span, str], ...]  # where a negation stands, and the piece that it negates

    def around(self, start: int, end: int) -> frozenset[str] | None:
        """Return the pieces around a place in its sentence, or None outside of sentences that state something."""
        here = bisect_right(self.sentences, (start, len(self.low))) - 1
        if here < 0 or start >= self.sentences[here][1]:
            return None
        first, last = (bisect_left(self.pieces, (border,)) for border in self.sentences[here])
        before, after = bisect_left(self.pieces, (start,)), bisect_left(self.pieces, (end,))
        left = [piece for _, stop, piece in self.pieces[max(first, before - REACH - 1) : before] if stop <= start]
        return frozenset([*left[-REACH:], *(piece for _, _, piece in self.pieces[after : min(last, after + REACH)])])


def turned_round(answer: str, passage: str, language: str) -> str | None:
    """Find a stance of an answer whose opposite the passage takes about the same; both are in the language (zh, en)."""
    said, known = _statements(answer, language), _statements(passage, language)
    denied = {piece for text in (said, known) for _, piece in text.negations} & {piece for _, _, piece in said.pieces}
    for axis in range(len(SHAPES[language])):
        if (mine := _on_axis(answer, language, axis)) and (found := _opposed(mine, _on_axis(passage, language, axis))):
            return found
    for piece in sorted(denied):
        if found := _opposed(_on_piece(said, piece, language), _on_piece(known, piece, language)):
            return found
    return None


def _opposed(stances: Sequence[Stance], taken: Sequence[Stance]) -> str | None:
    for stance in stances:
        best: dict[bool, tuple[float, str]] = {True: (0.0, ""), False: (0.0, "")}
        for other in taken if len(stance.around) > 2 else ():
            likeness = len(stance.around & other.around) / len(stance.around)
            same = other.pole == stance.pole
            best[same] = max(best[same], (likeness, other.written))
        if best[False][0] >= LIKENESS and best[False][0] >= best[True][0] + LEAD:
            return f"{stance.written!r} where the passage has {best[False][1]!r}"
    return None


@lru_cache(maxsize=4096)  # of the passages under way, each of which is held against a few answers
def _on_axis(text: str, language: str, axis: int) -> tuple[Stance, ...]:
    """List the stances of a text on an axis; what is negated is a stance on whether it is so."""
    statements = _statements(text, language)
    negated = {at for (_, end), _ in statements.negations for at in range(end, end + 3)}
    return tuple(
        Stance(found.lastgroup or "", found[0], around)
        for found in SHAPES[language][axis].finditer(statements.low)
        if found.start() not in negated and (around := statements.around(*found.span())) is not None
    )


def _on_piece(statements: Statements, piece: str, language: str) -> list[Stance]:
    """List the stances of a text on whether a piece is so: said, or denied by a negation right before it."""
    reach, stances = 2 if language == "zh" else 24, []
    negations = [span for span, negated in statements.negations if negated == piece]
    for start, end, one in statements.pieces:
        if one == piece and (around := statements.around(start, end)) is not None:
            by = next((statements.low[at:stop] for at, stop in negations if 0 <= start - stop <= reach), "")
            stances.append(Stance("denied" if by else "said", f"{by} {piece}".strip(), around))
    return stances


@lru_cache(maxsize=512)
def _statements(text: str, language: str) -> Statements:
    low = lowered(text)
    pieces = _pieces(low, language)
    sentences = tuple(span for span in split_sentences(text, language) if not AIMS.search(low, *span))
    negators = (found.span() for found in NEGATOR[language].finditer(low))
    return Statements(low, pieces, sentences, tuple((span, _next_piece(pieces, span[1])) for span in negators))


def _pieces(text: str, language: str) -> tuple[Piece, ...]:
    """Cut a text into what surroundings are made of: pairs of Han characters in zh, stems of content words in both."""
    words = [(*one.span(), stem(one[0])) for one in _WORD.finditer(text) if one[0] not in STOPWORDS]
    if language == "en":
        return tuple(words)
    runs = [(one.start(), one[0]) for one in HAN_RUN.finditer(text)]
    pairs = [(at + i, at + i + 2, run[i : i + 2]) for at, run in runs for i in range(len(run) - 1)]
    return tuple(sorted(words + pairs))


def _next_piece(pieces: Sequence[Piece], position: int) -> str:
    here = bisect_left(pieces, (position,))
    return pieces[here][2] if here < len(pieces) else ""
