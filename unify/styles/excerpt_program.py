"""The style `excerpt` for weak models: a program chooses the sentences, and the model writes their question.

Which sentences: a hash of the passage's id decides among those that stand alone. Of several candidate questions the one
that says most of what the answer is about is kept, if it passes the checks; if none does, the next sentences are tried.
"""

import re
from collections.abc import Set

from pipeline.records import uniform
from pipeline.sentences import split_sentences
from unify import checks
from unify.checks import names
from unify.checks.qualifiers import qualifiers_beside
from unify.coverage import pairs_wanted, sentences_of
from unify.pair import Pair, Passage
from unify.request import Ask, RewriteConfig
from unify.step import Step, take

STYLE = "excerpt"
MIN_ANSWER = {"zh": 20, "en": 50}  # characters; shorter sentences say too little to ask for
MAX_ANSWER = {"zh": 300, "en": 600}
MIN_QUESTION = {"zh": 6, "en": 15}

SYSTEM = {
    "en": "You turn a fact into the one question that it answers. The question names its subject, asks for what the "
    "fact says and for nothing else, and makes sense to someone who has not seen the fact.",
    "zh": "你把一条医学知识改写成它所回答的一个问题。问题要点明所问的对象，只问这条知识说到的内容，"
    "不提“文中”“资料”，没有看过这条知识的人也能读懂。只输出问题。",
}
EXAMPLES = {
    "en": (
        (
            "Vitamin C",
            "Vitamin C helps the body absorb iron from plant foods.",
            "How does vitamin C help the body use iron?",
        ),
        (
            "Chickenpox",
            "The rash of chickenpox begins as red spots that become blisters and then dry into crusts.",
            "How does the rash of chickenpox develop?",
        ),
        (
            "Hearing aids",
            "Hearing aids make sounds louder, but they cannot restore normal hearing.",
            "What can hearing aids not do?",
        ),
        (
            "Tetanus",
            "Adults who are unsure whether they were vaccinated against tetanus receive a full course of three doses.",
            "How should adults with an unknown tetanus vaccination history be vaccinated?",
        ),
    ),
    "zh": (
        ("维生素C", "维生素C能把食物中的三价铁还原为二价铁，从而促进铁的吸收。", "维生素C为什么能促进铁的吸收？"),
        ("水痘", "水痘的皮疹先为红色斑疹，很快变成水疱，最后结痂脱落。", "水痘的皮疹会经历怎样的变化？"),
        ("助听器", "助听器可以放大声音，但不能使听力恢复正常。", "助听器能让听力恢复正常吗？"),
        (
            "破伤风",
            "不清楚是否接种过破伤风疫苗的成人，应接种三剂次的全程免疫。",
            "破伤风疫苗接种史不明的成人应该怎样接种？",
        ),
    ),
}
FORM = {"en": "Topic: {title}\nFact: {fact}\nQuestion:", "zh": "主题：{title}\n知识：{fact}\n问题："}
WHAT_IS = re.compile(
    r"(?:what (?:is|are) (?:an? |the )?|什么是|何谓)"
    r"(?P<thing>(?:(?! (?:of|for|in|to|by|with|used|that|when|if) )[^?？])+)[?？]$",
    re.IGNORECASE,
)
WHAT_CAUSES = re.compile(
    r"what (?:(?:can |may )?(?:causes?|leads? to)|(?:is|are) the (?:\w+ )?causes? of) (?P<thing>[^?]+)", re.IGNORECASE
)
CAUSES = re.compile(r"\b(?:causes? of|causes?|leads? to|results? in|produces?|triggers?)\b", re.IGNORECASE)
MALFORMED = re.compile(
    r"^how (?:does|do) .*\bbe \w+|^how (?:does|do) [^?]*\bnot\b|have to do with|\band what\b"
    r"|^what (?:does|do) .* (?:describe|state)\?|^how to\b"
    r"|^how (?:does|do) [^?]*\b(?:should|can|may|is|are)\b(?! not)|\((?!.*\))"
    r"|^(?:is|are|does|do|can|should|what's) .*\bwhat\b",
    re.IGNORECASE,
)
DEFINITION = re.compile(
    r"(?P<thing>(?:(?! and )[^,;]){2,70}?)(?:,[^,]{2,60},)? "
    r"(?:(?:is|are) (?:an?|the|any|one|defined|inflammation|infection)\b|means|refers to|describes)"
    r"|(?P<zh>[^，；]{2,20}?)(?:是|指|，是|又称|即)"
)
PROMPTS = {
    language: "\n".join(
        [SYSTEM[language], *(FORM[language].format(title=t, fact=f) + " " + q for t, f, q in EXAMPLES[language])]
    )
    for language in SYSTEM
}


def spans_of(passage: Passage, sentences_at_most: int) -> list[tuple[int, int]]:
    """List the spans of whole sentences that can be an answer, in an order drawn by the passage's id."""
    text, language, informative = passage.text, passage.language, sentences_of(passage)
    sentences = split_sentences(text, passage.lang)
    spans = []
    for first, (start, _) in enumerate(sentences):
        if checks.not_standalone(text[start:]) or sentences[first] not in informative:
            continue
        for _, end in sentences[first : first + sentences_at_most]:
            answer = text[start:end]
            if qualifiers_beside([(start, end)], text, passage.title or "", language):
                continue  # a longer one has the warning that stands beside it
            if checks.announces_more(answer):
                continue  # a longer one has what is announced
            if MIN_ANSWER[language] <= len(answer) <= MAX_ANSWER[language] and "\n" not in answer:
                spans.append((start, end))
    drawn = sorted(spans, key=lambda span: uniform(0, STYLE, passage.id, str(span[0]), str(span[1])))
    one_each = {span[0]: span for span in reversed(drawn)}  # of the spans from one sentence on, the first drawn
    return [span for span in drawn if one_each[span[0]] == span]


async def write(passage: Passage, config: RewriteConfig, ask: Ask) -> list[Pair]:
    """Write the pairs that a passage is worth, whose answers do not overlap; of a failure, the last rejected one."""
    kept: list[Pair] = []
    rejected: list[Pair] = []
    wanted = pairs_wanted(passage, config)
    tries_left = config.tries * wanted
    for span in spans_of(passage, config.max_excerpt_sentences):
        if not tries_left or len(kept) == wanted:
            break
        if any(span[0] < end and start < span[1] for pair in kept for start, end in pair.support):
            continue
        pair = await _pair_of(passage, span, config, ask)
        (rejected if pair.reason else kept).append(pair)
        tries_left -= 1
    return kept + (rejected if kept else rejected[-1:])


async def _pair_of(passage: Passage, span: tuple[int, int], config: RewriteConfig, ask: Ask) -> Pair:
    language, answer = passage.language, passage.text[slice(*span)]
    subject = passage.subject or answer[:20]
    messages = [("system", SYSTEM[language])]
    for title, fact, question in EXAMPLES[language]:
        messages += [("user", FORM[language].format(title=title, fact=fact)), ("assistant", question)]
    messages.append(("user", FORM[language].format(title=subject, fact=answer)))

    def read(question: str, finish_reason: str) -> tuple[str, checks.Finding | None]:
        return question, _broken(question, answer, passage, config)

    step = Step(
        STYLE,
        "question",
        language,
        PROMPTS[language],
        messages,
        read,
        config.max_question_tokens,
        stop=["\n"],
        rank=lambda question: fit(question, answer, passage),
    )
    taken = await take(step, passage, config, ask, rounds=1)
    question = taken.value or ""
    values = (("fit", f"{fit(question, answer, passage):.2f}"), ("quoted", "1.00"), *taken.checks)
    pair = Pair(STYLE, passage.lang, question, answer, (span,), values, taken.made)
    return pair.judged(taken.finding)


def fit(question: str, answer: str, passage: Passage) -> float:
    """Score how much a question is about an answer: F1 of their terms, those of the title counting less."""
    title = checks.terms(passage.title or "")
    asked, said = checks.terms(question), checks.terms(answer)
    shared = sum(0.5 if term in title else 1.0 for term in asked & said)
    unsaid = len(asked - said - title)
    return (shared + 0.25 * bool(asked & title)) / (1.0 + 0.5 * unsaid)


def _broken(question: str, answer: str, passage: Passage, config: RewriteConfig) -> checks.Finding | None:
    language = passage.language
    known = " ".join([passage.text, passage.title or "", *passage.headings])
    return checks.first_broken(
        (
            ("thinking_left_in", checks.thinking_left_in(question)),
            ("not_a_question", checks.not_a_question(question)),
            ("too_short", checks.too_short(question, MIN_QUESTION[language])),
            ("too_long", checks.too_long(question, config.max_question_chars)),
            ("wrong_language", checks.wrong_language(question, language)),
            ("repetition", checks.repetition(question)),
            ("leak", checks.leak(question)),
            ("malformed", malformed(question)),
            ("not_standalone", checks.pointing(question)),
            ("not_standalone", checks.not_standalone(question)),
            ("foreign_drug", names.foreign_drug(question, known)),
            ("foreign_disease", names.foreign_disease(question, known)),
            ("foreign_name", checks.foreign_name(question, known)),
            ("copied_answer", checks.copied_answer(question, answer)),
            ("mismatched", checks.mismatched(question, answer, language)),
            ("unrelated", unrelated(question, answer, passage)),
        )
    )


def unrelated(question: str, answer: str, passage: Passage) -> str | None:
    """Find a question about something else than its answer.

    It must share a term with the answer beyond the title's, and bring none of its own; one that asks what a thing is
    needs an answer that begins by saying so.
    """
    title = checks.terms(passage.title or "")
    said = checks.terms(answer)
    asked = {
        term
        for word in checks.content_words(question)
        if word.lower() not in checks.ASKING
        for term in checks.terms(word)
    }
    if found := WHAT_IS.match(question):
        return None if defines(answer, checks.terms(found["thing"])) else f"asks what {found['thing']} is"
    found, cause = WHAT_CAUSES.match(question), CAUSES.search(answer)
    if found and cause and not checks.terms(found["thing"]) & checks.terms(answer[cause.end() :]):
        return f"asks for the cause of a cause, {found['thing']}"
    if strange := asked - said - title - checks.terms(" ".join(passage.headings)):
        return f"{', '.join(sorted(strange))} not in the answer"
    return None if (checks.terms(question) & said) - title else "shares nothing but the title with the answer"


def malformed(question: str) -> str | None:
    """Find grammar that small models get wrong."""
    found = MALFORMED.search(question)
    return found[0] if found else None


def defines(answer: str, names: Set[str]) -> bool:
    """Tell whether an answer begins by saying what something of those terms is."""
    found = DEFINITION.match(answer)
    return bool(found and names and names <= checks.terms(found["thing"] or found["zh"]))
