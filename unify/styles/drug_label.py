"""The style `drug_label`: what a label says of a drug, field by field, without a model.

The fields of a label (适应症, 用法用量, 禁忌 … / Indications and usage, Contraindications …) are found by their names:
the passage's heading, or lines of its text. Each makes a pair: a hash of the passage's id draws the question among
templates with the drug's name in it, and the answer is the field, word for word, but that the drug is named where the
label says 本品 or “this medicine”, and that references in brackets to other fields are left out. No drug, no pair.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from pipeline.records import text_hash, uniform
from pipeline.sentences import Span
from unify import checks
from unify.checks import verdict
from unify.checks.names import names_in
from unify.pair import Made, Pair, Passage
from unify.request import Ask, RewriteConfig
from unify.styles.drug_label_fields import FIELDS, OTHERS, TEMPLATES

STYLE = "drug_label"
LEAST = {"zh": 4, "en": 8}  # characters of a field
LONGEST_NAME = {"zh": 30, "en": 60}  # characters of a drug's name

PROMPTS = {language: json.dumps(TEMPLATES[language], ensure_ascii=False) for language in TEMPLATES}
NAMED = {"zh": "{d}的{f}：", "en": "{f} of {d}: "}  # before a field too short to stand alone

_NUMBER = r"(?:\d+(?:\.\d+)*[.、．)]?[ \t]*|[（(]?[一二三四五六七八九十]+[）)、.．][ \t]*)?"
_NAMES = {
    language: "|".join([*(f"(?P<{kind}>{words})" for kind, words in fields.items()), f"(?P<other>{OTHERS[language]})"])
    for language, fields in FIELDS.items()
}
_FIELD = {
    # 【…】 begins a field whatever it is called; without brackets it is one of the names, before a colon or alone.
    "zh": re.compile(
        rf"^[ \t　]*{_NUMBER}(?:[【\[［][ \t]*(?:(?:{_NAMES['zh']})|[^】\]］\n]{{1,24}})[ \t]*[】\]］][ \t]*[:：]?"
        rf"|(?:{_NAMES['zh'].replace('(?P<', '(?P<bare_')})[ \t]*(?:[:：]|$))",
        re.MULTILINE,
    ),
    "en": re.compile(
        rf"^[ \t#*]*{_NUMBER}(?:(?:{_NAMES['en']})[ \t*]*(?:[:：]|$)|(?-i:[A-Z][A-Z ,&/()-]{{3,60}}$))",
        re.MULTILINE | re.IGNORECASE,
    ),
}
_ALONE = {
    language: re.compile(rf"{_NUMBER}[【\[［]?(?:{_NAMES[language]})[】\]］]?[:：]?", re.I) for language in FIELDS
}
_GENERIC = re.compile(
    r"通用名称?[ \t]*[】\]］]?[ \t]*[:：]?\s*(?P<zh>[^\n，。；:：【]{2,30})"
    r"|generic name[ \t]*:\s*(?P<en>[^\n.;:]{3,60})",
    re.IGNORECASE,
)
_LABEL = re.compile(
    r"^(?P<zh>[^\n，。；]{2,30}?)的?(?:药品)?(?:使用)?说明书"
    r"|^(?P<en>[^\n.;]{3,60}?)[ :,–-]+(?:full |highlights of )?(?:prescribing information|package (?:insert|leaflet)"
    r"|(?:drug )?label(?:ing|ling)?\b|patient information|medication guide|drug facts|summary of product)",
    re.IGNORECASE,
)
_FORM = re.compile(
    r"(?:片|胶囊|颗粒|注射液|口服液|丸|散|滴眼液|滴剂|软膏|乳膏|凝胶|栓|喷雾剂|气雾剂|吸入剂|糖浆|混悬液|贴剂?|合剂|酊|洗剂|溶液)$"
    r"|^注射用.+|\b(?:tablets?|capsules?|injections?|(?:oral )?(?:solution|suspension)|cream|ointment|gel|syrup|inhaler"
    r"|suppositor(?:y|ies)|patch|drops|for injection|elixir|lotion|nasal spray)$",
    re.IGNORECASE,
)
_ONLY_OF_DRUGS = ("dosage", "overdose")
_REFERENCE = re.compile(
    r"[ \t]*[\[(（][ \t]*(?:see|refer to|参见|详见|请?参阅|见)"
    r"[^\[\](（）)\n]{0,120}(?:\([^()\n]*\)[^\[\]()\n]*)*[\])）]",
    re.I,
)
_POINTS = re.compile(
    r"[见照阅][【“\[]|[见如][上下]?[表图]\s*\d|\bsee (?:table|section|figure|below|full|warnings|also)\b", re.I
)
_NOTHING = re.compile(  # what a label says of which nothing is known
    r"(目前|尚|暂)*(不明确|不详|无|没有)(报道|资料|相关资料|相关报道)?[。.]?|(尚?未|没有)进行(该|此)项.{0,30}[。.]?"
    r"|(not (known|applicable|available|established)|none( known)?|unknown|no data( available)?|n/a)\.?",
    re.I,
)
_OPEN = ("：", ":", "，", ",", "、")  # ends of what goes on in another passage
_ITSELF = re.compile(
    r"本(?:药品|产品|制剂|品|药)|\bthis (?:medicinal product|medicine|medication|drug|product)\b", re.I
)
_MARKS = re.compile(r"^[\d.、 \t]+|[【】\[\]［］:：*#]")  # around a field's name


@dataclass(frozen=True)
class Field:
    """A field of a label: its kind, its name as it is written, and where its text stands, in one or several parts."""

    kind: str
    name: str
    spans: tuple[Span, ...]


def applies(passage: Passage, config: RewriteConfig) -> bool:
    """Tell whether the passage has a field of a label and names the drug."""
    return passage.language in FIELDS and bool(fields_of(passage)) and bool(drug_of(passage))


async def write(passage: Passage, config: RewriteConfig, ask: Ask) -> list[Pair]:
    """Write a pair for every field of the passage, kept or rejected; they cost nothing, so none is left out."""
    drug = drug_of(passage)
    return [_pair_of(passage, field, drug, config) for field in fields_of(passage)]


def drug_of(passage: Passage) -> str:
    """Return the drug's name, from its label's own line or from the title; empty if there is none.

    A title or first line is a drug's if it is the name of one, or ends with the form of one, but for words such as
    说明书 behind it, or if the passage has a field that only drugs have.
    """
    text, language = passage.text, passage.language
    if found := _GENERIC.search(text):
        return _bare(found["zh"] or found["en"], text)
    of_drug = any(field.kind in _ONLY_OF_DRUGS for field in fields_of(passage))
    for line in (passage.title or "", text.lstrip().split("\n", 1)[0]):
        label = _LABEL.search(line.strip())
        name = _bare((label["zh"] or label["en"]) if label else re.sub(r"\[[^\]]*\]$", "", line.strip()), text)
        short = 2 <= len(name) <= LONGEST_NAME[language] and not re.search(r"[，。？?！!：:]", name)
        listed = any(one.kind == "drug" and one.span == (0, len(name)) for one in names_in(name))
        if short and (listed or _FORM.search(name) or (of_drug and (label or line == passage.title))):
            return name
    return ""


def _bare(name: str, text: str) -> str:
    """Take marks off a name; write it in small letters where the text does, or if it is in capitals."""
    name = name.strip(" \t　《》【】“”\"'*#®™").strip()
    return name.lower() if (name.isupper() and len(name) > 4) or name.lower() in text else name


def fields_of(passage: Passage) -> list[Field]:
    """List the fields of a passage in order: that of its heading, and those that lines of its text begin.

    Parts under names of the same kind, as 用法 and 用量, are one field.
    """
    text, language = passage.text, passage.language
    heading = _ALONE[language].fullmatch(passage.heading.strip())
    begun: list[tuple[str, str, int, int]] = [(_kind(heading), passage.heading.strip(), 0, 0)] if heading else []
    begun += [(_kind(found), found[0], found.start(), found.end()) for found in _FIELD[language].finditer(text)]
    ends = [start for _, _, start, _ in begun[1:]] + [len(text)] * bool(begun)
    fields: dict[str, Field] = {}
    for (kind, name, _, start), end in zip(begun, ends, strict=True):
        body = text[start:end]
        if kind in FIELDS[language] and body.strip():
            first = start + len(body) - len(body.lstrip())
            known = fields.get(kind, Field(kind, _MARKS.sub("", name).strip(), ()))
            fields[kind] = replace(known, spans=(*known.spans, (first, first + len(body.strip()))))
    return list(fields.values())


def _kind(found: re.Match[str]) -> str:
    """Return which field a name is of; "other" for one that is not asked for."""
    return next((name.removeprefix("bare_") for name, said in found.groupdict().items() if said), "other")


def _pair_of(passage: Passage, field: Field, drug: str, config: RewriteConfig) -> Pair:
    language = passage.language
    templates = TEMPLATES[language][field.kind]
    chosen = templates[int(uniform(config.seed, STYLE, passage.id, field.kind) * len(templates))]
    question = _begun(chosen.format(d=drug))
    spans = tuple(_without_references(passage.text, field.spans))
    quoted = "".join(_with_space(passage.text, spans))
    answer = _ITSELF.sub(lambda found: _begun(drug) if found[0][0].isupper() else drug, quoted)
    if len(answer) < config.min_answer_chars:
        name = NAMED[language].format(d=drug, f=field.name.lower() if language == "en" else field.name)
        answer = _begun(name) + answer
    values = (("field", field.kind), ("template", chosen), ("quoted", f"{min(1.0, len(quoted) / len(answer)):.2f}"))
    made = Made("question", "none", text_hash(PROMPTS[language]), "")
    pair = Pair(STYLE, passage.lang, question, answer, spans, values, (made,))
    points, open_ended = _POINTS.search(quoted), quoted[-1:] in _OPEN
    alone = replace(passage, text=quoted)  # a field is asked for by itself: what stands beside it is not left out
    found = checks.first_broken(
        (
            ("says_nothing", quoted if _NOTHING.fullmatch(quoted) else None),
            ("too_short", checks.too_short(quoted, LEAST[language])),
            ("too_long", checks.too_long(answer, config.max_answer_chars)),
            ("cut_off", f"ends with {quoted[-8:]!r}" if open_ended else None),
            ("not_standalone", points[0] if points else None),
        )
    ) or verdict.judge_excerpt(question, answer, ((0, len(quoted)),), verdict.subject_of(alone, language, config))
    return pair.judged(found)


def _begun(name: str) -> str:
    return name[:1].upper() + name[1:]


def _with_space(text: str, spans: Sequence[Span]) -> Iterator[str]:
    """Yield the text of spans, and a line end between two parts that have other fields between them."""
    for number, (start, end) in enumerate(spans):
        if number and "\n" in text[spans[number - 1][1] : start]:
            yield "\n"
        yield text[start:end]


def _without_references(text: str, spans: Sequence[Span]) -> Iterator[Span]:
    """Yield what of the spans stands between references in brackets to other fields."""
    for start, end in spans:
        begin = start
        for found in _REFERENCE.finditer(text, start, end):
            if found.start() > begin:
                yield begin, found.start()
            begin = found.end()
        if end > begin:
            yield begin, end
