"""Explain a pair back to its licence, and trace a document forward to its training steps.

Reads a recipe's stage directories through lookup.py, and training's metrics; returns reports of text, writes nothing.
"""

import json
from collections.abc import Callable, Iterable, Sequence

import pyarrow.parquet as pq

from pipeline.lookup import (
    Found,
    Row,
    Stages,
    find_document,
    find_pair,
    find_passage,
    one_of,
    pairs_of,
    parts,
    passages_of,
    rows_where,
)
from pipeline.recipe import Recipe, RecipeError, SourceCard
from pipeline.shards import ContractError

Line = tuple[str, str]  # label and text; a label said once holds for the lines below it
MARGIN = 11  # columns of a report's labels
SHOWN_CHARS = 100  # of a text where a line of it is shown
ROWS_AT_A_TIME = 1024


def explain(
    recipe: Recipe,
    stages: Stages,
    cards: Sequence[SourceCard],
    id: str,
    *,
    clean: Callable[[str, str], str],
    batch_rows: int,
) -> str:
    """Tell where a pair comes from and where it stands in training; of a passage or document, its origin.

    Args:
        clean: what the clean stage makes of a text in a language under this recipe.
        batch_rows: packed rows of one optimizer step.

    Raises:
        RecipeError: no such id in the recipe's stages.
        ContractError: the document's text at the passage's span, put through clean, is not the passage.
    """
    if pair := find_pair(stages, id):
        return _report([*_pair_lines(stages, cards, pair, clean), *_training_lines(stages, pair, batch_rows)])
    if passage := find_passage(stages, id):
        pairs = [("pair", _standing(pair)) for pair in pairs_of(stages, [id], within=id)]
        lines = [*_source_lines(cards, passage.source), *_passage_lines(stages, passage, clean)]
        return _report([("passage", _standing(passage)), *lines, *(pairs or [("pair", "none")])])
    if document := find_document(stages, id):
        more = ("next", f"onestage trace {recipe.path.name} {id!r} lists its passages, pairs and rows")
        standing = ("document", _standing(document))
        return _report([standing, *_document_lines(document)[1:], *_source_lines(cards, document.source), more])
    raise _unknown(recipe, id)


def trace(recipe: Recipe, stages: Stages, id: str, *, batch_rows: int) -> str:
    """List what came of a document: its passages, their pairs, packed rows and steps. Of a passage or a pair, likewise.

    Args:
        batch_rows: packed rows of one optimizer step.

    Raises:
        RecipeError: no such id in the recipe's stages.
    """
    lines: list[Line] = []
    passages: list[Found] = []
    if document := find_document(stages, id):
        passages = passages_of(stages, id)
        lines = [("document", _standing(document)), *_document_lines(document)[1:]]
    elif passage := find_passage(stages, id):
        passages = [passage]
    pairs = pairs_of(stages, [passage.id for passage in passages], within=id)
    if not lines and not passages:
        if not (pair := find_pair(stages, id)):
            raise _unknown(recipe, id)
        pairs = [pair]
    if passages:
        lines.append(("passages", _kept_of(passages)))
        lines += [("", f"{_standing(passage)}\n    {_shown((passage.row or {}).get('text'))}") for passage in passages]
    lines.append(("pairs", _kept_of(pairs)))
    places = training_places(stages, [pair.id for pair in pairs], batch_rows)
    for pair in pairs:
        below = [_shown(_asked(pair.row)), *places[pair.id]]
        lines.append(("", "\n    ".join([_standing(pair), *below])))
    return _report(lines)


def training_places(stages: Stages, ids: Sequence[str], batch_rows: int) -> dict[str, list[str]]:
    """Say for each example where it stands in the training order and in the packed rows, once for each epoch."""
    positions = {
        (row["example_id"], row["epoch"]): row["position"]
        for row in rows_where(parts(stages.get("prioritize", ())), "example_id", one_of(ids))
    }
    places: dict[str, list[str]] = {id: [] for id in ids}
    if not stages.get("pack"):
        for (id, epoch), position in sorted(positions.items(), key=lambda item: item[1]):
            places[id].append(f"epoch {epoch}, position {position}: not packed yet")
        return places
    last = _last_step(stages)
    for split, row, id, epoch in _packed(stages, set(ids)):
        if (position := positions.get((id, epoch))) is None or split != "train":
            places[id].append(f"{split} row {row}: no step is taken on it")
            continue
        step = row // batch_rows + 1
        ended = f"; training ended at step {last}" if last is not None and last < step else ""
        places[id].append(f"epoch {epoch}, position {position}: packed row {row}, optimizer step {step}{ended}")
    return places


def _packed(stages: Stages, wanted: set[str]) -> Iterable[tuple[str, int, str, int]]:
    """Yield split, row number within the split (from 0), example id and epoch of the wanted examples."""
    seen: dict[str, int] = {}
    for part in parts(stages.get("pack", ())):
        with pq.ParquetFile(part) as file:
            for batch in file.iter_batches(ROWS_AT_A_TIME, columns=["split", "example_ids", "epochs"]):
                columns = (batch[name].to_pylist() for name in ("split", "example_ids", "epochs"))
                for split, ids, epochs in zip(*columns, strict=True):
                    row = seen[split] = seen.get(split, -1) + 1
                    if not wanted.isdisjoint(ids):
                        yield from (
                            (split, row, id, epoch) for id, epoch in zip(ids, epochs, strict=True) if id in wanted
                        )


def _last_step(stages: Stages) -> int | None:
    """Return the last optimizer step that training wrote down."""
    steps = [
        json.loads(line)["step"]
        for directory in stages.get("train", ())
        if (directory / "metrics.jsonl").is_file()
        for line in (directory / "metrics.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
        if line.endswith("\n")
    ]
    return max(steps, default=None)


def _pair_lines(
    stages: Stages, cards: Sequence[SourceCard], pair: Found, clean: Callable[[str, str], str]
) -> list[Line]:
    lines = [("pair", _standing(pair)), *_source_lines(cards, pair.source)]
    if pair.row is None:
        return [*lines, ("row", "not among the dropped rows that are stored whole")]
    passage = find_passage(stages, pair.row["passage_id"]) if pair.row["passage_id"] else None
    if pair.row["passage_id"] and passage is None:
        raise ContractError(f"{pair.id}: passage {pair.row['passage_id']}: not found, expected a passage of dedup")
    lines += _passage_lines(stages, passage, clean) if passage else [("passage", "none: the pair is ready-made")]
    lines.append(("style", pair.row["style"] or "none: dropped before one was chosen"))
    made = [
        ("made by", f"{made['step']}: model {made['model']}, prompt {made['prompt']}, request {made['request']}")
        for made in pair.row["made_by"]
    ]
    lines += made or [("made by", "no model call")]
    lines += [("checks", f"{check['name']}: {check['value']}") for check in pair.row["checks"]]
    lines += [
        ("messages", f"{message['role']}{' (loss)' if message['loss'] else ''}: {message['content']}")
        for message in pair.row["messages"]
    ]
    text = passage.row["text"] if passage and passage.row else ""
    return lines + [
        ("support", f"{span['start']}–{span['end']} of the passage: {text[span['start'] : span['end']]}")
        for span in pair.row["support"]
    ]


def _passage_lines(stages: Stages, passage: Found, clean: Callable[[str, str], str]) -> list[Line]:
    if passage.row is None:
        return [("passage", f"{passage.id}: not among the dropped rows that are stored whole")]
    row = passage.row
    document = find_document(stages, row["document_id"])
    if document is None or document.row is None:
        raise ContractError(
            f"{passage.id}: document {row['document_id']}: no stored text, expected a document of collect"
        )
    lines = _document_lines(document)
    where = f"characters {row['start']}–{row['end']} of the document"
    where += f", page {row['page']}" if row["page"] is not None else ", no page"
    lines.append(("passage", f"{passage.id}\n{where}"))
    if row["headings"]:
        lines.append(("", "under " + " > ".join(row["headings"])))
    if passage.stage == "segment" or (passage.stage == "clean" and passage.reason):
        return [*lines, ("", f"not verified: {_outcome(passage)}"), ("", row["text"])]
    cleaned = clean(document.row["text"][row["start"] : row["end"]], document.row["lang"])
    if cleaned != row["text"]:
        at = _first_difference(cleaned, row["text"])
        raise ContractError(
            f"{passage.id}: got {row['text'][at : at + 20]!r} at character {at}, expected {cleaned[at : at + 20]!r}: "
            f"the text of {document.id} at {row['start']}–{row['end']}, put through clean"
        )
    return [*lines, ("", "verified: the document's text there, put through clean, is this passage"), ("", row["text"])]


def _first_difference(one: str, other: str) -> int:
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _document_lines(document: Found) -> list[Line]:
    row = document.row or {}
    facts = [f"{name} {row[name]}" for name in ("title", "url", "edition", "published", "lang") if row.get(name)]
    return [("document", document.id), *([("", ", ".join(facts))] if facts else [])]


def _source_lines(cards: Sequence[SourceCard], source: str) -> list[Line]:
    card = next((card for card in cards if card.name == source), None)
    if card is None:
        return [("source", f"{source}: not a source of this recipe any more")]
    evidence = f" ({card.evidence})" if card.evidence else ""
    edition = f", edition {card.edition}" if card.edition else ""
    return [
        ("source", f"{card.name} ({card.kind}{edition})"),
        ("origin", card.origin),
        ("licence", f"{card.licence}{evidence}"),
        ("checked", f"by {card.checked.by} on {card.checked.on}, for {card.checked.scope}"),
    ]


def _training_lines(stages: Stages, pair: Found, batch_rows: int) -> list[Line]:
    if pair.reason:
        return [("training", f"never: {_outcome(pair)}")]
    if pair.stage != "mix" or pair.row is None:
        return [("training", "not mixed yet")]
    places = training_places(stages, [pair.id], batch_rows)[pair.id]
    none = "no place: not in the packed rows" if stages.get("pack") else "no place yet"
    return [("split", pair.row["split"]), *(("training", place) for place in places or [none])]


def _outcome(found: Found) -> str:
    detail = f" ({found.detail})" if found.detail else ""
    return f"dropped by {found.stage}: {found.reason}{detail}" if found.reason else f"kept by {found.stage}"


def _standing(found: Found) -> str:
    return f"{found.id}: {_outcome(found)}"


def _kept_of(rows: Sequence[Found]) -> str:
    return f"{sum(not row.reason for row in rows)} kept of {len(rows)}"


def _asked(row: Row | None) -> str | None:
    users = [message["content"] for message in (row or {}).get("messages", ()) if message["role"] == "user"]
    return f"{row['style']}: {users[0]}" if row and users else None


def _shown(text: str | None) -> str:
    """Show the beginning of a text on one line."""
    if text is None:
        return "(text not stored)"
    line = " ".join(text.split())
    return line if len(line) <= SHOWN_CHARS else line[:SHOWN_CHARS] + " …"


def _unknown(recipe: Recipe, id: str) -> RecipeError:
    return RecipeError(f"{recipe.path}: id: got {id!r}, expected a pair, passage or document of this recipe")


def _report(lines: Sequence[Line]) -> str:
    """Set labels in a left margin, a repeated one only once, and indent what belongs to them."""
    written, said = [], ""
    for label, text in lines:
        margin = label if label != said else ""
        written.append(f"{margin:<{MARGIN}}" + text.replace("\n", "\n" + " " * MARGIN))
        said = label or said
    return "\n".join(line.rstrip() for line in "\n".join(written).split("\n")) + "\n"
