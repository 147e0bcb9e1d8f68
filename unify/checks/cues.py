"""What a question asks for, and whether its answer shows a sign of it."""

import re

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


def mismatched(question: str, answer: str, language: str) -> str | None:
    """Find a question that asks for something of which its answer shows no sign."""
    for asked, shown in CUES.get(language, ()):
        found = re.search(asked, question, re.IGNORECASE)
        if found and not re.search(shown, answer, re.IGNORECASE):
            return f"asks {found[0]!r}"
    return None
