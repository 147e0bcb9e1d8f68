"""Polarity and strength: a statement turned round, as 禁用 for 慎用, "increases" for "decreases", a "not" more or less.

Every word of an axis (a table below), and every word that the answer or the passage negates, is a stance: an axis, a
pole, and the words around it. An answer's stance is turned round if the passage takes the opposite one in the same
surroundings, and its own nowhere in surroundings as alike.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.sentences import split_sentences
from unify.checks.names import lowered
from unify.checks.words import CJK, STOPWORDS, stem

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
    ),
}
# 不 and the like where they deny nothing: 不良反应, 无论, 非常.
NEGATOR = {
    "zh": re.compile(
        r"(?:不(?![良适同足仅断但论管过如明典孕育全当洁齐])|未(?![来婚])|无(?![论力菌机])|没有?|非(?![常典洲])"
        r"|勿|莫)(?:会|能|可以|应|宜|须|需|必|得|是|明显|显著|太|很|再|曾)?"
    ),
    "en": re.compile(r"\b(?:not|no|never|cannot|neither|nor|none)\b|n't\b", re.IGNORECASE),
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


@dataclass(frozen=True)
class Stance:
    """A pole taken, as written, and the pieces of text that surround it."""

    axis: str
    pole: str
    written: str
    around: frozenset[str]


def turned_round(answer: str, passage: str, language: str) -> str | None:
    """Find a stance of an answer whose opposite the passage takes about the same; both are in the language (zh, en)."""
    denied = _denied(answer, language) | _denied(passage, language)
    taken = list(_stances(passage, language, denied))
    for stance in _stances(answer, language, denied):
        if len(stance.around) < 3:
            continue
        best: dict[bool, tuple[float, str]] = {True: (0.0, ""), False: (0.0, "")}
        for other in taken:
            if other.axis == stance.axis:
                likeness = len(stance.around & other.around) / len(stance.around)
                same = other.pole == stance.pole
                best[same] = max(best[same], (likeness, other.written))
        if best[False][0] >= LIKENESS and best[False][0] >= best[True][0] + LEAD:
            return f"{stance.written!r} where the passage has {best[False][1]!r}"
    return None


def _stances(text: str, language: str, denied: frozenset[str]) -> Iterator[Stance]:
    for start, end in split_sentences(text, language):
        sentence = lowered(text[start:end])
        if AIMS.search(sentence):
            continue
        pieces = _pieces(sentence, language)
        negators = list(NEGATOR[language].finditer(sentence))
        for number, axis in enumerate(AXES[language]):
            for pole, words in axis.items():
                border = r"\b" if language == "en" else ""
                shape = re.compile(f"{border}(?:{words}){border}" if words[0].isalpha() else f"(?:{words})")
                for found in shape.finditer(sentence):
                    if any(0 <= found.start() - one.end() <= 2 for one in negators):
                        continue  # the negation is a stance itself
                    yield Stance(str(number), pole, found[0], _around(pieces, found.span()))
        for start_, end_, piece in pieces:
            if piece in denied:
                reach = 2 if language == "zh" else 24
                before = [one for one in negators if 0 <= start_ - one.end() <= reach]
                before = [one for one in before if _next_piece(pieces, one.end()) == piece]
                pole = "denied" if before else "said"
                written = f"{before[-1][0]} {piece}" if before else piece
                yield Stance(f"not {piece}", pole, written, _around(pieces, (start_, end_)))


def _denied(text: str, language: str) -> frozenset[str]:
    """Return the pieces that follow a negation somewhere in a text."""
    low = lowered(text)
    pieces = _pieces(low, language)
    found = (_next_piece(pieces, negator.end()) for negator in NEGATOR[language].finditer(low))
    return frozenset(piece for piece in found if piece)


def _pieces(text: str, language: str) -> list[tuple[int, int, str]]:
    """Cut a text into what surroundings are made of: pairs of Han characters in zh, stems of content words in both."""
    words = [
        (one.start(), one.end(), stem(one[0]))
        for one in re.finditer(r"[a-z][a-z'’-]*|\d+(?:\.\d+)?", text)
        if one[0] not in STOPWORDS
    ]
    if language == "en":
        return words
    pairs = [
        (here, here + 2, text[here : here + 2])
        for here in range(len(text) - 1)
        if CJK.match(text[here]) and CJK.match(text[here + 1])
    ]
    return sorted(words + pairs)


def _next_piece(pieces: list[tuple[int, int, str]], position: int) -> str:
    return next((piece for start, _, piece in pieces if start >= position), "")


def _around(pieces: list[tuple[int, int, str]], span: tuple[int, int]) -> frozenset[str]:
    before = [piece for _, end, piece in pieces if end <= span[0]][-REACH:]
    after = [piece for start, _, piece in pieces if start >= span[1]][:REACH]
    return frozenset(before + after)
