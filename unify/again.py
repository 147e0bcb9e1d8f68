"""Ask again what a person's rules name: the verdicts on pairs that [rewrite] regenerate points at.

A passage one of whose pairs, kept or rejected, a rule fits is asked again with its attempts counted from another
thousand, so that every request has another hash and another seed; what came before stays in the journal. Rules are
held against what the journal gives, so that the same rules lead to the same rows however often they are applied, and
passages that no rule fits keep theirs to the byte.
"""

import tomllib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from pipeline.recipe import Config, RecipeError, first_error
from unify.pair import Passage
from unify.request import Ask, RewriteConfig

CHECK = "asked_again"  # in `checks` of the rows that came of it: which round they are of
Row = Mapping[str, Any]
Rewrite = Callable[[Passage, RewriteConfig, Ask], Awaitable[list[dict[str, Any]]]]


class Rule(Config):
    """Which pairs to ask for again: those that all of its fields fit; at least one of the first five is given."""

    reason: str | None = Field(default=None, description="for which they were rejected")
    check: str | None = Field(default=None, description="a check whose value the row stores, such as support")
    style: str | None = None
    source: str | None = None
    id: str | None = Field(default=None, description="of a pair, a passage or a document")
    below: float | None = Field(default=None, description="with check: values that are less")
    above: float | None = Field(default=None, description="with check: values that are more")
    times: int = Field(default=1, ge=1, le=20, description="rounds at most, while the rule fits what came of the last")
    who: str = ""
    why: str = ""


def read_rules(paths: Sequence[Path]) -> tuple[Rule, ...]:
    """Read the rules of files: [[rule]] tables.

    Raises:
        RecipeError: a file is no TOML, or a rule names nothing or an unknown field.
    """
    rules: list[Rule] = []
    for path in paths:
        try:
            written = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise RecipeError(f"{path}: {error}, expected TOML") from None
        tables = written.get("rule")
        if set(written) != {"rule"} or not isinstance(tables, list):
            raise RecipeError(f"{path}: got {', '.join(sorted(written)) or 'nothing'}, expected [[rule]] tables alone")
        for number, table in enumerate(tables, start=1):
            try:
                rule = Rule(**table)
            except (ValidationError, TypeError) as error:
                told = first_error(error) if isinstance(error, ValidationError) else str(error)
                raise RecipeError(f"{path} rule {number}: {told}") from None
            if (rule.reason, rule.check, rule.style, rule.source, rule.id) == (None,) * 5:
                raise RecipeError(f"{path} rule {number}: got no field, expected reason, check, style, source or id")
            rules.append(rule)
    return tuple(rules)


def fits(rule: Rule, row: Row) -> bool:
    """Tell whether a rule fits an Example row with its drop columns."""
    passage_id = row["passage_id"] or ""
    return (
        rule.reason in (None, row["drop_reason"])
        and rule.style in (None, row["style"])
        and rule.source in (None, row["source"])
        and rule.id in (None, row["id"], passage_id, passage_id.rpartition("#")[0])
        and (
            rule.check is None
            or any(_says(rule, check["value"]) for check in row["checks"] if check["name"] == rule.check)
        )
    )


async def rewritten(
    passage: Passage, config: RewriteConfig, ask: Ask, rules: Sequence[Rule], rewrite: Rewrite
) -> list[dict[str, Any]]:
    """Rewrite a passage, and again while a rule fits what came of it."""
    rows = await rewrite(passage, config, ask)
    done = 0
    while any(done < rule.times and fits(rule, row) for rule in rules for row in rows):
        done += 1
        again = config.model_copy(update={"round": config.round + done})
        rows = [
            row | {"checks": [*row["checks"], {"name": CHECK, "value": str(done)}]}
            for row in await rewrite(passage, again, ask)
        ]
    return rows


def _says(rule: Rule, value: str) -> bool:
    try:
        number = float(value)
    except ValueError:
        return rule.below is None and rule.above is None
    return (rule.below is None or number < rule.below) and (rule.above is None or number > rule.above)
