"""Write the trained model as a Hugging Face folder: weights, tokenizer with its chat template, generation config."""

import shutil
from pathlib import Path
from typing import Any

import torch.distributed as dist
from transformers import AutoTokenizer, PreTrainedModel

from training.checkpoint import publish_folder


def export(
    engine: Any,
    model: PreTrainedModel,
    *,
    tokenizer: str,
    chat_template: str | None,
    ends: set[int],
    directory: Path,
    manifest: dict[str, Any],
) -> None:
    """Gather the weights and publish directory/hf with a manifest; every rank calls this.

    Args:
        engine: the DeepSpeed engine around OutputLoss(model).
        tokenizer: the folder or hub name of the tokenizer that encoded the data.
        chat_template: file of the template that encoded the data, where it was not the tokenizer's own.
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
        for tied, source in (model.all_tied_weights_keys or {}).items():
            weights[tied] = weights[source]  # one tensor again, so that it is written once
        words = AutoTokenizer.from_pretrained(tokenizer)
        if chat_template is not None:
            words.chat_template = Path(chat_template).read_text(encoding="utf-8")
        special = {token for token, word in words.added_tokens_decoder.items() if word.special}
        known = model.generation_config.eos_token_id
        known = {known} if isinstance(known, int) else set(known or ())
        model.generation_config.eos_token_id = sorted(known | (ends & special))
        model.save_pretrained(working, state_dict=weights)
        words.save_pretrained(working)
        publish_folder(working, directory / "hf", manifest)
    dist.barrier()
