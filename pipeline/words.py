"""Find the words of a domain: count words of seed and background texts, and weigh them against each other.

Chinese is cut into words by jieba; runs of two or three words that stand together far more often than by chance are
words too, new ones of the domain among them. English has words of letters and such runs of them. A word's weight is

    (p - q) / (p + q + s)

with p its rate per word of the seed and q of the background, each the mean over their sources, so that no source
decides alone, and s a rate that holds back words seen a few times. It is the hyperbolic tangent of half the log odds
p : q where s is small, and lies between -1 (only the background's) and 1 (only the seed's). The general words of
Chinese are known without a background: the frequencies of jieba's dictionary are one more source of it.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache

import jieba

from pipeline.readers.language import COMMON_ENGLISH

_RUN = re.compile(r"([\u3400-\u9fff]+)|([a-z]+(?:['’-][a-z]+)*(?: [a-z]+(?:['’-][a-z]+)*)*)")
_MAX_JOINED = 3  # words
_COMMON_HAN = frozenset("的了是在和与及或等对为以于中上下有无不也就都而被把将从到这那其之并个")
Words = Counter[str]


def count_words(texts: Iterable[str], known: Iterable[str] = (), *, min_count: int = 5, min_pmi: float = 6.0) -> Words:
    """Count the words of texts, and the runs of two or three that are words themselves.

    Args:
        known: terms that jieba shall not cut apart.
        min_count: how often a run must occur to be a word.
        min_pmi: pointwise mutual information of a run, bits for each word behind its first (Church and Hanks, 1990).
    """
    cutter = _cutter(frozenset(term for term in known if "\u3400" <= term[:1] <= "\u9fff"))
    words, runs = Counter[str](), Counter[tuple[str, ...]]()
    for text in texts:
        for han, latin in _RUN.findall(text.lower()):
            run = list(cutter.cut(han, HMM=False)) if han else latin.split()
            words.update(run)
            for size in range(2, _MAX_JOINED + 1):
                runs.update(zip(*(run[start:] for start in range(size)), strict=False))
    total = max(1, words.total())
    for run, count in runs.items():
        if count >= min_count and not (_is_common(run[0]) or _is_common(run[-1])):
            chance = math.prod(words[word] / total for word in run)
            if math.log2(count / total / chance) >= min_pmi * (len(run) - 1):
                words[("" if run[0] >= "\u3400" else " ").join(run)] += count
    return words


def weigh(
    seed: Sequence[Words], background: Sequence[Words], known: Mapping[str, float], *, smoothing: float, trust: float
) -> dict[str, float]:
    """Weigh every word of seed and background, and every known term.

    Args:
        known: terms with weights given beforehand: as good as `trust` occurrences per million words on their side.
        smoothing: s, per million words.

    Returns:
        Weights from -1 to 1, by word: of the known, and of those that are no common words and longer than one letter or
        character.
    """
    seed_rate, background_rate = _mean_rate(seed), _mean_rate([*background, _general_chinese()])
    occurring = {word for words in (*seed, *background) for word in words}  # a dictionary's own words have no use
    weights = {}
    for word in sorted(occurring & (seed_rate.keys() | background_rate.keys()) | known.keys()):
        if word in known or (len(word) > 1 and not _is_common(word)):
            given = trust * known.get(word, 0.0)
            p, q = seed_rate.get(word, 0.0) + max(given, 0), background_rate.get(word, 0.0) + max(-given, 0)
            weights[word] = (p - q) / (p + q + smoothing)
    return weights


def _mean_rate(sources: Sequence[Words]) -> dict[str, float]:
    """Return each word's rate per million words of its script, averaged over the sources that have the script."""
    rates: dict[str, float] = {}
    for is_han in (True, False):
        counts = [{word: count for word, count in words.items() if (word >= "\u3400") == is_han} for words in sources]
        counts = [own for own in counts if sum(own.values()) >= 1000]
        for own in counts:
            total = sum(own.values())
            for word, count in own.items():
                rates[word] = rates.get(word, 0.0) + 1e6 * count / total / len(counts)
    return rates


@cache
def _general_chinese() -> Words:
    """Return the frequencies of jieba's dictionary, which were counted in general texts."""
    jieba.setLogLevel("ERROR")
    jieba.initialize()
    return Counter({word: count for word, count in jieba.dt.FREQ.items() if count and word >= "\u3400"})


def _is_common(word: str) -> bool:
    return word in COMMON_ENGLISH or word in _COMMON_HAN or (word.isascii() and len(word) == 1)


@cache
def _cutter(terms: frozenset[str]) -> jieba.Tokenizer:
    jieba.setLogLevel("ERROR")  # it reports its dictionary on standard error
    cutter = jieba.Tokenizer()
    for term in sorted(terms):
        cutter.add_word(term)
    return cutter
