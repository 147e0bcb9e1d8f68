"""Attention example by example: what a block-diagonal mask would hide is not computed at all.

The attention implementation `by_example`, beside those of transformers. Of a row of T tokens sdpa with a mask computes
all T * T products on a CPU; this computes the sum of the squared lengths of its examples, each causal.
Legend: B rows, H heads, T tokens a row, L tokens of an example, D width of a head.
"""

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AttentionInterface, AttentionMaskInterface

BY_EXAMPLE = "by_example"


def register_by_example() -> None:
    """Let models be loaded with `attn_implementation="by_example"`."""
    AttentionInterface.register(BY_EXAMPLE, attend_by_example)
    AttentionMaskInterface.register(BY_EXAMPLE, _no_mask)


def attend_by_example(
    module: nn.Module,
    query_BHTD: Tensor,
    key_BHTD: Tensor,
    value_BHTD: Tensor,
    attention_mask: None,
    *,
    position_ids: Tensor,
    sliding_window: int | None = None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **settings: Any,
) -> tuple[Tensor, None]:
    """Attend to the tokens of one's own example up to oneself; an example begins at position 0.

    Args:
        key_BHTD: of as many heads as the values, or of a divisor of the queries' heads.
        sliding_window: tokens that one sees, oneself included; none: all.

    Returns:
        (B, T, H, D), and no weights.

    Raises:
        ValueError: the model caps its scores or has attention sinks, which are not computed here.
    """
    if settings.get("s_aux") is not None or settings.get("softcap") is not None:
        raise ValueError(f"{BY_EXAMPLE}: got a model with attention sinks or capped scores, expected neither")
    rows, heads, width, _ = query_BHTD.shape
    grouped = heads != key_BHTD.shape[1]
    found = []
    for row, positions_T in enumerate(position_ids.expand(rows, width)):
        starts = torch.nonzero(positions_T == 0).flatten().tolist()
        lengths = [stop - start for start, stop in pairwise(sorted({0, *starts, width}))]
        # split, not slices: the gradient of each slice would be as long as the row.
        parts = (torch.split(part_BHTD[row : row + 1], lengths, 2) for part_BHTD in (query_BHTD, key_BHTD, value_BHTD))
        for query_1HLD, key_1HLD, value_1HLD in zip(*parts, strict=True):
            band_LL = _band(query_1HLD.shape[2], sliding_window, query_BHTD.device)
            found.append(
                functional.scaled_dot_product_attention(
                    query_1HLD,
                    key_1HLD,
                    value_1HLD,
                    attn_mask=band_LL,
                    is_causal=band_LL is None,
                    dropout_p=dropout,
                    scale=scaling,
                    enable_gqa=grouped,
                )
            )
    out_BTHD = torch.cat(found, 2).transpose(1, 2).view(rows, width, *query_BHTD.shape[1::2])
    return out_BTHD, None


def _band(tokens: int, sliding_window: int | None, device: torch.device) -> Tensor | None:
    if sliding_window is None or tokens <= sliding_window:
        return None
    behind_TT = torch.arange(tokens, device=device)[:, None] - torch.arange(tokens, device=device)
    return (behind_TT >= 0) & (behind_TT < sliding_window)


def _no_mask(*_: Any, **__: Any) -> None:
    """What the model asks for in place of a mask."""
