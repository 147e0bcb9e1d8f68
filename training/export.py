"""Write the trained model as a Hugging Face folder: weights, tokenizer with its chat template, generation config."""

import shutil
from pathlib import Path
from typing import Any

import torch.distributed as dist
from transformers import AutoTokenizer, PreTrainedModel

from training.adapters import merge_adapters
from training.checkpoint import publish_folder
from training.config import TrainConfig


def export(
    engine: Any,
    model: PreTrainedModel,
    *,
    config: TrainConfig,
    ends: set[int],
    directory: Path,
    manifest: dict[str, Any],
) -> None:
    """Gather the weights and publish directory/hf with a manifest; every rank calls this.

    Args:
        engine: the DeepSpeed engine around OutputLoss(model).
        config: names the model, whose tokenizer encoded the data, and the template, where it is another one.
        ends: tokens with which examples end. Those that are special end generation: the chat template of a base model
            often closes a turn with another token than the model's own end of text.
    """
    if engine.zero_optimization_partition_weights():
        gathered = engine._zero3_consolidated_16bit_state_dict()  # every rank takes part, rank 0 receives
    else:
        gathered = engine.module_state_dict()
    if dist.get_rank() == 0:
        working = directory / ".hf"
        shutil.rmtree(working, ignore_errors=True)
        weights = {name.removeprefix("model."): tensor.detach().cpu() for name, tensor in gathered.items()}
        weights = merge_adapters(weights, config)
        for tied, source in (model.all_tied_weights_keys or {}).items():
            weights[tied] = weights[source]  # one tensor again, so that it is written once
        words = AutoTokenizer.from_pretrained(config.model)
        if config.chat_template is not None:
            words.chat_template = Path(config.chat_template).read_text(encoding="utf-8")
        special = {token for token, word in words.added_tokens_decoder.items() if word.special}
        known = model.generation_config.eos_token_id
        known = {known} if isinstance(known, int) else set(known or ())
        model.generation_config.eos_token_id = sorted(known | (ends & special))
        model.save_pretrained(working, state_dict=weights)
        words.save_pretrained(working)
        publish_folder(working, directory / "hf", manifest)
    dist.barrier()
