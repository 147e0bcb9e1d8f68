"""Accuracy of the domain on labelled passages of ../shared/data: python -m benchmarks.bench_domain

The passages are those of nonmedical/domain_dev without the borderline and the suspect. Each source in turn is held out:
weights of the medical lexicon's terms (words.py) and one limit a language are fitted to the others, alone or with
the probes of tests/pipeline as one more, and judge the held-out passages. Beside that stand the lexicons and limits as
shipped, whose weights saw these sources. What was believed of a term beforehand is the sign of its shipped weight, but
for the terms of domain_given.tsv, whose weight the sources turned or left out.

Prints a table by source and the pooled accuracy by language, in Markdown. Takes about three minutes on one core.
"""

import csv
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.domain import least_relevance, lexicon_of, read_lexicons, read_weights, relevance
from pipeline.filter import FilterConfig
from pipeline.lexicon import read_documents
from pipeline.readers.language import detect
from pipeline.recipe import load_recipe
from pipeline.select import SelectConfig
from pipeline.stages import TABLES
from pipeline.words import Words, count_words, weigh

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
LEXICONS = tuple(sorted((ROOT / "recipes" / "lexicons").glob("medical_*.txt")))
TRUST = {"zh": 300.0, "en": 20.0}  # as for the shipped lexicons
SMOOTHING = 20.0
MAX_CHARS = 2_000_000  # of a source
CARDS = {  # card -> language, whether of the domain, source in domain_dev
    "toyhom": ("zh", True, "toyhom"),
    "medicalgpt": ("zh", True, ""),
    "tcm_books": ("zh", True, "tcm"),
    "mtf_wiki": ("zh", True, "mtf_wiki"),
    "howtocook": ("zh", False, "howtocook"),
    "poetry": ("zh", False, "poetry"),
    "gutenberg_books": ("en", True, "gutenberg_med"),
    "pubmedqa": ("en", True, "pubmedqa"),
    "medquad": ("en", True, "medquad"),
    "openstax_pharmacology": ("en", True, "openstax_nursing"),
    "mts_dialog": ("en", True, ""),
    "peps": ("en", False, "peps"),
    "rust_book": ("en", False, "rust_book"),
    "gutenberg_nonmedical": ("en", False, "gutenberg_nonmed"),
}
CSL_MEDICAL = {"中医学/中药学", "基础医学/临床医学", "药学", "口腔医学"}
CSL_BORDERLINE = {
    *("食品科学与工程", "体育学", "生物学/生物科学与工程", "畜牧学/兽医学", "公共卫生与预防医学", "心理学")
}
Counts = dict[tuple[str, str, bool], Words]  # domain_dev's source, or the card's name; language; whether of the domain


def terms_given() -> dict[str, float]:
    """Return what was believed of each term: 1 for the domain (one character alone 0.5), -0.5 against it, 0 neither."""
    shipped = read_weights(LEXICONS)
    given = {term: (0.5 if len(term) == 1 else 1.0) if w > 0 else -0.5 if w < 0 else 0.0 for term, w in shipped.items()}
    return given | read_weights((ROOT / "benchmarks" / "domain_given.tsv",))


def count_sources(given: dict[str, float]) -> Counts:
    """Count the words of every source once."""
    texts: dict[tuple[str, str, bool], list[str]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        recipe = load_recipe(ROOT / "tests" / "real" / "everything.toml", TABLES)
        recipe = recipe.model_copy(update={"output": scratch})
        for card, (lang, medical, source) in CARDS.items():
            texts[source or card, lang, medical] = [text for _, text in read_documents(recipe, card, MAX_CHARS)]
    with (DATA / "literature" / "csl_zh" / "cls_dcp_dev.tsv").open(encoding="utf-8", newline="") as lines:
        for row in csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE):  # task, abstract, discipline
            if row[2] not in CSL_BORDERLINE:
                texts.setdefault(("csl", "zh", row[2] in CSL_MEDICAL), []).append(row[1])
    return {key: count_words(of_source, given) for key, of_source in texts.items()}


def weights_without(source: str | None, counts: Counts, given: dict[str, float]) -> dict[str, float]:
    """Weigh the given terms by every source but one."""
    weights: dict[str, float] = {}
    for lang, trust in TRUST.items():
        known = {term: weight for term, weight in given.items() if (term >= "\u3400") == (lang == "zh")}
        seed, background = (
            [
                words
                for (name, of, medical), words in counts.items()
                if name != source and of == lang and medical == side
            ]
            for side in (True, False)
        )
        weighed = weigh(seed, background, known, smoothing=SMOOTHING, trust=trust)
        weights |= {term: weighed[term] for term in known}
    return weights


def fit_limits(rows: Sequence[dict[str, str]], found: NDArray[np.float64]) -> dict[str, float]:
    """Return the limit of each language that tells most passages right, every source and label counting the same.

    It is the middle of the best stretch, as in `onestage lexicon`; Chinese has one limit for all its scripts and ages.
    """
    limits = {}
    steps = np.arange(0.001, 0.15, 0.001)
    for lang in TRUST:
        groups: dict[bool, dict[str, list[float]]] = {True: {}, False: {}}
        for row, value in zip(rows, found, strict=True):
            if row["lang"] == lang:
                groups[row["label"] == "medical"].setdefault(row["source"], []).append(value)
        right = np.zeros(len(steps))
        for medical, of_source in groups.items():
            for values in of_source.values():
                above = (np.array(values)[:, None] >= steps).mean(axis=0)
                right += (above if medical else 1 - above) / len(of_source)
        limits[lang] = float(np.median(steps[right >= right.max() - 1e-9]))
    return {"lzh": limits["zh"], **limits}


def told_right(
    rows: Sequence[dict[str, str]], found: NDArray[np.float64], limits: dict[str, float]
) -> NDArray[np.bool_]:
    """Tell of N passages with their relevance whether each lands on the side of its label."""
    least = least_relevance([detect(row["text"]) for row in rows], limits)
    return (found >= least) == np.array([row["label"] == "medical" for row in rows])


def read_passages() -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """Read the labelled passages, and the probes written for the tests as one more source."""
    lines = (DATA / "nonmedical" / "domain_dev" / "labelled.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [row for row in map(json.loads, lines) if row["label"] != "borderline" and not row["suspect"]]
    probes = []
    for line in (ROOT / "tests" / "pipeline" / "domain_probes.tsv").read_text(encoding="utf-8").splitlines():
        label, lang, _, text = line.split("\t")
        probes.append({"label": label, "lang": lang.split("-")[0], "source": "probes", "text": text})
    return rows, probes


def main() -> None:
    """Print the table."""
    rows, probes = read_passages()
    texts = [row["text"] for row in (*rows, *probes)]
    given = terms_given()
    counts = count_sources(given)
    sources = sorted({(row["lang"], row["source"]) for row in rows}, reverse=True)
    columns = {name: np.zeros(len(rows), bool) for name in ("held out", "held out, probes beside the others")}
    limits_of: dict[str, list[float]] = {}
    for lang, source in sources:
        found = relevance(texts, lexicon_of(weights_without(source, counts, given)))
        held = np.array([row["source"] == source for row in rows])
        for right, more in zip(columns.values(), ([], probes), strict=True):
            others = [place for place, row in enumerate((*rows, *more)) if row["source"] != source]
            limits = fit_limits([(*rows, *more)[place] for place in others], found[others])
            limits_of.setdefault(source, []).append(limits[lang])
            right |= held & told_right(rows, found[: len(rows)], limits)
    shipped = relevance([row["text"] for row in rows], read_lexicons(LEXICONS))
    columns["filter as shipped"] = told_right(rows, shipped, FilterConfig().min_relevance)
    columns["select as shipped"] = told_right(rows, shipped, SelectConfig(languages=(), lexicons=()).min_relevance)
    print(f"| source | language | passages | limits without it | {' | '.join(columns)} |")
    print("|---|---|---|---|" + "---|" * len(columns))
    for lang, source in [*sources, *((lang, "") for lang in TRUST)]:
        of = np.array([row["source"] == source if source else row["lang"] == lang for row in rows])
        shares = " | ".join(f"{right[of].mean():.3f}" for right in columns.values())
        limits = ", ".join(f"{limit:.3f}" for limit in limits_of.get(source, ()))
        print(f"| {source or 'all'} | {lang} | {of.sum()} | {limits} | {shares} |")


if __name__ == "__main__":
    main()
