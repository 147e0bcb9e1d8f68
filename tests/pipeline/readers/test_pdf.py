import io
from collections.abc import Callable
from pathlib import Path

import pypdf
import pytest
from PIL import Image
from reportlab.lib.pagesizes import A4
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from pipeline.readers.items import Item, Refused
from pipeline.readers.pdf import is_garbled, read_pdf

Draw = Callable[[Canvas], None]
PROSE = (
    "the heart beats faster in fever and slower in sleep",
    "blood carries oxygen from the lungs to every organ",
    "kidneys filter the blood and return what is needed",
    "the liver changes drugs so that they can be passed",
    "nerves carry signals between the brain and muscles",
    "bones store calcium and give it back when it lacks",
    "the skin keeps water in and most germs out of body",
    "muscles need sugar and oxygen to do any hard work",
    "sleep lets the brain sort what it saw in one day",
    "vaccines teach the body to know a germ before harm",
)


def pdf(*pages: Draw) -> bytes:
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=A4)
    for draw in pages:
        draw(canvas)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def prose(first: int, head: str = "", foot: str = "") -> Draw:
    """Draw a page of wrapped lines, each of other words, with a head and a foot."""

    def draw(canvas: Canvas) -> None:
        canvas.setFont("Helvetica", 10)
        canvas.drawString(72, 810, head)
        for row in range(10):
            canvas.drawString(72, 780 - 12 * row, f"{PROSE[(first + row) % 10]} {'abcdefghij'[first]}")
        canvas.drawString(290, 30, foot)

    return draw


def picture(canvas: Canvas) -> None:
    canvas.drawImage(ImageReader(Image.new("L", (8, 8))), 72, 72, 400, 600)


def read(data: bytes) -> tuple[Item, list[Item]]:
    document, *refused = read_pdf(data)
    return document, refused


def test_a_page_is_joined_to_the_next_without_heads_and_numbers() -> None:
    document, refused = read(pdf(*(prose(page, head="Manual of Medicine", foot=str(page + 1)) for page in range(4))))
    assert not refused
    assert "Manual" not in document.text
    words = [f"{PROSE[(first + row) % 10]} {'abcdefghij'[first]}" for first in range(4) for row in range(10)]
    assert document.text.split() == " ".join(words).split()
    assert document.sections[0]["page"] == 1


def test_headings_are_told_by_the_size_of_their_letters_and_pages_by_number() -> None:
    def chapter(number: int) -> Draw:
        def draw(canvas: Canvas) -> None:
            canvas.setFont("Helvetica-Bold", 16)
            canvas.drawString(72, 800, f"{PROSE[number].split()[0]} and {PROSE[number].split()[-1]}")
            prose(number)(canvas)
            canvas.drawString(72, 640, f"{'a last' if number == 1 else 'the final'} sentence, after a gap.")

        return draw

    document, _ = read(pdf(chapter(1), chapter(2)))
    headings = [(section["heading"], section["page"]) for section in document.sections if section["heading"]]
    assert headings == [("blood and organ", 1), ("kidneys and needed", 2)]
    assert "\n\na last sentence, after a gap.\n\n" in document.text
    pages = {section["page"] for section in document.sections if not section["heading"]}
    assert pages == {1, 2}


@pytest.mark.parametrize("by_column", [True, False])
def test_two_columns_are_read_one_after_the_other_however_they_were_drawn(by_column: bool) -> None:
    def draw(canvas: Canvas) -> None:
        canvas.setFont("Helvetica", 9)
        places = [(column, row) for column in (0, 1) for row in range(10)]
        for column, row in places if by_column else sorted(places, key=lambda place: place[1]):
            canvas.drawString(60 + 260 * column, 700 - 12 * row, f"{PROSE[row]} {'LR'[column]}")

    document, _ = read(pdf(draw))
    words = [f"{PROSE[row]} {side}" for side in "LR" for row in range(10)]
    assert document.text.split() == " ".join(words).split()


def test_a_table_of_two_columns_is_read_by_rows() -> None:
    def draw(canvas: Canvas) -> None:
        for row in range(10):
            canvas.drawString(60, 700 - 14 * row, f"drug {row}")
            canvas.drawString(320, 700 - 14 * row, f"{row} mg")

    document, _ = read(pdf(draw))
    assert document.text.split() == " ".join(f"drug {row} {row} mg" for row in range(10)).split()


def test_each_refused_page_is_a_row_beside_the_document_of_the_others() -> None:
    document, refused = read(pdf(prose(0), picture, lambda canvas: None, prose(3)))
    assert [(item.native, item.drop_reason) for item in refused] == [("page-2", "no_text_layer")]
    assert "MinerU or PaddleOCR" in (refused[0].drop_detail or "")
    assert {section["page"] for section in document.sections} == {1, 4}


def test_a_file_without_any_text_is_refused_with_advice() -> None:
    with pytest.raises(Refused, match=r"^no_text_layer: 2 of 3 pages; run MinerU or PaddleOCR"):
        list(read_pdf(pdf(picture, picture, lambda canvas: None)))
    with pytest.raises(Refused, match=r"^empty: 1 blank pages"):
        list(read_pdf(pdf(lambda canvas: None)))


@pytest.mark.parametrize("garbled", ["(cid:12)(cid:7)(cid:99)" * 20, "\ufffd" * 60, "xqzt vbnm rtpq wsdf ghjk " * 12])
def test_characters_that_mean_nothing_are_told_from_text(garbled: str) -> None:
    assert is_garbled("".join(garbled.split()))
    assert not is_garbled("".join(" ".join(PROSE).split()))
    assert not is_garbled("高血压患者应定期测量血压" * 20)


def test_a_page_of_letters_that_make_no_words_is_refused() -> None:
    data = pdf(lambda canvas: canvas.drawString(72, 700, "xqzt vbnm rtpq wsdf ghjk " * 12))
    with pytest.raises(Refused, match=r"^garbled_fonts: 1 of 1 pages"):
        list(read_pdf(data))


def encrypted(password: str) -> bytes:
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(pdf(prose(0))))
    writer.encrypt(user_password=password, owner_password="owner", algorithm="RC4-128")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def test_a_password_refuses_a_file_unless_it_is_empty() -> None:
    assert PROSE[0] in read(encrypted(""))[0].text
    with pytest.raises(Refused, match=r"^encrypted"):
        list(read_pdf(encrypted("secret")))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"%PDF-1.7\n",
        b"%PDF-1.7\n" + b"<<" * 5000,
        pdf(prose(0))[:900],
        b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[2 0 R]/Count 9>>endobj\n"
        b"trailer<</Root 1 0 R>>",
    ],
)
def test_broken_files_and_loops_are_refused(data: bytes) -> None:
    with pytest.raises(Refused, match=r"^(?:unreadable|empty)"):
        list(read_pdf(data))


def test_a_real_book_of_broken_lines_is_read(real_data: Path) -> None:
    document, refused = read((real_data / "messy" / "7_containers" / "nursing_en.pdf").read_bytes())
    assert not refused
    assert "Running head" not in document.text
    assert "-\n" not in document.text
    assert len(document.text) > 19_000
