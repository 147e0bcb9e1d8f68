"""Excerpts by a program: the answer is always a span of the passage, the question the best of those that pass."""

import asyncio

import pytest

from pipeline.records import text_hash
from tests.unify.passages import GAOXUEYA, GOUT, passage
from unify.pair import Pair, Passage
from unify.request import Request, Response, RewriteConfig
from unify.styles import excerpt, excerpt_program

CONFIG = RewriteConfig(
    candidates=4, tries=3, max_excerpt_sentences=1, excerpt_by="program", max_pairs_per_passage=1, repairs=0
)


def write(texts: tuple[str, ...], one: Passage, config: RewriteConfig = CONFIG) -> tuple[list[Pair], list[Request]]:
    asked: list[Request] = []

    async def ask(request: Request) -> Response:
        asked.append(request)
        return Response(texts, ("stop",) * len(texts), "fp", 1, 1)

    return asyncio.run(excerpt.write(one, config, ask)), asked


@pytest.mark.parametrize(("text", "lang"), [(GOUT, "en"), (GAOXUEYA, "zh-Hans")])
@pytest.mark.parametrize("sentences", [1, 3])
def test_every_span_is_whole_sentences_that_stand_alone(text: str, lang: str, sentences: int) -> None:
    spans = excerpt_program.spans_of(passage(text, lang=lang), sentences)
    assert spans
    for start, end in spans:
        assert text[start:end].rstrip()[-1] in ".。"
        assert not text[start:end].startswith("It ")


def test_which_sentence_is_the_answer_varies_with_the_passage() -> None:
    firsts = {excerpt_program.spans_of(passage(doc=f"web/{number}"), 1)[0][0] for number in range(30)}
    assert len(firsts) == 3  # the one that begins with It is never taken


def test_the_best_question_that_passes_is_kept_with_its_verbatim_answer() -> None:
    texts = (
        "What is asthma?",
        "What is gout?",
        "What does allopurinol do to serum urate?",
        "How does colchicine help in an acute attack?",
    )
    pairs, asked = write(texts, passage())
    (pair,) = (pair for pair in pairs if pair.reason is None)
    ((start, end),) = pair.support
    assert pair.reason is None
    assert pair.answer == GOUT[start:end]
    assert pair.question in texts[1:]
    assert pair.made_by[0].model == "smollm2-135m-instruct@fp"
    assert asked[0].parameters["n"] == 4


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Colchicine", "not_a_question"),
        ("How does asthma treat gout?", "foreign_disease"),
        ("What does the passage say about gout?", "leak"),
        ("What are the symptoms of gout and what relieves them?", "malformed"),
        ("Gout?", "too_short"),
        ("How do these attacks of gout occur?", "not_standalone"),
    ],
)
def test_a_bad_question_is_rejected_with_its_reason_and_kept_as_a_row(text: str, reason: str) -> None:
    pairs, asked = write((text,), passage())
    assert [pair.reason for pair in pairs] == [reason]
    assert len(asked) == CONFIG.tries


def test_asking_what_a_thing_is_needs_an_answer_that_says_so() -> None:
    gout = passage()
    definition, other = GOUT.split(". ")[0] + ".", "Allopurinol lowers serum urate in gout."
    assert excerpt_program.unrelated("What is gout?", definition, gout) is None
    assert excerpt_program.unrelated("What is gout?", other, gout) == "asks what gout is"


def test_asking_for_the_cause_of_a_cause_is_rejected() -> None:
    answer = "Heavy bleeding and pregnancy are frequent causes of iron deficiency."
    one = passage(answer, title="Anaemia")
    assert excerpt_program.unrelated("What can cause iron deficiency?", answer, one) is None
    assert "cause of a cause" in str(excerpt_program.unrelated("What can cause heavy bleeding?", answer, one))


def test_several_excerpts_do_not_overlap() -> None:
    config = CONFIG.model_copy(update={"max_pairs_per_passage": 3, "sentences_per_pair": 1})
    texts = (
        "What does allopurinol do to serum urate?",
        "How does colchicine help in an acute attack?",
        "What is gout?",
    )
    pairs, _ = write(texts, passage(), config)
    kept = [pair for pair in pairs if pair.reason is None]
    assert len(kept) > 1
    assert len({pair.support for pair in kept}) == len(kept)


def test_the_prompt_hash_names_the_static_prompt() -> None:
    pairs, _ = write(("What is gout?", "What does allopurinol do to serum urate?"), passage())
    assert pairs[0].made_by[0].prompt == text_hash(excerpt_program.PROMPTS["en"])


def test_a_language_that_the_model_does_not_write_is_not_for_it() -> None:
    config = CONFIG.model_copy(update={"model_languages": ("en",)})
    assert excerpt.applies(passage(), config)
    assert not excerpt.applies(passage(GAOXUEYA, lang="zh-Hans"), config)
    assert not excerpt.applies(passage("Too short."), config)
