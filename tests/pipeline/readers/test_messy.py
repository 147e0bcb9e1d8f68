"""Hostile files with truths: collected text equals that of the source, up to white space.

The normalisation removes every white space. That is what a wrapped or paged file has changed, and all that it has: page
furniture and hyphens at line ends, which the samples' makers put in, are the reader's to take out.
"""

import hashlib
import json
from pathlib import Path

import pytest

from pipeline.collect import collect_unit
from pipeline.recipe import SourceCard
from pipeline.worklist import CollectConfig, plan_source

TRUE_TEXT = (
    "1_encoding/gb18030_real.txt",
    "1_encoding/utf16le_nobom.txt",
    "2_bom/utf16le_bom.txt",
    "2_bom/utf8_bom.txt",
    "3_mixed/gbk_then_utf8.txt",
    "6_ocr_broken/hyphenated_paged_en.txt",
    "6_ocr_broken/wrapped_20_zh.txt",
    "7_containers/nursing_en.pdf",
    "8_compressed/tcm_gbk.txt.zst",
)
REFUSED = {"3_mixed/mojibake_utf8_as_gbk.txt": "mojibake"}


@pytest.mark.parametrize("name", TRUE_TEXT)
def test_the_text_of_a_hostile_file_is_that_of_its_source(name: str, real_data: Path, tmp_path: Path) -> None:
    (document,) = collected(name, real_data, tmp_path)
    assert document["drop_reason"] is None
    assert without_space_hash(document["text"]) == truth(name, real_data)


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_cannot_be_had_back_is_refused_and_says_so(name: str, real_data: Path, tmp_path: Path) -> None:
    (document,) = collected(name, real_data, tmp_path)
    assert document["drop_reason"] == REFUSED[name]
    assert "characters are lost" in document["drop_detail"]


def collected(name: str, real_data: Path, folder: Path) -> list[dict[str, object]]:
    path = real_data / "messy" / name
    checked = {"by": "tests", "on": "2026-11-20", "scope": "tests"}
    fields = {"name": "messy", "origin": "tests", "licence": "CC0-1.0", "kind": "books"}
    card = SourceCard.model_validate(fields | {"checked": checked, "path": str(path)})
    config = CollectConfig()
    units = plan_source(card, path.parent, config, folder / "cache", folder / "scratch")
    return [row for unit in units for row in collect_unit(card, unit, config, folder / "cache").to_pylist()]


def truth(name: str, real_data: Path) -> str:
    """Return the hash, without white space, of the text that the manifest gives the hash of."""
    lines = (real_data / "messy" / "MANIFEST.jsonl").read_text().splitlines()
    entry = next(entry for entry in map(json.loads, lines) if entry["file"] == name)
    sources = [decoded(real_data / part) for part in entry["source"].split("+")]
    for text in ("\n\n".join(sources), " ".join(sources[0].split()), "".join(sources[0].split())):
        start = text.find(entry["truth_head"])
        whole = text[start : start + entry["truth_chars"]]
        if hashlib.sha256(whole.encode()).hexdigest() == entry["truth_sha256_utf8"]:
            return without_space_hash(whole)
    raise AssertionError(f"{name}: the truth is not in its source")


def decoded(path: Path) -> str:
    encoding = "gb18030" if "gb18030" in path.parts[-2] else "latin-1" if path.stem.endswith("-8") else "utf-8"
    return path.read_bytes().decode(encoding)


def without_space_hash(text: object) -> str:
    return hashlib.sha256("".join(str(text).split()).encode()).hexdigest()
