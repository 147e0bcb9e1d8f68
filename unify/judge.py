"""Have a model judge a sample of the pairs that a recipe has made: `onestage judge`.

The sample is stratified: of every source, style and language as many pairs as of the others, drawn by hash. The judge
sees passage and pair, and says whether the passage says all of the answer and whether the answer answers the question.

How far its word goes is measured beside it on what is known: pairs that it is shown once more with the answer of
another document's pair, which it has to doubt, and answers that are quoted word for word, which it must not. Verdicts
are kept beside the journal, to be read; nothing is dropped for them.
"""

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, mean
from typing import Any, cast

import pyarrow.compute as pc
from pydantic import Field

from pipeline.lookup import Row, Stages, one_of, parts, rows_where, text_dirs
from pipeline.recipe import Config, Recipe, RecipeError, SourceCard, read_table
from pipeline.records import uniform
from pipeline.shards import write_atomically
from unify.accept import share_of
from unify.asking import asking
from unify.pair import language_of
from unify.request import RewriteConfig, request_of
from unify.rewrite import all_done, check_egress
from unify.structured import read_reply

QUOTING = ("excerpt", "heading", "drug_label", "classical")  # styles whose answers are the passage's own words
PLANTED_EVERY = 4  # pairs of the sample, of which one is shown again with another answer
REPLY_TOKENS = 300
SCHEMA = {
    "type": "object",
    "properties": {
        "unsupported": {"type": "string"},
        "supported": {"type": "boolean"},
        "fits": {"type": "boolean"},
    },
    "required": ["unsupported", "supported", "fits"],
    "additionalProperties": False,
}
SYSTEM = {
    "en": "You check training data. You are given a text, and a dialogue that was written from it. Judge by the text "
    "alone, not by what you know. Reply in JSON: `unsupported`, the first words of the dialogue's answers that the "
    "text does not say, or that change what it says (a number, a name, a condition, a negation), empty if there are "
    "none; `supported`, true if the text says all that the answers say; `fits`, true if each answer is an answer to "
    "its question.",
    "zh": "你负责检查训练数据。下面给出一段原文，以及根据它写成的对话。只根据原文判断，不要依据你自己的知识。"
    "用 JSON 回答：`unsupported` 填写回答中第一处原文没有说到、或者改变了原文意思（数字、名称、条件、否定）的话，"
    "没有则留空；`supported` 填写原文是否说到了回答的全部内容；`fits` 填写每个回答是否回答了对应的问题。",
}
FORM = {"en": "Text:\n{passage}\n\nDialogue:\n{dialogue}", "zh": "原文：\n{passage}\n\n对话：\n{dialogue}"}
SPEAKER = {"en": {"user": "Question", "assistant": "Answer"}, "zh": {"user": "问", "assistant": "答"}}

SAID = {"supported": "passage says all of it", "fits": "answers its question"}

Stratum = tuple[str, str, str]  # source, style, language


class JudgeConfig(Config):
    """Settings of judging, the table [judge]; the endpoints are those of [run]."""

    model: str | None = Field(default=None, description="none: the model of [rewrite], a lenient judge of itself")
    pairs: int = Field(default=200, ge=1, description="of the sample")


@dataclass(frozen=True)
class Shown:
    """A pair as the judge is shown it, with the passage's text; `planted` if the answer is another pair's."""

    row: Row
    passage: str
    messages: tuple[Mapping[str, str], ...]
    planted: bool = False

    @property
    def stratum(self) -> Stratum:
        """What it was drawn from."""
        return self.row["source"], self.row["style"], self.row["lang"]


Verdict = Mapping[str, Any] | None  # by SCHEMA; None where the judge's reply cannot be read


def judge(
    config: RewriteConfig,
    recipe: Recipe,
    cards: Sequence[SourceCard],
    directory: Path,
    stages: Stages,
    say: Callable[[str], None] = print,
) -> None:
    """Judge a sample of the pairs in a rewrite directory, finished or not, and say what came of it.

    Raises:
        RecipeError: no pair is there, or the table [judge] is wrong; else as rewriting does.
        Stopped: at a limit of the recipe.
    """
    settings = read_table(recipe, "judge", JudgeConfig)
    check_egress(recipe, cards)
    sampling = {"model": settings.model or config.model, "temperature": 0.0, "thinking": "off"}
    rows, population = draw(directory, settings.pairs, config.seed)
    if not rows:
        raise RecipeError(f"{directory}: got no pair with a question, expected one to judge")
    wanted = one_of({row["passage_id"] for row in rows})
    texts = {row["id"]: row["text"] for row in rows_where(parts(text_dirs(stages)), "id", wanted, ["id", "text"])}
    shown = [Shown(row, texts[row["passage_id"]], tuple(row["messages"])) for row in rows if row["passage_id"] in texts]
    judged = len(shown)  # a purge may have taken the passages of others
    shown += planted(shown)
    verdicts = asyncio.run(_ask_all(shown, config.model_copy(update=sampling), recipe, cards))
    say(f"judged by {sampling['model']}: {judged:,} of {sum(population.values()):,} pairs")
    for line in figures(shown, verdicts, population):
        say(line)
    path = recipe.output_folder / f"judge-{recipe.name}.jsonl"
    told = (_told(one, verdict) for one, verdict in zip(shown, verdicts, strict=True))
    write_atomically(path, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in told))
    say(f"read the verdicts beside their pairs: {path}")


def draw(directory: Path, pairs: int, seed: int) -> tuple[list[Row], Counter[Stratum]]:
    """Draw pairs by hash, as many of each stratum as there are; and count the pairs of each."""
    population: Counter[Stratum] = Counter()
    lowest: defaultdict[Stratum, list[tuple[float, str]]] = defaultdict(list)
    for row in rows_where(parts([directory]), "style", _asks, ["id", "source", "style", "lang"]):
        stratum = (row["source"], row["style"], row["lang"])
        population[stratum] += 1
        lowest[stratum].append((uniform(seed, "judge", row["id"]), row["id"]))
        if len(lowest[stratum]) > 2 * pairs:
            lowest[stratum] = sorted(lowest[stratum])[:pairs]
    ranked = sorted((rank, *one) for drawn in lowest.values() for rank, one in enumerate(sorted(drawn)))
    chosen = {id: place for place, (_, _, id) in enumerate(ranked[:pairs])}
    rows = rows_where(parts([directory]), "id", one_of(chosen))
    return sorted(rows, key=lambda row: chosen[row["id"]]), population


def planted(shown: Sequence[Shown]) -> Iterator[Shown]:
    """Yield every so many pairs again, with the last answer of another document's pair in the same language."""
    for place in range(0, len(shown), PLANTED_EVERY):
        one = shown[place]
        own = one.row["passage_id"].partition("#")[0]
        for other in (*shown[place + 1 :], *shown[:place]):
            if other.row["lang"] == one.row["lang"] and other.row["passage_id"].partition("#")[0] != own:
                yield Shown(one.row, one.passage, (*one.messages[:-1], other.messages[-1]), planted=True)
                break


def figures(shown: Sequence[Shown], verdicts: Sequence[Verdict], population: Mapping[Stratum, int]) -> Iterator[str]:
    """Write what the judge said of each stratum, of all by the strata's sizes, and of what is known."""
    read = [(one, verdict) for one, verdict in zip(shown, verdicts, strict=True) if verdict]
    own: dict[Stratum, list[Mapping[str, Any]]] = {}
    for one, verdict in read:
        if not one.planted:
            own.setdefault(one.stratum, []).append(verdict)
    for stratum in sorted(population):
        given = own.get(stratum, [])
        yield f"{', '.join(stratum)}: {len(given):,} of {population[stratum]:,} pairs"
        for name, words in SAID.items() if given else ():
            yield f"  {words:<24}{share_of(sum(verdict[name] for verdict in given), len(given))}"
    sizes = [population[stratum] for stratum in own]
    for name, words in SAID.items() if own else ():
        shares = [mean(verdict[name] for verdict in given) for given in own.values()]
        yield f"all, by the number of pairs: {words} {fmean(shares, sizes):.1%}"
    doubts = [not (verdict["supported"] and verdict["fits"]) for one, verdict in read if one.planted]
    wrongs = [not verdict["supported"] for one, verdict in read if not one.planted and one.row["style"] in QUOTING]
    yield f"the judge itself: doubted {sum(doubts):,} of {len(doubts):,} answers taken from another document"
    yield f"                  and {sum(wrongs):,} of {len(wrongs):,} answers that are the passage's own words"
    if unread := sum(verdict is None for verdict in verdicts):
        yield f"unreadable replies: {unread:,}, counted nowhere"


async def _ask_all(
    shown: Sequence[Shown], config: RewriteConfig, recipe: Recipe, cards: Sequence[SourceCard]
) -> list[Verdict]:
    async with asking(config, recipe, lambda changed: check_egress(changed, cards)) as (ask, _, in_flight, *_):

        async def verdict_on(one: Shown) -> Verdict:
            await in_flight.begin()
            try:
                names = (one.row["passage_id"], "judge", one.row["id"], "planted" if one.planted else "verdict")
                request = request_of(config, _messages(one), names=names, max_tokens=REPLY_TOKENS, schema=SCHEMA)
                response = await ask(request)
            finally:
                in_flight.end()
            if response.refusal:
                return None
            verdict, _ = read_reply(response.texts[0], response.finish_reasons[0], SCHEMA)
            return cast(Verdict, verdict)

        return await all_done(map(verdict_on, shown))


def _asks(styles: Any) -> Any:
    return pc.not_equal(styles, "raw")


def _messages(one: Shown) -> list[tuple[str, str]]:
    language = "zh" if language_of(one.row["lang"]) == "zh" else "en"
    speaker = SPEAKER[language]
    dialogue = "\n".join(f"{speaker[message['role']]}: {message['content']}" for message in one.messages)
    return [("system", SYSTEM[language]), ("user", FORM[language].format(passage=one.passage, dialogue=dialogue))]


def _told(one: Shown, verdict: Verdict) -> dict[str, Any]:
    about = {name: one.row[name] for name in ("id", "source", "style", "lang")}
    dialogue = [message["content"] for message in one.messages]
    return about | {"planted": one.planted, "passage": one.passage, "dialogue": dialogue, "verdict": verdict}
