"""Damage files of every format that collect reads, and see that each is read or refused, quickly and in bounded memory.

    python -m tests.fuzz INPUTS [SEED [FORMAT ...]]

runs INPUTS damaged files of each format through the work list and collect, a process a format, and prints a line a
format. Seeds are small files made here, the demo's sources and, where it is there, the corpus of real files.
"""

import bz2
import collections
import copy
import gzip
import io
import json
import lzma
import multiprocessing
import random
import re
import resource
import shutil
import signal
import sys
import tarfile
import tempfile
import time
import traceback
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard
from lxml import etree

from pipeline.collect import collect_unit
from pipeline.readers.formats import SUFFIXES
from pipeline.recipe import RecipeError, SourceCard
from pipeline.worklist import CollectConfig, plan_source

ROOT = Path(__file__).resolve().parents[1]
REAL = ROOT.parent / "shared" / "data"
MAX_CPU_SECONDS = 10.0
MAX_SEED_BYTES = 60_000
# ruff: noqa: E501
TEXT = "高血压是常见病。患者每天要测量血压，少吃盐。\nGout is a disease of the joints. It hurts at night.\n" * 8
PAGE = f"""<html><head><title>痛风</title><meta charset="utf-8"></head><body><nav><a href="/">首页</a></nav><h1>痛风</h1>
<p>{TEXT}</p><table><caption>Table 1</caption><tr><th colspan="2">Drug</th></tr><tr><td rowspan="2">A</td><td>1</td></tr>
<tr><td>2</td></tr></table><ul><li>one<ul><li>two</li></ul></li></ul><dl><dt>a</dt><dd>b</dd></dl><pre>x
y</pre><div style="display:none">no</div><sup>9</sup></body></html>"""
JATS = """<article xmlns:xlink="x"><front><article-meta><article-id pub-id-type="doi">1</article-id><title-group>
<article-title>T</article-title></title-group><pub-date><year>2004</year><month>5</month></pub-date><abstract><sec>
<title>Aim</title><p>To see.</p></sec></abstract></article-meta></front><body><sec><label>1</label><title>Methods</title>
<p>We saw<xref ref-type="bibr">1</xref>.</p><list><list-item><p>one</p></list-item></list><table-wrap><label>Table 1</label>
<table><tr><th>a</th><td colspan="3">b</td></tr></table></table-wrap></sec></body></article>"""
TEI = """<TEI xmlns="http://www.tei-c.org/ns/1.0"><teiHeader><fileDesc><titleStmt><title>T</title></titleStmt></fileDesc>
</teiHeader><text><body><div><head>One</head><pb n="12"/><p>Text<note>Note</note> on<lb/>two lines.</p><lg><l>a</l></lg>
<table><row><cell cols="2">x</cell></row></table><list><label>t</label><item>i</item></list></div></body></text></TEI>"""
MARKDOWN = f"---\ntitle: T\n---\n# One {{#a}}\n\n{TEXT}\n\n- a\n  1. b\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n> q\n\n```\nx\n```\n"
RST = f"Title\n=====\n\n{TEXT}\n\n* a\n* b\n\n.. include:: /etc/hostname\n\n.. table:: T\n\n   == ==\n   a  b\n   == ==\n   1  2\n   == ==\n"
WIKI = """<mediawiki xmlns="x"><siteinfo/><page><title>T</title><ns>0</ns><id>1</id><revision><text>{{a|b}} ''c'' [[d|e]]
== F ==
* g&lt;ref&gt;h&lt;/ref&gt;
{| class="i"
|-
! j !! k
|-
| l || m
|}
-{zh-hans:n;zh-hant:o}-</text></revision></page></mediawiki>"""
ROWS: list[dict[str, Any]] = [{"id": str(number), "title": "t", "text": f"{number} {TEXT}"} for number in range(5)]
WORDPROCESSING = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
EPUB = {
    "mimetype": "application/epub+zip",
    "META-INF/container.xml": "<container><rootfiles><rootfile full-path='c.opf'/></rootfiles></container>",
    "c.opf": '<package><metadata><title>T</title></metadata><manifest><item id="a" href="a.xhtml"/><item id="n" '
    'href="n.ncx" media-type="application/x-dtbncx+xml"/></manifest><spine><itemref idref="a"/></spine></package>',
    "a.xhtml": PAGE,
    "n.ncx": "<ncx><navPoint><navLabel><text>One</text></navLabel><content src='a.xhtml'/></navPoint></ncx>",
}
DOCX = {
    "word/document.xml": f'<w:document {WORDPROCESSING}><w:body><w:p><w:pPr><w:pStyle w:val="1"/></w:pPr><w:r><w:t>T</w:t>'
    '</w:r></w:p><w:p><w:pPr><w:numPr><w:ilvl w:val="0"/><w:numId w:val="7"/></w:numPr></w:pPr><w:r><w:t>item</w:t></w:r>'
    '<w:r><w:footnoteReference w:id="2"/></w:r></w:p><w:tbl><w:tr><w:tc><w:tcPr><w:gridSpan w:val="2"/><w:vMerge/></w:tcPr>'
    "<w:p><w:r><w:t>c</w:t></w:r></w:p></w:tc></w:tr></w:tbl></w:body></w:document>",
    "word/styles.xml": f'<w:styles {WORDPROCESSING}><w:style w:styleId="1"><w:name w:val="heading 1"/><w:basedOn '
    'w:val="1"/></w:style></w:styles>',
    "word/footnotes.xml": f'<w:footnotes {WORDPROCESSING}><w:footnote w:id="2"><w:p/></w:footnote></w:footnotes>',
}
INSERTS = (
    b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xef\xbf\xbf", b"\x1b[0m", b"\r", b"\x0c" * 9, b"\xe2\x80\xa8",
    b"&#xD800;", b"&#0;", b"&#99999999999;", b"&nbsp;", b"<![CDATA[", b"]]>", b"<!--", b"\\ud800", b'"', b"|||", b"-" * 3000,
    b"9" * 5000, b"1e999", b"-1", b"NaN", b"=" * 300, b"\n\n\n", b"%s%n", b"<?xml version='1.0' encoding='utf-16'?>",
    b"<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]>", b"&b;", b"../../../", b"{{<", b"[^1]:", b".. raw:: html\n   :file: /etc/passwd\n",
)  # fmt: skip
NESTS = (
    b"<div>",
    b"<b>",
    b"<table><tr><td>",
    b"<ul><li>",
    b"[",
    b'{"a":',
    b"> ",
    b"- ",
    b"* ",
    b"(",
    b"<p><font>",
    b"![",
    b"`",
)


class Hang(Exception):
    """An input took longer than an input may."""


def zipped(members: dict[str, str | bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


def tarred(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, data in members.items():
            about = tarfile.TarInfo(name)
            about.size = len(data)
            archive.addfile(about, io.BytesIO(data))
    return file.getvalue()


def made_seeds() -> dict[str, list[bytes]]:
    """Return small files of each format and of each way to pack files, by suffix."""
    table = pa.Table.from_pylist(ROWS)
    parquet, sheet = io.BytesIO(), io.BytesIO()
    pq.write_table(table, parquet)
    book = openpyxl.Workbook()
    for row in (("id", "text"), *((entry["id"], entry["text"]) for entry in ROWS)):
        book.worksheets[0].append(row)
    book.save(sheet)
    lines = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
    page = PAGE.encode()
    response = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + page
    record = (
        b"WARC/1.0\r\nWARC-Type: response\r\nWARC-Record-ID: <urn:uuid:00000000-0000-0000-0000-000000000001>\r\n"
        b"WARC-Target-URI: http://example.org/\r\nWARC-Date: 2020-01-01T00:00:00Z\r\n"
        b"Content-Type: application/http; msgtype=response\r\nContent-Length: %d\r\n\r\n%s\r\n\r\n"
        % (len(response), response)
    )
    return {
        "txt": [TEXT.encode(), TEXT.encode("gb18030"), TEXT.encode("utf-16")],
        "html": [page],
        "md": [MARKDOWN.encode()],
        "rst": [RST.encode()],
        "xml": [JATS.encode(), TEI.encode(), WIKI.encode()],
        "epub": [zipped(dict(EPUB))],
        "docx": [zipped(dict(DOCX))],
        "pdf": [made_pdf()],
        "jsonl": [lines],
        "json": [json.dumps(ROWS).encode()],
        "csv": [("id,text\n" + "".join(f'{row["id"]},"{row["text"]}"\n' for row in ROWS)).encode()],
        "tsv": [b"id\ttext\n1\tone\n2\ttwo\n"],
        "parquet": [parquet.getvalue()],
        "xlsx": [sheet.getvalue()],
        "warc": [record * 2],
        "zip": [zipped({"a.html": page, "b/c.jsonl": lines})],
        "tar": [tarred({"a.html": page, "b/c.jsonl": lines})],
        "txt.gz": [gzip.compress(TEXT.encode())],
        "txt.bz2": [bz2.compress(TEXT.encode())],
        "txt.xz": [lzma.compress(TEXT.encode())],
        "txt.zst": [zstandard.ZstdCompressor().compress(TEXT.encode())],
    }


def made_pdf() -> bytes:
    from reportlab.pdfgen.canvas import Canvas

    file = io.BytesIO()
    canvas = Canvas(file, pageCompression=0)
    for page in range(2):
        for place, line in enumerate(TEXT.splitlines()):
            canvas.drawString(72, 720 - 14 * place, f"{page} {line}".encode("ascii", "replace").decode())
        canvas.showPage()
    canvas.save()
    return file.getvalue()


def seeds(real: Path = REAL) -> dict[str, list[bytes]]:
    """Return the made seeds and up to eight small real files a format, those of the demo first."""
    found = made_seeds()
    for folder in (ROOT / "recipes" / "demo", real):
        by_suffix = collections.defaultdict(list)
        for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
            by_suffix[path.name.partition(".")[2].lower()].append(path)
        for suffix, paths in by_suffix.items():
            named = {"cnxml": "xml", "htm": "html", "warc.gz": "warc"}.get(suffix, suffix)
            for path in random.Random(suffix).sample(paths, min(8, len(paths))) if named in found else ():
                data = path.read_bytes()
                whole = named in ("epub", "docx", "pdf", "xlsx", "zip")
                found[named].append(data[: 10 * MAX_SEED_BYTES if whole else MAX_SEED_BYTES])
    return {suffix: data for suffix, data in found.items() if _format(suffix)}


def _format(suffix: str) -> bool:
    return suffix in SUFFIXES or suffix.split(".")[-1] in ("zip", "tar", "gz", "bz2", "xz", "zst")


def damaged(seed: bytes, other: bytes, draw: random.Random) -> bytes:
    """Return a file with one to four kinds of damage."""
    for _ in range(draw.randint(1, 4)):
        seed = draw.choice(DAMAGES)(seed, other, draw)
    return seed


def damaged_within(seed: bytes, other: bytes, draw: random.Random) -> bytes:
    """Damage one member of a zip file, or what a gzip file holds, and pack it again; other files as they are."""
    try:
        if seed.startswith(b"PK"):
            with zipfile.ZipFile(io.BytesIO(seed)) as archive:
                members: dict[str, str | bytes] = {name: archive.read(name) for name in archive.namelist()}
            name = draw.choice(sorted(members))
            body = members[name]
            assert isinstance(body, bytes)
            members[name] = damaged(body, other, draw)
            return zipped(members)
        if seed.startswith(b"\x1f\x8b"):
            return gzip.compress(damaged(gzip.decompress(seed), other, draw))
    except (zipfile.BadZipFile, OSError, EOFError):
        pass
    return damaged(seed, other, draw)


def _flipped(seed: bytes, other: bytes, draw: random.Random) -> bytes:
    data = bytearray(seed)
    for _ in range(draw.choice((1, 3, 30)) if data else 0):
        data[draw.randrange(len(data))] = draw.randrange(256)
    return bytes(data)


def _cut(seed: bytes, other: bytes, draw: random.Random) -> bytes:
    return seed[: draw.randrange(len(seed) + 1)]


def _spliced(seed: bytes, other: bytes, draw: random.Random) -> bytes:
    return seed[: draw.randrange(len(seed) + 1)] + other[draw.randrange(len(other) + 1) :]


def _without(seed: bytes, other: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(len(seed) + 1)
    return seed[:at] + seed[at + draw.randrange(1, 200) :]


def _repeated(seed: bytes, other: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(len(seed) + 1)
    block = seed[at : at + draw.choice((3, 40, 400))]
    return seed[:at] + block * draw.choice((2, 50, 1000 if len(block) < 50 else 50)) + seed[at:]


def _inserted(seed: bytes, other: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(len(seed) + 1)
    return seed[:at] + draw.choice(INSERTS) + seed[at:]


def _numbered(seed: bytes, other: bytes, draw: random.Random) -> bytes:
    numbers = list(re.finditer(rb"\d+", seed))
    if not numbers:
        return seed
    number = draw.choice(numbers)
    return seed[: number.start()] + draw.choice((b"0", b"-1", b"9" * 400, b"4294967296", b"1.5")) + seed[number.end() :]


def _nested(seed: bytes, other: bytes, draw: random.Random) -> bytes:
    tags = re.findall(rb"<[A-Za-z][^<>/]{0,40}>", seed)
    opening = draw.choice([*NESTS, *(tags[:50] or NESTS)])
    at = draw.randrange(len(seed) + 1)
    return seed[:at] + opening * draw.choice((10, 200, 300, 5000)) + seed[at:]


def _regrown(seed: bytes, other: bytes, draw: random.Random) -> bytes:
    """Change the tree of an XML file so that it stays well-formed: what byte damage hardly ever gives."""
    try:
        root = etree.fromstring(seed)
    except (etree.XMLSyntaxError, ValueError):
        return _flipped(seed, other, draw)
    for _ in range(draw.randint(1, 6)):
        elements = [element for element in root.iter() if isinstance(element.tag, str) and element is not root]
        if not elements:
            break
        one, two = draw.choice(elements), draw.choice(elements)
        match draw.randrange(5):
            case 0:
                one.getparent().remove(one)
            case 1 if one is not two:
                two.append(copy.deepcopy(one))
            case 2:
                one.tag = two.tag
            case 3 if one.attrib:
                one.attrib[draw.choice(sorted(one.attrib))] = draw.choice(("", "-1", "9" * 400, "²", "a b", "../x"))
            case _:
                one.text, one.tail = draw.choice((None, "", " ", "<&>", "9" * 999)), two.text
    return bytes(etree.tostring(root))


DAMAGES: tuple[Callable[[bytes, bytes, random.Random], bytes], ...] = (
    _flipped,
    _cut,
    _spliced,
    _without,
    _repeated,
    _inserted,
    _numbered,
    _nested,
    _regrown,
    _regrown,
)


def inputs(suffix: str, number: int, seed: int, files: list[bytes]) -> Iterator[bytes]:
    """Yield damaged files of a format, the same for the same seed."""
    draw = random.Random(f"{suffix} {seed}")
    for _ in range(number):
        make = draw.choice((damaged, damaged_within, damaged_within))
        yield make(draw.choice(files), draw.choice(files), draw)


def read(suffix: str, data: bytes, folder: Path) -> collections.Counter[str]:
    """Send one file through the work list and collect; count its rows by drop reason.

    Raises:
        Hang: it took more CPU than an input may.
        AssertionError: nothing accounts for the file, or a section lies outside of its text.
    """
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "source").mkdir(parents=True)
    (folder / "source" / f"file.{suffix}").write_bytes(data)
    card = SourceCard.model_validate(
        {
            "name": "fuzz",
            "origin": "tests",
            "licence": "CC0-1.0",
            "kind": "web",
            "checked": {"by": "tests", "on": "2026-11-20", "scope": "tests"},
            "path": "source",
            "format": suffix if suffix in SUFFIXES else None,
        }
    )
    config = CollectConfig()
    try:
        units = plan_source(card, folder, config, folder / "cache", folder / "scratch")
        rows = [row for unit in units for row in collect_unit(card, unit, config, folder / "cache").to_pylist()]
    except RecipeError as error:
        return collections.Counter(["recipe_error", *(["FAILED long message"] if "\n" in str(error) else [])])
    assert rows, "a file without a row"
    for row in rows:
        for section in row["sections"]:
            assert 0 <= section["start"] <= section["end"] <= len(row["text"]), section
    return collections.Counter(row["drop_reason"] or "read" for row in rows)


def fuzz(suffix: str, number: int, seed: int, keep: Path | None = None) -> tuple[collections.Counter[str], float]:
    """Read damaged files of a format; return the rows by drop reason, and the most CPU seconds that a file took.

    A file that fails is kept in a folder, if one is given, and counted as `FAILED` with the error's last line.
    """
    counts: collections.Counter[str] = collections.Counter()
    slowest = 0.0
    signal.signal(signal.SIGPROF, _hang)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for at, data in enumerate(inputs(suffix, number, seed, seeds()[suffix])):
            began = time.process_time()
            signal.setitimer(signal.ITIMER_PROF, MAX_CPU_SECONDS)
            try:
                counts.update(read(suffix, data, Path(folder) / "work"))
            except Exception as error:
                signal.setitimer(signal.ITIMER_PROF, 0)
                where = traceback.extract_tb(error.__traceback__)[-1]
                counts[f"FAILED {type(error).__name__} {where.filename.rpartition('/')[2]}:{where.lineno}"] += 1
                if keep is not None:
                    keep.mkdir(parents=True, exist_ok=True)
                    (keep / f"{at}.{suffix}").write_bytes(data)
                    (keep / f"{at}.{suffix}.error").write_text("".join(traceback.format_exception(error)))
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)
            slowest = max(slowest, time.process_time() - began)
    return counts, slowest


def _hang(*_: object) -> None:
    raise Hang(f"more than {MAX_CPU_SECONDS} s of CPU")


def _report(suffix: str, number: int, seed: int) -> None:
    counts, slowest = fuzz(suffix, number, seed, keep=Path("/tmp/fuzz") / suffix)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{suffix}: {number} files, slowest {slowest:.2f} s, peak {peak:.0f} MiB, {dict(counts.most_common())}",
        flush=True,
    )


def main() -> None:
    number = int(sys.argv[1])
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    for suffix in sys.argv[3:] or seeds():
        process = multiprocessing.get_context("fork").Process(target=_report, args=(suffix, number, seed))
        process.start()
        process.join()
        if process.exitcode:
            print(f"{suffix}: FAILED, the process ended with {process.exitcode}", flush=True)


if __name__ == "__main__":
    main()
