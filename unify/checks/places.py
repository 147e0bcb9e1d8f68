"""Places of a text by what stands beside them, so that an answer's place is known again in its passage."""

from collections.abc import Iterator

# Characters beside a place by which it is known again: on both sides, or on one side alone; Han, others.
BOTH, ALONE = (4, 10), (8, 24)

Beside = tuple[str, str]  # what stands before and after a place, without blanks


def beside(start: int, end: int, folded: str) -> Iterator[Beside]:
    """Yield what folded[start:end] is known by in a folded text: a little on both sides, or more on one of them."""
    before = "".join(folded[max(0, start - 40) : start].split())
    after = "".join(folded[end : end + 40].split())
    left_size, right_size = _sizes(before[-BOTH[0] :]), _sizes(after[: BOTH[0]])
    left, right = before[-left_size[0] :], after[: right_size[0]]
    if len(left) == left_size[0] and len(right) == right_size[0]:
        yield left, right
    left, right = before[-left_size[1] :], after[: right_size[1]]
    if len(left) == left_size[1]:
        yield left, ""
    if len(right) == right_size[1]:
        yield "", right


def _sizes(near: str) -> tuple[int, int]:
    """Return how many characters a place is known by, together with the other side and alone."""
    han = any(character > "\u2e7f" for character in near)
    return BOTH[not han], ALONE[not han]
