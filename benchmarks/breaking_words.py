"""Ways to break a true answer by its words: the other half of breaking.py, which breaks quantities.

Each takes a text, its language and a random generator and returns the text with one thing changed, or None where it has
none. The words they swap are written down here, apart from the tables of the checks.
"""

import re
from collections.abc import Sequence
from itertools import pairwise
from random import Random

from pipeline.sentences import split_sentences

# What is said, and what takes its place.
_SWAPS = {
    "zh": (
        "禁用/可用,慎用/禁用,不宜/适宜,首选/禁用,可用/禁用,禁忌/首选,升高/降低,"
        "增高/降低,增加/减少,增强/减弱,上升/下降,减少/增加,下降/上升,降低/升高,"
        "减轻/加重,加重/减轻,阳性/阴性,阴性/阳性,大于/小于,小于/大于,高于/低于,"
        "低于/高于,以上/以下,以下/以上,良性/恶性,恶性/良性,急性/慢性,慢性/急性,"
        "可以/不可以,不能/能,没有/有,不会/会,不是/是,无明显/有明显,有效/无效,"
        "扩张/收缩,收缩/扩张,兴奋/抑制,抑制/促进,促进/抑制,缩短/延长,延长/缩短,"
        "饭前/饭后,饭后/饭前,应该/不应该,能够/不能够"
    ),
    "en": (
        "increases/decreases,increased/decreased,increase/decrease,decreases/increases,decreased/increased,"
        "decrease/increase,reduces/increases,reduced/increased,reduce/increase,higher/lower,lower/higher,"
        "positive/negative,negative/positive,with/without,without/with,more/less,less/more,is/is not,are/are not,"
        "can/cannot,cannot/can,is not/is,are not/are,does not/does,should/should not,should not/should,"
        "before/after,after/before,acute/chronic,chronic/acute,benign/malignant,above/below,improves/worsens,"
        "improved/worsened,effective/ineffective,may/may not,significant/insignificant,common/uncommon,"
        "high/low,low/high,recommended/contraindicated,avoid/use,safe/unsafe"
    ),
}
SWAPS = {language: [pair.split("/") for pair in pairs.split(",")] for language, pairs in _SWAPS.items()}
LEAKS = {
    "zh": [
        "根据文中内容，",
        "如上文所述，",
        "参考资料显示，",
        "从给出的材料来看，",
        "本文指出，",
        "原文提到，",
        "根据以上信息，",
        "这段文字说明，",
        "作者认为，",
        "文章中提到，",
    ],
    "en": [
        "According to the passage, ",
        "The text states that ",
        "As mentioned above, ",
        "Based on the provided context, ",
        "The author says that ",
        "From the given information, ",
        "This passage explains that ",
        "The article notes that ",
        "As described in the text, ",
        "In the excerpt above, ",
    ],
}
DANGLING = {
    "zh": [
        "该药",
        "本品",
        "上述药物",
        "此外，",
        "它",
        "其中，",
        "该病",
        "这种情况",
    ],
    "en": [
        "It also helps. ",
        "However, ",
        "This drug does so. ",
        "They are common. ",
        "These are frequent. ",
        "In addition, ",
    ],
}
POINTERS = {
    "zh": [
        "（见表3）",
        "（如图2所示）",
        "，详见附表",
        "，本研究结果与此一致",
        "（见下图）",
        "，我院资料亦如此",
    ],
    "en": [
        " (see Table 3)",
        " (Figure 2)",
        ", as shown in Table 1",
        ", as our results show",
        ", as we found in our study",
        " (see below)",
    ],
}
WARNING = {
    "zh": re.compile(r"禁用|慎用|禁忌|忌用|不宜|避免|(?:孕妇|儿童|哺乳).*[禁慎不]|不超过|不能[用服使]|最大剂量|过量"),
    "en": re.compile(
        r"contraindicat|caution|avoid|not be (?:used|taken|given|administered)|not recommended|overdos|toxicity|"
        r"maximum|exceed|(?:pregnan|child|renal|kidney|liver|hepatic).*(?:not|risk|reduce|adjust|harm)",
        re.IGNORECASE,
    ),
}
GIVEN = {
    "zh": re.compile(r"服|用|治疗|给|注射|剂量|首选|推荐"),
    "en": re.compile(r"\b(?:treat|use|give|take|prescrib|dos|administ|recommend|therap|indicat)", re.IGNORECASE),
}


def break_polarity(text: str, language: str, random: Random) -> str | None:
    """Turn one statement round: a word for its opposite, or a negation more or less."""
    border = r"\b" if language == "en" else ""
    places = [
        (found.span(), other.strip())
        for said, other in SWAPS[language]
        for found in re.finditer(f"{border}{re.escape(said.strip())}{border}", text)
    ]
    if not places:
        return None
    (start, end), other = random.choice(places)
    return text[:start] + other + text[end:]


def break_name(text: str, spans: Sequence[tuple[int, int]], others: Sequence[str], random: Random) -> str | None:
    """Put another name in the place of one, everywhere; names are swapped for one that the text does not have."""
    if not spans:
        return None
    written = text[slice(*random.choice(spans))]
    left = [other for other in others if other.lower() not in text.lower() and written.lower() not in other.lower()]
    return text.replace(written, random.choice(left)) if left else None


def break_leak(text: str, language: str, random: Random) -> str | None:
    """Begin by saying where the answer comes from."""
    return random.choice(LEAKS[language]) + text


def break_alone(text: str, language: str, random: Random) -> str | None:
    """Lean on what the reader does not see: at the beginning, or by a table, a figure or a study."""
    if random.random() < 0.5:
        return random.choice(DANGLING[language]) + text
    sentences = split_sentences(text, language)
    _, end = random.choice(sentences)
    return text[: end - 1] + random.choice(POINTERS[language]) + text[end - 1 :]


def break_end(text: str, random: Random) -> str | None:
    """Cut the text inside a sentence, somewhere in its second half."""
    places = [
        place for place in range(len(text) // 2, len(text) - 2) if text[place - 1].isalnum() and text[place].isalnum()
    ]
    return text[: random.choice(places)] if places else None


def drop_warning(text: str, language: str, drugs: Sequence[tuple[int, int]], random: Random) -> str | None:
    """Leave out a sentence that forbids, limits or warns, where the one before it tells how a drug is used."""
    sentences = split_sentences(text, language)
    places = [
        after
        for before, after in pairwise(sentences)
        if any(before[0] <= start < before[1] for start, _ in drugs)
        and GIVEN[language].search(text, *before)
        and not WARNING[language].search(text, *before)
        and WARNING[language].search(text, *after)
    ]
    if not places:
        return None
    start, end = random.choice(places)
    return (text[:start] + text[end:]).strip()
