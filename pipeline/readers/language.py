"""Tell the language of a text: zh-Hans, zh-Hant, lzh (classical), en or und, by its scripts and commonest words.

Chinese where Han characters are at least 30% of Han characters and words of letters. Traditional or simplified by the
characters that only one of GB 2312 and Big5 has. Classical where characters of the classical language outweigh those of
the modern one. English where its commonest words are many and those of other languages few; in between,
py3langid (Lui and Baldwin, 2012) decides.
"""

from functools import cache
from itertools import repeat
from typing import cast

import numpy as np
from numba import njit
from numpy.typing import NDArray
from opencc import OpenCC
from py3langid.langid import MODEL_FILE, LanguageIdentifier

_SAMPLE = 2_000  # characters at the beginning, in the middle and at the end of a text, enough to judge by

# Characters 2.5 times as frequent (geometric mean) in Chinese medical classics and Tang verse as in modern abstracts,
# recipes, wiki pages, consultations and chats, or 3.3 times as rare. Figures: benchmarks/RESULTS.md, bench_filter.py.
_CLASSICAL = (
    "曰矣乃亦皆遂惟虽既兼犹诸谓俱厥乎哉焉耳兮吾汝岂盖夫尔孰尝勿欲忽故若无何此令久独卷伤言名甘君春秋冬夏夜云黄寒山月日金"
    "阴散石虚叶草门归四五十六七八九百千万飞川龙丹苦宜桂惊仁衣浮枝玉紫声丸露吐灵游薄命华盛落赤王朝志竹鸣乱乘谷霜圣玄古桃闻"
    "桑宿芳汗膏野弦居珠妙泻邪泽津坐仙吹悲雪遥宁逆暮谁尘荆雨柏宫鸟壮泉柳皇夕胎疮燕渴苍莲痰池秦旧银之者"
)
_MODERN = (
    "的可是和在要了性对好个会需过我这量到现定常情制程度你就提应建进面学关种次等期么但力科加说没做具议比较最保查题部全低质样很"
    "效片些都点表看活只注指况确式据系持改该考您状信院选约接品适单导态什打压均算增维给规着请想业放抗控管认们快验特料完段话够"
    "测基试整位觉供友准谢环怎般述卡助电总己那择激机价育例护配值速免吸型率否备简它询支线获标健排区把格显办康吗装让孩项统仅材呢抑社划"
)
_MIN_HAN = 0.3  # of Han characters and words
_ENGLISH_WORDS = """
the of and to is that for with was are as be by this it from or which have has not were an at can but may their they
these his her she he you if we will would been had when there other who what more than how your our its into all one
out up about some do does did should could each between use using used after before during both also"""
_FOREIGN_WORDS = """
de la le les et des du un une est dans pour que qui par sur au aux en avec pas plus ne il elle nous vous sont cette
der die das und den dem ist von mit nicht ein eine einer für auf im zu sich als auch wird bei werden oder
el los las del y es una por con para se su al como más o lo sus
di che della per non sono gli dei nel alla si da e ed come dello delle
os um uma em não com dos das na ao pela pelo são mais foi het een van voor op zijn niet aan met ook er naar
och att som på av är det inte till med ett og af til ikke jeg har w z się nie jest że
quod cum ad ex sed aut quae atque vel ac sunt"""
COMMON_ENGLISH, _FOREIGN = frozenset(_ENGLISH_WORDS.split()), frozenset(_FOREIGN_WORDS.split())
_FOREIGN_WORD = 1 << 32  # words of both kinds are counted in one sum
_KNOWN = {word: (word in COMMON_ENGLISH) + _FOREIGN_WORD * (word in _FOREIGN) for word in COMMON_ENGLISH | _FOREIGN}
_MIN_ENGLISH = 0.1  # of words, at least four times as many as the commonest words of other languages: beyond doubt
_LATIN_CODES = "en fr de es it pt nl la sv da no pl cs ro tr id vi"

# Classes of characters, for `_classes`.
_OTHER, _LATIN, _FOREIGN_SCRIPT, _KANA_OR_HANGUL, _HAN, _SIMPLIFIED, _TRADITIONAL = range(7)
_REGISTER = 8  # added to a Han class for classical characters, twice for modern ones


def detect(text: str) -> str:
    """Return the language of a text as the record names it."""
    sample = text
    if len(text) > 3 * _SAMPLE:
        middle = (len(text) - _SAMPLE) // 2
        sample = f"{text[:_SAMPLE]} {text[middle : middle + _SAMPLE]} {text[-_SAMPLE:]}"
    codes = np.frombuffer(sample.encode("utf-16-le", "surrogatepass"), np.uint16)
    counts, words = _tally(codes, _classes())
    kinds = counts.reshape(3, _REGISTER).sum(axis=0)
    han = int(kinds[_HAN:].sum())
    if kinds[_KANA_OR_HANGUL] > 0.1 * (han + words):
        return "und"
    if han and han >= _MIN_HAN * (han + words):
        classical, modern = int(counts[_REGISTER : 2 * _REGISTER].sum()), int(counts[2 * _REGISTER :].sum())
        if classical >= 2 and classical > modern:
            return "lzh"
        return "zh-Hant" if kinds[_TRADITIONAL] > kinds[_SIMPLIFIED] else "zh-Hans"
    if not kinds[_LATIN] or kinds[_LATIN] < kinds[_FOREIGN_SCRIPT]:
        return "und"
    known = sum(map(_KNOWN.get, sample.lower().split(), repeat(0)))
    foreign, english = divmod(known, _FOREIGN_WORD)
    if english >= _MIN_ENGLISH * words and english >= 4 * foreign:
        return "en"
    return "en" if _identifier().classify(sample)[0] == "en" else "und"


@njit(nogil=True, cache=True)
def _tally(codes, classes):  # type: ignore[no-untyped-def]
    """Count the code units of each class, (24,), and the runs of Latin letters and of those of a foreign script."""
    counts, words, before = np.zeros(3 * _REGISTER, np.int64), 0, _OTHER
    for code in codes:
        kind = classes[code]
        counts[kind] += 1
        words += kind != before and kind in (_LATIN, _FOREIGN_SCRIPT)
        before = kind
    return counts, words


@cache
def _classes() -> NDArray[np.uint8]:
    """Return the class of each UTF-16 code unit, (65536,); halves of a pair are _OTHER."""
    classes = np.full(0x10000, _OTHER, np.uint8)
    for code in range(0x10000):
        char = chr(code)
        if "\u3400" <= char <= "\u9fff" or "\uf900" <= char <= "\ufaff":
            simple, complex_ = (bool(char.encode(encoding, "ignore")) for encoding in ("gb2312", "big5"))
            classes[code] = _HAN if simple == complex_ else _SIMPLIFIED if simple else _TRADITIONAL
        elif "\u3041" <= char <= "\u30ff" or "\u1100" <= char <= "\u11ff" or "\uac00" <= char <= "\ud7af":
            classes[code] = _KANA_OR_HANGUL
        elif char.isalpha():
            classes[code] = _LATIN if code < 0x250 else _FOREIGN_SCRIPT
    traditional = OpenCC("s2t")
    for number, chars in enumerate((_CLASSICAL, _MODERN), 1):
        for char in set(chars + traditional.convert("\n".join(chars))) - {"\n"}:
            classes[ord(char)] += number * _REGISTER
    return classes


@cache
def _identifier() -> LanguageIdentifier:
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE)
    identifier.set_languages(_LATIN_CODES.split())
    return cast(LanguageIdentifier, identifier)
