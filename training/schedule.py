"""The learning rate of a step, a function of its number alone, so that a resumed run needs no state for it."""

import math

from training.config import TrainConfig

# HuatuoGPT-II's cosine is laid out over (epochs + 0.35) times the steps, so that it does not end at zero. Here one
# pass over the packed rows is the run: epochs of a kind are copies of its examples among these rows.
PAPER_STRETCH = 1.35


def learning_rate(step: int, steps: int, config: TrainConfig) -> float:
    """Return the learning rate of step `step` of `steps`, counted from 0.

    It rises linearly to the peak over `warmup_ratio` of the steps. "wsd" then stays there and falls linearly over the
    last `decay_ratio` of the steps (arXiv:2404.06395); "cosine" falls along half a cosine; both towards
    `min_lr_ratio` of the peak. "paper_cosine" falls towards zero, over PAPER_STRETCH times the steps.
    """
    warmup = math.ceil(config.warmup_ratio * steps)
    if step < warmup:
        return config.learning_rate * (step + 1) / warmup
    if config.schedule == "wsd":
        decay = max(1, round(config.decay_ratio * steps)) if config.decay_ratio else 0
        past = max(0, step - (steps - decay)) / decay if decay else 0.0
        return config.learning_rate * (1 - (1 - config.min_lr_ratio) * past)
    horizon, floor = (steps, config.min_lr_ratio) if config.schedule == "cosine" else (PAPER_STRETCH * steps, 0.0)
    cosine = (1 + math.cos(math.pi * (step - warmup) / (horizon - warmup))) / 2
    return config.learning_rate * (floor + (1 - floor) * cosine)
