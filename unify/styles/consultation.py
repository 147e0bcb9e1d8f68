"""The style `consultation`: a patient asks and a doctor answers, two to four times, all of it out of the passage.

The model writes the whole dialogue as JSON. Every turn of the patient is checked as a question, of which only the first
has to stand alone; every turn of the doctor as an answer, and all that the doctor says together against the passage, so
that a warning may come a turn later than the advice it belongs to. A passage is worth one consultation.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from unify import checks
from unify.checks import Finding, verdict
from unify.coverage import quoted_share, sentences_of, supporting
from unify.pair import Pair, Passage
from unify.request import Ask, RewriteConfig
from unify.step import Step, take
from unify.structured import read_reply

STYLE = "consultation"
LEAST_SENTENCES = 3  # of a passage that says enough for two rounds
LEAST_TURN = {"zh": 8, "en": 20}  # characters of a doctor's turn

SYSTEM = {
    "en": "You write consultations from which doctors learn. You are given a text; write a conversation of two to four "
    "rounds between a patient and a doctor that it can answer. The patient asks one question a round, in everyday "
    "words, in one line that ends with a question mark; the first names in full what it is about, the others follow "
    "from what the doctor said. The patient brings in no number, drug or disease that the text lacks. The doctor "
    "answers in one to four complete sentences, true to the text, with each condition, exception and warning that "
    "belongs to the advice, and with no number, name or claim of their own. Nobody greets, and nobody mentions the "
    "text. Reply in JSON with `turns`, a list of rounds, each with `patient` and `doctor`.",
    "zh": "你编写供医生学习的问诊对话。给你一段原文，请写一段它能够回答的医患对话，二到四轮。"
    "患者每轮用日常的话问一个问题，写成一行，以问号结尾；第一问要写全所问对象的名称，以后各问承接医生的话。"
    "患者不提原文没有的数字、药物和疾病。医生每轮用一到四个完整的句子回答，忠于原文，"
    "凡是与建议相连的条件、例外和禁忌都要说到，不添加原文没有的数字、名称或结论。双方都不寒暄，不得提到原文。"
    "用 JSON 输出 turns，即各轮的列表，每轮有 patient 和 doctor。",
}
FORM = {"en": "Text about {subject}:\n{passage}\n\n{task}", "zh": "关于{subject}的原文：\n{passage}\n\n{task}"}
TASK = {"en": "Write the consultation.", "zh": "请写出问诊对话。"}
EXAMPLES = {
    "en": (
        "Sunburn",
        "Sunburn appears a few hours after too much ultraviolet light. Cool water and a plain moisturiser ease the "
        "pain of sunburn. Blisters should be left closed, since opened ones can become infected. Infants with sunburn "
        "must be seen by a doctor.",
        (
            (
                "My sunburn hurts; what can I do about the pain of a sunburn?",
                "Cool water and a plain moisturiser ease the pain of sunburn.",
            ),
            (
                "And should I open the blisters?",
                "No, blisters should be left closed, since opened ones can become infected.",
            ),
            ("Could I treat a baby the same way?", "Infants with sunburn must be seen by a doctor."),
        ),
    ),
    "zh": (
        "晒伤",
        "晒伤在过量紫外线照射数小时后出现。用凉水冷敷并涂抹温和的保湿剂可以缓解晒伤的疼痛。"
        "水疱不要挑破，破溃后容易感染。婴儿晒伤必须就医。",
        (
            ("晒伤以后皮肤很疼，怎样缓解晒伤的疼痛？", "可以用凉水冷敷，并涂抹温和的保湿剂，这样能缓解晒伤的疼痛。"),
            ("起了水疱，可以挑破吗？", "水疱不要挑破，破溃后容易感染。"),
            ("如果晒伤的是婴儿，应当怎么办？", "婴儿晒伤必须就医。"),
        ),
    ),
}
SCHEMA = {
    "type": "object",
    "properties": {
        "turns": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"patient": {"type": "string"}, "doctor": {"type": "string"}},
                "required": ["patient", "doctor"],
                "additionalProperties": False,
            },
            "minItems": 2,
            "maxItems": 4,
        }
    },
    "required": ["turns"],
    "additionalProperties": False,
}


def _prefix(language: str) -> list[tuple[str, str]]:
    subject, text, turns = EXAMPLES[language]
    form = FORM[language].format(subject=subject, passage=text, task=TASK[language])
    reply = {"turns": [{"patient": patient, "doctor": doctor} for patient, doctor in turns]}
    return [("system", SYSTEM[language]), ("user", form), ("assistant", json.dumps(reply, ensure_ascii=False))]


PREFIX = {language: _prefix(language) for language in SYSTEM}
PROMPTS = {language: "\n".join(content for _, content in PREFIX[language]) for language in SYSTEM}


@dataclass(frozen=True)
class Dialogue:
    """What patient and doctor say in turn; or the reply as it came."""

    turns: tuple[tuple[str, str], ...] = ()
    written: str = ""

    @property
    def advice(self) -> str:
        """All that the doctor says."""
        return "\n".join(doctor for _, doctor in self.turns)


def applies(passage: Passage, config: RewriteConfig) -> bool:
    """Tell whether the passage says enough for two rounds, in a language of today that the model writes."""
    written = passage.language in SYSTEM and passage.language in config.model_languages and passage.lang != "lzh"
    return written and len(sentences_of(passage)) >= LEAST_SENTENCES


async def write(passage: Passage, config: RewriteConfig, ask: Ask) -> list[Pair]:
    """Write the one consultation of a passage, kept or rejected."""
    language = passage.language
    subject = passage.subject or passage.text[:20]
    form = FORM[language].format(subject=subject, passage=passage.text, task=TASK[language])
    messages = [*PREFIX[language], ("user", form)]

    def read(text: str, finish_reason: str) -> tuple[Dialogue, Finding | None]:
        return read_dialogue(text, finish_reason, passage, config)

    step = Step(STYLE, "dialogue", language, PROMPTS[language], messages, read, config.max_tokens, SCHEMA)
    taken = await take(step, passage, config, ask, config.tries)
    dialogue = taken.value or Dialogue()
    (question, answer), *more = dialogue.turns or [("", dialogue.written)]
    values = (
        ("turns", str(len(dialogue.turns))),
        ("support", f"{checks.support_share(dialogue.advice, passage.text):.2f}"),
        ("quoted", f"{quoted_share(dialogue.advice, passage.text, passage.lang):.2f}"),
        *taken.checks,
    )
    support = supporting(passage, dialogue.advice, passage.lang) or ((0, len(passage.text)),)
    pair = Pair(STYLE, passage.lang, question, answer, support, values, taken.made, more=tuple(more))
    return [pair.judged(taken.finding)]


def read_dialogue(
    text: str, finish_reason: str, passage: Passage, config: RewriteConfig
) -> tuple[Dialogue, Finding | None]:
    """Read a reply: the turns, and the first thing wrong with them."""
    reply, broken = read_reply(text, finish_reason, SCHEMA)
    if broken:
        return Dialogue(written=text), broken
    turns = tuple((turn["patient"].strip(), turn["doctor"].strip()) for turn in reply["turns"])
    dialogue, subject = Dialogue(turns, text), verdict.subject_of(passage, passage.language, config)
    asked = "\n".join(patient for patient, _ in turns)
    return dialogue, (_of_turns(turns, subject) or verdict.judge_answer(asked, dialogue.advice, finish_reason, subject))


def _of_turns(turns: Sequence[tuple[str, str]], subject: verdict.Subject) -> Finding | None:
    """Find the first turn that is no question, or no answer."""
    for number, (patient, doctor) in enumerate(turns):
        found = verdict.judge_question(patient, subject, follows=number > 0) or checks.first_broken(
            (
                ("asked_before", patient if patient in dict(turns[:number]) else None),
                ("too_short", checks.too_short(doctor, LEAST_TURN[subject.language])),
                ("cut_off", checks.cut_off(doctor, "stop")),
                ("wrong_language", checks.wrong_language(doctor, subject.language)),
                ("refusal", checks.refusal(doctor)),
                ("low_support", checks.low_support(doctor, subject.text, subject.limits.min_support)),
            )
        )
        if found:
            return found
    return None
