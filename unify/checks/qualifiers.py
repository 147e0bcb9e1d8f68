"""Dropped qualifiers: an answer that recommends a drug or treatment and leaves out the warning that stands beside it.

A qualifier is a sentence that forbids, restricts or warns (contraindication, pregnancy, children, kidneys or liver,
overdose), within `NEAR` sentences of one that the answer carries, on the same drug. A sentence that names no drug is
about those of the sentence before it, and the first about those of the title.
"""

import re
from collections.abc import Collection, Sequence

from pipeline.sentences import Span
from unify.checks.names import Name, names_in
from unify.checks.reading import Sentence, read_sentences
from unify.checks.words import terms

NEAR = 2  # sentences
CARRIED = 0.6  # share of a sentence's terms from which on an answer carries it
RECOMMENDS = {
    "zh": re.compile(
        r"首选|推荐|可用|选用|使用|应用|用于|适用|给予|服用|口服|注射|静滴|滴注|外用|治疗|剂量|每[日天次]"
        r"|\d ?(?:mg|g|毫克|克|片|粒|ml|毫升)|有效"
    ),
    "en": re.compile(
        r"\b(?:treat\w*|used|use|uses|tak(?:e|es|en|ing)|recommended|prescri\w+|given|giv(?:e|es|ing)|dos(?:e|es|age)|"
        r"administ\w+|effective|indicated|first-line|therapy|reliev\w+|\d+ ?(?:mg|g|mcg|ml|units))\b",
        re.IGNORECASE,
    ),
}
WARNS = {
    "zh": re.compile(
        r"禁用|忌用|禁忌|禁服|忌服|慎用|慎服|不宜|不得(?:使用|服)|不可(?:使用|服|用|与)|不能(?:使用|服|用|与)"
        r"|不应(?:使用|服|用|与|超过)|勿[用服与]|避免(?:使用|服|用|与|合用)"
        r"|(?:肝|肾)功能(?:不全|减退|损害|障碍|异常)[^。]{0,16}(?:减量|调整|慎|禁|监测)|(?:过量|超量"
        r"|大剂量)[^。]{0,12}(?:中毒|损[害伤]|致死|衰竭|抑制|坏死)"
        r"|(?:孕妇|妊娠|哺乳|儿童|小儿|婴幼儿|新生儿|老年人)[^。]{0,14}(?:禁|慎|不宜|不推荐|避免|减量|遵医嘱)"
        r"|最大(?:剂量|量)|(?:不超过|不得超过|不应超过)[^。]{0,8}(?:mg|g|毫克|克|片|粒|日|天)"
    ),
    "en": re.compile(
        r"contraindicat|\b(?:should|must|can|may|do|does|is|are) ?not (?:be )?(?:used|taken|given|use|take"
        r"|give|recommended|exceed|safe)"
        r"|\bcannot (?:be )?(?:used|taken|take|use)|\bavoid(?:ed)?\b|\bcaution|\bnever (?:be )?(?:used|taken"
        r"|given|take|use|give)|\bwarning"
        r"|(?:pregnan|breast-?feeding|lactat|children|infants|neonat)[^.]{0,60}(?:should not|must not"
        r"|not recommended|risk|harm|only if|consult)"
        r"|(?:renal|kidney|hepatic|liver)[^.]{0,50}(?:reduc|adjust|lower dose|monitor|toxic|damage|failure)"
        r"|\boverdos|maximum (?:daily )?dose|no more than \d|not exceed",
        re.IGNORECASE,
    ),
}


def qualifiers_beside(spans: Sequence[Span], text: str, title: str, language: str) -> list[Span]:
    """List the spans of sentences that quoted spans should be extended by: those of qualifiers of theirs."""
    sentences = read_sentences(text, language)
    carried = {
        number
        for number, sentence in enumerate(sentences)
        if any(first < sentence.span[1] and sentence.span[0] < last for first, last in spans)
    }
    return [sentences[number].span for number in _uncarried(carried, sentences, title, language)]


def dropped_qualifier(answer: str, text: str, title: str, language: str) -> str | None:
    """Find a qualifier that an answer leaves out, beside a sentence of the passage's text that the answer carries.

    A warning of the answer's own that has a quarter of the qualifier's terms stands for it.
    """
    said = terms(answer)
    sentences = read_sentences(text, language)
    carried = {
        number
        for number, one in enumerate(sentences)
        if one.terms and len(one.terms & said) / len(one.terms) >= CARRIED
    }
    if missing := _uncarried(carried, sentences, title, language):
        warnings = [one.terms for one in read_sentences(answer, language) if WARNS[language].search(one.text)]
        warned = frozenset().union(*warnings)
        for number in missing:
            wanted = sentences[number]
            if len(wanted.terms & warned) < len(wanted.terms) / 4:
                return wanted.text
    return None


def _uncarried(carried: Collection[int], sentences: Sequence[Sentence], title: str, language: str) -> list[int]:
    """Number the sentences that qualify a carried one and are not carried themselves."""
    about = [_drugs(names_in(title))]
    for sentence in sentences:
        about.append(_drugs(sentence.names) or about[-1])
    del about[0]
    recommended = [
        number for number in carried if about[number] and RECOMMENDS[language].search(sentences[number].text)
    ]
    return sorted(
        {
            near
            for number in recommended
            for near in range(max(0, number - NEAR), min(len(sentences), number + NEAR + 1))
            if near not in carried and about[near] & about[number] and WARNS[language].search(sentences[near].text)
        }
    )


def _drugs(names: Sequence[Name]) -> frozenset[tuple[str, ...]]:
    return frozenset(name.same for name in names if name.kind == "drug")
