"""One file a way of asking and answering; `STYLES` finds them by the names that a recipe may write.

A new style is a file here and its name in `unify.request.StyleName`.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Protocol, cast, get_args

from unify.pair import Pair, Passage
from unify.request import Ask, RewriteConfig, StyleName


class Style(Protocol):
    """What a style's module has: its static texts by language, which the stage's key hashes, and two functions."""

    PROMPTS: Mapping[str, str]

    def applies(self, passage: Passage, config: RewriteConfig) -> bool:
        """Tell whether the style fits a passage."""

    async def write(self, passage: Passage, config: RewriteConfig, ask: Ask) -> list[Pair]:
        """Write the pairs of a passage, kept and rejected."""


STYLES: Mapping[StyleName, Style] = {
    name: cast(Style, import_module(f"unify.styles.{name}")) for name in get_args(StyleName)
}
