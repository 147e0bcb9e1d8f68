from pathlib import Path

import pytest

from pipeline.readers.rst import read_rst

PAGE = """PEP: 1
Title: A ``list`` of things
Created: 20-May-2019

First
=====

.. include:: /etc/hostname
.. raw:: html

   <b>raw</b>

.. csv-table:: T
   :file: /etc/hostname

See :pep:`8` and :func:`the call <a.b>`, 10\\ :sup:`9` times [1]_,
as **said**.

.. versionadded:: 3.2
   It was *added*.

.. toctree::
   hidden

Deeper
------

* one

  - within
* two

#. first

term
  meaning

.. table:: Doses (mg)

   ==== ====
   Drug Dose
   ==== ====
   A    1
   ==== ====

| verse a
| verse b

::

   code
     more

.. [1] A note.
"""


def test_rst_reads_as_plain_text_and_no_directive_fetches() -> None:
    item = next(read_rst(PAGE.encode()))
    assert (item.title, item.published) == ("A list of things", "20-May-2019")
    assert [section["heading"] for section in item.sections] == ["First", "Deeper"]
    assert item.text.split("\n\n") == [
        "First",
        "See PEP 8 and the call, 10⁹ times , as said.",
        "3.2",
        "It was added.",
        "Deeper",
        "- one\n- within\n- two",
        "1. first",
        "- term: meaning",
        "Doses (mg)\nDrug | Dose\nA | 1",
        "verse a\nverse b",
        "code\n  more",
        "A note.",
    ]


@pytest.mark.parametrize("text", ["x" * 20_000, "a :ref:`b " * 3000, "=\n" * 50])
def test_long_lines_and_odd_titles_keep_their_text(text: str) -> None:
    assert len(next(read_rst(text.encode())).text) >= 0.4 * len(text)


def test_real_documents_keep_nearly_all_their_words(real_data: Path) -> None:
    paths = sorted((real_data / "nonmedical" / "peps_en_rst").glob("*.rst"))[:12]
    assert paths
    for path in paths:
        item = next(read_rst(path.read_bytes()))
        assert item.title
        assert item.published
        assert len(item.sections) >= 2
        assert len(item.text) > 0.6 * len(path.read_text(encoding="utf-8"))
        assert ".. " not in item.text[:2000]
