"""Units of measure as they are written in Chinese and English: dimension, size, and what they convert to.

A unit is a product of powers of base dimensions and its size in them. Time is counted in minutes up to weeks and in
months from there, because a month has no fixed number of days. Classical Chinese measures are dimensions of their own,
so that no modern weight ever equals one. Molar masses for the analytes of blood tests are those of the substances.
"""

import re
from dataclasses import dataclass
from fractions import Fraction

Dimension = tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Unit:
    """A unit: its dimension (sorted base names with exponents), its size, and "day", "dose"... where it says per what.

    Only amounts that are given (mass, volume, tablets...) have `per`; for rates by the minute time is a dimension.
    """

    name: str
    dimension: Dimension
    size: Fraction
    per: str | None = None


def _table(text: str) -> dict[str, tuple[str, Fraction]]:
    rows = (line.split() for line in text.strip().splitlines())
    return {name: (row[0], Fraction(row[1])) for row in rows for name in row[2:]}


# dimension, size, names
ATOMS = _table("""
    mass 1 g gm gms gram grams gramme grammes 克 公克
    mass 1/1000 mg mgs milligram milligrams milligramme milligrammes 毫克 ㎎
    mass 1/1000000 μg ug mcg microgram micrograms microgramme micrograms 微克
    mass 1/1000000000 ng nanogram nanograms 纳克 毫微克
    mass 1/1000000000000 pg picogram picograms 皮克
    mass 1000 kg kgs kilogram kilograms kilo kilos 千克 公斤 ㎏
    mass 45359237/100000 lb lbs pound pounds 磅
    mass 45359237/1600000 oz ounce ounces 盎司
    mass 1000000 ton tons tonne tonnes 吨
    斤 1 斤 市斤
    两 1 两
    钱 1 钱
    铢 1 铢
    合 1 合
    斗 1 斗
    fen 1 分
    升 1 sheng
    volume 1 l litre litres liter liters 升 公升
    volume 1/10 dl decilitre decilitres deciliter deciliters 分升
    volume 1/100 cl
    volume 1/1000 ml mls millilitre millilitres milliliter milliliters cc 毫升 ㎖
    volume 1/1000000 μl ul microlitre microlitres microliter microliters 微升
    volume 1/1000000000 nl nanolitre nanolitres
    volume 1/1000000000000000 fl
    length 1 m metre metres meter meters 米
    length 1000 km kilometre kilometres kilometer kilometers 千米 公里
    length 1/10 dm
    length 1/100 cm cms centimetre centimetres centimeter centimeters 厘米 公分 ㎝
    length 1/1000 mm millimetre millimetres millimeter millimeters 毫米 ㎜
    length 1/1000000 μm um micron microns micrometre micrometres micrometer micrometers 微米
    length 1/1000000000 nm nanometre nanometres nanometer nanometers 纳米
    length 127/5000 inch inches 英寸
    length 381/1250 ft foot feet 英尺
    尺 1 尺
    寸 1 寸
    minute 1 min mins minute minutes 分钟
    minute 1/60 s sec secs second seconds 秒 秒钟
    minute 1/60000 ms msec millisecond milliseconds 毫秒
    minute 60 h hr hrs hour hours 小时 钟头
    minute 1440 d day days 天 日 昼夜
    minute 10080 wk wks week weeks 周 星期 礼拜
    month 1 mo month months 个月 月龄
    month 12 yr yrs year years 年 岁 周岁
    month 120 decade decades
    night 1 night nights 夜 晚
    mole 1 mol mole moles 摩尔
    mole 1/1000 mmol mmols millimole millimoles 毫摩尔 毫摩
    mole 1/1000000 μmol umol micromol micromole micromoles 微摩尔
    mole 1/1000000000 nmol nanomole nanomoles 纳摩尔
    mole 1/1000000000000 pmol picomole picomoles 皮摩尔
    equivalent 1/1000 meq milliequivalent milliequivalents 毫当量
    osmole 1/1000 mosm mosmol 毫渗
    iu 1 iu u unit units ius 单位 国际单位
    iu 1/1000 miu mu
    iu 1000 ku kiu 千单位
    pressure 1 mmhg 毫米汞柱 torr
    pressure 10 cmhg 厘米汞柱
    pressure 2500000/333306 kpa 千帕
    pressure 9806650/13332240 cmh2o
    energy 1 kcal kcals 千卡 大卡 calorie calories
    energy 1/1000 cal 卡
    energy 1000/4184 kj 千焦 kilojoule kilojoules
    joule 1 j 焦 焦耳 joule joules
    celsius 1 °c ℃ 摄氏度 celsius
    fahrenheit 1 °f ℉ 华氏度 fahrenheit
    degree 1 ° 度 degree degrees deg
    ratio 1/100 % percent 个百分点
    ratio 1/1000 ‰ permille
    ratio 1/10 成
    hertz 1 hz hertz 赫兹
    hertz 1000 khz 千赫
    hertz 1000000 mhz 兆赫
    gray 1 gy gray 戈瑞
    gray 1/1000 mgy
    gray 1/100 cgy rad rads
    sievert 1/1000 msv 毫西弗
    decibel 1 db decibel decibels 分贝
    volt 1 v volt volts 伏
    volt 1000 kv
    ampere 1/1000 ma 毫安
    watt 1 watt watts 瓦
    beat 1 bpm
    tesla 1 tesla
    base 1 bp
    base 1000 kb
    base 1000000 mb
    dalton 1000 kda
    tablet 1 tablet tablets tab tabs 片
    capsule 1 capsule capsules cap caps 粒
    pill 1 pill pills 丸
    ampoule 1 ampoule ampoules ampule ampules amp amps 支
    bottle 1 vial vials bottle bottles 瓶
    sachet 1 sachet sachets packet packets 袋 包
    drop 1 drop drops gtt 滴
    puff 1 puff puffs 揿 喷
    patch 1 patch patches 贴
    枚 1 枚
    teaspoon 1 teaspoon teaspoons tsp teaspoonful teaspoonfuls 茶匙
    tablespoon 1 tablespoon tablespoons tbsp tablespoonful tablespoonfuls 汤匙 大匙
    cup 1 cup cups 杯
    count 1 cell cells 个 cfu copies copy 拷贝 beats breaths times 次
""")
LONGEST_HAN = max(len(name) for name in ATOMS if name[0] > "\u2fff")
CLASSICAL = frozenset(("斤", "两", "钱", "铢", "合", "斗", "fen", "升", "枚", "尺", "寸"))
GIVEN = CLASSICAL | {  # what is given or done; "per day" after these says how it is spread, not another dimension
    *("mass", "volume", "mole", "iu", "equivalent", "energy", "count", "minute", "tablet", "capsule", "pill"),
    *("ampoule", "bottle", "sachet", "drop", "puff", "patch", "teaspoon", "tablespoon", "cup"),
}
BELOW = {"mass": "weight", "fen": "minute"}  # what a base is where something is per it
SPREAD = {("minute", Fraction(1440)): "day", ("minute", Fraction(10080)): "week", ("month", Fraction(1)): "month"}
_LATIN = re.compile(r"[a-zμ°]+(?:2o)?|[%‰℃℉]")
_POWER = re.compile(r"\^?\(?([-⁻]?[1-3])\)?(?![\d.])|(⁻?[¹²³])")
_OVER = re.compile(
    r" ?/ ?(?:\(|\[)?|[·⋅∙•.*](?=[a-zμ毫微千摩升克天日小分])| (?=(?:kg|g|m|d|h|l|ml|dl|min|day)(?:\^?[-⁻][1¹]|⁻¹))"
    r"| (?:per|a|each|every)(?: |-)(?=[a-z])|-per-|(?:每|/每)"
)
_OF_WEIGHT = re.compile(r" ?(?:of )?(?:body[ -]?(?:weight|mass)|bw\b)|体重")
_SUPERSCRIPTS = str.maketrans("¹²³⁻", "123-")
NO_UNIT = ("dose", "time", "次", "剂", "injection")


def unit_at(text: str) -> tuple[Unit | None, int]:
    """Read the unit that a short folded text begins with; return it and its length, or None and 0."""
    at = 1 if text[:1] in (" ", "-") else 0
    found = _atom(text, at)
    if found is None:
        return _per_volume(text) or (None, 0)
    powers: dict[str, int] = {}
    size, per, sign = Fraction(1), None, 1
    while found:
        base, factor, end = found
        power, end = _power(text, end)
        power = -power if sign < 0 < power else power
        if power < 0 and base in BELOW:
            base, factor = BELOW[base], Fraction(1) if base == "fen" else factor
        if base == "length" and abs(power) == 3:
            base, factor, power = "volume", factor**3 * 1000, power // 3
        if power < 0 and (spread := SPREAD.get((base, factor))) and any(powers.get(given, 0) > 0 for given in GIVEN):
            per = spread
        else:
            powers[base] = powers.get(base, 0) + power
            size *= factor**power
        at = end
        if weight := _OF_WEIGHT.match(text, at):
            at = weight.end()
        over = _OVER.match(text, at)
        if not over:
            break
        if over[0].strip()[:1] in ("/", "每") or "per" in over[0] or over[0].strip() in ("a", "each", "every"):
            sign = -1
        found = _atom(text, over.end())
        if sign < 0 and (word := next((word for word in NO_UNIT if text.startswith(word, over.end())), None)):
            per, at, found = "dose", over.end() + len(word), None
        if found is None and "(" in over[0]:
            break
    if text[at : at + 1] in (")", "]") and "(" in text[:at]:
        at += 1
    powers.pop("count", None)
    if not any(powers.values()):
        return None, 0
    dimension = tuple(sorted((base, power) for base, power in powers.items() if power))
    return Unit(text[:at].strip(), dimension, size, per), at


def _per_volume(text: str) -> tuple[Unit, int] | None:
    """Read "/L" and the like after a bare number, a count in a volume."""
    found = re.match(r" ?/ ?", text)
    atom = _atom(text, found.end()) if found else None
    if not atom or atom[0] not in ("volume", "minute"):
        return None
    return Unit(text[: atom[2]].strip(), ((atom[0], -1),), 1 / atom[1]), atom[2]


def _atom(text: str, at: int) -> tuple[str, Fraction, int] | None:
    """Read one named unit; return its dimension, its size and where it ends."""
    if found := _LATIN.match(text, at):
        name, end = found[0], found.end()
        if name.startswith("°") and len(name) > 2:
            name, end = "°", at + 1
        if name == "degrees" and (kind := re.match(r" (celsius|fahrenheit|[cf])\b", text[end : end + 12])):
            return (kind[1][0] == "c" and "celsius") or "fahrenheit", Fraction(1), end + kind.end()
        if name in ("mm", "cm") and (tail := re.match(r" ?(hg|h2o)\b", text[end : end + 5])):
            name, end = name + tail[1], end + tail.end()
        return (*ATOMS[name], end) if name in ATOMS else None
    for size in range(LONGEST_HAN, 0, -1):
        if (name := text[at : at + size]) in ATOMS and len(name) == size:
            return (*ATOMS[name], at + size)
    return None


def _power(text: str, at: int) -> tuple[int, int]:
    found = _POWER.match(text, at)
    if not found or (found[1] and found[1][0] not in "-⁻" and text[at - 1] not in "m米"):
        return 1, at
    return int((found[1] or found[2]).translate(_SUPERSCRIPTS)), found.end()


# What one unit of one kind is in another, by substance: (names, g per mol).
ANALYTES = (
    (("glucose", "blood sugar", "葡萄糖", "血糖", "hba1c", "糖耐量"), Fraction("180.16")),
    (("cholesterol", "ldl", "hdl", "胆固醇", "脂蛋白"), Fraction("386.65")),
    (("triglyceride", "甘油三酯", "三酰甘油"), Fraction("885.7")),
    (("creatinine", "肌酐"), Fraction("113.12")),
    (("urea", "bun", "尿素"), Fraction("60.06")),
    (("urea nitrogen", "bun", "尿素氮"), Fraction("28.02")),
    (("bilirubin", "胆红素"), Fraction("584.66")),
    (("calcium", "钙"), Fraction("40.08")),
    (("urate", "uric acid", "尿酸"), Fraction("168.11")),
    (("haemoglobin", "hemoglobin", "血红蛋白"), Fraction("16114.5")),
    (("magnesium", "镁"), Fraction("24.305")),
    (("phosphate", "phosphorus", "磷"), Fraction("30.974")),
    (("vitamin d", "25-hydroxy", "维生素d"), Fraction("400.6")),
    (("iron", "铁"), Fraction("55.845")),
)
