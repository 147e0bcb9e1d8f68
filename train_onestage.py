"""Train a model once on the packed rows of a recipe, in their order: recipe, model, DeepSpeed, loop.

    python -m training.launch RECIPE            on every GPU of this machine, or [run] processes without one
    torchrun ... train_onestage.py RECIPE       the same under a launcher of your own

Reads PackedSequence, writes data/train/<key>/: step-<n>/ checkpoints, metrics.jsonl, tensorboard/ and, at the end, hf/.
One-stage adaption (arXiv:2311.09774): one pass in priority order, loss on outputs only. A step's loss is the mean over
its target tokens, whatever the micro-batches and ranks. A run that is killed goes on from its newest checkpoint.
"""

import os
import socket
import sys
import time
import warnings
from contextlib import AbstractContextManager, nullcontext, redirect_stdout
from dataclasses import asdict, dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any, cast

import deepspeed
import numpy as np
import torch
import torch.distributed as dist
import transformers
from deepspeed.accelerator import get_accelerator
from numpy.typing import NDArray
from transformers import AutoModelForCausalLM, PreTrainedModel

from pipeline.progress import Meter, meter
from pipeline.recipe import RecipeError
from pipeline.records import KINDS, uniform
from pipeline.shards import ContractError, only_run
from training.adapters import add_adapters
from training.attention import register_by_example
from training.checkpoint import load_newest, remove_unfinished, save_checkpoint
from training.config import TrainConfig
from training.export import export
from training.flops import count_flops, number_of_elements, peak_flops
from training.guard import MEMORY, check_losses, check_norm
from training.isolation import check_isolation, hidden_states
from training.launch import read_run
from training.loss import OutputLoss, check_head, parameter_groups
from training.metrics import Metrics, losses_of, means, sum_over_ranks, tally
from training.rows import PackedRows, Rows, micro_batches
from training.schedule import learning_rate
from training.stop import stop_signals

Sums = NDArray[np.float64]  # (2, codes): of losses, and of their tokens
DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}


def main(arguments: list[str]) -> int:
    """Train the recipe named in the arguments; exit code 2 where a person can mend what is wrong."""
    try:
        if len(arguments) != 1:
            raise RecipeError(f"train_onestage.py: got {len(arguments)} arguments, expected one, a recipe")
        run = read_run(arguments[0])
        if run.done:
            _say(run.done)
        else:
            train(run.pack, run.directory, run.config)
    except (RecipeError, ContractError) as error:
        _say(f"onestage: {error}", file=sys.stderr)
        return 2
    return 0


def train(pack: Path, directory: Path, config: TrainConfig) -> None:
    """Train on the rows of `pack` and leave the model in directory/hf. `config.model` is a folder or a hub name.

    Raises:
        RecipeError: the model cannot be trained on these rows as the recipe says, or a loss is no number or a spike.
        ContractError: a packed row or a checkpoint is not what it should be.
    """
    rank, world, device = _join_ranks()
    directory.mkdir(parents=True, exist_ok=True)
    with only_run(directory) if rank == 0 else nullcontext():
        _train(pack, directory, config, rank, world, device)


def _train(pack: Path, directory: Path, config: TrainConfig, rank: int, world: int, device: torch.device) -> None:
    # Rows.
    rows = PackedRows(pack)
    steps = -(-rows.num_train // config.batch_rows)
    steps = min(steps, config.max_steps or steps)
    accumulation = -(-config.batch_rows // (config.micro_batch_rows * world))

    # Model.
    torch.manual_seed(config.seed)
    model: Any = load_model(config, rows.row_tokens)
    model.to(device)
    model.eval()
    flat = "flash" in config.attention
    vocabulary = model.get_input_embeddings().weight.shape[0]
    check_isolation(hidden_states(model, flat=flat), vocabulary=vocabulary, device=device, dtype=DTYPES[config.dtype])
    check_head(model, range(8))
    if config.gradient_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})

    # DeepSpeed.
    optimizer = torch.optim.AdamW(
        parameter_groups(model, config.weight_decay), lr=config.learning_rate, betas=config.betas, fused=True
    )
    with redirect_stdout(StringIO()):  # it prints its memory
        engine, *_ = deepspeed.initialize(
            model=OutputLoss(model, flat=flat),
            optimizer=optimizer,
            config=deepspeed_config(config, accumulation, world),
        )
    remove_unfinished(directory) if rank == 0 else None
    resumed = load_newest(engine, directory) or {"step": 0, "rows": 0}
    state = State(**{name: resumed[name] for name in State.__dataclass_fields__ if name in resumed})
    metrics = Metrics(directory, resumed_step=state.step, trackers=config.trackers) if rank == 0 else None
    flops, peak = count_flops(model), peak_flops(device, DTYPES[config.dtype]) * world
    if rank == 0:
        begun = (
            f"going on from step {state.step}"
            if state.step
            else f"{sum(map(number_of_elements, model.parameters())):,} parameters"
        )
        print(
            f"train: {rows.num_train:,} rows of {rows.row_tokens} tokens, {steps:,} steps, {world} processes, {begun}",
            flush=True,
        )

    def evaluate() -> None:
        by_kind, by_source = heldout_losses(engine, rows, config, rank, world, device, vocabulary)
        state.heldout[str(state.step)] = means(by_kind, KINDS)
        if by_kind[1].any():
            state.heldout_loss[str(state.step)] = float(by_kind[0].sum() / by_kind[1].sum())
        if metrics:
            metrics.write(
                state.step,
                {
                    "heldout": state.heldout[str(state.step)],
                    "heldout_by_source": means(by_source, rows.sources),
                    "heldout_loss": state.heldout_loss.get(str(state.step)),
                },
            )

    def save() -> None:
        progress = {"key": directory.name, **asdict(state)}
        save_checkpoint(engine, directory, progress, keep=config.keep_checkpoints)

    # Loop.
    if "0" not in state.heldout:
        evaluate()
    engine.train()
    left = min(rows.num_train, steps * config.batch_rows) - state.rows
    with stop_signals(config.max_hours) as stop, _progress(rank, left) as bar:
        while state.step < steps:
            started = time.perf_counter()
            end = min(state.rows + config.batch_rows, rows.num_train)
            if state.step + 1 in config.skip_steps:
                bar.advance(end - state.rows)
                state.step, state.rows = state.step + 1, end
                if metrics:
                    metrics.write(state.step, {"rows": end, "skipped": True})
                continue
            batch = rows.read(state.rows, end, vocabulary=vocabulary)
            targets = int(batch.targets_N.sum())
            torch.manual_seed(int(uniform(config.seed, "train", str(state.step), str(rank)) * 2**53))  # for dropout
            sums_E = np.zeros(len(batch.example_ids))
            pieces = micro_batches(
                batch,
                rank=rank,
                world=world,
                micro_batch_rows=config.micro_batch_rows,
                chunk_targets=config.chunk_targets,
                count=accumulation,
            )
            for index, (piece, chunks) in enumerate(pieces):
                loss_sum, losses_N = engine(*_tensors(piece, device), chunks)
                # DeepSpeed divides by accumulation steps and ranks; what is left is the sum over the step's targets.
                engine.backward(loss_sum * (world * accumulation / max(targets, 1)))
                sums_E += piece.sum_by_example(losses_N.double().cpu().numpy())
                if index < accumulation - 1:
                    engine.step()
            summed = sum_over_ranks(np.append(sums_E, stop.is_due()), device)
            sums_E, stopping = summed[:-1], summed[-1]
            where = f"{pack}: step {state.step + 1}, rows {state.rows} to {end - 1}"
            check_losses(where, batch, sums_E, state.losses, config.max_loss_jump)
            rate = learning_rate(state.step, steps, config)
            for group in engine.optimizer.param_groups:
                group["lr"] = rate
            engine.step()

            state.step, state.rows = state.step + 1, end
            seconds = time.perf_counter() - started
            loss = float(sums_E.sum() / max(targets, 1))
            state.losses = [*state.losses, loss][-MEMORY:]
            norm = engine.get_global_grad_norm()  # none with fp32 and ZeRO-0
            check_norm(where, norm)
            if metrics:
                line = {
                    "rows": state.rows,
                    "tokens": batch.tokens,
                    "target_tokens": targets,
                    "loss": loss,
                    "lr": rate,
                    "grad_norm": None if norm is None else float(norm),
                    "tokens_per_s": round(batch.tokens / seconds, 1),
                    "target_tokens_per_s": round(targets / seconds, 1),
                    "mfu": round(flops.of(batch) / seconds / peak, 4),
                    **losses_of(batch, sums_E, rows.sources),
                }
                metrics.write(state.step, line)
                bar.note = (
                    f"step {state.step} of {steps}, loss {loss:.3f}, {line['tokens_per_s']:,.0f} tokens/s, "
                    f"{line['target_tokens_per_s']:,.0f} targets/s, MFU {line['mfu']:.1%}"
                )
            bar.advance(len(batch.targets_N))
            if state.step == steps or (config.eval_every and state.step % config.eval_every == 0):
                evaluate()
                engine.train()
            if state.step == steps or stopping or (config.save_every and state.step % config.save_every == 0):
                save()
            if stopping and state.step < steps:
                _say(f"train: stopped at step {state.step} of {steps}, saved; run the same command again to go on")
                return
        if str(steps) not in state.heldout:  # the last step was passed over
            evaluate()

    # Export.
    before, after = state.heldout["0"], state.heldout[str(steps)]
    manifest = {
        "key": directory.name,
        "step": steps,
        "rows": state.rows,
        "world_size": world,
        "settings": config.model_dump(mode="json"),
        "heldout": {"before": before, "after": after},
    }
    ends = rows.read(0, min(config.batch_rows, rows.num_train), vocabulary=vocabulary).last_targets()
    export(
        engine,
        model,
        config=config,
        ends=ends,
        directory=directory,
        manifest=manifest,
    )
    if metrics:
        metrics.close()
        losses = ", ".join(f"{kind} {before[kind]:.3f} -> {after[kind]:.3f}" for kind in before) or "no held-out rows"
        print(f"train: {steps:,} steps, {state.rows:,} rows, held-out loss {losses}; {directory / 'hf'}", flush=True)


@dataclass
class State:
    """How far a run is: what a checkpoint's manifest holds beside the weights."""

    step: int
    rows: int  # the global cursor: train rows consumed, whatever the number of ranks
    heldout: dict[str, dict[str, float]] = field(default_factory=dict)  # step -> kind -> loss
    heldout_loss: dict[str, float] = field(default_factory=dict)  # step -> loss a token
    losses: list[float] = field(default_factory=list)  # of the last steps, which the next is held against


@torch.no_grad()
def heldout_losses(
    engine: Any, rows: PackedRows, config: TrainConfig, rank: int, world: int, device: torch.device, vocabulary: int
) -> tuple[Sums, Sums]:
    """Return the sums of losses and the counts of the held-out target tokens by kind and by source.

    Every rank takes part and gets all of it.
    """
    engine.eval()
    by_kind, by_source = np.zeros((2, len(KINDS))), np.zeros((2, len(rows.sources)))
    width = config.micro_batch_rows * world
    for start in range(rows.num_train, rows.num_rows, width):
        batch = rows.read(start, min(start + width, rows.num_rows), vocabulary=vocabulary)
        pieces = micro_batches(
            batch,
            rank=rank,
            world=world,
            micro_batch_rows=config.micro_batch_rows,
            chunk_targets=config.chunk_targets,
            count=1,
        )
        for piece, chunks in pieces:
            _, losses_N = engine(*_tensors(piece, device), chunks)
            sums_E = sum_over_ranks(piece.sum_by_example(losses_N.double().cpu().numpy()), device)
            by_kind += tally(sums_E, batch.targets_E, batch.kind_E, len(KINDS))
            by_source += tally(sums_E, batch.targets_E, batch.source_E, len(rows.sources))
    return by_kind, by_source


def load_model(config: TrainConfig, row_tokens: int) -> PreTrainedModel:
    """Load the model to train.

    Raises:
        RecipeError: there is no such model, or its positions do not reach over a packed row.
    """
    register_by_example()
    try:
        model = AutoModelForCausalLM.from_pretrained(
            config.model, dtype=DTYPES[config.dtype], attn_implementation=config.attention
        )
    except (OSError, ValueError, ImportError) as error:
        raise RecipeError(
            f"[train] model: got {config.model}, expected a model that loads: {str(error).splitlines()[0]}"
        ) from None
    longest = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if longest and row_tokens > longest:
        raise RecipeError(
            f"[encode] max_tokens: got rows of {row_tokens} tokens, expected at most the {longest} of {config.model}"
        )
    if config.lora_rank:
        add_adapters(model, config)
    return cast(PreTrainedModel, model)


def deepspeed_config(config: TrainConfig, accumulation: int, world: int) -> dict[str, Any]:
    """Return DeepSpeed's settings. Gradients are summed and sent in fp32 wherever DeepSpeed lets them.

    Raises:
        RecipeError: the ZeRO stage keeps whole what is to wait in the host's memory.
    """
    lowest = {"none": 0, "optimizer": 1, "all": 3}[config.offload]
    if config.zero_stage < lowest:
        raise RecipeError(
            f"[train] offload: got {config.offload} with zero_stage {config.zero_stage}, expected zero_stage {lowest}"
            f"{'' if lowest == 3 else ' or more'}"
        )
    precise = {"data_types": {"grad_accum_dtype": "fp32"}} if config.zero_stage else {}
    return {
        "train_micro_batch_size_per_gpu": config.micro_batch_rows,
        "gradient_accumulation_steps": accumulation,
        "train_batch_size": config.micro_batch_rows * accumulation * world,
        "gradient_clipping": config.grad_clip,
        "bf16": {"enabled": config.dtype == "bf16"},
        "zero_optimization": {
            "stage": config.zero_stage,
            "stage3_gather_16bit_weights_on_model_save": True,
            "reduce_bucket_size": 50_000_000,  # gradients it keeps room for; its default takes 2 GB
            **({"offload_optimizer": {"device": "cpu"}} if config.offload != "none" else {}),
            **({"offload_param": {"device": "cpu"}} if config.offload == "all" else {}),
        },
        "zero_force_ds_cpu_optimizer": False,  # torch's AdamW is fused on a CPU too, and needs no compiler
        "communication_data_type": "fp32",
        "steps_per_print": 10**12,
        **precise,
    }


def _join_ranks() -> tuple[int, int, torch.device]:
    """Join the process group, alone where no launcher has set one up."""
    if "RANK" not in os.environ:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        os.environ |= {
            "RANK": "0",
            "LOCAL_RANK": "0",
            "WORLD_SIZE": "1",
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
        }
    accelerator = get_accelerator()
    deepspeed.utils.logger.setLevel("WARNING")
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = (
        False  # compiled at the start otherwise, for inference only
    )
    warnings.filterwarnings("ignore", "`torch.distributed.*` is deprecated", FutureWarning)  # DeepSpeed calls them
    messages: Any = transformers.utils.logging
    messages.disable_progress_bar()
    local = int(os.environ["LOCAL_RANK"])
    accelerator.set_device(local)
    deepspeed.init_distributed(dist_backend=accelerator.communication_backend_name(), verbose=False)
    return dist.get_rank(), dist.get_world_size(), torch.device(accelerator.device_name(local))


def _tensors(piece: Rows, device: torch.device) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return (
        torch.from_numpy(piece.input_ids_NT).to(device),
        torch.from_numpy(piece.positions_NT).to(device),
        torch.from_numpy(piece.labels_NT).to(device),
    )


def _progress(rank: int, rows: int) -> AbstractContextManager[Meter]:
    """Show progress on rank 0; the others count in silence."""
    return meter("train", rows, "rows") if rank == 0 else nullcontext(Meter("train", rows, "rows", plain=False))


def _say(text: str, file: Any = None) -> None:
    """Print on one rank only."""
    if os.environ.get("RANK", "0") == "0":
        print(text, file=file, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
