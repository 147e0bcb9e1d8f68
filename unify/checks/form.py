"""What a text looks like: cut off, too short or long, in the wrong language, refused, thought aloud, repeated."""

import re
from collections import Counter

from unify.checks.words import CJK

CLOSING = "。！？!?.…”’\"')）】》」』：:；;"
REFUSALS = re.compile(
    r"^(抱歉|很抱歉|对不起|作为(一个|一名)?(人工智能|AI|语言模型)|我(无法|不能)(回答|提供))|我(是|只是)一个(人工智能|AI|语言模型)"
    r"|^(i'?m sorry|sorry[,.]|i (can ?not|can't|am unable to|am not able to)\b|as an ai\b|unfortunately, i )"
    r"|\bas an ai (language )?model\b",
    re.IGNORECASE,
)


def without_thinking(text: str) -> str:
    """Strip reasoning that a model wrote before its answer, as <think>…</think> or ending in </think>."""
    return re.sub(r"^.*</think>", "", text, flags=re.DOTALL).strip()


def thinking_left_in(text: str) -> str | None:
    """Find reasoning that could not be stripped, since it has no end."""
    found = re.search(r"</?think(ing)?>|^(嗯，|好的，用户|okay, (so )?(the user|let me))", text, re.IGNORECASE)
    return found[0] if found else None


def cut_off(text: str, finish_reason: str) -> str | None:
    """Find an end that is none: the limit of tokens, or no closing punctuation."""
    if finish_reason == "length":
        return "finish_reason length"
    return None if text.rstrip()[-1:] and text.rstrip()[-1] in CLOSING else f"ends with {text.rstrip()[-8:]!r}"


def announces_more(text: str) -> str | None:
    """Find a quotation that ends by announcing a list or a table which is not quoted with it."""
    end = text.rstrip()
    return f"ends with {end[-20:]!r}" if end.endswith((":", "：")) else None


def too_short(text: str, min_chars: int) -> str | None:
    """Find a text under a number of characters."""
    return f"{len(text)} < {min_chars} characters" if len(text) < min_chars else None


def too_long(text: str, max_chars: int) -> str | None:
    """Find a text over a number of characters."""
    return f"{len(text)} > {max_chars} characters" if len(text) > max_chars else None


def refusal(text: str) -> str | None:
    """Find an answer that declines to be one."""
    found = REFUSALS.search(text)
    return found[0] if found else None


def wrong_language(text: str, language: str) -> str | None:
    """Find a text that is not in the language (zh or en), by its share of Chinese characters among letters."""
    letters = len(re.findall(r"[^\W\d_]", text))
    ratio = len(CJK.findall(text)) / letters if letters else 0.0
    wrong = ratio < 0.3 if language == "zh" else ratio > 0.1 or not letters
    return f"{ratio:.2f} Chinese characters" if wrong else None


def repetition(text: str) -> str | None:
    """Find a phrase said over and over: one n-gram (of 8 characters or 4 words) too often, or a word run."""
    words = CJK.sub(r" \g<0> ", text.lower()).split()
    if run := re.search(r"\b(\w+)( \1){2,}\b|([㐀-鿿]{2,8})\3{2,}", text.lower()):
        return run[0][:40]
    size = 8 if CJK.search(text) else 4
    grams = Counter(zip(*(words[i:] for i in range(size)), strict=False))
    worst = max(grams, key=grams.__getitem__, default=())
    return " ".join(worst) if grams[worst] > 3 else None


def not_an_answer(text: str) -> str | None:
    """Find an answer that only asks, as one that says its question again."""
    end = text.rstrip()
    return f"ends with {end[-20:]!r}" if end.endswith(("?", "？")) and not re.search(r"[。！!.…]", end) else None


def not_a_question(text: str) -> str | None:
    """Find what is no single question of one line: no question mark at its end, or more lines."""
    if "\n" in text.strip():
        return "several lines"
    return None if text.rstrip().endswith(("?", "？")) else f"ends with {text.rstrip()[-8:]!r}"
