"""Journals as earlier versions wrote them."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

TABLE = """CREATE TABLE responses (
    hash TEXT PRIMARY KEY, texts TEXT NOT NULL, finish_reasons TEXT NOT NULL, fingerprint TEXT NOT NULL,
    prompt_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, received REAL NOT NULL{about}) WITHOUT ROWID"""


def as_of_version(version: int, path: Path) -> None:
    """Write a journal's responses again in the form of version 1 or 2."""
    with closing(sqlite3.connect(path)) as database:
        rows = database.execute("SELECT * FROM responses").fetchall()
        database.execute("DROP TABLE responses")
        database.execute("DROP TABLE spent")
        database.execute(TABLE.format(about=", about TEXT NOT NULL DEFAULT ''" if version == 2 else ""))
        for hash, texts, *others in rows:
            old = (hash.hex(), json.dumps(json.loads(texts)), *others[: 6 if version == 2 else 5])
            database.execute(f"INSERT INTO responses VALUES ({', '.join('?' * len(old))})", old)
        database.execute(f"PRAGMA user_version = {version}")
        database.commit()
        database.execute("VACUUM")
