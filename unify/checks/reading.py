"""A text as checks read it: its sentences, each with its terms and names, read once for all checks of the same text."""

from dataclasses import dataclass
from functools import lru_cache

from pipeline.sentences import Span, split_sentences
from unify.checks.names import Name, names_in
from unify.checks.words import terms


@dataclass(frozen=True)
class Sentence:
    """A sentence of a text: where it stands, what texts are compared by, and the drugs and diseases that it names."""

    span: Span
    text: str
    terms: frozenset[str]
    names: tuple[Name, ...]  # with spans of the sentence


@lru_cache(maxsize=512)  # of the passages under way, each of which has a few answers
def read_sentences(text: str, language: str) -> tuple[Sentence, ...]:
    """Read the sentences of a text, in order; the language is zh or en."""
    pieces = [((start, end), text[start:end]) for start, end in split_sentences(text, language)]
    return tuple(Sentence(span, piece, terms(piece), names_in(piece)) for span, piece in pieces)
