import io
from pathlib import Path

import pytest
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from pipeline.readers.warc import Record, read_records


def archive(*payloads: tuple[str, str, bytes]) -> bytes:
    """Write a web archive of (status, content type, body) responses."""
    file = io.BytesIO()
    writer = WARCWriter(file, gzip=False)
    for number, (status, kind, body) in enumerate(payloads):
        headers = StatusAndHeaders(status, [("Content-Type", kind)], protocol="HTTP/1.0")
        url = f"http://example.com/{number}"
        writer.write_record(writer.create_warc_record(url, "response", payload=io.BytesIO(body), http_headers=headers))
        writer.write_record(writer.create_warc_record(url, "metadata", payload=io.BytesIO(b"note")))
    return file.getvalue()


def read(data: bytes, start: int = 0) -> list[Record]:
    return list(read_records(io.BytesIO(data), start, len(data)))


def test_documents_come_with_address_date_and_id() -> None:
    data = archive(("200 OK", "text/html; charset=utf-8", b"<p>one"), ("200 OK", "application/pdf", b"%PDF"))
    bodies = [record.read(100) for record in read_records(io.BytesIO(data), 0, len(data)) if not record.fault]
    assert bodies == [b"<p>one", b"%PDF"]
    first = read(data)[0]
    assert (first.url, first.format, len(first.native)) == ("http://example.com/0", "html", 36)
    assert first.published is not None


def test_what_is_no_document_is_counted_by_reason() -> None:
    data = archive(("404 Not Found", "text/html", b"gone"), ("200 OK", "image/png", b"png"))
    assert [record.fault for record in read(data)] == [
        ("not_a_document", "status 404"),
        ("not_a_document", "metadata"),
        ("not_a_document", "image/png"),
        ("not_a_document", "metadata"),
    ]


def test_reading_goes_on_at_any_record_and_behind_a_broken_one() -> None:
    data = archive(*[("200 OK", "text/plain", b"x" * 50)] * 3)
    whole = read(data)
    for place, record in enumerate(whole):
        assert [found.native for found in read(data, record.start)] == [found.native for found in whole[place:]]
    third = whole[2].start
    broken = data[:third] + b"WARC/1.0 but not\r\n" + data[third + 18 :]
    kept = [record.native for record in read(broken) if not record.fault]
    assert kept[0] == whole[0].native
    assert kept[-1] == whole[4].native


@pytest.mark.parametrize("cut", [10, 200, 700])
def test_an_archive_cut_off_anywhere_is_read_to_there(cut: int) -> None:
    assert len(read(archive(*[("200 OK", "text/plain", b"x" * 50)] * 3)[:-cut])) >= 4


def test_real_archives_are_read(real_data: Path) -> None:
    documents = {}
    for path in sorted((real_data / "web" / "warc").glob("*.warc")) + sorted(
        (real_data / "web" / "warc").glob("*.arc")
    ):
        documents[path.name] = sum(not record.fault for record in read(path.read_bytes()))
    assert documents == {
        "example-digest.warc": 0,
        "example-iana.org-chunked.warc": 1,
        "example-trunc.warc": 1,
        "example.warc": 1,
        "example-space-in-url.arc": 1,
        "example.arc": 1,
    }
