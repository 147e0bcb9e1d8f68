"""Packed examples must not see each other: positions that restart at each, and a check that the model heeds them.

transformers (5.23) builds a block-diagonal mask from positions that restart, and only if it is given no attention
mask and no cache. A model or an attention implementation that ignores them leaks without a word, so we look.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.recipe import RecipeError

Hidden = Callable[[Tensor, Tensor], Tensor]  # (B, T) input ids, (B, T) positions -> (B, T, D) hidden states

# Relative root-mean-square difference that rounding explains, after some thirty layers; a leak shows as 0.05 to 1.
TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 3e-2}
EXAMPLES = ((11, 7, 13), (5, 17, 9))  # lengths in the two rows of the check, the second row with padding


def positions_of(seq_lens: Sequence[Sequence[int]], row_tokens: int) -> NDArray[np.int64]:
    """Number the tokens of each example from 0, and those of the padding behind them from 0 again.

    Returns:
        (N, T) positions for N rows of T = `row_tokens` tokens.
    """
    positions_NT = np.empty((len(seq_lens), row_tokens), np.int64)
    for row, lengths in enumerate(seq_lens):
        whole = np.array([*lengths, row_tokens - sum(lengths)])
        positions_NT[row] = np.arange(row_tokens) - np.repeat(np.cumsum(whole) - whole, whole)
    return positions_NT


def hidden_states(model: nn.Module, *, flat: bool) -> Hidden:
    """Return the function from tokens to the model's last hidden states, before the head.

    Args:
        flat: lay the rows end to end first. Flash attention isolates packed examples in a batch of one row only.
    """
    decoder: Any = model.base_model

    def hidden(input_ids_BT: Tensor, positions_BT: Tensor) -> Tensor:
        shape = (1, -1) if flat else input_ids_BT.shape
        states: Tensor = decoder(
            input_ids=input_ids_BT.reshape(shape),
            position_ids=positions_BT.reshape(shape),
            attention_mask=None,
            use_cache=False,
        ).last_hidden_state
        return states.view(*input_ids_BT.shape, -1)

    return hidden


@torch.no_grad()
def check_isolation(hidden: Hidden, *, vocabulary: int, device: torch.device, dtype: torch.dtype) -> None:
    """Compare packed examples with the same examples alone, and with neighbours of other tokens.

    Raises:
        RecipeError: an example's hidden states depend on its neighbours.
    """
    width = max(map(sum, EXAMPLES))
    ids_BT = torch.randint(vocabulary, (len(EXAMPLES), width), generator=torch.Generator().manual_seed(0)).to(device)
    positions_BT = torch.from_numpy(positions_of(EXAMPLES, width)).to(device)
    packed_BTD = hidden(ids_BT, positions_BT)
    changed_BT = ids_BT.clone()
    for row, lengths in enumerate(EXAMPLES):
        changed_BT[row, : lengths[0]] = (changed_BT[row, : lengths[0]] + vocabulary // 2) % vocabulary
    beside_BTD = hidden(changed_BT, positions_BT)
    for row, lengths in enumerate(EXAMPLES):
        start = 0
        for index, length in enumerate(lengths):
            span = slice(start, start + length)
            alone_TD = hidden(ids_BT[row : row + 1, span], positions_BT[row : row + 1, span])[0]
            off = [("alone", _difference(packed_BTD[row, span], alone_TD), TOLERANCE[dtype])]
            if index:
                # The same computation on the same numbers: anything but zero is a leak, or another order of sums.
                off.append(
                    (
                        "beside other tokens",
                        _difference(packed_BTD[row, span], beside_BTD[row, span]),
                        TOLERANCE[dtype] / 10,
                    )
                )
            for where, difference, tolerance in off:
                if not difference <= tolerance:
                    raise RecipeError(
                        f"[train] model, attention: packed examples leak into each other: example {index + 1} of a row "
                        f"differs by {difference:.2g} from itself {where}, expected at most {tolerance:.2g}"
                    )
            start += length


def _difference(some: Tensor, other: Tensor) -> float:
    """Return the root-mean-square difference relative to the root mean square."""
    some, other = some.float(), other.float()
    return float((some - other).square().mean().sqrt() / other.square().mean().sqrt())
