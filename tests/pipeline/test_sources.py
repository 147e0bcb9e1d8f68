import gzip
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fsspec
import pytest

from pipeline.recipe import RecipeError, SourceCard
from pipeline.sources import SourceFile, source_files

LIMIT = 1000


def card(path: str) -> SourceCard:
    checked = {"by": "tests", "on": "2026-11-20", "scope": "tests"}
    written = {"name": "source", "origin": "tests", "licence": "CC0-1.0", "kind": "web", "checked": checked}
    return SourceCard.model_validate({**written, "path": path})


def found(path: str, folder: Path) -> list[SourceFile]:
    return source_files(card(path), folder, folder / "cache", LIMIT)


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "a.txt").write_text("one")
    (tmp_path / "site" / "long.txt").write_text("x" * (LIMIT + 1))
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(tmp_path / "site")))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_files_are_found_by_file_folder_and_glob(tmp_path: Path) -> None:
    for name in ("a.txt", "deep/b.txt", "deep/c.md", ".hidden.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("text")
    assert [file.name for file in found("a.txt", tmp_path)] == ["a.txt"]
    assert [file.name for file in found(".", tmp_path)] == ["a.txt", "deep/b.txt", "deep/c.md"]
    assert [file.name for file in found("**/*.txt", tmp_path)] == ["a.txt", "deep/b.txt"]
    with pytest.raises(RecipeError, match="path: got 'none/\\*', expected files under"):
        found("none/*", tmp_path)


def test_a_list_of_addresses_is_fetched_once(site: str, tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_text("two")
    lines = [f"{site}/a.txt", "# a note", "", f"{site}/none.txt", f"{site}/long.txt", (tmp_path / "b.txt").as_uri()]
    (tmp_path / "list.urls").write_text("\n".join([*lines, lines[0]]))
    for _ in range(2):
        files = found("list.urls", tmp_path)
        assert [file.path and file.path.read_text() for file in files] == ["one", None, None, "two"]
        assert [file.refused and file.refused.reason for file in files] == [None, "unreachable", "too_large", None]
        assert [file.url for file in files] == [line for line in lines if "://" in line]
        assert files[0].name == f"{site.removeprefix('http://')}/a.txt"
        (tmp_path / "site" / "a.txt").write_text("changed, and not fetched again")


def test_a_place_that_does_not_answer_stops_the_run(tmp_path: Path) -> None:
    (tmp_path / "list.urls").write_text("http://127.0.0.1:9/a.txt\n")
    with pytest.raises(RecipeError, match=r"127\.0\.0\.1:9/a\.txt: not fetched, run again"):
        found("list.urls", tmp_path)
    (tmp_path / "list.urls").write_text("a.txt\n")
    with pytest.raises(RecipeError, match=r"got 'a\.txt', expected an address"):
        found("list.urls", tmp_path)


def test_any_file_system_is_read(tmp_path: Path) -> None:
    files = fsspec.filesystem("memory")
    for name, data in (
        ("/books/a.txt", b"one"),
        ("/books/deep/b.txt.gz", gzip.compress(b"two")),
        ("/books/c.md", b"c"),
    ):
        files.pipe(name, data)
    try:
        assert [file.name for file in found("memory://books", tmp_path)] == [
            "books/a.txt",
            "books/c.md",
            "books/deep/b.txt.gz",
        ]
        assert [file.path and file.path.read_bytes() for file in found("memory://books/*.txt", tmp_path)] == [b"one"]
        for path in ("memory://nothing", "nosuch://a/b", "simplecache::memory://books"):
            with pytest.raises(RecipeError, match=path.partition(":")[0]):
                found(path, tmp_path)
    finally:
        files.rm("/books", recursive=True)
