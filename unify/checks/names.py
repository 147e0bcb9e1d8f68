"""Drug and disease names: those of a text that nothing known names, in either language.

A name is one of `names.tsv`, whose lines join generic names, brands, old names and abbreviations in Chinese and
English, a word with the stem of a class of drugs (-pril, 普利) by the system of international nonproprietary names, or
one with the ending of a class of diseases (-itis). It is known if any name of its line stands in what is known.
"""

import re
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

from ahocorasick_rs import AhoCorasick, MatchKind

Span = tuple[int, int]

DRUG_STEM = re.compile(
    r"\b[a-z]{3,}(?:pril|sartan|olol|dipine|statin|[aei]zole|cillin|mycin|micin|floxacin|cycline|mab|[it]nib"
    r"|ciclib|vir|"
    r"gliptin|gliflozin|glutide|glitazone|setron|triptan|tidine|azepam|azolam|barbital|caine|curonium|parin|xaban|"
    r"gatran|platin|rubicin|taxel|trexate|phylline|terol|[ns]isone|[ns]isolone|olone|sonide|profen|oxicam|coxib|zosin|"
    r"lukast|oxetine|pramine|triptyline|peridol|idone|[zt]apine|gabalin|thiazide|semide|lactone|formin|penem|dronate|"
    r"fibrate|azepine|amivudine|citabine|oxamine|anazol|tropine|stigmine|relin|fungin|grelor|mustine|teplase|"
    r"racetam|sulfan|antrone|arabine|ribine|arone|zepine|ilast|astine|bamate|begron|butazone|drine|entan|fenacin|"
    r"fentan[iy]l|grastim|oxifene|irudin|kacin|mantadine|elteon|onidine|prost|pitant|ginase|poetin|rinone|siran|"
    r"tiazem|toin|trexone|zolamide|[bnt][ae]rcept|firam|camide|thiouracil|uridine|vaptan|bactam|bendazole|dralazine|flurane|gestrel|steride|limus|nicline|"
    r"pamide|parib|zolpidem|quine|terone|zomib|tecan|verine|fenac|metacin|tadine|prazole|dopa)e?s?\b|\bcef[a-z]{4,}\b|\bsulfa[a-z]{3,}\b"
)
# Two characters before a stem tell one drug of a class from another.
DRUG_STEM_ZH = re.compile(
    r"[一-鿿]{2}(?:普利|沙坦|洛尔|地平|他汀|西林|霉素|沙星|环素|培南|硝唑|康唑|拉唑|替丁|西泮|唑仑|噻嗪|塞米"
    r"|列净|列汀|列奈|列酮|"
    r"单抗|替尼|洛韦|司琼|普坦|昔布|昔康|洛芬|米松|奈德|特罗|茶碱|卡因|溴铵|沙班|比星|他滨|蝶呤|膦酸|贝特|西汀"
    r"|普兰|硫平|巴坦|[那拉布匹]韦|替康|生坦|司特|夫定|芬净|佐米|度胺|米特|瑞林|肼[嗪啶]|磺[一-鿿]?脲|"
    r"颗粒|胶囊|注射液|口服液|滴丸|糖浆|(?<!睾)丸|汤|(?<![扩分驱发消解弥疏播离涣])散(?!发|在|射|步|热|寒|结|瘀)"
    r"|饮子|(?<![软药牙石乳贴糊雪眼唇硬油浸])膏(?![药体剂方滋])"
    r"|(?<![图照胸平切涂药名影薄鳞卡刀镜玻摄拍阅饮膜碎叶底牙瓣大小斑成骨肉姜皮织芯木垫夹甲盖载贴断染释溶散腾嚼衣含糖录破蕉一两三半几每此])"
    r"片(?![剂段状面子刻块层中上区内]))|头孢[一-鿿]{2}|格列[一-鿿]{2}"
)
NO_PART_OF_NAME = re.compile(
    r"[用服予和与及或的如是为可等含以加喝煮炖、粒每应能吃]"
)  # of Chinese names, as their first two characters
DISEASE_ENDING = re.compile(
    r"\b[a-z]{3,}(?:itis|carcinoma|sarcoma|blastoma|lymphoma|a?emia|penia|iasis|dystrophy|neuropathy|myopathy|plegia)\b"
)
_WORD = re.compile(r"(?<!\w)[a-z]{6,}(?!\w)")
HAN = re.compile(r"[㐀-鿿]")


@dataclass(frozen=True)
class Name:
    """A name as a text has it, where it stands, and all names of the same thing."""

    kind: str  # drug, disease
    written: str
    span: Span
    same: tuple[str, ...]


@lru_cache(maxsize=1024)
def names_in(text: str) -> tuple[Name, ...]:
    """List the names of a text in order; of names that overlap the longest counts, and listed ones before stems."""
    low = lowered(text)
    search, listed = _listed()
    found = []
    for pattern, start, end in search.find_matches_as_indexes(low):
        kind, name, same = listed[pattern]
        if _stands_alone(low, start, end, name):
            found.append(Name(kind, text[start:end], (start, end), same))
    taken = [name.span for name in found]
    shaped = [(kind, *one.span()) for one in _WORD.finditer(low) if (kind := _kind_by_shape(one[0]))]
    if HAN.search(low):
        stems = (one.span() for one in DRUG_STEM_ZH.finditer(low))
        shaped += [("drug", *span) for span in stems if not NO_PART_OF_NAME.search(low[span[0] : span[0] + 2])]
    for kind, start, end in shaped:
        if not any(start < there and here < end for here, there in taken):
            found.append(Name(kind, text[start:end], (start, end), (low[start:end],)))
    return tuple(sorted(found, key=lambda name: name.span))


@lru_cache(maxsize=1 << 16)
def _kind_by_shape(word: str) -> str:
    """Tell by its stem or ending whether a word in small letters is a drug or a disease, or "" if neither."""
    return "drug" if DRUG_STEM.fullmatch(word) else "disease" if DISEASE_ENDING.fullmatch(word) else ""


def drugs_in(text: str) -> tuple[tuple[int, int, str], ...]:
    """List where the drugs of a text stand and end, each with the name that stands for all names of its line."""
    return tuple((*name.span, name.same[0]) for name in names_in(text) if name.kind == "drug")


def foreign_drug(text: str, known: str, *, same_language: bool = True) -> str | None:
    """Find a drug that a text names and `known` does not; across languages only listed names are compared."""
    return _foreign(text, known, "drug", same_language)


def foreign_disease(text: str, known: str, *, same_language: bool = True) -> str | None:
    """Find a disease that a text names and `known` does not; across languages only listed names are compared."""
    return _foreign(text, known, "disease", same_language)


def lowered(text: str) -> str:
    """Lower the letters of a text, one for one, so that positions stay."""
    low = text.lower()
    if len(low) == len(text):
        return low
    return "".join(one if len(one := letter.lower()) == 1 else letter for letter in text)


def _foreign(text: str, known: str, kind: str, same_language: bool) -> str | None:
    low = lowered(known)
    for name in names_in(text):
        listed = len(name.same) > 1
        if name.kind == kind and (same_language or listed) and not any(_stands_in(one, low) for one in name.same):
            return name.written
    return None


def _stands_in(name: str, known: str) -> bool:
    """Tell whether known text has a name; of English words the plural, and all but a last letter, count too."""
    if HAN.search(name):
        return name in known
    return any(_stands_alone(known, found.start(), found.end(), name) for found in re.finditer(re.escape(name), known))


def _stands_alone(text: str, start: int, end: int, name: str) -> bool:
    """Tell whether a Latin name begins and ends at borders of words; Han names have none."""
    before, after = text[start - 1 : start], text[end : end + 2]
    if name[0].isascii() and before.isascii() and before.isalnum():
        return False
    return not (
        name[-1].isascii() and after[:1].isascii() and after[:1].isalnum() and not re.match(r"s(?![a-z])|s$", after)
    )


@cache
def _listed() -> tuple[AhoCorasick, list[tuple[str, str, tuple[str, ...]]]]:
    """Read names.tsv into a search, and for each of its patterns the kind, the name and all names of its line."""
    rows = []
    for line in (Path(__file__).parent / "names.tsv").read_text("utf-8").splitlines():
        if not line.startswith("#"):
            kind, chinese, english = line.split("\t")
            same = tuple(name.lower() for name in f"{chinese}|{english}".split("|") if name)
            rows += [(kind, name, same) for name in same]
    return AhoCorasick([name for _, name, _ in rows], MatchKind.LeftmostLongest), rows
