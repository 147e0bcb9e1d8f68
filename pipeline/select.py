"""Select passages: drop those in another language than the recipe's, and those outside the domain.

Reads Passage, writes Passage; nothing is changed. The same judgement as filter's, on each passage alone: a French
paragraph of an English page goes, and so does the anecdote in a textbook. Without a lexicon the domain is not judged.
"""

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
from pydantic import Field

from pipeline.domain import off_domain
from pipeline.readers.language import detect
from pipeline.recipe import Config
from pipeline.records import mark


class SelectConfig(Config):
    """What a passage must be to stay."""

    languages: tuple[str, ...]
    lexicons: tuple[str, ...]
    min_relevance: dict[str, float] = Field(
        default={"zh": 0.05, "lzh": 0.05, "en": 0.02}, description="of a passage, by language as in segment"
    )


def select_passages(passages: pa.Table, config: SelectConfig, files: Mapping[str, tuple[Path, ...]]) -> pa.Table:
    """Mark each of the N passages with the first rule it breaks.

    Args:
        files: `lexicons`, the resolved paths of the lexicon files.

    Returns:
        The same N rows in the same order plus drop columns: the detail of `wrong_language` is the language of the
        passage's own text, that of `off_domain` its relevance.
    """
    texts = passages["text"].to_pylist()
    langs = [detect(text) for text in texts]
    off, found = off_domain(texts, langs, config.min_relevance, files.get("lexicons", ()))
    rules = {
        "wrong_language": pa.array([lang not in config.languages for lang in langs], pa.bool_()),
        "off_domain": pa.array(off),
    }
    return mark(passages, rules, {"wrong_language": langs, "off_domain": found})
