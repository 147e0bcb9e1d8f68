"""Tables of documents and passages for tests, with every column a record needs."""

from typing import Any

import pyarrow as pa

from pipeline.records import DOCUMENT, PASSAGE, text_hash


def documents(*texts: str, lang: str = "zh-Hans", sections: list[dict[str, Any]] | None = None) -> pa.Table:
    rows = [
        {
            "id": f"source/{n}",
            "source": "source",
            "kind": "web",
            "lang": lang,
            "text": text,
            "sections": sections or [],
            "boilerplate": [],
        }
        for n, text in enumerate(texts)
    ]
    return pa.Table.from_pylist(rows, schema=DOCUMENT)


def passages(*texts: str, lang: str = "zh-Hans") -> pa.Table:
    rows = [
        {
            "id": f"source/1#{text_hash(text)}",
            "document_id": "source/1",
            "start": 0,
            "end": len(text),
            "source": "source",
            "kind": "web",
            "lang": lang,
            "text": text,
            "headings": [],
        }
        for text in texts
    ]
    return pa.Table.from_pylist(rows, schema=PASSAGE)
