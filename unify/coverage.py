"""How much of a passage its pairs carry, and how many pairs it is worth.

A passage that says ten things and is asked for one loses nine. What a kept pair's answer carries is counted in
sentences, numbers and names of the passage, stored with the passage's first pair, and summed in the data card. Pairs of
a passage are written one after another, each knowing what those before it asked and left out.
"""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache

from pipeline.sentences import Span, split_sentences
from unify import checks
from unify.checks.quantities import claims
from unify.pair import Pair, Passage, language_of
from unify.request import RewriteConfig

CARRIED = 0.6  # share of a sentence's terms in one answer from which on the answer carries it
ALIGNED = 0.3  # share of an answer sentence's terms in one sentence of the passage from which on that supports it
MIN_TERMS = {"zh": 6, "en": 4}  # of a sentence that says something
SAME = 0.8  # Jaccard similarity of two questions' terms from which on they ask the same
_NAME = re.compile(r"《[^》]+》|(?<![A-Za-z0-9])(?:[A-Z][A-Za-z]*[A-Z0-9][A-Za-z0-9]*|[A-Za-z]+-?\d+)(?![A-Za-z0-9])")


def sentences_of(passage: Passage) -> Mapping[Span, frozenset[str]]:
    """Return the spans of a passage's sentences that say something, in order, with the terms that they say it in.

    A sentence that says something ends as one does, and has words of content.
    """
    return _sentences(passage.text, passage.lang)


@lru_cache(maxsize=2048)  # of the passages under way, each of which is asked for a few times
def _sentences(text: str, lang: str) -> Mapping[Span, frozenset[str]]:
    least = MIN_TERMS["en" if lang in ("en", "und") else "zh"]
    terms = {
        span: frozenset(checks.terms(text[slice(*span)]))
        for span in split_sentences(text, lang)
        if text[span[1] - 1] in '。！？.!?”"'
    }
    return {span: said for span, said in terms.items() if len(said) >= least}


def pairs_wanted(passage: Passage, config: RewriteConfig) -> int:
    """Return how many pairs a passage is worth: one for each `sentences_per_pair` sentences that say something new."""
    different = len(set(sentences_of(passage).values()))
    return max(1, min(config.max_pairs_per_passage, -(-different // config.sentences_per_pair)))


async def pairs_until_covered(
    passage: Passage, config: RewriteConfig, write_next: Callable[[Sequence[Pair]], Awaitable[Pair]]
) -> list[Pair]:
    """Write the pairs of a passage one after another, as many as it is worth and up to `min_coverage`.

    Args:
        write_next: gets the pairs so far, kept and rejected, and writes another one, kept or rejected.
    """
    pairs = [await write_next(())]
    wanted, sentences = pairs_wanted(passage, config), len(sentences_of(passage))
    while len(pairs) < config.max_pairs_per_passage and pairs[-1].made_by:  # without: the server took no such prompt
        left = len(sentences_left(passage, pairs))
        if not left or (len(pairs) >= wanted and sentences - left >= config.min_coverage * sentences):
            break
        pairs.append(await write_next(pairs))
    return pairs


def sentences_left(passage: Passage, pairs: Sequence[Pair]) -> list[Span]:
    """List the spans of the sentences that say something and that no kept pair carries.

    An answer in the passage's language carries a sentence if it has most of its terms; another one, if it rests on it.
    """
    answers = [
        (None if pair.crosses(passage) else checks.terms(pair.answers), pair.support)
        for pair in pairs
        if pair.reason is None
    ]
    return [
        (start, end)
        for (start, end), said in sentences_of(passage).items()
        if not any(
            len(said & terms) >= CARRIED * len(said)
            if terms is not None
            else any(first <= start and end <= last for first, last in support)
            for terms, support in answers
        )
    ]


def with_coverage(passage: Passage, pairs: Sequence[Pair]) -> list[Pair]:
    """Note with a passage's first kept pair, or its first, how much of the passage its kept pairs carry.

    Sentences, numbers and names, as two counts each, "carried/all", which can be summed over passages.
    """
    kept = [pair for pair in pairs if pair.reason is None]
    answers = "\n".join(pair.answers for pair in kept)
    sentences, numbers, names = sentences_of(passage), _numbers(passage.text), untranslated_names(passage.text)
    left = sentences_left(passage, pairs)
    found = (
        ("sentences_carried", f"{len(sentences) - len(left)}/{len(sentences)}"),
        ("numbers_carried", f"{len(numbers & _numbers(answers))}/{len(numbers)}"),
        ("names_carried", f"{len(names & untranslated_names(answers))}/{len(names)}"),
    )
    first = next((index for index, pair in enumerate(pairs) if pair.reason is None), 0)
    return [
        replace(pair, checks=(*pair.checks, *found)) if index == first else pair for index, pair in enumerate(pairs)
    ]


def supporting(passage: Passage, answer: str, lang: str) -> tuple[Span, ...]:
    """Return the spans of the passage's sentences that an answer's sentences rest on, in order; of each the best.

    Across languages numbers and names are compared in place of words. Where nothing agrees, there is no span.
    """
    read = checks.terms if language_of(lang) == passage.language else _numbers_and_names
    spans = split_sentences(passage.text, passage.lang)
    said = [read(passage.text[slice(*span)]) for span in spans]
    found: set[Span] = set()
    for start, end in split_sentences(answer, lang):
        wanted = read(answer[start:end])
        shares = [len(wanted & have) / len(wanted) if wanted else 0.0 for have in said]
        best = max(range(len(spans)), key=shares.__getitem__, default=None)
        if best is not None and shares[best] >= ALIGNED:
            found.add(spans[best])
    return tuple(sorted(found))


def quoted_share(answer: str, text: str, lang: str) -> float:
    """Return the share of an answer's characters in sentences that stand in a text word for word."""
    sentences = [answer[slice(*span)] for span in split_sentences(answer, lang)]
    return sum(len(one) for one in sentences if one in text) / (sum(map(len, sentences)) or 1)


def asked_before(question: str, pairs: Sequence[Pair]) -> str | None:
    """Find an earlier question of the same passage that asks the same."""
    asked = checks.terms(question)
    for pair in pairs:
        before = checks.terms(pair.question)
        if pair.reason is None and len(asked & before) >= SAME * len(asked | before):
            return pair.question
    return None


def untranslated_names(text: str) -> set[str]:
    """Return the names in a text that are written alike in both languages: works, abbreviations, codes."""
    return set(_NAME.findall(text))


def _numbers_and_names(text: str) -> set[Fraction | str]:
    return {*_numbers(text), *untranslated_names(text)}


def _numbers(text: str) -> set[Fraction]:
    """Return the values of a text's quantities in base units, so that 毫克 and mg agree."""
    return {quantity.base for quantity in claims(text)}
