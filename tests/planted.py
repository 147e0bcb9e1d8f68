"""Personal data of made-up people in made-up sentences, with where it stands: the truth that recall is measured on.

Values come from generators that share no list with the recognisers; checksums are computed here once more. The
sentences and forms are ours.
"""

import datetime
import random
from collections.abc import Callable
from dataclasses import dataclass

FULL_WIDTH = {ord(char): ord(char) + 0xFEE0 for char in "0123456789X@.-+"}
_NAMES_ZH = """
    张伟 王秀英 李建国 刘洋 陈静怡 杨子涵 黄志强 赵雨桐 吴晓敏 周文博 徐丽娜 孙国庆 马玉兰 朱浩然 胡海燕 郭思远 何俊杰
    林美玲 罗永刚 高翔 郑欣怡 梁家辉 谢春梅 宋明轩 唐糖 许可心 韩小鹏 邓向东 冯雪 曹大伟 彭丹 曾国华 萧炎 田甜 董卫东
    潘月明 袁弘 蔡依林 蒋若曦 余成龙 杜如海 叶知秋 程思佳 魏长安 苏小妹 吕方 丁一 任重远 卢沟 姚贝娜 沈从军 姜太平
    崔永元 谭松龄 陆可欣 范冰 汪士杰 廖凡 欧阳修文 上官婉如 司马青云 诸葛小亮 覃塘 仇英才 麦子杰 柏雪 毕福来 安以轩
    常远 康建中 龙飞 段誉之 侯勇 孟晓骏
"""
_NAMES_EN = """
    John Smith|Mary Johnson|Robert A. Wilson|Linda O'Neil|Ludwig van der Berg|Priya Patel|Wei Zhang|Sarah Connor-Hughes
    |Thomas MacDonald|Emily Clarke|José Ramírez|Grace Kim|Ahmed Hassan|Olga Petrova|Jean-Luc Moreau|Fatima Al Sayed
    |Henry J. Whitfield|Anne Lister|Kofi Mensah|Siobhan Murphy
"""
_CITIES = """
    北京市朝阳区 上海市浦东新区 广东省广州市天河区 浙江省杭州市西湖区 四川省成都市武侯区 湖北省武汉市洪山区
    河南省周口市太康县 江苏省苏州市昆山市 重庆市渝中区 新疆维吾尔自治区乌鲁木齐市天山区 广西南宁市青秀区 山东青岛市南区
    福建省厦门市思明区 黑龙江省哈尔滨市南岗区
"""
_STREETS = "建国路 人民大街 解放北路 中山东路 文化巷 和平里 长江大道 学院路 幸福胡同 科技二路 光明街 滨河西路"
_ESTATES = "阳光花园 翠苑小区 锦绣家园 东方新村 龙湖公寓 绿城社区"
_MOBILES = "130 131 133 135 138 139 145 147 150 151 155 158 159 166 170 176 177 180 185 186 188 189 191 198 199"
_AREAS = "212 301 312 415 503 617 702 919"
_REGIONS = "110101 310115 440106 330106 510107 420111 411627 320583 650102 450103 230103 350203"
_MONTHS = "January February March April May June July August September October November December"
NAMES_ZH, CITIES, STREETS, ESTATES = (text.split() for text in (_NAMES_ZH, _CITIES, _STREETS, _ESTATES))
NAMES_EN = [name.strip() for name in _NAMES_EN.split("|")]


@dataclass(frozen=True)
class Planted:
    """A text and the characters of it that are personal data of a type."""

    type: str
    lang: str
    text: str
    start: int
    end: int

    @property
    def value(self) -> str:
        """The personal data itself."""
        return self.text[self.start : self.end]


def planted(type: str, items: int = 240, seed: int = 0) -> list[Planted]:
    """Plant so many items of a type, every template in turn, values and forms drawn at random."""
    draw = random.Random(f"{type}-{seed}")
    templates = TEMPLATES[type]
    made = []
    for number in range(items):
        lang, template, value = templates[number % len(templates)]
        before, after = template.split("{}")
        for name, fill in (("NAME", lambda: draw.choice(NAMES_ZH)), ("PERSON", lambda: draw.choice(NAMES_EN))):
            before, after = before.replace(name, fill()), after.replace(name, fill())
        text = value(draw)
        lead = draw.choice(CONTEXT[lang]) if number % 3 else ""
        tail = draw.choice(CONTEXT[lang])
        made.append(
            Planted(type, lang, lead + before + text + after + tail, len(lead + before), len(lead + before + text))
        )
    return made


CONTEXT = {
    "zh": (
        "患者因反复头晕三天来诊，血压160/100mmHg。",
        "既往有糖尿病史10年，空腹血糖8.6mmol/L。",
        "建议两周后复查肝功能。",
        "目前口服二甲双胍0.5g，每日三次。",
        "复诊时间为2023年5月12日上午。",
        "\n",
    ),
    "en": (
        "The patient presented with chest pain for 3 days. ",
        "Blood pressure was 160/100 mmHg. ",
        "She takes metformin 500 mg twice daily. ",
        "Follow-up was arranged for May 12, 2023. ",
        "\n",
    ),
}


def maybe_full_width(draw: random.Random, text: str, share: float = 0.12) -> str:
    """Write a text in full-width digits now and then."""
    return text.translate(FULL_WIDTH) if draw.random() < share else text


def digits(draw: random.Random, count: int) -> str:
    """Draw digits, the first no zero."""
    return str(draw.randint(1, 9)) + "".join(str(draw.randint(0, 9)) for _ in range(count - 1))


def mobile(draw: random.Random) -> str:
    """A mobile number of China in one of its usual forms."""
    prefix = draw.choice(_MOBILES.split())
    one, two = (f"{draw.randint(0, 9999):04}" for _ in range(2))
    joint = draw.choice(["", "", "", "-", " ", "－"])
    country = draw.choice(["", "", "", "+86", "+86 ", "86-", "0086", "（+86）", "(86)"])
    return maybe_full_width(draw, country + joint.join((prefix, one, two)))


def fixed_line(draw: random.Random) -> str:
    """A land line of China with area code."""
    area = draw.choice(["010", "021", "0571", "0755", "028", "0371", "0991"])
    number = draw.choice("2345678") + digits(draw, 7 if area in ("010", "021", "0571", "0755", "028", "0371") else 6)
    form = draw.choice(["{}-{}", "（{}）{}", "({}){}", "{} {}", "{}－{}", "+86-{}-{}"])
    if form.startswith("+86"):
        return form.format(area[1:], number)
    return maybe_full_width(draw, form.format(area, number)) + draw.choice(["", "", "转801", "-8012"])


def bare_line(draw: random.Random) -> str:
    """A land line without area code."""
    return draw.choice("2345678") + draw.choice([digits(draw, 7), digits(draw, 6)])


def north_american(draw: random.Random) -> str:
    """A telephone number of the United States, not toll-free."""
    area = draw.choice(_AREAS.split())
    form = draw.choice(["({}) {}-{}", "{}-{}-{}", "{}.{}.{}", "+1 {} {} {}", "+1-{}-{}-{}", "1-{}-{}-{}"])
    return form.format(area, draw.choice("2345678") + digits(draw, 2), f"{draw.randint(0, 9999):04}")


def british(draw: random.Random) -> str:
    """A telephone number of the United Kingdom."""
    two = [f"{draw.randint(100, 999)}" for _ in range(3)]
    return draw.choice(
        [
            f"07{draw.randint(400, 999)} {two[0]} {two[1]}",
            f"07{draw.randint(400, 999)} {two[0]}{two[1]}",
            f"+44 7{draw.randint(400, 999)} {two[0]}{two[1]}",
            f"+44 (0)20 7{two[0]} {digits(draw, 4)}",
            f"020 7{two[0]} {digits(draw, 4)}",
            f"0161 {two[0]} {digits(draw, 4)}",
        ]
    )


def resident(draw: random.Random) -> str:
    """A resident number with its check digit, or one of the old form."""
    born = datetime.date(1935, 1, 1) + datetime.timedelta(days=draw.randint(0, 30000))
    region = draw.choice(_REGIONS.split())
    if draw.random() < 0.2:
        return region + born.strftime("%y%m%d" if born.year < 2000 else "99%m%d") + f"{draw.randint(0, 999):03}"
    body = region + born.strftime("%Y%m%d") + f"{draw.randint(0, 999):03}"
    total = sum(int(digit) * 2 ** (17 - place) for place, digit in enumerate(body))
    check = (12 - total % 11) % 11
    number = body + ("X" if check == 10 else str(check))
    form = draw.random()
    if form < 0.1:
        return number.lower()
    if form < 0.2:
        return f"{number[:6]} {number[6:14]} {number[14:]}"
    if form < 0.25:
        return f"{number[:6]}-{number[6:14]}-{number[14:]}"
    return maybe_full_width(draw, number)


def email(draw: random.Random) -> str:
    """An e-mail address, plain, full-width or spelt out."""
    name = draw.choice(
        ["zhang.san", "li_si88", "wangwu1990", "j.smith", "mary-ann.o", "k2+news", "13800138000", "Dr.Chen"]
    )
    host = draw.choice(["163.com", "qq.com", "example.com.cn", "mail.example.org", "st-mary.nhs.uk", "gmail.com"])
    form = draw.choice(["{}@{}"] * 5 + ["{}＠{}", "{} @ {}", "{}(at){}", "{} [at] {}", "{} at {}"])
    if form == "{} at {}" or (form != "{}@{}" and "at" in form and draw.random() < 0.3):
        host = host.replace(".", " dot ")
    return form.format(name, host)


def code(draw: random.Random) -> str:
    """A record number as hospitals write them."""
    return draw.choice(
        [
            digits(draw, 6),
            digits(draw, 8),
            digits(draw, 10),
            "ZY" + digits(draw, 8),
            "M" + digits(draw, 7),
            f"2023-{digits(draw, 6)}",
            "0" + digits(draw, 7),
            digits(draw, 6).translate(FULL_WIDTH),
        ]
    )


def passport(draw: random.Random) -> str:
    """A passport number."""
    return draw.choice(["E", "G", "EA", "EJ", "", "C0", "P"]) + digits(draw, 8)


def card(draw: random.Random) -> str:
    """A payment card that passes Luhn, solid or in fours."""
    body = draw.choice(["622202", "621700", "622848", "411111", "545454"]) + digits(draw, 9 + draw.choice([0, 3]))
    total = sum(
        value - 9 if value > 9 else value
        for value in (int(digit) * (1 + (place % 2 == 0)) for place, digit in enumerate(reversed(body)))
    )
    number = body + str(-total % 10)
    joint = draw.choice(["", " ", "-"])
    return joint.join(number[at : at + 4] for at in range(0, len(number), 4))


def social_security(draw: random.Random) -> str:
    """A social security number that may have been issued."""
    return f"{draw.choice([*range(1, 666), *range(667, 900)]):03}-{draw.randint(1, 99):02}-{draw.randint(1, 9999):04}"


def nhs(draw: random.Random) -> str:
    """An NHS number with its check digit."""
    while True:
        body = digits(draw, 9)
        check = 11 - sum(int(digit) * weight for digit, weight in zip(body, range(10, 1, -1), strict=True)) % 11
        if check != 10:
            number = body + str(check % 11)
            return draw.choice(
                [f"{number[:3]} {number[3:6]} {number[6:]}", f"{number[:3]}-{number[3:6]}-{number[6:]}", number]
            )


def address(draw: random.Random) -> str:
    """An address in China with street or estate and number."""
    street = f"{draw.choice(STREETS)}{draw.randint(1, 999)}号"
    unit = draw.choice(["", f"{draw.randint(1, 6)}单元"])
    home = f"{draw.randint(1, 30)}{draw.choice(['栋', '号楼', '幢'])}{unit}{draw.randint(101, 2509)}室"
    return draw.choice(CITIES) + draw.choice(
        [street, street + home, draw.choice(ESTATES) + home, street + draw.choice(ESTATES) + home]
    )


def village(draw: random.Random) -> str:
    """An address in the country, without a number or with one of a group."""
    return draw.choice(CITIES) + draw.choice(
        ["逊母口镇李庄村", "清河乡大王村三组", "安平镇张家屯12号", "石桥街道向阳社区"]
    )


def street_address(draw: random.Random) -> str:
    """An address in the United States or the United Kingdom."""
    name = draw.choice(["Maple", "Old Mill", "North Main", "Park", "Queen Victoria", "5th", "St. John"])
    street = f"{draw.randint(1, 9999)} {name} "
    street += draw.choice(["Street", "St", "Avenue", "Road", "Rd.", "Lane", "Drive", "Crescent", "Blvd"])
    end = [
        ", Springfield, IL 62704",
        ", Leeds, LS1 4AP",
        ", Apt 4B, New York, NY 10012",
        "",
        ", Portland, OR 97205-1234",
        ", Flat 3, Bristol, BS8 1QU",
    ]
    return street + draw.choice(end)


def birth_date_zh(draw: random.Random) -> str:
    """A date as Chinese records write it."""
    year, month, day = draw.randint(1930, 2020), draw.randint(1, 12), draw.randint(1, 28)
    form = draw.choice(
        ["{}年{}月{}日", "{}-{:02}-{:02}", "{}/{}/{}", "{}.{:02}.{:02}", "{}{:02}{:02}", "{} 年 {} 月 {} 日"]
    )
    return (
        draw.choice(["一九五八年三月七日", "一九九〇年十二月二十一日"])
        if draw.random() < 0.08
        else maybe_full_width(draw, form.format(year, month, day), 0.08)
    )


def birth_date_en(draw: random.Random) -> str:
    """A date as English records write it."""
    year, month, day = draw.randint(1930, 2020), draw.randint(1, 12), draw.randint(1, 28)
    name = _MONTHS.split()[month - 1]
    return draw.choice(
        [
            f"{month:02}/{day:02}/{year}",
            f"{day} {name} {year}",
            f"{name} {day}, {year}",
            f"{day}-{name[:3]}-{year}",
            f"{year}-{month:02}-{day:02}",
            f"{day}th {name} {year}",
            f"{month}/{day}/{year % 100:02}",
            f"{name[:3]} {day}, {year}",
        ]
    )


def account(draw: random.Random) -> str:
    """A WeChat name."""
    return draw.choice(["wxid_", "zhang", "li-si", "Abc", "health_"]) + digits(draw, draw.randint(3, 8))


def plate(draw: random.Random) -> str:
    """A number plate of China."""
    return (
        draw.choice("京沪粤浙川鄂豫苏")
        + draw.choice("ABCDE")
        + draw.choice(["", "·", " "])
        + draw.choice([digits(draw, 5), "F" + digits(draw, 4), "D" + digits(draw, 5)])
    )


Value = Callable[[random.Random], str]
Template = tuple[str, str, Value]


def _of(lang: str, value: Value, *templates: str) -> list[Template]:
    return [(lang, template, value) for template in templates]


TEMPLATES: dict[str, list[Template]] = {
    "phone": [
        *_of(
            "zh",
            mobile,
            "手机号：{}。",
            "家属联系电话{}，请及时通知。",
            "请拨打{}预约。",
            "电话:{}\n",
            "如有不适请联系我，{}，谢谢。",
            "（手机 {}）",
            "患者留下号码{}后离开。",
            "联系方式：{}；",
            "NAME {}，男。",
            "Tel：{}。",
        ),
        *_of("zh", fixed_line, "联系电话：{}。", "座机{}，", "传真：{}。", "可致电{}咨询。", "家里电话（白天）：{}。"),
        *_of("zh", bare_line, "联系电话：{}。", "家属电话 {}，"),
        *_of(
            "en",
            north_american,
            "Phone: {}. ",
            "Please call {} to confirm. ",
            "Her daughter can be reached at {}. ",
            "Cell {}; ",
        ),
        *_of("en", british, "Tel: {}. ", "Mobile {}. ", "Contact number: {}. "),
    ],
    "resident_number": _of(
        "zh",
        resident,
        "身份证号：{}。",
        "身份证号码{}，",
        "公民身份号码 {}。",
        "证件号码：{}；",
        "NAME，男，{}，住本市。",
        "患者（{}）于今日入院。",
        "居民身份证 {}\n",
        "身份证号（本人）：{}。",
    ),
    "passport": [
        *_of("zh", passport, "护照号：{}。", "护照号码为{}，", "护照 {}。", "港澳通行证号码：{}。"),
        *_of("en", passport, "Passport number: {}. ", "Passport No. {}, ", "passport {} was shown. "),
    ],
    "medical_record": [
        *_of(
            "zh",
            code,
            "住院号：{}。",
            "门诊号{}，",
            "病案号:{}；",
            "病历号 {}。",
            "医保卡号：{}。",
            "医保号为{}，",
            "就诊卡号：{}。",
            "社保卡号 {}，",
            "影像号：{}。",
            "（住院号{}）",
        ),
        *_of(
            "en",
            code,
            "MRN: {}. ",
            "MRN {} ",
            "Medical record number {}. ",
            "Hospital number: {}. ",
            "Patient ID: {}. ",
            "Medical record no. {}, ",
            "Insurance ID: {}. ",
        ),
    ],
    "bank_card": [
        *_of("zh", card, "银行卡号：{}。", "请汇入账号{}，", "信用卡 {}。", "卡号（工商银行）：{}。"),
        *_of("en", card, "Card number: {}. ", "She paid with credit card {}. ", "Account number {}. "),
    ],
    "social_security_number": _of(
        "en",
        social_security,
        "SSN: {}. ",
        "Social Security number {}. ",
        "social security no. {}, ",
        "SSN {} on file. ",
    ),
    "nhs_number": _of("en", nhs, "NHS number: {}. ", "NHS No. {}, ", "(NHS {}) ", "NHS number is {}. "),
    "email": [
        *_of("zh", email, "邮箱：{}。", "请发邮件至{}，", "E-mail: {}\n", "联系{}咨询。"),
        *_of("en", email, "Email: {}. ", "Write to {} for details. ", "contact <{}> "),
    ],
    "account": [
        *_of("zh", account, "微信号：{}。", "加我微信{}，", "微信ID {}，", "WeChat: {}。"),
        *_of("zh", lambda draw: digits(draw, draw.randint(6, 10)), "QQ：{}。", "QQ号{}，", "QQ号码是{}。"),
    ],
    "plate": _of("zh", plate, "车牌号：{}。", "车牌{}的轿车", "车牌号码为{}，"),
    "name": [
        *_of(
            "zh",
            lambda draw: draw.choice(NAMES_ZH),
            "姓名：{}，性别：男。",
            "姓名：{} 性别：女 年龄：56岁",
            "患者姓名：{}。",
            "患者：{}，女，45岁。",
            "患者{}，男，62岁，因胸痛入院。",
            "联系人：{}，",
            "尊敬的{}先生：",
            "{}女士您好，",
            "姓 名 {}\n",
            "监护人姓名：{}。",
            "病人{}，女，33岁。",
            "我叫{}，今年45岁。",
            "尊敬的{}女士，您好：",
            "姓名:{}\n性别:男",
        ),
        *_of(
            "zh",
            lambda draw: draw.choice(["张", "李", "王", "欧阳", "吴", "贾", "上官", "韦"]),
            "尊敬的{}先生：",
            "{}阿姨您好，",
            "您好，{}女士，",
        ),
        *_of(
            "en",
            lambda draw: draw.choice(NAMES_EN),
            "Patient name: {}. ",
            "Name: {}\nAge: 54\n",
            "Patient: {}, 54 years old. ",
            "Dear {}, ",
            "Next of kin: {}. ",
            "Emergency contact: {}, ",
            "My name is {}. ",
            "Full name: {}\n",
        ),
        *_of(
            "en",
            lambda draw: draw.choice(NAMES_EN).split()[-1],
            "Dear Mr {}, ",
            "Dear Mrs. {}:\n",
            "Good morning, Ms. {}. ",
            "Dear Dr {}, ",
            "Patient: Mr. {}. ",
            "Hello Mrs {}, ",
        ),
    ],
    "birth_date": [
        *_of(
            "zh",
            birth_date_zh,
            "出生日期：{}。",
            "生日：{}，",
            "患者，男，{}出生。",
            "出生年月日 {}\n",
            "患者生于{}，",
            "患者NAME，女，出生于{}。",
            "出生日期（公历）：{}。",
        ),
        *_of(
            "en",
            birth_date_en,
            "DOB: {}. ",
            "Date of birth: {}\n",
            "D.O.B. {}. ",
            "The patient was born on {}. ",
            "Mr Smith, born {}, ",
            "Birth date {}. ",
        ),
    ],
    "address": [
        *_of(
            "zh",
            address,
            "家住{}。",
            "家庭住址：{}，",
            "现住址 {}。",
            "患者住{}，",
            "地址：{}\n",
            "收件地址是{}。",
            "随访信寄到{}。",
            "户籍所在地：{}；",
        ),
        *_of("zh", village, "家住{}。", "住址：{}，", "家庭地址：{}。", "现居住在{}，"),
        *_of("en", street_address, "Address: {}. ", "She lives at {}. ", "Home address: {}\n", "He resides at {}, "),
    ],
}
