"""The style `excerpt`: the model points at sentences of the passage and writes their question; a program quotes them.

An answer that is made of the passage's own sentences is true to it and traceable by character (grounded by
construction; compare FineInstructions, arXiv:2601.22146), and costs a fraction of the output tokens. The model sees the
sentences numbered and replies in JSON: a question, and which sentences answer it, with connecting words from a fixed
list between them, so that nothing it writes can change what the answer says. The program puts them in the passage's
order, and before a sentence that points back (“It …”) puts the one it points at. The next question is asked knowing
those before it and what they left out. With `excerpt_by = "program"`, for models too weak to choose,
`excerpt_program` does the choosing.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.sentences import Span, split_sentences
from unify import checks
from unify.checks import Finding, verdict
from unify.checks.qualifiers import qualifiers_beside
from unify.coverage import asked_before, pairs_until_covered, sentences_left, sentences_of
from unify.pair import Pair, Passage
from unify.request import Ask, RewriteConfig
from unify.step import Step, take
from unify.structured import read_json
from unify.styles import excerpt_program

STYLE = "excerpt"
TOKENS_A_SENTENCE = 16  # of a reply, for a number and a connecting word
CONNECTING = {
    "en": ("In addition,", "At the same time,", "However,", "For example,"),
    "zh": ("此外，", "同时，", "但是，", "例如，"),
}  # none that claims a cause or a conclusion
SYSTEM = {
    "en": "You choose material for medical students. You are given the numbered sentences of a text. Choose sentences "
    "that together answer one question completely, and write that question. The answer will be the chosen sentences "
    "word for word, in the order of the text; do not write it yourself. Choose every sentence that the answer needs in "
    "order to be complete and safe, with the condition, exception, dose or warning that belongs to it, and no other. "
    "The question names its subject in full, never mentions the text, can be understood by someone who has not seen "
    "it, and asks for what the chosen sentences say and for nothing else. Reply in JSON with `question` and `answer`, "
    "a list of sentence numbers; where it reads better, put a connecting word before a number, one of: "
    + " ".join(CONNECTING["en"]),
    "zh": "你在为医学生选编材料。给你一段原文，句子已经编号。请选出合起来能完整回答一个问题的句子，并写出这个问题。"
    "回答将由所选句子按原文顺序逐字组成，不要自己写回答。凡是回答要做到完整、安全所需要的句子都要选上，"
    "包括与之相连的条件、例外、剂量和禁忌，其余的不选。问题要写全所问对象的名称，不得提到原文，没有看过原文的人也能读懂，"
    "只问所选句子说到的内容。用 JSON 输出 question 和 answer，answer 是句子编号的列表；"
    "为了通顺，可以在编号之前放一个连接词，限于：" + " ".join(CONNECTING["zh"]),
}
FORM = {"en": "Text about {subject}:\n{sentences}\n\n{task}", "zh": "关于{subject}的原文：\n{sentences}\n\n{task}"}
TASK = {
    "en": "Write a question and choose the sentences that answer it.",
    "zh": "请写出一个问题，并选出回答它的句子。",
}
NEXT = {
    "en": "Already asked:\n{asked}\nNot used yet: sentences {left}. Write another question, about something else, and "
    "choose the sentences that answer it.",
    "zh": "已经问过：\n{asked}\n还没有用到的句子：{left}。请另写一个问别的内容的问题，并选出回答它的句子。",
}
EXAMPLES = {
    "en": (
        (
            "Sunburn",
            (
                "Sunburn appears a few hours after too much ultraviolet light.",
                "The skin turns red, warm and painful, and blisters may follow.",
                "Cool water and a plain moisturiser ease the pain of sunburn.",
                "Blisters should be left closed, since opened ones can become infected.",
                "Infants with sunburn must be seen by a doctor.",
            ),
            "How should a sunburn with blisters be cared for, and who needs a doctor?",
            (3, 4, "In addition,", 5),
        ),
        (
            "Motion sickness",
            (
                "Motion sickness arises when the eyes and the inner ear report different movements to the brain.",
                "It is most common between 2 and 12 years of age.",
                "Looking at the horizon makes the two reports agree.",
            ),
            "Why does motion sickness arise?",
            (1,),
        ),
    ),
    "zh": (
        (
            "晒伤",
            (
                "晒伤在过量紫外线照射数小时后出现。",
                "皮肤发红、灼热、疼痛，重者起水疱。",
                "用凉水冷敷并涂抹温和的保湿剂可以缓解晒伤的疼痛。",
                "水疱不要挑破，破溃后容易感染。",
                "婴儿晒伤必须就医。",
            ),
            "晒伤后起了水疱应该怎样护理，哪些人必须就医？",
            (3, 4, "此外，", 5),
        ),
        (
            "晕动病",
            (
                "晕动病的发生，是因为眼睛和内耳向大脑报告了不一致的运动信息。",
                "2至12岁最为多见。",
                "注视远方可以使两者趋于一致。",
            ),
            "晕动病为什么会发生？",
            (1,),
        ),
    ),
}


def numbered(sentences: Sequence[str]) -> str:
    """Write sentences a line each, as a model can point at them: from [1]."""
    return "\n".join(f"[{number}] {' '.join(sentence.split())}" for number, sentence in enumerate(sentences, start=1))


def _reply(question: str, answer: Sequence[int | str]) -> str:
    return json.dumps({"question": question, "answer": list(answer)}, ensure_ascii=False)


def _prefix(language: str) -> list[tuple[str, str]]:
    """Build the messages that all passages of a language share."""
    messages = [("system", SYSTEM[language])]
    for subject, sentences, question, answer in EXAMPLES[language]:
        form = FORM[language].format(subject=subject, sentences=numbered(sentences), task=TASK[language])
        messages += [("user", form), ("assistant", _reply(question, answer))]
    return messages


PREFIX = {language: _prefix(language) for language in SYSTEM}
MODEL_PROMPTS = {
    language: "\n".join([*(content for _, content in PREFIX[language]), NEXT[language]]) for language in SYSTEM
}
PROMPTS = MODEL_PROMPTS | {f"{language}, program": text for language, text in excerpt_program.PROMPTS.items()}
SCHEMA = {
    language: {
        "type": "object",
        "properties": {
            "question": {"type": "string"},
            "answer": {
                "type": "array",
                "items": {"anyOf": [{"type": "integer"}, {"type": "string", "enum": list(CONNECTING[language])}]},
            },
        },
        "required": ["question", "answer"],
        "additionalProperties": False,
    }
    for language in SYSTEM
}


@dataclass(frozen=True)
class Quoted:
    """A question and the answer that a program put together, with the spans that it quotes; or the reply as it came."""

    question: str = ""
    answer: str = ""
    spans: tuple[Span, ...] = ()


def applies(passage: Passage, config: RewriteConfig) -> bool:
    """Tell whether the passage has sentences to ask for, in a language that the model writes."""
    if passage.language not in SYSTEM or passage.language not in config.model_languages:
        return False
    if config.excerpt_by == "program":
        return bool(excerpt_program.spans_of(passage, config.max_excerpt_sentences))
    return bool(sentences_of(passage))


async def write(passage: Passage, config: RewriteConfig, ask: Ask) -> list[Pair]:
    """Write the pairs of a passage, each of them other sentences' question, kept or rejected."""
    if config.excerpt_by == "program":
        return await excerpt_program.write(passage, config, ask)

    async def write_next(pairs: Sequence[Pair]) -> Pair:
        return await _pair_of(passage, pairs, config, ask)

    return await pairs_until_covered(passage, config, write_next)


async def _pair_of(passage: Passage, pairs: Sequence[Pair], config: RewriteConfig, ask: Ask) -> Pair:
    language = passage.language
    spans = split_sentences(passage.text, passage.lang)
    sentences = [passage.text[slice(*span)] for span in spans]
    task = TASK[language]
    if pairs:
        left = set(sentences_left(passage, pairs))
        asked = "\n".join(f"- {pair.question}" for pair in pairs if pair.question)
        numbers = [str(number) for number, span in enumerate(spans, start=1) if span in left]
        task = NEXT[language].format(asked=asked, left=", ".join(numbers))
    subject = passage.subject or sentences[0][:20]
    form = FORM[language].format(subject=subject, sentences=numbered(sentences), task=task)

    def read(text: str, finish_reason: str) -> tuple[Quoted, Finding | None]:
        return read_quoted(text, finish_reason, passage, spans, pairs, config)

    step = Step(
        STYLE,
        "pair",
        language,
        MODEL_PROMPTS[language],
        [*PREFIX[language], ("user", form)],
        read,
        config.max_question_tokens + TOKENS_A_SENTENCE * config.max_excerpt_sentences,
        SCHEMA[language],
    )
    taken = await take(step, passage, config, ask, config.tries)
    quoted = taken.value or Quoted()
    share = sum(end - start for start, end in quoted.spans) / max(1, len(quoted.answer))
    values = (("quoted", f"{min(1.0, share):.2f}"), *taken.checks)
    pair = Pair(STYLE, passage.lang, quoted.question, quoted.answer, quoted.spans, values, taken.made)
    return pair.judged(taken.finding)


def read_quoted(
    text: str, finish_reason: str, passage: Passage, spans: Sequence[Span], pairs: Sequence[Pair], config: RewriteConfig
) -> tuple[Quoted, Finding | None]:
    """Read a reply: the question, the answer that its numbers make, and the first thing wrong with them.

    Args:
        spans: the sentences as they were numbered, from 1.
        pairs: those asked before.
    """
    if finish_reason == "length":
        return Quoted(answer=text), ("cut_off", "finish_reason length")
    reply = read_json(text, SCHEMA[passage.language])
    if reply is None:
        return Quoted(answer=text), ("unreadable", text[:80])
    question, chosen = str(reply["question"]).strip(), [item for item in reply["answer"] if isinstance(item, int)]
    if strange := [number for number in chosen if not 1 <= number <= len(spans)]:
        return Quoted(question, text), ("no_such_sentence", f"{strange[0]} of {len(spans)}")
    if not chosen:
        return Quoted(question, text), ("no_such_sentence", "none chosen")
    quoted = assemble(question, reply["answer"], passage, spans)
    subject = verdict.subject_of(passage, passage.language, config)
    many = f"{len(quoted.spans)} > {config.max_excerpt_sentences} sentences"
    return quoted, (
        verdict.judge_question(question, subject)
        or checks.first_broken(
            (
                ("asked_before", asked_before(question, pairs)),
                ("too_short", checks.too_short(quoted.answer, config.min_answer_chars)),
                ("too_long", checks.too_long(quoted.answer, config.max_answer_chars)),
                ("too_long", many if len(quoted.spans) > config.max_excerpt_sentences + 1 else None),
            )
        )
        or verdict.judge_excerpt(question, quoted.answer, quoted.spans, subject)
    )


def assemble(question: str, items: Sequence[int | str], passage: Passage, spans: Sequence[Span]) -> Quoted:
    """Put an answer together from sentence numbers (from 1) and connecting words.

    Sentences come in the passage's order, each once; one that points back comes behind those that it points at, without
    which it would speak of nothing, and warnings beside what is recommended come with it. Connecting words stand before
    the sentence that followed them in the reply, never first and never before a sentence that begins with such words.
    """
    words: dict[int, str] = {}
    for word, item in zip(["", *items], items, strict=False):
        if isinstance(item, int):
            words.setdefault(item - 1, word if isinstance(word, str) else "")
    chosen = set(words)
    for index in sorted(words):
        while index > 0 and checks.not_standalone(passage.text[slice(*spans[index])]):
            index -= 1
            chosen.add(index)
    quoted = [spans[index] for index in sorted(chosen)]
    beside = qualifiers_beside(quoted, passage.text, passage.title or "", passage.language)
    chosen.update(index for index, span in enumerate(spans) if span in beside)
    answer, kept = "", []
    for index in sorted(chosen):
        start, end = spans[index]
        sentence, word = passage.text[start:end], words.get(index, "")
        if answer and index - 1 in chosen:
            answer += passage.text[spans[index - 1][1] : start]
        elif answer:
            answer += "" if passage.language == "zh" else " "
        if answer and word and not checks.not_standalone(sentence):
            answer += word + ("" if passage.language == "zh" else " ")
        answer += sentence
        kept.append((start, end))
    return Quoted(question, answer, tuple(kept))
