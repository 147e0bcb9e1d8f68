"""Find the files of a source: what the `path` of its card means.

    file, folder, glob          on this machine, relative to the card; hidden files are left out
    *.urls                      a text file with an address a line: http(s), file, or any that fsspec knows
    s3://... gs://... https://  a file, a folder or a glob there, through fsspec
    hub:owner/name[:config]     a data set of the Hugging Face hub: it has no files here (readers/tables.py)

What is not on this machine is fetched once, into data/cache/remote, and read from there ever after; its content, not
its address, enters the stage's key. An address that answers that it has nothing, or more than `max_fetched_bytes`, is
a refused file; one that does not answer stops the run.
"""

import glob as globbing
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import aiohttp
from fsspec.core import url_to_fs

from pipeline.readers.items import Refused, one_line
from pipeline.recipe import RecipeError, SourceCard
from pipeline.records import text_hash

_FETCHES = 8  # at one time
_CHUNK = 1 << 20
_PATIENCE = aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=120)


@dataclass(frozen=True)
class SourceFile:
    """One input file.

    Attributes:
        name: what its ids begin with, behind the source: its path below the card's folder without glob, or its address.
        path: where it lies on this machine; None when it is refused.
        url: where it was fetched from.
    """

    name: str
    path: Path | None
    url: str | None = None
    refused: Refused | None = None


def is_hub(card: SourceCard) -> bool:
    """Tell whether a card names a data set of the hub."""
    return card.path.startswith("hub:")


def source_files(card: SourceCard, cards_folder: Path, cache: Path, max_fetched_bytes: int) -> list[SourceFile]:
    """List a card's files, sorted by name; those of a list of addresses in its order. None for a hub data set.

    Raises:
        RecipeError: nothing is there, or a place does not answer.
    """
    if is_hub(card):
        return []
    if "://" in card.path:
        return _fetched(_remote_files(card, card.path), cache / "remote" / card.name, max_fetched_bytes)
    root, pattern = _root_and_pattern(card, cards_folder)
    place = _place(card, cards_folder)
    if place.suffix == ".urls" and place.is_file():
        return _fetched(_listed(card, place), cache / "remote" / card.name, max_fetched_bytes)
    found: Iterable[Path]
    if pattern:
        found = (root / name for name in globbing.iglob(pattern, root_dir=root, recursive=True))
    else:
        found = [place] if place.is_file() else place.rglob("*")
    names = sorted(path.relative_to(root).as_posix() for path in found if path.is_file() and not _hidden(path, root))
    if not names:
        raise RecipeError(f"card {card.name}: path: got {card.path!r}, expected files under {root}")
    return [SourceFile(name, root / name) for name in names]


def _place(card: SourceCard, cards_folder: Path) -> Path:
    return Path(os.path.abspath(cards_folder / Path(card.path).expanduser()))


def _root_and_pattern(card: SourceCard, cards_folder: Path) -> tuple[Path, str | None]:
    """Split a card's path into the folder that names are relative to, and the glob below it."""
    parts = Path(card.path).expanduser().parts
    plain = next((index for index, part in enumerate(parts) if globbing.has_magic(part)), None)
    if plain is not None:
        return Path(os.path.abspath(cards_folder.joinpath(*parts[:plain]))), str(Path(*parts[plain:]))
    place = _place(card, cards_folder)
    return (place if place.is_dir() else place.parent), None


def _hidden(path: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(root).parts)


def _listed(card: SourceCard, listing: Path) -> list[str]:
    lines = (line.strip() for line in listing.read_text(encoding="utf-8-sig").splitlines())
    urls = list(dict.fromkeys(line for line in lines if line and not line.startswith("#")))
    for url in urls:
        if "://" not in url:
            raise RecipeError(f"card {card.name}: {listing}: got {url[:200]!r}, expected an address with ://")
    if not urls:
        raise RecipeError(f"card {card.name}: {listing}: got no address, expected one a line")
    return urls


def _remote_files(card: SourceCard, url: str) -> list[str]:
    """List the addresses of the files that a folder or glob elsewhere stands for."""
    if url.startswith(("http://", "https://")):
        return [url]  # what a web server calls a folder is a page
    try:
        files, path = _file_system(url)
        names = files.glob(path) if globbing.has_magic(path) else files.find(path)
        urls = sorted(files.unstrip_protocol(name) for name in names if not files.isdir(name))
    except Exception as error:  # every file system has errors of its own
        raise RecipeError(f"card {card.name}: path: {url}: {one_line(repr(error))[:300]}") from None
    if not urls:
        raise RecipeError(f"card {card.name}: path: got {url!r}, expected files there")
    return urls


def _fetched(urls: list[str], cache: Path, max_bytes: int) -> list[SourceFile]:
    with ThreadPoolExecutor(_FETCHES) as pool:
        return list(pool.map(lambda url: _fetch(url, cache, max_bytes), urls))


def _fetch(url: str, cache: Path, max_bytes: int) -> SourceFile:
    parts = urlsplit(url)
    name = unquote(parts.netloc + parts.path).strip("/") + (f"?{parts.query}" if parts.query else "")
    folder = cache / text_hash(url, digits=32)
    path, refusal = folder / "content", folder / "refused.json"
    if not folder.is_dir():
        fresh = folder.with_suffix(".tmp")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        try:
            with (fresh / "content").open("wb") as file:
                for chunk in _download(url, max_bytes):
                    file.write(chunk)
        except Refused as refused:
            (fresh / "content").unlink()
            (fresh / "refused.json").write_text(json.dumps([refused.reason, refused.detail]))
        fresh.rename(folder)
    if refusal.exists():
        return SourceFile(name, None, url, Refused(*json.loads(refusal.read_text())))
    return SourceFile(name, path, url)


def _download(url: str, max_bytes: int) -> Iterator[bytes]:
    size = 0
    try:
        files, path = _file_system(url)
        options = {"block_size": 0} if _is_http(url) else {}  # as a stream, without asking for ranges
        with files.open(path, "rb", **options) as remote:
            while chunk := remote.read(_CHUNK):
                size += len(chunk)
                if size > max_bytes:
                    raise Refused("too_large", f"more than collect.max_fetched_bytes = {max_bytes}")
                yield chunk
    except Refused:
        raise
    except Exception as error:  # every file system has errors of its own
        status = getattr(error, "status", 0)
        absent = isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError)
        absent = absent and not isinstance(error.__cause__, aiohttp.ClientConnectionError | TimeoutError)
        if absent or (400 <= status < 500 and status not in (408, 429)):
            raise Refused("unreachable", one_line(str(error))[:200] or type(error).__name__) from None
        raise RecipeError(f"{url}: not fetched, run again: {one_line(repr(error))[:300]}") from None


def _file_system(url: str) -> tuple[Any, str]:
    if "::" in url:
        raise RecipeError(f"{url}: got a chain of file systems, expected one")
    options = {"client_kwargs": {"timeout": _PATIENCE}} if _is_http(url) else {}
    files, path = url_to_fs(url, **options)
    return files, str(path)


def _is_http(url: str) -> bool:
    return url.startswith(("http://", "https://"))
