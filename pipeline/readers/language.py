"""Tell the language of a text: zh-Hans, zh-Hant, lzh (classical), en or und, by script share and function words.

Chinese when Han characters are at least 30% of Han characters and words of letters. Traditional or simplified by the
characters that only one of GB 2312 and Big5 has. Classical by the density of its particles against those of modern
Chinese. Other texts in Latin letters are told by py3langid (Lui and Baldwin, 2012).
"""

import re
from functools import cache
from typing import cast

from py3langid.langid import MODEL_FILE, LanguageIdentifier

_SAMPLE = 20_000  # characters that are enough to judge by
_HAN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_KANA_OR_HANGUL = re.compile(r"[\u3041-\u30ff\u1100-\u11ff\uac00-\ud7af]")
_WORD = re.compile(r"[^\W\d_\u3041-\u30ff\u3400-\u9fff\uac00-\ud7af]+")
_LATIN_WORD = re.compile(r"[A-Za-z\u00c0-\u024f]+")
_CLASSICAL = re.compile(
    r"之(?![一间后前路类所])|[曰矣焉乎哉耳兮汝吾]|(?<![患作记学读])者|也(?![许是不会可能有要])|其(?![中他它余次实])"
)
_MODERN = re.compile(r"[的了是在这個个们們這那你我她吗呢吧]")
_MIN_HAN = 0.3
_MIN_CLASSICAL = 0.015  # particles per Han character; TCM classics here have 0.02 to 0.1, modern abstracts under 0.01
_LATIN_LANGUAGES = [
    "en",
    "fr",
    "de",
    "es",
    "it",
    "pt",
    "nl",
    "la",
    "sv",
    "da",
    "no",
    "pl",
    "cs",
    "ro",
    "tr",
    "id",
    "vi",
]


def detect(text: str) -> str:
    """Return the language of a text as the record names it."""
    sample = text[:_SAMPLE]
    han = _HAN.findall(sample)
    words = len(_WORD.findall(_HAN.sub(" ", sample)))
    if len(_KANA_OR_HANGUL.findall(sample)) > 0.1 * (len(han) + words):
        return "und"
    if han and len(han) >= _MIN_HAN * (len(han) + words):
        return _chinese(sample, han)
    latin = len(_LATIN_WORD.findall(sample))
    if not latin or latin < 0.5 * words:
        return "und"
    return "en" if _identifier().classify(sample)[0] == "en" else "und"


def _chinese(sample: str, han: list[str]) -> str:
    classical, modern = len(_CLASSICAL.findall(sample)), len(_MODERN.findall(sample))
    if classical >= 2 and classical >= _MIN_CLASSICAL * len(han) and classical > 2 * modern:
        return "lzh"
    simplified = sum(_only_in(char, "gb2312", "big5") for char in han)
    traditional = sum(_only_in(char, "big5", "gb2312") for char in han)
    return "zh-Hant" if traditional > simplified else "zh-Hans"


@cache
def _only_in(char: str, encoding: str, other: str) -> bool:
    return bool(char.encode(encoding, "ignore")) and not char.encode(other, "ignore")


@cache
def _identifier() -> LanguageIdentifier:
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE)
    identifier.set_languages(_LATIN_LANGUAGES)
    return cast(LanguageIdentifier, identifier)
