"""Where DeepSpeed keeps the fp32 weights and Adam's moments of each parameter: the pieces that a rank steps.

ZeRO lays parameters end to end in flat tensors and gives every rank a part of them; how it cuts depends on the stage
and the number of ranks. A piece says which elements of which parameter lie where, so that a checkpoint can be cut in
another way than the run that reads it. Nothing else of ours knows DeepSpeed's (0.19.8) insides.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

MOMENTS = ("exp_avg", "exp_avg_sq")


@dataclass(frozen=True)
class Piece:
    """Elements `start` to `start + length` of a parameter laid flat, at `offset` of what the optimizer steps."""

    name: str
    start: int
    length: int
    flat: Tensor  # fp32
    offset: int

    def views(self, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
        """Return the (length,) weights and moments themselves; no moments before the optimizer's first step."""
        state = optimizer.state.get(self.flat, {})
        tensors = {"weight": self.flat.detach(), **{name: state[name] for name in MOMENTS if name in state}}
        return {name: tensor.view(-1).narrow(0, self.offset, self.length) for name, tensor in tensors.items()}


def own_pieces(engine: Any) -> Iterator[Piece]:
    """Yield the pieces of the trainable parameters that this rank's optimizer steps, in the model's order."""
    optimizer, copies = engine.optimizer, dict(_copies(engine))
    for name, parameter in engine.module.named_parameters():
        if not parameter.requires_grad:
            continue
        if hasattr(parameter, "ds_id"):  # ZeRO-3: every parameter is cut in as many equal parts as there are ranks
            group, offset, length = optimizer.grad_position[optimizer.get_param_id(parameter)]
            start = dist.get_rank() * length
            length = min(length, parameter.ds_numel - start)  # the last parts may be padding
            flat = optimizer.fp32_partitioned_groups_flat[group]
        elif hasattr(parameter, "_hp_mapping"):  # ZeRO-1 and 2: the whole group is cut
            if parameter._hp_mapping is None:
                continue  # another rank's
            mapping = parameter._hp_mapping
            start, length = mapping.lp_fragment_address.start, mapping.lp_fragment_address.numel
            offset = mapping.hp_fragment_address.start
            flat = engine.basic_optimizer.param_groups[mapping.param_group_index]["params"][0]
        else:  # no ZeRO: every rank steps everything, for bf16 in copies
            start, length, flat, offset = 0, parameter.numel(), copies.get(parameter, parameter), 0
        if length > 0:
            yield Piece(name, start, length, flat, offset)


def is_replicated(engine: Any) -> bool:
    """Say whether every rank owns all pieces."""
    return not engine.zero_optimization()


def adam_steps(engine: Any) -> int:
    """Return how many steps Adam has taken."""
    steps = {int(state["step"]) for state in engine.basic_optimizer.state.values() if "step" in state}
    return max(steps, default=0)


def begin_moments(engine: Any, steps: int) -> None:
    """Make room for the moments of an optimizer that has taken `steps` steps, as its first step would."""
    for flat in {id(piece.flat): piece.flat for piece in own_pieces(engine)}.values():
        state = engine.basic_optimizer.state[flat]
        state["step"] = torch.tensor(float(steps), dtype=torch.float32, device=flat.device)
        for name in MOMENTS:
            state[name] = torch.zeros_like(flat, memory_format=torch.preserve_format)


@torch.no_grad()
def take_weights(engine: Any) -> None:
    """Let the model compute with the fp32 weights as they now are; every rank calls this."""
    optimizer = engine.optimizer
    if hasattr(optimizer, "fp32_partitioned_groups_flat"):  # ZeRO-3
        optimizer.checkpoint_event_prologue()  # small parameters, which stay whole everywhere, are cut
        for flat, group in zip(optimizer.fp32_partitioned_groups_flat, optimizer.fp16_groups, strict=True):
            for parameter in group:
                _, offset, length = optimizer.grad_position[optimizer.get_param_id(parameter)]
                parameter.ds_tensor.copy_(flat.narrow(0, offset, length).view_as(parameter.ds_tensor))
        if optimizer.persistent_parameters:
            optimizer.persistent_parameters[0].partition(optimizer.persistent_parameters)
        optimizer.checkpoint_event_epilogue()  # and made whole again
    elif hasattr(optimizer, "update_lp_params"):
        optimizer.update_lp_params()
    for parameter, copy in _copies(engine):
        parameter.copy_(copy)


def _copies(engine: Any) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the bf16 parameters that have an fp32 copy of their own, without ZeRO."""
    if hasattr(engine.optimizer, "fp32_groups"):
        yield from zip(chain(*engine.optimizer.fp16_groups), chain(*engine.optimizer.fp32_groups), strict=True)
