"""Read the members of a document that is a zip file (EPUB, DOCX): in memory, bounded, and nothing outside of it."""

import io
import posixpath
import zipfile
import zlib

from pipeline.readers.items import Refused

_MAX_MEMBER_BYTES = 32 << 20  # a chapter, or the whole of a DOCX; a tree of markup takes up to 20 times its bytes
_MAX_TOTAL_BYTES = 256 << 20  # all members that are read
_MAX_MEMBERS = 100_000
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    OSError,
    ValueError,
    OverflowError,
    RuntimeError,
)


class ZippedDocument:
    """The members of a zip file by name, and how many bytes of them may still be read.

    Raises:
        Refused: it is no zip file (`unreadable`), has a password (`encrypted`), or a name that leads out of it
            (`unsafe_member`). Reading a member refuses `expands_too_much`, too.
    """

    def __init__(self, data: bytes) -> None:
        if data.startswith(b"\xd0\xcf\x11\xe0"):  # the container of old Office files, and of those with a password
            raise Refused("encrypted", "protected by a password, or in a format before DOCX; save it as a plain DOCX")
        try:
            self._archive = zipfile.ZipFile(io.BytesIO(data))
            members = self._archive.infolist()
        except _BROKEN as error:
            raise Refused("unreadable", f"not a whole zip file: {str(error)[:200]}") from None
        if len(members) > _MAX_MEMBERS:
            raise Refused("expands_too_much", f"{len(members)} members, expected at most {_MAX_MEMBERS}")
        for member in members:
            if member.flag_bits & 1:
                raise Refused("encrypted", f"{member.filename[:200]!r} has a password; remove it")
            inside(member.filename)
        self.names = frozenset(member.filename for member in members)
        self._left = _MAX_TOTAL_BYTES

    def read(self, name: str) -> bytes:
        """Return the bytes of a member."""
        limit = min(_MAX_MEMBER_BYTES, self._left)
        try:
            with self._archive.open(name) as member:
                data = member.read(limit + 1)
        except KeyError:
            raise Refused("unreadable", f"it names {name[:200]!r}, which it does not have") from None
        except _BROKEN as error:
            raise Refused("unreadable", f"{name[:200]!r}: {str(error)[:200]}") from None
        if len(data) > limit:
            raise Refused("expands_too_much", f"{name[:200]!r} has over {limit} bytes; split it")
        self._left -= len(data)
        return data


def inside(path: str) -> str:
    """Return the plain form of a path within a zip file.

    Raises:
        Refused: it leads out of the file.
    """
    plain = posixpath.normpath(path.replace("\\", "/"))
    if plain.startswith(("/", "../")) or plain == ".." or plain[1:2] == ":":
        raise Refused("unsafe_member", f"{path[:200]!r} leads out of the file")
    return plain
