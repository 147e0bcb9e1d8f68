"""Cross-entropy of the output tokens: the head is computed where it counts, and never for many tokens at one time.

Legend: B rows of a micro-batch, T tokens a row, D width, N target tokens of the micro-batch, V vocabulary.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from pipeline.recipe import RecipeError
from pipeline.records import IGNORE_INDEX
from training.isolation import hidden_states


class OutputLoss(nn.Module):
    """A causal language model whose forward pass is the loss of its output tokens.

    DeepSpeed is given this module, not the model, so that all parameters are used inside one forward call.
    """

    def __init__(self, model: nn.Module, *, flat: bool) -> None:
        super().__init__()
        self.model = model
        self.flat = flat

    def forward(
        self, input_ids_BT: Tensor, positions_BT: Tensor, labels_BT: Tensor, chunks: int
    ) -> tuple[Tensor, Tensor]:
        """Return the sum of the N target tokens' losses, and the (N,) losses without gradient, in row order.

        Args:
            labels_BT: unshifted; position t is asked for label t + 1 unless that is IGNORE_INDEX.
            chunks: pieces in which logits are computed, the same on every rank: with ZeRO-3 each gathers the head.
        """
        hidden_BTD = hidden_states(self.model, flat=self.flat)(input_ids_BT, positions_BT)
        next_BT = labels_BT[:, 1:]
        wanted_BT = next_BT != IGNORE_INDEX
        hidden_ND, labels_N = hidden_BTD[:, :-1][wanted_BT], next_BT[wanted_BT]
        pieces = list(zip(hidden_ND.tensor_split(chunks), labels_N.tensor_split(chunks), strict=True))
        # All but the last piece compute their logits again in the backward pass, which begins with the last.
        losses = [
            checkpoint(self._losses, *piece, use_reentrant=False, preserve_rng_state=False) for piece in pieces[:-1]
        ]
        losses_N = torch.cat([*losses, self._losses(*pieces[-1])])
        return losses_N.sum(), losses_N.detach()

    def _losses(self, hidden_ND: Tensor, labels_N: Tensor) -> Tensor:
        logits_NV = self.model.get_output_embeddings()(hidden_ND)  # type: ignore[operator]
        precise = torch.promote_types(logits_NV.dtype, torch.float32)
        return functional.cross_entropy(logits_NV.to(precise), labels_N, reduction="none")


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Split the trainable parameters into those with weight decay (matrices) and those without (norms, biases)."""
    groups: dict[bool, list[nn.Parameter]] = {True: [], False: []}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups[parameter.ndim >= 2 and "norm" not in name.lower() and not name.endswith("bias")].append(parameter)
    decays = {True: weight_decay, False: 0.0}
    return [{"params": groups[key], "weight_decay": decays[key]} for key in groups if groups[key]]


@torch.no_grad()
def check_head(model: nn.Module, input_ids: Iterable[int]) -> None:
    """Check that the model's logits are its head applied to its hidden states and nothing more.

    Raises:
        RecipeError: the architecture scales or caps its logits, which OutputLoss would leave out.
    """
    ids_BT = torch.tensor([list(input_ids)], device=next(model.parameters()).device)
    positions_BT = torch.arange(ids_BT.shape[1], device=ids_BT.device)[None]
    ours = model.get_output_embeddings()(hidden_states(model, flat=False)(ids_BT, positions_BT))  # type: ignore[operator]
    theirs = model(input_ids=ids_BT, position_ids=positions_BT, use_cache=False).logits
    difference = float((ours.float() - theirs.float()).abs().max() / theirs.float().abs().max())
    if not difference <= 1e-2:
        kind = type(model).__name__
        raise RecipeError(
            f"[train] model: {kind} scales its logits (by {difference:.2g}), expected head(hidden states) as they are"
        )
