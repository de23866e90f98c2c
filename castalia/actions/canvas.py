"""The canvas: marking, drawing, cropping and erasing in pictures; only what changed is perceived again.

Places are [row, column] in cells: one cell is one patch of the picture as it is seen, and [0.5, 0.5] the middle of the
first.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image as pillow
from PIL import ImageDraw, ImageFont

from castalia.actions.action import Parameter, State, said
from castalia.document import Document, Image, Part
from castalia.errors import ActionError, nearest

COLOURS = {
    "blue": (0, 90, 255),
    "red": (230, 30, 30),
    "green": (0, 150, 60),
    "orange": (255, 140, 0),
    "violet": (150, 40, 200),
    "black": (0, 0, 0),
    "white": (255, 255, 255),
}
STEPS = {"R": (0, 1), "D": (1, 0), "L": (0, -1), "U": (-1, 0)}

LONGEST_SIDE = 20_000
"""Of a picture that is drawn on, in pixels: what a cell of it measures, and so the work, grows with its side."""

NUMBER = {"type": "number", "minimum": -1000, "maximum": 1000}
PLACE = {"type": "array", "items": NUMBER, "minItems": 2, "maxItems": 2}
BOX = {"type": "array", "items": NUMBER, "minItems": 4, "maxItems": 4}
COLOUR = Parameter("colour", {"type": "string", "enum": list(COLOURS)}, "blue")
IMAGE = Parameter("image", {"type": "integer", "minimum": 0}, 0)
"""Which picture: 0 is the first of the prompt; crops are appended."""


def seen(state: State, index: int) -> Image:
    """Return picture `index` as it looks now. Raises ActionError if there is none."""
    if index >= len(state.canvases):
        count = len(state.canvases)
        raise ActionError(f"there is no image {index}: there are {count}" if count else "there is no image")
    return state.canvases[index]


def shown(state: State, index: int, pixels_HWC: np.ndarray) -> Document:
    """Put `pixels_HWC` in place of picture `index`; return what has changed as a document."""
    image = Image(pixels_HWC, since=state.canvases[index])
    # The one before is all that the change needs; older states would be kept alive for nothing.
    state.canvases[index] = Image(pixels_HWC)
    return Document((Part(image, "tool"),))


@dataclass(frozen=True)
class Mark:
    """Rings a place or frames a box, with a label by which relations can name it."""

    name: str = "mark"
    about: str = "ring a place [row, column] or frame a box [row, column, height, width], with a label"
    parameters: tuple[Parameter, ...] = (
        Parameter("at", {"type": "array", "items": NUMBER, "minItems": 2, "maxItems": 4}),
        Parameter("label", {"type": "string", "maxLength": 12}, ""),
        COLOUR,
        IMAGE,
    )

    def run(self, arguments: dict[str, Any], state: State) -> Document:
        """Draw the mark; return the patches it changed."""
        at, label, index = arguments["at"], arguments["label"], arguments["image"]
        if len(at) == 3:
            raise ActionError("at is [row, column] or [row, column, height, width]")
        cell = state.cell_of(seen(state, index))
        row, column, height, width = at if len(at) == 4 else (at[0] - 0.5, at[1] - 0.5, 1, 1)
        if height <= 0 or width <= 0:
            raise ActionError("a box has a height and a width above 0")
        left, top = column * cell, row * cell
        # Both corners are drawn; what is thinner than a pixel is drawn as one.
        corners = (left, top, left + max(0, width * cell - 1), top + max(0, height * cell - 1))
        with _Drawing(state, index) as drawing:
            shape = drawing.pen.rectangle if len(at) == 4 else drawing.pen.ellipse
            shape(corners, outline=COLOURS[arguments["colour"]], width=max(1, round(cell / 8)))
            if label:
                drawing.pen.text(corners[:2], label, COLOURS[arguments["colour"]], drawing.font)
        if label:
            state.marks[label] = index
        return drawing.document


@dataclass(frozen=True)
class Draw:
    """Draws a line with a pen that stays where it ended, or fills the area that a path encloses."""

    name: str = "draw"
    about: str = "draw a path of places, or of steps R D L U of one cell from where the pen is (or from `start`)"
    parameters: tuple[Parameter, ...] = (
        Parameter("path", {}),
        Parameter("start", PLACE, None),
        COLOUR,
        Parameter("fill", {"type": "boolean"}, False),
        IMAGE,
    )

    def run(self, arguments: dict[str, Any], state: State) -> Document:
        """Draw the path; return the patches it changed."""
        index = arguments["image"]
        cell = state.cell_of(seen(state, index))
        places = _places(arguments["path"], arguments["start"], state.pen)
        state.pen = places[-1]
        points = [(column * cell, row * cell) for row, column in places]
        colour, width = COLOURS[arguments["colour"]], max(1, round(cell / 4))
        with _Drawing(state, index) as drawing:
            if arguments["fill"] and len(points) > 2:
                drawing.pen.polygon(points, fill=colour)
            else:
                drawing.pen.line(points, colour, width, joint="curve")
                x, y = points[-1]
                drawing.pen.ellipse((x - width, y - width, x + width, y + width), fill=colour)
        return drawing.document


def _places(path: Any, start: list[float] | None, pen: tuple[float, float] | None) -> list[tuple[float, float]]:
    here = (float(start[0]), float(start[1])) if start else pen
    if isinstance(path, str):
        if here is None:
            raise ActionError("steps need a start [row, column]: the pen has been nowhere yet")
        if len(path) > 200:
            raise ActionError("a path has at most 200 steps")
        places = [here]
        for letter in path:
            if letter not in STEPS:
                raise ActionError(f"a step is one of R, D, L, U, not {letter!r}")
            down, right = STEPS[letter]
            places.append((places[-1][0] + down, places[-1][1] + right))
        if max(map(abs, places[-1])) > 1000:  # call after call may go on from where the pen is
            raise ActionError("a place lies within 1000 cells")
        return places
    if not isinstance(path, list) or not 1 <= len(path) <= 200:
        raise ActionError("path is a text of steps, or a list of 1 to 200 places [row, column]")
    places = [here] if start and here else []
    for place in path:
        if not (isinstance(place, list) and len(place) == 2 and all(isinstance(x, int | float) for x in place)):
            raise ActionError("a place is [row, column]")
        if not all(abs(x) <= 1000 for x in place):
            raise ActionError("a place lies within 1000 cells")
        places.append((float(place[0]), float(place[1])))
    return places


@dataclass(frozen=True)
class Crop:
    """Looks at a region of the original again, at its full resolution."""

    name: str = "crop"
    about: str = "look closer at a box [row, column, height, width] of a picture, at its full resolution"
    parameters: tuple[Parameter, ...] = (Parameter("box", BOX), IMAGE)

    def run(self, arguments: dict[str, Any], state: State) -> Document:
        """Return the region as a new picture, which further actions may name by its number."""
        index = arguments["image"]
        seen(state, index)
        original = state.originals[index]
        region = _region(arguments["box"], state.cell_of(original), original)
        crop = Image(original.pixels_HWC[region])  # a view: however many there are, they take no memory
        state.keep([crop])
        return Document((Part(crop, "tool"),))


@dataclass(frozen=True)
class Erase:
    """Takes back what was marked or drawn in a region."""

    name: str = "erase"
    about: str = "take back what was drawn in a box [row, column, height, width], or everywhere"
    parameters: tuple[Parameter, ...] = (Parameter("box", BOX, None), IMAGE)

    def run(self, arguments: dict[str, Any], state: State) -> Document:
        """Restore the original; return the patches that changed."""
        index, box = arguments["image"], arguments["box"]
        now, original = seen(state, index), state.originals[index]
        region = _region(box, state.cell_of(now), now) if box else np.s_[:, :]
        pixels_HWC = now.pixels_HWC.copy()
        pixels_HWC[region] = original.pixels_HWC[region]
        if box is None:
            state.marks = {label: marked for label, marked in state.marks.items() if marked != index}
            state.pen = None
        return shown(state, index, pixels_HWC)


RELATIONS = ("left of", "right of", "above", "below", "inside", "larger", "smaller", "same", "connected", "between")


@dataclass(frozen=True)
class Relate:
    """States a relation between two things that were marked: an edge of the scene graph."""

    name: str = "relate"
    about: str = f"state a relation between two labels: {', '.join(RELATIONS)}"
    parameters: tuple[Parameter, ...] = (
        Parameter("one", {"type": "string", "maxLength": 12}),
        Parameter("relation", {"type": "string", "enum": list(RELATIONS)}),
        Parameter("other", {"type": "string", "maxLength": 12}),
    )

    def run(self, arguments: dict[str, Any], state: State) -> Document:
        """Keep the relation; nothing is to be seen of it."""
        for label in (arguments["one"], arguments["other"]):
            if label not in state.marks:
                raise ActionError(f"nothing is marked {label!r}: {nearest(label, state.marks)}")
        state.relations.append((arguments["one"], arguments["relation"], arguments["other"]))
        return said("")


CANVAS = (Mark(), Draw(), Crop(), Erase(), Relate())


def _region(box: list[float], cell: float, image: Image) -> tuple[slice, slice]:
    row, column, height, width = box
    top, left = max(0, round(row * cell)), max(0, round(column * cell))
    bottom, right = min(image.height, round((row + height) * cell)), min(image.width, round((column + width) * cell))
    if top >= bottom or left >= right:
        raise ActionError("the box lies outside the picture")
    return np.s_[top:bottom, left:right]


@dataclass
class _Drawing:
    """A copy of a canvas to draw on; on leaving, what changed becomes `document`."""

    state: State
    index: int
    document: Document = field(default_factory=Document)

    def __enter__(self) -> "_Drawing":
        now = self.state.canvases[self.index]
        if max(now.height, now.width) > LONGEST_SIDE:
            raise ActionError(f"a picture of more than {LONGEST_SIDE:,} pixels a side is not drawn on")
        self.picture = pillow.fromarray(now.pixels_HWC)
        self.pen = ImageDraw.Draw(self.picture)
        self.font = ImageFont.load_default(max(8, self.state.cell_of(now) * 0.6))
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.document = shown(self.state, self.index, np.array(self.picture))
