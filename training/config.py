"""The [train] table of a recipe."""

from typing import Literal

from pydantic import Field

from pipeline.recipe import Config


class TrainConfig(Config):
    """How one pass over the packed rows is trained."""

    model: str = Field(
        default="smollm2-135m-instruct", min_length=1, description="folder, hub name, or the embedded model"
    )
    chat_template: str | None = Field(default=None, description="file of a Jinja template; none: the model's own")
    batch_rows: int = Field(default=128, ge=1, description="packed rows an optimizer step, over all ranks")
    micro_batch_rows: int = Field(default=4, ge=1, description="packed rows a forward pass of one rank")
    learning_rate: float = Field(default=1e-5, gt=0)
    schedule: Literal["wsd", "cosine", "paper_cosine"] = "wsd"
    warmup_ratio: float = Field(default=0.01, ge=0, lt=1, description="share of the steps with a rising learning rate")
    decay_ratio: float = Field(
        default=0.2, ge=0, le=1, description="wsd: share of the steps at the end with a falling one"
    )
    min_lr_ratio: float = Field(default=0.1, ge=0, le=1, description="wsd, cosine: where the learning rate ends")
    weight_decay: float = Field(default=0.1, ge=0, description="of matrices; norms and biases have none")
    betas: tuple[float, float] = (0.9, 0.95)
    grad_clip: float = Field(default=1.0, gt=0)
    dtype: Literal["bf16", "fp32"] = "bf16"
    attention: str = Field(
        default="sdpa", description="by_example, or an implementation of transformers that isolates examples"
    )
    zero_stage: int = Field(default=1, ge=0, le=3)
    offload: Literal["none", "optimizer", "all"] = Field(
        default="none", description="what waits in the host's memory: fp32 weights and moments; with ZeRO-3 weights too"
    )
    gradient_checkpointing: bool = False
    lora_rank: int = Field(default=0, ge=0, description="of adapters beside every linear layer; 0: all weights learn")
    lora_alpha: float = Field(default=32.0, gt=0, description="an adapter counts lora_alpha / lora_rank times")
    lora_dropout: float = Field(default=0.0, ge=0, lt=1)
    chunk_targets: int = Field(default=2048, ge=1, description="output tokens whose logits are in memory at one time")
    max_steps: int | None = Field(
        default=None, ge=1, description="stop after so many steps; the schedule ends there too"
    )
    eval_every: int = Field(
        default=0, ge=0, description="steps between held-out losses; 0: before the first and after the last"
    )
    save_every: int = Field(default=500, ge=0, description="steps between checkpoints; 0: only after the last")
    keep_checkpoints: int = Field(
        default=1, ge=1, description="newest; the one with the lowest held-out loss stays too"
    )
    max_hours: float | None = Field(
        default=None, gt=0, description="save and stop before so many hours; the same command goes on"
    )
    max_loss_jump: float = Field(
        default=3.0, gt=0, description="nats of a step's loss above the median of the last 32; more stops the run"
    )
    skip_steps: tuple[int, ...] = Field(default=(), description="steps, counted from 1, whose rows are passed over")
    trackers: tuple[Literal["wandb", "trackio"], ...] = Field(default=(), description="beside TensorBoard")
    seed: int = Field(default=0, ge=0)


# Settings that say how the run is carried out; the losses are the same with any of them, to rounding.
UNHASHED = frozenset(
    {
        "micro_batch_rows",
        "zero_stage",
        "offload",
        "gradient_checkpointing",
        "chunk_targets",
        "eval_every",
        "save_every",
        "keep_checkpoints",
        "trackers",
        "max_hours",
        "max_loss_jump",
        "skip_steps",  # a run that stopped at a step goes on in its own folder; the exported manifest names them
    }
)
