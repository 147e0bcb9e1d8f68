import json
import random
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.decontaminate import MANY_ITEMS, faces_of, read_exam, strike, write_index
from pipeline.letters import FOLDS
from pipeline.recipe import RecipeError

QUESTION = "患者男，五十六岁，反复上腹部疼痛三年，进食后加重，胃镜检查提示胃角溃疡，最适宜的治疗方案是"
ITEM = {
    "id": "q-7",
    "question": QUESTION,
    "options": {"A": "口服质子泵抑制剂", "B": "立即手术", "C": "继续观察", "D": "放射治疗"},
    "answer": "A",
}
ENGLISH = {
    "realidx": 12,
    "question": "A 54-year-old woman has had burning pain behind the breastbone for two months, worse when lying down. "
    "Which of the following is the most likely diagnosis?",
    "options": ["Gastro-oesophageal reflux disease", "Stable angina pectoris", "Acute pericarditis"],
}
FILLER = "".join(map(chr, random.Random(9).choices(range(0x4E00, 0x9000), k=300)))


def struck_by(tmp_path: Path, items: list[dict], rows: list[str], **settings: float) -> dict[int, str]:
    tmp_path.mkdir(exist_ok=True)
    (tmp_path / "exam.jsonl").write_text("\n".join(json.dumps(item, ensure_ascii=False) for item in items))
    write_index(
        [tmp_path / "exam.jsonl"],
        tmp_path / "index",
        FOLDS,
        {"min_contained": 0.6, "min_jaccard": 0.8, "ngram": 5, **settings},
    )
    return strike(pa.chunked_array([pa.array(rows, pa.string())]), tmp_path / "index", FOLDS)


def test_a_row_that_holds_an_item_is_struck_with_the_items_id(tmp_path):
    rows = [
        FILLER,
        FILLER[:100] + QUESTION + "？答案：口服质子泵抑制剂。" + FILLER[100:],
        "Q: " + ENGLISH["question"].upper(),
    ]
    found = struck_by(tmp_path, [ITEM, ENGLISH], rows)
    assert set(found) == {1, 2}
    assert found[1].startswith("exam.jsonl:q-7, item in row 1.00")
    assert found[2].startswith("exam.jsonl:12, ")


def test_a_row_that_is_held_by_an_item_is_struck(tmp_path):
    item = {"id": 3, "question": "结论是什么？", "context": FILLER}
    found = struck_by(tmp_path, [item], [FILLER[40:120], FILLER[40:60], FILLER[::-1]])
    assert set(found) == {0}  # twenty letters are too few to tell
    assert found[0].startswith("exam.jsonl:3, row in item 1.00")


def test_an_item_in_other_characters_width_and_case_is_found(tmp_path):
    rows = [QUESTION.replace("溃疡", "潰瘍").replace("检查", "檢查").replace("，", ","), ENGLISH["question"].upper()]
    assert set(struck_by(tmp_path, [ITEM, ENGLISH], rows)) == {0, 1}


@pytest.mark.parametrize("seed", range(5))
def test_an_item_with_a_few_characters_changed_is_found(tmp_path, seed):
    draw = random.Random(seed)
    edited = "".join(draw.choice("的了在") if draw.random() < 0.02 else char for char in FILLER)
    assert set(struck_by(tmp_path, [{"id": 1, "question": FILLER}], [FILLER[::-1], edited])) == {1}


def test_a_near_copy_is_found_where_too_few_long_n_grams_are_left(tmp_path):
    edited = list(FILLER)
    edited[3::23] = "的" * len(edited[3::23])
    row = "".join(edited)
    strict = struck_by(tmp_path / "a", [{"id": 1, "question": FILLER}], [row], min_contained=0.9, min_jaccard=0.6)
    assert "jaccard 0.6" in strict[0]
    assert not struck_by(tmp_path / "b", [{"id": 1, "question": FILLER}], [row], min_contained=0.9)


def test_a_question_too_short_to_be_told_is_looked_for_with_its_options(tmp_path):
    item = {"id": 1, "question": "痛风首选的药物是", "options": ["秋水仙碱片每日两次口服", "布洛芬缓释胶囊每日一次"]}
    rows = [
        "痛风首选的药物是什么，要看病人的肾功能。",
        "痛风首选的药物是\n秋水仙碱片每日两次口服\n布洛芬缓释胶囊每日一次",
    ]
    assert set(struck_by(tmp_path, [item], rows)) == {1}


def test_words_that_many_items_share_strike_nothing(tmp_path):
    stem = "下列关于该病的临床表现及其诊断和治疗原则的叙述中不正确的一项是哪一个"
    items = [{"id": n, "question": stem, "options": FILLER[n * 9 : n * 9 + 9]} for n in range(2 * MANY_ITEMS)]
    assert not struck_by(tmp_path / "many", items, [stem + "？"])
    assert struck_by(tmp_path / "one", items[:1], [stem + "？"])


def test_texts_of_any_length_can_be_asked_for(tmp_path):
    rows = ["", "a", "?!", "高血", FILLER * 1000, QUESTION + FILLER * 1000]
    assert set(struck_by(tmp_path, [ITEM], rows)) == {5}


def test_every_form_of_exam_gives_the_same_items(tmp_path):
    rows = [{"id": f"q{n}", "question": f"问题{n}", "answer": "甲"} for n in range(3)]
    (tmp_path / "e.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "e.json").write_text(json.dumps(rows))
    (tmp_path / "keyed.json").write_text(
        json.dumps({row["id"]: {name: value for name, value in row.items() if name != "id"} for row in rows})
    )
    (tmp_path / "e.csv").write_text("id,question,answer\n" + "\n".join(",".join(row.values()) for row in rows))
    (tmp_path / "e.tsv").write_bytes(
        ("ID\tquestion\tanswer\n" + "\n".join("\t".join(row.values()) for row in rows)).encode("utf-16")
    )
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "e.parquet")
    book = openpyxl.Workbook()
    for line in (["Id", "Question", "Answer"], *(list(row.values()) for row in rows)):
        book.active.append(line)
    book.save(tmp_path / "e.xlsx")
    expected = [(row["id"], [(f"{row['question']}\n甲", False), (f"{row['question']}\n甲", True)]) for row in rows]
    paths = sorted(path for path in tmp_path.iterdir())
    assert len(paths) == 7
    for path in paths:
        read = list(read_exam(path))
        assert [name for name, _ in read] == [f"{path.name}:{id}" for id, _ in expected]
        assert [faces_of(columns, FOLDS) for _, columns in read] == [faces for _, faces in expected]


def test_items_without_an_id_are_numbered_and_the_longest_text_is_the_question(tmp_path):
    (tmp_path / "e.csv").write_text("kind,stem_text\nA,哪一项是正确的呢请选择\n")
    ((name, columns),) = read_exam(tmp_path / "e.csv")
    assert name == "e.csv:1"
    assert faces_of(columns, FOLDS)[1] == ("哪一项是正确的呢请选择\nA", True)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("e.doc", b"x", r"got a .doc file, expected jsonl"),
        ("e.jsonl", b"{", r"e.jsonl: not readable"),
        ("e.json", b"[]", r"got no item"),
        ("e.xlsx", b"no archive", r"e.xlsx: not readable"),
        ("e.parquet", b"PAR1", r"e.parquet: not readable"),
        ("e.csv", b"", r"e.csv: not readable: unreadable: got an empty file"),
        ("e.jsonl", b'{"id": 1, "question": "a"}\n{"id": 2, ', r"e.jsonl: not readable: unreadable: {"),
    ],
)
def test_a_file_that_is_no_exam_is_one_line_to_mend(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RecipeError, match=message) as raised:
        list(read_exam(tmp_path / name))
    assert "\n" not in str(raised.value)
