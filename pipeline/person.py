"""Recognisers of a person: names behind labels and in salutations, and dates of birth, in Chinese and English.

A doctor or an author is named in public: only patients, their contacts and people who are greeted are hidden. A name
that is hidden already (张某, 李××) is none, nor is a surname with a title (李女士) where nobody is greeted. A date is
one of birth behind such a label, or beside "born" where a patient is spoken of within CONTEXT_CHARS.

Chinese surnames are the frequent ones of the census lists and the Hundred Family Surnames; a given name is one or two
characters, none of those that words of illness, bodies and speech are made of.
"""

import re

from pipeline.recognisers import IS, Recogniser

SURNAMES = (
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林罗高郑梁谢宋唐许韩邓冯曹彭曾肖萧田董潘袁蔡蒋余于杜叶程魏苏吕丁任卢姚"
    "沈钟姜崔谭陆范汪廖石金韦贾夏付傅方邹熊白孟秦邱侯江尹薛闫阎段雷龙黎史陶贺毛郝顾龚邵万覃武钱戴严莫孔向常汤"
    "康易乔赖文施洪季关温柴裴苗詹岳倪齐梅庄辛管祝左涂谷祁时舒耿牟卜路应宁霍焦靳蓝柳邢裘鲍葛安游凌尚童欧翁房伍"
    "聂申柯盛蒲甘单包纪屈项费殷冉褚娄宫古隋符穆景卓冀晏娜栾车米桂滕鲁俞翟华艾骆樊解窦佟喻宗瞿苟麦桑成党满初曲"
    "习占全班商水池狄边楚燕丛巩敖丘闵阮蔺麻臧居修储迟衣鹿查荆敬简郎戚祖卫邬竺缪匡逄巫丰仇仲闻莘巴郁邸沙訾阚农"
    "晁尤劳牛庞颜饶冷寇毕柏席岑卞虞刁屠宣鞠佘冼连茹厉湛花贝伊容师司仝郜廉戎姬胥雍濮浦戈皮盖阳揭牧支肇逯陳楊黃"
    "趙吳孫馬羅鄭謝許韓鄧馮蕭蔣葉蘇呂盧鐘薑譚陸範賈鄒閆閻龍賀顧龔萬錢嚴湯喬賴關溫莊齊單費駱華"
)
DOUBLE_SURNAMES = (
    "欧阳|上官|司马|诸葛|皇甫|令狐|慕容|东方|司徒|尉迟|公孙|夏侯|南宫|西门|端木|长孙|宇文|独孤|轩辕|钟离|闾丘|澹台|"
    "歐陽|司馬|諸葛|東方|長孫"
)
_NEVER_GIVEN = (
    "的了是有我你您他她它们吗呢吧啊在和与或不没无未要因为就也都很到去说看做吃喝这那哪怎么什几已经被把感觉该让"
    "请问谢痛疼病症炎癌瘤疸疹疮疡痒烧咳喘吐泻晕肿胀瘀血压糖脂尿便汗痰肝肾肺脾胃肠胆胰腹胸腰背腿脚膝颈眼耳鼻舌"
    "牙齿皮肤骨药剂量针诊疗患者医院室号性别岁某您睡饮食检验片丸汤散膏型期级类及其而且但所此于则則乃故何"
)
GIVEN = f"(?![{_NEVER_GIVEN}])[\u4e00-\u9fff]"

# 张三, 李建国, 欧阳修文; not 高血压, 白带
CHINESE_NAME = rf"(?:(?:{DOUBLE_SURNAMES})|[{SURNAMES}])(?:{GIVEN}){{1,2}}"
# 买买提·艾力
TRANSLITERATED_NAME = r"[\u4e00-\u9fff]{2,8}(?:[·•・][\u4e00-\u9fff]{2,8}){1,3}"
_END = (
    r"(?=[\s，,。；;、|｜（()）：:!！/\d]|$|[男女]|性别|年龄|电话|手机|身份证|出生|住址|地址|先生|小姐|同志"
    r"|住院|门诊|联系|病案|民族|职业)"
)
# after a label: any short word that ends where a name would, else what begins like a name
WHOLE_NAME = rf"(?:{TRANSLITERATED_NAME}|{CHINESE_NAME}{_END}|[\u4e00-\u9fff]{{2,4}}?{_END}|{CHINESE_NAME})"
SURNAME = rf"(?:(?:{DOUBLE_SURNAMES})|[{SURNAMES}])"

TITLE = r"(?:Mr|Mrs|Ms|Miss|Mx|Dr|Prof|MR|MRS|MS|DR)\b\.?[ \t]{1,2}"
_NO_NAME = (
    r"(?!(?:Mr|Mrs|Ms|Miss|Mx|Dr|Prof|Sirs?|Madam|Doctors?|Colleagues?|Editors?|Patients?|All|Team|Friends?|Readers?|Parents?|Customers?|Users?|Yes|No"
    r"|Okay|Ok|Oh|Um|Uh|Hi|Hello|Hey|Well|Not|None|Unknown|Thanks?|And|But|The|This|That|It|He|She|We|You|They|There|Date"
    r"|DOB|Age|Sex|Gender|Address|Phone|Tel|Name|Male|Female|Number|Information|Education|History|Care|Safety|MRN|NHS|God"
    r"|What|When|Where|Why|How|So|My|Your|In|On|At|If|To|For|Of|Or|As|Is|Are|Do|Does|Did|Can|Could|Would|Will|Just)\b)"
)
_WORD = rf"{_NO_NAME}[A-ZÀ-ÖØ-Þ][A-Za-zÀ-ÖØ-öø-ÿ'’\-]{{1,24}}"
_MORE = rf"(?:[ \t]{{1,2}}(?:[A-Z]\.?(?![A-Za-z'’])|(?:del?|der|van|von|bin|al|la|di|da)\b|{_WORD}))"
ENGLISH_NAME = rf"{_WORD}{_MORE}{{0,4}}"  # John
FULL_NAME = rf"{_WORD}(?:,[ \t]{_WORD}|{_MORE}{{1,4}})"  # Mary A. O'Neil; Smith, John

_UNNAMED = re.compile(
    r"不详|不明|未知|未填|匿名|保密|隐去|隐私|姓名|性别|年龄|同上|如上|略|无名?|[某ＸX×*＊○]|化名|本人|自己|患者|病人|医生|护士"
    r"|家属|家长|先生|女士|小姐|太太"
)
_GREETED = "先生|女士|小姐|太太|夫人|阿姨|叔叔|伯伯|大爷|大妈|大叔|大娘|奶奶|爷爷|老先生|同志|老人家"


def _named(match: re.Match[str]) -> tuple[int, int] | None:
    """Give the only group of a match, if it is a name."""
    group = match.lastgroup or 0
    return None if _UNNAMED.search(match[group]) else match.span(group)


_PATIENTS = "患者|病人|患儿|产妇|孕妇|受试者"
_CONTACTS = "联系人|家属|监护人|收件人|收货人|申请人|投保人|被保险人|户主|委托人|代理人|签名|签字"
NAMES = (
    Recogniser(  # 姓名：张三
        "name",
        re.compile(
            rf"(?<!医生)(?<!医师)(?<!大夫)(?<!主任)(?<!专家)(?<!作者)(?:姓\s?名|名字|(?:{_CONTACTS})(?:姓名)?)"
            r"(?:[（(][^()（）\n]{1,8}[)）])?(?:\s{0,2}[:：=＝|｜]\s{0,3}|[ \u3000]{1,4}|是|叫|为)"
            rf"(?P<data>{WHOLE_NAME}|{ENGLISH_NAME})"
        ),
        ("姓名", "姓 名", "名字", *_CONTACTS.split("|")),
        _named,
    ),
    Recogniser(  # 患者：李四; 患者张建国，男，56岁
        "name",
        re.compile(
            rf"(?:{_PATIENTS})(?:姓名)?(?:\s?[:：]\s?(?P<data>{CHINESE_NAME}(?=[，,、。；;（(\s]|$)|{TRANSLITERATED_NAME})"
            rf"|[，,]?\s?(?P<beside>{CHINESE_NAME}|{TRANSLITERATED_NAME})"
            rf"(?=[，,、（(\s]{{1,2}}(?:[男女]性?(?:[，,、。；\s）)\d]|$)|\d{{1,3}}\s?[岁月]|年龄|性别|系|身份证|住院号|因)))"
        ),
        tuple(_PATIENTS.split("|")),
        _named,
    ),
    Recogniser(  # 我叫张三
        "name",
        re.compile(
            rf"(?:我|本人|他|她|孩子|儿子|女儿)(?:的?名字)?叫(?:做)?(?P<data>{CHINESE_NAME})"
            r"(?=[，,。；;、\s！!]|$|今年|是)"
        ),
        ("叫",),
        _named,
    ),
    Recogniser(  # 尊敬的王女士; 张先生您好
        "name",
        re.compile(
            rf"(?:尊敬的|亲爱的|敬爱的|[您你]好[，,！! ]{{0,2}})(?P<data>{SURNAME}(?:{GIVEN}){{0,2}})"
            rf"(?=(?:{_GREETED})|家属|患者)|(?P<greeted>{SURNAME}(?:{GIVEN}){{0,2}}?)"
            rf"(?=(?:{_GREETED})[，,：: ]{{0,2}}(?:[您你]好|早上好|上午好|下午好|晚上好))"
        ),
        (*_GREETED.split("|"), "家属", "尊敬的", "亲爱的"),
        _named,
    ),
    Recogniser(  # Patient name: John Smith
        "name",
        re.compile(
            r"(?<![A-Za-z])(?i:(?:patient|pt|client|resident)(?:'s|’s)?(?: full)? name"
            r"|name of (?:the )?(?:patient|client)"
            r"|(?:full|legal|first|last|family|given|my) name|surname|forename|next of kin|emergency contact|guardian"
            r"|contact person|subscriber|insured)\s?(?:\([^()\n]{1,16}\))?\s?(?:[:：=|]|is)\s{0,3}"
            rf"(?:{TITLE})?(?P<data>{ENGLISH_NAME})"
        ),
        (
            *(
                "ent name",
                "ent's name",
                "ent’s name",
                "pt name",
                "nt full name",
                "name of ",
                "ll name",
                "al name",
                "st name",
            ),
            *("ly name", "en name", "my name", "surname", "forename", "next of kin", "emergency contact", "guardian"),
            *("contact person", "subscriber", "insured"),
        ),
        _named,
    ),
    Recogniser(  # Name: John Smith; Patient: Mrs Jones
        "name",
        re.compile(
            rf"(?:(?<![A-Za-z] )(?<![A-Za-z])(?:Name|NAME)|(?<![A-Za-z])(?i:patient|pt))\s?[:：]\s{{0,3}}"
            rf"(?:{TITLE}(?P<titled>{ENGLISH_NAME})|(?P<data>{FULL_NAME})"
            r"(?=[ \t]{0,2}(?:[,;(|\n]|$|\d|\.?\s{0,2}(?:DOB|Date of|Age|Sex|Gender|MRN|Address|Phone|ID)\b)))"
        ),
        ("name:", "patient:", "pt:", "name :", "patient :", "name：", "patient："),
        _named,
    ),
    Recogniser(  # Dear Mr Smith; Good morning, Mrs. Jones
        "name",
        re.compile(
            rf"\bDear[ \t]{{1,2}}(?:{TITLE})?(?P<data>{ENGLISH_NAME})(?=[ \t]{{0,2}}(?:[,:;!.\n，：]|$|and\b|-|–|—))"
            rf"|\b(?i:hi|hello|welcome|good (?:morning|afternoon|evening|day)|thank you|thanks)(?: there)?,?"
            r"[ \t]{1,2}"
            rf"{TITLE}(?P<greeted>{ENGLISH_NAME})"
        ),
        (
            "dear ",
            "hi ",
            "hi, ",
            "hello",
            "welcome",
            "good morning",
            "good afternoon",
            "good evening",
            "good day",
            "thank",
        ),
        _named,
    ),
)

_HAN_DIGIT = "一二三四五六七八九十〇零○"
_MONTH = (
    r"(?i:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?)\.?"
)
_SMALL = rf"(?:\d{{1,2}}|[{_HAN_DIGIT}]{{1,3}})"
_DATE = (
    rf"(?:(?:\d{{4}}|[{_HAN_DIGIT}]{{4}})\s?年\s?{_SMALL}\s?月(?:\s?{_SMALL}\s?[日号])?"
    r"|\d{4}\s?[\-－/.．]\s?\d{1,2}(?:\s?[\-－/.．]\s?\d{1,2})?(?!\d)|(?:1[89]|20|１９|２０)\d{6}(?!\d)"
    r"|\d{1,2}\s?[/.\-]\s?\d{1,2}\s?[/.\-]\s?(?:\d{4}|\d{2})(?!\d)"
    rf"|\d{{1,2}}(?:st|nd|rd|th)?[ \-]?(?:of )?{_MONTH}[ ,\-]{{0,2}}\d{{4}}"
    rf"|{_MONTH}[ \-]?\d{{1,2}}(?:st|nd|rd|th)?[, \-]{{1,2}}\d{{4}})"
)
_OF_A_PATIENT = re.compile(
    r"患者|病人|患儿|先生|女士|小姐|就诊|入院|住院|姓名|[，,（(]\s?[男女]"
    r"|(?i:\bpatient|\bpt\b|\bmrs?\b|\bms\b|admitted|clinic|hospital)|presented|\bname:"
)
CONTEXT_CHARS = 60  # on either side of a date of birth, where a patient must be spoken of


def _of_a_patient(match: re.Match[str]) -> tuple[int, int] | None:
    start, end = match.span("data" if match["data"] else "before")
    spoken = _OF_A_PATIENT.search(match.string, max(0, start - CONTEXT_CHARS), end + CONTEXT_CHARS)
    return (start, end) if spoken else None


BIRTH_DATES = (
    Recogniser(
        "birth_date",
        re.compile(
            r"(?:出生(?:日期|年月日?|时间)|生日"
            r"|(?<![A-Za-z])(?i:date of birth|d\.?o\.?b\b\.?|birth ?date|birthday|born\s?:))"
            r"(?:[（(][^()（）\n]{1,14}[)）])?"
            rf"{IS}(?:公历|阳历|农历|阴历|on )?(?P<data>{_DATE})"
        ),
        ("出生", "生日", "of birth", "birth date", "birthdate", "birthday", "dob", "d.o.b", "born:", "born :"),
    ),
    Recogniser(
        "birth_date",
        re.compile(
            rf"(?:生于|出生于|出生在|(?<![A-Za-z])born(?: on)?(?: the)?)\s?(?P<data>{_DATE})"
            rf"|(?P<before>{_DATE})\s?(?:出生|生[，,。人\s])"
        ),
        ("生于1", "生于2", "生于 ", "生于一", "生于二", "生于１", "生于２", "出生", "born ", "日生"),
        _of_a_patient,
    ),
)
PERSON = (*NAMES, *BIRTH_DATES)
