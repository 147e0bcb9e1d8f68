"""Sentences of a passage numbered so that a model can point at them, and the answer quoted from those it points at.

What styles share in which the model chooses and a program quotes: the form that shows the sentences, the messages that
come before it, the request for another question, and the answer that the numbers make.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.sentences import Span
from unify import checks
from unify.checks.qualifiers import qualifiers_beside
from unify.coverage import sentences_left
from unify.pair import Pair, Passage

FORM = {"en": "Text about {subject}:\n{sentences}\n\n{task}", "zh": "关于{subject}的原文：\n{sentences}\n\n{task}"}
Example = tuple[str, Sequence[str], Mapping[str, Any]]  # subject, sentences, and the reply that they should get


@dataclass(frozen=True)
class Quoted:
    """A question and the answer that a program put together, with the spans that it quotes; or the reply as it came."""

    question: str = ""
    answer: str = ""
    spans: tuple[Span, ...] = ()


def numbered(sentences: Sequence[str]) -> str:
    """Write sentences a line each, as a model can point at them: from [1]."""
    return "\n".join(f"[{number}] {' '.join(sentence.split())}" for number, sentence in enumerate(sentences, start=1))


def form_of(passage: Passage, spans: Sequence[Span], task: str) -> str:
    """Fill the form for a passage: its subject, or how it begins; its sentences, numbered; and the task."""
    sentences = [passage.text[slice(*span)] for span in spans]
    subject = passage.subject or sentences[0][:20]
    return FORM[passage.language].format(subject=subject, sentences=numbered(sentences), task=task)


def shared_messages(language: str, system: str, task: str, examples: Iterable[Example]) -> list[tuple[str, str]]:
    """Build the messages that all passages of a language share: what to do, and examples of it."""
    messages = [("system", system)]
    for subject, sentences, reply in examples:
        form = FORM[language].format(subject=subject, sentences=numbered(sentences), task=task)
        messages += [("user", form), ("assistant", json.dumps(reply, ensure_ascii=False))]
    return messages


def next_task(
    template: str, passage: Passage, spans: Sequence[Span], pairs: Sequence[Pair], asked: Sequence[str]
) -> str:
    """Ask for another question, told what was asked and which sentences no kept pair carries.

    Args:
        template: has places for `asked` and `left`.
        asked: the questions of `pairs`.
    """
    left = set(sentences_left(passage, pairs))
    numbers = [str(number) for number, span in enumerate(spans, start=1) if span in left]
    return template.format(asked="\n".join(f"- {question}" for question in asked), left=", ".join(numbers))


def assemble(question: str, items: Sequence[int | str], passage: Passage, spans: Sequence[Span]) -> Quoted:
    """Put an answer together from sentence numbers (from 1) and connecting words.

    Sentences come in the passage's order, each once; one that points back comes behind those that it points at, without
    which it would speak of nothing, and warnings beside what is recommended come with it. Connecting words stand before
    the sentence that followed them in the reply, never first and never before a sentence that begins with such words.
    """
    words: dict[int, str] = {}
    for word, item in zip(["", *items], items, strict=False):
        if isinstance(item, int):
            words.setdefault(item - 1, word if isinstance(word, str) else "")
    chosen = set(words)
    for index in sorted(words):
        while index > 0 and checks.not_standalone(passage.text[slice(*spans[index])]):
            index -= 1
            chosen.add(index)
    quoted = [spans[index] for index in sorted(chosen)]
    beside = qualifiers_beside(quoted, passage.text, passage.title or "", passage.language)
    chosen.update(index for index, span in enumerate(spans) if span in beside)
    answer, kept = "", []
    for index in sorted(chosen):
        start, end = spans[index]
        sentence, word = passage.text[start:end], words.get(index, "")
        if answer and index - 1 in chosen:
            answer += passage.text[spans[index - 1][1] : start]
        elif answer:
            answer += "" if passage.language == "zh" else " "
        if answer and word and not checks.not_standalone(sentence):
            answer += word + ("" if passage.language == "zh" else " ")
        answer += sentence
        kept.append((start, end))
    return Quoted(question, answer, tuple(kept))


def share_in(spans: Sequence[Span], answer: str) -> float:
    """Return the share of an answer's characters that are those of the spans it quotes."""
    return min(1.0, sum(end - start for start, end in spans) / max(1, len(answer)))
