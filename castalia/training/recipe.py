"""A recipe: everything that makes a run, as one typed value; and its form as JSON."""

import dataclasses
import difflib
import types
import typing
from dataclasses import dataclass, field
from typing import Any

from castalia.data.mixture import DataConfig
from castalia.data.stream import Feed
from castalia.errors import RecipeError, nearest
from castalia.model.config import ModelConfig
from castalia.perception.perceive import PerceptionConfig
from castalia.training.config import TrainingConfig


@dataclass(frozen=True)
class Recipe:
    """What a run is made of. `vocab_size` is what the tokenizer aims at; the model takes the size it got."""

    name: str
    vocab_size: int = 1024
    perception: PerceptionConfig = field(default_factory=PerceptionConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    feed: Feed = field(default_factory=lambda: Feed(rows=16, length=256, streams=2))
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def override(self, settings: dict[str, str]) -> "Recipe":
        """Return a copy with fields such as ``model.width`` set from text; RecipeError for a wrong name or value."""
        recipe = self
        for path, text in settings.items():
            recipe = _set(recipe, path.split("."), text, path)
        return recipe

    def to_json(self) -> dict[str, Any]:
        """Return the complete recipe as plain values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Recipe":
        """Undo `to_json`; raises RecipeError for unknown fields."""
        return _build(cls, values, "recipe")


def _set(node: Any, path: list[str], text: str, whole: str) -> Any:
    names = [f.name for f in dataclasses.fields(node)]
    if path[0] not in names:
        close = difflib.get_close_matches(path[0], names, n=1, cutoff=0.0)[0]
        known = f"fields of {type(node).__name__}: {', '.join(names)}"
        raise RecipeError(f"no field {whole!r} in a recipe: did you mean {whole.replace(path[0], close)!r}? ({known})")
    value = getattr(node, path[0])
    if dataclasses.is_dataclass(value):
        if len(path) == 1:
            raise RecipeError(f"{whole!r} is a group of fields: name one of them, as {whole}.FIELD=VALUE")
        new = _set(value, path[1:], text, whole)
    elif isinstance(value, dict):
        if len(path) > 1:
            new = {**value, ".".join(path[1:]): _parse(float, text, whole)}
        else:
            pairs = (pair.split(":") for pair in text.split(",") if pair)
            try:
                new = {key: float(share) for key, share in pairs}
            except ValueError as error:
                raise RecipeError(f"{whole}: expected NAME:SHARE,NAME:SHARE, got {text!r}") from error
    elif len(path) > 1:
        raise RecipeError(f"{'.'.join(path[:-1])!r} has no fields")
    else:
        new = _parse(typing.get_type_hints(type(node))[path[0]], text, whole)
    try:
        return dataclasses.replace(node, **{path[0]: new})
    except ValueError as error:
        raise RecipeError(f"{whole}={text}: {error}") from error


def _parse(kind: Any, text: str, whole: str) -> Any:
    """Read `text` as a value of type `kind`."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        if text.lower() == "none":
            return None
        return _parse(next(a for a in arguments if a is not type(None)), text, whole)
    if origin is typing.Literal:
        for choice in arguments:
            if str(choice) == text:
                return choice
        raise RecipeError(f"{whole}: {text!r} is not possible: {nearest(text, map(str, arguments))}")
    if origin is tuple:
        return tuple(_parse(arguments[0], item, whole) for item in text.split(",") if item)
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise RecipeError(f"{whole}: expected true or false, got {text!r}")
        return text.lower() == "true"
    try:
        return kind(text)
    except ValueError as error:
        raise RecipeError(f"{whole}: expected {kind.__name__}, got {text!r}") from error


def _build(kind: Any, values: dict[str, Any], where: str) -> Any:
    hints = typing.get_type_hints(kind)
    unknown = set(values) - set(hints)
    if unknown:
        name = min(unknown)
        raise RecipeError(f"{where} has an unknown field {name!r}: {nearest(name, hints)}")
    arguments = {}
    for name, value in values.items():
        if dataclasses.is_dataclass(hints[name]):
            value = _build(hints[name], value, f"{where}.{name}")
        arguments[name] = tuple(value) if isinstance(value, list) else value
    return kind(**arguments)
