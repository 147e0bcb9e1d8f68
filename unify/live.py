"""The recipe's [run] as its file says now: endpoints and limits may change while a run goes on."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from pipeline.recipe import Recipe, RecipeError, RunConfig, first_error, read_toml

LOOK_EVERY = 2.0  # seconds


class LiveRun:
    """Holds the settings in `run`. `follow` reads the file again when it changes; what is wrong in it changes nothing.

    Args:
        check: raises RecipeError where a recipe with new settings may not run.
    """

    def __init__(self, recipe: Recipe, check: Callable[[Recipe], None], say: Callable[[str], None] = print) -> None:
        self._recipe, self._check, self._say = recipe, check, say
        self._seen = _changed(recipe.path)
        self.run = recipe.run

    async def follow(self) -> None:
        """Look at the file every now and then, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            self.look()

    def look(self) -> None:
        """Read the settings again if the file changed."""
        changed = _changed(self._recipe.path)
        if changed in (None, self._seen):  # None: gone for a moment, as between two steps of an editor
            return
        self._seen = changed
        try:
            run = RunConfig(**read_toml(self._recipe.path).get("run", {}))
            self._check(self._recipe.model_copy(update={"run": run}))
        except (RecipeError, ValidationError, TypeError) as error:
            told = f"[run] {first_error(error)}" if isinstance(error, ValidationError) else str(error)
            self._say(f"{told}; the settings of before stay")
            return
        for name in RunConfig.model_fields:
            if (now := getattr(run, name)) != (before := getattr(self.run, name)):
                self._say(f"{self._recipe.path} [run] {name}: {before!r} is now {now!r}")
        self.run = run


def _changed(path: Path) -> tuple[int, int] | None:
    """Tell a file's time of change and size; None while there is no file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
