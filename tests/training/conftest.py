"""A two-layer model, packed rows, and ranks to train the one on the other."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from pipeline.records import IGNORE_INDEX, PACKED_SEQUENCE
from pipeline.shards import hidden, publish, write_part
from unify.weights import SMOLLM2

ROOT = Path(__file__).resolve().parents[2]
VOCABULARY = 96
ROW_TOKENS = 32
TRAIN_ROWS = 22  # not a multiple of the 8 rows of a step: the last step is smaller


def tiny_model(folder: Path, vocab_size: int = VOCABULARY, seed: int = 0) -> Path:
    """Save a random Llama of two layers with tied embeddings, and a tokenizer of single characters for it."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=vocab_size,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        tie_word_embeddings=True,
        initializer_range=0.2,  # large enough that attention matters: a leak must show
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    vocabulary = {"<s>": 0, "</s>": 1, **{chr(33 + index): 2 + index for index in range(vocab_size - 2)}}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="!"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="</s>")
    fast.chat_template = "{% for message in messages %}<s>{{ message['content'] }}</s>{% endfor %}"
    fast.save_pretrained(folder)
    return folder


def packed_rows(count: int, split: str, seed: int = 0, row_tokens: int = ROW_TOKENS) -> list[dict[str, Any]]:
    """Make packed rows of two kinds. Their tokens follow a rule that a model can learn."""
    draw = np.random.default_rng((seed, len(split)))
    rows = []
    for row in range(count):
        input_ids: list[int] = []
        labels: list[int] = []
        names: list[tuple[str, str, str]] = []
        seq_lens: list[int] = []
        while row_tokens - len(input_ids) >= 6:
            length = int(draw.integers(5, min(14, row_tokens - len(input_ids)) + 1))
            kind = ("web", "sft")[int(draw.integers(2))]
            tokens = [int(draw.integers(2, VOCABULARY))]
            while len(tokens) < length - 1:
                tokens.append(2 + (tokens[-1] * 3 + (kind == "web")) % (VOCABULARY - 2))
            prompt = int(draw.integers(1, length - 2))
            input_ids += [*tokens, 1]
            labels += [IGNORE_INDEX] * prompt + [*tokens, 1][prompt:]
            names.append((f"{split}-{row}-{len(names)}", kind, f"{kind}_source"))
            seq_lens.append(length)
        padding = row_tokens - len(input_ids)
        ids, kinds, sources = zip(*names, strict=True)
        rows.append(
            {
                "split": split,
                "input_ids": input_ids + [1] * padding,
                "labels": labels + [IGNORE_INDEX] * padding,
                "seq_lens": seq_lens,
                "example_ids": list(ids),
                "kinds": list(kinds),
                "sources": list(sources),
                "epochs": [place % 2 for place in range(len(ids))],
            }
        )
    return rows


def write_pack(directory: Path, rows: Sequence[dict[str, Any]], part_rows: int = 10) -> Path:
    """Publish packed rows as a pack directory in parts of `part_rows`."""
    hidden(directory).mkdir(parents=True)
    for index, start in enumerate(range(0, len(rows), part_rows)):
        part = pa.Table.from_pylist(list(rows[start : start + part_rows]), schema=PACKED_SEQUENCE)
        for name in ("drop_reason", "drop_detail"):
            part = part.append_column(pa.field(name, pa.string()), pa.nulls(part.num_rows, pa.string()))
        write_part(hidden(directory), index, part, PACKED_SEQUENCE, rows_in=part.num_rows)
    publish(directory, {"stage": "pack"})
    return directory


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="session")
def demo_model() -> Path:
    """The folder of the embedded model, where `make unify` has unpacked it."""
    folder = ROOT / "data" / "models" / SMOLLM2
    if not folder.is_dir():
        pytest.skip(f"no model at {folder}")
    return folder


@pytest.fixture(scope="session")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = [*packed_rows(TRAIN_ROWS, "train"), *packed_rows(5, "heldout")]
    return write_pack(tmp_path_factory.mktemp("pack") / "pack", rows)


def run_ranks(
    tasks: Sequence[dict[str, Any]], processes: int = 1, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run tasks of tests/training/ranks.py one after another under torchrun: a start costs more than a task."""
    launcher = (
        ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)] if processes > 1 else []
    )
    command = [sys.executable, *launcher, str(ROOT / "tests/training/ranks.py"), json.dumps(list(tasks))]
    environment = {**os.environ, "DS_ACCELERATOR": "cpu", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        environment.pop(name, None)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    if check and done.returncode:
        raise AssertionError(done.stdout + done.stderr)
    return done


def losses(directory: Path) -> list[float]:
    """Return the loss of every step."""
    lines = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]
