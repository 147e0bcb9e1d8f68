"""Write traditional Chinese in simplified characters.

OpenCC's phrases and characters (t2s), with two corrections for the terms of medicine. 癥 is 症 but in the names of
abdominal masses (癥瘕, 癥積), where the Table of General Standard Chinese Characters (2013) keeps it. 著 is 着 as a
particle and a verb (接著, 附著), which t2s leaves, and stays 著 in writing and in what is evident (著作, 顯著).
Only for text that is traditional: conversion is not meant to be done twice.
"""

import re
from functools import lru_cache

import opencc

_MASSES = re.compile(r"癥(?=[瘕積积塊块瘤])|(?<=痃)癥")
_PARTICLE = re.compile(  # after these verbs always; else where neither the word before nor the one behind is of writing
    r"(?<=[接隨随沿附跟帶带看睡吃坐站躺朝向])著|"
    r"(?<![編编名原專专論论譯译巨遺遗合拙顯显昭卓土較较所撰新舊旧])著(?![名作者述書书稱称錄录《「『〈]|有[《「『〈])"
)


def simplified(text: str) -> str:
    """Return a traditional text in simplified characters, as long as it was but for phrases that OpenCC shortens."""
    parts = _MASSES.split(_PARTICLE.sub("着", text))
    return "癥".join(_converter().convert(part) for part in parts)


@lru_cache(maxsize=1)
def _converter() -> opencc.OpenCC:
    return opencc.OpenCC("t2s")
