"""The journal: what is found was committed, equal requests are asked once, one owner, local disks only."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from pipeline.recipe import RecipeError
from tests.unify.journals import as_of_version
from unify.journal import Spent, filesystem_of, forget, open_journal, remembering
from unify.request import Request, Response, request_hash

RESPONSE = Response(("一个问题？", "a second"), ("stop", "length"), "fp", 3, 5)
NAME = "0f" * 32


def request(text: str = "hello", attempt: int = 0) -> Request:
    return Request(
        "model", ({"role": "user", "content": text},), {"temperature": 0.7, "extra_body": {"top_k": 5}}, attempt
    )


def test_a_response_survives_reopening(tmp_path: Path) -> None:
    async def first() -> None:
        async with open_journal(tmp_path / "j.sqlite") as journal:
            await journal.keep(NAME, RESPONSE, model="model", about="book/1#a")

    async def second() -> Response | None:
        async with open_journal(tmp_path / "j.sqlite") as journal:
            return journal.find(NAME)

    asyncio.run(first())
    assert asyncio.run(second()) == RESPONSE


@pytest.mark.parametrize("version", [1, 2])
def test_journals_of_earlier_versions_are_taken_over_whole(tmp_path: Path, version: int) -> None:
    path = tmp_path / "j.sqlite"
    named = {f"{number:064x}": Response((f"第{number}个", "x"), ("stop",), "fp", number, 2) for number in range(50)}

    async def write() -> None:
        async with open_journal(path) as journal:
            await asyncio.gather(*(journal.keep(name, one, model="m", about="web/1#a") for name, one in named.items()))

    async def read() -> tuple[dict[str, Response | None], Spent, Spent]:
        async with open_journal(path) as journal:
            return {name: journal.find(name) for name in named}, journal.spent("m"), journal.spent("other")

    asyncio.run(write())
    as_of_version(version, path)
    for _ in range(2):
        found, spent, others = asyncio.run(read())
        assert found == named
        assert spent == others == Spent(50, sum(range(50)), 100)  # whose they were was not noted: they count for any
    with closing(sqlite3.connect(path)) as database:
        assert {about for (about,) in database.execute("SELECT about FROM responses")} == {"", "web/1#a"} - (
            {"web/1#a"} if version == 1 else {""}
        )


def test_what_was_spent_is_counted_by_model_and_not_forgotten_with_the_text(tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite"

    async def write() -> None:
        async with open_journal(path) as journal:
            for number, model in enumerate(("m", "m", "n")):
                await journal.keep(f"{number:064x}", RESPONSE, model=model, about="web/1#a")

    async def spent(model: str) -> Spent:
        async with open_journal(path) as journal:
            return journal.spent(model)

    asyncio.run(write())
    forget(path, [f"{number:064x}" for number in range(3)])
    assert asyncio.run(spent("m")) == Spent(2, 6, 10)
    assert asyncio.run(spent("n")) == Spent(1, 3, 5)
    assert asyncio.run(spent("nobody")) == Spent()


def test_what_waits_when_a_run_ends_is_written(tmp_path: Path) -> None:
    async def leave_at_once() -> None:
        async with open_journal(tmp_path / "j.sqlite") as journal:
            waiting = asyncio.create_task(journal.keep(NAME, RESPONSE, model="m", about="a"))
            await asyncio.sleep(0)
        await waiting

    async def find() -> Response | None:
        async with open_journal(tmp_path / "j.sqlite") as journal:
            return journal.find(NAME)

    asyncio.run(leave_at_once())
    assert asyncio.run(find()) == RESPONSE


def test_what_the_writer_gathers_when_a_run_ends_is_written(tmp_path: Path) -> None:
    async def ends() -> None:
        async with open_journal(tmp_path / "j.sqlite") as journal:
            keeping = asyncio.create_task(journal.keep(NAME, RESPONSE, model="m", about="web/1#a"))
            for _ in range(5):
                await asyncio.sleep(0)  # the writer takes it, and waits for more
            keeping.cancel()

    async def found() -> Response | None:
        async with open_journal(tmp_path / "j.sqlite") as journal:
            return journal.find(NAME)

    asyncio.run(ends())
    assert asyncio.run(found()) == RESPONSE


def test_half_characters_survive(tmp_path: Path) -> None:
    broken = Response(("\ud83d half", "\x00"), ("stop",), "fp\udc80", 1, 1)

    async def there_and_back() -> Response | None:
        async with open_journal(tmp_path / "j.sqlite") as journal:
            await journal.keep(NAME, broken, model="m", about="a")
            return journal.find(NAME)

    found = asyncio.run(there_and_back())
    assert found is not None
    assert found.texts == broken.texts


def test_a_response_is_on_disk_before_it_is_seen(tmp_path: Path) -> None:
    async def ask() -> int:
        async def complete(_: Request) -> Response:
            return RESPONSE

        async with open_journal(tmp_path / "j.sqlite") as journal:
            await remembering(journal, complete)(request())
            with sqlite3.connect(tmp_path / "j.sqlite") as other:
                return int(other.execute("SELECT count(*) FROM responses").fetchone()[0])

    assert asyncio.run(ask()) == 1


def test_equal_requests_are_asked_once_even_at_one_time(tmp_path: Path) -> None:
    asked = []

    async def complete(one: Request) -> Response:
        asked.append(one)
        await asyncio.sleep(0)
        return RESPONSE

    async def run() -> None:
        async with open_journal(tmp_path / "j.sqlite") as journal:
            ask = remembering(journal, complete)
            assert await asyncio.gather(*(ask(request()) for _ in range(5))) == [RESPONSE] * 5
            assert await ask(request()) == RESPONSE
            await ask(request(attempt=1))

    asyncio.run(run())
    assert [one.attempt for one in asked] == [0, 1]


@pytest.mark.parametrize(
    "other",
    [request("hello!"), request(attempt=1), Request("other", request().messages, request().parameters)],
    ids=["messages", "attempt", "model"],
)
def test_the_hash_covers_what_can_change_the_answer(other: Request) -> None:
    assert request_hash(request()) == request_hash(request())
    assert request_hash(other) != request_hash(request())


def test_a_second_owner_is_refused(tmp_path: Path) -> None:
    async def run() -> None:
        async with open_journal(tmp_path / "j.sqlite"), open_journal(tmp_path / "j.sqlite"):
            pass

    with pytest.raises(RecipeError, match=r"j\.sqlite: in use by another process, expected one owner"):
        asyncio.run(run())


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs", "lustre"])
def test_a_network_disk_is_refused_in_one_line(tmp_path: Path, kind: str) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/vda / ext4 rw 0 0\nserver:/x {tmp_path} {kind} rw 0 0\n")

    async def run() -> None:
        async with open_journal(tmp_path / "j.sqlite", mounts):
            pass

    with pytest.raises(RecipeError, match=rf"on a network disk \({kind}\), expected a local one") as raised:
        asyncio.run(run())
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "j.sqlite").exists()


def test_the_innermost_and_last_mount_counts(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(
        f"x / nfs rw 0 0\nx {tmp_path}/with\\040space ext4 rw 0 0\nx {tmp_path}/with\\040space xfs rw 0 0\n"
    )
    assert filesystem_of(tmp_path / "with space" / "j", mounts) == "xfs"
    assert filesystem_of(tmp_path / "else", mounts) == "nfs"


def test_a_file_that_is_no_journal_is_an_error_of_one_line(tmp_path: Path) -> None:
    (tmp_path / "j.sqlite").write_text("this is no database, and long enough to be seen as none" * 20)

    async def run() -> None:
        async with open_journal(tmp_path / "j.sqlite"):
            pass

    with pytest.raises(RecipeError, match="not a journal: file is not a database"):
        asyncio.run(run())
