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

from pipeline.domain import least_relevance, read_lexicons, relevance
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
    langs, texts = documents["lang"], documents["text"]
    chars = pc.utf8_length(pc.utf8_trim_whitespace(texts))
    rules = {
        "wrong_language": pc.invert(pc.is_in(langs, value_set=pa.array(config.languages, pa.string()))),
        "too_short": pc.less(chars, config.min_chars),
    }
    details = {
        "wrong_language": langs.to_pylist(),
        "too_short": [str(length) for length in chars.to_pylist()],
    }
    if paths := files.get("lexicons", ()):
        found = relevance(texts.to_pylist(), read_lexicons(paths))
        rules["off_domain"] = pa.array(found < least_relevance(langs.to_pylist(), config.min_relevance))
        details["off_domain"] = [f"{value:.3f}" for value in found]
    return mark(documents, rules, details)
