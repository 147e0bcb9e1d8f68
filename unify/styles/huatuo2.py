"""The style `huatuo2`: a question that the passage answers, then an answer that leans on it without showing it.

The two steps of HuatuoGPT-II's unification (arXiv:2311.09774), with prompts and examples of ours, in the target
language. Both requests begin with the same instruction, examples and passage, so that a server's prefix cache serves
the second from the first. Each step samples `candidates` texts at a time, `tries` times, until one passes the checks.
"""

from dataclasses import replace

from unify import checks
from unify.checks import verdict
from unify.pair import Pair, Passage
from unify.request import Ask, RewriteConfig
from unify.step import Step, take

STYLE = "huatuo2"

SYSTEM = {
    "en": "You prepare study material for medical students. You are given a text and asked first for a "
    "question, then for "
    "its answer. The question can be answered from the text, names its subject in full and stands on its own: never "
    "mention the text. The answer is what an experienced doctor would reply: complete sentences, true to the text and "
    "adding no number, name or claim that the text lacks. Never say that a text was consulted.",
    "zh": "你在为医学生编写学习材料。先给你一段原文，再请你依次写出一个问题和它的回答，一律使用中文。"
    "问题必须能由原文回答，点明所问的对象，单独来看也完整，不得提到原文。"
    "回答像一位有经验的医生那样直接作答：语句完整，忠于原文，不添加原文没有的数字、名称或结论，也不得说明参考过任何材料。",
}
FORM = {"en": "Text: {passage}\n\nWrite the question.", "zh": "原文：{passage}\n\n请写出问题。"}
THEN = {"en": "Write the answer.", "zh": "请写出回答。"}
EXAMPLES = {
    "en": (
        (
            "Sunburn appears a few hours after too much ultraviolet light. The skin turns red, warm and painful, and "
            "blisters may "
            "follow. Cool water and a plain moisturiser ease the pain. Blisters should be left closed, since opened "
            "ones can "
            "become infected.",
            "How should a sunburn with blisters be cared for?",
            "Cool water and a plain moisturiser ease the pain of sunburn. The blisters should be left closed, because "
            "opened "
            "blisters can become infected.",
        ),
        (
            "Motion sickness arises when the eyes and the inner ear report different movements to the brain. Sitting "
            "in the front "
            "of a car and looking at the horizon makes the two agree and often brings relief.",
            "Why does looking at the horizon help against motion sickness?",
            "Motion sickness arises when the eyes and the inner ear report different movements to the brain. Looking "
            "at the "
            "horizon makes the two reports agree, which often brings relief.",
        ),
    ),
    "zh": (
        (
            "晒伤在过量紫外线照射数小时后出现，皮肤发红、灼热、疼痛，重者起水疱。用凉水冷敷并涂抹温和的保湿剂可以缓解疼痛。"
            "水疱不要挑破，破溃后容易感染。",
            "晒伤后起了水疱应该怎样护理？",
            "晒伤后可以用凉水冷敷，并涂抹温和的保湿剂来缓解疼痛。水疱不要挑破，因为破溃后容易感染。",
        ),
        (
            "晕动病的发生，是因为眼睛和内耳向大脑报告了不一致的运动信息。乘车时坐在前排并注视远方，可以使两者趋于一致，症状往往减轻。",
            "晕车时注视远方为什么能减轻症状？",
            "晕动病的发生是因为眼睛和内耳向大脑报告了不一致的运动信息。注视远方可以使两者趋于一致，所以症状往往会减轻。",
        ),
    ),
}
PROMPTS = {
    language: "\n".join(
        [SYSTEM[language], FORM[language], THEN[language], *("\n".join(example) for example in EXAMPLES[language])]
    )
    for language in SYSTEM
}


def applies(passage: Passage, config: RewriteConfig) -> bool:
    """Tell whether the model writes the language that the pair will be in."""
    language = _language(passage, config)
    return language in SYSTEM and language in config.model_languages and passage.language in ("zh", "en", "und")


async def write(passage: Passage, config: RewriteConfig, ask: Ask) -> list[Pair]:
    """Write one pair, kept or rejected."""
    language = _language(passage, config)
    lang = passage.lang if config.target_lang == "passage" else config.target_lang
    messages = [("system", SYSTEM[language])]
    for text, question, answer in EXAMPLES[language]:
        form = FORM[language].format(passage=text)
        messages += [("user", form), ("assistant", question), ("user", THEN[language]), ("assistant", answer)]
    messages.append(("user", FORM[language].format(passage=passage.text)))
    subject = verdict.subject_of(passage, language, config)

    asking = Step(
        STYLE,
        "question",
        language,
        PROMPTS[language],
        messages,
        lambda text, _: (text, verdict.judge_question(text, subject)),
        config.max_question_tokens,
    )
    asked = await take(asking, passage, config, ask, config.tries)
    question = asked.value or ""
    if asked.finding:
        reason, evidence = asked.finding
        return [Pair(STYLE, lang, question, "", made_by=asked.made, reason=reason, detail=f"question: {evidence}")]
    messages += [("assistant", question), ("user", THEN[language])]
    answering = Step(
        STYLE,
        "answer",
        language,
        PROMPTS[language],
        messages,
        lambda text, finish_reason: (text, verdict.judge_answer(question, text, finish_reason, subject)),
        config.max_tokens,
    )
    answered = await take(answering, passage, config, ask, config.tries)
    answer, found = answered.value or "", answered.finding
    values = (("support", f"{checks.support_share(answer, passage.text):.2f}"),) if subject.same_language else ()
    pair = Pair(STYLE, lang, question, answer, ((0, len(passage.text)),), values, (*asked.made, *answered.made))
    return [replace(pair, reason=found[0], detail=f"answer: {found[1]}") if found else pair]


def _language(passage: Passage, config: RewriteConfig) -> str:
    return passage.language if config.target_lang == "passage" else {"zh-Hans": "zh", "en": "en"}[config.target_lang]
