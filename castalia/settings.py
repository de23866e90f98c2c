"""Settings: typed values, some grouped, that are written as JSON and set field by field from text."""

import dataclasses
import difflib
import types
import typing
from typing import Any, Self

from castalia.errors import RecipeError, nearest


class Settings:
    """What every dataclass of settings can do: recipes are ones."""

    def override(self, settings: dict[str, str]) -> Self:
        """Return a copy with fields such as ``model.width`` set from text; RecipeError for a wrong name or value.

        All are set at once, so those that fit only together, as width and heads, may come in any order.
        """
        changes: dict[str, Any] = {}
        for path, text in settings.items():
            _collect(self, path.split("."), text, path, changes)
        return _replace(self, changes)

    def difference(self, other: Self) -> dict[str, str]:
        """Return the settings, as text, with which `other` would be this one."""
        return _difference(self, other)

    def to_json(self) -> dict[str, Any]:
        """Return all of it as plain values."""
        return dataclasses.asdict(typing.cast(Any, self))

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Undo `to_json`; raises RecipeError for unknown fields."""
        return _build(cls, values, cls.__name__.lower())


def require(node: Any, least: float, *names: str) -> None:
    """Raise ValueError for the first of the fields `names` of `node` that is less than `least`, or no number."""
    for name in names:
        if not getattr(node, name) >= least:
            raise ValueError(f"{name} must be {least:g} or more, not {getattr(node, name)}")


def _collect(node: Any, path: list[str], text: str, whole: str, changes: dict[str, Any]) -> None:
    """Read `text` as the value of field `path` of `node`, and put it where it belongs in the tree of `changes`."""
    names = [f.name for f in dataclasses.fields(node)]
    name, before = path[0], whole.split(".")[: -len(path)]
    if name not in names:
        close = difflib.get_close_matches(name, names, n=1, cutoff=0.0)[0]
        known = f"fields of {type(node).__name__}: {', '.join(names)}"
        right = ".".join((*before, close, *path[1:]))
        raise RecipeError(f"no field {whole!r} in a recipe: did you mean {right!r}? ({known})")
    value = getattr(node, name)
    if dataclasses.is_dataclass(value):
        if len(path) == 1:
            raise RecipeError(f"{whole!r} is a group of fields: name one of them, as {whole}.FIELD=VALUE")
        _collect(value, path[1:], text, whole, changes.setdefault(name, {}))
    elif isinstance(value, dict):
        if len(path) > 1:
            changes[name] = {**changes.get(name, value), ".".join(path[1:]): _parse(float, text, whole)}
            return
        pairs = (pair.rsplit(":", 1) for pair in text.split(",") if pair)
        try:
            changes[name] = {key: float(share) for key, share in pairs}
        except ValueError as error:
            raise RecipeError(f"{whole}: expected NAME:SHARE,NAME:SHARE, got {text!r}") from error
    elif len(path) > 1:
        raise RecipeError(f"no field {whole!r} in a recipe: {'.'.join((*before, name))!r} has no fields")
    else:
        changes[name] = _parse(typing.get_type_hints(type(node))[name], text, whole)


def _replace(node: Any, changes: dict[str, Any], where: str = "") -> Any:
    """Return `node` with `changes`, groups of fields in their turn."""
    new = {
        name: _replace(getattr(node, name), value, f"{where}{name}.")
        if dataclasses.is_dataclass(getattr(node, name))
        else value
        for name, value in changes.items()
    }
    try:
        return dataclasses.replace(node, **new)
    except ValueError as error:
        settings = " ".join(f"{where}{name}={value}" for name, value in changes.items())
        raise RecipeError(f"{settings}: {error}") from error


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
        items = tuple(_parse(arguments[0], item, whole) for item in text.split(",") if item)
        if arguments[-1] is not Ellipsis and len(items) != len(arguments):
            raise RecipeError(f"{whole}: expected {len(arguments)} values with commas between, got {text!r}")
        return items
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise RecipeError(f"{whole}: expected true or false, got {text!r}")
        return text.lower() == "true"
    try:
        return kind(text)
    except ValueError as error:
        raise RecipeError(f"{whole}: expected {kind.__name__}, got {text!r}") from error


def _difference(node: Any, other: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in (field.name for field in dataclasses.fields(node)):
        value, its = getattr(node, name), getattr(other, name)
        if dataclasses.is_dataclass(value):
            found |= {f"{name}.{path}": text for path, text in _difference(value, its).items()}
        elif value != its:
            found[name] = _text(value)
    return found


def _text(value: Any) -> str:
    """Return a value as `_parse` reads it."""
    if isinstance(value, dict):
        return ",".join(f"{name}:{share}" for name, share in value.items())
    if isinstance(value, tuple):
        return ",".join(map(_text, value))
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


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
