"""The style `multiple_choice`: a question with four options, and the letter of the right one with its proof.

The model points at sentences and writes a question, the option that they prove, and three wrong ones, in JSON. A
program sees that the sentences say the right option and that the passage says none of the others, draws the order from
a hash of the passage's id, so that every letter is right as often, and explains by quoting the sentences.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.records import uniform
from pipeline.sentences import Span, split_sentences
from unify import checks
from unify.checks import Finding, verdict
from unify.checks.numerals import fold
from unify.checks.polarity import turned_round
from unify.checks.quantities import claims
from unify.coverage import asked_before, pairs_until_covered, sentences_of
from unify.pair import Pair, Passage
from unify.quoting import assemble, form_of, next_task, share_in, shared_messages
from unify.request import Ask, RewriteConfig
from unify.step import Step, take
from unify.structured import read_reply

STYLE = "multiple_choice"
LETTERS = "ABCD"
SAID = 0.7  # share of an option's terms in a text from which on that says it
STANDS_OUT = 2.5  # times the longest wrong option from which on the right one is told by its length

SYSTEM = {
    "en": "You write multiple-choice questions for medical students. You are given the numbered sentences of a text. "
    "Choose the sentences that prove one fact, at most three, and write a question that this fact answers, the correct "
    "answer in the words of those sentences, and three wrong answers. Wrong answers are of the same kind and length as "
    "the correct one, plausible to someone who does not know, certainly wrong, and said nowhere in the text. The "
    "question names its subject in full, asks for what is so, never for what is not, makes sense without the answers "
    "and to someone who has not seen the text, and never mentions the text. Answers are short and without letters. "
    "Reply in JSON with `sentences` (numbers), `question`, `correct` and `wrong` (a list of three).",
    "zh": "你为医学生编写选择题。给你一段原文，句子已经编号。请选出能证明一个事实的句子，最多三句，"
    "写出以这个事实为答案的问题、用所选句子里的话写成的正确答案，以及三个错误答案。"
    "错误答案与正确答案同类、长短相近，不懂的人看来像是对的，但肯定是错的，而且原文没有说过。"
    "问题要写全所问对象的名称，问什么是对的，不问什么是错的；不看选项、没有看过原文的人也能读懂，"
    "不用“下列”“以上”之类的字眼，不得提到原文。各个答案要简短，前面不写字母。"
    "用 JSON 输出 sentences（编号的列表）、question、correct 和 wrong（三个答案的列表）。",
}
TASK = {"en": "Write a question with its answers.", "zh": "请写出一个问题和它的各个答案。"}
NEXT = {
    "en": "Already asked:\n{asked}\nNot used yet: sentences {left}. Write another question with its answers, about "
    "something else.",
    "zh": "已经问过：\n{asked}\n还没有用到的句子：{left}。请另写一个问别的内容的问题和它的各个答案。",
}
EXAMPLES = {
    "en": (
        "Motion sickness",
        (
            "Motion sickness arises when the eyes and the inner ear report different movements to the brain.",
            "It is most common between 2 and 12 years of age.",
        ),
        {
            "sentences": [1],
            "question": "Which conflict gives rise to motion sickness?",
            "correct": "The eyes and the inner ear report different movements",
            "wrong": [
                "The stomach and the liver receive too little blood",
                "The lungs take up more oxygen than the heart can carry",
                "The muscles of the neck and the back work against each other",
            ],
        },
    ),
    "zh": (
        "晒伤",
        ("晒伤在过量紫外线照射数小时后出现。", "用凉水冷敷并涂抹温和的保湿剂可以缓解晒伤的疼痛。"),
        {
            "sentences": [2],
            "question": "用什么办法可以缓解晒伤的疼痛？",
            "correct": "凉水冷敷并涂抹温和的保湿剂",
            "wrong": ["热水浸泡并涂抹高度白酒", "用力揉搓并撕去脱起的皮", "继续日晒并涂抹植物精油"],
        },
    ),
}
ANSWERS = {
    "en": (
        "The answer is {l}. {proof}",
        "{l}: {key}. {proof}",
        "Correct is {l}, since: {proof}",
        "{l}.\n\nExplanation: {proof}",
    ),
    "zh": (
        "选{l}。{proof}",
        "答案是{l}：{key}。{proof}",
        "正确答案是{l}。\n\n解析：{proof}",
        "应选{l}，理由如下。{proof}",
    ),
}


PREFIX = {
    language: shared_messages(language, SYSTEM[language], TASK[language], [EXAMPLES[language]]) for language in SYSTEM
}
PROMPTS = {
    language: "\n".join([*(content for _, content in PREFIX[language]), NEXT[language], *ANSWERS[language]])
    for language in SYSTEM
}
SCHEMA = {
    "type": "object",
    "properties": {
        "sentences": {"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 3},
        "question": {"type": "string"},
        "correct": {"type": "string"},
        "wrong": {"type": "array", "items": {"type": "string"}, "minItems": 3, "maxItems": 3},
    },
    "required": ["sentences", "question", "correct", "wrong"],
    "additionalProperties": False,
}
REPLY_TOKENS = 400

_LABEL = re.compile(r"^\s*[A-Da-d][.、:：)）]\s*")
_NEGATIVE = re.compile(
    r"[不非]是|不属于|不包括|不正确|错误|除[^，？]{0,12}外|\b(?:not|except|incorrect|false|least)\b", re.IGNORECASE
)
_OF_OPTIONS = re.compile(
    r"以上(?=[都各均皆两选])|上述|^[都均皆][是对不]|\b(?:all|none|both|neither|any) of\b|[A-D]\s?[和与]", re.IGNORECASE
)


@dataclass(frozen=True)
class Choice:
    """A question with its options in order, the place of the right one, and the sentences that prove it."""

    question: str = ""
    options: tuple[str, ...] = ()
    right: int = 0
    proof: str = ""
    spans: tuple[Span, ...] = ()

    @property
    def asked(self) -> str:
        """The question as a user asks it, the options below it."""
        options = [f"{letter}. {option}" for letter, option in zip(LETTERS, self.options, strict=False)]
        return "\n".join([self.question, *options])


def applies(passage: Passage, config: RewriteConfig) -> bool:
    """Tell whether the passage has sentences to ask for, in a language of today that the model writes."""
    language = passage.language
    return (
        language in SYSTEM
        and language in config.model_languages
        and passage.lang != "lzh"
        and bool(sentences_of(passage))
    )


async def write(passage: Passage, config: RewriteConfig, ask: Ask) -> list[Pair]:
    """Write the pairs of a passage, each of them about other sentences, kept or rejected."""

    async def write_next(pairs: Sequence[Pair]) -> Pair:
        return await _pair_of(passage, pairs, config, ask)

    return await pairs_until_covered(passage, config, write_next)


async def _pair_of(passage: Passage, pairs: Sequence[Pair], config: RewriteConfig, ask: Ask) -> Pair:
    language = passage.language
    spans = split_sentences(passage.text, passage.lang)
    asked = [pair.question.splitlines()[0] for pair in pairs if pair.question]
    task = next_task(NEXT[language], passage, spans, pairs, asked) if pairs else TASK[language]
    draw = uniform(config.seed, STYLE, passage.id, str(len(pairs)))

    def read(text: str, finish_reason: str) -> tuple[Choice, Finding | None]:
        return read_choice(text, finish_reason, passage, spans, pairs, config, draw)

    messages = [*PREFIX[language], ("user", form_of(passage, spans, task))]
    step = Step(STYLE, "pair", language, PROMPTS[language], messages, read, REPLY_TOKENS, SCHEMA)
    taken = await take(step, passage, config, ask, config.tries)
    choice = taken.value or Choice()
    answer = answer_of(choice, language, draw) if choice.options else choice.proof
    quoted = f"{share_in(choice.spans, answer):.2f}"
    values = (("key", LETTERS[choice.right]), ("quoted", quoted), *taken.checks)
    pair = Pair(STYLE, passage.lang, choice.asked, answer, choice.spans, values, taken.made)
    return pair.judged(taken.finding)


def place(correct: str, wrong: Sequence[str], draw: float) -> tuple[tuple[str, ...], int]:
    """Order the options by a number in [0, 1): the right one on one of the places, each as likely; and say which."""
    places = len(wrong) + 1
    right = int(draw * places)
    options = [*wrong[:right], correct, *wrong[right:]]
    return tuple(options), right


def answer_of(choice: Choice, language: str, draw: float) -> str:
    """Write the answer: the letter, and the sentences that prove it."""
    forms = ANSWERS[language]
    chosen = forms[int(draw * len(LETTERS) * len(forms)) % len(forms)]  # other digits than those of the place
    return chosen.format(l=LETTERS[choice.right], key=choice.options[choice.right], proof=choice.proof)


def read_choice(
    text: str,
    finish_reason: str,
    passage: Passage,
    spans: Sequence[Span],
    pairs: Sequence[Pair],
    config: RewriteConfig,
    draw: float,
) -> tuple[Choice, Finding | None]:
    """Read a reply: the question with its options in the order drawn, and the first thing wrong with them."""
    reply, broken = read_reply(text, finish_reason, SCHEMA)
    if broken:
        return Choice(proof=text), broken
    if strange := [number for number in reply["sentences"] if not 1 <= number <= len(spans)]:
        return Choice(proof=text), ("no_such_sentence", f"{strange[0]} of {len(spans)}")
    question, language = reply["question"].strip(), passage.language
    correct, *wrong = (
        _LABEL.sub("", option).strip().rstrip("。.；;") for option in (reply["correct"], *reply["wrong"])
    )
    quoted = assemble(question, reply["sentences"], passage, spans)
    options, right = place(correct, wrong, draw)
    choice = Choice(question, options, right, quoted.answer, quoted.spans)
    subject = verdict.subject_of(passage, language, config)
    return choice, (
        verdict.judge_question(question, subject)
        or judge_options(question, correct, wrong, quoted.answer, passage)
        or checks.first_broken(
            (
                ("wrong_language", checks.wrong_language(choice.asked, language)),
                ("asked_before", asked_before(question, pairs)),
                ("too_long", checks.too_long(choice.proof, config.max_answer_chars)),
            )
        )
        or verdict.judge_excerpt(question, choice.proof, choice.spans, subject)
    )


def judge_options(question: str, correct: str, wrong: Sequence[str], proof: str, passage: Passage) -> Finding | None:
    """Find the first thing wrong with the options: exactly one of them has to be said, and nothing to give it away.

    Args:
        proof: the sentences that have to say the right option; the passage must not say a wrong one.
    """
    options = [correct, *wrong]
    negative = _NEGATIVE.search(question)
    alike = next((one for n, one in enumerate(options) if any(same(one, other) for other in options[:n])), None)
    longest, language = max(map(len, wrong)), passage.language

    def said(option: str) -> bool:
        return _word_for_word(passage.text, option) or says(proof, option, language)

    return checks.first_broken(
        (
            ("negative_question", negative[0] if negative else None),
            ("unreadable", "an empty option" if not all(options) else None),
            ("same_options", alike),
            ("not_standalone", next((one for one in options if _OF_OPTIONS.search(one)), None)),
            ("copied_answer", correct if _letters(correct) in _letters(question) else None),
            ("key_stands_out", correct if len(correct) > max(20, STANDS_OUT * longest) else None),
            ("unsupported_key", None if says(proof, correct, language) else correct),
            ("supported_option", next((one for one in wrong if said(one)), None)),
        )
    )


def says(text: str, option: str, language: str) -> bool:
    """Tell whether a text says an option: in its words, or in most of its terms, all numbers and none turned round."""
    wanted = checks.terms(option)
    most = bool(wanted) and len(wanted & checks.terms(text)) >= SAID * len(wanted)
    agree = checks.ungrounded_number(option, text) is None and checks.wrong_unit(option, text) is None
    return _word_for_word(text, option) or (most and agree and turned_round(option, text, language) is None)


def same(one: str, other: str) -> bool:
    """Tell whether two options are the same, in other words' order or other units."""
    if _letters(one) == _letters(other):
        return True
    if list(claims(one)) and list(claims(other)):
        agree = all(checks.ungrounded_number(*pair) is None for pair in ((one, other), (other, one)))
        words = [{term for term in checks.terms(text) if not term[0].isdigit()} for text in (one, other)]
        return agree and words[0] == words[1]
    return sorted(_letters(one)) == sorted(_letters(other))


def _letters(text: str) -> str:
    return re.sub(r"[\W_]+", "", fold(text))


def _word_for_word(text: str, option: str) -> bool:
    """Tell whether an option stands in a text as words of it: 10 mg does not stand in 110 mg."""
    words = r"\W+".join(re.escape(word) for word in re.findall(r"\w+", fold(option)))
    ascii_edges = rf"(?<![a-z0-9.]){words}(?![a-z0-9])"
    return bool(words) and re.search(ascii_edges, fold(text)) is not None
