"""Whether a text stands alone: it mentions no passage and points at nothing that its reader does not see.

Naming a work or guideline is no leak: 《中国高血压防治指南》, "the 2021 WHO guideline".
"""

import re

LEAKS = re.compile(
    r"(?:上述|以上|本|该|原|此|这[段篇])(?:文字|文章|文(?!化|明|字|献学|件|艺|书|科|凭)|段落|资料|片段)"
    r"|(?:以上|上述|给出的|提供的|所给|所附)(?:材料|信息|内容|文本|资料|描述)"
    r"|(?<![中人论作散])文中(?!医)|上文|前文|(?:参考|依据|根据|按照)(?:资料|材料|文献|信息|内容|文本|段落|文章"
    r"|原文)|参考所"
    r"|作者(?:认为|指出|提到|建议)|(?:文章|资料|材料|段落|原文)(?:中|里)?(?:提到|提及|指出|认为|所述|介绍|描述"
    r"|记载|没有提|未提)"
    r"|\b(?:this|that|above|given|provided|following) (?:passage|text|excerpt|article|document|paragraph)s?\b"
    r"|\bthe (?:given |provided |above |following |source |original )?(?:passage|excerpt"
    r"|paragraph)s?\b(?! of (?:time|air|stool|urine|food|blood|gas|a stone|stones|light))"
    r"|\bthe (?:given |provided |above |following |source |original )?(?:text|article|document|author)s?"
    r"(?= (?:say|state|mention|describe|explain|discuss|suggest|provide|report|note|indicate|list|does|do"
    r"|is about)|[?.,;]|'s\b|$)"
    r"|\bthe (?:given|provided|above|following|stated) (?:context|facts?|information|statements?|sentences?"
    r"|references?|material)\b"
    r"|\b(?:according to|based on|in|from) the (?:text|article|document|author|above|context(?! of)"
    r"|information (?:above|given|provided))\b"
    r"|\bas (?:mentioned|stated|described|noted|discussed) (?:above|earlier|before|in the (?:text|passage))\b"
    r"|\b(?:the fact (?:says?|states?)|reference material)\b",
    re.IGNORECASE,
)
# A beginning that leans on something said before.
DANGLING = re.compile(
    r"^(?:该[药病症品种类项方例]|本(?:品|药|文|书|病(?![例史历程])|方|证|组|研究)|上述|此[药病类外方]"
    r"|这(?:些|种|类|个|是|一|时|样)|其(?:[中他次它]|(?![一-鿿]))|它们?|他们|因此|然而|但是|此外|另外|而且"
    r"|所以|否则|例如)"
    r"|^(?:it(?! (?:is|was|has been|seems|appears|may be|can be|should be)(?: \w+){0,4} (?:that|to|whether)\b)"
    r"|its|this|that|these|those|they|their|he|she|his|her|such|however|therefore|thus|moreover|furthermore|"
    r"in addition|also|but|and|or|other|others|another|instead|otherwise|consequently|for example|for instance|"
    r"in contrast|by contrast|the latter|the former|then|similarly|hence|as a result|one of these)\b",
    re.IGNORECASE,
)
# What points out of the text wherever it stands: tables and figures, the authors' own study and patients.
OUTSIDE = re.compile(
    r"[见如](?:[上下附]|左|右)?[图表] ?\d*|[（(](?:图|表) ?\d+|[图表] ?\d+ ?(?:所示|显示|可见|列出)"
    r"|附[录表图] ?\d*|见(?:前|后|上|下)(?:述|文|节|章)?(?=[）)，。；]|$)"
    r"|本(?:研究|课题|组(?=患者|病例|资料|研究|结果|\d)|院|科室|实验|试验|病例|例(?=患)|章|节)|我院|我科"
    r"|我们(?:的)?(?:研究|发现|认为|观察|采用|报道)|笔者"
    r"|\b(?:see|in|shown in|from) (?:the )?(?:table|figure|fig\.?|appendix|box|chapter|section) ?[\dIVX]"
    r"|\((?:see )?(?:table|figure|fig\.?|appendix|box) ?\w+"
    r"|\bsee (?:above|below)\b|\b(?:table|figure|fig\.) \d+ (?:shows?|lists?|presents?)"
    r"|\b(?:our|the (?:present|current)) (?:\w+ ){0,2}(?:stud(?:y|ies)|results?|findings?|data|series|cohort"
    r"|paper|review"
    r"|report|case|patients?|analysis|experience|trial|investigation|survey|experiments?|sample|observations?|work)\b"
    r"|\b(?:in )?this (?:\w+ )?(?:study|paper|review|case report|trial|series|cohort|investigation|survey)\b"
    r"|\bwe (?:\w+ )?(?:found|report|conclude|studied|show(?:ed)?|suggest|propose|believe|observed|present"
    r"|demonstrate[d]?|recommend|describe|hypothes\w+)\b",
    re.IGNORECASE,
)
POINTING = re.compile(
    r"\b(?:these|those)\b(?! (?:who|with|at|in whom|taking|over|under)\b)|\bthis\b|这些|(?<!有)那些|(?:上述|以上|下列"
    r"|以下)(?!年龄|人群|孕)"
    r"|(?<![应不活])[该此](?!时|外|类|如|不|怎|做|吃|去|注|用|先|多|采|服|咋)|本(?:品|药|方|病(?![例史历程])"
    r"|患者|病例)",
    re.IGNORECASE,
)
PATIENT = re.compile(r"\bthis patient\b|[该此](?:患者|病人|患儿|病例|例)", re.IGNORECASE)
CASE = re.compile(
    r"\d+ ?(?:岁|个?月大|years? old|-year-old|-month-old)|患者[，,：:]|^(?:男|女)[，,性]|我|my |病人[，,：:]|患儿",
    re.IGNORECASE,
)


def leak(text: str) -> str | None:
    """Find a mention of the passage, which whoever reads the pair does not see."""
    found = LEAKS.search(text)
    return found[0] if found else None


def not_standalone(text: str) -> str | None:
    """Find a beginning that points at something said before."""
    found = DANGLING.search(text.lstrip("“\"'(（ "))
    return found[0] if found else None


def points_outside(text: str) -> str | None:
    """Find what points at a table, a figure, or a study and patients that the reader does not see."""
    found = OUTSIDE.search(text)
    return found[0] if found else None


def pointing(question: str) -> str | None:
    """Find a word in a question that points at something its reader does not see; a case may be told before it."""
    found = POINTING.search(question)
    told = found and CASE.search(question[: found.start()])
    return found[0] if found and not told else None


def unknown_patient(question: str, answer: str) -> str | None:
    """Find an answer about a patient of whom its question says nothing."""
    found = PATIENT.search(answer)
    return (
        found[0] if found and not CASE.search(question) and "patient" not in question and "患" not in question else None
    )
