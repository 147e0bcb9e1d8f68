"""Measure the recognisers of personal data: recall on planted items by type, what they find in real files, and speed.

    python -m benchmarks.bench_privacy ../shared/data [--list]

Files are read as bytes and decoded as UTF-8 or GB18030, without their reader, so that nothing is hidden by one;
compressed and binary ones are left out. With --list every finding is printed with the text around it, to be judged.
"""

import argparse
import time
from collections import Counter
from pathlib import Path

from pipeline.privacy import MARKS, find_personal_data
from tests.planted import planted

ITEMS = 1000
BINARY = (".gz", ".xz", ".bz2", ".zst", ".zip", ".tar", ".parquet", ".xlsx", ".epub", ".docx", ".pdf")
CHUNK_CHARS = 2000  # as long as a passage, so that the speed is that of passages


def recall(type: str) -> float:
    """Return the share of planted items of a type of which every letter and digit is found."""
    found = 0
    for item in planted(type, items=ITEMS, seed=1):
        covered = {place for one in find_personal_data(item.text) for place in range(one.start, one.end)}
        found += all(place in covered for place in range(item.start, item.end) if item.text[place].isalnum())
    return found / ITEMS


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    print("| type | recall |\n|---|---|")
    for type in MARKS:
        print(f"| {type} | {recall(type):.3f} |", flush=True)
    findings: Counter[tuple[str, str]] = Counter()
    size, seconds = 0, 0.0
    for path in sorted(path for path in options.folder.rglob("*") if path.is_file() and path.suffix not in BINARY):
        raw = path.read_bytes()
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError:
            text = raw.decode("gb18030", "replace")
        chunks = [text[start : start + CHUNK_CHARS] for start in range(0, len(text), CHUNK_CHARS)]
        started = time.process_time()
        found = [find_personal_data(chunk) for chunk in chunks]
        seconds += time.process_time() - started
        size += len(raw)
        name = "/".join(path.relative_to(options.folder).parts[:2])
        for chunk, items in zip(chunks, found, strict=True):
            for item in items:
                findings[name, item.type] += 1
                if options.list:
                    around = chunk[max(0, item.start - 25) : item.end + 15].replace("\n", " ")
                    print(f"{name}\t{item.type}\t{chunk[item.start : item.end]}\t{around}")
    print(f"\n{size / 1e6:.1f} MB at {size / seconds / 1e6:.0f} MB/s\n\n| files | type | found |\n|---|---|---|")
    for (name, type), count in sorted(findings.items()):
        print(f"| {name} | {type} | {count} |")


if __name__ == "__main__":
    main()
