"""Ways to break a true answer, one fact at a time: what the checks on quantities are measured with.

Each takes a text and a random generator and returns the text with one thing changed, or None where it has none. They
find their place by patterns of their own, not by the reader that they test.
"""

import re
from random import Random

# not the numbers of items (2.), which state nothing
NUMBER = re.compile(
    r"(?<![\w.\-/^])(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?![\d.]*[)）、]|\.(?!\d)|[-–][a-zA-Z]\b|\w*\d)"
)
HAN_NUMBER = re.compile(r"[二三四五六七八九十百]+(?=[天日周岁次例名人片粒钱两升斤枚克月年分])")
ZERO = re.compile(r"(?<![\d.])0(?:\.0*)?\Z")
# a unit and what it is swapped for
UNITS = [
    line.split()
    for line in """
    mg g μg mL
    毫克 克 微克 毫升
    g mg kg
    克 毫克 千克
    μg mg
    mL L
    ml L
    毫升 升
    mmol/L mg/dL μmol/L
    mg/dL mmol/L g/L
    days weeks hours
    weeks days months
    months years weeks
    years months
    hours days minutes
    minutes hours
    天 周 小时
    周 天 个月
    个月 年 天
    小时 天 分钟
    分钟 小时
    cm mm
    mm cm
    kg g lb
    mmHg kPa
    % ‰
    ℃ ℉
    °C °F
    两 钱 克
    钱 两 克
    升 合 毫升
    岁 个月
""".strip().splitlines()
]
FREQUENCIES = [
    line.strip().split(" > ")
    for line in """
    once daily > twice daily
    twice daily > once daily
    once a day > three times a day
    twice a day > once a day
    three times a day > once a day
    three times daily > once daily
    four times a day > twice a day
    four times daily > once daily
    once a week > once a day
    once weekly > once daily
    every 12 hours > every 4 hours
    every 8 hours > every 2 hours
    every 6 hours > every 12 hours
    every 4 hours > every 8 hours
    every 4 to 6 hours > every 8 to 12 hours
    1日3次 > 1日1次
    一日3次 > 一日1次
    一日三次 > 一日一次
    每日3次 > 每日1次
    每日三次 > 每日一次
    每日2次 > 每日4次
    每日两次 > 每日四次
    每日1次 > 每日3次
    每日一次 > 每日三次
    一日2次 > 一日4次
    每天1次 > 每天3次
    每天一次 > 每天三次
    每天2次 > 每天4次
    每天两次 > 每天四次
    每天3次 > 每天1次
    每周1次 > 每日1次
    每周一次 > 每天一次
    日三服 > 日一服
    日再服 > 日五服
    每周2次 > 每日2次
    每8小时 > 每2小时
    每12小时 > 每4小时
    每6小时 > 每12小时
    tid > qd
    bid > qid
    qd > tid
""".strip().splitlines()
]
DOSE = re.compile(
    r"\d+(?:\.\d+)?(?:\s?[-~～至]\s?\d+(?:\.\d+)?)?\s?(?:mg|g|μg|ml|mL|毫克|克|微克|毫升|万单位|单位|IU)(?![a-zA-Z])"
)


SAME = [
    line.strip().split(" = ")
    for line in """
    mg = 毫克 | mg
    毫克 = mg
    ml = 毫升 | mL
    毫升 = ml
    kg = 公斤
    ℃ = °C
    days = d
    小时 = h
    % = percent
    twice daily = two times a day
    once daily = once a day
    three times daily = three times a day
    每日3次 = 一日三次
    一日3次 = 每日三次
    每日2次 = bid
    每日三次 = tid
    一日三次 = 每天3次
    每8小时一次 = q8h
""".strip().splitlines()
]
ENGLISH_WORDS = "zero one two three four five six seven eight nine ten eleven twelve".split()  # noqa: SIM905


def reword(text: str, random: Random) -> str | None:
    """Write every quantity of a text otherwise, where there is another way, without changing what it says."""
    han = len(re.findall("[一-鿿]", text)) * 4 > len(text)
    new = text
    for said, others in SAME:
        other = random.choice(others.split(" | "))
        if han or not re.search("[一-鿿]", other):
            new = re.sub(rf"(?<=\d)\s?{re.escape(said)}(?![a-zA-Z/·])", " " + other, new) if len(said) < 5 else new
            new = re.sub(re.escape(said), other, new) if len(said) > 4 else new
    if han:
        new = re.sub(r"(?<=\d)[-~～](?=\d)", "至", new)
        new = re.sub(
            r"(?<![\d.\-/A-Za-z至])([2-9])(?=[天周岁例名片]|个月|小时)",
            lambda m: "零一二三四五六七八九"[int(m[1])],
            new,
        )
        new = re.sub(r"(?<![\d.])(\d+(?:\.\d+)?)(?=\s?%)", lambda m: m[1].translate(WIDE), new)
    else:
        new = re.sub(r"(?<=\d)[-–](?=\d+ (?:days|weeks|mg|years|hours|months))", " to ", new)
        new = re.sub(
            r"(?<![\d.\-–/,])\b([2-9]|1[0-2])(?= (?:days|weeks|months|years|hours|patients|times))",
            lambda m: ENGLISH_WORDS[int(m[1])],
            new,
        )
    return new if new != text else None


def alone(text: str, random: Random) -> str | None:
    """Leave of a text its numbers, each with the word or three characters beside it: nothing tells where they stood."""
    han = len(re.findall("[一-鿿]", text)) * 4 > len(text)
    beside = r"[^\d\n]{0,2}(?:\d[\d.,]*|[二三四五六七八九十百]+)[^\d\n]{0,4}"
    beside = beside if han else r"(?:\S{1,8} )?\S?\d[\d.,]*\S* ?\S{0,12}"
    pieces = re.findall(beside, text)
    random.shuffle(pieces)
    return ("，" if han else "; ").join(pieces) + ("。" if han else ".") if pieces else None


WIDE = {ord("0") + digit: ord("０") + digit for digit in range(10)}


def break_number(text: str, random: Random) -> str | None:
    """Change one number: a digit of it, its scale by ten, or a Chinese numeral."""
    places = [match.span() for pattern in (NUMBER, HAN_NUMBER) for match in pattern.finditer(text)]
    if not places:
        return None
    start, end = random.choice(places)
    written = text[start:end]
    if not written[0].isdigit():
        other = random.choice([numeral for numeral in "二三四五六七八九" if numeral not in written])
        return text[:start] + other + (written if written[0] in "十百" else written[1:]) + text[end:]  # 十二, 三十二
    if random.random() < 0.3 and "," not in written:
        return text[:start] + (written.replace(".", "", 1) if "." in written else written + "0") + text[end:]
    at = random.choice([i for i, digit in enumerate(written) if digit.isdigit()])
    digit = random.choice([digit for digit in "123456789" if digit != written[at]])
    return text[:start] + written[:at] + digit + written[at + 1 :] + text[end:]


def break_unit(text: str, random: Random) -> str | None:
    """Swap the unit after one number for another of its kind or of another kind; 0 is the same in any unit."""
    places = []
    for unit, *others in UNITS:
        pattern = (
            rf"(?<=\d)(\s?){re.escape(unit)}(?![a-zA-Z/·])|(?<=[二三四五六七八九十半]){re.escape(unit)}(?![天次个周])"
        )
        found = (match for match in re.finditer(pattern, text) if not ZERO.search(text, 0, match.start()))
        places += [(match, unit, others) for match in found]
    if not places:
        return None
    match, unit, others = random.choice(places)
    return text[: match.end() - len(unit)] + random.choice(others) + text[match.end() :]


def break_frequency(text: str, random: Random) -> str | None:
    """Swap how often something is given."""
    places = [
        (match.span(), other)
        for said, other in FREQUENCIES
        for match in re.finditer(rf"(?<![a-zA-Z]){said}(?![a-zA-Z])", text, re.IGNORECASE)
    ]
    if not places:
        return None
    (start, end), other = random.choice(places)
    return text[:start] + other + text[end:]


def break_dose(text: str, random: Random) -> str | None:
    """Exchange two different doses of one text, so that each stands with what the other was for."""
    places = [match.span() for match in DOSE.finditer(text)]
    pairs = [(one, two) for one in places for two in places if one < two and text[slice(*one)] != text[slice(*two)]]
    if not pairs:
        return None
    (a, b), (c, d) = random.choice(pairs)
    return text[:a] + text[c:d] + text[b:c] + text[a:b] + text[d:]
