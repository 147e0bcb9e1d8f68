"""The style `raw`: the passage as it stands, one message with loss and no question: training on text is a recipe.

It asks no model and fits every passage; by its weight beside other styles it gets a share of the passages.
"""

from unify.pair import Pair, Passage
from unify.request import Ask, RewriteConfig

STYLE = "raw"
PROMPTS: dict[str, str] = {}


def applies(passage: Passage, config: RewriteConfig) -> bool:
    """Tell that it fits any passage."""
    return True


async def write(passage: Passage, config: RewriteConfig, ask: Ask) -> list[Pair]:
    """Give the passage's text, without the white space around it."""
    text = passage.text.strip()
    start = passage.text.find(text)
    return [Pair(STYLE, passage.lang, "", text, ((start, start + len(text)),))]
