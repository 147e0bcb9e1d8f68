"""The style `excerpt`: the model points at sentences of the passage and writes their question; a program quotes them.

An answer that is made of the passage's own sentences is true to it and traceable by character (grounded by
construction; compare FineInstructions, arXiv:2601.22146), and costs a fraction of the output tokens. The model sees the
sentences numbered and replies in JSON: a question, and which sentences answer it, with connecting words from a fixed
list between them, so that nothing it writes can change what the answer says. The program puts them in the passage's
order, and before a sentence that points back (“It …”) puts the one it points at. The next question is asked knowing
those before it and what they left out. With `excerpt_by = "program"`, for models too weak to choose,
`excerpt_program` does the choosing.
"""

from collections.abc import Sequence

from pipeline.sentences import Span, split_sentences
from unify import checks
from unify.checks import Finding, verdict
from unify.coverage import asked_before, pairs_until_covered, sentences_of
from unify.pair import Pair, Passage
from unify.quoting import Quoted, assemble, form_of, next_task, share_in, shared_messages
from unify.request import Ask, RewriteConfig
from unify.step import Step, take
from unify.structured import read_reply
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


def _prefix(language: str) -> list[tuple[str, str]]:
    examples = [
        (subject, sentences, {"question": question, "answer": list(answer)})
        for subject, sentences, question, answer in EXAMPLES[language]
    ]
    return shared_messages(language, SYSTEM[language], TASK[language], examples)


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
    asked = [pair.question for pair in pairs if pair.question]
    task = next_task(NEXT[language], passage, spans, pairs, asked) if pairs else TASK[language]

    def read(text: str, finish_reason: str) -> tuple[Quoted, Finding | None]:
        return read_quoted(text, finish_reason, passage, spans, pairs, config)

    step = Step(
        STYLE,
        "pair",
        language,
        MODEL_PROMPTS[language],
        [*PREFIX[language], ("user", form_of(passage, spans, task))],
        read,
        config.max_question_tokens + TOKENS_A_SENTENCE * config.max_excerpt_sentences,
        SCHEMA[language],
    )
    taken = await take(step, passage, config, ask, config.tries)
    quoted = taken.value or Quoted()
    values = (("quoted", f"{share_in(quoted.spans, quoted.answer):.2f}"), *taken.checks)
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
    reply, broken = read_reply(text, finish_reason, SCHEMA[passage.language])
    if broken:
        return Quoted(answer=text), broken
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
