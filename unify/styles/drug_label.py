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

STYLE = "drug_label"
LEAST = {"zh": 4, "en": 8}  # characters of a field
LONGEST_NAME = {"zh": 30, "en": 60}  # characters of a drug's name

# What labels call their fields: headings of the package inserts that China's and the United States' agencies prescribe.
FIELDS = {
    "zh": {
        "indication": r"适应症|适应证|功能主治|功能与主治|作用类别|作用与用途|主治",
        "dosage": r"用法用量|用法与用量|用量用法|用法|用量",
        "contraindication": r"禁忌|禁忌症|禁忌证|禁忌事项",
        "adverse": r"不良反应|副作用",
        "warning": r"注意事项|注意|警告|警示语|黑框警告",
        "interaction": r"药物相互作用|相互作用",
        "pregnancy": r"(孕妇|妊娠期?妇女)([及和](哺乳期妇女|哺乳))?用药|(妊娠|哺乳)期用药|妊娠与哺乳期注意事项",
        "children": r"儿童用药|小儿用药|儿科用药|儿童注意事项",
        "elderly": r"老年用药|老年人用药|老年患者用药|老人注意事项",
        "overdose": r"药物过量|过量|用药过量",
        "mechanism": r"药理作用|药理毒理|作用机制",
        "storage": r"贮藏|贮存|储藏|贮法",
    },
    "en": {
        "indication": r"indications?( (and|&) usage)?|therapeutic indications|uses?|purpose",
        "dosage": r"dosage( (and|&) administration)?|directions|posology and method of administration",
        "contraindication": r"contra-?indications?|do not use",
        "adverse": r"adverse reactions|side effects|undesirable effects|adverse effects",
        "warning": r"(boxed )?warnings?( (and|&) precautions)?|(special warnings and )?precautions( for use)?",
        "interaction": r"drug interactions|interactions",
        "pregnancy": r"(use in )?pregnancy( and (lactation|breast-?feeding))?|lactation|nursing mothers",
        "children": r"(pa?ediatric|children'?s?) use|use in children",
        "elderly": r"geriatric use|use in (the elderly|older adults)",
        "populations": r"use in specific populations",
        "overdose": r"over-?dos(age|e)",
        "mechanism": r"mechanism of action|pharmacodynamics",
        "storage": r"storage( and handling)?|how to store|how supplied/storage and handling",
    },
}
# Fields that end the one before them and are not asked for.
OTHERS = {
    "zh": r"药品名称|通用名称?|商品名称?|英文名称?|汉语拼音|化学名称?|分子式|分子量|成[份分]|主要成[份分]|性状|规格"
    r"|包装|有效期|执行标准|批准文号|生产企业|上市许可持有人|药代动力学|临床试验|毒理研究|说明书修订日期|核准日期",
    "en": r"description|clinical (studies|pharmacology)|pharmacokinetics|nonclinical toxicology|references|how supplied"
    r"|dosage forms and strengths|patient counseling information|drug abuse and dependence|(in)?active ingredients?"
    r"|other information|generic name|brand name|questions( or comments)?\??|package label.*",
}
TEMPLATES = {
    "zh": {
        "indication": (
            "{d}适用于哪些情况？",
            "{d}的适应症有哪些？",
            "{d}主要用在什么时候？",
            "请说明{d}的适应症。",
            "什么情况下可以使用{d}？",
            "医生，{d}是用来做什么的？",
        ),
        "dosage": (
            "{d}怎么用，用多大的量？",
            "{d}的用法用量是怎样的？",
            "请说明{d}的用法和用量。",
            "{d}怎样服用或使用？",
            "使用{d}时，剂量怎样掌握？",
            "我想知道{d}的用法用量。",
        ),
        "contraindication": (
            "{d}有哪些禁忌？",
            "哪些人不能使用{d}？",
            "什么情况下禁用{d}？",
            "请说明{d}的禁忌。",
            "{d}对什么人是禁用的？",
            "用{d}之前，要先排除哪些禁忌？",
        ),
        "adverse": (
            "{d}有哪些不良反应？",
            "使用{d}可能出现哪些不良反应？",
            "{d}的副作用有哪些？",
            "请说明{d}的不良反应。",
            "用了{d}以后，身体可能有什么不良反应？",
            "我担心{d}的副作用，会有哪些？",
        ),
        "warning": (
            "使用{d}要注意什么？",
            "{d}的注意事项有哪些？",
            "用{d}时，哪些地方要特别小心？",
            "请说明{d}的注意事项。",
            "开始用{d}之前，应当了解哪些注意事项？",
            "关于{d}，有哪些需要提醒的？",
        ),
        "interaction": (
            "{d}与其他药物有哪些相互作用？",
            "{d}和别的药一起用，会怎么样？",
            "请说明{d}的药物相互作用。",
            "正在用{d}，同时用其他药物要留意什么？",
            "哪些药物会与{d}相互影响？",
            "{d}的药物相互作用有哪些？",
        ),
        "pregnancy": (
            "孕妇和哺乳期妇女可以用{d}吗？",
            "妊娠期和哺乳期使用{d}，应当注意什么？",
            "关于孕期和哺乳期使用{d}，有哪些说明？",
            "请说明孕妇及哺乳期妇女如何对待{d}。",
            "怀孕或者在哺乳，{d}能不能用？",
            "我怀孕了，关于{d}应当知道什么？",
        ),
        "children": (
            "儿童可以用{d}吗？",
            "给孩子用{d}，应当注意什么？",
            "请说明{d}的儿童用药。",
            "关于儿童使用{d}，有哪些说明？",
            "小孩能用{d}吗，有什么要求？",
            "{d}用于儿童时有哪些规定？",
        ),
        "elderly": (
            "老年人可以用{d}吗？",
            "老年患者使用{d}，应当注意什么？",
            "请说明{d}的老年用药。",
            "关于老年人使用{d}，有哪些说明？",
            "给老人用{d}，有什么要求？",
            "{d}用于老年患者时有哪些规定？",
        ),
        "overdose": (
            "{d}用过量了会怎么样？",
            "{d}过量时应当怎么办？",
            "请说明{d}的药物过量。",
            "关于{d}过量，应当知道什么？",
            "误服了过多的{d}，有哪些要知道的？",
            "如果{d}用多了，会有什么后果，如何应对？",
        ),
        "mechanism": (
            "{d}是怎样起作用的？",
            "{d}的药理作用是什么？",
            "请说明{d}的药理作用。",
            "{d}在体内怎样发挥作用？",
            "从药理上怎样解释{d}的作用？",
            "我想了解{d}的药理作用。",
        ),
        "storage": (
            "{d}怎样贮藏？",
            "{d}应当怎样保存？",
            "请说明{d}的贮藏条件。",
            "家里的{d}放在哪里合适？",
            "存放{d}有什么要求？",
            "{d}需要什么样的保存条件？",
        ),
    },
    "en": {
        "indication": (
            "What are the indications of {d}?",
            "For what would a doctor choose {d}?",
            "When would one use {d}?",
            "What can one use {d} for?",
            "Please state the indications of {d}.",
            "I would like to know the indications of {d}.",
        ),
        "dosage": (
            "What is the dosage of {d}?",
            "In what dose does one give {d}?",
            "Please state the dosage and administration of {d}.",
            "What should one know about the dosage of {d}?",
            "How should one take or give {d}, and in what dose?",
            "I would like to know the dosage of {d}.",
        ),
        "contraindication": (
            "What are the contraindications of {d}?",
            "Who must not use {d}?",
            "To whom should one not give {d}?",
            "Please state the contraindications of {d}.",
            "Which contraindications have to be ruled out before giving {d}?",
            "In which situations must one not use {d}?",
        ),
        "adverse": (
            "What are the adverse reactions to {d}?",
            "Which side effects can come with {d}?",
            "What side effects are known of {d}?",
            "Please state the adverse reactions to {d}.",
            "Which adverse reactions should one expect with {d}?",
            "I am worried about side effects of {d}. Which ones are known?",
        ),
        "warning": (
            "What warnings apply to {d}?",
            "Which precautions come with {d}?",
            "What needs care in giving {d}?",
            "Please state the warnings and precautions for {d}.",
            "What should one look out for with {d}?",
            "Which warnings should one know before starting {d}?",
        ),
        "interaction": (
            "What are the drug interactions of {d}?",
            "What happens on taking {d} together with other drugs?",
            "Please state the drug interactions of {d}.",
            "Which other drugs interact with {d}?",
            "What should one know about interactions of {d}?",
            "I take {d}. Which interactions with other drugs should I know?",
        ),
        "pregnancy": (
            "Can a woman take {d} during pregnancy or while breast-feeding?",
            "What is known about {d} in pregnancy and lactation?",
            "What should pregnant or breast-feeding women know about {d}?",
            "Please state what applies to {d} in pregnancy and lactation.",
            "Would {d} be safe in pregnancy or during breast-feeding?",
            "I am pregnant. What should I know about {d}?",
        ),
        "children": (
            "Can children take {d}?",
            "What is known about {d} in children?",
            "What should parents know about {d}?",
            "Please state what applies to {d} in children.",
            "Would {d} be suitable for children?",
            "What has to be considered in giving {d} to a child?",
        ),
        "elderly": (
            "Can older people take {d}?",
            "What is known about {d} in the elderly?",
            "What has to be considered in giving {d} to an elderly patient?",
            "Please state what applies to {d} in older adults.",
            "Would {d} be suitable for elderly patients?",
            "What should older adults know about {d}?",
        ),
        "populations": (
            "What applies to {d} in specific populations?",
            "What should be considered with {d} in specific populations?",
            "Please state what is known about {d} in specific populations.",
            "In which groups of patients does giving {d} need particular care?",
            "What is known about {d} in particular groups of patients?",
            "Which groups of patients need attention when taking {d}?",
        ),
        "overdose": (
            "What happens in an overdose of {d}?",
            "What should be done after an overdose of {d}?",
            "What is known about overdosage of {d}?",
            "Please state what applies to overdosage of {d}.",
            "Someone has taken too much {d}. What should one know?",
            "What has to be considered in an overdose of {d}?",
        ),
        "mechanism": (
            "What is the mechanism of action of {d}?",
            "What is known about the mechanism of action of {d}?",
            "Please explain the mechanism of action of {d}.",
            "How can the action of {d} be explained?",
            "What goes on in the body after taking {d}?",
            "I would like to understand the mechanism of action of {d}.",
        ),
        "storage": (
            "How should one store {d}?",
            "Where should one keep {d}?",
            "Please state the storage conditions of {d}.",
            "What conditions of storage apply to {d}?",
            "At what temperature should one store {d}?",
            "What should one know about storing {d}?",
        ),
    },
}
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
