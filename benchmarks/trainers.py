"""Processes that train by turns for bench_train.py: ours, TRL's with packing, TRL's with padding, and matrix products.

Each reports what its step was given as soon as it asks for the next, and goes on when told to.
"""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM, LlamaConfig

from pipeline.records import IGNORE_INDEX
from training.attention import BY_EXAMPLE
from training.config import TrainConfig
from training.flops import StepFlops, count_flops
from training.rows import PackedRows, Rows

DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}
SEED = 11


@dataclass(frozen=True)
class Settings:
    """What is the same for all trainers."""

    model: str
    pack: str
    row_tokens: int
    batch_rows: int
    micro_batch_rows: int
    dtype: str
    attention: str  # of onestage; peers have sdpa where it is one of ours


@dataclass
class Step:
    """A step: what it was given, and what it took. `work` is in FLOPs that the examples need, padding left out."""

    tokens: int = 0
    slots: int = 0  # tokens and padding
    targets: int = 0
    work: float = 0.0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_bytes: int = 0  # of the process, from its start


class Turns:
    """The trainer's end of the pipe."""

    def __init__(self, pipe: Connection, flops: StepFlops) -> None:
        self.pipe, self.flops = pipe, flops
        self.step = Step()
        self.began = time.perf_counter(), time.process_time()

    def wait(self) -> None:
        """Tell of the step behind and wait for leave to begin the next; end the process if there is to be none."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.step.seconds = time.perf_counter() - self.began[0]
        self.step.cpu_seconds = time.process_time() - self.began[1]
        self.step.peak_bytes = peak_bytes()
        self.pipe.send(self.step)
        if not self.pipe.recv():
            os._exit(0)
        self.step = Step()
        self.began = time.perf_counter(), time.process_time()

    def count(self, lengths: Sequence[int], *, slots: int, targets: int) -> None:
        """Add examples of these lengths to the step."""
        tokens = int(sum(lengths))
        self.step.tokens += tokens
        self.step.slots += slots
        self.step.targets += targets
        pairs = sum(int(length) * (int(length) + 1) // 2 for length in lengths)
        self.step.work += self.flops.token * tokens + self.flops.target * targets + self.flops.pair * pairs


def peak_bytes() -> int:
    """Return the most memory that this process has had: on the GPU, if there is one."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    status = Path("/proc/self/status").read_text()  # getrusage would tell of the parent, too
    return 1024 * next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))


def onestage(settings: Settings, turns: Turns, folder: Path) -> None:
    """Train by train_onestage.py, as it is."""
    import train_onestage

    class InTurn(PackedRows):
        def read(self, start: int, stop: int, *, vocabulary: int) -> Rows:
            turns.wait()
            rows = super().read(start, stop, vocabulary=vocabulary)
            lengths = np.bincount(rows.example_NT[rows.example_NT >= 0])
            turns.count(lengths.tolist(), slots=rows.example_NT.size, targets=int(rows.targets_N.sum()))
            return rows

    train_onestage.PackedRows = InTurn  # type: ignore[misc]
    config = TrainConfig(
        model=settings.model,
        batch_rows=settings.batch_rows,
        micro_batch_rows=settings.micro_batch_rows,
        dtype=settings.dtype,
        attention=settings.attention,
    )
    train_onestage.train(Path(settings.pack), folder, config)


def trl(settings: Settings, turns: Turns, folder: Path, packing: bool = True) -> None:
    """Train by TRL's SFTTrainer: best fit decreasing, loss on completions only."""
    from datasets import Dataset
    from transformers import AutoTokenizer, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    class InTurn(TrainerCallback):
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            turns.wait()

    class Counting(SFTTrainer):
        def compute_loss(self, model: Any, inputs: dict[str, Any], *arguments: Any, **named: Any) -> Any:
            starts = inputs.get("cu_seq_lens_q")
            lengths = inputs["attention_mask"].sum(1) if starts is None else starts.diff()
            targets = int((inputs["labels"][:, 1:] != IGNORE_INDEX).sum())
            turns.count(lengths.tolist(), slots=inputs["input_ids"].numel(), targets=targets)
            return super().compute_loss(model, inputs, *arguments, **named)

    examples = examples_of(Path(settings.pack))
    micro_batch = settings.micro_batch_rows
    if not packing:  # as many examples as the packed rows have
        rows = sum(len(ids) for ids, _ in examples) / settings.row_tokens
        micro_batch = max(1, round(micro_batch * len(examples) / rows))
    ids, labels = zip(*examples, strict=True)
    trainer = Counting(
        model=settings.model,
        processing_class=AutoTokenizer.from_pretrained(settings.model),
        train_dataset=Dataset.from_dict({"input_ids": list(ids), "labels": list(labels)}),
        args=SFTConfig(
            output_dir=str(folder),
            per_device_train_batch_size=micro_batch,
            gradient_accumulation_steps=settings.batch_rows // settings.micro_batch_rows,
            max_length=settings.row_tokens,
            packing=packing,
            completion_only_loss=True,
            bf16=settings.dtype == "bf16",
            model_init_kwargs={
                "attn_implementation": "sdpa" if settings.attention == BY_EXAMPLE else settings.attention
            },
            gradient_checkpointing=False,
            optim="adamw_torch_fused",
            learning_rate=1e-5,
            num_train_epochs=100,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=not torch.cuda.is_available(),
        ),
        callbacks=[InTurn()],
    )
    trainer.train()


def padded(settings: Settings, turns: Turns, folder: Path) -> None:
    """Train by TRL's SFTTrainer on batches padded to their longest example."""
    trl(settings, turns, folder, packing=False)


def matmul(settings: Settings, turns: Turns, folder: Path, size: int = 2048) -> None:
    """Multiply square matrices for a second or so at a time."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    left, right = (torch.randn(size, size, device=device).to(DTYPES[settings.dtype]) for _ in range(2))
    while True:
        turns.wait()
        while time.perf_counter() - turns.began[0] < 1:
            for _ in range(20):
                torch.mm(left, right)
            if device == "cuda":
                torch.cuda.synchronize()
            turns.step.work += 20 * 2 * size**3


TRAINERS = {"onestage": onestage, "trl": trl, "padded": padded, "matmul": matmul}


def train_by_turns(name: str, settings: Settings, pipe: Connection, folder: Path) -> None:
    """Be the process of one trainer; what it prints goes to a file in `folder`."""
    torch.manual_seed(SEED)
    folder.mkdir()
    with (folder / "printed.txt").open("w", buffering=1) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        with torch.device("meta"):
            flops = count_flops(AutoModelForCausalLM.from_config(LlamaConfig.from_pretrained(settings.model)))
        TRAINERS[name.partition(":")[0]](settings, Turns(pipe, flops), folder)


def examples_of(pack: Path) -> list[tuple[list[int], list[int]]]:
    """Return the token ids and the labels of every example of a pack."""
    packed = PackedRows(pack)
    rows = packed.read(0, packed.num_train, vocabulary=2**31)
    starts = np.flatnonzero(np.diff(rows.example_NT.ravel(), prepend=-2))
    pieces = (np.split(part.ravel(), starts[1:]) for part in (rows.input_ids_NT, rows.labels_NT, rows.example_NT))
    return [(ids.tolist(), labels.tolist()) for ids, labels, example in zip(*pieces, strict=True) if example[0] >= 0]
