"""A small world to run the whole line in: made-up sources, their cards and a recipe that needs no model server."""

import json
import random
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from tests.fakes import tiny_tokenizer

WORDS = {
    "zh": "患者 医生 血压 血糖 心率 肺部 肝脏 肾脏 胃肠 皮肤 关节 骨骼 神经 肌肉 感染 炎症 疼痛 发热 "
    "咳嗽 头晕 乏力 恶心 出血 水肿 检查 诊断 治疗 用药 剂量 复查 饮食 运动 睡眠 体重 预防 护理 "
    "监测 随访 手术 康复 缓解 加重 明显 轻微 定期 及时 经常 逐渐 可能 需要 应当 避免 减少 增加 "
    "控制 改善 影响 提示 伴有 常见 少见 早期 晚期",
    "en": "patients doctors pressure glucose rhythm lungs liver kidneys stomach skin joints "
    "bones nerves muscles infection inflammation pain fever cough dizziness fatigue nausea "
    "bleeding swelling examination diagnosis treatment medicine dosage review diet exercise sleep "
    "weight prevention nursing monitoring surgery recovery relief usually often rarely early "
    "late mild severe should may reduces increases controls improves affects suggests "
    "with without before after",
}
HEADINGS = {
    "zh": ["定义", "病因", "症状", "诊断", "治疗", "预防"],
    "en": ["Definition", "Causes", "Symptoms", "Treatment"],
}


def sentence(draw: random.Random, lang: str) -> str:
    """Make a sentence of words drawn at random."""
    words = [draw.choice(WORDS[lang].split()) for _ in range(draw.randint(9, 15))]
    return "".join(words) + "。" if lang == "zh" else " ".join(words).capitalize() + ". "


def article(number: int, lang: str, seed: int = 0) -> dict[str, object]:
    """Make one encyclopedia entry of three sections."""
    draw = random.Random(f"{seed}-{number}-{lang}")
    sections = [
        {"heading": heading, "text": "".join(sentence(draw, lang) for _ in range(5)).strip()}
        for heading in draw.sample(HEADINGS[lang], 3)
    ]
    return {"id": f"{lang}-{number}", "title": f"{'条目' if lang == 'zh' else 'Entry '}{number}", "sections": sections}


def near_copy(entry: dict[str, object], number: int) -> dict[str, object]:
    """Copy an entry with one word more."""
    sections = [{**section, "text": section["text"] + "谨记。"} for section in entry["sections"]]  # type: ignore[attr-defined]
    return {**entry, "id": f"copy-{number}", "sections": sections}


def dialogue(number: int, seed: int = 0) -> dict[str, object]:
    """Make one dialogue of two or four turns."""
    draw = random.Random(f"talk-{seed}-{number}")
    turns = []
    for turn in range(draw.choice([1, 2])):
        turns.append({"from": "human", "value": f"{sentence(draw, 'zh')}第{number}问{turn}？"})
        turns.append({"from": "gpt", "value": "".join(sentence(draw, "zh") for _ in range(3))})
    return {"id": f"talk-{number}", "conversations": turns}


def write_jsonl(path: Path, rows: list[dict[str, object]]) -> Path:
    """Write rows as JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def write_card(folder: Path, name: str, path: str, *, kind: str, form: str = "text", extra: str = "") -> None:
    """Write a source card."""
    folder.mkdir(parents=True, exist_ok=True)
    fields = 'fields = { id = "id", title = "title", sections = "sections" }\n' if form == "text" else ""
    (folder / f"{name}.toml").write_text(
        f'origin = "made up for tests"\nlicence = "CC0-1.0"\nkind = "{kind}"\nform = "{form}"\n'
        f'checked = {{ by = "tests", on = 2026-11-20, scope = "tests" }}\npath = "{path}"\n{fields}{extra}',
        encoding="utf-8",
    )


def write_model(folder: Path) -> None:
    """Save a random Llama of two layers with a tokenizer that reads any text."""
    tokenizer = tiny_tokenizer(folder)
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = LlamaConfig(vocab_size=len(tokenizer), max_position_embeddings=1024, num_key_value_heads=2, **shape)
    LlamaForCausalLM(config).save_pretrained(folder)


REWRITE = '[rewrite]\nmodel = "none"\nstyles = { heading = 1.0 }\n'


def write_world(
    folder: Path,
    *,
    articles: int = 24,
    talks: int = 16,
    rewrite: str = REWRITE,
    tables: str = "",
    head: str = "",
    seed: int = 0,
) -> Path:
    """Write sources, cards, a tokenizer with a tiny model, and a recipe; return the recipe's path."""
    entries = [article(number, "zh", seed) for number in range(articles)]
    entries += [near_copy(entry, number) for number, entry in enumerate(entries[: max(2, articles // 8)])]
    write_jsonl(folder / "texts" / "encyclopedia.jsonl", entries)
    write_jsonl(folder / "texts" / "web.jsonl", [article(number, "en", seed) for number in range(articles)])
    write_jsonl(folder / "texts" / "talks.jsonl", [dialogue(number, seed) for number in range(talks)])
    write_card(folder / "cards", "encyclopedia", "../texts/encyclopedia.jsonl", kind="encyclopedia")
    write_card(folder / "cards", "web", "../texts/web.jsonl", kind="web")
    write_card(folder / "cards", "talks", "../texts/talks.jsonl", kind="sft", form="pairs")
    write_model(folder / "model")
    recipe = folder / "world.toml"
    recipe.write_text(
        f'name = "world"\nsources = ["encyclopedia", "web", "talks"]\ncards = "cards"\noutput = "data"\n{head}\n'
        f'[encode]\nmax_tokens = 1024\n\n[train]\nmodel = "model"\nbatch_rows = 8\n\n{rewrite}\n{tables}',
        encoding="utf-8",
    )
    return recipe
