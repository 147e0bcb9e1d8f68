"""LoRA (arXiv:2106.09685): low-rank adapters beside every linear layer learn, the model's own weights do not.

peft puts the adapters into the model in place; they are added to the weights at export, so that what a run leaves is a
plain model whichever way it was trained.
"""

from collections.abc import Mapping

from torch import Tensor, nn

from training.config import TrainConfig

ADAPTER = "default"  # peft's name of the only one


def add_adapters(model: nn.Module, config: TrainConfig) -> None:
    """Freeze the model and add adapters to its linear layers, the head left out. They begin as nothing."""
    import peft  # takes seconds

    lora = peft.LoraConfig(
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,  # type: ignore[arg-type]  # peft divides; fractions are fine
        lora_dropout=config.lora_dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    peft.inject_adapter_in_model(lora, model, adapter_name=ADAPTER)


def merge_adapters(weights: Mapping[str, Tensor], config: TrainConfig) -> dict[str, Tensor]:
    """Add the adapters among a model's weights to those beside them, in fp32, and name these as before."""
    merged = {}
    for name, weight in weights.items():
        if ".lora_" in name:
            continue
        layer, is_adapted, rest = name.partition(".base_layer.")
        if is_adapted and rest == "weight":
            down, up = (weights[f"{layer}.lora_{side}.{ADAPTER}.weight"].float() for side in "AB")
            weight = (weight.float() + (up @ down) * (config.lora_alpha / config.lora_rank)).to(weight.dtype)
        merged[f"{layer}.{rest}" if is_adapted else name] = weight
    return merged
