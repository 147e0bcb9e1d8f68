"""Recognisers of addresses: a street or estate with a number, or what stands behind a label and names a place.

A Chinese address is found by its street and number (建国路88号) and widened on both sides to the province and to the
room; a street alone is none unless a district or a dwelling is named with it. English ones stand behind a label.
"""

import re

from pipeline.recognisers import IS, Recogniser

_PROVINCES = (
    "北京|天津|上海|重庆|河北|山西|辽宁|吉林|黑龙江|江苏|浙江|安徽|福建|江西|山东|河南|湖北|湖南|广东|海南|四川|贵州|云南|陕西|甘肃"
    "|青海|台湾|内蒙古|广西|西藏|宁夏|新疆|香港|澳门"
)
_HAN = r"[\u4e00-\u9fff]"
_COUNT = r"[\d一二三四五六七八九十〇百]{1,5}"
_STREET = re.compile(
    r"(?:路|街|大道|巷|弄|胡同|里|村|屯|庄|镇|乡|道|小区|花园|新村|苑|园|公寓|家园|城|社区|广场)"
    rf"(?:[东西南北中]?段|[东西南北]里?)?\s?(?:{_COUNT}\s?(?:弄|巷|组|队|号院?|支路))?\s?"
    rf"(?:\d{{1,5}}(?:[\-－之]\d{{1,4}})?|{_COUNT})\s?(?:号楼|号院?|弄|栋|幢|组|单元|座|室)"
)
_REST = re.compile(
    rf"(?:[ ]?(?:[\dA-Za-z一二三四五六七八九十东西南北甲乙丙丁]{{1,5}}|"
    rf"{_HAN}{{2,8}}?(?:小区|花园|公寓|大厦|广场|苑|新村|家园|社区))"
    r"(?:[\-－]\d{1,4})?[ ]?(?:号楼|号院|号|栋|幢|单元|楼|层|座|室|户|房|组|队)?){0,6}"
    r"(?<=[号楼院栋幢元层座室户房组队弄区园寓\d])"
)
_PLACE = re.compile(rf"(?:{_PROVINCES})|{_HAN}{{1,6}}?(?:省|市|自治[区州县]|区|县|旗|镇|乡|村|街道)")
_PROVINCE = re.compile(rf"(?:{_PROVINCES})(?:省|市|自治区|壮族|回族|维吾尔|特别|{_HAN}{{2,5}}[市区县州])")
_LIVING = re.compile(
    "住址|地址|现住|家住|居住|租住|暂住|住在|住于|住|位于|坐落|户籍|籍贯|来自|寄[到往至]|在|于|至|到|是|为|从"
)
_DWELLING = re.compile("住|地址|位于|坐落")
_LEFT = re.compile(rf"(?:{_HAN}|[\dA-Za-z（）()·\- ]){{0,40}}$")


def _whole_address(match: re.Match[str]) -> tuple[int, int] | None:
    """Widen a street and its number to the whole address; None where no place or dwelling is named before it."""
    text, street = match.string, match.start()
    left = _LEFT.search(text, max(0, street - 40), street)
    before = left[0] if left else ""
    place, province = _PLACE.search(before), _PROVINCE.search(before)
    verbs = [verb.end() for verb in _LIVING.finditer(before, 0, place.end() if place else len(before))]
    if not place and not _DWELLING.search(before):
        return None
    if province:
        start = province.start()
    elif verbs:
        start = verbs[-1]
    elif place and place[0][-1] in "省市区县":
        start = place.start()
    else:
        return None
    rest = _REST.match(text, match.end())
    return street - len(before) + start, rest.end() if rest else match.end()


_STREET_TYPE = (
    "Street|St|Avenue|Ave|Road|Rd|Boulevard|Blvd|Lane|Ln|Drive|Dr|Court|Ct|Place|Pl|Square|Sq|Terrace|Way|Crescent|Close"
    "|Gardens|Grove|Highway|Hwy|Parkway|Pkwy|Circle|Cir|Row|Hill|Mews|Broadway|Walk|Park|View|Trail"
)
_UNIT = r"(?:Apt|Apartment|Flat|Unit|Suite|Ste|Floor|Fl|Room|Rm|No|#)\.?[ ]?#?\w{1,6}"
_TOWN = r"[A-Z][A-Za-z'’.\-]{2,20}(?:[ ][A-Z][A-Za-z'’.\-]{2,20}){0,2}"
_POSTCODE = r"(?:[A-Z]{2}[ ]\d{5}(?:-\d{4})?|[A-Z]{1,2}\d[A-Z\d]?[ ]?\d[A-Z]{2}|\d{5})"
ADDRESSES = (
    Recogniser("address", _STREET, ("号", "弄", "栋", "幢", "单元", "村", "屯"), _whole_address),
    Recogniser(
        "address",
        re.compile(
            r"(?:(?:住址|地址|所在地|住所)(?:[（(][^()（）\n]{1,8}[)）])?\s?[:：=|｜是为]\s{0,3}"
            r"|(?:家住|现住|居住于|居住在|住在|住于|暂住|租住在)(?=[^，,。]{0,12}[省市区县镇乡村]))"
            r"(?P<data>(?=[^\n，,。；;|｜]{0,40}[省市区县镇乡村路街号楼室])"
            rf"(?:{_HAN}|[\dA-Za-z（）()·#\-－—]|[ ](?=\d)|(?<=\d)[ ]){{4,60}}?)"
            r"(?=[，,。；;\n|｜、！!]|(?<!\d)\s(?!\d)|\s{2}|$|电话|联系|邮编|手机|姓名|身份证|性别)"
        ),
        ("住址", "地址", "所在地", "住所", "家住", "现住", "居住", "住在", "住于", "暂住", "租住"),
    ),
    Recogniser(
        "address",
        re.compile(
            r"(?<![A-Za-z])(?i:address(?:es)?|liv(?:es?|ing)|resid(?:es?|ing|ence)|home|domicile|staying|lived)"
            rf"(?:[ ](?:is|at|in|on|of))?{IS}(?:at )?(?P<data>(?:{_UNIT},?[ ])?(?:[Pp]\.?[ ]?[Oo]\.? [Bb]ox \d{{1,6}}"
            r"|\d{1,6}[A-Za-z]?(?:[\-/]\d{1,4})?,?[ ](?:[A-Z0-9][\w'’.\-]{0,20}[ ]){1,5}?"
            rf"(?:{_STREET_TYPE})\b\.?)(?:,?[ ]{_UNIT})?(?:,[ ]{_TOWN}){{0,2}}(?:,?[ ]?{_POSTCODE})?)"
        ),
        (
            *("address", "lives at", "lives in", "lives on", "live at", "lived at", "living at", "resid", "domicile"),
            *("staying at", "home:"),
        ),
    ),
)
