"""Make a lexicon: weigh the words of a seed corpus against a background, both named in a recipe's table [lexicon].

A source is the name of a card, or the path of a folder or file of texts in any format that collect reads. Eight
documents in ten give the weights (words.py). The passages of one in ten tell the border, the relevance that divides
seed from background best in each language; those of one in ten tell how well it does. Which document is for what is
drawn by a hash of its id, so that equal inputs give an equal file. The file's head says what it was made of.
"""

import datetime
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import Field

from pipeline.collect import collect_unit
from pipeline.domain import lexicon_of, read_weights, relevance
from pipeline.readers.language import detect
from pipeline.recipe import Checked, Config, Recipe, RecipeError, SourceCard, load_card, read_table
from pipeline.shards import write_atomically
from pipeline.words import count_words, weigh
from pipeline.worklist import CollectConfig, plan_source

PASSAGE_CHARS = 400  # of the passages that border and accuracy are measured on


class LexiconConfig(Config):
    """The table [lexicon]. Counts are of all documents of a source that are read."""

    seed: tuple[str, ...] = Field(min_length=1, description="sources of the domain: names of cards, or paths")
    background: tuple[str, ...] = Field(min_length=1, description="sources of other domains")
    file: str = Field(min_length=1, description="the lexicon to write, relative to the recipe")
    terms: tuple[str, ...] = Field(default=(), description="lexicon files that are believed beforehand")
    trust: float = Field(default=30, ge=0, description="occurrences per million words that a term given beforehand has")
    smoothing: float = Field(default=20, gt=0, description="occurrences per million words that hold a weight back")
    max_chars: int = Field(default=4_000_000, ge=1, description="characters read of a source")
    min_count: int = Field(default=5, ge=1, description="occurrences of a word in all sources together")
    min_pmi: float = Field(default=6, ge=0, description="bits, for runs of words that become a term")
    min_weight: float = Field(default=0.3, ge=0, le=1, description="weights closer to 0 are left out")
    max_terms: int = Field(default=20_000, ge=1, description="those kept weigh most in the texts: |weight| x count")


@dataclass(frozen=True)
class Made:
    """What making a lexicon gave."""

    path: Path
    num_terms: int
    border: dict[str, float]  # language as in segment -> min_relevance
    accuracy: dict[str, tuple[float, int]]  # language -> share of held-out passages told right, and their number


def make_lexicon(recipe: Recipe) -> Made:
    """Write the lexicon that a recipe's table [lexicon] describes.

    Raises:
        RecipeError: the table, a card or a path is wrong, or a side has no text.
    """
    config = read_table(recipe, "lexicon", LexiconConfig)
    sides = [
        [read_documents(recipe, name, config.max_chars) for name in names] for names in (config.seed, config.background)
    ]
    for names, side in zip((config.seed, config.background), sides, strict=True):
        for name, documents in zip(names, side, strict=True):
            if not documents:
                raise RecipeError(f"{recipe.path} [lexicon] {name}: got no text, expected documents")
    known = read_weights(tuple(recipe.resolve(path) for path in config.terms))
    seed, background = (
        [
            count_words(_of_part(documents, range(8)), known, min_count=config.min_count, min_pmi=config.min_pmi)
            for documents in side
        ]
        for side in sides
    )
    weights = weigh(seed, background, known, smoothing=config.smoothing, trust=config.trust)
    counts = {word: sum(words[word] for words in (*seed, *background)) for word in weights}
    heavy = [
        word
        for word, weight in weights.items()
        if abs(weight) >= config.min_weight and (counts[word] >= config.min_count or word in known)
    ]
    heavy.sort(key=lambda word: (word not in known, -abs(weights[word]) * counts[word], word))
    kept = {word: round(weights[word], 2) for word in sorted(heavy[: config.max_terms])}
    border, accuracy = _measure(sides, kept)
    path = recipe.resolve(config.file)
    made = Made(path, len(kept), border, accuracy)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(
        path, _head(config, sides, made) + "".join(f"{word}\t{weight:g}\n" for word, weight in kept.items())
    )
    return made


def advice(made: Made) -> str:
    """Return the settings that go with a lexicon, as lines of a recipe."""
    limits = ", ".join(f"{lang} = {value:.3f}" for lang, value in made.border.items())
    return f"[select]\nmin_relevance = {{ {limits} }}"


def read_documents(recipe: Recipe, name: str, max_chars: int) -> list[tuple[int, str]]:
    """Read the texts of a source up to so many characters, each with the tenth that it belongs to."""
    folder = recipe.cards_folder
    if (folder / f"{name}.toml").exists():
        card = load_card(folder, name)
    else:
        path = recipe.resolve(name)
        if not path.exists():
            raise RecipeError(
                f"{recipe.path} [lexicon]: got {name!r}, expected a card in {folder} or a path that exists"
            )
        seen = Checked(by="onestage lexicon", on=datetime.date.min, scope="words and their weights")
        card = SourceCard(
            name=path.name, origin=str(path), licence="unknown", kind="general", checked=seen, path=str(path)
        )
    found: list[tuple[int, str]] = []
    config, cache = CollectConfig(), recipe.output_folder / "cache"
    for unit in plan_source(card, folder, config, cache, cache / "lexicon"):
        for row in collect_unit(card, unit, config, cache).to_pylist():
            text = row["text"] if "text" in row else "\n".join(turn["content"] for turn in row["messages"])
            if row["drop_reason"] is None and text:
                found.append((_tenth(row["id"]), text[:max_chars]))
                max_chars -= len(found[-1][1])
            if max_chars <= 0:
                return found
    return found


def _tenth(id: str) -> int:
    return hashlib.blake2b(id.encode("utf-8", "surrogatepass"), digest_size=8).digest()[0] % 10


def _of_part(documents: Sequence[tuple[int, str]], tenths: range) -> Iterator[str]:
    """Yield the documents of some tenths; of fewer than ten documents, each is cut into ten parts for that."""
    for tenth, text in documents:
        if len(documents) >= 10:
            if tenth in tenths:
                yield text
        else:
            yield text[len(text) * tenths.start // 10 : len(text) * tenths.stop // 10]


def _measure(
    sides: Sequence[Sequence[Sequence[tuple[int, str]]]], weights: dict[str, float]
) -> tuple[dict[str, float], dict[str, tuple[float, int]]]:
    """Find each language's border on one tenth of the documents, and its accuracy on another."""
    lexicon = lexicon_of(weights)
    found: dict[tuple[int, str], list[tuple[float, bool]]] = {}
    for is_seed, side in zip((True, False), sides, strict=True):
        for documents in side:
            for tenth in (8, 9):
                passages = [
                    text[start : start + PASSAGE_CHARS]
                    for text in _of_part(documents, range(tenth, tenth + 1))
                    for start in range(0, max(1, len(text) - PASSAGE_CHARS // 2), PASSAGE_CHARS)
                ]
                for passage, value in zip(passages, relevance(passages, lexicon), strict=True):
                    lang = detect(passage).split("-")[0]
                    if lang != "und":
                        found.setdefault((tenth, lang), []).append((float(value), is_seed))
    border, accuracy = {}, {}
    for lang in sorted({lang for _, lang in found}):
        measured = found.get((8, lang), [])
        if len({side for _, side in measured}) == 2:
            border[lang] = _border(measured)
            right = [(value >= border[lang]) == side for value, side in found.get((9, lang), [])]
            accuracy[lang] = (sum(right) / len(right) if right else 0.0, len(right))
    return border, accuracy


def _border(measured: Sequence[tuple[float, bool]]) -> float:
    """Return the value that divides two groups best, each counting half: the middle of the best stretch."""
    values = np.array([value for value, _ in measured])
    is_seed = np.array([side for _, side in measured])
    steps = np.arange(-0.5, 0.5, 0.001)
    right = np.array([(values[is_seed] >= step).mean() + (values[~is_seed] < step).mean() for step in steps])
    return round(float(np.median(steps[right >= right.max() - 1e-9])), 3)


def _head(config: LexiconConfig, sides: Sequence[Sequence[Sequence[tuple[int, str]]]], made: Made) -> str:
    """Write where a lexicon comes from, as the notes it begins with."""
    lines = ["Terms and their weights, made by `onestage lexicon`."]
    for what, names, side in zip(("Seed", "Background"), (config.seed, config.background), sides, strict=True):
        for name, documents in zip(names, side, strict=True):
            lines.append(
                f"{what}: {name}, {len(documents):,} documents, {sum(len(text) for _, text in documents):,} chars"
            )
    lines += [f"Given beforehand: {path}" for path in config.terms]
    settings = config.model_dump(exclude={"seed", "background", "terms", "file"})
    lines.append("Settings: " + ", ".join(f"{name} = {value:g}" for name, value in settings.items()))
    for lang, (share, number) in made.accuracy.items():
        lines.append(f"{lang}: border {made.border[lang]:.3f}, {share:.3f} of {number:,} held-out passages told right")
    return "".join(f"# {line}\n" for line in lines)
