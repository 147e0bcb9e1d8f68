"""One real vLLM server on the CPU for all slow tests of rewriting."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from pipeline.recipe import Recipe, ServeConfig
from unify.serve import running_servers
from unify.weights import SMOLLM2

ROOT = Path(__file__).parents[2]


def serving_recipe(folder: Path) -> Recipe:
    """Build a recipe whose output is a folder and whose server's environment is the checkout's."""
    serve = ServeConfig(environment=str(ROOT / ".venv-server"), port=8400)
    return Recipe(path=folder / "r.toml", name="r", sources=("web",), output=str(folder / "data"), serve=serve)


@pytest.fixture(scope="session")
def server_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for recipes, with the checkout's copy of the weights if there is one."""
    folder = tmp_path_factory.mktemp("served")
    (folder / "data").mkdir()
    models = ROOT / "data" / "models"
    models.mkdir(parents=True, exist_ok=True)
    os.symlink(models, folder / "data" / "models")
    return folder


@pytest.fixture(scope="session")
def vllm_url(server_folder: Path) -> Iterator[str]:
    """The base URL of a vLLM server with the small model, started the way a run starts it."""
    with asyncio.Runner() as runner, ExitStack() as stack:
        server = running_servers(serving_recipe(server_folder), SMOLLM2)
        stack.callback(lambda: runner.run(server.__aexit__(None, None, None)))
        (url,) = runner.run(server.__aenter__())
        yield url
