"""The style `heading`: the question comes from title and section heading by a template, the answer is the passage.

It asks no model, so it serves languages that the model does not write, and costs nothing. A hash of the passage's id
draws among the templates of the heading's kind, so that no one wording runs through the corpus.
"""

import json
import re
from collections.abc import Callable

from pipeline.records import text_hash, uniform
from unify.pair import LABELS, Made, Pair, Passage
from unify.request import Ask, RewriteConfig

STYLE = "heading"

# Which words of a heading make it of a kind; {s} is what the passage is about, {a} the heading's own words.
KINDS = {
    "zh": (
        ("definition", r"定义|概念|概述|概况|简介|介绍|总论"),
        ("cause", r"(主要|常见)?(病因|原因|成因|诱因|病因与发病机制|发病机制|危险因素)"),
        ("symptom", r"(主要|常见)?(症状|临床表现|表现|体征|症状与体征|临床特征|特征)"),
        ("diagnosis", r"诊断|诊断标准|检查|辅助检查|实验室检查|诊断与鉴别诊断|鉴别诊断"),
        ("treatment", r"治疗|治疗方法|治疗原则|处理|急救|救治|长期治疗|急性期治疗"),
        ("prevention", r"预防|预防措施|防治|保健"),
        ("drug", r"药物治疗|用药|药物|用法用量|用法|用药方法"),
        ("caution", r"注意事项|禁忌|禁忌症|禁忌证|不良反应|副作用|须知|危害|并发症"),
    ),
    "en": (
        ("definition", r"definition|overview|about\b.*|understanding\b.*"),
        ("cause", r"causes?|aetiology|etiology|risk factors|causes and risk factors|pathogenesis"),
        ("symptom", r"(signs and )?symptoms?|symptoms and signs|clinical features|presentation|recogni[sz]ing\b.*"),
        ("diagnosis", r"diagnosis|tests?|investigations?|evaluation|(blood )?tests? (for|used for)\b.*"),
        ("treatment", r"treatments?|treatment options|management|therapy|treating\b.*"),
        ("prevention", r"prevention|preventing\b.*"),
        ("drug", r"medicines?|medications?|drugs?|dosage|drug treatment"),
        ("caution", r"cautions?|warnings?|side effects|complications|precautions|contraindications"),
    ),
}
TEMPLATES = {
    "zh": {
        "definition": (
            "什么是{s}？",
            "请介绍一下{s}。",
            "{s}是怎么回事？",
            "怎样理解{s}这个概念？",
            "能简单说说什么是{s}吗？",
            "请对{s}作一个概要的说明。",
        ),
        "cause": (
            "{s}的病因有哪些？",
            "哪些因素会引起{s}？",
            "{s}是怎样引起的？",
            "为什么会得{s}？",
            "请说明{s}的{a}。",
            "{s}的发生与哪些因素有关？",
        ),
        "symptom": (
            "{s}有哪些表现？",
            "得了{s}会出现什么症状？",
            "怎样从表现上认识{s}？",
            "请描述{s}的{a}。",
            "{s}常见的症状和体征是什么？",
            "{s}的病人会有哪些不适或异常？",
        ),
        "diagnosis": (
            "怎样诊断{s}？",
            "{s}的诊断依据是什么？",
            "怀疑{s}时应该怎样检查和判断？",
            "请说明{s}的{a}。",
            "医生如何判断病人是否患有{s}？",
            "诊断{s}要注意哪些问题？",
        ),
        "treatment": (
            "{s}怎样治疗？",
            "{s}的治疗方法有哪些？",
            "得了{s}应该怎么处理？",
            "请说明{s}的{a}要点。",
            "对{s}可以采取哪些治疗措施？",
            "{s}的治疗应当怎样安排？",
        ),
        "prevention": (
            "怎样预防{s}？",
            "{s}的预防措施有哪些？",
            "平时怎样做才能减少{s}的发生？",
            "请说说{s}的{a}。",
            "预防{s}要做到哪几点？",
            "有什么办法可以避免{s}？",
        ),
        "drug": (
            "{s}怎样用药？",
            "{s}可以用哪些药物？",
            "请说明{s}的{a}。",
            "{s}在用药上有哪些要点？",
            "关于{s}的用药，应当知道什么？",
            "{s}的用药应该怎样选择？",
        ),
        "caution": (
            "{s}有哪些需要注意的地方？",
            "关于{s}，应当知道哪些{a}？",
            "请说明{s}的{a}。",
            "{s}的{a}有哪些？",
            "对于{s}，要特别留意什么？",
            "{s}的{a}具体指什么？",
        ),
        "background": (
            "为什么要重视{s}？",
            "{s}这个问题是怎样提出来的？",
            "为什么需要了解{s}？",
            "谈到{s}，先要知道哪些情况？",
            "请说明{s}的背景。",
            "关于{s}，有哪些基本情况？",
        ),
        "conclusion": (
            "关于{s}，可以得出哪些结论？",
            "总的来说，应当怎样看待{s}？",
            "对于{s}，有什么建议？",
            "请用几句话总结{s}。",
            "关于{s}，最重要的一点是什么？",
            "归纳起来，{s}说明了什么？",
        ),
        "aspect": (
            "{s}的{a}是怎样的？",
            "请介绍{s}的{a}。",
            "{s}的{a}有哪些要点？",
            "关于{s}的{a}，应当了解什么？",
            "能讲一讲{s}的{a}吗？",
            "说到{s}的{a}，有哪些基本知识？",
            "请说明{s}的{a}。",
            "我想了解{s}的{a}，请介绍一下。",
        ),
        "topic": (
            "请介绍有关{s}的知识。",
            "关于{s}，有哪些要点？",
            "关于{s}，应当了解哪些内容？",
            "请讲一讲{s}。",
            "{s}方面有哪些需要掌握的知识？",
            "我想了解{s}，请说明一下。",
            "说到{s}，有哪些基本常识？",
            "能概括地说说{s}吗？",
        ),
        "asked": ("{a}？", "请问{a}？", "请说明{a}。", "我想知道{a}。", "能讲讲{a}吗？", "医生，{a}？"),
        "book": ("《{s}》主要讲了什么？", "请介绍《{s}》的内容。", "《{s}》里有哪些知识？", "能说说《{s}》的要点吗？"),
    },
    "en": {
        "definition": (
            "What is {s}?",
            "Can you explain what {s} is?",
            "How would you describe {s}?",
            "Please give a short overview of {s}.",
            "What is meant by {s}?",
            "What should one know first about {s}?",
        ),
        "cause": (
            "What causes {s}?",
            "What are the causes of {s}?",
            "Why does {s} occur?",
            "Which factors lead to {s}?",
            "How does {s} come about?",
            "Please explain the causes of {s}.",
        ),
        "symptom": (
            "What are the symptoms of {s}?",
            "How does {s} present?",
            "How can {s} be recognised?",
            "Which signs and symptoms point to {s}?",
            "What does a person with {s} notice?",
            "Please describe the clinical features of {s}.",
        ),
        "diagnosis": (
            "How is {s} diagnosed?",
            "Which tests are used for {s}?",
            "What does the diagnosis of {s} rest on?",
            "How do doctors recognise {s}?",
            "Please explain how {s} is diagnosed.",
            "What should be considered in diagnosing {s}?",
        ),
        "treatment": (
            "How is {s} treated?",
            "What treatments are there for {s}?",
            "How should {s} be managed?",
            "Please outline the treatment of {s}.",
            "What can be done about {s}?",
            "What does the treatment of {s} involve?",
        ),
        "prevention": (
            "How can {s} be prevented?",
            "What helps to prevent {s}?",
            "Which measures lower the risk of {s}?",
            "Please explain how to prevent {s}.",
            "What can people do to avoid {s}?",
            "What is known about preventing {s}?",
        ),
        "drug": (
            "Which medicines are used for {s}?",
            "How are medicines used in {s}?",
            "What should one know about medicines for {s}?",
            "Please describe the drug treatment of {s}.",
            "Which drugs play a part in {s}?",
            "What medication is given for {s}?",
        ),
        "caution": (
            "What should one watch out for with {s}?",
            "Which problems can come with {s}?",
            "What cautions apply to {s}?",
            "Please explain the {a} of {s}.",
            "What are the {a} of {s}?",
            "What needs particular care in {s}?",
        ),
        "background": (
            "Why does {s} matter?",
            "What is the background to {s}?",
            "What should one know first about {s}?",
            "Why is it worth knowing about {s}?",
            "What is the starting point in the matter of {s}?",
            "Please give the background to {s}.",
        ),
        "conclusion": (
            "What can be concluded about {s}?",
            "What is the advice on {s}?",
            "How would you sum up {s}?",
            "What is the most important point about {s}?",
            "In short, what should be remembered about {s}?",
            "Please sum up what is known about {s}.",
        ),
        "aspect": (
            "On the subject of {s}: what is there to know about {a}?",
            "Please explain {a} in relation to {s}.",
            "What should one know about {a} when it comes to {s}?",
            "Can you tell me about {a} with regard to {s}?",
            "What are the main points about {a} in {s}?",
            "How would you summarise {a} in the context of {s}?",
            "I am reading about {s}. What matters about {a}?",
            "Regarding {s}, what can be said about {a}?",
        ),
        "topic": (
            "What should one know about {s}?",
            "Please explain the main points about {s}.",
            "Can you tell me about {s}?",
            "What is important to understand about {s}?",
            "How would you summarise what is known about {s}?",
            "I would like to learn about {s}. What are the essentials?",
            "What are the key facts about {s}?",
            "Please give an account of {s}.",
        ),
        "asked": (
            "{a}?",
            "I have a question: {a}?",
            "{a}? Please explain.",
            "{a}? What are the main points?",
            "Please answer this question: {a}?",
            "Could you help me with this: {a}?",
        ),
        "book": (
            "What is “{s}” about?",
            "Please summarise “{s}”.",
            "What does “{s}” cover?",
            "What are the main points of “{s}”?",
        ),
    },
}
PROMPTS = {language: json.dumps(TEMPLATES[language], ensure_ascii=False) for language in TEMPLATES}

LABELLED = (
    ("background", r"(研究)?(背景|目的)|引言|前言|background|introduction|objectives?|aims?|purpose"),
    ("conclusion", r"(研究)?结论|小结|总结|conclusions?|summary"),
    ("topic", r".*"),
)
NUMBERING = re.compile(
    r"^\s*(第[一二三四五六七八九十百零〇\d]+[章节篇部条回卷讲]|[（(]?[一二三四五六七八九十\d]+[）)、.．]"
    r"|\d+(\.\d+)*\.?\s|(chapter|section|part) [\dIVX]+[.:]?)\s*",
    re.IGNORECASE,
)
ASKED = {
    "zh": re.compile(r"什么|怎样|怎么|如何|为何|哪[些种个几]|多少|吗$|能否|是否|该不该"),
    "en": re.compile(r"^(what|how|why|when|who|which|where|can|is|are|does|do|should)\b.*\?$", re.IGNORECASE),
}


def applies(passage: Passage, config: RewriteConfig) -> bool:
    """Tell whether there is a title or heading to ask by, in a language that has templates."""
    return passage.language in TEMPLATES and any(clean.strip() for clean in (passage.title or "", passage.heading))


async def write(passage: Passage, config: RewriteConfig, ask: Ask) -> list[Pair]:
    """Write the one pair of the passage."""
    kind, subject, aspect = subject_of(passage)
    templates = TEMPLATES[passage.language][kind]
    chosen = templates[int(uniform(config.seed, STYLE, passage.id) * len(templates))]
    question = chosen.format(s=subject, a=aspect)
    made = Made("question", "none", text_hash(PROMPTS[passage.language]), "")
    values = (("heading_kind", kind), ("template", chosen))
    answer = passage.text.strip()
    start = passage.text.find(answer)
    question = question[:1].upper() + question[1:]
    return [Pair(STYLE, passage.lang, question, answer, ((start, start + len(answer)),), values, (made,))]


def subject_of(passage: Passage) -> tuple[str, str, str]:
    """Read title and last heading: the kind of heading, what the passage is about, and the heading's own words."""
    language = passage.language
    as_in_text = _as_in(passage.text)
    name = NUMBERING.sub("", (passage.title or "").strip()).strip()
    bare = name.strip("《》")
    title = as_in_text(re.split(r"[：:（(]|——| [-–|] ", bare)[0].strip() or bare)
    heading = NUMBERING.sub("", passage.heading.strip()).strip().rstrip("：:。. ")
    if not heading or heading in (title, bare):
        return ("book" if name.startswith("《") or passage.kind == "books" else "topic"), title or heading, ""
    if LABELS.fullmatch(heading) and title:
        return next(kind for kind, words in LABELLED if re.fullmatch(words, heading, re.IGNORECASE)), title, ""
    if ASKED[language].search(heading):
        return "asked", title, heading.rstrip("？?")
    if language == "zh" and not heading.startswith(title) and "的" not in heading:
        kind = next((kind for kind, words in KINDS["zh"] if re.fullmatch(words, heading)), "aspect")
        if passage.kind == "books" or not title or (kind == "aspect" and (len(heading) > 4 or len(title) > 10)):
            return "topic", heading, ""
        return kind, title, heading
    if language == "zh":
        subject, _, aspect = heading.rpartition("的") if "的" in heading else (title, "", heading.removeprefix(title))
        kind = next((kind for kind, words in KINDS["zh"] if re.fullmatch(words, aspect)), "aspect")
        return (kind, subject, aspect) if subject and aspect else ("topic", heading, "")
    kind = next((kind for kind, words in KINDS["en"] if re.fullmatch(words, heading, re.IGNORECASE)), "aspect")
    if not title or passage.kind == "books":
        return "topic", as_in_text(heading), ""
    return kind, title, as_in_text(heading)


def _as_in(text: str) -> Callable[[str], str]:
    """Write a name with a small first letter where the text does."""

    def written(name: str) -> str:
        small = name[:1].lower() + name[1:]
        return (
            small
            if small != name and (small in text or name.split(" ")[0] not in text) and not name[1:2].isupper()
            else name
        )

    return written
