"""Count the tokens of a text along its characters, by the tokenizer of the model that is trained."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import cast

import numpy as np
import tokenizers

from pipeline.recipe import RecipeError

BATCH_CHARS = 1 << 16  # tokenised at once, so that memory is bounded; at most one token in as many characters is cut


def token_ruler(text: str, tokenizer: str) -> Sequence[int]:
    """Return the number of tokens that begin before each of the C characters of a text, and before its end: C + 1.

    Tokens are those of the document as it stands: read alone, a passage may have one more at either end.

    Raises:
        RecipeError: there is no such tokenizer, or none that tells which characters a token covers.
    """
    loaded = _load(tokenizer)
    begins = [np.zeros(0, np.int64)]
    for first in range(0, len(text), BATCH_CHARS):
        # One text at a time: the library then starts no threads, which a process that forks could not bear.
        offsets = loaded.encode(text[first : first + BATCH_CHARS], add_special_tokens=False).offsets
        begins.append(np.array(offsets, np.int64).reshape(-1, 2)[:, 0] + first)
    ruler = np.zeros(len(text) + 1, np.int64)
    np.cumsum(np.bincount(np.concatenate(begins), minlength=len(text)), out=ruler[1:])
    return cast(Sequence[int], ruler.data)


@lru_cache(maxsize=2)
def _load(name: str) -> tokenizers.Tokenizer:
    file = Path(name) / "tokenizer.json"
    try:
        if Path(name).is_dir():
            loaded = tokenizers.Tokenizer.from_file(str(file))
        else:
            loaded = tokenizers.Tokenizer.from_pretrained(name)
    except Exception as error:  # the library raises nothing more exact
        why = str(error).splitlines()[0]
        raise RecipeError(f"[segment] max_tokens: got {name}, expected a model with a tokenizer.json: {why}") from None
    loaded.no_truncation()
    loaded.no_padding()
    return loaded
