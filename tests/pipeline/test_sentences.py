import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sentences import split_sentences

CASES = [
    ("zh-Hans", ["高血压很常见。", "“要按时服药！”", "医生说。"]),
    ("zh-Hans", ["每天 0.5 mg，即 1.5 片。", "不可多服？", "（参见说明书。）", "完。"]),
    ("zh-Hans", ["结果表明,该方法有效.", "结论是pH值为7.4时最好."]),
    ("lzh", ["客问于予曰∶闻予有纲目拾遗之作乎？", "予曰∶然。"]),
    (
        "en",
        ["Take 0.5 mg daily.", "Dr. Smith (e.g. in Fig. 2) saw J. Doe at 5 p.m. on Monday.", "Was it late?", "Yes!"],
    ),
    ("en", ["“It hurts.”", "He left vs. the advice of St. Mary's.", "[See note.]", "End"]),
    (
        "en",
        [
            "E. coli was found.",
            "The U.S. study et al. agreed.",
            "2 of 5 had vitamin C.",
            "None had hepatitis B.",
            "All lived.",
        ],
    ),
]


@pytest.mark.parametrize(("lang", "sentences"), CASES)
def test_sentences_end_where_a_reader_ends_them(lang: str, sentences: list[str]) -> None:
    text = ("" if lang != "en" else " ").join(sentences)
    assert [text[start:end] for start, end in split_sentences(text, lang)] == sentences


@given(text=st.text(alphabet='高血。！？.!?"”） aB1\n；…'), lang=st.sampled_from(["zh-Hans", "lzh", "en", "und"]))
def test_spans_cover_what_is_no_space_once_and_in_order(text: str, lang: str) -> None:
    spans = split_sentences(text, lang)
    covered = [place for start, end in spans for place in range(start, end) if not text[place].isspace()]
    assert covered == [place for place, char in enumerate(text) if not char.isspace()]
    assert all(text[start:end].strip() == text[start:end] for start, end in spans)
