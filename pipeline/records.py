"""The records that stages read and write, as Arrow schemas, and `mark`, which gives a row its drop reason.

A table of N rows is the unit of work; rows are not turned into objects on a hot path. Ids are born from content,
never from positions: `source/native-id` for a Document, `document_id#` and 12 hex digits of its text for a Passage.
"""

import hashlib
from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

IGNORE_INDEX = -100  # the label of a token without loss, as torch.nn.functional.cross_entropy has it

KINDS = ("web", "books", "encyclopedia", "literature", "guidelines", "sft", "general")
LANGS = ("zh-Hans", "zh-Hant", "lzh", "en", "und")


def _required(*fields: tuple[str, pa.DataType]) -> list[pa.Field]:
    return [pa.field(name, kind, nullable=False) for name, kind in fields]


SPAN = pa.struct(_required(("start", pa.int64()), ("end", pa.int64())))
SECTION = pa.struct(
    [*_required(("start", pa.int64()), ("end", pa.int64()), ("heading", pa.string())), pa.field("page", pa.int32())]
)
MESSAGE = pa.struct(_required(("role", pa.string()), ("content", pa.string()), ("loss", pa.bool_())))
CHECK = pa.struct(_required(("name", pa.string()), ("value", pa.string())))
MADE_BY = pa.struct(
    _required(("step", pa.string()), ("model", pa.string()), ("prompt", pa.string()), ("request", pa.string()))
)

# One source item, whole. `sections` are spans of `text` that may nest; one with a heading starts at its heading line.
# `boilerplate` are spans of whole lines that are no part of what the document says, in order and apart.
DOCUMENT = pa.schema(
    [
        *_required(
            ("id", pa.string()),
            ("source", pa.string()),
            ("kind", pa.string()),
            ("lang", pa.string()),
            ("text", pa.string()),
        ),
        pa.field("title", pa.string()),
        pa.field("url", pa.string()),
        pa.field("sections", pa.list_(SECTION), nullable=False),
        pa.field("boilerplate", pa.list_(SPAN), nullable=False),
        pa.field("edition", pa.string()),
        pa.field("published", pa.string()),
    ]
)

# A self-contained piece of a Document: `text` is document.text[start:end] until clean changes it.
PASSAGE = pa.schema(
    [
        *_required(
            ("id", pa.string()),
            ("document_id", pa.string()),
            ("start", pa.int64()),
            ("end", pa.int64()),
            ("source", pa.string()),
            ("kind", pa.string()),
            ("lang", pa.string()),
            ("text", pa.string()),
        ),
        pa.field("title", pa.string()),
        pa.field("headings", pa.list_(pa.string()), nullable=False),
        pa.field("page", pa.int32()),
    ]
)

# What dedup compares. `digest` (16 bytes) is equal where the letters are; `bands` are 64-bit keys, little-endian, and
# rows equal in one are candidates; `sketch` has one byte a bin.
SKETCH = pa.schema(
    _required(
        ("passage_id", pa.string()),
        ("digest", pa.binary()),
        ("bands", pa.binary()),
        ("sketch", pa.binary()),
        ("chars", pa.int64()),
    )
)

# One training dialogue. `support` are spans of the passage's text, `made_by` the requests it came from.
EXAMPLE = pa.schema(
    [
        *_required(("id", pa.string())),
        pa.field("passage_id", pa.string()),
        *_required(
            ("source", pa.string()),
            ("kind", pa.string()),
            ("lang", pa.string()),
            ("style", pa.string()),
            ("messages", pa.list_(MESSAGE)),
            ("support", pa.list_(SPAN)),
            ("checks", pa.list_(CHECK)),
            ("made_by", pa.list_(MADE_BY)),
            ("split", pa.string()),
        ),
    ]
)

# An Example's tokens. `labels` are unshifted; IGNORE_INDEX where no loss is taken.
ENCODED = pa.schema(
    _required(
        ("example_id", pa.string()),
        ("source", pa.string()),
        ("kind", pa.string()),
        ("style", pa.string()),
        ("split", pa.string()),
        ("input_ids", pa.list_(pa.int32())),
        ("labels", pa.list_(pa.int32())),
    )
)

# The training order: which Encoded row (shard, row) stands at which position.
ORDER = pa.schema(
    _required(
        ("position", pa.int64()),
        ("example_id", pa.string()),
        ("shard", pa.int32()),
        ("row", pa.int32()),
        ("kind", pa.string()),
        ("source", pa.string()),
        ("style", pa.string()),
        ("epoch", pa.int32()),
    )
)

# One training row of T tokens. `seq_lens` are the lengths of its examples; what remains of T is padding at the end.
PACKED_SEQUENCE = pa.schema(
    _required(
        ("split", pa.string()),
        ("input_ids", pa.list_(pa.int32())),
        ("labels", pa.list_(pa.int32())),
        ("seq_lens", pa.list_(pa.int32())),
        ("example_ids", pa.list_(pa.string())),
        ("kinds", pa.list_(pa.string())),
        ("sources", pa.list_(pa.string())),
        ("epochs", pa.list_(pa.int32())),
    )
)

DROP_FIELDS = [pa.field("drop_reason", pa.string()), pa.field("drop_detail", pa.string())]


def marked_schema(record: pa.Schema) -> pa.Schema:
    """Return the record's schema with `drop_reason` (null = keep) and `drop_detail` behind it."""
    return pa.schema([*record, *DROP_FIELDS])


def mark(
    rows: pa.Table,
    rules: Mapping[str, pa.ChunkedArray | pa.Array],
    details: Mapping[str, Sequence[str | None]] | None = None,
) -> pa.Table:
    """Give each of N rows the name of the first rule it breaks.

    Args:
        rules: drop reason -> (N,) booleans, true where the row breaks the rule, in order of precedence.
        details: drop reason -> (N,) texts for `drop_detail`.

    Returns:
        The same rows in the same order plus `drop_reason` (null = keep) and `drop_detail`.
    """
    reason = pa.nulls(rows.num_rows, pa.string())
    detail = pa.nulls(rows.num_rows, pa.string())
    for name, broken in rules.items():
        first = pc.and_(pc.is_null(reason), pc.fill_null(broken, False))
        if isinstance(first, pa.ChunkedArray):
            first = first.combine_chunks()
        reason = pc.if_else(first, name, reason)
        if details and name in details:
            detail = pc.if_else(first, pa.array(details[name], pa.string()), detail)
    return rows.append_column(DROP_FIELDS[0], reason).append_column(DROP_FIELDS[1], detail)


def text_hash(text: str, digits: int = 12) -> str:
    """Return the first hex digits of the SHA-256 of a text in UTF-8."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:digits]


def uniform(seed: int, *names: str) -> float:
    """Draw a number in [0, 1) for a row from a hash of (seed, names), so that sharding cannot change it."""
    digest = hashlib.blake2b("\x1f".join((str(seed), *names)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
