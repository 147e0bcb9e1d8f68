"""Filter documents: drop what is in another language, too short, or outside the domain.

Reads Document, writes Document; nothing is changed. The domain is judged by the relevance of the whole text
(domain.py), coarsely: a document that holds a passage of the domain may stay, since select judges passages again.
Without a lexicon the domain is not judged.
"""

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from pipeline.domain import off_domain
from pipeline.recipe import Config
from pipeline.records import mark


class FilterConfig(Config):
    """What a document must be to stay."""

    languages: tuple[str, ...] = Field(
        default=("zh-Hans", "zh-Hant", "lzh", "en"), description="accepted values of lang, of documents and of passages"
    )
    min_chars: int = Field(default=50, ge=0, description="length of a document's text")
    lexicons: tuple[str, ...] = Field(
        default=(), description="files of terms with weights, which select reads too; none: any domain"
    )
    min_relevance: dict[str, float] = Field(
        default={"zh": 0.035, "lzh": 0.035, "en": 0.015}, description="of a document, by language as in segment"
    )


def filter_documents(documents: pa.Table, config: FilterConfig, files: Mapping[str, tuple[Path, ...]]) -> pa.Table:
    """Mark each of the N documents with the first rule it breaks.

    Args:
        files: `lexicons`, the resolved paths of the lexicon files.

    Returns:
        The same N rows in the same order plus drop columns; the detail of `off_domain` is the relevance.
    """
    langs, texts = documents["lang"].to_pylist(), documents["text"]
    chars = pc.utf8_length(pc.utf8_trim_whitespace(texts))
    off, found = off_domain(texts.to_pylist(), langs, config.min_relevance, files.get("lexicons", ()))
    rules = {
        "wrong_language": pa.array([lang not in config.languages for lang in langs], pa.bool_()),
        "too_short": pc.less(chars, config.min_chars),
        "off_domain": pa.array(off),
    }
    details = {
        "wrong_language": langs,
        "too_short": [str(length) for length in chars.to_pylist()],
        "off_domain": found,
    }
    return mark(documents, rules, details)
