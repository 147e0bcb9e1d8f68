"""Reasons to reject a question, an answer, or a pair.

Each check returns its evidence, a short text, or None if there is nothing to reject; `first_broken` names the first.
They read words and characters, not meaning: they are cheap, and they err. Chinese is compared by character bigrams
and English by word stems, because Chinese words have no spaces between them.
"""

import re
from collections.abc import Iterable

Finding = tuple[str, str]  # drop reason, evidence

CLOSING = "。！？!?.…”’\"')）】》」』：:；;"
LEAKS = re.compile(
    r"(上述|以上|本|该|原|这[段篇]|此)(文(本|章|中|献|段)?(?!化|明|字|献学)|段落|材料|资料|信息|片段|内容)"
    r"|文中|上文|前文|参考(资料|文献|信息|内容|文本)|所提供|给出的(信息|内容|资料|文本)|根据(资料|材料|段落|文章|文本)|作者(认为|指出|提到)"
    r"|\b(the|this|that|above|given|provided|following) "
    r"(passage|text|excerpt|article|document|paragraph|context|fact|sentence|statement|reference)s?\b"
    r"|\b(according to|in|from) the (author|above)\b|\bas (mentioned|stated|described) (above|earlier)\b"
    r"|\breference material\b",
    re.IGNORECASE,
)
REFUSALS = re.compile(
    r"^(抱歉|很抱歉|对不起|作为(一个|一名)?(人工智能|AI|语言模型)|我(无法|不能)(回答|提供))|我(是|只是)一个(人工智能|AI|语言模型)"
    r"|^(i'?m sorry|sorry[,.]|i (can ?not|can't|am unable to|am not able to)\b|as an ai\b|unfortunately, i )"
    r"|\bas an ai (language )?model\b",
    re.IGNORECASE,
)
DANGLING = re.compile(
    r"^(该[药病症品种类项方]|本(品|药|文|书|病(?![例史历程]))|上述|此[药病类外]|这(些|种|类|个|是|一|时|样)|其[中他次它]?|它们?|他们|因此|然而|但是|此外|另外|同时|而且|所以|否则|例如)"
    r"|^(it|its|this|that|these|those|they|their|he|she|his|her|such|however|therefore|thus|moreover|furthermore|"
    r"in addition|also|but|and|or|both|other|others|another|instead|otherwise|consequently|for example|for instance|"
    r"in contrast|by contrast|the latter|the former|then|similarly|hence|as a result|neither|either|one of these)\b",
    re.IGNORECASE,
)
NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
WORD = re.compile(r"[A-Za-z][A-Za-z'’-]*|\d+(?:[.,]\d+)*")
CJK = re.compile(r"[㐀-䶿一-鿿豈-﫿]")
_STOPWORDS = """
    a an the of in on at to for from by with without and or nor but not no if then than as is are was were be
    been being am do does did done has have had having can could may might must shall should will would what
    which who whom whose when where why how it its this that these those they them their there here he she his
    her we our you your i my me so such some any all most more less many much few each every other others
    another into out over under about after before during between through within also only very too s
"""
STOPWORDS = frozenset(_STOPWORDS.split())
# What a question may say though passage and title do not: the words in which questions are asked.
_ASKING = """
    able about achieve affect affected age ask associated avoid based become benefit benefits best better body
    called care case cause caused causes change changed choose characteristic characteristics check checked
    common commonly concern condition consider considered contribute control correct criteria describe detect
    determine develop diagnose diagnosed diagnosis differ difference different disease diseases disorder doctor
    doctors does dose drug drugs effect effective effects example explain factor factors feature features find
    first form function general get give given happen happens health help helps identify illness important
    include increase indicate individual interact involve involved kind kinds know known lead level likely limit
    limits limitations long look lower main make makes manage managed management mean means measure measured
    mechanism medical medication medications medicine medicines method methods name need needed normal normally
    number occur occurs often part patient patients people percentage perform performed person play possible
    prevent prevented prevention primary procedure purpose reason reasons receive recommend recommended reduce
    regarding relate related relation relationship require required result results risk risks role safe serious
    severe show sign signs site sites someone specific spread start step steps take taken tell term test tests
    tested time treat treated treating treatment treatments type types typical typically use used uses using
    usual usually way ways whether work works
"""
ASKING = frozenset(_ASKING.split())
# What a question asks for, and a sign of it that an answer must show.
CUES = {
    "en": (
        (
            r"\bcauses?\b|\bcaused\b|\bwhy\b|\breasons?\b",
            r"caus|due to|because|result|lead|trigger|produc|aris|follow|factor|explain|since|from|by ",
        ),
        (
            r"\bdiffer|\bcompare",
            r"differ|whereas|while|unlike|than|compar|rather|\bbut\b",
        ),
        (
            r"\bsymptoms?\b|\bsigns?\b|look like|\bfeel",
            r"symptom|sign\b|signs|pain|fever|present|feel|felt|rash|weak|cough|swell|nausea|tired|fatigue|"
            r"loss|appear|typical",
        ),
        (
            r"\btreat|\btherap|\bmanag|\bcured?\b",
            r"treat|therap|dos(e|ing)|medicine|manag|recommend|surg|given|reliev|reduc|first-line|drug|used|"
            r"option|replac|start",
        ),
        (
            r"\bdiagnos|\bdetect|\bidentif|\btests?\b|\btested\b|\bdetermine",
            r"diagnos|test|measur|confirm|show|detect|exclud|criteri|imaging|biops|examin|suggest|support|"
            r"count|level|scan",
        ),
        (
            r"\bprevent|\bavoid|\bprotect",
            r"prevent|avoid|reduc|protect|vaccin|lower|limit|immuni",
        ),
        (
            r"\brisks?\b|\bcomplication|\bdanger",
            r"risk|complicat|increas|likely|rare|can cause|may|harm|toxic|danger|lead",
        ),
        (
            r"\bdefin|\bmean\b|\bmeans\b|^what is an? ",
            r"\b(is|are) (an?|the|any|defined|when|one|inflammation|\w+ation)\b|defin|means|refers|"
            r"correspond|called|describes",
        ),
        (
            r"\bpurpose\b|\broles?\b|\bfunction|\bused for\b|\bhelps?\b|\bbenefits?\b",
            r"\bto\b|\bfor\b|\bby\b|help|reliev|treat|allow|function|prevent|reduc|act|stimulat|inhibit|control|remov|"
            r"improv|shorten",
        ),
        (
            r"\bhow (many|much|often|long|old|high|low)\b|\bnumber of\b|\bpercentage\b|\bproportion\b",
            r"\d|\b(one|two|three|four|five|six|seven|eight|ten|half|third|most|every|daily|once|twice|"
            r"several)\b",
        ),
        (
            r"\bwhen\b|\bage\b",
            r"when|after|before|during|until|within|\d|\b(at|once|age|week|month|year|day|hour|early|late|"
            r"first)",
        ),
        (
            r"\bspread|\btransmi",
            r"spread|transmi|through|contact|airborne|droplet|bite",
        ),
        (
            r"\btypes?\b|\bkinds?\b|\bforms?\b|\bclassif",
            r"type|kind|form|class|categor|group|divid|includ|subtype|\band\b",
        ),
        (
            r"\bprognosis\b|\bsurviv",
            r"prognos|surviv|recover|mortal|fatal|death|outcome",
        ),
        (
            r"\bhistory\b|\borigin",
            r"histor|origin|first|century|\b1[5-9]\d\d\b|\b20\d\d\b",
        ),
        (
            r"\bcommon(est)?\b|\bfrequent",
            r"common|frequent|most|typical|usual|often|main|percent|%",
        ),
        (
            r"\bprimary\b|\bmain\b|\bmajor\b|\bimportant\b|\bbest\b|\bfirst\b",
            r"primary|main|major|important|best|most|first|chief|central|key|essential|standard|preferred|"
            r"cornerstone|recommend|usual",
        ),
        (
            r"\bcriteri",
            r"criteri|require|defin|diagnos|meet|least|\d",
        ),
        (
            r"\blimit(s|ed|ation)",
            r"limit|cannot|not|but|only|although|however|may",
        ),
        (
            r"\baffect|\beffects?\b|\bimpact",
            r"affect|effect|increas|reduc|caus|lead|impair|damag|rais|lower|make|slow|limit|weak|worsen|"
            r"improv|relax|help|harm|protect|stimul",
        ),
        (
            r"\bhow (does|do|is|are|can|should)\b.*\b(develop|occur|form|happen)",
            r"develop|form|when|caus|result|begin|start|aris|by |due to|accumul",
        ),
        (
            r"\bworks?\b",
            r"\bby\b|\bacts?\b|inhibit|stimulat|block|prevent|reduc|relax|agonist|increas|lower|slow|remov|control|bind",
        ),
    ),
    "zh": (
        (
            r"为什么|为何|原因|病因",
            r"因|由|导致|引起|所致|由于|诱发|造成|有关",
        ),
        (
            r"区别|差异|不同",
            r"不同|区别|而|相比|较|则",
        ),
        (
            r"症状|表现|体征",
            r"症状|表现|出现|疼|痛|热|肿|伴|感|可见|为主",
        ),
        (
            r"治疗|治法|处理",
            r"治|用|服|手术|药|给予|疗|控制|缓解|首选",
        ),
        (
            r"诊断|检查|判断|确诊",
            r"诊断|检查|检测|测|查|≥|标准|提示|确诊|影像",
        ),
        (
            r"预防|避免",
            r"预防|避免|防|减少|接种|保持|控制",
        ),
        (
            r"多少|几[次天种个年]|多长|多久",
            r"\d|[一二三四五六七八九十两半]",
        ),
        (
            r"什么是|是什么[？?]|定义|何谓",
            r"是|指|称|即|为",
        ),
    ),
}


def first_broken(rules: Iterable[tuple[str, str | None]]) -> Finding | None:
    """Return the first rule with evidence against a text; rules come as (drop reason, evidence or None)."""
    return next(((reason, evidence) for reason, evidence in rules if evidence is not None), None)


def without_thinking(text: str) -> str:
    """Strip reasoning that a model wrote before its answer, as <think>…</think> or ending in </think>."""
    return re.sub(r"^.*</think>", "", text, flags=re.DOTALL).strip()


def thinking_left_in(text: str) -> str | None:
    """Find reasoning that could not be stripped, since it has no end."""
    found = re.search(r"</?think(ing)?>|^(嗯，|好的，用户|okay, (so )?(the user|let me))", text, re.IGNORECASE)
    return found[0] if found else None


def cut_off(text: str, finish_reason: str) -> str | None:
    """Find an end that is none: the limit of tokens, or no closing punctuation."""
    if finish_reason == "length":
        return "finish_reason length"
    return None if text.rstrip()[-1:] and text.rstrip()[-1] in CLOSING else f"ends with {text.rstrip()[-8:]!r}"


def too_short(text: str, min_chars: int) -> str | None:
    """Find a text under a number of characters."""
    return f"{len(text)} < {min_chars} characters" if len(text) < min_chars else None


def too_long(text: str, max_chars: int) -> str | None:
    """Find a text over a number of characters."""
    return f"{len(text)} > {max_chars} characters" if len(text) > max_chars else None


def refusal(text: str) -> str | None:
    """Find an answer that declines to be one."""
    found = REFUSALS.search(text)
    return found[0] if found else None


def leak(text: str) -> str | None:
    """Find a mention of the passage, which whoever reads the pair does not see."""
    found = LEAKS.search(text)
    return found[0] if found else None


def wrong_language(text: str, language: str) -> str | None:
    """Find a text that is not in the language (zh or en), by its share of Chinese characters among letters."""
    letters = len(re.findall(r"[^\W\d_]", text))
    ratio = len(CJK.findall(text)) / letters if letters else 0.0
    wrong = ratio < 0.3 if language == "zh" else ratio > 0.1 or not letters
    return f"{ratio:.2f} Chinese characters" if wrong else None


def repetition(text: str) -> str | None:
    """Find a phrase said over and over: one n-gram (of 8 characters or 4 words) too often, or a word run."""
    words = list(CJK.sub(lambda match: f" {match[0]} ", text.lower()).split())
    if run := re.search(r"\b(\w+)( \1){2,}\b|([㐀-鿿]{2,8})\3{2,}", text.lower()):
        return run[0][:40]
    size = 8 if CJK.search(text) else 4
    grams = [tuple(words[i : i + size]) for i in range(len(words) - size + 1)]
    worst = max(grams, key=grams.count, default=()) if len(grams) < 2000 else ()
    return " ".join(worst) if worst and grams.count(worst) > 3 else None


def not_a_question(text: str) -> str | None:
    """Find what is no single question of one line: no question mark at its end, or more lines."""
    if "\n" in text.strip():
        return "several lines"
    return None if text.rstrip().endswith(("?", "？")) else f"ends with {text.rstrip()[-8:]!r}"


def not_standalone(text: str) -> str | None:
    """Find a beginning that points at something said before."""
    found = DANGLING.search(text.lstrip("“\"'(（ "))
    return found[0] if found else None


def pointing(question: str) -> str | None:
    """Find a word in a question that points at something its reader does not see."""
    found = re.search(r"\b(these|those|this)\b|[这那]些|[该此](?!时|外|类)", question, re.IGNORECASE)
    return found[0] if found else None


def ungrounded_number(answer: str, passage: str) -> str | None:
    """Find the first number of an answer that its passage does not have; list numbers of one digit do not count."""
    known = {number.replace(",", "") for number in NUMBER.findall(passage)}
    listed = re.sub(r"(?m)^\s*\d{1,2}[.、)）]", "", answer)
    return next((number for number in NUMBER.findall(listed) if number.replace(",", "") not in known), None)


def support_share(answer: str, passage: str) -> float:
    """Return the share of an answer's n-grams (2 Chinese characters, or 1 word of content) that its passage has."""
    wanted = terms(answer)
    return len(wanted & terms(passage)) / len(wanted) if wanted else 0.0


def low_support(answer: str, passage: str, min_share: float) -> str | None:
    """Find an answer of which the passage has too few n-grams."""
    share = support_share(answer, passage)
    return f"{share:.2f} < {min_share:.2f}" if share < min_share else None


def foreign_name(question: str, known: str) -> str | None:
    """Find a word of content in a question that neither `known` (passage, title, headings) nor asking needs.

    In Chinese only words in Latin letters, numbers and 《titles》 are looked for.
    """
    if CJK.search(question):
        marks = re.findall(r"《[^》]+》|[A-Za-z]{2,}[A-Za-z0-9-]*|\d+(?:\.\d+)?", question)
        return next((mark for mark in marks if mark.lower() not in known.lower()), None)
    words = content_words(known.lower())
    stems = {stem(word) for word in words}
    for word in content_words(question):
        # small models bend long names, so that all but the last four letters must agree
        bent = len(word) > 9 and not any(one.startswith(word.lower()[:-4]) for one in words)
        if word.lower() not in ASKING and (bent or stem(word) not in stems):
            return word
    return None


def copied_answer(question: str, answer: str) -> str | None:
    """Find a question that gives its answer away: it has over two thirds of the answer's words or bigrams."""
    wanted = terms(answer)
    share = len(wanted & terms(question)) / len(wanted) if wanted else 1.0
    return f"{share:.2f} of the answer" if share > 2 / 3 else None


def mismatched(question: str, answer: str, language: str) -> str | None:
    """Find a question that asks for something of which its answer shows no sign."""
    for asked, shown in CUES.get(language, ()):
        found = re.search(asked, question, re.IGNORECASE)
        if found and not re.search(shown, answer, re.IGNORECASE):
            return f"asks {found[0]!r}"
    return None


def content_words(text: str) -> list[str]:
    """List the words of an English text that carry content."""
    words = (re.sub(r"['’]s$", "", word) for word in WORD.findall(text))
    return [
        word
        for word in words
        if word.lower() not in STOPWORDS and (len(word) > 2 or word[0].isdigit() or word.isupper())
    ]


def stem(word: str) -> str:
    """Cut a word so that most of its forms agree: at 6 letters, without a plural's s."""
    low = word.lower()
    return low.rstrip("s")[:6] if len(low) > 3 else low


def terms(text: str) -> set[str]:
    """Return what texts are compared by: stems of English words of content, bigrams of Chinese characters."""
    runs = re.findall(r"[㐀-䶿一-鿿豈-﫿]+", text)
    return {stem(word) for word in content_words(text)} | {run[i : i + 2] for run in runs for i in range(len(run) - 1)}
