"""What people write: recipes and source cards, read from TOML and validated before anything runs.

A stage's settings are its own Config (a subclass of `Config`, beside the stage); here is only what all share. Every
mistake is a RecipeError of one line that says what, where, got, expected.
"""

import datetime
import ipaddress
import socket
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, model_validator

Table = TypeVar("Table", bound="Config")


class RecipeError(Exception):
    """A person can mend this in a file: a recipe, a card, a path, or the service that it names."""


class Config(BaseModel):
    """A table of settings. Unknown keys are errors; it holds values and computes nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, protected_namespaces=())


class Checked(Config):
    """Who looked at a source's licence, when, and for what use."""

    by: str = Field(min_length=1)
    on: datetime.date
    scope: str = Field(min_length=1)


class SourceCard(Config):
    """One source of text or of ready-made pairs: data_cards/<name>.toml."""

    name: str
    origin: str = Field(min_length=1)
    licence: str = Field(min_length=1, description="SPDX identifier, or LicenseRef-… with evidence")
    evidence: str | None = None
    kind: Literal["web", "books", "encyclopedia", "literature", "guidelines", "sft", "general"]
    form: Literal["text", "pairs"] = "text"
    checked: Checked
    path: str = Field(min_length=1, description="file, folder, glob, or hub:owner/name[:config]; relative to the card")
    format: str | None = None
    fields: dict[str, str] = {}
    lang: Literal["zh-Hans", "zh-Hant", "lzh", "en", "und"] | None = None
    revision: str | None = None
    edition: str | None = None
    valid_until: datetime.date | None = None
    rows: int | None = Field(
        default=None, ge=1, description="pairs, as published; for `onestage schedule` before a run"
    )
    mean_tokens: float | None = Field(default=None, gt=0, description="of a pair, counted on a sample; likewise")
    egress: Literal["any", "local"] = "any"


class BudgetConfig(Config):
    """What rewriting may spend. Requests, tokens and money are totals of the model over the whole output folder."""

    max_requests: int | None = Field(default=None, ge=0)
    max_tokens: int | None = Field(default=None, ge=0, description="of prompts and outputs together")
    max_cost: float | None = Field(default=None, ge=0, description="by the prices below")
    input_price: float = Field(default=0.0, ge=0, description="of a million prompt tokens, in any currency")
    output_price: float = Field(default=0.0, ge=0, description="of a million output tokens")
    max_hours: float | None = Field(default=None, gt=0, description="of one run, from its first request")
    window: str | None = Field(
        default=None,
        pattern=r"^([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d$",
        description="when requests may be sent, such as 22:00-06:00, by the clock of this machine",
    )

    @model_validator(mode="after")
    def _prices_for_a_cost(self) -> Self:
        if self.max_cost is not None and not (self.input_price or self.output_price):
            raise ValueError("got max_cost without prices, expected input_price and output_price")
        return self


class RunConfig(Config):
    """Where and how a recipe runs. Never hashed, so that it may change between two runs of one recipe."""

    engine: Literal["processes", "ray"] = "processes"
    processes: int = Field(default=1, ge=1, description="worker processes of stages; ranks of training without a GPU")
    ray_address: str = Field(default="auto", description="of the Ray cluster; auto: the one this machine is a node of")
    base_urls: tuple[str, ...] = Field(
        default=(), description="OpenAI-compatible endpoints; none: serve the model here"
    )
    api_key_env: str = Field(default="OPENAI_API_KEY", description="environment variable that holds the key, if any")
    in_flight: PositiveInt | Literal["auto"] = Field(
        default="auto", description="passages being rewritten at one time; auto: more while that brings more tokens"
    )
    timeout: float = Field(default=300.0, gt=0, description="seconds a request may take")
    retries: int = Field(default=5, ge=0)
    max_outage: float = Field(default=600.0, gt=0, description="seconds without any server after which rewriting stops")
    budget: BudgetConfig = BudgetConfig()
    breaker_share: float = Field(
        default=0.5, gt=0, le=1, description="of the last 5,000 passages that may end alike, rejected; 1: any"
    )


class ServeConfig(Config):
    """How `onestage serve` starts a model server. Never hashed."""

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=1, le=65535)
    max_model_len: int = Field(default=2048, ge=128)
    max_num_seqs: int = Field(default=64, ge=1)
    replicas: PositiveInt | Literal["auto"] = Field(
        default="auto", description="servers; auto: as many as there are GPUs for, one without a GPU"
    )
    tensor_parallel: PositiveInt | Literal["auto"] = Field(
        default="auto", description="GPUs a server; auto: as few as the model fits"
    )
    dtype: str = "bfloat16"
    kv_cache_gib: int = Field(default=2, ge=1, description="CPU only")
    startup_timeout: float = Field(default=600.0, gt=0, description="seconds until the server must answer")
    environment: str = Field(default="../.venv-server", description="the server's own virtual environment")


class Recipe(Config):
    """A run: which sources, and each stage's table as written (stages validate their own)."""

    path: Path
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    sources: tuple[str, ...] = Field(min_length=1)
    cards: str = "../data_cards"
    output: str = "../data"
    seed: int = Field(default=0, ge=0)
    pilot: int | None = Field(default=None, ge=1, description="documents a source, chosen by hash")
    run: RunConfig = RunConfig()
    serve: ServeConfig = ServeConfig()
    tables: dict[str, dict[str, Any]] = {}

    @property
    def cards_folder(self) -> Path:
        """Where source cards are read, and generated cards written."""
        return self.resolve(self.cards)

    @property
    def output_folder(self) -> Path:
        """Where stages keep what they made."""
        return self.resolve(self.output)

    def resolve(self, path: str) -> Path:
        """Return a path of this recipe, which is relative to the recipe's file."""
        return (self.path.parent / Path(path).expanduser()).resolve()


def first_error(error: ValidationError) -> str:
    """Say in one line what is wrong with the first bad field of a table."""
    found = error.errors()[0]
    field = ".".join(str(part) for part in found["loc"])
    if found["type"] == "extra_forbidden":
        return f"{field}: unknown key"
    if found["type"] == "value_error":
        return f"{field}: {found['msg'].removeprefix('Value error, ')}"
    got = "nothing" if found["type"] == "missing" else repr(found["input"])
    return f"{field}: got {got}, expected {found['msg'].removeprefix('Input should be ')}"


def read_table(recipe: Recipe, name: str, config: type[Table], written: Mapping[str, Any] | None = None) -> Table:
    """Validate a table of a recipe with its Config.

    Args:
        written: what stands for the table where some of it is taken from elsewhere.

    Raises:
        RecipeError: an unknown key, a missing one, or a value out of range.
    """
    try:
        return config(**(recipe.tables.get(name, {}) if written is None else written))
    except ValidationError as error:
        raise RecipeError(f"{recipe.path} [{name}] {first_error(error)}") from None


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file, or say in one line why not."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RecipeError(f"{path}: no such file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, IsADirectoryError) as error:
        raise RecipeError(f"{path}: not TOML: {error}") from None


def load_recipe(path: str | Path, stage_names: tuple[str, ...]) -> Recipe:
    """Read a recipe; tables named in `stage_names` are kept as written for their stages to validate.

    Raises:
        RecipeError: the file is missing or no TOML, a key is unknown or its value out of range.
    """
    path = Path(path)
    written = read_toml(path)
    tables = {name: written.pop(name) for name in stage_names if name in written}
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise RecipeError(f"{path}: [{name}]: got {table!r}, expected a table")
    try:
        return Recipe(path=path.resolve(), tables=tables, **written)
    except (ValidationError, TypeError) as error:
        message = first_error(error) if isinstance(error, ValidationError) else str(error)
        raise RecipeError(f"{path}: {message}") from None


def load_card(folder: Path, name: str) -> SourceCard:
    """Read the card of one source.

    Raises:
        RecipeError: no such card, a field missing or wrong, or a validity that has ended.
    """
    path = folder / f"{name}.toml"
    written = read_toml(path)
    try:
        card = SourceCard(name=name, **written)
    except (ValidationError, TypeError) as error:
        message = first_error(error) if isinstance(error, ValidationError) else str(error)
        raise RecipeError(f"{path}: {message}") from None
    if card.licence.startswith("LicenseRef-") and not card.evidence:
        raise RecipeError(f"{path}: evidence: got nothing, expected where {card.licence} was read")
    if card.valid_until and card.valid_until < datetime.date.today():
        raise RecipeError(f"{path}: valid_until: got {card.valid_until}, expected a date not in the past")
    return card


def load_cards(recipe: Recipe) -> list[SourceCard]:
    """Read the cards of a recipe's sources, in the recipe's order."""
    if len(set(recipe.sources)) != len(recipe.sources):
        raise RecipeError(f"{recipe.path}: sources: got {list(recipe.sources)}, expected each source once")
    return [load_card(recipe.cards_folder, name) for name in recipe.sources]


def is_private(url: str) -> bool:
    """Tell whether every address behind a URL's host is loopback or private (RFC 1918, RFC 4193)."""
    host = urlsplit(url).hostname or ""
    try:
        addresses = {info[4][0] for info in socket.getaddrinfo(host, None)}
    except socket.gaierror:
        return False
    return bool(addresses) and all(ipaddress.ip_address(address).is_private for address in addresses)
