import itertools
import unicodedata

import numpy as np
import opencc
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.letters import END_OF_LETTERS, buffers_of, fold_text, letters_of

SENTENCES = [
    "高血压患者应当每日监测血压，坏死与癥瘕并见时用干姜、神曲，显著好转后停药。",
    "里面的头发发现后面的皇后，复习重复，台风与茶几。",
    "中药炮制：麻黄、钟乳石、郁金香；卷丹与余甘子，松脂、白术、谷精草。",
]


@pytest.mark.parametrize(
    ("text", "letters"),
    [
        ("ＢＭＩ 高血压！", "bmi高血压"),
        ("Type-2\tDiabetes_x", "type2diabetesx"),
        ("① ½ ㎎ ﬁne", "112mgfine"),
        ("Straße, ÉTÉ, e\u0301te\u0301, Ménière", "strasseeteetemeniere"),
        ("壞死 癥瘕 乾薑 神麴 顯著", "坏死症瘕干姜神曲显著"),
        ("坏死 癥瘕 干姜 神曲 显著", "坏死症瘕干姜神曲显著"),
        ("한국어 𠮷 𝒜 Ⅳ", "한국어𠮷aiv"),
        ("□〓\ue000", "□〓\ue000"),
        ("a□〓\ue000", "a"),
        ("!?", "!?"),
        ("", ""),
    ],
)
def test_letters_and_digits_count_whatever_their_form(text, letters):
    assert fold_text(text) == letters


@pytest.mark.parametrize("sentence", SENTENCES)
@pytest.mark.parametrize("variant", ["s2t", "s2tw", "s2hk"])
def test_a_traditional_copy_has_the_letters_of_the_simplified_text(sentence, variant):
    traditional = opencc.OpenCC(variant).convert(sentence)
    assert traditional != sentence
    assert fold_text(traditional) == fold_text(sentence)


@settings(deadline=None)
@given(st.text(max_size=60))
def test_folding_twice_is_folding_once(text):
    assert fold_text(fold_text(text)) == fold_text(text)


@settings(deadline=None)
@given(st.text(alphabet=st.characters(max_codepoint=END_OF_LETTERS - 1, exclude_categories=("Cs",)), max_size=40))
def test_with_no_fold_the_letters_and_digits_stay_as_they_are(text):
    assert fold_text(text, ()) == ("".join(char for char in text if char.isalnum()) or text)


@settings(deadline=None)
@given(st.text(max_size=40))
def test_composed_and_decomposed_forms_have_the_same_letters(text):
    folded = {fold_text(unicodedata.normalize(form, "a" + text)) for form in ("NFC", "NFD")}
    hangul = any("\u1100" <= char <= "\u11ff" or "\uac00" <= char <= "\ud7ff" for char in text)  # syllables stay whole
    assert len(folded) == 1 or hangul


def test_each_fold_can_be_left_out():
    assert fold_text("ＢＭＩ 壞", ("case", "simplified")) == "ｂｍｉ坏"
    assert fold_text("ＢＭＩ 壞", ("compatibility", "simplified")) == "BMI坏"
    assert fold_text("ＢＭＩ 壞", ("compatibility", "case")) == "bmi壞"


def test_no_character_has_more_letters_than_bytes():
    letters = letters_of()
    points = np.flatnonzero(letters.table)
    for point in points[letters.table[points] >= 1 << 31].tolist():
        assert len(fold_text(chr(point))) <= len(chr(point).encode())


def test_the_buffers_of_a_slice_are_those_of_its_strings():
    texts = pa.array(["高", "", "abc", "血压"])
    for array in (texts[1:], texts[1:3], texts.cast(pa.large_string())[2:], texts[:0]):
        data, offsets = buffers_of(array)
        found = [data[a:b].tobytes().decode() for a, b in itertools.pairwise(offsets)]
        assert found == array.to_pylist()
