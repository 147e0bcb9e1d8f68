"""Render a recipe's data card: README.md, a Hugging Face dataset card, and index.html, to read its pairs.

Reads what figures.py counts and pairs.py chooses in the recipe's stage directories; writes
<cards folder>/<recipe>/. The same directories give the same bytes.
"""

import html
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import DatasetCardData
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from data_cards.figures import (
    FUNNEL,
    Passed,
    dropped_samples,
    funnel,
    mixture,
    pair_figures,
    passage_lengths,
    quantiles,
    training,
    unfinished,
)
from data_cards.pairs import chosen_pairs, sampled_pairs
from pipeline.lookup import Stages, ready_dirs, text_dirs
from pipeline.recipe import Recipe, SourceCard
from pipeline.shards import is_complete, read_manifest, write_atomically

SHOWN_PAIRS = 5000  # in index.html; of more, a sample by hash
PAGE_PAIRS = 500
SAMPLED_PAIRS = 24  # in README.md
DEMO_MODEL = "smollm2-135m"  # shows that the machinery runs, and is not fit to write training data
DROPPED_ROWS = 3  # shown for each drop reason
DROPPED_CHARS = 160
HUB_LANGUAGES = {"zh-Hans": "zh", "zh-Hant": "zh", "lzh": "lzh", "en": "en"}
HUB_SIZES = {1_000: "n<1K", 10_000: "1K<n<10K", 100_000: "10K<n<100K", 1_000_000: "100K<n<1M", 10_000_000: "1M<n<10M"}
# The hub's licence identifiers (hf.co/docs/hub/repositories-licenses) that are SPDX identifiers in lower case.
HUB_LICENCES = frozenset(
    (
        *("apache-2.0", "mit", "cc0-1.0", "unlicense", "bsd-2-clause", "bsd-3-clause", "mpl-2.0"),
        *("cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc-by-nd-4.0"),
        *("cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0"),
        *("cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0"),
    )
)


def render_cards(recipe: Recipe, stages: Stages, cards: Sequence[SourceCard]) -> Path:
    """Write <cards folder>/<recipe>/README.md, index.html and its further pages; return README.md.

    Args:
        stages: stage name -> its directories, as far as they exist. One that is not published yet is rendered from the
            parts that are finished, and the card is marked partial. Under "train", the folder with metrics.jsonl.
        cards: the source cards in the recipe's order.
    """
    home = recipe.cards_folder / recipe.name
    home.mkdir(parents=True, exist_ok=True)
    facts = _facts(recipe, home, stages, cards)
    write_atomically(home / "README.md", templates().get_template("README.md.jinja").render(facts))
    pairs, total = chosen_pairs(stages, SHOWN_PAIRS)
    pages = [pairs[start : start + PAGE_PAIRS] for start in range(0, len(pairs), PAGE_PAIRS)] or [[]]
    names = ["index.html", *(f"page-{number:04d}.html" for number in range(2, len(pages) + 1))]
    page = templates().get_template("index.html.jinja")
    for name, on_page in zip(names, pages, strict=True):
        shown = {"pairs": on_page, "num_shown": len(pairs), "num_pairs": total, "names": names, "name": name}
        write_atomically(home / name, page.render(facts | shown))
    for stale in set(home.glob("page-*.html")) - {home / name for name in names}:
        stale.unlink()
    return home / "README.md"


def templates() -> Environment:
    """Load the templates; every value is escaped for HTML, in README.md by `md` for Markdown, too."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    formats = {
        "md": markdown,
        "code": _code,
        "n": "{:,}".format,
        "pairs": _pairs,
        "share": _share,
        "shorten": shortened,
        "values": _values,
    }
    environment.filters.update(formats)
    environment.globals.update(marked=marked, headings=_headings, crossed=_crossed)
    return environment


def markdown(text: object) -> Markup:
    """Escape a text for one line of Markdown, table cells included: HTML, Markdown's own signs, and line breaks."""
    escaped = html.escape(str(text), quote=False)
    escaped = re.sub(r"[\\`*\[\]|~]|(?<![^\W_])_|_(?![^\W_])", lambda sign: "\\" + sign[0], escaped)
    escaped = escaped.replace("$", "&#36;")  # GitHub reads $…$ as mathematics
    escaped = re.sub(r"\s*[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]\s*", "<br>", escaped)
    return Markup(re.sub(r"[\x00-\x1f\x7f-\x9f]", " ", escaped))


def marked(text: str, spans: Sequence[Mapping[str, int]]) -> list[tuple[str, bool]]:
    """Cut a text into pieces, each with whether a span supports it; spans may overlap or reach past the end."""
    pieces, at = [], 0
    for span in sorted(spans, key=lambda span: (span["start"], span["end"])):
        start, end = max(at, span["start"]), min(len(text), span["end"])
        if start < end:
            pieces += [(text[at:start], False), (text[start:end], True)]
            at = end
    return [(piece, supports) for piece, supports in [*pieces, (text[at:], False)] if piece]


def shortened(text: str, most: int = DROPPED_CHARS) -> str:
    """Bring a text to one line of at most so many characters, and an ellipsis."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[:most].rstrip() + " …"


def hub_metadata(
    name: str, licences: Sequence[str], langs: Sequence[str], num_pairs: int, *, demonstration: bool
) -> str:
    """Return the YAML that the Hugging Face hub reads at the head of a dataset card."""
    ids = sorted({licence.lower() for licence in licences})
    known = len(ids) == 1 and ids[0] in HUB_LICENCES
    metadata = DatasetCardData(
        language=sorted({HUB_LANGUAGES[lang] for lang in langs if lang in HUB_LANGUAGES}) or None,
        license=ids[0] if known else "other",
        pretty_name=f"{name}, by onestage",
        task_categories=["text-generation", "question-answering"],
        size_categories=[next((size for most, size in HUB_SIZES.items() if num_pairs < most), "n>10M")],
        annotations_creators=["machine-generated"],
        tags=["onestage", "instruction-tuning", *(["demonstration"] if demonstration else [])],
    )
    if not known:
        metadata["license_name"] = re.sub(r"[^a-z0-9.-]", "-", ids[0]) if len(ids) == 1 else "several-see-sources"
    return str(metadata.to_yaml())


def _facts(recipe: Recipe, home: Path, stages: Stages, cards: Sequence[SourceCard]) -> dict[str, Any]:
    written = pair_figures(stages.get("rewrite", ()))
    ready = pair_figures(ready_dirs(stages))
    mixed = mixture(stages)
    rows = funnel(stages)
    trained = training(stages)
    lengths = {
        "passages, characters": passage_lengths(text_dirs(stages)),
        "questions from passages, characters": written.questions,
        "answers from passages, characters": written.answers,
        "questions of ready-made pairs, characters": ready.questions,
        "answers of ready-made pairs, characters": ready.answers,
        "examples, tokens": mixed.lengths,
    }
    langs = sorted(written.langs | ready.langs)
    licences = [card.licence for card in cards]
    settings = _settings(stages.get("rewrite", ()))
    named = settings.get("model") or recipe.tables.get("rewrite", {}).get("model")
    writer = str(named or next((model for _, model, _ in sorted(written.made_by)), "a model"))
    demonstration = DEMO_MODEL in writer.lower()
    metadata = hub_metadata(recipe.name, licences, langs, written.pairs + ready.pairs, demonstration=demonstration)
    return {
        "metadata": Markup(metadata),
        "recipe": recipe,
        "recipe_file": f"{recipe.path.parent.name}/{recipe.path.name}",
        "writer": writer,
        "demonstration": demonstration,
        "unfinished": unfinished(stages),
        "cards": cards,
        "licences": {card.name: card.licence for card in cards},
        "units": FUNNEL,
        "funnel": rows,
        "dropped": {stage: dropped_samples(stages[stage], DROPPED_ROWS) for stage in rows},
        "written": written,
        "ready": ready,
        "lengths": {name: quantiles(counts) for name, counts in lengths.items() if counts},
        "samples": sampled_pairs(stages, SAMPLED_PAIRS),
        "mixture": mixed,
        "training": trained,
        "exported": os.path.relpath(trained.exported, home) if trained and trained.exported else None,
        "directories": _directories(stages, home),
        "writer_settings": settings,
    }


def _directories(stages: Stages, home: Path) -> list[tuple[str, str]]:
    """List stages and their directories as seen from the card, in the order of the line."""
    return [(stage, os.path.relpath(folder, home)) for stage in (*FUNNEL, "train") for folder in stages.get(stage, ())]


def _settings(directories: Sequence[Path]) -> dict[str, Any]:
    return {
        key: value
        for folder in directories
        if is_complete(folder)
        for key, value in read_manifest(folder)["settings"].items()
    }


def _headings(passage: Mapping[str, Any]) -> list[str]:
    """List a passage's title and the headings over it, from outside in, each once."""
    return list(dict.fromkeys(heading for heading in [passage["title"], *passage["headings"]] if heading))


def _crossed(passed: Passed | None) -> str:
    """Say how many rows went into a stage and how many came out."""
    if passed is None:
        return "–"
    out = f"{passed.rows_out:,}"
    return out if passed.rows_in in (None, passed.rows_out) else f"{passed.rows_in:,} → {out}"


def _code(text: str) -> Markup:
    """Let a text stand in a fenced block, where nothing but the fence itself needs escaping."""
    return Markup(text.replace("`", "'").replace("\n", " "))


def _pairs(count: int) -> str:
    return f"{count:,} pair{'' if count == 1 else 's'}"


def _share(count: int, whole: int) -> str:
    return f"{count / whole:.1%}" if whole else "–"


def _values(counts: Mapping[str, int] | None) -> str:
    """Say what values a check gave: numbers by range and median, others by how often."""
    if not counts:
        return "–"
    try:
        numbers = quantiles({float(value): count for value, count in counts.items()})
    except ValueError:
        numbers = None
    if numbers and len(counts) > 2:
        return f"{numbers[0]:g} to {numbers[3]:g}, median {numbers[1]:g}"
    most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    rest = sum(count for _, count in most[4:])
    return ", ".join([*(f"{value}: {count:,}" for value, count in most[:4]), *([f"others: {rest:,}"] if rest else [])])
