"""Recipes by name, or from anybody's own Python file: how a model goes to school, and its homework."""

import importlib
import importlib.util
import pkgutil
import traceback
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from castalia.errors import CastaliaError, RecipeError, nearest
from castalia.rl.homework import Homework
from castalia.training.recipe import Recipe

T = TypeVar("T")
MEASURED = Path(__file__).with_name("ladder.json")
"""What the small runs of `ladder` gave (benchmarks/forecasting.py --more): what is planned from where no others are."""


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


def find_homework(name: str) -> Homework | None:
    """Return the homework of a recipe, None if it has none. Raises RecipeError as `load_recipe`."""
    return load_homework(name) if hasattr(_module(name), "homework") else None


def load_parts(name: str) -> dict[str, dict[str, str]]:
    """Return the parts in which a recipe differs from another, each with the fields that make the difference.

    Raises RecipeError for a recipe without PARTS.
    """
    if not (parts := getattr(_module(name), "PARTS", None)):
        raise RecipeError(f"{name} has no PARTS: a dictionary of {{part: {{field: value}}}}")
    return parts


def _load(name: str, function: str, kind: type[T]) -> T:
    module = _module(name)
    if not hasattr(module, function):
        raise RecipeError(f"{name} has no function {function}() that returns a {kind.__name__}")
    with _said_of(name):
        made = getattr(module, function)()
    if not isinstance(made, kind):
        raise RecipeError(f"{function}() in {name} returned {type(made).__name__}, not a {kind.__name__}")
    return made


def _module(name: str) -> ModuleType:
    if not name.endswith(".py"):
        if name not in recipe_names():
            raise RecipeError(f"no recipe {name!r}: {nearest(name, recipe_names())}; or give the path of a .py file")
        return importlib.import_module(f"{__name__}.{name}")
    if not Path(name).is_file():
        raise RecipeError(f"no recipe file {name}")
    spec = importlib.util.spec_from_file_location(Path(name).stem, name)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with _said_of(name):
        spec.loader.exec_module(module)
    return module


@contextmanager
def _said_of(name: str) -> Generator[None]:
    """Say of whatever goes wrong in the recipe called `name` where it did; anybody's own file may raise anything."""
    try:
        yield
    except CastaliaError:
        raise
    except Exception as error:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == name]
        where = f"{name}, line {lines[-1]}" if lines else name
        raise RecipeError(f"{where}: {type(error).__name__}: {error}") from error
