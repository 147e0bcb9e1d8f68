"""Whether a text stands alone: it mentions no passage and points at nothing that its reader does not see."""

import re

LEAKS = re.compile(
    r"(上述|以上|本|该|原|这[段篇]|此)(文(本|章|中|献|段)?(?!化|明|字|献学)|段落|材料|资料|信息|片段|内容)"
    r"|文中|上文|前文|参考(资料|文献|信息|内容|文本)|所提供|给出的(信息|内容|资料|文本)|根据(资料|材料|段落|文章|文本)|作者(认为|指出|提到)"
    r"|\b(the|this|that|above|given|provided|following) "
    r"(passage|text|excerpt|article|document|paragraph|context|fact|sentence|statement|reference)s?\b"
    r"|\b(according to|in|from) the (author|above)\b|\bas (mentioned|stated|described) (above|earlier)\b"
    r"|\breference material\b",
    re.IGNORECASE,
)
DANGLING = re.compile(
    r"^(该[药病症品种类项方]|本(品|药|文|书|病(?![例史历程]))|上述|此[药病类外]|这(些|种|类|个|是|一|时|样)|其[中他次它]?|它们?|他们|因此|然而|但是|此外|另外|同时|而且|所以|否则|例如)"
    r"|^(it|its|this|that|these|those|they|their|he|she|his|her|such|however|therefore|thus|moreover|furthermore|"
    r"in addition|also|but|and|or|both|other|others|another|instead|otherwise|consequently|for example|for instance|"
    r"in contrast|by contrast|the latter|the former|then|similarly|hence|as a result|neither|either|one of these)\b",
    re.IGNORECASE,
)


def leak(text: str) -> str | None:
    """Find a mention of the passage, which whoever reads the pair does not see."""
    found = LEAKS.search(text)
    return found[0] if found else None


def not_standalone(text: str) -> str | None:
    """Find a beginning that points at something said before."""
    found = DANGLING.search(text.lstrip("“\"'(（ "))
    return found[0] if found else None


def pointing(question: str) -> str | None:
    """Find a word in a question that points at something its reader does not see."""
    found = re.search(r"\b(these|those|this)\b|[这那]些|[该此](?!时|外|类)", question, re.IGNORECASE)
    return found[0] if found else None
