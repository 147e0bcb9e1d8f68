"""The journal: every received response by request hash, in one SQLite file, so that a rerun never pays twice.

A response is committed, and synced to the disk, before anyone sees it; responses that arrive together share a commit.
One process owns the file, on a local disk: SQLite's locks and its write-ahead log do not hold on a network one.
"""

import asyncio
import fcntl
import json
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import asdict
from pathlib import Path

from pipeline.recipe import RecipeError
from unify.request import Ask, Request, Response, request_hash

VERSION = 2  # of the table; version 1 had no column `about`
_NETWORK = """
    nfs nfs4 cifs smb3 smbfs 9p afs ceph fuse.ceph glusterfs fuse.glusterfs lustre beegfs gpfs ocfs2 pvfs2 orangefs
    fuse.sshfs fuse.s3fs fuse.rclone fuse.juicefs fuse.gcsfuse fuse.blobfuse2
"""
NETWORK_FILESYSTEMS = frozenset(_NETWORK.split())
TABLE = """CREATE TABLE IF NOT EXISTS responses (
    hash TEXT PRIMARY KEY, texts TEXT NOT NULL, finish_reasons TEXT NOT NULL, fingerprint TEXT NOT NULL,
    prompt_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, received REAL NOT NULL,
    about TEXT NOT NULL DEFAULT '') WITHOUT ROWID"""


class Journal:
    """The open file. What `find` returns is on the disk; `keep` returns once its response is."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._waiting: asyncio.Queue[tuple[str, Response, str, asyncio.Future[None]]] = asyncio.Queue()

    def find(self, name: str) -> Response | None:
        """Look up the response to the request of a hash."""
        columns = "texts, finish_reasons, fingerprint, prompt_tokens, output_tokens"
        row = self._database.execute(f"SELECT {columns} FROM responses WHERE hash = ?", (name,)).fetchone()
        return Response(tuple(json.loads(row[0])), tuple(json.loads(row[1])), *row[2:]) if row else None

    async def keep(self, name: str, response: Response, about: str) -> None:
        """Commit a response, with the id of the passage that it is about."""
        done = asyncio.get_running_loop().create_future()
        self._waiting.put_nowait((name, response, about, done))
        await done

    async def write(self) -> None:
        """Commit what waits, batch after batch, until cancelled."""
        while True:
            batch = [await self._waiting.get()]
            while not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            try:
                self._commit([(name, response, about) for name, response, about, _ in batch])
            except sqlite3.Error as error:
                for *_, done in batch:
                    if not done.cancelled():
                        done.set_exception(RecipeError(f"journal: cannot commit: {error}"))
                continue
            for *_, done in batch:
                if not done.cancelled():
                    done.set_result(None)

    def _commit(self, batch: list[tuple[str, Response, str]]) -> None:
        rows = []
        for name, response, about in batch:
            fields = asdict(response)
            texts, reasons = (json.dumps(fields[key], ensure_ascii=True) for key in ("texts", "finish_reasons"))
            rows.append(
                (
                    name,
                    texts,
                    reasons,
                    response.fingerprint,
                    response.prompt_tokens,
                    response.output_tokens,
                    time.time(),
                    about,
                )
            )
        with self._database:
            self._database.executemany("INSERT OR IGNORE INTO responses VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)


@asynccontextmanager
async def open_journal(path: Path, mounts: Path = Path("/proc/self/mounts")) -> AsyncIterator[Journal]:
    """Open the journal for this process alone.

    Args:
        mounts: the table of mounted file systems, in the form of /proc/self/mounts.

    Raises:
        RecipeError: it lies on a network disk, another process owns it, or it is no journal.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if (kind := filesystem_of(path, mounts)) in NETWORK_FILESYSTEMS:
        raise RecipeError(f"{path}: on a network disk ({kind}), expected a local one: change output in the recipe")
    with _owning(path), closing(_connect(path)) as database:
        journal = Journal(database)
        writer = asyncio.create_task(journal.write())
        try:
            yield journal
        finally:
            writer.cancel()


def responses_about(path: Path, source: str, of_others: Callable[[], Iterable[str]]) -> list[str]:
    """List the request hashes of responses about a source's passages.

    Args:
        of_others: what tells requests that are another source's. A journal of version 1 does not say what a response
            is about; of its rows all that are not known to be another's are listed.
    """
    if not path.exists():
        return []
    with _owning(path), closing(_connect(path)) as database:
        rows = database.execute("SELECT hash, about FROM responses ORDER BY hash").fetchall()
    others = set(of_others()) if any(not about for _, about in rows) else set()
    return [name for name, about in rows if about.startswith(f"{source}/") or not (about or name in others)]


def forget(path: Path, names: Iterable[str]) -> None:
    """Remove responses, and their bytes from the file and its write-ahead log."""
    with _owning(path), closing(_connect(path)) as database:
        database.execute("PRAGMA secure_delete = ON")
        with database:
            database.executemany("DELETE FROM responses WHERE hash = ?", ((name,) for name in names))
        database.execute("VACUUM")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def remembering(journal: Journal, complete: Ask) -> Ask:
    """Answer from the journal, and by `complete` only what it does not hold; equal requests share one call."""
    under_way: dict[str, asyncio.Task[Response]] = {}

    async def ask(request: Request) -> Response:
        name = request_hash(request)
        if (known := journal.find(name)) is not None:
            return known
        if name not in under_way:
            under_way[name] = asyncio.create_task(_ask_and_keep(request, name))
            under_way[name].add_done_callback(lambda _: under_way.pop(name))
        return await under_way[name]

    async def _ask_and_keep(request: Request, name: str) -> Response:
        response = await complete(request)
        await journal.keep(name, response, request.about)
        return response

    return ask


def filesystem_of(path: Path, mounts: Path) -> str:
    """Name the type of the file system that a path is on, or "" where there is no table of mounts."""
    if not mounts.exists():
        return ""
    best, kind = Path(), ""
    resolved = path.resolve()
    for line in mounts.read_text(encoding="utf-8", errors="replace").splitlines():
        _, point, found, *_ = line.split(" ")
        folder = Path(point.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\"))
        if resolved.is_relative_to(folder) and len(folder.parts) >= len(
            best.parts
        ):  # a later mount hides an earlier one
            best, kind = folder, found
    return kind


@contextmanager
def _owning(path: Path) -> Iterator[None]:
    with path.with_name(path.name + ".lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RecipeError(f"{path}: in use by another process, expected one owner") from None
        yield


def _connect(path: Path) -> sqlite3.Connection:
    try:
        database = sqlite3.connect(path)
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if version not in (0, 1, VERSION):
            raise RecipeError(f"{path}: got journal version {version}, expected at most {VERSION}")
        if version == 1:
            database.execute("ALTER TABLE responses ADD COLUMN about TEXT NOT NULL DEFAULT ''")
        database.execute(TABLE)
        database.execute(f"PRAGMA user_version = {VERSION}")
        database.commit()
    except sqlite3.Error as error:
        raise RecipeError(f"{path}: not a journal: {error}") from None
    return database
