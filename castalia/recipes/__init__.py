"""Recipes by name, or from anybody's own Python file."""

import importlib
import importlib.util
import pkgutil
import traceback
from pathlib import Path

from castalia.errors import CastaliaError, RecipeError, nearest
from castalia.training.recipe import Recipe


def recipe_names() -> list[str]:
    """Return the names of the recipes that come with Castalia."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def load_recipe(name: str) -> Recipe:
    """Return the recipe called `name`, or the one that the file `name` makes in its function ``recipe()``.

    Raises RecipeError with the nearest right name, or with what is wrong in the file.
    """
    if name.endswith(".py"):
        return _from_file(Path(name))
    if name not in recipe_names():
        raise RecipeError(f"no recipe {name!r}: {nearest(name, recipe_names())}; or give the path of a .py file")
    return importlib.import_module(f"{__name__}.{name}").recipe()


def _from_file(path: Path) -> Recipe:
    if not path.is_file():
        raise RecipeError(f"no recipe file {path}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        if not hasattr(module, "recipe"):
            raise RecipeError(f"{path} has no function recipe() that returns a Recipe")
        made = module.recipe()
    except CastaliaError:
        raise
    except Exception as error:  # anybody's own file may raise anything
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        where = f"{path}, line {lines[-1]}" if lines else str(path)
        raise RecipeError(f"{where}: {type(error).__name__}: {error}") from error
    if not isinstance(made, Recipe):
        raise RecipeError(f"recipe() in {path} returned {type(made).__name__}, not a Recipe")
    return made
