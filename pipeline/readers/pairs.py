"""Read ready-made dialogues: rows of question and answer, of messages in any common shape, or of a transcript.

    question, answer (and title, context)   two columns; a title stands before the question, context after it
    conversations or messages               a list of {from, value} or {role, content}
    turns                                   a list of texts that alternate, beginning with the user
    dialogue                                one text with a speaker before each turn: "Doctor: ..." "Patient: ..."

A dialogue is an optional system message, then user and assistant in turn, beginning with the user and ending with the
assistant. One that is not is dropped, never mended, but for transcripts: there the turns of one side in a row are one
turn, and what the doctor says first or the patient says last is left out.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from pipeline.readers.items import Item
from pipeline.readers.row_text import native_id

PAIR_FIELDS = ("id", "question", "answer", "title", "context", "conversations", "messages", "turns", "dialogue")
_ROLES = {
    **dict.fromkeys(("user", "human", "client", "patient", "患者", "病人"), "user"),
    **dict.fromkeys(("assistant", "gpt", "bot", "model", "counselor", "doctor", "医生"), "assistant"),
    "system": "system",
}
_SPEAKER = re.compile(  # anyone at the head of a line; within one, after a sentence, only who is known
    r"(?:^\s*(?P<anyone>[A-Za-z][A-Za-z_ ]{0,30}?|患者|病人|医生)|(?<=[.?!。？！\"”])[ \t]*"
    r"(?P<known>Doctor|Patient|Guest_[a-z]{1,20}|患者|病人|医生))[ \d_]*[:：]\s*",
    re.MULTILINE,
)


def pair_item(row: Any, fields: Mapping[str, str], key: str | None) -> Item:
    """Make a dialogue of a row."""
    if isinstance(row, list):
        row = {"turns": row}
    native = native_id(row, fields, key)
    if dialogue := _cell(row, fields, "dialogue"):
        turns = _transcript(str(dialogue))
    elif (listed := _cell(row, fields, "conversations") or _cell(row, fields, "messages")) is not None:
        turns = _messages(listed)
    elif isinstance(texts := _cell(row, fields, "turns"), list):
        turns = [(("user", "assistant")[place % 2], _string(text) or "") for place, text in enumerate(texts)]
    else:
        question, answer = _question(row, fields), _string(_cell(row, fields, "answer")) or ""
        turns = [("user", question), ("assistant", answer)]
        if question and not answer:
            return Item(native=native, turns=turns, drop_reason="no_answer")
    reason, detail = judge_turns(turns)
    return Item(native=native, turns=turns, drop_reason=reason, drop_detail=detail)


def judge_turns(turns: Sequence[tuple[str, str]]) -> tuple[str | None, str | None]:
    """Return why turns are no dialogue, and the roles that show it; None and None when they are one."""
    roles = [role for role, _ in turns]
    spoken = roles[1:] if roles[:1] == ["system"] else roles
    if not spoken or len(spoken) % 2 or spoken != ["user", "assistant"] * (len(spoken) // 2):
        return "bad_turns", " ".join(roles)[:200]
    if any(not text.strip() for _, text in turns):
        return "empty_turn", str([bool(text.strip()) for _, text in turns].index(False))
    return None, None


def _question(row: Mapping[str, Any], fields: Mapping[str, str]) -> str:
    question = _string(_cell(row, fields, "question")) or ""
    title = _string(_cell(row, fields, "title")) or ""
    context = _string(_cell(row, fields, "context")) or ""
    before = [title] if title and title not in question else []
    return "\n".join([*before, question, *([context] if context else [])]).strip() if question or context else ""


def _messages(listed: Any) -> list[tuple[str, str]]:
    turns = []
    for message in listed if isinstance(listed, list) else [listed]:
        if not isinstance(message, Mapping):
            return [("unreadable", str(message)[:100])]
        role = str(message.get("role", message.get("from", ""))).strip().lower()
        content = message.get("content", message.get("value"))
        turns.append((_ROLES.get(role, role or "nobody"), _string(content) or ""))
    return turns


def _transcript(dialogue: str) -> list[tuple[str, str]]:
    marks = list(_SPEAKER.finditer(dialogue))
    said = []
    ends = [*(mark.start() for mark in marks[1:]), len(dialogue)]
    for mark, end in zip(marks, ends, strict=False):  # no mark: nothing is said
        speaker = (mark["anyone"] or mark["known"]).strip().lower()
        text = dialogue[mark.end() : end].strip()
        if text:
            said.append((_ROLES.get(speaker, "user"), text))  # a guest of the patient asks for the patient
    turns = [(role, "\n".join(text for _, text in group)) for role, group in groupby(said, key=lambda turn: turn[0])]
    first = next((place for place, (role, _) in enumerate(turns) if role == "user"), len(turns))
    last = max((place for place, (role, _) in enumerate(turns) if role == "assistant"), default=-1)
    return turns[first : last + 1]


def _cell(row: Mapping[str, Any], fields: Mapping[str, str], name: str) -> Any:
    return row.get(fields.get(name, name))


def _string(value: Any) -> str | None:
    return None if value is None else str(value).strip() or None
