"""Read the JSON that a model was asked for out of what it wrote.

A server that enforces a schema gives exactly that; others wrap it in a fence or in reasoning, leave a comma too many,
or are cut at the limit of tokens. `read_json` takes what can be read without a guess and sees that it fits the schema,
of which it knows the part that structured output has: objects, arrays, strings, integers, numbers, booleans, `enum`,
`anyOf`, and how many items. In time linear in the text.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from unify.checks import Finding, without_thinking
from unify.request import whole_characters

_TRAILING = re.compile(r",(?=\s*[}\]])")
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*+"|[{}\[\],]', re.DOTALL)  # a whole string, or what opens, ends or parts members
_TYPES: Mapping[str, type | tuple[type, ...]] = {"string": str, "boolean": bool, "integer": int, "number": (int, float)}
MOST_OPEN = 20  # brackets open at a time; what is deeper is none of our schemas
NOTHING = object()


def read_reply(text: str, finish_reason: str, schema: Mapping[str, Any]) -> tuple[Any, Finding | None]:
    """Return what a reply says by a schema, or None and why it cannot be read: `cut_off`, or `unreadable`."""
    if finish_reason == "length":
        return None, ("cut_off", "finish_reason length")
    reply = read_json(text, schema)
    return reply, None if reply is not None else ("unreadable", text[:80])


def read_json(text: str, schema: Mapping[str, Any]) -> Any | None:
    """Return the first value in a text that fits a schema, without the members it does not know, or None.

    A text that ends too early is closed before its last whole member, so that what a model did finish is not lost.
    """
    for candidate in _candidates(without_thinking(text)):
        try:
            value = _fitted(json.loads(candidate, strict=False), schema)
        except (ValueError, RecursionError):
            continue
        if value is not NOTHING:
            return value
    return None


def _candidates(text: str) -> Iterator[str]:
    """Yield the text; from its first bracket to that one's end, also without commas too many; or closed by us."""
    yield text
    begin = re.search(r"[{\[]", text)
    if not begin:
        return
    open_brackets: list[str] = []
    whole, closing = begin.start(), ""  # where the last whole member ended, to which a cut goes back
    for token in _TOKEN.finditer(text, begin.start()):
        mark, end = token[0], token.end()
        if mark in "{[":
            open_brackets.append("}" if mark == "{" else "]")
        elif mark in "}]":
            if not open_brackets or open_brackets.pop() != mark:
                return
            if not open_brackets:
                yield text[begin.start() : end]
                yield _TRAILING.sub("", text[begin.start() : end])
                return
        elif mark == ",":
            end = token.start()
        else:
            continue
        whole, closing = end, "".join(reversed(open_brackets))
        if len(open_brackets) > MOST_OPEN:
            return
    yield _TRAILING.sub("", text[begin.start() : whole] + closing)


def _fitted(value: Any, schema: Mapping[str, Any]) -> Any:
    """Return the value as its schema has it, or NOTHING; a number in quotation marks is the number."""
    if "anyOf" in schema:
        fitting = (_fitted(value, one) for one in schema["anyOf"])
        return next((found for found in fitting if found is not NOTHING), NOTHING)
    kind = schema["type"]
    if kind == "object":
        return _fitted_object(value, schema) if isinstance(value, dict) else NOTHING
    if kind == "array":
        items = [_fitted(item, schema["items"]) for item in value] if isinstance(value, list) else [NOTHING]
        few, many = schema.get("minItems", 0), schema.get("maxItems", len(items))
        return items if few <= len(items) <= many and NOTHING not in items else NOTHING
    if kind == "integer" and isinstance(value, str) and re.fullmatch(r"\s*\d{1,9}\s*", value):
        value = int(value)
    if isinstance(value, str):
        value = whole_characters(value)  # JSON may escape half of one
    fits = isinstance(value, _TYPES[kind]) and not (kind != "boolean" and isinstance(value, bool))
    return value if fits and value in schema.get("enum", (value,)) else NOTHING


def _fitted_object(value: dict[str, Any], schema: Mapping[str, Any]) -> Any:
    members = {name: _fitted(value[name], one) for name, one in schema["properties"].items() if name in value}
    return members if set(schema["required"]) <= set(members) and NOTHING not in members.values() else NOTHING
