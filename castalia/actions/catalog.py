"""Names to actions: those that come with Castalia, and those of plugins."""

import re
import sys
from collections.abc import Iterable
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from castalia.actions.action import Action
from castalia.actions.agents import Spawn
from castalia.actions.canvas import CANVAS
from castalia.actions.tools import Calculator, PythonSandbox
from castalia.errors import ActionError, nearest

GROUP = "castalia.actions"
"""Entry points of this group are plugins: each names a function, or a class, that makes an action or several."""

NAME = re.compile(r"[^\W\d][\w.-]*")


def builtin_actions() -> dict[str, tuple[Action, ...]]:
    """Return what comes with Castalia by name: the groups canvas, tools and agents, and each action by itself."""
    groups: dict[str, tuple[Action, ...]] = {
        "canvas": CANVAS,
        "tools": (Calculator(), PythonSandbox()),
        "agents": (Spawn(),),
    }
    return groups | {action.name: (action,) for actions in groups.values() for action in actions}


def build_actions(names: Iterable[str] | None = None) -> dict[str, Action]:
    """Return the actions called `names`, by name, those of plugins last; None is all there are.

    A name is an action's, a group's, or that of a plugin's entry point, which stands for all that the plugin makes. No
    process starts before an action is first used. Raises ActionError, with the nearest right name, if there is no such
    name, or if a plugin cannot be loaded, makes something that is no action, or takes a name that is taken.
    """
    builtin, plugins = builtin_actions(), _plugins(tuple(sys.path))
    wanted = list(dict.fromkeys((*builtin, *plugins) if names is None else names))
    for name in wanted:
        if name not in builtin and name not in plugins:
            raise ActionError(f"there is no action {name!r}: {nearest(name, (*builtin, *plugins))}")
    actions = {action.name: action for name in wanted for action in builtin.get(name, ())}
    for name in wanted:
        for action in _made(plugins[name]) if name in plugins else ():
            if name in builtin or action.name in actions:
                taken = name if name in builtin else action.name
                raise ActionError(f"the plugin {name!r} ({plugins[name].value}) takes a name that is taken: {taken!r}")
            actions[action.name] = action
    return actions


@cache
def _plugins(path: tuple[str, ...]) -> dict[str, EntryPoint]:
    """Return the plugins that are installed on `path`; to look for them reads files of every package."""
    return {point.name: point for point in entry_points(group=GROUP)}


def _made(point: EntryPoint) -> list[Action]:
    plugin = f"the plugin {point.name!r} ({point.value})"
    try:
        made = point.load()()
        made = list(made) if isinstance(made, Iterable) else [made]
    except Exception as error:  # anybody's own package may raise anything
        raise ActionError(f"{plugin} cannot be loaded: {type(error).__name__}: {error}") from error
    for action in made:
        missing = [part for part in ("name", "about", "parameters", "run") if not hasattr(action, part)]
        if missing:
            raise ActionError(f"{plugin} makes an object of type {type(action).__name__} without {', '.join(missing)}")
        if not NAME.fullmatch(action.name):
            raise ActionError(f"{plugin} makes an action {action.name!r}: a name is one word")
    return made
