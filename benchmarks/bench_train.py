"""Measure a training step beside its peers, in one run on the same examples; and check attention backends.

    python -m benchmarks.bench_train check [--backends eager,sdpa]
    python -m benchmarks.bench_train speed [--size 135m] [--row-tokens 1024] [--rounds 4] [--only onestage,trl,padded]

`check`, for each attention implementation that works here: examples of a packed row against the same alone, in bf16 and
fp32, and the gradient of packed rows against the sum of the gradients of their examples, each alone (fp32, a small
random model); then a planted leak, which must be found.

`speed`: each trainer in a process of its own, with the same random weights, examples, precision and number of threads.
All wait before every step until it is their turn, so that steps alternate and what else the machine does falls on all;
on a GPU, where two do not fit, one runs after the other. `onestage` is train_onestage.py as it is, metrics included.
`trl` is TRL's SFTTrainer with packing (bfd), loss on completions only, the fused AdamW; `padded` the same without
packing: as many examples a batch as `trl` has, padded to the longest. `matmul` is the machine's rate in between, of
square products. Gradient checkpointing is off for all. The examples: lengths log-normal, 241 tokens on average as in
the pairs of real corpora (sigma 0.8), cut at the row; the last part of each, 40 to 80%, are targets.

A step's time runs from its turn until the trainer asks for the next batch. Figures are sums over the rounds behind the
first step. FLOPs are those that the examples need: matrices of the decoder for each token (padding left out), causal
attention within examples, the head for targets alone; three times the forward pass. Peak memory is VmHWM of the
process, or what CUDA had allocated. Peers come with `pip install -e .[bench]`.
"""

import argparse
import contextlib
import importlib.util
import itertools
import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from pipeline.recipe import RecipeError
from pipeline.records import IGNORE_INDEX
from sampling.pack import Placed, fill_rows
from tests.fakes import tiny_tokenizer
from tests.training.conftest import write_pack
from training.attention import register_by_example
from training.config import TrainConfig
from training.isolation import check_isolation, hidden_states, positions_of
from training.loss import OutputLoss
from training.rows import PackedRows, Rows

# SmolLM2-135M's shape, and that of Llama 3.2 1B.
SIZES: dict[str, dict[str, Any]] = {
    "tiny": {"hidden_size": 128, "intermediate_size": 384, "num_hidden_layers": 4, "num_attention_heads": 2},
    "135m": {
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "vocab_size": 49152,
    },
    "1b": {
        "hidden_size": 2048,
        "intermediate_size": 8192,
        "num_hidden_layers": 16,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "vocab_size": 128256,
    },
}
MEAN_TOKENS, SIGMA = 241, 0.8
SEED = 11
DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}
BACKENDS = "eager,sdpa,by_example,flash_attention_2,flash_attention_3,flex_attention"


@dataclass
class Work:
    """What a step has computed on."""

    tokens: int = 0  # of examples
    slots: int = 0  # with padding
    targets: int = 0
    squares: int = 0  # sum of squared example lengths

    def add(self, lengths: Sequence[int], slots: int, targets: int) -> None:
        """Count a batch."""
        self.tokens += int(sum(lengths))
        self.slots += slots
        self.targets += targets
        self.squares += int(sum(int(length) ** 2 for length in lengths))


@dataclass
class Settings:
    """What is the same for all trainers."""

    model: str
    pack: str
    row_tokens: int
    batch_rows: int
    micro_batch_rows: int
    dtype: str
    attention: str


class Turns:
    """The trainer's end of the pipe: it waits before each step, and tells of the one that it has done."""

    def __init__(self, pipe: Connection, flops: dict[str, int]) -> None:
        self.pipe, self.flops = pipe, flops
        self.began: tuple[float, float] | None = None
        self.work = Work()

    def wait(self) -> None:
        """Tell of the step behind and wait for leave to begin the next; end the process if there is to be none."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        if self.began:
            seconds, cpu_seconds = time.perf_counter() - self.began[0], time.process_time() - self.began[1]
            work, per = self.work, self.flops
            flops = 3 * (per["token"] * work.tokens + per["target"] * work.targets + per["square"] * work.squares)
            found = {"seconds": seconds, "cpu_seconds": cpu_seconds, "flops": flops, "peak": peak_bytes(), **vars(work)}
            self.pipe.send(found)
        else:
            self.pipe.send({})
        if not self.pipe.recv():
            os._exit(0)
        self.work = Work()
        self.began = time.perf_counter(), time.process_time()


def peak_bytes() -> int:
    """Return the most memory that this process has had."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    status = Path("/proc/self/status").read_text()  # getrusage would tell of the parent, too
    return 1024 * next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))


def onestage(settings: Settings, turns: Turns, folder: Path) -> None:
    """Train by train_onestage.py."""
    import train_onestage

    class InTurn(PackedRows):
        def read(self, start: int, stop: int, *, vocabulary: int) -> Rows:
            turns.wait()
            rows = super().read(start, stop, vocabulary=vocabulary)
            lengths = np.bincount(rows.example_NT[rows.example_NT >= 0])
            turns.work.add(lengths.tolist(), rows.example_NT.size, int(rows.targets_N.sum()))
            return rows

    train_onestage.PackedRows = InTurn  # type: ignore[misc]
    train_onestage.train(
        Path(settings.pack),
        folder,
        TrainConfig(
            model=settings.model,
            batch_rows=settings.batch_rows,
            micro_batch_rows=settings.micro_batch_rows,
            dtype=settings.dtype,
            attention=settings.attention,
        ),
    )


def trl(settings: Settings, turns: Turns, folder: Path, packing: bool = True) -> None:
    """Train by TRL's SFTTrainer."""
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
            turns.work.add(lengths.tolist(), inputs["input_ids"].numel(), targets)
            return super().compute_loss(model, inputs, *arguments, **named)

    examples = examples_of(Path(settings.pack))
    batch = settings.micro_batch_rows
    if not packing:
        batch = max(1, round(batch * len(examples) * settings.row_tokens / sum(len(ids) for ids, _ in examples)))
    trainer = Counting(
        model=settings.model,
        processing_class=AutoTokenizer.from_pretrained(settings.model),
        train_dataset=Dataset.from_dict(
            {"input_ids": [ids for ids, _ in examples], "labels": [labels for _, labels in examples]}
        ),
        args=SFTConfig(
            output_dir=str(folder),
            per_device_train_batch_size=batch,
            gradient_accumulation_steps=settings.batch_rows // settings.micro_batch_rows,
            max_length=settings.row_tokens,
            packing=packing,
            completion_only_loss=True,
            bf16=settings.dtype == "bf16",
            model_init_kwargs={"attn_implementation": settings.attention},
            gradient_checkpointing=False,
            optim="adamw_torch_fused",
            learning_rate=1e-5,
            num_train_epochs=100,
            logging_steps=1,
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
    """Multiply square matrices for a second or so."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    left, right = (torch.randn(size, size, device=device).to(DTYPES[settings.dtype]) for _ in range(2))
    turns.flops["token"] = 1
    while True:
        turns.wait()
        started = time.perf_counter()
        while time.perf_counter() - started < 1:
            for _ in range(20):
                torch.mm(left, right)
            if device == "cuda":
                torch.cuda.synchronize()
            turns.work.tokens += 20 * 2 * size**3 // 3


TRAINERS = {"onestage": onestage, "trl": trl, "padded": padded, "matmul": matmul}


def run(name: str, settings: Settings, pipe: Connection, folder: Path) -> None:
    """Be the process of one trainer; what it prints goes to a file."""
    torch.manual_seed(SEED)
    folder.mkdir()
    with (folder / "printed.txt").open("w", buffering=1) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        TRAINERS[name](settings, Turns(pipe, flops_of(settings.model)), folder)


def flops_of(model: str) -> dict[str, int]:
    """Return the FLOPs of a forward pass: of each token, each target, and each token times its example's length."""
    with torch.device("meta"):
        config = LlamaConfig.from_pretrained(model)
        decoder = LlamaForCausalLM(config).base_model
    layers = [parameter.numel() for name, parameter in decoder.layers.named_parameters() if parameter.ndim == 2]
    width = config.num_attention_heads * config.head_dim
    return {
        "token": 2 * sum(layers),
        "target": 2 * config.vocab_size * config.hidden_size,
        "square": 2 * config.num_hidden_layers * width,  # two products of half a square
    }


def model_folder(folder: Path, size: str, dtype: str) -> Path:
    """Save a model of random weights and a tokenizer."""
    torch.manual_seed(SEED)
    config = LlamaConfig(max_position_embeddings=8192, tie_word_embeddings=True, **SIZES[size])
    LlamaForCausalLM(config).to(DTYPES[dtype]).save_pretrained(folder)
    tiny_tokenizer(folder)
    return folder


def drawn_pack(folder: Path, rows: int, row_tokens: int) -> Path:
    """Write rows of examples of random tokens, packed as the stage packs."""
    draw = np.random.default_rng(SEED)
    mean = np.log(MEAN_TOKENS) - SIGMA**2 / 2
    lengths = np.clip(draw.lognormal(mean, SIGMA, rows * row_tokens // MEAN_TOKENS * 2).astype(int), 16, row_tokens)
    placed = (Placed(number, int(tokens), f"{number}", "sft", "drawn", 0) for number, tokens in enumerate(lengths))
    found = []
    for row in itertools.islice(fill_rows(placed, row_tokens=row_tokens, open_rows=32), rows):
        input_ids: list[int] = []
        labels: list[int] = []
        for example in row:
            ids = draw.integers(3, 259, example.tokens).tolist()
            prompt = max(1, int(example.tokens * draw.uniform(0.2, 0.6)))
            input_ids += ids
            labels += [IGNORE_INDEX] * prompt + ids[prompt:]
        padding = row_tokens - len(input_ids)
        found.append(
            {
                "split": "train",
                "input_ids": input_ids + [0] * padding,
                "labels": labels + [IGNORE_INDEX] * padding,
                "seq_lens": [example.tokens for example in row],
                "example_ids": [example.id for example in row],
                "kinds": ["sft"] * len(row),
                "sources": ["drawn"] * len(row),
                "epochs": [0] * len(row),
            }
        )
    return write_pack(folder, found, part_rows=64)


def examples_of(pack: Path) -> list[tuple[list[int], list[int]]]:
    """Return the token ids and the labels of every example of a pack."""
    rows = PackedRows(pack)
    table = rows._table(0, rows.num_train)
    found = []
    for ids, labels, lengths in zip(
        *(table[name].to_pylist() for name in ("input_ids", "labels", "seq_lens")), strict=True
    ):
        ends = list(itertools.accumulate(lengths))
        found += [
            (ids[end - length : end], labels[end - length : end]) for end, length in zip(ends, lengths, strict=True)
        ]
    return found


def speed(arguments: argparse.Namespace) -> None:
    """Let the trainers take turns, and print what each has done."""
    names = [name for name in arguments.only.split(",") if name != "matmul"]
    if importlib.util.find_spec("trl") is None:
        names = [name for name in names if name == "onestage"]
        print("trl is not installed: no peers")
    os.environ |= {"OMP_NUM_THREADS": str(len(os.sched_getaffinity(0))), "OMP_WAIT_POLICY": "passive"}
    if not torch.cuda.is_available():
        os.environ["DS_ACCELERATOR"] = "cpu"
    with tempfile.TemporaryDirectory() as root:
        rows = (arguments.rounds + 2) * arguments.batch_rows
        settings = Settings(
            model=str(model_folder(Path(root) / "model", arguments.size, arguments.dtype)),
            pack=str(drawn_pack(Path(root) / "pack", rows, arguments.row_tokens)),
            row_tokens=arguments.row_tokens,
            batch_rows=arguments.batch_rows,
            micro_batch_rows=arguments.micro_batch_rows,
            dtype=arguments.dtype,
            attention=arguments.attention,
        )
        groups = [[name, "matmul"] for name in names] if torch.cuda.is_available() else [[*names, "matmul"]]
        steps: dict[str, list[dict[str, float]]] = {name: [] for name in [*names, "matmul"]}
        for group in groups:
            for name, found in taking_turns(group, settings, arguments.rounds, Path(root)).items():
                steps[name] += found
    report(steps, settings)


def taking_turns(names: list[str], settings: Settings, rounds: int, root: Path) -> dict[str, list[dict[str, float]]]:
    """Start the trainers, and let each do a step, `rounds` times and once before that does not count."""
    spawning = multiprocessing.get_context("spawn")
    pipes, processes = {}, []
    for name in names:
        pipes[name], end = spawning.Pipe()
        folder = root / f"{name}-{len(list(root.iterdir()))}"
        processes.append(spawning.Process(target=run, args=(name, settings, end, folder)))
        processes[-1].start()
        end.close()
    for name, pipe in pipes.items():
        receive(pipe, name, root)  # ready
    found: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for number in range(rounds + 1):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            pipes[name].send(True)
            step = receive(pipes[name], name, root)
            rate = step["targets"] / step["seconds"] if step["targets"] else step["flops"] / step["seconds"] / 1e9
            print(f"  round {number} {name}: {step['seconds']:.2f} s, {rate:,.0f}", file=sys.stderr, flush=True)
            found[name] += [step] if number else []
    for pipe, process in zip(pipes.values(), processes, strict=True):
        pipe.send(False)
        process.join()
    return found


def receive(pipe: Connection, name: str, folder: Path) -> dict[str, float]:
    """Return what a trainer tells, or end with what it printed last."""
    try:
        return pipe.recv()
    except EOFError:
        printed = sorted(folder.rglob("printed.txt"))
        sys.exit(f"{name}: ended\n" + "\n".join(path.read_text()[-3000:] for path in printed if name in str(path)))


def report(steps: dict[str, list[dict[str, float]]], settings: Settings) -> None:
    """Print a table, the first trainer's ratios to the others, and the machine's state."""
    sums = {name: {key: sum(step[key] for step in found) for key in found[0]} for name, found in steps.items()}
    peak = max(step["flops"] / step["seconds"] for step in steps["matmul"])
    print(json.dumps({**vars(settings), "threads": torch.get_num_threads(), "load": os.getloadavg()}))
    middle = sums["matmul"]["flops"] / sums["matmul"]["seconds"]
    print(f"matmul {settings.dtype}: {peak / 1e9:,.0f} GFLOP/s at best, {middle / 1e9:,.0f} over all rounds")
    for name, total in sums.items():
        if name == "matmul":
            continue
        rates = sorted(step["targets"] / step["seconds"] for step in steps[name])
        figures = [
            f"{total['targets'] / total['seconds']:,.0f} target tokens/s ({rates[0]:,.0f} to {rates[-1]:,.0f})",
            f"{total['targets'] / total['cpu_seconds']:,.0f} per CPU-s",
            f"{total['tokens'] / total['seconds']:,.0f} tokens/s",
            f"targets {total['targets'] / total['tokens']:.3f} of tokens",
            f"padding {1 - total['tokens'] / total['slots']:.3f}",
            f"{total['flops'] / total['seconds'] / peak:.3f} of the matmul peak",
            f"peak {max(step['peak'] for step in steps[name]) / 2**20:,.0f} MiB",
            f"{len(steps[name])} steps",
        ]
        print(f"{name}: " + ", ".join(figures))
    ours, *others = [name for name in sums if name != "matmul"]
    for other in others:
        by = {
            key: sums[ours]["targets"] / sums[ours][key] / (sums[other]["targets"] / sums[other][key])
            for key in ("seconds", "cpu_seconds")
        }
        print(f"{ours} / {other}: {by['seconds']:.2f} by time, {by['cpu_seconds']:.2f} by CPU time")


def check(arguments: argparse.Namespace) -> None:
    """Look at every attention implementation that loads here: isolation, gradients, and a leak that must be seen."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    config = LlamaConfig(**{**SIZES["tiny"], "vocab_size": 512, "initializer_range": 0.1})
    register_by_example()
    for backend, name in itertools.product(arguments.backends.split(","), DTYPES):
        flat = "flash" in backend
        torch.manual_seed(SEED)
        try:
            model = AutoModelForCausalLM.from_config(config, attn_implementation=backend, dtype=DTYPES[name]).to(device)
            check_isolation(hidden_states(model, flat=flat), vocabulary=512, device=device, dtype=DTYPES[name])
            difference = gradient_difference(model, flat=flat, device=device)
            print(f"{backend} {name}: isolated; gradient of packed rows off by {difference:.1e} of its norm")
        except RecipeError as error:
            print(f"{backend} {name}: REFUSED: {error}")
        except Exception as error:  # what a library says of a backend that this machine does not have
            print(f"{backend} {name}: not here: {str(error).strip().splitlines()[0][:150]}")
    model = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa", dtype=torch.float32).to(device)
    whole = hidden_states(model, flat=False)
    with contextlib.suppress(RecipeError):
        check_isolation(
            lambda ids, at: whole(ids, torch.arange(ids.shape[1], device=device).expand_as(at)),
            vocabulary=512,
            device=device,
            dtype=torch.float32,
        )
        sys.exit("a planted leak was not found")
    print("a planted leak (positions that do not restart): found")


def gradient_difference(model: torch.nn.Module, *, flat: bool, device: torch.device) -> float:
    """Return how far the gradient of packed rows is from that of their examples alone, relative to its norm."""
    lengths = ((11, 27, 58), (64, 32))
    draw = torch.Generator().manual_seed(SEED)
    ids_BT = torch.randint(512, (2, 96), generator=draw).to(device)
    labels_BT = ids_BT.clone()
    positions_BT = torch.from_numpy(positions_of(lengths, 96)).to(device)
    labels_BT[positions_BT < 5] = IGNORE_INDEX
    loss = OutputLoss(model, flat=flat)

    def gradient(pieces: list[tuple[int, slice]]) -> torch.Tensor:
        model.zero_grad()
        for row, span in pieces:
            loss(*(part[row : row + 1, span] for part in (ids_BT, positions_BT, labels_BT)), 1)[0].backward()
        return torch.cat([parameter.grad.flatten().double() for parameter in model.parameters()])

    alone = [(row, slice(sum(of[:at]), sum(of[: at + 1]))) for row, of in enumerate(lengths) for at in range(len(of))]
    expected = gradient(alone)
    model.zero_grad()
    loss(ids_BT, positions_BT, labels_BT, 2)[0].backward()
    packed = torch.cat([parameter.grad.flatten().double() for parameter in model.parameters()])
    return float((packed - expected).norm() / expected.norm())


def main() -> None:
    """Read the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("check", "speed"))
    parser.add_argument("--size", choices=SIZES, default="135m")
    parser.add_argument("--row-tokens", type=int, default=1024)
    parser.add_argument("--batch-rows", type=int, default=4)
    parser.add_argument("--micro-batch-rows", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--dtype", choices=DTYPES, default="bf16")
    parser.add_argument("--attention", default="sdpa")
    parser.add_argument("--backends", default=BACKENDS)
    parser.add_argument("--only", default="onestage,trl,padded")
    arguments = parser.parse_args()
    {"check": check, "speed": speed}[arguments.what](arguments)


if __name__ == "__main__":
    main()
