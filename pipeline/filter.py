"""Filter documents: drop what is in another language, too short, or outside the domain.

Reads Document, writes Document; nothing is changed. The domain is judged by lexicon density, as HuatuoGPT-II extracts
medical text by dictionary words (arXiv:2311.09774): the letters of a text that are inside terms of the lexicon, divided
by its letters. Chinese is cut into words by jieba with the lexicon loaded, so that a term is not found across the
border of two words; English terms are matched greedily, the longest run of words first. Without a lexicon the domain
is not judged.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import jieba
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from pipeline.recipe import Config
from pipeline.records import mark


class FilterConfig(Config):
    """What a document must be to stay."""

    languages: tuple[str, ...] = Field(
        default=("zh-Hans", "zh-Hant", "lzh", "en"), description="accepted values of lang"
    )
    min_chars: int = Field(default=50, ge=0, description="length of a document's text")
    lexicons: tuple[str, ...] = Field(
        default=(), description="files of terms, one a line, # for comments; none: any domain"
    )
    min_density: dict[str, float] = Field(
        default={"zh": 0.05, "lzh": 0.03, "en": 0.02},
        description="share of letters in terms, by language as in segment",
    )


def filter_documents(documents: pa.Table, config: FilterConfig, files: Mapping[str, tuple[Path, ...]]) -> pa.Table:
    """Mark each of the N documents with the first rule it breaks.

    Args:
        files: `lexicons`, the resolved paths of the lexicon files.

    Returns:
        The same N rows in the same order plus drop columns; the detail of `off_domain` is the density.
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
    paths = files.get("lexicons", ())
    if paths:
        densities = [density(text, paths) for text in texts.to_pylist()]
        least = [_limit(config.min_density, lang) for lang in langs.to_pylist()]
        rules["off_domain"] = pa.array(
            [found < limit for found, limit in zip(densities, least, strict=True)], pa.bool_()
        )
        details["off_domain"] = [f"{found:.3f}" for found in densities]
    return mark(documents, rules, details)


def density(text: str, lexicons: tuple[Path, ...]) -> float:
    """Return the share of a text's letters that are inside terms of the lexicons; 0 for a text without letters."""
    words, phrases = _lexicon(lexicons)
    letters = sum(char.isalpha() for char in text)
    return (_han_letters(text, words) + _latin_letters(text, phrases)) / letters if letters else 0.0


_HAN_RUN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+")
_LATIN_RUN = re.compile(r"[a-z][a-z'’-]*(?: +[a-z][a-z'’-]*)*")  # a term does not reach over punctuation
_LATIN_WORD = re.compile(r"[a-z][a-z'’-]*")
_MAX_WORDS = 5  # of an English term


def _han_letters(text: str, words: "_Words") -> int:
    return sum(len(word) for run in _HAN_RUN.findall(text) for word in words.cut(run) if word in words.terms)


def _latin_letters(text: str, phrases: frozenset[str]) -> int:
    found = 0
    for run in _LATIN_RUN.findall(" ".join(text.lower().replace("’", "'").split())):
        tokens = _LATIN_WORD.findall(run)
        start = 0
        while start < len(tokens):
            for size in range(min(_MAX_WORDS, len(tokens) - start), 0, -1):
                phrase = " ".join(tokens[start : start + size])
                if phrase in phrases or (phrase.endswith("s") and phrase[:-1] in phrases):
                    found += sum(char.isalpha() for char in phrase)
                    start += size
                    break
            else:
                start += 1
    return found


class _Words:
    """Cuts Chinese into words, terms of the lexicon among them."""

    def __init__(self, terms: frozenset[str]) -> None:
        self.terms = terms
        self._tokenizer = jieba.Tokenizer()
        jieba.setLogLevel("ERROR")  # it reports its dictionary on standard error
        for term in sorted(terms):
            self._tokenizer.add_word(term)

    def cut(self, run: str) -> list[str]:
        """Return the words of a run of Han characters."""
        return list(self._tokenizer.cut(run, HMM=False))


@lru_cache(maxsize=4)
def _lexicon(paths: tuple[Path, ...]) -> tuple[_Words, frozenset[str]]:
    lines = (line.strip().lower() for path in paths for line in path.read_text(encoding="utf-8").splitlines())
    terms = {line for line in lines if line and not line.startswith("#")}
    han = frozenset(term for term in terms if _HAN_RUN.fullmatch(term))
    return _Words(han), frozenset(terms - han)


def _limit(limits: Mapping[str, float], lang: str) -> float:
    return limits.get(lang, limits.get(lang.split("-")[0], limits["en"]))
