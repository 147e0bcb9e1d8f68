"""Questions asked again are found as a brute force over all pairs finds them, however their rows are cut."""

from random import Random

import pytest

from pipeline.letters import FOLDS
from sampling.questions import NGRAM, question_of, repeated_questions

SYMPTOMS = [f"{name}患者在冬季最常见的早期临床症状和体征有哪些？" for name in ("痛风", "哮喘", "湿疹", "麻疹")]
ASKED = [
    "What relieves the pain of an acute attack of gout in old people?",
    "What relieves the pain of an acute attack of gout in old people",
    "What relieves the pain of an acute attack of gout in older people?",
    "Which diet lowers urate?",
    "甲型肝炎病毒的主要传播途径和预防措施是什么？",
    "乙型肝炎病毒的主要传播途径和预防措施是什么？",
    "甲型肝炎病毒的主要传播途径和预防措施是什么呢？",
    *SYMPTOMS,
]


def found(questions: list[str], size: int, least: float = 0.7) -> dict[str, str]:
    ids = [str(number) for number in range(len(questions))]
    starts = range(0, len(questions), size)
    return repeated_questions(
        lambda: ((ids[start : start + size], questions[start : start + size]) for start in starts), least, FOLDS
    )


def test_the_first_of_those_that_ask_the_same_stays() -> None:
    repeats = found(ASKED, size=4)
    assert set(repeats) == {"1", "2", "6"}
    assert repeats["1"] == "asked by 0, jaccard 1.00"
    assert repeats["6"].startswith("asked by 4, ")


@pytest.mark.parametrize("size", [1, 3, 100])
def test_how_rows_are_cut_does_not_matter(size: int) -> None:
    assert found(ASKED, size) == found(ASKED, 4)


def test_the_same_are_found_as_by_comparing_all() -> None:
    random = Random(0)
    words = [f"{a}{b}{c}" for a in "bdfgk" for b in "aeou" for c in ("lmn", "rst", "pfh")]
    asked = [" ".join(random.choices(words, k=14)) for _ in range(120)]
    asked += [" ".join([*one.split()[:-1], random.choice(words)]) for one in asked[:60]]

    def shingles(text: str) -> set[str]:
        letters = text.replace(" ", "")
        return {letters[i : i + NGRAM] for i in range(len(letters) - NGRAM + 1)}

    def similar(one: int, other: int) -> float:
        left, right = shingles(asked[one]), shingles(asked[other])
        return len(left & right) / len(left | right)

    again = {str(row) for row in range(len(asked)) if any(similar(before, row) >= 0.8 for before in range(row))}
    assert again
    assert set(found(asked, 50, 0.8)) == again


def test_no_questions_repeat_none() -> None:
    assert found([], 1) == {}
    assert question_of([{"role": "assistant", "content": "text"}]) == ""
