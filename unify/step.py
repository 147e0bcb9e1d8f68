"""One step of a pair: ask, read, check; ask again; and once more with what was wrong.

A step samples `candidates` texts at a time, in `tries` rounds, until one passes. If none does, the model is shown its
text with the reason and the evidence, `repairs` times, and asked to write it anew. Both are requests like any other,
so that the journal has them; `made_by` names the one that wrote the text, and the one that it repairs.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pipeline.records import text_hash
from unify import checks
from unify.checks import Finding
from unify.pair import Made, Passage
from unify.request import REFUSED_LENGTH, Ask, RewriteConfig, request_hash, request_of

T = TypeVar("T")

REPAIR = {
    "en": "That cannot be kept: {fault} ({evidence}). Write it again without this fault, in the same form, and "
    "nothing else.",
    "zh": "这样写不能采用：{fault}（{evidence}）。请改正这一点，按同样的格式重新写一遍，只输出结果。",
}
FAULTS = {
    "en": {
        "copied_answer": "the question gives its own answer away",
        "cut_off": "it ends before it is finished; write less",
        "dropped_qualifier": "it leaves out a warning or condition that the text gives beside it",
        "asked_before": "this was asked already; ask about something else",
        "leak": "it mentions the text, which the reader does not see",
        "lost_number": "a number of the original is missing",
        "low_support": "the text does not say this",
        "mismatched": "question and answer do not fit each other",
        "no_such_sentence": "there is no sentence of that number",
        "not_a_question": "it has to be one question, in one line, that ends with a question mark",
        "not_standalone": "it points at something that the reader does not see; name it",
        "thinking_left_in": "it has your reasoning in it",
        "too_long": "it is too long",
        "too_short": "it is too short",
        "ungrounded_number": "it has a number that the text does not have",
        "unreadable": "it is not the JSON that was asked for",
        "wrong_length": "it says more or less than the original",
        "wrong_language": "it has to be in English",
        "key_stands_out": "the correct answer is much longer than the others",
        "negative_question": "ask for what is so, not for what is not",
        "same_options": "two of the answers are the same",
        "supported_option": "the text says this answer, too, so that it is not wrong",
        "unsupported_key": "the chosen sentences do not say the correct answer",
        "wrong_dose": "the text does not give this dose in this way",
        "not_an_answer": "it asks, and does not answer",
        "not_asked": "the question has to have the missing words as they are",
        "off_topic": "the question is about something else than the text",
        "stated": "the text may answer this; ask for something that it leaves open",
        "foreign_drug": "it names a drug that the text does not name",
        "foreign_disease": "it names a disease that the text does not name",
        "foreign_name": "it has a name or number that the text does not have",
        "swapped_name": "it names something else than the text in this place",
        "turned_round": "it says the opposite of the text",
        "unsupported_sentence": "the text does not say this",
        "off_question": "it does not answer the question",
        "wrong_unit": "the text gives this number in another unit",
        "wrong_frequency": "the text does not say that anything is done so often",
        "repetition": "it says the same again and again",
    },
    "zh": {
        "copied_answer": "问题里已经说出了答案",
        "cut_off": "没有写完，请写得短一些",
        "dropped_qualifier": "漏掉了原文紧接着给出的禁忌、条件或提醒",
        "asked_before": "这个问题已经问过，请问别的内容",
        "leak": "提到了读者看不到的原文",
        "lost_number": "漏掉了原文中的数字",
        "low_support": "原文没有这样说",
        "mismatched": "问题和回答对不上",
        "no_such_sentence": "没有这个编号的句子",
        "not_a_question": "应当是一行之内、以问号结尾的一个问题",
        "not_standalone": "所指的对象读者看不到，请写出它的名称",
        "thinking_left_in": "写进了思考过程",
        "too_long": "太长",
        "too_short": "太短",
        "ungrounded_number": "出现了原文没有的数字",
        "unreadable": "不是所要求的 JSON",
        "wrong_length": "与原文相比有增删",
        "wrong_language": "应当使用中文",
        "key_stands_out": "正确答案比其他答案长得多",
        "negative_question": "请问什么是对的，不问什么是错的",
        "same_options": "有两个答案是一样的",
        "supported_option": "这个答案原文也说到了，不能算错",
        "unsupported_key": "所选句子没有说出正确答案",
        "wrong_dose": "原文没有这样的用法用量",
        "not_an_answer": "只是提问，没有回答",
        "not_asked": "所缺的内容要与问题里的字完全一样",
        "off_topic": "问的不是原文所讲的对象",
        "stated": "原文可能回答了这一点，请问原文没有说到的内容",
        "foreign_drug": "提到了原文没有的药物",
        "foreign_disease": "提到了原文没有的疾病",
        "foreign_name": "出现了原文没有的名称或数字",
        "swapped_name": "这里的名称与原文不同",
        "turned_round": "意思与原文相反",
        "unsupported_sentence": "原文没有这样说",
        "off_question": "没有回答所问的内容",
        "wrong_unit": "这个数字的单位与原文不同",
        "wrong_frequency": "原文没有这样的用药次数",
        "repetition": "重复同样的话",
    },
}  # what a reason says to a model; of the others the name alone
PROMPTS = {language: "\n".join([REPAIR[language], *FAULTS[language].values()]) for language in REPAIR}


@dataclass(frozen=True)
class Step(Generic[T]):
    """What a step asks, and how its texts are read.

    `read` takes a text without reasoning, and why it ended, and returns its value and what is wrong with it. Of the
    candidates of one request the first that passes is taken in the order of `rank`, highest first.
    """

    style: str
    name: str  # question, answer, …
    language: str  # zh or en: what the model is spoken to in
    prompt: str  # the static text, hashed into `made_by`
    messages: Sequence[tuple[str, str]]
    read: Callable[[str, str], tuple[T, Finding | None]]
    max_tokens: int
    schema: Mapping[str, Any] | None = None
    stop: Sequence[str] = ()
    rank: Callable[[T], float] = lambda _: 0.0


@dataclass(frozen=True)
class Written(Generic[T]):
    """What came of a step: a value, or None if no text came; what is wrong with it, if it is; and what made it."""

    value: T | None
    finding: Finding | None
    made: tuple[Made, ...]

    @property
    def repaired(self) -> bool:
        """Tell whether the value passed after it was sent back."""
        return self.finding is None and len(self.made) > 1

    @property
    def checks(self) -> tuple[tuple[str, str], ...]:
        """What the pair's row says of a repair: tried, and whether it helped."""
        tried = self.made[1:]
        return ((tried[-1].step, "passed" if self.repaired else "failed"),) if tried else ()


async def take(step: Step[T], passage: Passage, config: RewriteConfig, ask: Ask, rounds: int) -> Written[T]:
    """Take a step: up to `rounds` rounds of sampling and `config.repairs` repairs."""
    messages, name = step.messages, step.name
    made: tuple[Made, ...] = ()
    value: T | None = None
    finding: Finding = (REFUSED_LENGTH, "no answer")
    for attempt in range(rounds + config.repairs):
        request = request_of(
            config,
            messages,
            names=(passage.id, step.style, step.name),
            max_tokens=step.max_tokens,
            n=config.candidates,
            stop=step.stop,
            attempt=attempt,
            schema=step.schema,
        )
        response = await ask(request)
        if response.refusal:
            return Written(value, finding if made else response.refusal, made)
        one = Made(name, f"{config.model}@{response.fingerprint}", text_hash(step.prompt), request_hash(request))
        made = (one,) if attempt < rounds else (*made, one)
        texts = [checks.without_thinking(text) for text in response.texts]
        readings = [step.read(*one) for one in zip(texts, response.finish_reasons, strict=True)]
        order = sorted(range(len(texts)), key=lambda index: -step.rank(readings[index][0]))
        best = next((index for index in order if readings[index][1] is None), order[0])
        value, found = readings[best]
        if found is None:
            return Written(value, None, made)
        finding = found
        if attempt >= rounds - 1:
            if not texts[best]:
                break
            written = texts[best][: config.max_answer_chars]
            messages, name = [*step.messages, *_repair(step.language, written, finding)], f"{step.name}_repair"
    return Written(value, finding, made)


def _repair(language: str, text: str, finding: Finding) -> list[tuple[str, str]]:
    """Show a model its text and say what is wrong with it."""
    reason, evidence = finding
    fault = FAULTS[language].get(reason, reason.replace("_", " "))
    return [("assistant", text), ("user", REPAIR[language].format(fault=fault, evidence=evidence))]
