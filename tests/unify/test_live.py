"""The settings that change while a run goes on."""

from pathlib import Path

import pytest

from pipeline.recipe import Recipe, RecipeError, RunConfig
from unify.live import LiveRun


def live_run(folder: Path) -> tuple[LiveRun, Path, list[str]]:
    path, said = folder / "r.toml", list[str]()
    path.write_text('[run]\nbase_urls = ["http://127.0.0.1:1/v1"]\n')
    run = RunConfig(base_urls=("http://127.0.0.1:1/v1",))
    recipe = Recipe(path=path, name="r", sources=("web",), run=run)

    def stay(changed: Recipe) -> None:
        if any("8.8.8.8" in url for url in changed.run.base_urls):
            raise RecipeError("text must stay")

    return LiveRun(recipe, stay, said.append), path, said


def test_what_changes_in_the_file_holds_from_then_on(tmp_path: Path) -> None:
    live, path, said = live_run(tmp_path)
    live.look()
    assert said == []
    path.write_text('[run]\nbase_urls = ["http://127.0.0.1:22/v1"]\nin_flight = 7\n')
    live.look()
    assert (live.run.base_urls, live.run.in_flight) == (("http://127.0.0.1:22/v1",), 7)
    assert said[1] == f"{path} [run] in_flight: 'auto' is now 7"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[run]\nin_flight = 0\n", "in_flight"),
        ("[run\n", "not TOML"),
        ("[run]\ninflight = 7\n", "inflight: unknown key"),
        ('[run]\nbase_urls = ["http://8.8.8.8/v1"]\n', "text must stay"),
    ],
)
def test_what_is_wrong_in_it_is_said_and_changes_nothing(tmp_path: Path, text: str, told: str) -> None:
    live, path, said = live_run(tmp_path)
    before = live.run
    path.write_text(text)
    live.look()
    live.look()
    assert live.run == before
    assert len(said) == 1
    assert told in said[0]
    assert said[0].endswith("the settings of before stay")


def test_a_file_that_is_gone_for_a_moment_changes_nothing(tmp_path: Path) -> None:
    live, path, said = live_run(tmp_path)
    path.unlink()
    live.look()
    assert said == []
