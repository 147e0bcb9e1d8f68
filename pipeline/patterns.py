"""Patterns of recipes: RE2's, a column of texts is searched at the speed of memory and no text takes forever."""

from collections.abc import Sequence
from typing import Annotated

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import AfterValidator


def _compiles(pattern: str) -> str:
    try:
        pc.match_substring_regex(pa.array([""]), pattern)
    except pa.ArrowInvalid as error:
        raise ValueError(f"got {pattern!r}, expected a pattern of RE2: {error}") from None
    return pattern


Pattern = Annotated[str, AfterValidator(_compiles)]


def either(patterns: Sequence[str]) -> str:
    """Return one pattern that is found where one of several is."""
    return "|".join(f"(?:{pattern})" for pattern in patterns)


def found_in(patterns: Sequence[str], texts: Sequence[str]) -> list[bool]:
    """Tell for each of N texts whether one of the patterns is found in it, whatever the case."""
    if not patterns:
        return [False] * len(texts)
    column = pa.array(texts, pa.string())
    found: list[bool] = pc.match_substring_regex(column, either(patterns), ignore_case=True).to_pylist()
    return found
