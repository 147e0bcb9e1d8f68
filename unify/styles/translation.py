"""The style `translation`: sentences of the passage as the task, the model's translation of them as the answer.

From Chinese to English and from English to Chinese. It teaches the domain's words in both languages, and is a style of
its own so that a recipe gives it a weight and a card says how many pairs are translations. A run of whole sentences is
translated at a time. Numbers, length and language tell a translation from something else; no check here can tell a
good one from a bad one.
"""

from pipeline.records import uniform
from pipeline.sentences import Span, split_sentences
from unify import checks
from unify.checks import Finding
from unify.pair import Pair, Passage
from unify.request import Ask, RewriteConfig
from unify.step import Step, take

STYLE = "translation"
MOST_CHARS = {"zh": 240, "en": 800}  # of a run: about as much said in either, and well inside `max_tokens`
LEAST_CHARS = {"zh": 20, "en": 60}
LENGTH_RATIO = (1.5, 7.0)  # English characters a Chinese one; real pairs of medical abstracts lie about 3.5

SYSTEM = {
    "en": "You translate Chinese medical texts into English as a medical editor would: complete, in the usual terms of "
    "the field, with every number and unit unchanged, nothing added and nothing left out. Classical names of formulas "
    "and works are given in pinyin. Write the translation only.",
    "zh": "你是医学编辑，把英文医学文本译成中文：内容完整，用规范的医学术语，数字和单位一律不变，不增不减。"
    "只输出译文。",
}
EXAMPLES = {
    "en": (
        "水痘潜伏期一般为14至16天，出疹前1至2天即有传染性，直到疱疹全部结痂为止。",
        "The incubation period of chickenpox is usually 14 to 16 days. It is contagious from 1 to 2 days before the "
        "rash appears until all blisters have crusted over.",
    ),
    "zh": (
        "Iron deficiency develops slowly. Ferritin below 30 ug/L confirms it, and treatment continues for 3 months "
        "after the haemoglobin is normal.",
        "缺铁是逐渐形成的。铁蛋白低于30 ug/L即可确诊，血红蛋白恢复正常后还应继续治疗3个月。",
    ),
}
TASKS = {
    "en": (
        "Translate this Chinese medical text into English:\n{text}",
        "Put the following into English:\n{text}",
        "What does this say in English?\n{text}",
        "{text}\n\nPlease give an English translation of the text above.",
    ),
    "zh": (
        "请把下面这段英文医学内容译成中文：\n{text}",
        "将以下内容翻译为中文：\n{text}",
        "下面这段话用中文怎么说？\n{text}",
        "{text}\n\n请把上面的英文译成中文。",
    ),
}  # by the language translated into
FORM = {"en": "Chinese: {text}\nEnglish:", "zh": "英文：{text}\n中文："}
PROMPTS = {
    language: "\n".join([SYSTEM[language], FORM[language], *EXAMPLES[language], *TASKS[language]])
    for language in SYSTEM
}


def applies(passage: Passage, config: RewriteConfig) -> bool:
    """Tell whether the model writes the passage's language and the other, and the passage has a run to translate."""
    return (
        passage.language in SYSTEM
        and passage.lang != "lzh"  # classical Chinese is no text for a model to translate unseen
        and set(SYSTEM) <= set(config.model_languages)
        and bool(runs_of(passage))
    )


def runs_of(passage: Passage) -> list[Span]:
    """Cut a passage into runs of whole sentences, each as long as it may be, without sentences too long for one."""
    most, least = MOST_CHARS[passage.language], LEAST_CHARS[passage.language]
    runs: list[Span] = []
    for start, end in split_sentences(passage.text, passage.lang):
        if end - start > most:
            runs.append((end, end))  # what follows begins a run of its own
        elif runs and runs[-1][1] > runs[-1][0] and end - runs[-1][0] <= most:
            runs[-1] = (runs[-1][0], end)
        else:
            runs.append((start, end))
    return [(start, end) for start, end in runs if end - start >= least]


async def write(passage: Passage, config: RewriteConfig, ask: Ask) -> list[Pair]:
    """Write up to `max_pairs_per_passage` pairs, a run of sentences each, kept or rejected."""
    return [await _pair_of(passage, run, config, ask) for run in runs_of(passage)[: config.max_pairs_per_passage]]


async def _pair_of(passage: Passage, run: Span, config: RewriteConfig, ask: Ask) -> Pair:
    language = "en" if passage.language == "zh" else "zh"
    lang, text = {"en": "en", "zh": "zh-Hans"}[language], passage.text[slice(*run)]
    given, written = EXAMPLES[language]
    messages = [
        ("system", SYSTEM[language]),
        ("user", FORM[language].format(text=given)),
        ("assistant", written),
        ("user", FORM[language].format(text=text)),
    ]

    def read(answer: str, finish_reason: str) -> tuple[str, Finding | None]:
        return answer, judge(text, answer, finish_reason, language)

    step = Step(STYLE, "translation", language, PROMPTS[language], messages, read, config.max_tokens)
    taken = await take(step, passage, config, ask, config.tries)
    tasks = TASKS[language]
    question = tasks[int(uniform(config.seed, STYLE, passage.id, str(run[0])) * len(tasks))].format(text=text)
    pair = Pair(STYLE, lang, question, taken.value or "", (run,), taken.checks, taken.made)
    return pair.judged(taken.finding)


def judge(text: str, answer: str, finish_reason: str, language: str) -> Finding | None:
    """Find the first thing wrong with a translation into a language (zh or en)."""
    return checks.first_broken(
        (
            ("thinking_left_in", checks.thinking_left_in(answer)),
            ("cut_off", checks.cut_off(answer, finish_reason)),
            ("wrong_language", checks.wrong_language(answer, language)),
            ("refusal", checks.refusal(answer)),
            ("wrong_length", wrong_length(text, answer, language)),
            ("repetition", checks.repetition(answer)),
            ("ungrounded_number", checks.ungrounded_number(answer, text)),
            ("lost_number", checks.ungrounded_number(text, answer)),
        )
    )


def wrong_length(text: str, answer: str, language: str) -> str | None:
    """Find a translation that is too long or too short to be one."""
    english, chinese = (answer, text) if language == "en" else (text, answer)
    ratio = len(english) / max(1, len(chinese))
    return None if LENGTH_RATIO[0] <= ratio <= LENGTH_RATIO[1] else f"{ratio:.1f} English characters a Chinese one"
