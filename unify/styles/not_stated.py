"""The style `not_stated`: a question that a given text leaves open, and an answer that says so and what it does say.

The model writes a question near the passage, names in its words what is asked for, and points at the sentences that
come closest. A program sees that the passage has no such words and no sentence that shows a sign of an answer, puts the
passage before the question, since nothing is unknown but to a given text, and answers by saying what is missing and
quoting the sentences. Where in doubt it rejects: to call open what is said is the worse mistake.
"""

import re
from dataclasses import dataclass, replace

from pipeline.records import uniform
from pipeline.sentences import Span, split_sentences
from unify import checks
from unify.checks import Finding, verdict
from unify.checks.names import names_in
from unify.checks.numerals import fold
from unify.checks.quantities import claims
from unify.checks.words import ASKING_ZH
from unify.coverage import sentences_of
from unify.pair import Pair, Passage
from unify.quoting import assemble, form_of, share_in, shared_messages
from unify.request import Ask, RewriteConfig
from unify.step import Step, take
from unify.structured import read_reply

STYLE = "not_stated"
MOST_CHARS = 3000  # of a passage that is put before its question
STATED = 0.6  # share of what is asked for that a sentence has, from which on it may be an answer

SYSTEM = {
    "en": "You write questions that a text leaves open. You are given its numbered sentences. Write a question that "
    "a careful reader would ask next about its subject and that no sentence answers, not even in part or in other "
    "words. Say what is missing in a few words, exactly as the question has them, none of which the text uses for it. "
    "Choose the one or two sentences that come closest. The question names its subject in full, can be "
    "understood by itself, and never mentions the text. Reply in JSON with `question`, `missing` and `sentences` "
    "(a list of numbers).",
    "zh": "你为一段原文写出它没有回答的问题。原文的句子已经编号。请就它所讲的对象写一个细心的读者接下来会问、"
    "而任何一句都没有回答（换个说法或部分回答也不行）的问题；用几个字说出缺的是什么，这几个字要与问题里的完全一样，而且原文没有；"
    "再选出与问题最接近的一两句。问题要写全所问对象的名称，单独来看也完整，不得提到原文。"
    "用 JSON 输出 question、missing 和 sentences（编号的列表）。",
}
TASK = {"en": "Write a question that stays open.", "zh": "请写出一个没有答案的问题。"}
EXAMPLES = {
    "en": (
        "Sunburn",
        (
            "Sunburn appears a few hours after too much ultraviolet light.",
            "Cool water and a plain moisturiser ease the pain of sunburn.",
        ),
        {
            "question": "Which clothing fabrics shield skin from sunburn?",
            "missing": "clothing fabrics",
            "sentences": [1],
        },
    ),
    "zh": (
        "晒伤",
        ("晒伤在过量紫外线照射数小时后出现。", "用凉水冷敷并涂抹温和的保湿剂可以缓解晒伤的疼痛。"),
        {"question": "哪些衣料能够遮挡阳光、不致晒伤？", "missing": "衣料", "sentences": [1]},
    ),
}
QUESTIONS = {
    "en": (
        "{known}\n\nGoing by this alone: {question}",
        "This is what is known:\n{known}\n\n{question}",
        "{question} Answer only from the following.\n\n{known}",
        "Read this, then answer.\n\n{known}\n\nQuestion: {question}",
    ),
    "zh": (
        "{known}\n\n只根据这些内容回答：{question}",
        "已知：\n{known}\n\n{question}",
        "{question}请只依据下面的内容回答。\n\n{known}",
        "请先阅读，再回答问题。\n\n{known}\n\n问题：{question}",
    ),
}
ANSWERS = {
    "en": (
        "That cannot be answered from what is given: it says nothing about “{missing}”. What it says is: {quoted}",
        "What is given does not tell; “{missing}” is not mentioned. It only says: {quoted}",
        "Nothing is said about “{missing}”, so that the question stays open. Known is: {quoted}",
    ),
    "zh": (
        "这些内容没有说明“{missing}”，无法据此回答。其中说到的是：{quoted}",
        "已知的内容没有提到“{missing}”，所以不能下结论。已知的是：{quoted}",
        "仅凭这些内容回答不了，因为没有说到“{missing}”。相关的只有：{quoted}",
    ),
}
SCHEMA = {
    "type": "object",
    "properties": {
        "question": {"type": "string"},
        "missing": {"type": "string"},
        "sentences": {"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 3},
    },
    "required": ["question", "missing", "sentences"],
    "additionalProperties": False,
}
REPLY_TOKENS = 200
_AMOUNT = re.compile(
    r"剂量|用量|数量|浓度|次数|时间|\b(?:dos(?:e|es|age|ing)|amount|level|duration|frequency|rate)\b", re.I
)


PREFIX = {
    language: shared_messages(language, SYSTEM[language], TASK[language], [EXAMPLES[language]]) for language in SYSTEM
}
PROMPTS = {
    language: "\n".join([*(content for _, content in PREFIX[language]), *QUESTIONS[language], *ANSWERS[language]])
    for language in SYSTEM
}


@dataclass(frozen=True)
class Open:
    """A question, what is missing for an answer, and what is quoted instead; or the reply as it came."""

    question: str = ""
    missing: str = ""
    quoted: str = ""
    spans: tuple[Span, ...] = ()


def applies(passage: Passage, config: RewriteConfig) -> bool:
    """Tell whether the passage can be put before a question, in a language of today that the model writes."""
    written = passage.language in SYSTEM and passage.language in config.model_languages and passage.lang != "lzh"
    return written and len(passage.text) <= MOST_CHARS and bool(sentences_of(passage))


async def write(passage: Passage, config: RewriteConfig, ask: Ask) -> list[Pair]:
    """Write the one pair of a passage, kept or rejected."""
    language, spans = passage.language, split_sentences(passage.text, passage.lang)
    messages = [*PREFIX[language], ("user", form_of(passage, spans, TASK[language]))]

    def read(text: str, finish_reason: str) -> tuple[Open, Finding | None]:
        return read_open(text, finish_reason, passage, config)

    step = Step(STYLE, "pair", language, PROMPTS[language], messages, read, REPLY_TOKENS, SCHEMA)
    taken = await take(step, passage, config, ask, config.tries)
    left_open = taken.value or Open()

    def draw(texts: tuple[str, ...], what: str) -> str:
        return texts[int(uniform(config.seed, STYLE, passage.id, what) * len(texts))]

    question, answer = left_open.question, left_open.quoted
    if left_open.spans:
        question = draw(QUESTIONS[language], "question").format(known=passage.text.strip(), question=question)
        answer = draw(ANSWERS[language], "answer").format(missing=left_open.missing, quoted=answer)
    quoted = f"{share_in(left_open.spans, answer):.2f}"
    values = (("missing", left_open.missing), ("quoted", quoted), *taken.checks)
    pair = Pair(STYLE, passage.lang, question, answer, left_open.spans, values, taken.made)
    return [pair.judged(taken.finding)]


def read_open(text: str, finish_reason: str, passage: Passage, config: RewriteConfig) -> tuple[Open, Finding | None]:
    """Read a reply: the question with what it misses, and the first thing wrong with them."""
    reply, broken = read_reply(text, finish_reason, SCHEMA)
    if broken:
        return Open(quoted=text), broken
    spans = split_sentences(passage.text, passage.lang)
    question, missing = reply["question"].strip(), reply["missing"].strip().strip("“”\"'")
    if strange := [number for number in reply["sentences"] if not 1 <= number <= len(spans)]:
        return Open(question, missing, text), ("no_such_sentence", f"{strange[0]} of {len(spans)}")
    quoted = assemble(question, reply["sentences"], passage, spans)
    subject = verdict.subject_of(passage, passage.language, config)
    asked = replace(subject, title=f"{subject.title}\n{missing}")  # what is missing is no foreign name
    return Open(question, missing, quoted.answer, quoted.spans), (
        verdict.judge_question(question, asked)
        or checks.first_broken(
            (
                ("not_asked", None if missing and fold(missing) in fold(question) else missing),
                ("stated", stated(question, missing, passage)),
                ("off_topic", None if _beside(question, missing) & checks.terms(subject.known) else question),
                ("not_standalone", checks.not_standalone(quoted.answer) or checks.points_outside(quoted.answer)),
            )
        )
    )


def stated(question: str, missing: str, passage: Passage) -> str | None:
    """Find where a passage may answer a question after all.

    It names what is said to be missing, by any of its names; or a sentence has most of the question's terms, or
    those of what is missing; or one about the same thing shows a sign of what is asked for, an amount or a cue.
    """
    known = "\n".join([passage.text, passage.title or "", *passage.headings])
    if fold(missing) in fold(known):
        return missing
    if found := next(
        (name for name in names_in(missing) for other in names_in(known) if name.same == other.same), None
    ):
        return found.written
    wanted, beside = checks.terms(missing), _beside(question, missing)
    cue = checks.mismatched(question, "", passage.language) is not None
    amount = bool(_AMOUNT.search(question))
    for start, end in split_sentences(passage.text, passage.lang):
        sentence = passage.text[start:end]
        have = checks.terms(sentence)
        most = bool(wanted & have) and any(len(said & have) >= STATED * len(said) for said in (wanted, wanted | beside))
        sign = cue and checks.mismatched(question, sentence, passage.language) is None
        if most or (beside & have and (sign or (amount and any(claims(sentence))))):
            return sentence
    return None


def _beside(question: str, missing: str) -> frozenset[str]:
    """Return the terms of content of a question but for what is missing and for asking."""
    words = question.replace(missing, " ") if missing else question
    asking = {checks.stem(word) for word in checks.ASKING}
    return checks.terms(ASKING_ZH.sub("，", words)) - checks.terms(missing) - asking
