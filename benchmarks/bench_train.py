"""Measure a training step beside its peers, in one run on the same examples; and check attention backends.

    python -m benchmarks.bench_train check
    python -m benchmarks.bench_train speed [--size 135m] [--row-tokens 1024] [--rounds 4]

`check`, for each attention implementation that works here: examples of a packed row against the same alone, in bf16 and
fp32, and the gradient of packed rows against the sum of the gradients of their examples, each alone (a small random
model); then a planted leak, which must be found.

`speed`: each trainer (trainers.py) in a process of its own, with the same random weights, examples, precision and
number of threads. All wait before every step until it is their turn, so that steps alternate and what else the machine
does falls on all; on a GPU, where two may not fit, one runs after the other. `onestage` is train_onestage.py as it is,
metrics included; `onestage:sdpa` is the same with another attention. `trl` is TRL's SFTTrainer with packing (bfd), loss
on completions only, the fused AdamW; `padded` the same without packing: as many examples a batch as `trl` has, padded
to the longest. Gradient checkpointing is off for all. The examples: lengths log-normal, 241 tokens on average as in the
pairs of real corpora (sigma 0.8), cut at the row; the last part of each, 40 to 80%, are targets. bf16 is that of the
products; master weights are fp32 in all.

A step's time runs from its turn until the trainer asks for the next batch; its FLOPs are those of training/flops.py.
Figures are sums over the rounds behind the first. Peak memory is VmHWM of the process, or what CUDA had allocated.
Peers come with `pip install -e .[bench]`.
"""

import argparse
import contextlib
import importlib.util
import itertools
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from benchmarks.trainers import DTYPES, SEED, Settings, Step, train_by_turns
from pipeline.recipe import RecipeError
from pipeline.records import IGNORE_INDEX
from sampling.pack import Placed, fill_rows
from tests.fakes import tiny_tokenizer
from tests.training.conftest import write_pack
from training.attention import register_by_example
from training.isolation import check_isolation, hidden_states, positions_of
from training.loss import OutputLoss

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
ANYWHERE = ("eager", "sdpa", "by_example")
BACKENDS = (*ANYWHERE, "flash_attention_2", "flash_attention_3", "flex_attention")


def main() -> None:
    """Read the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("check", "speed"))
    parser.add_argument("--size", choices=SIZES, default="135m")
    parser.add_argument("--row-tokens", type=int, default=1024)
    parser.add_argument("--batch-rows", type=int, default=4)
    parser.add_argument("--micro-batch-rows", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--dtype", choices=DTYPES, default="bf16")
    parser.add_argument("--attention", default="sdpa" if torch.cuda.is_available() else "by_example")
    parser.add_argument("--trainers", default="onestage,trl,padded")
    arguments = parser.parse_args()
    check() if arguments.what == "check" else speed(arguments)


def check() -> None:
    """Look at every attention implementation that loads here: isolation, gradients, and a leak that must be seen."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    config = LlamaConfig(**SIZES["tiny"], vocab_size=512, initializer_range=0.1)
    register_by_example()
    for backend, name in itertools.product(BACKENDS, DTYPES):
        flat = "flash" in backend
        torch.manual_seed(SEED)
        try:
            model = AutoModelForCausalLM.from_config(config, attn_implementation=backend, dtype=DTYPES[name]).to(device)
            check_isolation(hidden_states(model, flat=flat), vocabulary=512, device=device, dtype=DTYPES[name])
            difference = gradient_difference(model, flat=flat, device=device)
            print(f"{backend} {name}: isolated; gradient of packed rows off by {difference:.1e} of its norm")
        except RecipeError as error:
            print(f"{backend} {name}: REFUSED: {error}")
        except Exception as error:  # whatever a library says of a backend that this machine does not have
            if backend in ANYWHERE:
                raise
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

    def gradient(pieces: Sequence[tuple[slice, slice]], chunks: int) -> torch.Tensor:
        model.zero_grad()
        for piece in pieces:
            loss(ids_BT[piece], positions_BT[piece], labels_BT[piece], chunks)[0].backward()
        return torch.cat([parameter.grad.flatten().double() for parameter in model.parameters()])

    alone = [
        (slice(row, row + 1), slice(end - length, end))
        for row, of in enumerate(lengths)
        for end, length in zip(itertools.accumulate(of), of, strict=True)
    ]
    expected = gradient(alone, chunks=1)
    return float((gradient([(slice(None), slice(None))], chunks=2) - expected).norm() / expected.norm())


def speed(arguments: argparse.Namespace) -> None:
    """Let the trainers take turns, and print what each has done."""
    names = arguments.trainers.split(",")
    if importlib.util.find_spec("trl") is None:
        print("trl is not installed: no peers")
        names = [name for name in names if name.startswith("onestage")]
    os.environ |= {"OMP_NUM_THREADS": str(len(os.sched_getaffinity(0))), "OMP_WAIT_POLICY": "passive"}
    gpu = torch.cuda.is_available()
    if not gpu:
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
        steps: dict[str, list[Step]] = {name: [] for name in [*names, "matmul"]}
        for group in [[name, "matmul"] for name in names] if gpu else [[*names, "matmul"]]:
            for name, found in take_turns(group, settings, arguments.rounds, Path(root)).items():
                steps[name] += found
    report(steps, settings)


def take_turns(names: list[str], settings: Settings, rounds: int, root: Path) -> dict[str, list[Step]]:
    """Start the trainers, and let each do a step, `rounds` times and once before that does not count."""
    spawning = multiprocessing.get_context("spawn")
    pipes: dict[str, Connection] = {}
    for name in names:
        pipes[name], end = spawning.Pipe()
        _, _, attention = name.partition(":")
        own = replace(settings, attention=attention) if attention else settings
        folder = root / f"{name}-{len(list(root.iterdir()))}"
        spawning.Process(target=train_by_turns, args=(name, own, end, folder)).start()
        end.close()
    for name, pipe in pipes.items():
        receive(pipe, name, root)  # ready
    found: dict[str, list[Step]] = {name: [] for name in names}
    for number in range(rounds + 1):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            pipes[name].send(True)
            step = receive(pipes[name], name, root)
            print(f"  round {number} {name}: {asdict(step)}", file=sys.stderr, flush=True)
            found[name] += [step] if number else []
    for pipe in pipes.values():
        pipe.send(False)
    for process in multiprocessing.active_children():
        process.join()
    return found


def receive(pipe: Connection, name: str, root: Path) -> Step:
    """Return what a trainer tells, or end with what it printed last."""
    try:
        step: Step = pipe.recv()
    except EOFError:
        sys.exit("\n".join([f"{name} has ended", *(path.read_text()[-3000:] for path in root.glob(f"{name}-*/*.txt"))]))
    return step


def report(steps: dict[str, list[Step]], settings: Settings) -> None:
    """Print what the trainers have done, and the ratios of the first to the others."""
    print(f"{settings}, {os.environ['OMP_NUM_THREADS']} threads, load {os.getloadavg()[0]:.1f}")
    peaks = sorted(step.work / step.seconds for step in steps.pop("matmul"))
    print(f"matmul {settings.dtype}: {peaks[0] / 1e9:,.0f} to {peaks[-1] / 1e9:,.0f} GFLOP/s")
    rates: dict[str, tuple[float, float]] = {}
    for name, found in steps.items():
        total = {key: sum(asdict(step)[key] for step in found) for key in asdict(Step())}
        rates[name] = total["targets"] / total["seconds"], total["targets"] / total["cpu_seconds"]
        of_steps = sorted(step.targets / step.seconds for step in found)
        print(
            f"{name}: {rates[name][0]:,.0f} target tokens/s ({of_steps[0]:,.0f} to {of_steps[-1]:,.0f} in "
            f"{len(of_steps)} steps), {rates[name][1]:,.0f} a CPU-second, {total['tokens'] / total['seconds']:,.0f} "
            f"tokens/s, targets {total['targets'] / total['tokens']:.3f} of tokens, "
            f"padding {1 - total['tokens'] / total['slots']:.3f}, "
            f"{total['work'] / total['seconds'] / peaks[-1]:.3f} of the best matmul, "
            f"peak {max(step.peak_bytes for step in found) / 2**20:,.0f} MiB"
        )
    ours, *others = rates
    for other in others:
        ratios = [mine / theirs for mine, theirs in zip(rates[ours], rates[other], strict=True)]
        print(f"{ours} / {other}: {ratios[0]:.2f} by time, {ratios[1]:.2f} by CPU time")


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
    placed = (Placed(0, int(tokens), f"{number}", "sft", "drawn", 0) for number, tokens in enumerate(lengths))
    found = []
    for examples, _ in itertools.islice(fill_rows(placed, row_tokens=row_tokens, open_rows=32), rows):
        input_ids: list[int] = []
        labels: list[int] = []
        for example in examples:
            ids = draw.integers(3, 259, example.tokens).tolist()
            prompt = max(1, int(example.tokens * draw.uniform(0.2, 0.6)))
            input_ids += ids
            labels += [IGNORE_INDEX] * prompt + ids[prompt:]
        padding = row_tokens - len(input_ids)
        row = {
            "split": "train",
            "input_ids": input_ids + [0] * padding,
            "labels": labels + [IGNORE_INDEX] * padding,
            "seq_lens": [example.tokens for example in examples],
            "example_ids": [example.id for example in examples],
            "kinds": [example.kind for example in examples],
            "sources": [example.source for example in examples],
            "epochs": [example.epoch for example in examples],
        }
        found.append(row)
    return write_pack(folder, found, part_rows=64)


if __name__ == "__main__":
    main()
