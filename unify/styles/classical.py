"""The style `classical`: classical Chinese is asked for and answered as what a work of its time says, without a model.

A question names the work and a topic (《伤寒论》如何记载桂枝汤？); the answer says whose words follow and quotes
them. No word and no measure (两, 钱, 升) is rendered in today's; where amounts are quoted, a last line says that they
are of old times. Topics are the passage's headings, without volumes and numbers, and the formulas and short sections
that begin in it, which make a pair each. A hash of the passage's id draws among templates.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from pipeline.records import text_hash, uniform
from pipeline.sentences import Span
from unify import checks
from unify.checks import verdict
from unify.pair import Made, Pair, Passage
from unify.request import Ask, RewriteConfig

STYLE = "classical"
LEAST = 12  # characters of a quotation
MOST_TOPIC = 40  # characters; cases are named in a sentence

# {w} is the work, {t} the topic.
TEMPLATES = {
    "formula": (
        "《{w}》如何记载{t}？",
        "《{w}》所载的{t}是怎样的方子？",
        "请介绍《{w}》中的{t}。",
        "{t}在《{w}》中是怎样记载的？",
        "古籍《{w}》对{t}有什么记载？",
        "我在学方剂，《{w}》里的{t}是怎么写的？",
        "说到{t}，《{w}》有何记载？",
        "《{w}》收录的{t}，书中怎样说明？",
    ),
    "case": (
        "《{w}》所载“{t}”一案，经过如何？",
        "请介绍《{w}》中“{t}”的医案。",
        "《{w}》怎样记述“{t}”一案？",
        "《{w}》里“{t}”的医案讲了什么？",
        "“{t}”一案在《{w}》中是怎样记载的？",
        "从医史的角度看，《{w}》“{t}”一案说了什么？",
    ),
    "topic": (
        "《{w}》怎样论述{t}？",
        "《{w}》对{t}有何论述？",
        "关于{t}，《{w}》是怎么说的？",
        "《{w}》如何记载{t}？",
        "请介绍《{w}》中有关{t}的内容。",
        "在《{w}》里，{t}是怎样论述的？",
        "从医史的角度看，《{w}》怎样认识{t}？",
        "{t}在《{w}》中有什么记载？",
    ),
}
LEADS = {
    "formula": ("《{w}》所载{t}：\n", "据《{w}》记载，{t}：\n", "《{w}》关于{t}的记载：\n", "《{w}》载{t}如下：\n"),
    "case": ("《{w}》所载“{t}”一案：\n", "据《{w}》记载：\n", "《{w}》记其事云：\n", "《{w}》的记述如下：\n"),
    "topic": ("《{w}》云：\n", "《{w}》论{t}：\n", "据《{w}》所载：\n", "《{w}》关于{t}的论述：\n"),
}
MEASURES = (
    "\n（分量为古制，历代不一，不可照搬。）",
    "\n（以上用量均为古代度量，与今制不同，不能直接照用。）",
    "\n（所载分量是当时的度量，仅供了解医史。）",
)
PROMPTS = {"zh": json.dumps([TEMPLATES, LEADS, MEASURES], ensure_ascii=False)}

_COUNT = "一二三四五六七八九十百廿卅〇零"
_FORMULA = r"[一-鿿]{1,9}(?:汤|散|丸|丹|饮|饮子|膏|煎|圆|粥|酒)(?:方)?"
_NO_FORMULA = re.compile(r"^[治又上右凡用宜与服或以通]|^加(?![味减])|诸方|[之宜服用与及或者]|方[汤散丸丹饮膏煎]")
_VOLUME = re.compile(
    rf"卷.*|.*卷[之第]?[{_COUNT}上中下末首]*|[上中下][篇册]?|第[{_COUNT}]+[章节篇部回]?|目录?|.{{0,8}}[序跋叙]|凡例|正文|内容|附录"
    rf"|(?:正集|续集|补遗)|方见.*|.*[书全]集.*|[{_COUNT}]+"
)
_GENERIC = re.compile(
    r"(?:通|主|附|又|总)?(?:治方|治法|治例|治疗|方论|病源|形证(?:并治法)?|形色|脉法|脉候|证治|方|论|总论|脉|附方并注|主治|用药)"
)
_BEFORE = re.compile(
    rf"^(?:第[{_COUNT}]+[证章节条法则]?[·、.．∶]?|[{_COUNT}]{{1,3}}[、.．]|（[{_COUNT}]+）|○|附[∶：:]|方脉|锦囊|〔[^〕]*〕)\s*"
)
_BEHIND = re.compile(
    rf"(?:（[^）]*）?|[○〔][^〕]*〕?|第[{_COUNT}]+|(?<=[证法章])[{_COUNT}]+|[{_COUNT}]+章|大小总论合参|总论合参|合参)$"
)
_SAYING = re.compile(r"^[论辨详评释]|(?:通用|大小)?(?:总|方)?[论辨歌说赋诀](?:条)?$|条辨$")
_WORK = re.compile(r"[一-鿿·]{2,16}")
_ENTRY = re.compile(  # 卷七\藤部 and a name below it; a formula's name alone, or any before what it is good for
    r"^[ \t　]*(?:(?P<path>[^\s\\，。]{1,20}(?:\\[^\s\\，。]{1,20})+)\s*?$(?:\s*^(?P<named>[^\s，。；：∶、\\]{1,14})$)?"
    rf"|(?P<formula>{_FORMULA})(?:（[^）\n]{{0,20}}）)?[ \t　]*$"
    r"|(?P<good>[一-鿿]{2,10})(?:（[^）\n]{0,20}）)?[ \t　]+(?=[治疗主]|（治))",
    re.MULTILINE,
)
_AMOUNT = re.compile(rf"[{_COUNT}半数两各几\d][两钱斤升合斗铢盏匕]|[{_COUNT}半数]分")
# What goes on from before: 上六味, 右为末, 又方, 此证, 其人.
_GOES_ON = re.compile(rf"[上右](?=[{_COUNT}各为件药等取锉咀研同用捣以将除味剉末水细先并入共作和])|又|此|其|以上|方见")
_ELSEWHERE = re.compile(r"见本[卷门书集]|方见|详[见前后]")
_OPEN = ("：", ":", "∶", "，", ",", "、")


@dataclass(frozen=True)
class Quotation:
    """What a work says of a topic: the kind of template, the topic, and where the words stand."""

    kind: str
    topic: str
    span: Span


def applies(passage: Passage, config: RewriteConfig) -> bool:
    """Tell whether the passage is classical, of a named work, with a topic to ask for."""
    return passage.lang == "lzh" and bool(work_of(passage)) and bool(quotations_of(passage))


async def write(passage: Passage, config: RewriteConfig, ask: Ask) -> list[Pair]:
    """Write a pair for every quotation of the passage, kept or rejected; they cost nothing, so none is left out."""
    return [_pair_of(passage, quotation, config) for quotation in quotations_of(passage)]


def work_of(passage: Passage) -> str:
    """Return the work's name as it stands between 《》, from the title; empty if that is no name of a work."""
    title = (passage.title or "").strip()
    inside = re.search(r"《([^》]+)》", title)
    name = inside[1] if inside else re.split(r"[\s|_（(—-]", title)[0]
    return name if _WORK.fullmatch(name) else ""


def topic_of(parts: list[str], work: str) -> str:
    """Return what the innermost of some headings is about, behind the one above it if it is 治方 or the like.

    Empty if there are only volumes, prefaces and the work's name.
    """
    behind = ""
    for part in reversed("\\".join(parts).split("\\")):
        name = part.strip()
        while (shorter := _BEHIND.sub("", _BEFORE.sub("", name)).strip()) != name:
            name = shorter
        if not name or name == work or _VOLUME.fullmatch(name):
            continue
        if _GENERIC.fullmatch(name):
            behind = behind or name
            continue
        said = _SAYING.sub("", name)
        name = said if len(said) > 1 and not re.fullmatch(_FORMULA, name) else name
        topic = f"{name}的{behind}" if behind else name
        return topic if len(topic) <= MOST_TOPIC and re.search(r"[一-鿿]", topic) else ""
    return ""


def quotations_of(passage: Passage) -> list[Quotation]:
    """List what of a passage can be asked for, in order: what its headings name, and formulas and sections in it."""
    work, text = work_of(passage), passage.text
    of_case = "case" if re.search(r"[医验]案", work) else "topic"
    topic = topic_of(list(passage.headings), work)
    kind = "formula" if re.fullmatch(_FORMULA, topic) and not _NO_FORMULA.search(topic) else of_case
    begun: list[tuple[str, str, int, int]] = [(kind, topic, 0, 0)]
    for found in _ENTRY.finditer(text):
        name = found["formula"] or found["good"] or found["named"] or ""
        if not found["path"] and _NO_FORMULA.search(name):
            continue
        path = [*passage.headings, *(found["path"] or "").split("\\"), name]
        named = topic_of(path, work)
        formula = re.fullmatch(_FORMULA, named) and not _NO_FORMULA.search(named)
        begun.append(("formula" if formula else of_case, named, found.start(), found.end()))
    ends = [start for _, _, start, _ in begun[1:]] + [len(text)]
    return list(_with_text(text, begun, ends))


def _with_text(text: str, begun: list[tuple[str, str, int, int]], ends: list[int]) -> Iterator[Quotation]:
    for (kind, topic, _, start), end in zip(begun, ends, strict=True):
        body = text[start:end]
        if topic and body.strip():
            first = start + len(body) - len(body.lstrip())
            yield Quotation(kind, topic, (first, first + len(body.strip())))


def _pair_of(passage: Passage, quotation: Quotation, config: RewriteConfig) -> Pair:
    names = {"w": work_of(passage), "t": quotation.topic}
    start, end = quotation.span

    def draw(texts: tuple[str, ...], what: str) -> str:
        return texts[int(uniform(config.seed, STYLE, passage.id, str(start), what) * len(texts))]

    template, quoted = draw(TEMPLATES[quotation.kind], "question"), passage.text[start:end]
    question = template.format(**names)
    measures = draw(MEASURES, "measures") if _AMOUNT.search(quoted) else ""
    answer = draw(LEADS[quotation.kind], "lead").format(**names) + quoted + measures
    values = (("topic", quotation.topic), ("template", template), ("quoted", f"{len(quoted) / len(answer):.2f}"))
    made = Made("question", "none", text_hash(PROMPTS["zh"]), "")
    pair = Pair(STYLE, passage.lang, question, answer, (quotation.span,), values, (made,))
    last = quotation.kind == "formula" and end == len(
        passage.text.rstrip()
    )  # its amounts may stand in the next passage
    goes_on = _GOES_ON.match(quoted) if quotation.kind != "formula" or quoted[0] in "上右" else None
    elsewhere = _ELSEWHERE.search(quoted)
    alone = replace(passage, text=quoted)  # of other topics in the passage nothing is asked
    found = checks.first_broken(
        (
            ("too_short", checks.too_short(quoted, LEAST)),
            ("too_long", checks.too_long(answer, config.max_answer_chars)),
            ("cut_off", cut_from(quoted) or (checks.cut_off(quoted, "stop") if last else None)),
            ("not_standalone", goes_on[0] if goes_on else checks.not_standalone(quoted)),
            ("not_standalone", elsewhere[0] if elsewhere else None),
        )
    ) or verdict.judge_excerpt(question, answer, ((0, len(quoted)),), verdict.subject_of(alone, "zh", config))
    return pair.judged(found)


def cut_from(quoted: str) -> str | None:
    """Find a sign that a quotation goes on before or behind: a bracket of one side, an end that is none."""
    deep = 0
    for mark in re.findall(r"[(（)）]", quoted):
        deep += 1 if mark in "(（" else -1
        if deep < 0:
            return f"begins with {quoted[:8]!r}"
    return f"ends with {quoted[-8:]!r}" if deep or quoted.endswith(_OPEN) else None
