"""Clean passages: take advertisements, reference marks and debris out of their text, and drop what is then no text.

Reads Passage, writes Passage; the id stays, as it names the passage of the document. `clean_text` looks at nothing
but the text, so that cleaning `document.text[start:end]` again gives the passage's text.

Repetition and symbols follow Gopher (arXiv:2112.11446, appendix A), counted in characters rather than words because
Chinese has no spaces: duplicate lines over 20% of the text, repeated n-grams, "#" and "…" over a tenth of words. Rules
for glyphs that a conversion lost, advertisements and reference lists are ours, as are their thresholds.
"""

import re
import unicodedata
from functools import lru_cache

import pyarrow as pa
from pydantic import Field

from pipeline.recipe import Config
from pipeline.records import mark
from pipeline.sentences import split_sentences


class CleanConfig(Config):
    """What is taken out of a text, and how much of what is left must be text. Shares are of characters."""

    advertisement_lines: tuple[str, ...] = Field(
        default=(
            r"^\W{0,3}(?:广告|推广|赞助商?内容|商业推广)\W",
            r"^\W{0,3}(?:advertisements?|sponsored(?: message| content| post)?|promoted|"
            r"special offer(?: for [\w ]{1,30})?)\s*[:：|\-–—\])]",
        ),
        description="a line that one of these is found in is removed whole; case is ignored",
    )
    advertisement_sentences: tuple[str, ...] = Field(
        default=(
            r"扫码(?:下单|领取|关注|添加|进群|购买)|微信(?:扫一扫|公众号[：:])|(?:加|添加)微信",
            r"公众号.{0,12}(?:关注|回复)|关注.{0,12}公众号",
            r"点击(?:这里|此处|下方|链接|购买|下载|领取|咨询|查看更多)",
            r"立即(?:购买|抢购|下单|咨询|预约|领取)|(?:全国|满\S{1,6})包邮|包邮到家",
            r"厂家直销|限时(?:优惠|特价|抢购)|优惠券|第二件半价|买一送[一二三]",
            r"客服(?:热线|电话|QQ)|订购热线|新[品货]上市",
            r"\b(?:buy|order|shop|subscribe|sign up) (?:now|today)\b|\bclick (?:here|below)\b",
            r"\bfree shipping\b|\blimited[- ]time offer\b",
            r"\bhalf price\b",
            r"\b(?:discount|promo|coupon) code\b|\bcall (?:now|our friendly team)\b|\bmoney[- ]back guarantee\b",
        ),
        description="a sentence that one of these is found in is removed",
    )
    boilerplate_lines: tuple[str, ...] = Field(
        default=(
            r"^(?:上一[篇页章]|下一[篇页章]|返回(?:首页|顶部|目录)|相关(?:阅读|文章|推荐|链接)|延伸阅读|猜你喜欢|热门(?:推荐|文章)|分享到|责任编辑)(?:[：:|].{0,80})?$",
            r"^(?:版权所有|未经(?:授权|许可|允许)|转载请注明).{0,120}$",
            r"^(?:本文(?:来源|转自)|文章来源|来源：|声明：本|免责声明|本站使用\s?cookie).{0,120}$",
            r"^(?:copyright|©|\(c\)\s?\d{4}).{0,120}$|^.{0,80}\ball rights reserved\b.{0,40}$",
            r"^(?:share this|print this|related (?:pages|articles|links)|back to top)\b.{0,60}$",
            r"^(?:read more|skip to|next page|previous page)\b.{0,60}$",
            r"^.{0,60}\b(?:use|uses|accept(?: all)?) cookies\b.{0,120}$",
        ),
        description="a line that one of these is found in is removed; case is ignored",
    )
    min_chars: dict[str, int] = Field(default={"zh": 30, "lzh": 20, "en": 80}, description="by language, as in segment")
    max_advertisement: float = Field(default=0.5, ge=0, le=1, description="share of a passage that was advertisement")
    max_symbols: float = Field(default=0.1, ge=0, le=1, description="share that are # … and other symbols")
    min_letters: float = Field(default=0.5, ge=0, le=1, description="share of what is no white space that are letters")
    max_missing_glyphs: float = Field(
        default=0.01, ge=0, le=1, description="share of replacement, blank-box and private-use characters"
    )
    max_duplicate_lines: float = Field(default=0.2, ge=0, le=1, description="share in lines that occurred before")
    max_duplicate_ngrams: float = Field(default=0.4, ge=0, le=1, description="share in n-grams that occurred before")
    ngram_chars: dict[str, int] = Field(default={"zh": 10, "lzh": 10, "en": 40}, description="n, by language")
    max_references: float = Field(
        default=0.6, ge=0, le=1, description="share in lines that are entries of a bibliography"
    )


_INVISIBLE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]"
)
_SPACE = re.compile(r"[ \t\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]+")
_REFERENCE_MARK = re.compile(r" ?[\[［〔](?:\d{1,3}|\^\d{1,3})(?:\s*[,，、;\-–—~]\s*\d{1,3})*[\]］〕]")
_URL_LINE = re.compile(r"^\W*(?:(?:https?://|www\.)\S+[\s,;|]*)+$", re.IGNORECASE)
_MISSING = re.compile(r"[\ufffd□■▯〓\ue000-\uf8ff]")
_ORDINARY_MARKS = frozenset(",.;:!?'\"()-–—·，。；：！？、（）“”‘’《》〈〉「」『』【】〔〕%％°℃/~～+±<>≤≥=×[]&∶・−")
_REFERENCE = (
    re.compile(  # an entry of a bibliography: GB/T 7714 type marks, initials and "et al", a DOI, year;volume:page
        r"^.{3,200}?(?:\[(?:[JMCDPRNS](?:/OL)?|EB/OL)\]|\b[A-Z][ .]?[A-Z]?\.?,? et al\b|\bdoi\s*:|10\.\d{4,}/|"
        r"\b(?:19|20)\d\d\s*[;,]\s*\d{1,4}\s*(?:\(\w{1,8}\))?\s*:\s*[A-Za-z]?\d+|PMID).{0,200}$"
    )
)


def clean_passages(passages: pa.Table, config: CleanConfig) -> pa.Table:
    """Clean the text of N passages and mark those that do not hold up as text.

    Returns:
        The same N rows in the same order with cleaned `text`, plus drop columns.
    """
    results = [_clean(text, config) for text in passages["text"].to_pylist()]
    cleaned = [text for text, _ in results]
    judged = [
        judge(text, advertised, lang, config)
        for (text, advertised), lang in zip(results, passages["lang"].to_pylist(), strict=True)
    ]
    column = passages.schema.get_field_index("text")
    rows = passages.set_column(column, passages.schema.field(column), pa.array(cleaned, pa.string()))
    reasons = {reason: pa.array([found[0] == reason for found in judged], pa.bool_()) for reason in REASONS}
    return mark(rows, reasons, {reason: [detail for _, detail in judged] for reason in REASONS})


REASONS = ("advertisement", "too_short", "missing_glyphs", "references_only", "symbol_heavy", "repetitive")


def clean_text(text: str, config: CleanConfig) -> str:
    """Return a text without advertisements, boilerplate, reference marks and invisible characters, in NFC."""
    return _clean(text, config)[0]


def judge(cleaned: str, advertised: float, lang: str, config: CleanConfig) -> tuple[str | None, str | None]:
    """Return the first rule that a cleaned text breaks, and the value that broke it.

    Args:
        advertised: share of the text before that was advertisement.
    """
    if advertised > config.max_advertisement:
        return "advertisement", f"{advertised:.2f}"
    if len(cleaned) < _limit(config.min_chars, lang):
        return "too_short", str(len(cleaned))
    lines = [line for line in cleaned.split("\n") if line]
    dense = "".join(cleaned.split())
    values = {
        "missing_glyphs": (len(_MISSING.findall(cleaned)) / len(dense), config.max_missing_glyphs),
        "references_only": (
            sum(len(line) for line in lines if _REFERENCE.search(line)) / len(cleaned),
            config.max_references,
        ),
        "symbol_heavy": (_symbol_excess(dense, config), 0.0),
        "repetitive": (max(_line_excess(lines, config), _ngram_excess(dense, lang, config)), 0.0),
    }
    return next(((reason, f"{value:.2f}") for reason, (value, limit) in values.items() if value > limit), (None, None))


def _clean(text: str, config: CleanConfig) -> tuple[str, float]:
    """Return the cleaned text, and the share of the text before that was advertisement."""
    text = _INVISIBLE.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    lines = [_SPACE.sub(" ", line).strip() for line in text.split("\n")]
    honest = [_without_advertisement(line, config) for line in lines]
    kept = []
    for line, before in zip(honest, lines, strict=True):
        line = _SPACE.sub(" ", _REFERENCE_MARK.sub("", line)).strip()
        if not before or (line and not _URL_LINE.match(line) and not _matches(config.boilerplate_lines, line)):
            kept.append(line)
    advertised = 1 - sum(map(len, honest)) / max(1, sum(map(len, lines)))
    cleaned = re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip()
    return unicodedata.normalize("NFC", cleaned), advertised  # last: what is taken out may have stood between two parts


def _without_advertisement(line: str, config: CleanConfig) -> str:
    if _matches(config.advertisement_lines, line):
        return ""
    if not _matches(config.advertisement_sentences, line):
        return line
    sentences = [line[start:end] for start, end in split_sentences(line, "en" if line.isascii() else "zh")]
    staying = (sentence for sentence in sentences if not _matches(config.advertisement_sentences, sentence))
    return (" " if line.isascii() else "").join(staying)


def _matches(patterns: tuple[str, ...], line: str) -> bool:
    return bool(patterns) and _compiled(patterns).search(line) is not None


@lru_cache(maxsize=16)
def _compiled(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns), re.IGNORECASE)


def _limit(limits: dict[str, int], lang: str) -> int:
    return limits.get(lang, limits.get(lang.split("-")[0], limits["en"]))


def _symbol_excess(dense: str, config: CleanConfig) -> float:
    """Return by how much the share of symbols, or of what is no letter, is over its limit."""
    letters = sum(char.isalpha() for char in dense)
    symbols = sum(not char.isalnum() and char not in _ORDINARY_MARKS for char in dense)
    return max(symbols / len(dense) - config.max_symbols, config.min_letters - letters / len(dense))


def _line_excess(lines: list[str], config: CleanConfig) -> float:
    repeated, seen = 0, set[str]()
    for line in lines:
        repeated += len(line) if line in seen else 0
        seen.add(line)
    return repeated / max(1, sum(map(len, lines))) - config.max_duplicate_lines


def _ngram_excess(dense: str, lang: str, config: CleanConfig) -> float:
    """Return by how much the share of characters in n-grams that occurred before is over its limit."""
    size = _limit(config.ngram_chars, lang)
    seen: set[str] = set()
    covered = until = 0
    for start in range(len(dense) - size + 1):
        ngram = dense[start : start + size]
        if ngram in seen:
            covered += start + size - max(until, start)
            until = start + size
        seen.add(ngram)
    return covered / max(1, len(dense)) - config.max_duplicate_ngrams
