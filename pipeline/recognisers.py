"""The recognisers of personal data, one line each: what it is, which words call for a look, and its pattern.

A pattern marks what is to be hidden by the group `data`; every quantifier in it is bounded, so that time is linear in
the text. `\\d` also matches full-width digits. Numbers with a checksum are recognised as they stand, others after a
label. Sources: GB 11643 and ISO 7064 (resident number, MOD 11-2), GB/T 2260 (regions), the numbering plans of the MIIT
(mobile prefixes) and of ITU-T E.164, NHS Data Dictionary (modulus 11), SSA (numbers never issued), ISO/IEC 7812 (Luhn).
"""

import datetime
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_REGIONS = (
    11,
    12,
    13,
    14,
    15,
    21,
    22,
    23,
    *range(31, 38),
    *range(41, 47),
    *range(50, 55),
    *range(61, 66),
    71,
    81,
    82,
    83,
)


def digits_of(text: str) -> str:
    """Return the digits of a number in ASCII, and its check letter X."""
    return "".join(char for char in unicodedata.normalize("NFKC", text).upper() if char.isdigit() or char == "X")


def is_resident_number(text: str) -> bool:
    """Tell whether 18 digits have the region, date and check digit of a resident number, or 15 those of the old."""
    number = digits_of(text)
    if "X" in number[:-1] or int(number[:2]) not in _REGIONS:
        return False
    if len(number) == 15:
        return number.isdigit() and _is_date("19" + number[6:12])
    if len(number) != 18 or not _is_date(number[6:14]):
        return False
    check = sum(int(digit) * weight for digit, weight in zip(number, _WEIGHTS, strict=False)) % 11
    return "10X98765432"[check] == number[17]


def is_nhs_number(text: str) -> bool:
    """Tell whether ten digits end in the check digit of an NHS number."""
    number = digits_of(text)
    if len(number) != 10 or not number.isdigit() or len(set(number)) == 1:
        return False
    check = 11 - sum(int(digit) * (10 - place) for place, digit in enumerate(number[:9])) % 11
    return check % 11 == int(number[9]) and check != 10


def passes_luhn(text: str) -> bool:
    """Tell whether 13 to 19 digits pass the checksum of payment cards."""
    number = digits_of(text)
    if not 13 <= len(number) <= 19 or not number.isdigit():
        return False
    doubled = (int(digit) * (2 if place % 2 else 1) for place, digit in enumerate(reversed(number)))
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0


def is_no_hotline(text: str) -> bool:
    """Tell whether a number is not an organisation's: 400 and 800 in China, toll-free numbers in North America."""
    number = digits_of(text).removeprefix("1") if len(digits_of(text)) == 11 else digits_of(text)
    free = ("800", "833", "844", "855", "866", "877", "888", "400")
    return not (len(number) == 10 and number.startswith(free))


def _is_date(digits: str) -> bool:
    try:
        date = datetime.date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return False
    return datetime.date(1880, 1, 1) <= date <= datetime.date(2099, 12, 31)


@dataclass(frozen=True)
class Recogniser:
    """How one form of personal data is found.

    Every match contains a word of `words`, in lower case, capitalised or in capitals; without words it is a number of
    seven digits or more. `span` gives the part of a match that is hidden, or None where the match is something else.
    """

    type: str
    pattern: re.Pattern[str]
    words: tuple[str, ...] = ()
    span: Callable[[re.Match[str]], tuple[int, int] | None] = lambda match: match.span("data")


def _if(accept: Callable[[str], bool]) -> Callable[[re.Match[str]], tuple[int, int] | None]:
    return lambda match: match.span("data") if accept(match["data"]) and not _names_no_person(match) else None


_CODE = re.compile(
    r"(?:编号|批号|批准文号|准字|条码|基金|项目|专利|注册号|登记号|文号|课题|订单号?|期|卷|ISBN|ISSN|DOI|PMID|PMC|doi"
    r"|[gG]rant|[vV]ersion|[tT]rial)[A-Za-z.]{0,4}[\s:：#（(]{0,3}$"
)


def _names_no_person(match: re.Match[str]) -> bool:
    """Tell whether a number stands behind the name of a code: a grant, an approval, a book."""
    start = match.start("data")
    return _CODE.search(match.string, max(0, start - 16), start) is not None


IS = r"[\s\u3000]{0,3}(?:[:：=＝|｜#＃]|为|是|is\b|was\b)?[\s\u3000]{0,3}"  # between a label and its value
_GAP = r"[ \u3000\-－–—‐.·]?"
_BEFORE = r"(?<![A-Za-zＡ-Ｚａ-ｚ\d_/=&%])(?<!\d[.\-,:．－])"
_AFTER = r"(?![\dA-Za-z_％%])(?![.．,]\d)"
_NUMBER_WORD = r"(?:号码?|编号|ID|[ ](?i:numbers?|no|id)\b\.?)?"
_LETTER = "A-Za-zＡ-Ｚａ-ｚ"
_LOCAL = r"A-Za-z0-9Ａ-Ｚａ-ｚ０-９._%+\-"


_OPEN = r"(?:[(（](?=[+＋\d]{1,5}[)）]))?"  # only with the parenthesis that closes it


_MOBILE = re.compile(r"(?:86|0086)?1(?:3\d|4[0135-9]|5[0-35-9]|6[2567]|7[0-8]|8\d|9[0-35-9])\d{8}")
_FIXED = re.compile(r"(?:86|0086)?0?(?:10|2\d|[3-9]\d\d)[2-8]\d{6,7}")


def _is_mobile(text: str) -> bool:
    groups = len(re.findall(r"\d+", text))
    return _MOBILE.fullmatch(digits_of(text)) is not None and groups <= 5 and not re.match(r"1\D", text)


def _is_fixed_line(text: str) -> bool:
    line = re.split(r"转|ext", text)[0]
    return any(_FIXED.fullmatch(digits_of(part)) for part in (line, line.rpartition("-")[0]))


def _is_telephone(text: str) -> bool:
    number = digits_of(text)
    return len(number) >= 7 and is_no_hotline(text) and not (len(number) == 8 and _is_date(number))


NUMBERS = (
    Recogniser(
        "resident_number",
        re.compile(rf"{_BEFORE}(?P<data>\d(?:[ \-－]?\d){{16}}[ \-－]?[\dXxＸｘ]|\d{{15}})(?![\dA-Za-z])"),
        span=_if(is_resident_number),
    ),
    Recogniser(
        "bank_card",
        re.compile(
            rf"{_BEFORE}(?P<data>(?:62|4\d|5[1-5]|3[47])\d\d(?:[ \-]?\d{{4}}){{2}}"
            rf"[ \-]?\d{{3,4}}(?:[ \-]?\d{{3}})?){_AFTER}"
        ),
        span=_if(passes_luhn),
    ),
    Recogniser(  # 138 0013 8000, +86-13800138000; a list of measurements goes on
        "phone",
        re.compile(
            rf"{_BEFORE}(?<!\d )(?P<data>(?:{_OPEN}[+＋]?(?:[0０]{{2}})?[8８][6６][)）]?{_GAP})?"
            rf"[1１](?:{_GAP}\d){{10}})"
            rf"{_AFTER}(?! \d+ )"
        ),
        span=_if(_is_mobile),
    ),
    Recogniser(  # 010-62345678, (0571) 8765 4321
        "phone",
        re.compile(
            rf"{_BEFORE}(?P<data>{_OPEN}(?:[+＋]?[8８][6６][)） \-－]{{0,2}})?(?:[0０]\d{{2,3}}|(?<=86[ \-])\d{{2,3}})"
            rf"[)）\-－–— ]{{1,2}}\d{{3,4}}[ \-－]?\d{{4}}(?:[ ]?(?:转|ext\.?|[\-－])[ ]?\d{{1,5}})?){_AFTER}"
        ),
        span=_if(_is_fixed_line),
    ),
    Recogniser(  # (301) 496-5751, 301-496-5751, +1 301 496 5751
        "phone",
        re.compile(
            rf"{_BEFORE}(?<![\d\-])(?P<data>(?:\+?1[\-. ])?(?:\([2-9]\d\d\)[ ]?[2-9]\d\d[\-. ]\d{{4}}"
            r"|[2-9]\d\d-[2-9]\d\d-\d{4}|[2-9]\d\d\.[2-9]\d\d\.\d{4})|\+1[\-. ]?\d{3}[\-. ]?\d{3}[\-. ]?\d{4})"
            rf"{_AFTER}(?!-\d)"
        ),
        span=_if(is_no_hotline),
    ),
    Recogniser(  # 07700 900123, 020 7946 0958
        "phone",
        re.compile(
            rf"{_BEFORE}(?<!\d )(?P<data>07\d{{3}}[ \-]?\d{{3}}[ \-]?\d{{3}}|0(?:20|23|24|28|29) \d{{4}} \d{{4}}"
            rf"|0(?:1\d1|11\d) \d{{3}} \d{{4}}|\(0\d{{2,4}}\) \d{{3,4}} \d{{3,4}}|01\d{{3}} \d{{6}}){_AFTER}(?! \d)"
        ),
        span=_if(lambda text: 10 <= len(digits_of(text)) <= 11),
    ),
    Recogniser(  # +852 2525 3331
        "phone",
        re.compile(rf"(?<![\w/=+])(?P<data>[+＋]\d{{1,3}}(?:[ \-.]?[(（]?\d{{1,5}}[)）]?){{2,5}}){_AFTER}"),
        span=_if(lambda text: 10 <= len(digits_of(text)) <= 15 and len(re.findall(r"\d+", text)) <= 6),
    ),
    Recogniser(
        "social_security_number",
        re.compile(rf"{_BEFORE}(?<!-)(?P<data>(?!000|666|9)\d{{3}}-(?!00)\d\d-(?!0000)\d{{4}}){_AFTER}(?!-)"),
        span=_if(lambda text: True),
    ),
    Recogniser(
        "nhs_number",
        re.compile(rf"{_BEFORE}(?<!\d )(?P<data>\d{{3}} \d{{3}} \d{{4}}){_AFTER}(?! ?[\d~±])"),
        span=_if(is_nhs_number),
    ),
)


def _labelled(
    type: str, labels: str, value: str, words: str = "", accept: Callable[[str], bool] = lambda text: True
) -> Recogniser:
    """Recognise a value behind one of some labels."""
    behind = rf"{_NUMBER_WORD}(?:[（(][^()（）\n]{{1,12}}[)）])?{IS}"
    pattern = rf"(?<![A-Za-z?&/_])(?i:{labels}){behind}(?P<data>{value})"
    return Recogniser(type, re.compile(pattern), tuple(filter(None, words.split("|"))), _if(accept))


_CODE_VALUE = rf"[{_LETTER}]{{0,4}}[\-－]?\d(?:[\-－]?[\d{_LETTER}]|[ ]\d(?=\d\d)){{3,22}}"
LABELLED_NUMBERS = (
    _labelled(
        "phone",
        r"电话|手机|联系方式|联系号码|座机|固话|传真|拨打|致电|tel(?:ephone)?\.?|phone|mobile|cell(?:phone)?|fax"
        r"|call(?: at| us at)?|contact",
        rf"{_OPEN}[+＋]?\d(?:[ \-－–—().（）]{{0,2}}\d){{6,14}}(?!\d)"
        r"(?:[ ]?[、/，；或][ ]?\d(?:[ \-－]?\d){6,12}(?!\d)){0,3}",
        accept=_is_telephone,
    ),
    _labelled(
        "resident_number",
        r"身份证件?|公民身份|证件|(?:national |identity |resident )?id(?:entity)?(?: card)?",
        rf"[{_LETTER}]{{0,2}}\d(?:[ \-－]?[\dXxＸｘ]){{6,17}}(?:[(（][\d{_LETTER}][)）])?",
    ),
    _labelled("passport", r"护照|通行证|台胞证|回乡证|passport", rf"[{_LETTER}]{{0,2}}[ ]?\d(?:[ ]?\d){{5,8}}"),
    _labelled(
        "bank_card",
        r"银行卡|卡|[账帐]|[账帐]户|储蓄卡|信用卡|借记卡|(?:credit |debit |bank )?card|(?:bank )?account",
        r"\d(?:[ \-－]?\d){11,18}(?!\d)",
    ),
    _labelled("social_security_number", r"SSN|social security", r"\d{3}[ \-]?\d{2}[ \-]?\d{4}(?!\d)"),
    _labelled("nhs_number", r"NHS", r"\d{3}[ \-]?\d{3}[ \-]?\d{4}(?!\d)"),
)

_RECORDS = "住院|门诊|急诊|病案|病历|病理|医保|社保|就诊|诊疗|检查|影像|超声|体检|社会保障|医疗保险|新农合"
LABELLED_WORDS = (
    _labelled(
        "medical_record",
        rf"(?:{_RECORDS})(?:卡|证)?(?=号|编号|ID)|(?:医保|社保|就诊|诊疗)卡|MRN"
        r"|(?:medical|hospital|health|patient) record"
        r"|(?:hospital|patient|chart|policy|member|medicare|medicaid|health card"
        r"|(?:health |medical )?insurance(?: policy)?)"
        r"(?= id| n|\s?#)",
        rf"[{_LETTER}]{{0,4}}[\-－]?\d(?:[\-－]?[\d{_LETTER}]|[ ]\d(?=\d\d)){{3,22}}",
        "院号|诊号|案号|历号|理号|保号|卡号|查号|像号|声号|检号|障号|险号|合号|疗号|院编号|诊编号|案编号"
        "|保编号|医保卡|社保卡|就诊卡|诊疗卡|mrn|record n|records n|record id|record:|record #|hospital n|hospital id"
        "|patient n"
        "|patient id|patient #|chart n|chart #|policy n|policy id|policy #|member n|member id|medicare n|medicare id"
        "|medicaid n|medicaid id|card n|insurance n|insurance id|insurance policy|hospital #",
    ),
    _labelled(
        "account",
        r"微信号?|微信ID|QQ号?|扣扣|V信|WeChat|\bvx|\bwx",
        rf"(?:[{_LETTER}][{_LETTER}\d_\-]{{5,19}}|[1-9１-９]\d{{4,10}})(?![{_LETTER}\d_.])",
        "微信|QQ|qq|扣扣|V信|v信|wechat|WeChat|vx|wx",
    ),
    _labelled(
        "plate",
        r"车牌|牌照|号牌|(?:licen[cs]e |registration )?plate|vehicle registration",
        r"[京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼][A-ZＡ-Ｚ][·•\- ]?[A-Z\dＡ-Ｚ]{5,6}"
        r"|(?=[A-Z \-]{0,4}\d)[A-Z\d]{1,4}[ \-]?[A-Z\d]{2,5}(?![A-Za-z])",
        "车牌|牌照|号牌|license plate|licence plate|plate n|registration plate|vehicle registration",
    ),
)

_HOST = rf"(?:[{_LETTER}0-9０-９\-]{{1,40}}[.．。]){{1,5}}[{_LETTER}]{{2,12}}"
_SPELT_HOST = (
    rf"(?:[{_LETTER}0-9\-]{{1,40}}(?:\s?[(\[（【]?\s?(?:dot|DOT|点)\s?[)\]）】]?\s?|\.)){{1,4}}[{_LETTER}]{{2,12}}"
)
EMAILS = (
    Recogniser(
        "email",
        re.compile(rf"(?<![{_LOCAL}])(?P<data>[{_LOCAL}]{{1,64}}[ ]?[@＠][ ]?{_HOST})"),
        ("@", "＠"),
    ),
    Recogniser(
        "email",
        re.compile(
            rf"(?<![{_LOCAL}])(?P<data>[{_LOCAL}]{{1,64}}(?:\s?[(\[（【{{<]\s?(?:at|AT|At|艾特)\s?[)\]）】}}>]\s?{_SPELT_HOST}"
            rf"| (?:at|AT) (?:[{_LETTER}0-9\-]{{1,40}} (?:dot|DOT) ){{1,4}}[{_LETTER}]{{2,12}}))"
        ),
        ("(at", "[at", "（at", "【at", "{at", "<at", "( at", "[ at", "艾特", " dot "),
    ),
    Recogniser(
        "email",
        re.compile(rf"(?i:邮箱|邮件|e-?mail)(?:地址| address)?{IS}(?P<data>[{_LOCAL}]{{1,64}}[#＃*★]{_HOST})"),
        ("邮箱", "邮件", "email", "e-mail"),
    ),
)
