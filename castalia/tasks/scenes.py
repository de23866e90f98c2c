"""Scenes: coloured shapes on a background; count them, name them, say where they stand."""

import random
from dataclasses import dataclass, replace

from castalia.document import Document, Image, Part
from castalia.tasks.drawing import PALETTE, SHAPES, WHITE, Colour, canvas, draw_shape, to_image
from castalia.tasks.scene_questions import LARGE, SMALL, Kinds, Scene, Thing, ask
from castalia.tasks.task import Example, Score, Split, generator, held_out, score_exact, trace

SLOT = 16
"""Pixels of a slot: small things fill one slot, large ones two by two."""

TRIES = 30
"""Scenes drawn in search of one that all questions can be asked of; then fewer are asked."""

BACKGROUNDS: tuple[Colour, ...] = (
    WHITE,
    (238, 238, 238),
    (225, 240, 255),
    (255, 248, 220),
    (230, 250, 230),
    (60, 60, 70),
)


@dataclass(frozen=True)
class Level:
    """How hard.

    `things`: fewest and most; `shapes` and `colours`: how many of each; `slots`: columns and rows of the picture;
    `large`: share of large things; `shift`: pixels a thing may stand off its slot's middle; `clutter`: grey strokes.
    """

    things: tuple[int, int]
    shapes: int
    colours: int
    slots: tuple[int, int]
    large: float = 0.0
    shift: int = 0
    clutter: int = 0
    questions: int = 4


LEVELS = {
    1: Level((2, 4), 3, 4, (5, 5)),
    2: Level((2, 5), 4, 5, (6, 5)),
    3: Level((3, 6), 5, 6, (6, 6)),
    4: Level((3, 7), 5, 6, (6, 6), large=0.2, shift=1),
    5: Level((4, 8), 6, 7, (8, 6), large=0.2, shift=2, questions=5),
    6: Level((4, 9), 6, 7, (8, 7), large=0.25, shift=2, questions=5),
    7: Level((5, 10), 7, 8, (9, 8), large=0.25, shift=3, clutter=2, questions=5),
    8: Level((6, 11), 7, 8, (10, 8), large=0.25, shift=3, clutter=4, questions=5),
    9: Level((7, 12), 8, 8, (11, 9), large=0.25, shift=4, clutter=6, questions=6),
    10: Level((8, 14), 8, 8, (12, 10), large=0.25, shift=4, clutter=8, questions=6),
}


def reserved(shape: str, colour: str) -> bool:
    """Say whether things of this shape and colour are kept for ``out_of_range``: one colour of each shape.

    Such are yellow circles, green squares and blue triangles.
    """
    return (SHAPES.index(shape) + list(PALETTE).index(colour)) % len(PALETTE) == 3


class Scenes:
    """Scenes of coloured shapes with four to six questions each (three where one is the odd one out).

    Difficulty 1 has two to four things, one to a patch, of three shapes and four colours; later there are more of all,
    two sizes (4), odd ones out (3), things between others (4), things off their slots (4) and clutter (7); 10 has up to
    fourteen things. Every shape has one colour it never wears in training (`reserved`). Splits differ in what stands
    where. ``out_of_range`` has more things than the difficulty ever has, at least one of them in a reserved colour, and
    no odd ones out.
    """

    name = "scenes"

    def sample(self, seed: int, difficulty: int, split: Split = "train") -> Example:
        """Make the scene of this seed and questions about it."""
        rng = generator(self.name, seed, difficulty, split)
        level = LEVELS[difficulty]
        if split == "out_of_range":
            most = level.things[1]
            level = replace(level, things=(most + 1, most + 4), slots=(level.slots[0] + 2, level.slots[1] + 2))
        odd = split != "out_of_range" and difficulty >= 3 and rng.random() < 0.2
        kinds = _kinds(level, split)
        # What is counted is settled before the scene: no count must be met more often for being easier to ask for.
        count, place = rng.randint(*level.things), rng.random()
        counting = [kind for kind in ("count", "count some") if rng.random() < 0.5]
        most = 3 if odd else level.questions
        tries = 0
        while True:
            scene = _odd_scene(level, count, kinds, rng) if odd else _scene(level, count, place, kinds, rng)
            if not _belongs(scene, split):
                continue
            questions = ask(scene, counting, most, difficulty, rng)
            tries += 1
            if len(questions) == most or (len(questions) > 1 and tries >= TRIES):
                break
        background = WHITE if difficulty < 3 else rng.choice(BACKGROUNDS)
        context = Document((Part(draw(scene, level, background, rng), "user"),))
        return Example(self.name, seed, difficulty, split, context, questions)

    def score(self, example: Example, reply: str, index: int = 0) -> Score:
        """Compare exactly; an article before the answer does not matter."""
        words = reply.strip().split()
        if words and words[0].lower() in ("a", "an", "the"):
            words = words[1:]
        return score_exact(example.questions[index], " ".join(words))

    def trace(self, example: Example, *, acting: bool = False) -> Document:
        """Return the scene, the questions, what was counted (if `acting`: marked) on the way, and the answers."""
        return trace(example, acting=acting)


def draw(scene: Scene, level: Level, background: Colour, rng: random.Random) -> Image:
    """Return the picture of `scene`; `rng` draws the clutter."""
    columns, rows = level.slots
    picture, pen = canvas(columns * SLOT, rows * SLOT, background)
    faint = tuple((channel + 127) // 2 for channel in background)
    for _ in range(level.clutter):
        x, y = rng.randrange(columns * SLOT), rng.randrange(rows * SLOT)
        pen.line((x, y, x + rng.randint(-14, 14), y + rng.randint(-14, 14)), fill=faint)
    for thing in scene.things:
        left, top = thing.x - thing.size // 2, thing.y - thing.size // 2
        draw_shape(pen, thing.shape, left, top, thing.size, PALETTE[thing.colour])
    return to_image(picture)


def _belongs(scene: Scene, split: Split) -> bool:
    if split == "out_of_range":
        return any(reserved(thing.shape, thing.colour) for thing in scene.things)
    return held_out(scene.identity()) == (split == "held_out")


def _kinds(level: Level, split: Split) -> Kinds:
    every = [(shape, colour) for shape in SHAPES[: level.shapes] for colour in list(PALETTE)[: level.colours]]
    return tuple(kind for kind in every if split == "out_of_range" or not reserved(*kind))


def _scene(level: Level, count: int, place: float, kinds: Kinds, rng: random.Random) -> Scene:
    """Make a scene of which 0 to `most_some` things (by `place` in [0, 1), all alike) have one shape or colour."""
    axis = rng.randrange(2)
    some = rng.choice(sorted({kind[axis] for kind in kinds}))
    most_some = min(level.things[0], 5)
    wanted = int(place * (most_some + 1))
    inside = [kind for kind in kinds if kind[axis] == some]
    outside = [kind for kind in kinds if kind[axis] != some]
    chosen = [rng.choice(inside if index < wanted else outside) for index in range(count)]
    rng.shuffle(chosen)
    return Scene(_placed(chosen, level, rng), kinds, _counts(level), some, most_some)


def _odd_scene(level: Level, count: int, kinds: Kinds, rng: random.Random) -> Scene:
    """Make a scene of things all alike but one, which has another shape or another colour."""
    usual = rng.choice(kinds)
    odd = rng.choice([kind for kind in kinds if (kind[0] == usual[0]) != (kind[1] == usual[1])])
    return Scene(_placed([odd] + [usual] * (count - 1), level, rng), kinds, _counts(level))


def _counts(level: Level) -> int:
    return level.things[1] - level.things[0] + 1


def _placed(chosen: list[tuple[str, str]], level: Level, rng: random.Random) -> tuple[Thing, ...]:
    columns, rows = level.slots
    while True:
        free = {(column, row) for column in range(columns) for row in range(rows)}
        things = []
        for shape, colour in chosen:
            span = 2 if rng.random() < level.large else 1
            places = sorted(
                (c, r) for c, r in free if all((c + i, r + j) in free for i in range(span) for j in range(span))
            )
            if not places:
                break  # too crowded for what is left: place them all anew
            column, row = rng.choice(places)
            free -= {(column + i, row + j) for i in range(span) for j in range(span)}
            shift = min(level.shift, 2) if span == 1 else level.shift
            x = column * SLOT + span * SLOT // 2 + rng.randint(-shift, shift)
            y = row * SLOT + span * SLOT // 2 + rng.randint(-shift, shift)
            things.append(Thing(shape, colour, x, y, SMALL if span == 1 else LARGE))
        if len(things) == len(chosen):
            return tuple(sorted(things, key=lambda thing: (thing.y // SLOT, thing.x)))
