"""The words that checks compare texts by.

Chinese is compared by character bigrams and English by word stems, because Chinese words have no spaces between them.
"""

import re
from functools import lru_cache

WORD = re.compile(r"[A-Za-z][A-Za-z'’-]*|\d+(?:[.,]\d+)*")
CJK = re.compile(r"[㐀-䶿一-鿿豈-﫿]")
HAN_RUN = re.compile(r"[㐀-䶿一-鿿豈-﫿]+")
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
ASKING_ZH = re.compile(
    r"什么|怎么样?|怎样|如何|为何|为什么|哪[些种个几一类项]?|多少|多[长久大]|几[次天种个年]|吗|呢|是否|能否|可以|能不能|应该?|需要?|请问|有|的|是|了|会|能"
    r"|患者|病人|治疗|症状|原因|方法|引起|出现|注意|事项|表现|主要|常见|情况|怎么办|办法|下列|以下|属于|错误|正确|不"
)


def content_words(text: str) -> list[str]:
    """List the words of an English text that carry content."""
    words = (word[:-2] if word.endswith(("'s", "’s")) else word for word in WORD.findall(text))
    return [
        word
        for word in words
        if word.lower() not in STOPWORDS and (len(word) > 2 or word[0].isdigit() or word.isupper())
    ]


def stem(word: str) -> str:
    """Cut a word so that most of its forms agree: at 6 letters, without a plural's s."""
    low = word.lower()
    return low.rstrip("s")[:6] if len(low) > 3 else low


@lru_cache(maxsize=1024)
def terms(text: str) -> frozenset[str]:
    """Return what texts are compared by: stems of English words of content, bigrams of Chinese characters."""
    runs = HAN_RUN.findall(text)
    pairs = {run[i : i + 2] for run in runs for i in range(len(run) - 1)}
    return frozenset(pairs.union(map(stem, content_words(text))))
