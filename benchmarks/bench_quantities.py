"""Checks on quantities, measured on the passages of ../shared/data: false alarms and what they find of what is broken.

For each passage (1,000 characters) some sentences in a row are quoted. `quoted` are these as they stand; `reworded` the
same with every quantity written otherwise (breaking.reword), `numbers alone` its numbers with next to nothing beside
them, shuffled, as the worst that a paraphrase can do. Of each, copies with one fact changed. Any alarm on the first is
false; on a broken copy it is right, whichever of the four checks gives it.

    python -m benchmarks.bench_quantities --share 0.3
"""

import argparse
import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

from benchmarks import breaking
from pipeline.sentences import split_sentences
from unify import checks

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
BREAKERS = (breaking.break_number, breaking.break_unit, breaking.break_frequency, breaking.break_dose)
CHECKS = (checks.ungrounded_number, checks.wrong_unit, checks.wrong_frequency, checks.wrong_dose)
TEXTS = {
    "classical": ("books/tcm_gb18030/*.txt", "gb18030"),
    "zh": ("web/mtf_wiki_zh_md/*", "utf8"),
    "zh recipes": ("nonmedical/howtocook_zh_md/*", "utf8"),
    "zh abstracts": ("literature/csl_zh/*", "utf8"),
    "en": ("encyclopedia/medquad/*/*.xml", "utf8"),
    "en drugs": ("books/openstax_pharmacology_cnxml/**/*.cnxml", "utf8"),
}


def passages(share: float, random: Random) -> Iterator[tuple[str, str]]:
    """Yield a share of all passages, each with the name of its set."""
    for name, (pattern, encoding) in TEXTS.items():
        for file in sorted(DATA.glob(pattern)):
            text = re.sub(r"<[^<>]*>", " ", file.read_text(encoding, errors="replace"))
            for start in range(0, len(text), 1000):
                if random.random() < share:
                    yield name, text[start : start + 1000]


def alarms(answer: str, passage: str) -> list[str]:
    """Name the checks that reject an answer."""
    return [check.__name__ for check in CHECKS if check(answer, passage)]


def ways(quoted: str, random: Random) -> list[tuple[str, str | None]]:
    """Return the ways in which an answer can say what it quotes."""
    reworded, alone = breaking.reword(quoted, random), breaking.alone(quoted, random)
    return [("quoted", quoted), ("reworded", reworded), ("numbers alone", alone)]


def main() -> None:
    """Print the two tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--share", type=float, default=1.0)
    share, random = parser.parse_args().share, Random(0)
    true, false, broken, found = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    for name, passage in passages(share, random):
        sentences = split_sentences(passage, "en" if name.startswith("en") else "zh-Hans")
        if not sentences:
            continue
        first = random.randrange(len(sentences))
        last = min(len(sentences) - 1, first + random.randrange(4))
        quoted = passage[sentences[first][0] : sentences[last][1]]
        for way, answer in ways(quoted, random):
            if answer is None:
                continue
            true[f"{name} | {way}"] += 1
            false[f"{name} | {way}"] += bool(alarms(answer, passage))
            for breaker in BREAKERS:
                other = breaker(answer, random)
                if other is not None and other not in passage:
                    kind = f"{name.split()[0]} | {way} | {breaker.__name__[6:]}"
                    broken[kind] += 1
                    found[kind] += bool(alarms(other, passage))
    print("| set | answers | n | false alarms |\n|---|---|---|---|")
    for key, n in true.items():
        print(f"| {key} | {n:,} | {false[key]} ({false[key] / n:.2%}) |")
    print("\n| language | answers | broken | n | found |\n|---|---|---|---|---|")
    for key, n in sorted(broken.items()):
        print(f"| {key} | {n:,} | {found[key] / n:.3f} |")
    abstracts = json.loads((DATA / "literature/pubmedqa/ori_pqal.json").read_text("utf8")).values()
    pairs = [(pair["LONG_ANSWER"], "\n".join([pair["QUESTION"], *pair["CONTEXTS"]])) for pair in abstracts]
    start = time.process_time()
    rejected = [alarms(answer, context) for answer, context in pairs]
    seconds = time.process_time() - start
    size = sum(len(text.encode()) for pair in pairs for text in pair) / 1e6
    print(
        f"\npubmedqa: {sum(map(bool, rejected))} of {len(pairs)} conclusions rejected beside their abstracts, "
        f"{Counter(reason for reasons in rejected for reason in reasons)}; {size / seconds:.1f} MB/s read"
    )


if __name__ == "__main__":
    main()
