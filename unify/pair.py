"""A passage as the styles see it, and the pair that a style makes of it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pipeline.records import EXAMPLE, text_hash

# Headings that name a part of any paper and no subject, as the labels of structured abstracts do.
LABELS = re.compile(
    r"(研究)?(背景|目的|方法|结果|讨论|要点|引言|前言|摘要|小结|总结|结论)"
    r"|background|objectives?|aims?|purpose|(materials and )?methods?|results?|(key )?findings|discussion|introduction"
    r"|abstract|summary|conclusions?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Passage:
    """One row of the Passage record, without what no style reads."""

    id: str
    document_id: str
    source: str
    kind: str
    lang: str
    text: str
    title: str | None
    headings: Sequence[str]

    @property
    def language(self) -> str:
        """The language that a model must write: zh (classical and traditional, too), en, or und."""
        return language_of(self.lang)

    @property
    def heading(self) -> str:
        """The innermost heading that is not the header row of a table; empty if there is none."""
        return next((heading for heading in reversed(self.headings) if " | " not in heading), "")

    @property
    def subject(self) -> str:
        """What it is about: title and heading, without a heading that only names a part of any paper."""
        names = dict.fromkeys([self.title or "", "" if LABELS.fullmatch(self.heading) else self.heading])
        return " – ".join(name for name in names if name)


@dataclass(frozen=True)
class Made:
    """One step of a pair: which model under which prompt, and the request's hash in the journal."""

    step: str
    model: str
    prompt: str
    request: str


@dataclass(frozen=True)
class Pair:
    """A question and its answer, with what grounds and made them; `reason` says why it is rejected, if it is.

    `more` are the further turns of a dialogue, a question and an answer each.
    """

    style: str
    lang: str
    question: str
    answer: str
    support: tuple[tuple[int, int], ...] = ()
    checks: tuple[tuple[str, str], ...] = ()
    made_by: tuple[Made, ...] = ()
    reason: str | None = None
    detail: str | None = None
    more: tuple[tuple[str, str], ...] = ()

    @property
    def answers(self) -> str:
        """All that it answers, of a dialogue in all turns."""
        return "\n".join([self.answer, *(answer for _, answer in self.more)])

    def judged(self, found: tuple[str, str] | None) -> "Pair":
        """Return the pair as it is judged: rejected for what was found (reason, detail), or as it is."""
        return replace(self, reason=found[0], detail=found[1]) if found else self

    def crosses(self, passage: Passage) -> bool:
        """Tell whether the pair is in another language than its passage."""
        return language_of(self.lang) != passage.language


def language_of(lang: str) -> str:
    """Return the language of a `lang` as models and checks know it."""
    return "zh" if lang in ("zh-Hans", "zh-Hant", "lzh") else lang


def example_of(passage: Passage, pair: Pair) -> dict[str, Any]:
    """Build the Example row of a pair, with its drop columns."""
    turns = ((pair.question, pair.answer), *pair.more)
    said = [text for turn in turns for text in turn]
    messages = [
        {"role": role, "content": text, "loss": role == "assistant"}
        for role, text in zip(("user", "assistant") * len(turns), said, strict=True)
        if text or pair.reason  # raw text has no question; what was rejected stays as it came
    ]
    crossed = (("from_lang", passage.lang),) if pair.crosses(passage) else ()
    return _row(passage, pair.lang) | {
        "id": f"{passage.id}:{pair.style}:{text_hash(chr(31).join(said))}",
        "style": pair.style,
        "messages": messages,
        "support": [{"start": start, "end": end} for start, end in pair.support],
        "checks": [{"name": name, "value": value} for name, value in (*pair.checks, *crossed)],
        "made_by": [vars(made) for made in pair.made_by],
        "drop_reason": pair.reason,
        "drop_detail": pair.detail,
    }


def without_pair(passage: Passage, reason: str, detail: str | None = None) -> dict[str, Any]:
    """Build the dropped row of a passage that no pair was tried for."""
    return _row(passage, passage.lang) | {"id": f"{passage.id}:none", "drop_reason": reason, "drop_detail": detail}


def passage_of(row: Mapping[str, Any]) -> Passage:
    """Read a Passage row."""
    return Passage(**{name: row[name] for name in Passage.__dataclass_fields__})


def _row(passage: Passage, lang: str) -> dict[str, Any]:
    row: dict[str, Any] = {
        field.name: [] if field.name in ("messages", "support", "checks", "made_by") else "" for field in EXAMPLE
    }
    return row | {"passage_id": passage.id, "source": passage.source, "kind": passage.kind, "lang": lang}
