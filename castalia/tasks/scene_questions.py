"""Questions about scenes: what can be asked of one, in which words, and what is counted on the way to the answer."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from castalia.document import Call
from castalia.tasks.drawing import PALETTE
from castalia.tasks.steps import call, mark, tallied
from castalia.tasks.task import Question

WORDINGS: dict[str, tuple[str, ...]] = {
    "count": ("How many things are there?", "Count the things.", "How many things?", "The number of things?"),
    "count some": ("How many {some} are there?", "Count the {some}.", "How many {some}?", "The number of {some}?"),
    "colour": (
        "What colour is the {shape}?",
        "Which colour is the {shape}?",
        "The colour of the {shape}?",
        "Name the colour of the {shape}.",
    ),
    "shape": (
        "Which shape is {colour}?",
        "What is {colour}?",
        "Name the {colour} shape.",
        "What {colour} shape is there?",
    ),
    "size": ("Is the {a} large or small?", "Large or small: the {a}?", "The size of the {a}?", "How big is the {a}?"),
    "present": ("Is there a {a}?", "Do you see a {a}?", "Is a {a} there?", "Can you find a {a}?"),
    "side": (
        "Is the {a} {side} the {b}?",
        "Does the {a} lie {side} the {b}?",
        "The {a}: {side} the {b}?",
        "Do you see the {a} {side} the {b}?",
    ),
    "which side": (
        "Which is further {way}, the {a} or the {b}?",
        "The {a} or the {b}: which is further {way}?",
        "Which lies further {way}, the {a} or the {b}?",
        "Further {way}: the {a} or the {b}?",
    ),
    "outermost": (
        "What is furthest {way}?",
        "Name the thing furthest {way}.",
        "Furthest {way}?",
        "What lies furthest {way}?",
    ),
    "between": (
        "What is between the {a} and the {b}?",
        "Between the {a} and the {b}?",
        "Name what is between the {a} and the {b}.",
        "What do the {a} and the {b} have between them?",
    ),
    "odd": ("Which is the odd one out?", "Find the odd one out.", "What does not belong?", "Which one is different?"),
}
SIDES: dict[str, tuple[int, int]] = {"left of": (0, -1), "right of": (0, 1), "above": (1, -1), "below": (1, 1)}
"""Axis (0: x, 1: y) and sign of what lies on that side."""

WAYS: dict[str, tuple[int, int]] = {"left": (0, -1), "right": (0, 1), "up": (1, -1), "down": (1, 1)}
APART = 10
"""Least pixels between the middles of two things for one to be called left of, or above, the other."""


SMALL, LARGE = 12, 24
"""Sides of things, in pixels."""

Kinds = tuple[tuple[str, str], ...]
"""Shapes with their colours."""


@dataclass(frozen=True)
class Thing:
    """A shape of a colour; (`x`, `y`) is its middle and `size` its side, in pixels."""

    shape: str
    colour: str
    x: int
    y: int
    size: int

    @property
    def large(self) -> bool:
        """Whether it is one of the large things."""
        return self.size == LARGE

    @property
    def name(self) -> str:
        """What it is called: ``red star``."""
        return f"{self.colour} {self.shape}"

    @property
    def middle(self) -> tuple[int, int]:
        """Its middle, x and y."""
        return self.x, self.y


@dataclass(frozen=True)
class Scene:
    """The things of a picture in reading order, all of them of `kinds`.

    How many they are is one of `counts` numbers, all alike. `some` is a shape or colour of which there are 0 to
    `most_some`, all alike; empty in scenes of an odd one out.
    """

    things: tuple[Thing, ...]
    kinds: Kinds
    counts: int
    some: str = ""
    most_some: int = 0

    def identity(self) -> str:
        """Return the canonical content: what stands where, in which size."""
        return str(self.things)

    def sole(self) -> list[Thing]:
        """Return the things that no other shares both colour and shape with."""
        names = [thing.name for thing in self.things]
        return [thing for thing in self.things if names.count(thing.name) == 1]


Maker = Callable[[Scene, random.Random], Question | None]


def ask(scene: Scene, counting: list[str], most: int, difficulty: int, rng: random.Random) -> tuple[Question, ...]:
    """Return up to `most` questions about `scene`, of different kinds, in random order.

    `counting` says which of ``count`` and ``count some`` are among them; `difficulty` (1 to 10) which others can be.
    """
    others = [_colour, _shape, _outermost]
    if scene.some:
        others += [_present, _side, _which_side]
    if difficulty >= 4:
        others += [_size, _between]
    rng.shuffle(others)
    first: list[Maker] = [_count] if "count" in counting else []
    first += ([_count_some] if "count some" in counting else []) if scene.some else [_odd]
    questions: list[Question] = []
    for make in first + others:
        question = make(scene, rng) if len(questions) < most else None
        if question:
            questions.append(question)
    rng.shuffle(questions)
    return tuple(questions)


def _word(kind: str, rng: random.Random, **names: str) -> str:
    return rng.choice(WORDINGS[kind]).format(**names).replace(" a orange", " an orange")


def _count(scene: Scene, rng: random.Random) -> Question:
    things = scene.things
    thoughts = ", ".join(f"{thing.colour} {number}" for number, thing in enumerate(things, 1))
    chance = 1 / scene.counts
    return Question(_word("count", rng), str(len(things)), "count", thoughts, chance, steps=_marked(things))


def _count_some(scene: Scene, rng: random.Random) -> Question:
    found = [thing for thing in scene.things if scene.some in (thing.shape, thing.colour)]
    by_colour = scene.some in PALETTE
    some = f"{scene.some} things" if by_colour else _plural(scene.some)
    # All are gone through, not those alone that count: each is then just the one that stands next.
    thoughts = tallied((thing.colour if by_colour else thing.shape for thing in scene.things), scene.some)
    chance = 1 / (scene.most_some + 1)
    text = _word("count some", rng, some=some)
    return Question(text, str(len(found)), "count some", thoughts, chance, steps=_marked(found))


def _looked_through(
    scene: Scene, found: Callable[[Thing], bool], said: Callable[[Thing], str] = lambda thing: thing.name
) -> str:
    """Return what is `said` of things in reading order, to the first that is `found`; of all, if none is."""
    words: list[str] = []
    for thing in scene.things:
        words.append(said(thing))
        if found(thing):
            break
    return ", ".join(words)


def _compared(way: str, a: str, b: str, further: str) -> str:
    """Return which of `a` and `b` is further that way, in the same words however it is asked for.

    So in ``left, red star, blue star: blue star``. What is said of each is said of the one that is further.
    """
    return f"{way}, {a}, {b}: {further}"


def _marked(things: Sequence[Thing]) -> tuple[Call, ...]:
    """Return the calls that mark things with the numbers from 1 on."""
    return tuple(mark(thing.x, thing.y, str(number)) for number, thing in enumerate(things, 1))


def _related(a: Thing, b: Thing, axis: int) -> tuple[Call, ...]:
    """Return the calls that mark two things and state how the first stands to the second along `axis`."""
    sign = 1 if a.middle[axis] > b.middle[axis] else -1
    relation = next(side for side, direction in SIDES.items() if direction == (axis, sign))
    return mark(a.x, a.y, "a"), mark(b.x, b.y, "b"), call("relate", "a", relation, "b")


def _plural(shape: str) -> str:
    return shape + ("es" if shape.endswith("s") else "s")


def _colour(scene: Scene, rng: random.Random) -> Question | None:
    shapes = [thing.shape for thing in scene.things]
    sole = [thing for thing in scene.things if shapes.count(thing.shape) == 1]
    if not sole:
        return None
    thing = rng.choice(sole)
    possible = sum(shape == thing.shape for shape, _ in scene.kinds)
    thoughts = _looked_through(scene, lambda other: other is thing)
    return Question(_word("colour", rng, shape=thing.shape), thing.colour, "colour", thoughts, 1 / possible)


def _shape(scene: Scene, rng: random.Random) -> Question | None:
    colours = [thing.colour for thing in scene.things]
    sole = [thing for thing in scene.things if colours.count(thing.colour) == 1]
    if not sole:
        return None
    thing = rng.choice(sole)
    possible = sum(colour == thing.colour for _, colour in scene.kinds)
    return Question(_word("shape", rng, colour=thing.colour), thing.shape, "shape", "", 1 / possible)


def _size(scene: Scene, rng: random.Random) -> Question | None:
    large = [thing for thing in scene.sole() if thing.large]
    small = [thing for thing in scene.sole() if not thing.large]
    if not large or not small:
        return None  # there being more small things, they would be asked about more often
    answer, things = rng.choice((("large", large), ("small", small)))
    return Question(_word("size", rng, a=rng.choice(things).name), answer, "size", "", 0.5)


def _present(scene: Scene, rng: random.Random) -> Question | None:
    """Ask for something that is there, or for one whose colour and shape are both there, but not in one thing.

    Thoughts go through the shapes until it is found; of those that are asked for, they say the colour: ``star, square
    red no, square blue yes``.
    """
    there = {(thing.shape, thing.colour) for thing in scene.things}
    shapes, colours = {shape for shape, _ in there}, {colour for _, colour in there}
    mixed = [kind for kind in scene.kinds if kind[0] in shapes and kind[1] in colours and kind not in there]
    if not mixed:
        return None  # with nothing to mistake it for, the answer would always be yes
    answer, kinds = rng.choice((("yes", sorted(there)), ("no", mixed)))
    shape, colour = rng.choice(kinds)
    asked = f"{colour} {shape}"

    def found(thing: Thing) -> bool:
        return thing.name == asked

    def said(thing: Thing) -> str:
        return f"{shape} {thing.colour} {'yes' if found(thing) else 'no'}" if thing.shape == shape else thing.shape

    return Question(_word("present", rng, a=asked), answer, "present", _looked_through(scene, found, said), 0.5)


def _two(scene: Scene, axis: int, rng: random.Random) -> tuple[Thing, Thing] | None:
    """Draw two things clearly apart along `axis`."""
    sole = scene.sole()
    pairs = [(a, b) for a in sole for b in sole if abs(a.middle[axis] - b.middle[axis]) >= APART]
    return rng.choice(pairs) if pairs else None


def _side(scene: Scene, rng: random.Random) -> Question | None:
    """Ask whether one thing is on that side of another; thoughts say which of the two is further there."""
    side, (axis, sign) = rng.choice(list(SIDES.items()))
    two = _two(scene, axis, rng)
    if two is None:
        return None
    a, b = two
    further = max(two, key=lambda thing: thing.middle[axis] * sign)
    answer = "yes" if further is a else "no"
    text = _word("side", rng, a=a.name, b=b.name, side=side)
    way = next(way for way, direction in WAYS.items() if direction == (axis, sign))
    # What each would mean is said before, so that the answer is what stands behind the one that is further.
    yes, no = f"{a.name} yes", f"{b.name} no"
    thoughts = _compared(way, yes, no, yes if further is a else no)
    return Question(text, answer, "side", thoughts, 0.5, steps=_related(a, b, axis))


def _which_side(scene: Scene, rng: random.Random) -> Question | None:
    way, (axis, sign) = rng.choice(list(WAYS.items()))
    two = _two(scene, axis, rng)
    if two is None:
        return None
    a, b = two
    further = max(two, key=lambda thing: thing.middle[axis] * sign)
    text = _word("which side", rng, a=a.name, b=b.name, way=way)
    thoughts = _compared(way, a.name, b.name, further.name)
    return Question(text, further.name, "which side", thoughts, 0.5, steps=_related(a, b, axis))


def _outermost(scene: Scene, rng: random.Random) -> Question | None:
    way, (axis, sign) = rng.choice(list(WAYS.items()))
    first, second, *_ = sorted(scene.things, key=lambda thing: -thing.middle[axis] * sign)
    if abs(first.middle[axis] - second.middle[axis]) < APART:
        return None
    return Question(_word("outermost", rng, way=way), first.name, "outermost", "", 1 / len(scene.things))


def _between(scene: Scene, rng: random.Random) -> Question | None:
    """Ask for what stands, alone, on the straight line between two others."""
    sole = scene.sole()
    pairs = [(a, b) for a in sole for b in sole if a is not b]
    for a, b in rng.sample(pairs, min(12, len(pairs))):
        dx, dy = b.x - a.x, b.y - a.y
        squared = dx * dx + dy * dy
        near, on = [], []
        for thing in scene.things:
            along = (thing.x - a.x) * dx + (thing.y - a.y) * dy
            if thing in (a, b) or not 0 < along < squared:
                continue
            off = abs((thing.x - a.x) * dy - (thing.y - a.y) * dx) / squared**0.5
            if off < 18:
                near.append(thing)
            if off < 6 and 0.25 < along / squared < 0.75:
                on.append(thing)
        if len(on) == 1 and near == on:
            chance = 1 / (len(scene.things) - 2)
            return Question(_word("between", rng, a=a.name, b=b.name), on[0].name, "between", "", chance)
    return None


def _odd(scene: Scene, rng: random.Random) -> Question | None:
    """Ask for the one thing that is not as all others.

    Thoughts say what all share, then what is usual in that in which one differs, and go through all until one does:
    ``star, red: red, red, blue no``.
    """
    odd = scene.sole()
    if not odd:
        return None
    common = next(thing for thing in scene.things if thing is not odd[0])
    by_colour = odd[0].shape == common.shape
    shared, usual = (common.shape, common.colour) if by_colour else (common.colour, common.shape)

    def said(thing: Thing) -> str:
        word = thing.colour if by_colour else thing.shape
        return word if word == usual else f"{word} no"

    thoughts = f"{shared}, {usual}: {_looked_through(scene, lambda thing: thing is odd[0], said)}"
    return Question(_word("odd", rng), odd[0].name, "odd", thoughts, 1 / len(scene.things))
