"""Recipes by name, or from anybody's own Python file: how a model goes to school, and its homework."""

import importlib
import importlib.util
import pkgutil
import traceback
from pathlib import Path
from typing import Any, TypeVar

from castalia.errors import CastaliaError, RecipeError, nearest
from castalia.rl.homework import Homework
from castalia.training.recipe import Recipe

T = TypeVar("T")


def recipe_names() -> list[str]:
    """Return the names of the recipes that come with Castalia."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def load_recipe(name: str) -> Recipe:
    """Return the recipe called `name`, or the one that the file `name` makes in its function ``recipe()``.

    Raises RecipeError with the nearest right name, or with what is wrong in the file.
    """
    return _load(name, "recipe", Recipe)


def load_homework(name: str) -> Homework:
    """Return the homework of the recipe called `name`, or of the file `name`: what its ``homework()`` makes.

    Raises RecipeError as `load_recipe`, and for a recipe without homework.
    """
    return _load(name, "homework", Homework)


def _load(name: str, function: str, kind: type[T]) -> T:
    if name.endswith(".py"):
        return _from_file(Path(name), function, kind)
    if name not in recipe_names():
        raise RecipeError(f"no recipe {name!r}: {nearest(name, recipe_names())}; or give the path of a .py file")
    module = importlib.import_module(f"{__name__}.{name}")
    if not hasattr(module, function):
        having = [
            other for other in recipe_names() if hasattr(importlib.import_module(f"{__name__}.{other}"), function)
        ]
        raise RecipeError(f"the recipe {name} has no {function}; these have: {', '.join(having)}")
    return getattr(module, function)()


def _from_file(path: Path, function: str, kind: type[T]) -> T:
    if not path.is_file():
        raise RecipeError(f"no recipe file {path}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        if not hasattr(module, function):
            raise RecipeError(f"{path} has no function {function}() that returns a {kind.__name__}")
        made = getattr(module, function)()
    except CastaliaError:
        raise
    except Exception as error:  # anybody's own file may raise anything
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        where = f"{path}, line {lines[-1]}" if lines else str(path)
        raise RecipeError(f"{where}: {type(error).__name__}: {error}") from error
    if not isinstance(made, kind):
        raise RecipeError(f"{function}() in {path} returned {type(made).__name__}, not a {kind.__name__}")
    return made
