"""The journal: every received response by request hash, in one SQLite file, so that a rerun never pays twice.

A response is committed, and synced to the disk, before anyone sees it; responses that arrive together share a commit.
Rows are appended in the order of arrival and found by an index of 32-byte hashes, which is what keeps a file of
millions small and quick to write. What was spent is summed in the same commit. One process owns the file, on a local
disk: SQLite's locks and its write-ahead log do not hold on a network one.
"""

import asyncio
import fcntl
import json
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from pipeline.recipe import RecipeError
from unify.request import Ask, Request, Response, request_hash

GATHER = 0.02  # seconds that a commit waits for more responses: each costs a synced write, some milliseconds on a disk
VERSION = 3  # of the tables; 1 had no column `about`, 1 and 2 were ordered by hash and did not know what was spent
_NETWORK = """
    nfs nfs4 cifs smb3 smbfs 9p afs ceph fuse.ceph glusterfs fuse.glusterfs lustre beegfs gpfs ocfs2 pvfs2 orangefs
    fuse.sshfs fuse.s3fs fuse.rclone fuse.juicefs fuse.gcsfuse fuse.blobfuse2
"""
NETWORK_FILESYSTEMS = frozenset(_NETWORK.split())
RESPONSES = """CREATE TABLE IF NOT EXISTS responses (
    hash BLOB NOT NULL UNIQUE, texts BLOB NOT NULL, finish_reasons TEXT NOT NULL, fingerprint TEXT NOT NULL,
    prompt_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, received REAL NOT NULL, about TEXT NOT NULL)"""
SPENT = """CREATE TABLE IF NOT EXISTS spent (
    model TEXT PRIMARY KEY, requests INTEGER NOT NULL,
    prompt_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL)"""
ADD = """INSERT INTO spent VALUES (?, ?, ?, ?) ON CONFLICT (model) DO UPDATE
    SET requests = requests + excluded.requests, prompt_tokens = prompt_tokens + excluded.prompt_tokens,
    output_tokens = output_tokens + excluded.output_tokens"""


@dataclass(frozen=True)
class Spent:
    """What responses cost: how many, and the tokens that servers counted."""

    requests: int = 0
    prompt_tokens: int = 0
    output_tokens: int = 0

    def plus(self, other: "Spent", times: int = 1) -> "Spent":
        """Add another, or take it off again with times = -1."""
        return Spent(
            self.requests + times * other.requests,
            self.prompt_tokens + times * other.prompt_tokens,
            self.output_tokens + times * other.output_tokens,
        )

    @property
    def tokens(self) -> int:
        """Of prompts and outputs together."""
        return self.prompt_tokens + self.output_tokens


@dataclass(frozen=True)
class Kept:
    """A response on its way to the disk."""

    name: str
    response: Response
    model: str
    about: str
    done: asyncio.Future[None]


class Journal:
    """The open file. What `find` returns is on the disk; `keep` returns once its response is."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._waiting: asyncio.Queue[Kept] = asyncio.Queue()

    def find(self, name: str) -> Response | None:
        """Look up the response to the request of a hash."""
        columns = "texts, finish_reasons, fingerprint, prompt_tokens, output_tokens"
        row = self._database.execute(
            f"SELECT {columns} FROM responses WHERE hash = ?", (bytes.fromhex(name),)
        ).fetchone()
        return Response(_unpacked(row[0]), tuple(json.loads(row[1])), *row[2:]) if row else None

    def spent(self, model: str) -> Spent:
        """Sum what a model's responses cost, purged ones too; those from before models were noted count for any."""
        sums = "sum(requests), sum(prompt_tokens), sum(output_tokens)"
        row = self._database.execute(f"SELECT {sums} FROM spent WHERE model IN (?, '')", (model,)).fetchone()
        return Spent(*(value or 0 for value in row))

    async def keep(self, name: str, response: Response, *, model: str, about: str) -> None:
        """Commit a response, with the id of the passage that it is about."""
        done = asyncio.get_running_loop().create_future()
        self._waiting.put_nowait(Kept(name, response, model, about, done))
        await done

    async def write(self) -> None:
        """Commit what waits, batch after batch, until cancelled."""
        while True:
            batch = [await self._waiting.get()]
            try:
                await asyncio.sleep(GATHER)
            finally:
                while not self._waiting.empty():
                    batch.append(self._waiting.get_nowait())
                self._commit(batch)

    def write_rest(self) -> None:
        """Commit what still waits, as the last thing before the file is closed."""
        batch = [self._waiting.get_nowait() for _ in range(self._waiting.qsize())]
        if batch:
            self._commit(batch)

    def _commit(self, batch: Sequence[Kept]) -> None:
        try:
            with self._database:
                self._database.executemany(
                    "INSERT OR IGNORE INTO responses VALUES (?, ?, ?, ?, ?, ?, ?, ?)", map(_row, batch)
                )
                for model in {kept.model for kept in batch}:
                    of_model = [kept.response for kept in batch if kept.model == model]
                    tokens = [(response.prompt_tokens, response.output_tokens) for response in of_model]
                    self._database.execute(ADD, (model, len(of_model), *map(sum, zip(*tokens, strict=True))))
        except sqlite3.Error as error:
            for kept in batch:
                if not kept.done.done():
                    kept.done.set_exception(RecipeError(f"journal: cannot commit: {error}"))
            return
        for kept in batch:
            if not kept.done.done():
                kept.done.set_result(None)


def _row(kept: Kept) -> tuple[bytes, bytes, str, str, int, int, float, str]:
    response = kept.response
    fingerprint = response.fingerprint.encode("utf-8", "replace").decode()  # a server may send half a character
    reasons = json.dumps(response.finish_reasons)
    tokens = response.prompt_tokens, response.output_tokens
    return bytes.fromhex(kept.name), _packed(response.texts), reasons, fingerprint, *tokens, time.time(), kept.about


def _packed(texts: Sequence[str]) -> bytes:
    return json.dumps(texts, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _unpacked(texts: bytes) -> tuple[str, ...]:
    return tuple(json.loads(texts.decode("utf-8", "surrogatepass")))


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
            await asyncio.gather(writer, return_exceptions=True)  # it commits what it has gathered
            journal.write_rest()


def responses_about(path: Path, source: str, of_others: Callable[[], Iterable[str]]) -> list[str]:
    """List the request hashes of responses about a source's passages.

    Args:
        of_others: what tells requests that are another source's. A journal of version 1 does not say what a response
            is about; of its rows all that are not known to be another's are listed.
    """
    if not path.exists():
        return []
    with _owning(path), closing(_connect(path)) as database:
        about_none = database.execute("SELECT 1 FROM responses WHERE about = '' LIMIT 1").fetchone()
        others = {bytes.fromhex(name) for name in of_others()} if about_none else set()
        rows = database.execute("SELECT hash, about FROM responses ORDER BY hash")
        return [hash.hex() for hash, about in rows if about.startswith(f"{source}/") or not (about or hash in others)]


def forget(path: Path, names: Iterable[str]) -> None:
    """Remove responses, and their bytes from the file and its write-ahead log."""
    with _owning(path), closing(_connect(path)) as database:
        database.execute("PRAGMA secure_delete = ON")
        with database:
            database.executemany("DELETE FROM responses WHERE hash = ?", ((bytes.fromhex(name),) for name in names))
        database.execute("VACUUM")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


Admit = Callable[[Request], AbstractAsyncContextManager[Callable[[Response], None]]]


def remembering(journal: Journal, complete: Ask, admit: Admit = lambda _: nullcontext(lambda _: None)) -> Ask:
    """Answer from the journal, and by `complete` only what it does not hold; equal requests share one call.

    Args:
        admit: entered before a request is sent, and left when its response is kept, or failed; a response that is
            kept is given to the function that it yields.
    """
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
        async with admit(request) as count:
            response = await complete(request)
            await journal.keep(name, response, model=request.model, about=request.about)
            count(response)
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
        if version not in (0, 1, 2, VERSION):
            raise RecipeError(f"{path}: got journal version {version}, expected at most {VERSION}")
        if version in (1, 2):
            _migrate(database, version)
        database.execute(RESPONSES)
        database.execute(SPENT)
        database.execute(f"PRAGMA user_version = {VERSION}")
        database.commit()
    except sqlite3.Error as error:
        raise RecipeError(f"{path}: not a journal: {error}") from None
    return database


def _migrate(database: sqlite3.Connection, version: int) -> None:
    """Bring a table of version 1 or 2 to this one, in one transaction."""
    database.create_function("packed_hash", 1, bytes.fromhex, deterministic=True)
    database.create_function("packed_texts", 1, lambda texts: _packed(json.loads(texts)), deterministic=True)
    about = "about" if version == 2 else "''"
    database.execute("BEGIN IMMEDIATE")
    database.execute("ALTER TABLE responses RENAME TO before")
    database.execute(RESPONSES)
    database.execute(
        "INSERT INTO responses SELECT packed_hash(hash), packed_texts(texts), finish_reasons, fingerprint, "
        f"prompt_tokens, output_tokens, received, {about} FROM before"
    )
    database.execute(SPENT)
    totals = "count(*), coalesce(sum(prompt_tokens), 0), coalesce(sum(output_tokens), 0)"
    database.execute(f"INSERT INTO spent SELECT '', {totals} FROM before")
    database.execute("DROP TABLE before")
    database.execute(f"PRAGMA user_version = {VERSION}")
    database.commit()
    database.execute("VACUUM")
