import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from pathlib import Path

import pytest
import zstandard

from pipeline.readers.containers import Leaf, Limits, leaves_of
from pipeline.readers.items import Refused
from pipeline.readers.places import Place, read_place

TEXT = "".join(f"第{number}篇。\n" for number in range(9000)).encode()
PACKERS = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zst": zstandard.compress}
SMALL, LARGE = Limits(1 << 30, 1 << 30, 200), Limits(5000, 1 << 30, 200)


def leaves(path: Path, limits: Limits = SMALL) -> list[Leaf]:
    found = list(leaves_of(path.name, path, limits, path.parent / "scratch"))
    outside = [entry for entry in path.parent.parent.iterdir() if entry != path.parent]
    assert not any(entry.name.startswith("evil") for entry in outside)
    return found


def readable(found: list[Leaf]) -> dict[str, bytes]:
    return {leaf.name: read_place(leaf.place) for leaf in found if not leaf.refused}


def reasons(found: list[Leaf]) -> dict[str, str]:
    return {leaf.name: leaf.refused.reason for leaf in found if leaf.refused}


def write_zip(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name.replace("__", "/").replace("_", "."), data)
    return path


def write_tar(path: Path, mode: str, **members: bytes) -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in members.items():
            info = tarfile.TarInfo(name.replace("__", "/").replace("_", "."))
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


@pytest.mark.parametrize("limits", [SMALL, LARGE])
@pytest.mark.parametrize("codec", PACKERS)
def test_a_stream_unpacks_to_what_was_packed(codec: str, limits: Limits, tmp_path: Path) -> None:
    for name, data in (("a", TEXT), ("empty", b"")):
        path = tmp_path / f"{name}.txt.{codec}"
        path.write_bytes(PACKERS[codec](data[:100]) + PACKERS[codec](data[100:]))  # two streams, one behind the other
        (leaf,) = leaves(path, limits)
        assert (leaf.name, leaf.called, leaf.size) == (path.name, f"{name}.txt", len(data))
        assert read_place(leaf.place) == data
        assert leaf.head == data[: len(leaf.head)]


@pytest.mark.parametrize("codec", PACKERS)
def test_a_stream_that_is_cut_off_is_said_to_be(codec: str, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"  # told by its first bytes, whatever its name
    path.write_bytes(PACKERS[codec](TEXT)[:-20])
    (large,) = leaves(path, LARGE)
    assert large.refused is not None
    assert large.refused.reason == "unreadable"
    assert not large.size or TEXT.startswith(read_place(large.place))  # zst and bz2 have all of this in one block
    (small,) = leaves(path)
    with pytest.raises(Refused, match="unreadable"):
        read_place(small.place)


@pytest.mark.parametrize("limits", [SMALL, LARGE])
@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
def test_members_are_read_in_their_order_and_one_archive_within_another(
    mode: str, limits: Limits, tmp_path: Path
) -> None:
    inner = write_zip(tmp_path / "in.zip", b_txt=b"two", c_txt_gz=gzip.compress(TEXT)).read_bytes()
    path = write_tar(tmp_path / "a.tar.any", mode, x__a_txt=b"one", x__in_zip=inner, _hidden=b"no")
    found = leaves(path, limits)
    assert [leaf.name for leaf in found] == [f"{path.name}/x/{n}" for n in ("a.txt", "in.zip/b.txt", "in.zip/c.txt.gz")]
    assert list(readable(found).values()) == [b"one", b"two", TEXT]


def test_an_archive_three_deep_is_refused_and_its_neighbours_are_read(tmp_path: Path) -> None:
    third = write_zip(tmp_path / "3.zip", a_txt=b"deep").read_bytes()
    second = write_zip(tmp_path / "2.zip", third_zip=third, b_txt=b"b").read_bytes()
    found = leaves(write_zip(tmp_path / "1.zip", second_zip=second, c_txt=b"c"))
    assert reasons(found) == {"1.zip/second.zip/third.zip": "expands_too_much"}
    assert list(readable(found).values()) == [b"b", b"c"]


def test_members_that_leave_their_archive_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "work" / "a.tar"
    path.parent.mkdir()
    with tarfile.open(path, "w") as archive:
        for name, kind, link in (
            ("../evil", tarfile.REGTYPE, ""),
            ("/evil", tarfile.REGTYPE, ""),
            ("x/../../evil", tarfile.REGTYPE, ""),
            ("link", tarfile.SYMTYPE, "/etc/passwd"),
            ("hard", tarfile.LNKTYPE, "/etc/passwd"),
            ("device", tarfile.CHRTYPE, ""),
            ("pipe", tarfile.FIFOTYPE, ""),
            ("good.txt", tarfile.REGTYPE, ""),
            ("good.txt", tarfile.REGTYPE, ""),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, link
            archive.addfile(info)
    found = leaves(path)
    assert [leaf.refused.reason if leaf.refused else None for leaf in found] == [
        *["unsafe_member"] * 7,
        None,
        "duplicate_id",
    ]
    zipped = path.parent / "a.zip"
    with zipfile.ZipFile(zipped, "w") as packed:
        for name in ("../evil", "/evil", "C:/evil", "..\\evil"):
            packed.writestr(zipfile.ZipInfo(name), b"x")
        link_info = zipfile.ZipInfo("link")
        link_info.external_attr = 0o120777 << 16
        packed.writestr(link_info, "/etc/passwd")
    assert list(reasons(leaves(zipped)).values()) == ["unsafe_member"] * 5


def test_what_expands_beyond_the_limits_is_refused_before_it_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(bytes(80 << 20)))
    assert path.stat().st_size * 200 < 80 << 20
    assert reasons(leaves(path, Limits(1 << 20, 1 << 40, 200))) == {"bomb.gz": "expands_too_much"}
    assert reasons(leaves(path, Limits(1 << 20, 40 << 20, 10**6))) == {"bomb.gz": "expands_too_much"}
    assert not list((tmp_path / "scratch").iterdir())
    (kept,) = leaves(path, Limits(1 << 20, 1 << 40, 10**6))
    assert kept.size == 80 << 20
    found = leaves(write_zip(tmp_path / "bomb.zip", a_txt=b"first", b_txt=bytes(80 << 20), c_txt=b"last"))
    assert reasons(found) == {"bomb.zip/b.txt": "expands_too_much", "bomb.zip/c.txt": "expands_too_much"}
    assert readable(found) == {"bomb.zip/a.txt": b"first"}


def test_what_can_be_read_of_a_broken_archive_is_read(tmp_path: Path) -> None:
    noise = lzma.compress(TEXT) * 40  # does not pack, so that the cut falls within the second member
    path = write_tar(tmp_path / "a.tar.gz", "w:gz", a_txt=b"one", b_txt=noise)
    path.write_bytes(path.read_bytes()[:-2000])
    found = leaves(path)
    assert list(readable(found).values()) == [b"one"]
    assert set(reasons(found)) == {"a.tar.gz", "a.tar.gz/b.txt"}
    broken = write_zip(tmp_path / "b.zip", a_txt=b"one", b_txt=TEXT)
    data = broken.read_bytes()
    middle = data.index(b"b.txt") + 200
    broken.write_bytes(data[:middle] + bytes(100) + data[middle + 100 :])
    good, bad = leaves(broken)
    assert read_place(good.place) == b"one"
    with pytest.raises(Refused, match="unreadable"):
        read_place(bad.place)
    broken.write_bytes(data[:-30])
    assert reasons(leaves(broken)) == {"b.zip": "unreadable"}


def test_a_locked_member_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", a_txt=b"one", b_txt=b"two")
    data = bytearray(path.read_bytes())
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.rindex(mark) + flags] |= 1
    path.write_bytes(data)
    found = leaves(path)
    assert reasons(found) == {"a.zip/b.txt": "encrypted"}
    assert readable(found) == {"a.zip/a.txt": b"one"}


def test_names_of_chinese_archives_are_read(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", aaaa_txt=b"one")
    path.write_bytes(path.read_bytes().replace(b"aaaa", "本草".encode("gb18030")))
    assert readable(leaves(path)) == {"a.zip/本草.txt": b"one"}


def test_a_place_may_be_any_range_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(TEXT)
    assert read_place(Place(tmp_path / "a", start=5, size=50)) == TEXT[5:55]
    assert read_place(Place(tmp_path / "a", start=5)) == TEXT[5:]
