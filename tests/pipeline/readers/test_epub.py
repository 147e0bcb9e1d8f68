import io
import zipfile
from pathlib import Path

import pytest

from pipeline.readers.epub import read_epub
from pipeline.readers.items import Refused

CONTAINER = "<container><rootfiles><rootfile full-path='O/c.opf'/></rootfiles></container>"
PACKAGE = """<package xmlns="http://www.idpf.org/2007/opf"><metadata xmlns:dc="http://purl.org/dc/elements/1.1/">
<dc:title>Nursing</dc:title><dc:date>1860</dc:date></metadata><manifest>
<item id="a" href="text/one%20a.xhtml" media-type="application/xhtml+xml"/>
<item id="b" href="text/two.xhtml" media-type="application/xhtml+xml"/>
<item id="n" href="toc.ncx" media-type="application/x-dtbncx+xml"/></manifest>
<spine toc="n"><itemref idref="b"/><itemref idref="a"/><itemref idref="b"/></spine></package>"""
NCX = """<ncx xmlns="http://www.daisy.org/z3986/2005/ncx/"><navMap><navPoint><navLabel><text>Of air</text></navLabel>
<content src="text/one%20a.xhtml#top"/></navPoint></navMap></ncx>"""
PAGE = '<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><head><title/></head><body>{}</body></html>'
BOOK = {
    "META-INF/container.xml": CONTAINER,
    "O/c.opf": PACKAGE,
    "O/toc.ncx": NCX,
    "O/text/one a.xhtml": PAGE.format("<p>Keep the air pure.<script src='x'/></p><p>Open windows.</p>"),
    "O/text/two.xhtml": PAGE.format("<h2>Of noise</h2><p>Keep quiet.</p>"),
}


def zipped(members: dict[str, str]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return file.getvalue()


def test_chapters_follow_the_spine_each_once_and_are_sections() -> None:
    item = next(read_epub(zipped(BOOK)))
    assert (item.title, item.published) == ("Nursing", "1860")
    assert item.text == "Of noise\n\nKeep quiet.\n\nOf air\n\nKeep the air pure.\n\nOpen windows."
    assert [section["heading"] for section in item.sections] == ["Of noise", "Of air"]


def test_a_real_book_follows_its_spine_and_not_its_file_order(real_data: Path) -> None:
    item = next(read_epub((real_data / "messy" / "7_containers" / "tcm.epub").read_bytes()))
    books = [item.text.index(name) for name in ("书名：中西汇通医经精义", "书名：伤寒九十论", "书名：本草害利")]
    assert books == sorted(books)
    assert len(item.text) > 50_000


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        (
            {"META-INF/encryption.xml": "<e><EncryptedData><EncryptionMethod Algorithm='aes'/></EncryptedData></e>"},
            "encrypted",
        ),
        ({"../out.xhtml": "x"}, "unsafe_member"),
        ({"O/c.opf": PACKAGE.replace("text/two.xhtml", "../../two.xhtml")}, "unsafe_member"),
        ({"O/c.opf": PACKAGE.replace("text/two.xhtml", "text/three.xhtml")}, "unreadable"),
        ({"O/c.opf": PACKAGE.replace('idref="', 'idref="x')}, "unreadable"),
        ({"O/text/two.xhtml": " " * (33 << 20)}, "expands_too_much"),
    ],
)
def test_a_book_that_cannot_be_read_is_refused(members: dict[str, str], reason: str) -> None:
    with pytest.raises(Refused) as refused:
        list(read_epub(zipped(BOOK | members)))
    assert refused.value.reason == reason


def test_veiled_fonts_are_no_reason_to_refuse() -> None:
    veil = "<e><EncryptedData><EncryptionMethod Algorithm='http://www.idpf.org/2008/embedding'/></EncryptedData></e>"
    assert next(read_epub(zipped(BOOK | {"META-INF/encryption.xml": veil}))).text
    with pytest.raises(Refused, match="unreadable"):
        list(read_epub(b"PK\x03\x04 no zip"))
