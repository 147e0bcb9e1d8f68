import io
import zipfile

import pytest

from pipeline.readers.docx import read_docx
from pipeline.readers.items import Refused

NAMESPACE = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
STYLES = f"""<w:styles {NAMESPACE}><w:style w:type="paragraph" w:styleId="1"><w:name w:val="heading 1"/></w:style>
<w:style w:type="paragraph" w:styleId="Mine"><w:name w:val="Mine"/><w:basedOn w:val="1"/><w:pPr>
<w:outlineLvl w:val="1"/></w:pPr></w:style>
<w:style w:type="paragraph" w:styleId="Cap"><w:name w:val="caption"/></w:style>
<w:style w:type="paragraph" w:styleId="T1"><w:name w:val="toc 1"/></w:style></w:styles>"""
NUMBERING = f"""<w:numbering {NAMESPACE}><w:abstractNum w:abstractNumId="0"><w:lvl w:ilvl="0">
<w:numFmt w:val="decimal"/></w:lvl><w:lvl w:ilvl="1"><w:numFmt w:val="bullet"/></w:lvl></w:abstractNum>
<w:num w:numId="7"><w:abstractNumId w:val="0"/></w:num></w:numbering>"""
NOTES = f"""<w:footnotes {NAMESPACE}><w:footnote w:id="2"><w:p><w:r><w:t>After meals.</w:t></w:r></w:p></w:footnote>
</w:footnotes>"""


def paragraph(*runs: str, style: str = "", level: int | None = None) -> str:
    numbered = f'<w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="7"/></w:numPr>' if level is not None else ""
    body = "".join(run if run.startswith("<") else f"<w:r><w:t>{run}</w:t></w:r>" for run in runs)
    return f'<w:p><w:pPr><w:pStyle w:val="{style}"/>{numbered}</w:pPr>{body}</w:p>'


def cell(text: str, properties: str = "") -> str:
    return f"<w:tc><w:tcPr>{properties}</w:tcPr>{paragraph(text)}</w:tc>"


def docx(*body: str, **parts: str) -> bytes:
    members = {
        "document": f"<w:document {NAMESPACE}><w:body>{''.join(body)}</w:body></w:document>",
        "styles": STYLES,
        "numbering": NUMBERING,
        "footnotes": NOTES,
    }
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, text in (members | parts).items():
            archive.writestr(f"word/{name}.xml", text)
    return file.getvalue()


def test_headings_lists_tables_and_notes_are_laid_out() -> None:
    merged, wide = '<w:vMerge w:val="restart"/>', '<w:gridSpan w:val="2"/>'
    table = (
        f"<w:tbl><w:tr>{cell('Drug')}{cell('Dose (mg)')}</w:tr>"
        f"<w:tr>{cell('A', merged)}{cell('1')}</w:tr>"
        f"<w:tr>{cell('', '<w:vMerge/>')}{cell('2')}</w:tr><w:tr>{cell('none', wide)}</w:tr></w:tbl>"
    )
    item = next(
        read_docx(
            docx(
                paragraph("Gout 3", style="T1"),
                paragraph("Gout", style="1"),
                paragraph("Take it", '<w:r><w:footnoteReference w:id="2"/></w:r>', " daily."),
                paragraph("Doses", style="Mine"),
                paragraph("first", level=0),
                paragraph("within", level=1),
                paragraph("second", level=0),
                paragraph("Table 1. Doses", style="Cap"),
                table,
            )
        )
    )
    assert item.title == "Gout"
    assert item.text.split("\n\n") == [
        "Gout",
        "Take it daily.",
        "After meals.",
        "Doses",
        "1. first\n- within\n2. second",
        "Table 1. Doses\nDrug | Dose (mg)\nA | 1\nA | 2\nnone |",
    ]
    assert [section["heading"] for section in item.sections] == ["Gout", "Doses"]


@pytest.mark.parametrize(
    ("runs", "text"),
    [
        (["<w:del><w:r><w:delText>old</w:delText></w:r></w:del>", "<w:ins><w:r><w:t>new</w:t></w:r></w:ins>"], "new"),
        (["seen", "<w:r><w:rPr><w:vanish/></w:rPr><w:t>hidden</w:t></w:r>"], "seen"),
        (["10", '<w:r><w:rPr><w:vertAlign w:val="superscript"/></w:rPr><w:t>9</w:t></w:r>', "/L"], "10⁹/L"),
        (["a", "<w:r><w:tab/><w:t>b</w:t><w:br/><w:t>c</w:t></w:r>"], "a b\nc"),
        (
            [
                "<w:r><w:instrText>HYPERLINK x</w:instrText></w:r>",
                "<w:hyperlink><w:r><w:t>link</w:t></w:r></w:hyperlink>",
            ],
            "link",
        ),
    ],
)
def test_a_paragraph_is_what_a_reader_sees(runs: list[str], text: str) -> None:
    assert next(read_docx(docx(paragraph(*runs)))).text == text


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "encrypted"),
        (b"PK no zip", "unreadable"),
        (docx(document="<a><b></a>"), "unreadable"),
        (docx(styles="<a>" * 300 + "</a>" * 300), "unreadable"),
    ],
)
def test_what_is_no_document_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(Refused) as refused:
        list(read_docx(data))
    assert refused.value.reason == reason
