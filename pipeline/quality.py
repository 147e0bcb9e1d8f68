"""Judge cleaned texts: is this text that says something, by counts over its characters.

What the rules come from, and how they are adapted; shares are of characters, never of words, as Chinese has no spaces:

    too_short         Gopher's least number of words (arXiv:2112.11446, appendix A), by language, for passages
    symbol_heavy      Gopher's "#" and "..." in at most a tenth of words, here any symbol that prose, tables and lists
                      do not use; its alphabetic character in 80% of words, here `min_letters` of characters, as doses
                      and values make half of an honest passage
    repetitive        Gopher's share of characters in duplicate lines (0.2), and in duplicate n-grams: its six limits
                      for 5 to 10 words (0.10 to 0.15) are one n, as long as ten Han characters or eight English words,
                      and a wider limit, as passages are short and repeat their subject; tables repeat cells by nature
    no_sentences      FineWeb's share of lines that end in punctuation (arXiv:2406.17557), here of commas and sentence
                      ends among characters outside of tables and lists, which works on Chinese prose laid out in
                      one line; classical texts are often unpunctuated and are not asked
    placeholder       C4's "lorem ipsum" (arXiv:1910.10683, section 2.2)
    missing_glyphs, references_only, advertisement      ours

All thresholds are ours, set on the corpora that tests/pipeline/test_quality.py names.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field

from pipeline import characters
from pipeline.recipe import Config


class QualityConfig(Config):
    """What a text must be to stay. Shares are of characters; a map by language: of a tag, its first part, or "en"."""

    min_chars: dict[str, int] = Field(default={"zh": 30, "lzh": 20, "en": 80}, description="by language, as in segment")
    max_advertisement: float = Field(default=0.5, ge=0, le=1, description="share of a text that was advertisement")
    max_symbols: float = Field(default=0.1, ge=0, le=1, description="share that are # … and other symbols")
    min_letters: float = Field(default=0.5, ge=0, le=1, description="share of what is no white space that are letters")
    max_missing_glyphs: float = Field(
        default=0.01, ge=0, le=1, description="share of replacement, blank-box and private-use characters"
    )
    max_duplicate_lines: float = Field(default=0.2, ge=0, le=1, description="share in lines that occurred before")
    max_duplicate_ngrams: float = Field(default=0.4, ge=0, le=1, description="share in n-grams that occurred before")
    ngram_chars: dict[str, int] = Field(default={"zh": 10, "lzh": 10, "en": 40}, description="n, by language")
    min_pauses: dict[str, float] = Field(
        default={"zh": 0.02, "lzh": 0.0, "en": 0.003},
        description="share that are commas and sentence ends, by language",
    )
    max_references: float = Field(default=0.6, ge=0, le=1, description="share in entries of a bibliography")


_PLACEHOLDER = r"(?i)lorem ipsum|此处(?:为|是)?占位(?:文字|文本)"

REASONS = (
    "advertisement",
    "references_only",
    "too_short",
    "placeholder",
    "missing_glyphs",
    "symbol_heavy",
    "repetitive",
    "no_sentences",
)  # in order of precedence

Rules = dict[str, NDArray[np.bool_]]


def judge(
    texts: pa.Array,
    langs: Sequence[str],
    advertised: NDArray[np.float64],
    referenced: NDArray[np.float64],
    listed: NDArray[np.float64],
    config: QualityConfig,
) -> tuple[Rules, dict[str, list[str | None]]]:
    """Find which rules each of N cleaned texts breaks, in order of precedence, and by what value.

    Args:
        advertised: (N,) share of each text before cleaning that was advertisement.
        referenced: (N,) share of each text before cleaning that was entries of a bibliography.
        listed: (N,) share of each text that still is.
    """
    counts = characters.count(texts, _by_language(config.ngram_chars, langs).astype(np.int64))
    chars, dense, letters, symbols, missed, pauses, lined, doubled, covered, framed = counts.T
    dense, lined = np.maximum(dense, 1), np.maximum(lined, 1)
    free, least = lined - framed, _by_language(config.min_chars, langs)
    repeated = doubled / lined - config.max_duplicate_lines, covered / dense - config.max_duplicate_ngrams
    noise = symbols / dense - config.max_symbols, config.min_letters - letters / dense
    values = {
        "advertisement": (advertised, config.max_advertisement),
        "references_only": (np.where(chars < least, referenced, listed), config.max_references),
        "too_short": (-chars, -least),
        "placeholder": (np.asarray(pc.match_substring_regex(texts, _PLACEHOLDER)).astype(float), 0.0),
        "missing_glyphs": (missed / dense, config.max_missing_glyphs),
        "symbol_heavy": (np.maximum(*noise), 0.0),
        "repetitive": (np.maximum(*repeated), 0.0),
        "no_sentences": (-pauses, -np.floor(free * _by_language(config.min_pauses, langs))),
    }
    rules = {reason: value > limit for reason, (value, limit) in values.items()}
    details = {
        reason: [
            f"{abs(float(value)):.4g}" if bad else None for value, bad in zip(values[reason][0], broken, strict=True)
        ]
        for reason, broken in rules.items()
    }
    return rules, details


def _by_language(limits: Mapping[str, float], langs: Sequence[str]) -> NDArray[np.float64]:
    """Return the limit of each of N languages: of its tag, else of the part before the hyphen, else of English."""
    found = {lang: limits.get(lang, limits.get(lang.split("-")[0], limits["en"])) for lang in set(langs)}
    return np.array([found[lang] for lang in langs], np.float64)
