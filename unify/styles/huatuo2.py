"""The style `huatuo2`: a question that the passage answers, then an answer that leans on it without showing it.

The two steps of HuatuoGPT-II's unification (arXiv:2311.09774), with prompts and examples of ours, in the target
language. Both requests begin with the same instruction, examples and passage, so that a server's prefix cache serves
the second, and those of the next pair, from the first. A passage gets as many pairs as it is worth; each question knows
those before it and what they left out.
"""

from collections.abc import Sequence
from dataclasses import replace

from unify import checks
from unify.checks import Finding, verdict
from unify.coverage import asked_before, pairs_until_covered, quoted_share, sentences_left, supporting
from unify.pair import Pair, Passage
from unify.request import Ask, RewriteConfig
from unify.step import Step, take

STYLE = "huatuo2"

SYSTEM = {
    "en": "You prepare study material for medical students, in English. You are given a text and asked first for a "
    "question, then for its answer. The question can be answered from the text, names its subject in full and stands "
    "on its own: never mention the text. The answer is what an experienced doctor would reply: complete sentences, "
    "true to the text and adding no number, name or claim that the text lacks. Never say that a text was consulted.",
    "zh": "你在为医学生编写学习材料。先给你一段原文，再请你依次写出一个问题和它的回答，一律使用中文。"
    "问题必须能由原文回答，点明所问的对象，单独来看也完整，不得提到原文。"
    "回答像一位有经验的医生那样直接作答：语句完整，忠于原文，不添加原文没有的数字、名称或结论，也不得说明参考过任何材料。",
}
FORM = {"en": "Text about {subject}:\n{passage}\n\n{task}", "zh": "关于{subject}的原文：\n{passage}\n\n{task}"}
TASK = {"en": "Write the question.", "zh": "请写出问题。"}
NEXT = {
    "en": "Already asked:\n{asked}\nNot yet asked for:\n{left}\n\nWrite another question, about what is left out.",
    "zh": "已经问过：\n{asked}\n还没有问到的内容：\n{left}\n\n请另写一个问题，问还没有问到的内容。",
}
MOST_LEFT = 5  # sentences not asked for yet that a prompt repeats, of which one question asks for some
THEN = {"en": "Write the answer.", "zh": "请写出回答。"}
EXAMPLES = {
    "en": (
        (
            "Sunburn",
            "Sunburn appears a few hours after too much ultraviolet light. The skin turns red, warm and painful, and "
            "blisters may follow. Cool water and a plain moisturiser ease the pain. Blisters should be left closed, "
            "since opened ones can become infected.",
            "How should a sunburn with blisters be cared for?",
            "Cool water and a plain moisturiser ease the pain of sunburn. The blisters should be left closed, because "
            "opened blisters can become infected.",
        ),
        (
            "Motion sickness",
            "Motion sickness arises when the eyes and the inner ear report different movements to the brain. Sitting "
            "in the front of a car and looking at the horizon makes the two agree and often brings relief.",
            "Why does looking at the horizon help against motion sickness?",
            "Motion sickness arises when the eyes and the inner ear report different movements to the brain. Looking "
            "at the horizon makes the two reports agree, which often brings relief.",
        ),
    ),
    "zh": (
        (
            "晒伤",
            "晒伤在过量紫外线照射数小时后出现，皮肤发红、灼热、疼痛，重者起水疱。用凉水冷敷并涂抹温和的保湿剂可以缓解疼痛。"
            "水疱不要挑破，破溃后容易感染。",
            "晒伤后起了水疱应该怎样护理？",
            "晒伤后可以用凉水冷敷，并涂抹温和的保湿剂来缓解疼痛。水疱不要挑破，因为破溃后容易感染。",
        ),
        (
            "晕动病",
            "晕动病的发生，是因为眼睛和内耳向大脑报告了不一致的运动信息。乘车时坐在前排并注视远方，可以使两者趋于一致，症状往往减轻。",
            "晕车时注视远方为什么能减轻症状？",
            "晕动病的发生是因为眼睛和内耳向大脑报告了不一致的运动信息。注视远方可以使两者趋于一致，所以症状往往会减轻。",
        ),
    ),
}


def _prefix(language: str) -> list[tuple[str, str]]:
    """Build the messages that all passages of a language share."""
    messages = [("system", SYSTEM[language])]
    for subject, text, question, answer in EXAMPLES[language]:
        form = FORM[language].format(subject=subject, passage=text, task=TASK[language])
        messages += [("user", form), ("assistant", question), ("user", THEN[language]), ("assistant", answer)]
    return messages


PREFIX = {language: _prefix(language) for language in SYSTEM}
PROMPTS = {language: "\n".join([*(content for _, content in PREFIX[language]), NEXT[language]]) for language in SYSTEM}


def applies(passage: Passage, config: RewriteConfig) -> bool:
    """Tell whether the model writes the language that the pair will be in."""
    language = _language(passage, config)
    return language in SYSTEM and language in config.model_languages and passage.language in ("zh", "en", "und")


async def write(passage: Passage, config: RewriteConfig, ask: Ask) -> list[Pair]:
    """Write the pairs of a passage, each asking what those before it left out, kept or rejected."""

    async def write_next(pairs: Sequence[Pair]) -> Pair:
        return await _pair_of(passage, pairs, config, ask)

    return await pairs_until_covered(passage, config, write_next)


async def _pair_of(passage: Passage, pairs: Sequence[Pair], config: RewriteConfig, ask: Ask) -> Pair:
    language = _language(passage, config)
    lang = passage.lang if config.target_lang == "passage" else config.target_lang
    prompt, subject = PROMPTS[language], verdict.subject_of(passage, language, config)
    task = TASK[language]
    if pairs:
        left = [passage.text[slice(*span)] for span in sentences_left(passage, pairs)[:MOST_LEFT]]
        asked_so_far = "\n".join(f"- {pair.question}" for pair in pairs if pair.question)
        task = NEXT[language].format(asked=asked_so_far, left="\n".join(left))
    form = FORM[language].format(subject=passage.subject or passage.text[:20], passage=passage.text, task=task)
    messages = [*PREFIX[language], ("user", form)]

    def read_question(text: str, finish_reason: str) -> tuple[str, Finding | None]:
        return text, verdict.judge_question(text, subject) or checks.first_broken(
            [("asked_before", asked_before(text, pairs))]
        )

    asking = Step(STYLE, "question", language, prompt, messages, read_question, config.max_question_tokens)
    asked = await take(asking, passage, config, ask, config.tries)
    question = asked.value or ""
    if asked.finding:
        reason, evidence = asked.finding
        return Pair(STYLE, lang, question, "", (), asked.checks, asked.made, reason, f"question: {evidence}")
    messages += [("assistant", question), ("user", THEN[language])]

    def read_answer(text: str, finish_reason: str) -> tuple[str, Finding | None]:
        return text, verdict.judge_answer(question, text, finish_reason, subject)

    answering = Step(STYLE, "answer", language, prompt, messages, read_answer, config.max_tokens)
    answered = await take(answering, passage, config, ask, config.tries)
    answer = answered.value or ""
    values = [("quoted", f"{quoted_share(answer, passage.text, lang):.2f}"), *asked.checks, *answered.checks]
    if subject.same_language:
        values.insert(0, ("support", f"{checks.support_share(answer, passage.text):.2f}"))
    support = supporting(passage, answer, lang) or ((0, len(passage.text)),)
    pair = Pair(STYLE, lang, question, answer, support, tuple(values), (*asked.made, *answered.made))
    if answered.finding is None:
        return pair
    return replace(pair, reason=answered.finding[0], detail=f"answer: {answered.finding[1]}")


def _language(passage: Passage, config: RewriteConfig) -> str:
    return passage.language if config.target_lang == "passage" else {"zh-Hans": "zh", "en": "en"}[config.target_lang]
