"""Measure the checks: false alarms on true pairs, and of broken ones the share that is found, by class and language.

    python -m benchmarks.bench_checks ../shared/data [--part look] [--list REASON]

True pairs stand in public sets. English: PubMedQA (the question, the abstract without its conclusion, the conclusion),
MedQuAD (a question, its answer, all answers of its page). Chinese: CMExam (a stem, its explanation, the stem completed
by the right option), Toyhom (a patient's question, the doctor's reply quoted). For doses and warnings, of which these
have few, sections of OpenStax Pharmacology and MtF-wiki are quoted; their question is made of the heading. Each pair is
judged as one that a model wrote about the passage. Documents, and the drugs put in the place of others, are split by a
hash: rules were looked at with `--part look`, and what is reported is of the other half (`--part report`, the default).
"""

import argparse
import csv
import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from xml.etree import ElementTree

import openpyxl

from benchmarks import breaking, breaking_words
from pipeline.records import text_hash
from unify.checks.names import names_in
from unify.checks.verdict import Subject, judge_answer, judge_question
from unify.request import RewriteConfig

LIMITS = RewriteConfig(min_answer_chars=10)  # of exams many a true answer is shorter than what rewriting asks for
PAIRS = 400  # a set, at most
CNXML = "{http://cnx.rice.edu/cnxml}"
OPENING = re.compile(
    r"It|This|These|They|Also|However|In addition|Other|其|这|该|本|此|它|[-|#>]|\d"
)  # lean on what is before
# Words by which an author speaks of his own study: such a conclusion stands alone for no reader.
OWN_STUDY = re.compile(r"\b(?:we|our|this|these|those|study|present|series|findings|results|patient)\b", re.IGNORECASE)
# Which reasons of verdict.py are meant for a class.
MEANT = {
    "number": {"ungrounded_number", "wrong_dose", "wrong_unit"},
    "unit": {"wrong_unit", "ungrounded_number", "wrong_dose"},
    "dose": {"wrong_dose", "ungrounded_number", "wrong_unit"},
    "frequency": {"wrong_frequency", "wrong_dose", "ungrounded_number"},
    "drug": {"foreign_drug", "swapped_name", "wrong_dose"},  # a dose of another drug
    "disease": {"foreign_disease", "swapped_name"},
    "polarity": {"turned_round"},
    "dropped qualifier": {"dropped_qualifier"},
    "leak": {"leak"},
    "other's answer": {"low_support", "unsupported_sentence", "off_question", "foreign_drug", "foreign_disease"},
    "cut": {"cut_off"},
    "wrong language": {"wrong_language"},
    "dangling": {"not_standalone"},
}


@dataclass(frozen=True)
class TruePair:
    """A true pair beside its passage."""

    source: str
    document: str
    language: str
    question: str
    answer: str
    text: str
    title: str = ""

    @property
    def subject(self) -> Subject:
        """The passage as the checks see it."""
        return Subject(self.text, self.title, (), self.language, self.language, LIMITS)


def pubmedqa(folder: Path) -> Iterator[TruePair]:
    """Read abstracts whose conclusion is the answer; those that speak of their own study are left out."""
    for id, row in json.loads((folder / "literature/pubmedqa/ori_pqal.json").read_text()).items():
        if not OWN_STUDY.search(row["LONG_ANSWER"]):
            yield TruePair("pubmedqa", id, "en", row["QUESTION"], row["LONG_ANSWER"], "\n".join(row["CONTEXTS"]))


def medquad(folder: Path) -> Iterator[TruePair]:
    """Read pages of questions and answers; the passage is a page's answers in a row."""
    for path in sorted((folder / "encyclopedia/medquad").rglob("*.xml")):
        page = ElementTree.parse(path).getroot()
        pairs = [
            (" ".join((one.findtext("Question") or "").split()), " ".join((one.findtext("Answer") or "").split()))
            for one in page.iter("QAPair")
        ]
        text = "\n".join(answer for _, answer in pairs)
        for question, answer in pairs[:2]:
            if 80 < len(answer) < 1500 and len(text) < 6000 and answer[-1] == ".":
                question = question.replace("(are)", "").replace(" ?", "?")
                yield TruePair("medquad", path.stem, "en", question, answer, text, page.findtext("Focus") or "")


def cmexam(folder: Path) -> Iterator[TruePair]:
    """Read exam items whose stem the right option completes; the passage is the explanation without its marks."""
    (path,) = (folder / "eval/zh").glob("*.xlsx")
    rows = openpyxl.load_workbook(path, read_only=True).active.iter_rows(min_row=2, values_only=True)
    for stem, options, key, explanation in rows:
        right = dict(re.findall(r"([A-E]) (.+?)(?=\\n|$)", options or "")).get(key or "")
        if not right or not re.search(r"[是为于]$", stem) or re.search(r"下列|以下|不|错|除|岁|哪|患者|[A-Za-z]", stem):
            continue
        text = re.sub(r"[（(][A-E、]*[对错][^）)]*[）)]", "", explanation or "")
        if 40 < len(text) < 2000 and len(stem + right) > 14 and "以上" not in right:
            yield TruePair("cmexam", text_hash(stem), "zh", stem + "什么？", f"{stem}{right}。", text)


def toyhom(folder: Path) -> Iterator[TruePair]:
    """Read patients' questions and doctors' replies; the reply is the passage, too."""
    (path,) = (folder / "sft/toyhom_zh").glob("*.csv")
    for row in csv.DictReader(path.read_text("gb18030").splitlines()):
        if 60 < len(row["answer"]) < 600 and row["answer"][-1] == "。" and 8 < len(row["title"]) < 60:
            reply = row["answer"]
            yield TruePair("toyhom", text_hash(reply), "zh", row["title"], reply, reply, row["title"])


def openstax(folder: Path) -> Iterator[TruePair]:
    """Read paragraphs that name a drug, beside those of their section."""
    for path in sorted((folder / "books/openstax_pharmacology_cnxml").rglob("*.cnxml")):
        for section in ElementTree.parse(path).getroot().iter(f"{CNXML}section"):
            title = (
                "".join(section.find(f"{CNXML}title").itertext()) if section.find(f"{CNXML}title") is not None else ""
            )
            paragraphs = [" ".join("".join(one.itertext()).split()) for one in section.findall(f"{CNXML}para")]
            for answer in paragraphs[:4]:
                drug = any(name.kind == "drug" for name in names_in(answer))
                if (
                    drug
                    and 100 < len(answer) < 1500
                    and not re.search(r"table|figure|\bthis (?:chap|sec)", answer, re.I)
                ):
                    text = "\n".join(paragraphs)[:6000]
                    if answer in text and not OPENING.match(answer):
                        yield TruePair(
                            "openstax", path.stem, "en", f"What should be known about {title}?", answer, text, title
                        )


def mtf_wiki(folder: Path) -> Iterator[TruePair]:
    """Read paragraphs of drug monographs, beside the page around them."""
    for path in sorted((folder / "web/mtf_wiki_zh_md").glob("medicine__*.md")):
        page = re.sub(r"<[^>]+>|\{\{.*?\}\}|\]\([^)]*\)|[\[\]*`]", "", path.read_text().split("---", 2)[-1])
        title = (re.search(r"title: *(.+)", path.read_text()) or ["", ""])[1].strip("\"'")
        blocks = [" ".join(block.split()) for block in re.split(r"\n\s*\n|\n#+ .*", page)]
        for number, answer in enumerate(blocks):
            if 40 < len(answer) < 900 and answer[-1] == "。" and not OPENING.match(answer):
                text = "\n".join(blocks[max(0, number - 3) : number + 4])
                yield TruePair("mtf_wiki", path.stem, "zh", f"关于{title}，应当了解什么？", answer, text, title)


def other_drugs(folder: Path, language: str) -> list[str]:
    """List drugs by the options of exam items that ask for one, so that no list of the checks has a say."""
    names: Counter[str] = Counter()
    if language == "zh":
        (path,) = (folder / "eval/zh").glob("*.xlsx")
        for stem, options, *_ in openpyxl.load_workbook(path, read_only=True).active.iter_rows(
            min_row=2, values_only=True
        ):
            if re.search(r"(?:首选|药物|药)[是为]?$", stem or "") and not re.search(r"机制|作用|反应|种类|类药", stem):
                names.update(re.findall(r"[A-E] ([一-鿿]{3,7})(?=\\n|$)", options or ""))
        no_drug = r"药|剂|类|疗|手术|以上|治|穴|生物|寄生虫|穿刺|加减|[合与]|静滴|肌注|激素|脊髓|抗体|[碘苯]噻?碱羟"
        return sorted(name for name in names if not re.search(no_drug, name))
    for path in sorted((folder / "eval/en").glob("*.jsonl")):
        for line in path.read_text().splitlines():
            row = json.loads(line)
            if re.search(
                r"drug of choice|which (?:of the following )?drugs?\b|best (?:drug|medication)",
                str(row.get("question", "")),
                re.I,
            ):
                names.update(
                    re.findall(r"^[A-Z]?[a-z]{6,}$", "\n".join(map(str, dict(row.get("options", {})).values())), re.M)
                )
    return sorted(name.lower() for name in names - Counter(MISSPELT))


MISSPELT = [
    "esctilaopram",
    "fludrabine",
    "leftunomide",
    "leviteracetam",
    "seraline",
    "pirenzipine",
    "lymphangioma",
    "calcium",
    "rovamycin",
]
OTHER_DISEASES = {
    "zh": [
        "甲状腺癌",
        "肺炎",
        "胃溃疡",
        "白血病",
        "红斑狼疮",
        "青光眼",
        "肾炎",
        "百日咳",
        "癫痫",
        "阑尾炎",
        "结膜炎",
        "骨质疏松",
        "肝硬化",
        "帕金森病",
        "银屑病",
    ],
    "en": [
        "pneumonia",
        "gout",
        "epilepsy",
        "appendicitis",
        "glaucoma",
        "cirrhosis",
        "psoriasis",
        "asthma",
        "endometriosis",
        "pancreatitis",
    ],
}


def broken(
    pair: TruePair, others: list[TruePair], drugs: dict[str, list[str]], random: Random
) -> Iterator[tuple[str, str]]:
    """Yield what each class makes of a pair's answer, where it applies."""
    text, language = pair.answer, pair.language
    names = names_in(text)
    drug_spans = [name.span for name in names if name.kind == "drug"]
    disease_spans = [name.span for name in names if name.kind == "disease"]
    synonyms = {same for name in names for same in name.same}  # a drug by another name of its own is no fault
    unlike = [other for other in others if other.document != pair.document]
    made = {
        "number": breaking.break_number(text, random),
        "unit": breaking.break_unit(text, random),
        "dose": breaking.break_dose(text, random),
        "frequency": breaking.break_frequency(text, random),
        "drug": breaking_words.break_name(
            text, drug_spans, [d for d in drugs[language] if d not in pair.text.lower() and d not in synonyms], random
        ),
        "disease": breaking_words.break_name(
            text, disease_spans, [d for d in OTHER_DISEASES[language] if d not in pair.text.lower()], random
        ),
        "polarity": breaking_words.break_polarity(text, language, random),
        "dropped qualifier": breaking_words.drop_warning(text, language, drug_spans, random),
        "leak": breaking_words.break_leak(text, language, random),
        "other's answer": random.choice(
            [other.answer for other in unlike if other.language == language and other.source == pair.source]
        ),
        "cut": breaking_words.break_end(text, random),
        "wrong language": random.choice([other.answer for other in unlike if other.language != language]),
        "dangling": breaking_words.break_alone(text, language, random),
    }
    yield from ((name, other) for name, other in made.items() if other and other != text)


def of_part(name: str, part: str) -> bool:
    """Tell whether a document or drug belongs to the part that is looked at, or to that which is reported."""
    return (int(text_hash(name), 16) % 2 == 0) == (part == "look")


def alarms_of(pairs: list[TruePair], listed: str) -> dict[tuple[str, str, str], Counter[str]]:
    """Judge true pairs; count reasons by language, source and step, "-" for none, and print those of one reason."""
    counts: dict[tuple[str, str, str], Counter[str]] = {}
    for pair in pairs:
        question = pair.question if pair.question[-1] in "?？" else pair.question + "？"
        for step, found in (
            ("question", judge_question(question, pair.subject)),
            ("answer", judge_answer(pair.question, pair.answer, "stop", pair.subject)),
        ):
            reason = found[0] if found else "-"
            counts.setdefault((pair.language, pair.source, step), Counter())[reason] += 1
            if reason == listed:
                print(f"ALARM {pair.source} {step}: {found}\n   Q {question}\n   A {pair.answer}\n   P {pair.text}\n")
    return counts


def found_in(
    pairs: list[TruePair], drugs: dict[str, list[str]], listed: str
) -> dict[tuple[str, str, str], Counter[str]]:
    """Break the true pairs that pass, and count by class, language and set with which reason they are found."""
    random = Random(0)
    counts: dict[tuple[str, str, str], Counter[str]] = {}
    for pair in pairs:
        if judge_answer(pair.question, pair.answer, "stop", pair.subject):
            continue
        for name, answer in broken(pair, pairs, drugs, random):
            found = judge_answer(pair.question, answer, "stop", pair.subject)
            counts.setdefault((name, pair.language, pair.source), Counter())[found[0] if found else "-"] += 1
            if not found and listed == name:
                print(f"MISSED {pair.source} {name}\n   A {pair.answer}\n   B {answer}\n   P {pair.text}\n")
    return counts


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--part", choices=("look", "report"), default="report")
    parser.add_argument("--list", default="", help="a class that is missed, or a reason that alarms: print them")
    options = parser.parse_args()
    pairs: list[TruePair] = []
    for read in (pubmedqa, medquad, openstax, cmexam, toyhom, mtf_wiki):
        mine = [pair for pair in read(options.folder) if of_part(pair.document, options.part)]
        pairs += sorted(mine, key=lambda pair: text_hash(pair.source + pair.question))[:PAIRS]
    drugs = {
        language: [drug for drug in other_drugs(options.folder, language) if of_part(drug, options.part)]
        for language in ("zh", "en")
    }
    for language, others in drugs.items():
        known = sum(any(name.kind == "drug" and name.written == drug for name in names_in(drug)) for drug in others)
        print(f"drugs put in, {language}: {len(others)}, of which names.py knows {known}")
    started = time.process_time()
    alarms = alarms_of(pairs, options.list)
    print(f"\n{len(pairs)} true pairs, {1000 * (time.process_time() - started) / len(pairs):.2f} ms CPU a pair\n")
    print("| language | true pairs | n | alarms | by reason |\n|---|---|---|---|---|")
    for (language, source, step), counts in alarms.items():
        n, reasons = (
            sum(counts.values()),
            [f"{reason} {count}" for reason, count in counts.most_common() if reason != "-"],
        )
        print(f"| {language} | {source}, {step} | {n} | {100 * (n - counts['-']) / n:.1f}% | {', '.join(reasons)} |")
    found = found_in(pairs, drugs, options.list)
    print("\n| class | language | broken | recall | meant | false alarms | precision | recall by set |")
    print("|---|---|---|---|---|---|---|---|")
    for name, reasons_meant in MEANT.items():
        for language in ("en", "zh"):
            sets = {source: counts for (one, lang, source), counts in found.items() if (one, lang) == (name, language)}
            counts = sum(sets.values(), Counter[str]())
            n = counts.total()
            if not n:
                continue
            true = [those for (lang, _, step), those in alarms.items() if (lang, step) == (language, "answer")]
            false = sum(those[reason] for those in true for reason in reasons_meant) / sum(map(Counter.total, true))
            recall, meant = 1 - counts["-"] / n, sum(counts[reason] for reason in reasons_meant) / n
            precision = recall / (recall + false) if recall else 0.0  # as many broken as true
            by_set = ", ".join(
                f"{source} {1 - of['-'] / of.total():.2f} of {of.total()}" for source, of in sets.items()
            )
            shares = f"{recall:.3f} | {meant:.3f} | {100 * false:.1f}% | {precision:.3f}"
            print(f"| {name} | {language} | {n} | {shares} | {by_set} |", flush=True)


if __name__ == "__main__":
    main()
