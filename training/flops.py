"""Model FLOPs utilisation: the arithmetic that a step needs, over what the device could do in its time.

Counted as in PaLM (arXiv:2204.02311, appendix B), for what is computed here: the head at target tokens alone, attention
between tokens of one example alone, padding and anything computed twice left out.
"""

import math
import time
from dataclasses import dataclass
from typing import Any

import torch

from training.rows import Rows

# Dense bf16 FLOPs/s by NVIDIA's data sheets, by a part of the device's name; the first that fits.
PEAKS = {
    "B200": 2.25e15, "GH200": 989e12, "H200": 989e12, "H100 PCIe": 756e12, "H100 NVL": 835e12, "H100": 989e12,
    "A100": 312e12, "L40S": 362e12,
}  # fmt: skip


@dataclass(frozen=True)
class StepFlops:
    """What a model needs in a step, forward and backward passes together."""

    token: int  # the matrices of the layers
    target: int  # the head
    pair: int  # attention of a token to one before it, or to itself

    def of(self, rows: Rows) -> float:
        """Return the FLOPs of a step over rows."""
        pairs = int((rows.positions_NT[rows.example_NT >= 0] + 1).sum())
        return float(self.token * rows.tokens + self.target * int(rows.targets_N.sum()) + self.pair * pairs)


def count_flops(model: Any) -> StepFlops:
    """Count what a causal language model needs, from its shapes; ZeRO-3 may have taken its weights away.

    A weight takes 2 FLOPs a token forward, 2 for the gradient of its input, and 2 for its own unless it is frozen.
    """
    config = model.config.get_text_config()
    head = model.get_output_embeddings().weight
    tables = {id(model.get_input_embeddings().weight), id(head)}
    matrices = [weight for weight in model.parameters() if id(weight) not in tables and len(_shape(weight)) > 1]
    head_width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return StepFlops(
        token=sum(number_of_elements(weight) * (6 if weight.requires_grad else 4) for weight in matrices),
        target=number_of_elements(head) * (6 if head.requires_grad else 4),
        # Two products, with keys and with values: 2 FLOPs a channel forward, 4 backward.
        pair=2 * 6 * config.num_hidden_layers * config.num_attention_heads * head_width,
    )


def number_of_elements(weight: Any) -> int:
    """Return the elements of a parameter, also where ZeRO-3 has taken them away."""
    return math.prod(_shape(weight))


def _shape(weight: Any) -> tuple[int, ...]:
    return tuple(getattr(weight, "ds_shape", weight.shape))


def peak_flops(device: torch.device, dtype: torch.dtype) -> float:
    """Return the FLOPs/s of one device: of its data sheet for bf16, else of the fastest of five matrix products."""
    if device.type == "cuda" and dtype == torch.bfloat16:
        name = torch.cuda.get_device_name(device)
        if found := next((peak for part, peak in PEAKS.items() if part in name), None):
            return found
    width = 8192 if device.type == "cuda" else 512
    left, best = torch.ones(width, width, device=device, dtype=dtype), math.inf
    for _ in range(5):
        started = time.perf_counter()
        (left @ left)[0, 0].item()
        best = min(best, time.perf_counter() - started)
    return 2 * width**3 / best
