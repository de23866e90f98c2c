"""Steps of reference thoughts: how families count, write calls, and name places in their pictures."""

import json
from collections.abc import Iterable
from typing import Any

from castalia.document import Call, Part

CELL = 16
"""Pixels of a cell, on a picture seen at its own size: places are in cells, and a cell is one patch."""


Step = str | Call | Part
"""Words, a call, or one of both as a part that is not to be learned."""


NOTHING = "-"
"""What an agent concludes that has found nothing."""


def tallied(names: Iterable[str], wanted: str) -> str:
    """Return `names` one after the other, those that are `wanted` counted: ``red 1, blue, red 2``."""
    words, number = [], 0
    for name in names:
        number += name == wanted
        words.append(f"{name} {number}" if name == wanted else name)
    return ", ".join(words)


def call(name: str, *arguments: Any) -> Call:
    """Return the call of an action, its `arguments` in order, as short as JSON can say it."""
    return Call(name, json.dumps(arguments, separators=(",", ":"), ensure_ascii=False))


def place(x: int, y: int) -> list[float]:
    """Return the middle of the cell that pixel (`x`, `y`) lies in: row and column, in cells."""
    return [y // CELL + 0.5, x // CELL + 0.5]


def mark(x: int, y: int, label: str = "") -> Call:
    """Return the call that rings the cell of pixel (`x`, `y`): no more than this one patch changes."""
    return call("mark", place(x, y), label) if label else call("mark", place(x, y))
