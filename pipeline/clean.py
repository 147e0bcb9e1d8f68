"""Clean texts: take advertisements, boilerplate, references and debris out, and drop what is then no text.

Reads Passage or Example, writes the same; ids stay, as they name what stood in the source. `clean_text` looks at a
text, its language and the settings alone, so that cleaning `document.text[start:end]` again gives the passage's text;
cleaning what is clean changes nothing. Personal data goes last, and out of dropped rows, titles and headings as well.

A column is searched whole, by RE2 and the kernels of characters.py; texts in which nothing is found go on as they
are, and only the others are taken apart line by line. Rules that drop a text are quality.py's.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field

from pipeline.characters import untidy
from pipeline.patterns import Pattern, either, found_in
from pipeline.privacy import Masked, PrivacyConfig, mask_column, of_rows, too_personal
from pipeline.quality import QualityConfig, judge
from pipeline.readers.mojibake import repair
from pipeline.records import mark
from pipeline.sentences import split_sentences
from pipeline.simplify import simplified


class CleanConfig(QualityConfig, PrivacyConfig):
    """What is taken out of a text, and how much of what is left must be text. Patterns are RE2's; case is ignored."""

    advertisement_lines: tuple[Pattern, ...] = Field(
        default=(
            r"^\W{0,3}(?:广告|推广|赞助商?内容|商业推广)(?:[^\pL\pN]|$)",
            r"^\W{0,3}(?:advertisements?|sponsored(?: message| content| post)?|promoted|"
            r"special offer(?: for [\w ]{1,30})?)\s*[:：|\-–—\])]",
        ),
        description="a line that one of these is found in is removed whole",
    )
    advertisement_sentences: tuple[Pattern, ...] = Field(
        default=(
            r"扫码(?:下单|领取|关注|添加|进群|购买)|微信(?:扫一扫|公众号[：:])|(?:加|添加)微信",
            r"公众号.{0,12}(?:关注|回复)|关注.{0,12}公众号",
            r"点击(?:这里|此处|下方|链接|购买|下载|领取|咨询|查看更多)",
            r"立即(?:购买|抢购|下单|领取)|(?:全国|满\S{1,6})包邮|包邮到家",
            # not "如有不适，应立即咨询医生"
            r"(?:^|[^应须需请要该必可议])立即(?:咨询|预约)(?:$|[^\pL\pN]|客服|热线|在线|专家|挂号|免费)",
            r"厂家直销|限时(?:优惠|特价|抢购)|优惠券|第二件半价|买一送[一二三]",
            r"客服(?:热线|电话|QQ)|订购热线|新[品货]上市",
            r"\b(?:buy|order|shop|subscribe|sign up) (?:now|today)\b|\bclick (?:here|below)\b",
            r"\bfree shipping\b|\blimited[- ]time offer\b",
            r"\bhalf price\b",
            r"\b(?:discount|promo|coupon) code\b|\bcall our friendly team\b|\bmoney[- ]back guarantee\b",
            r"\bcall now(?:$|\W+(?:for|to|and|on|$|[\d(+]))",
        ),
        description="a sentence that one of these is found in is removed",
    )
    boilerplate_lines: tuple[Pattern, ...] = Field(
        default=(
            r"^(?:上一[篇页章]|下一[篇页章]|返回(?:首页|顶部|目录)|相关(?:阅读|文章|推荐|链接)|延伸阅读|猜你喜欢|热门(?:推荐|文章)|分享到|责任编辑)(?:[：:|]|$)",
            r"^(?:版权所有|未经(?:授权|许可|允许)|转载请注明|文章来源|声明：本|免责声明|本文(?:来源|转自)|本站使用\s?cookie)",
            # a site, not the plant that a drug comes from
            r"^来源：\S{0,20}(?:网站?|网络|报|新闻|社|电视台|杂志|公众号|微信|微博|博客|论坛|频道|百科)\W*$",
            r"^(?:(?:网站)?首页|新闻(?:中心|资讯)?|专家(?:团队|介绍)?|科室(?:导航|介绍)?|关于我们|联系我们|登录|注册|网站地图|在线咨询|会员中心|"
            r"home|about(?: us)?|contact(?: us)?|log ?in|sign (?:in|up)|register|site ?map|search|menu|news|blog|faqs?|"
            r"privacy(?: policy)?|terms(?: of (?:use|service))?|[\s|｜>»·•/,、\-])+$",
            r"^(?:copyright|©|\(c\)\s?\d{4})|\ball rights reserved\b",
            r"^(?:share this|print this|related (?:pages|articles|links)|back to top)\b",
            r"^(?:read more|skip to|next page|previous page)\b",
            r"\b(?:use|uses|using|accept(?: all)?) cookies\b|\bcookie (?:policy|settings|preferences)\b",
            r"\b(?:enable|turn on|requires?|supports?|activate) javascript\b|\bjavascript (?:is|must be|has been) ",
            r"(?:请|需要?)(?:启用|开启|打开)\s?javascript|(?:不支持|禁用了?|关闭了?)\s?javascript",
            r"^(?:参考文献|references|bibliography|works cited)\s*[：:]?$",
        ),
        description="a line that one of these is found in is removed",
    )
    simplify: bool = Field(default=False, description="write what is zh-Hant in simplified characters, as zh-Hans")
    max_boilerplate_chars: int = Field(
        default=200, ge=0, description="a longer line is no boilerplate, whatever is found in it"
    )


_INVISIBLE = re.compile(
    r"[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]"
)
# Of digitised classics: marks before a heading and a label behind it, of small print, and around a figure's caption.
_MARKED = r"<(?:目录|篇名)>|\\[xr](?:[^A-Za-z]|$)"
_MARKS = re.compile(
    r"^(?P<heading><(?:目录|篇名)>.*?) ?(?:内容|属性)[：:]$|<(?:目录|篇名)> ?|"
    r"\\r(?![A-Za-z])(?P<caption>[^\\\n]*)\\[^\\\n]*\\r(?![A-Za-z])|\\x(?![A-Za-z])",  # not LaTeX's \xi or \rho
    re.MULTILINE,
)
_LINE_END = re.compile(r"\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
_SPACE = re.compile(r"[ \t\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]+")
_EMPTY_LINES = re.compile(r"\n{3,}")
_MARK = r"[\[［〔](?:\d{1,3}|\^\d{1,3})(?:\s*[,，、;\-–—~]\s*\d{1,3})*[\]］〕]"
_REFERENCE_MARK = re.compile(  # a citation in the text; after these words it is an interval, not a citation
    r"(?P<interval>(?:\bCI|IQR|range|interval|between|区间|范围|四分位[数间]?距?|[=≈:：(（为])\s*[,，:：]?\s*"
    + _MARK
    + r")| ?"
    + _MARK
)
_BRACKETED_URL = re.compile(r" ?[(（\[<]\s*(?:https?://|www\.)[^\s()（）\[\]<>]+\s*[)）\]>]", re.IGNORECASE)
_URL = re.compile(r"\W*(?:https?://|www\.)\S+", re.IGNORECASE)
# An entry of a bibliography: GB/T 7714 type marks, initials and "et al", a DOI, year;volume:page
_ENTRY = (
    r"\[(?:[JMCDPRNS](?:/OL)?|EB/OL)\]|\b[A-Z][ .]?[A-Z]?\.?,? et al\b|\bdoi\s*:|\b10\.\d{4,}/|"
    r"\b(?:19|20)\d\d\s*[;,]\s*\d{1,4}\s*(?:\(\w{1,8}\))?\s*:\s*[A-Za-z]?\d+|PMID"
)
_REFERENCE = re.compile(rf"^.{{3,200}}?(?:{_ENTRY}).{{0,200}}$")
_IS_ENTRY = re.compile(r"^(?:[\[［]\d{1,3}[\]］]|\d{1,3}[.．、)）\s])|\[(?:[JMCDPRNS](?:/OL)?|EB/OL)\]")  # beyond doubt


MAX_ROUNDS = 20  # honest texts settle in two or three


class Cleaned(NamedTuple):
    """N cleaned texts; (N,) shares of advertisement and of bibliography before, and of bibliography that is left; and
    what they had of personal data.
    """

    texts: pa.Array
    advertised: NDArray[np.float64]
    referenced: NDArray[np.float64]
    listed: NDArray[np.float64]
    personal: Masked


def clean_rows(rows: pa.Table, config: CleanConfig) -> pa.Table:
    """Clean the texts of N passages, or the messages of N examples, and mark those that do not hold up as text.

    Returns:
        The same N rows in the same order with cleaned texts, plus drop columns. Of an example no sentence is asked
        for, nor length: its answer may be a word.
    """
    return _clean_examples(rows, config) if "messages" in rows.column_names else _clean_passages(rows, config)


def clean_text(text: str, lang: str, config: CleanConfig) -> str:
    """Return a text without advertisements, boilerplate, reference marks and invisible characters, in NFC."""
    return str(clean_column(pa.array([text], pa.string()), [lang], config).texts[0].as_py())


def clean_column(texts: pa.Array, langs: Sequence[str], config: CleanConfig) -> Cleaned:
    """Clean N texts, each by itself."""
    texts = _rewritten(texts, untidy(texts), lambda given: [tidied(text) for text in given])
    marked = np.asarray(pc.match_substring_regex(texts, _MARKED))
    texts = _rewritten(texts, marked, lambda given: [unmarked(text) for text in given])
    traditional = np.array([config.simplify and lang == "zh-Hant" for lang in langs], np.bool_)
    texts = _rewritten(texts, traditional, lambda given: [tidied(simplified(text)) for text in given])
    shares = np.zeros((len(texts), 3))
    found = np.asarray(pc.match_substring_regex(texts, _trigger(config)))

    def without(given: list[str]) -> list[str]:
        left, shares[found] = without_debris(given, config)
        return left

    texts = _rewritten(texts, found, without)
    masked = mask_column(texts, langs, config)
    return Cleaned(masked.texts, shares[:, 0], shares[:, 1], shares[:, 2], masked)


def _clean_passages(passages: pa.Table, config: CleanConfig) -> pa.Table:
    langs = passages["lang"].to_pylist()
    cleaned = clean_column(_whole(passages["text"]), langs, config)
    personal, items = too_personal(cleaned.personal, config)
    rules, details = judge(cleaned.texts, langs, cleaned.advertised, cleaned.referenced, cleaned.listed, config)
    rows = _relabelled(_with_column(passages, "text", cleaned.texts), config)
    rows = _with_column(rows, "title", _masked_labels(_whole(rows["title"]), langs, config))
    rows = _with_column(rows, "headings", _masked_headings(_whole(rows["headings"]), langs, config))
    chosen = {reason: pa.array(broken) for reason, broken in ({"personal_data": personal} | rules).items()}
    return mark(rows, chosen, {"personal_data": items} | details)


def _masked_headings(headings: pa.ListArray, langs: Sequence[str], config: CleanConfig) -> pa.ListArray:
    row_M = np.asarray(pc.list_parent_indices(headings))
    masked = _masked_labels(pc.list_flatten(headings), [langs[row] for row in row_M], config)
    offsets = pa.array(np.searchsorted(row_M, np.arange(len(langs) + 1)), pa.int32())
    return pa.ListArray.from_arrays(offsets, masked, type=headings.type)


def _masked_labels(labels: pa.Array, langs: Sequence[str], config: CleanConfig) -> pa.Array:
    """Mask titles or headings; of those that are equal one is looked at."""
    distinct = pc.unique(labels)
    personal = [bool(items) for items in mask_column(distinct, [""] * len(distinct), config).items]
    chosen = np.asarray(pc.is_in(labels, value_set=distinct.filter(pa.array(personal, pa.bool_()))))
    if not any(personal):
        return labels
    masked = mask_column(
        labels.filter(pa.array(chosen)), [langs[row] for row in np.flatnonzero(chosen).tolist()], config
    )
    return pc.replace_with_mask(labels, pa.array(chosen), masked.texts)


# rules that a dialogue must pass
OF_EXAMPLES = ("personal_data", "advertisement", "placeholder", "missing_glyphs", "repetitive")


def _clean_examples(examples: pa.Table, config: CleanConfig) -> pa.Table:
    messages = _whole(examples["messages"])
    flat = pc.list_flatten(messages)
    row_M = np.asarray(pc.list_parent_indices(messages))
    langs = examples["lang"].to_pylist()
    before = pc.struct_field(flat, "content")
    cleaned = clean_column(before, [langs[row] for row in row_M], config)
    emptied_M = np.asarray(pc.and_(pc.equal(cleaned.texts, ""), pc.not_equal(pc.utf8_trim_whitespace(before), "")))
    offsets = pa.array(np.searchsorted(row_M, np.arange(len(langs) + 1)), pa.int32())
    fields = [pc.struct_field(flat, "role"), cleaned.texts, pc.struct_field(flat, "loss")]
    kind = messages.type.value_type
    rows = _with_column(
        examples, "messages", pa.ListArray.from_arrays(offsets, pa.StructArray.from_arrays(fields, fields=list(kind)))
    )
    rows = _relabelled(rows, config)
    joined = pc.binary_join(pa.ListArray.from_arrays(offsets, cleaned.texts), "\n")
    lost_N = np.bincount(row_M, weights=emptied_M, minlength=len(langs))
    advertised_N = np.where(lost_N > 0, 1.0, 0.0)
    rules, details = judge(joined, langs, advertised_N, np.zeros(len(langs)), np.zeros(len(langs)), config)
    personal = of_rows(cleaned.personal, row_M, joined)
    rules["personal_data"], details["personal_data"] = too_personal(personal, config)
    chosen = {reason: pa.array(rules[reason]) for reason in OF_EXAMPLES}
    return mark(rows, chosen, {reason: details[reason] for reason in OF_EXAMPLES})


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks or [pa.array([], column.type)])


def _with_column(rows: pa.Table, name: str, column: pa.Array) -> pa.Table:
    place = rows.schema.get_field_index(name)
    return rows.set_column(place, rows.schema.field(place), column)


def _relabelled(rows: pa.Table, config: CleanConfig) -> pa.Table:
    """Give rows that were simplified the language that they now have."""
    langs = pa.array(rows["lang"].to_pylist(), pa.string())
    return (
        _with_column(rows, "lang", pc.replace_with_mask(langs, pc.equal(langs, "zh-Hant"), "zh-Hans"))
        if config.simplify
        else rows
    )


def _rewritten(texts: pa.Array, chosen: NDArray[np.bool_], rewrite: Callable[[list[str]], list[str]]) -> pa.Array:
    """Rewrite the chosen ones of N texts and leave the others as they lie in memory."""
    if not chosen.any():
        return texts
    mask = pa.array(chosen)
    return pc.replace_with_mask(texts, mask, pa.array(rewrite(texts.filter(mask).to_pylist()), pa.string()))


def tidied(text: str) -> str:
    """Return a text in NFC, without invisible characters, with single spaces, trimmed lines, at most one empty line."""
    while (tidier := _tidied_once(text)) != text:  # what is taken out may have stood between two parts
        text = tidier
    return text


def _tidied_once(text: str) -> str:
    text = _INVISIBLE.sub("", _LINE_END.sub("\n", repair(text)[0]))
    text = "\n".join(line.strip(" ") for line in _SPACE.sub(" ", text).split("\n"))
    return unicodedata.normalize("NFC", _EMPTY_LINES.sub("\n\n", text).strip("\n"))


def unmarked(text: str) -> str:
    """Return a tidied text without the marks of digitised classics; a heading and a caption stay."""
    while (less := tidied(_MARKS.sub(lambda found: found["heading"] or found["caption"] or "", text))) != text:
        text = less
    return text


def _trigger(config: CleanConfig) -> str:
    """Return a pattern that is found in every text out of which something is to be taken."""
    patterns = [*config.advertisement_lines, *config.advertisement_sentences, *config.boilerplate_lines]
    return "(?im)" + either([*patterns, _MARK, "https?://|www[.]", _ENTRY])


def without_debris(texts: list[str], config: CleanConfig) -> tuple[list[str], NDArray[np.float64]]:
    """Take out of M tidied texts until there is nothing more; (M, 3) shares as in Cleaned.

    What does not settle in MAX_ROUNDS, such as brackets nested by the hundred, is no text and left empty.
    """
    left, shares = list(texts), np.zeros((len(texts), 3))
    unsettled = list(range(len(texts)))
    for _ in range(MAX_ROUNDS):
        if not unsettled:
            break
        pieces = _taken_out([left[row] for row in unsettled], config)
        again = []
        for row, (lines, advertised, referenced) in zip(unsettled, pieces, strict=True):
            before = max(1, len(texts[row]))
            if left[row] is texts[row]:
                shares[row, 1] = referenced / before
            shares[row, 0] += advertised / before
            shares[row, 2] = referenced / max(1, len(left[row]))
            if (less := "\n".join(lines)) != left[row] and (cleaned := tidied(less)) != left[row]:
                left[row] = cleaned
                again.append(row)
        unsettled = again
    for row in unsettled:
        left[row] = ""
    return left, shares


def _taken_out(texts: list[str], config: CleanConfig) -> list[tuple[list[str], int, int]]:
    """Return of each text the lines that stay, and how many characters were advertisement, and in a bibliography."""
    by_text = [text.split("\n") for text in texts]
    lines = [line for of_text in by_text for line in of_text]
    recurring = iter(found_in(config.boilerplate_lines, lines))
    honest = iter(_without_advertisement(lines, config))
    pieces = []
    for of_text in by_text:
        kept, advertised, referenced = [], 0, 0
        for line, left, boilerplate in zip(of_text, honest, recurring, strict=False):
            advertised += len(line) - len(left)
            entry = bool(left) and _REFERENCE.search(left) is not None
            referenced += len(left) if entry else 0
            gone = (
                (boilerplate and len(left) <= config.max_boilerplate_chars)
                or (entry and _IS_ENTRY.search(left) is not None)
                or _only_urls(left)
            )
            if not line or (not gone and (left := _without_marks(left))):
                kept.append(left)
        pieces.append((kept, advertised, referenced))
    return pieces


def _without_marks(line: str) -> str:
    if any(bracket in line for bracket in "[［〔"):
        line = _REFERENCE_MARK.sub(lambda found: found["interval"] or "", line)
    if _may_have_url(line):
        line = _BRACKETED_URL.sub("", line)
    return _SPACE.sub(" ", line).strip()


def _may_have_url(line: str) -> bool:
    return "://" in line or "www." in line.lower()


def _only_urls(line: str) -> bool:
    if not _may_have_url(line):
        return False
    parts = [part for part in re.split(r"[\s,;|]+", line) if part]
    return any(_URL.match(part) for part in parts) and all(
        _URL.match(part) or not part.strip("|>-–—·•:：") for part in parts
    )


def _without_advertisement(lines: list[str], config: CleanConfig) -> list[str]:
    """Return lines without their sentences that sell something; a line that is an advertisement is left empty."""
    honest = [
        "" if whole else line for line, whole in zip(lines, found_in(config.advertisement_lines, lines), strict=True)
    ]
    places = [place for place, sells in enumerate(found_in(config.advertisement_sentences, honest)) if sells]
    by_place = [_sentences(honest[place]) for place in places]
    selling = iter(found_in(config.advertisement_sentences, [sentence for of_line in by_place for sentence in of_line]))
    for place, of_line in zip(places, by_place, strict=True):
        staying = [sentence for sentence, sells in zip(of_line, selling, strict=False) if not sells]
        honest[place] = (" " if honest[place].isascii() else "").join(staying)
    return honest


def _sentences(line: str) -> list[str]:
    return [line[start:end] for start, end in split_sentences(line, "en" if line.isascii() else "zh")]
