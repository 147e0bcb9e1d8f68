"""The [prioritize] table, and what it makes of counted rows: groups, how often each is used, and by which law.

A group is a kind; or a source, or a style, that the table names. Every order is the one law (law.py) with other
priorities: those of the table, none, those that begin as temperature mixing does, or stage after stage.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field, model_validator

from pipeline.recipe import Config, RecipeError
from pipeline.records import KINDS
from sampling.law import Law

PAPER = {"web": 32.0, "literature": 16.0, "encyclopedia": 8.0, "books": 4.0, "sft": 1.0, "general": 1.0}  # its code


class PrioritizeConfig(Config):
    """How early and how often rows are used, by kind; a source or a style that is named is a kind of its own."""

    order: Literal["priority", "uniform", "temperature", "stages"] = Field(
        default="priority",
        description="uniform: all priorities equal; temperature: those with which a group of n slots begins with a "
        "share in proportion to n^(1/temperature); stages: one after another, evenly mixed within",
    )
    priority: dict[str, Annotated[float, Field(gt=0, allow_inf_nan=False)]] = Field(
        default={**PAPER, "guidelines": 8.0}, description="how early, never how much"
    )
    epochs: dict[str, Annotated[int, Field(ge=1)]] = Field(default={}, description="how often; 1 where nothing is said")
    tokens: int | None = Field(
        default=None,
        ge=1,
        description="scale all epochs alike, so that the order has so many tokens; None: as they are",
    )
    temperature: float = Field(default=5.0, gt=0, description="1: uniform; 5 as in arXiv:1907.05019")
    stages: tuple[tuple[str, ...], ...] = Field(default=(), description='such as [["raw"], ["web", "books", "sft"]]')
    seed: int = Field(default=0, ge=0, description="filled from the recipe")

    @model_validator(mode="after")
    def _stages_for_stages(self) -> Self:
        if (self.order == "stages") != bool(self.stages):
            raise ValueError(
                f'got order "{self.order}" and {len(self.stages)} stages, expected stages with order "stages"'
            )
        names = [name for stage in self.stages for name in stage]
        if len(set(names)) != len(names):
            raise ValueError(f"got stages {[list(stage) for stage in self.stages]}, expected each name once")
        return self


class Origin(NamedTuple):
    """What an order knows of a row."""

    kind: str
    source: str
    style: str


def origins_of(rows: pa.Table) -> list[Origin]:
    """Read the origin of each row of a table with the columns of Origin."""
    return [Origin(*row) for row in zip(*(rows[name].to_pylist() for name in Origin._fields), strict=True)]


@dataclass(frozen=True)
class Plan:
    """K groups of rows, each used in whole permutations until its slots are full."""

    names: tuple[str, ...]
    group_of: Mapping[Origin, int]
    rows_K: NDArray[np.int64]
    tokens_K: NDArray[np.float64]  # of a row, on average; not a number where nothing is known
    law: Law


def plan_order(
    rows: Mapping[Origin, int], config: PrioritizeConfig, tokens: Mapping[Origin, float] | None = None
) -> Plan:
    """Say in which groups rows of these origins come, how many slots each group has, and by which law they come.

    Args:
        tokens: of all rows of an origin together, needed where the table has a budget of tokens.

    Raises:
        RecipeError: a name is no kind and no source or style with rows here; a group has no priority or no stage.
    """
    named = {*config.priority, *config.epochs, *(name for stage in config.stages for name in stage)} - set(KINDS)
    known = {name for origin in rows for name in (origin.source, origin.style)}
    if unknown := sorted(named - known):
        expected = f"a kind ({', '.join(KINDS)}), a source or a style ({', '.join(sorted(known))})"
        raise RecipeError(f"[prioritize] got {unknown[0]}, expected {expected}")
    name_of = {origin: _name(origin, named) for origin in rows}
    names = tuple(sorted(set(name_of.values()), key=lambda name: (name in named, name)))
    group_of = {origin: names.index(name) for origin, name in name_of.items()}
    rows_K, tokens_K, epochs_K = (np.zeros(len(names)) for _ in range(3))
    for origin, count in rows.items():
        rows_K[group_of[origin]] += count
        tokens_K[group_of[origin]] += tokens.get(origin, np.nan) if tokens is not None else np.nan
        epochs_K[group_of[origin]] = _said(config.epochs, names[group_of[origin]], origin) or 1
    slots_K = rows_K * epochs_K
    tokens_K /= np.maximum(rows_K, 1)
    if config.tokens is not None and len(names):
        if np.isnan(tokens_K).any():
            raise RecipeError(
                "[prioritize] tokens: got a budget, expected rows that are encoded, whose tokens are known"
            )
        slots_K = np.rint(slots_K * config.tokens / (slots_K * tokens_K).sum())
    law = _law(slots_K.astype(np.int64), names, {group: origin for origin, group in group_of.items()}, config)
    return Plan(names, group_of, rows_K.astype(np.int64), tokens_K, law)


def _name(origin: Origin, named: set[str]) -> str:
    return next((name for name in (origin.style, origin.source) if name in named), origin.kind)


def _said(table: Mapping[str, float], name: str, origin: Origin) -> float | None:
    """Look a group up by its name, or else by its kind."""
    return table.get(name, table.get(origin.kind))


def _law(
    slots_K: NDArray[np.int64], names: Sequence[str], origin_of: Mapping[int, Origin], config: PrioritizeConfig
) -> Law:
    priority_K, stage_K = np.ones(len(names)), np.zeros(len(names), np.int64)
    if config.order == "temperature":
        # The first slot of n is drawn in proportion to n^(1/temperature), as in mixing with replacement.
        priority_K = np.maximum(slots_K, 1).astype(np.float64) ** (1 / config.temperature - 1)
    elif config.order == "priority":
        for group, name in enumerate(names):
            given = _said(config.priority, name, origin_of[group])
            if given is None:
                raise RecipeError(f"[prioritize] priority: got nothing for {name}, expected a number")
            priority_K[group] = given
    elif config.order == "stages":
        stages = {name: number for number, stage in enumerate(config.stages) for name in stage}
        for group, name in enumerate(names):
            stage = _said(stages, name, origin_of[group])
            if stage is None:
                raise RecipeError(f"[prioritize] stages: got no stage for {name}, expected each name in one")
            stage_K[group] = stage
    return Law(slots_K, priority_K, stage_K)
