"""Train on one or several ranks: `ranks.py '[{"pack": ..., "directory": ..., "config": {...}}, ...]'`."""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import train_onestage
from pipeline.recipe import RecipeError
from pipeline.shards import ContractError
from training.config import TrainConfig
from training.metrics import Metrics


class StopsAfter(Metrics):
    """Sends SIGTERM to its process when the line of a step is written."""

    step: int | None = None

    def write(self, step: int, line: dict[str, Any]) -> None:
        super().write(step, line)
        if step == StopsAfter.step:
            os.kill(os.getpid(), signal.SIGTERM)


def leaky(model: Any, *, flat: bool) -> Any:
    """The model without positions that restart."""
    return lambda ids, positions: model.base_model(input_ids=ids, use_cache=False).last_hidden_state


if __name__ == "__main__":
    isolated = train_onestage.hidden_states
    train_onestage.Metrics = StopsAfter  # type: ignore[misc]
    for task in json.loads(sys.argv[1]):
        StopsAfter.step = task.get("stop_after")
        train_onestage.hidden_states = leaky if task.get("leak") else isolated
        try:
            train_onestage.train(Path(task["pack"]), Path(task["directory"]), TrainConfig(**task["config"]))
        except (RecipeError, ContractError) as error:
            print(f"refused: {error}", flush=True)
