"""Captions: name what a picture shows, or choose between two names."""

import random
import re
from collections.abc import Sequence

import numpy as np
from PIL import Image as pillow

from castalia.document import Document, Image, Part
from castalia.errors import TaskError
from castalia.tasks.material import Picture
from castalia.tasks.task import Example, Question, Score, Split, generator, trace

CLASSES = {1: 4, 2: 7, 3: 10, 4: 25, 5: 50, 6: 100, 7: 200, 8: 500, 9: 1000, 10: 100_000}
"""Different names a difficulty draws from."""

LONGEST_SIDE = 64
"""Pixels: larger pictures are shrunk to this."""

PATCH = 16
"""Pictures are laid on a ground of whole patches of this many pixels."""

WORDINGS: dict[str, tuple[str, ...]] = {
    "name": ("What is this?", "What does the picture show?", "Name this."),
    "choose": ("Is this {one} or {other}?", "Which is it: {one} or {other}?", "{one} or {other}?"),
    "whether": ("Is this {one}?", "Does the picture show {one}?"),
}


class Captions:
    """Pictures with captions: name one, choose between two names, say whether a name fits; two questions a picture.

    Names are taken source by source, those with the fewest names first: difficulty 1 to 3 know four to ten (the
    clothes of Fashion-MNIST), then come stamps, then emoji. All names are alike frequent, whatever the number of their
    pictures. The held-out split has held-out pictures, of names that training knows wherever there are such.
    ``out_of_range`` has held-out pictures upside down in inverted colours, which training never shows.
    """

    name = "captions"

    def __init__(self, pictures: Sequence[Picture]) -> None:
        """Sort the pictures by name and side; none is loaded yet. Raises TaskError if a side has none."""
        self._pictures: dict[bool, dict[str, list[Picture]]] = {False: {}, True: {}}
        names: dict[str, dict[str, None]] = {}
        for picture in pictures:
            self._pictures[picture.held_out].setdefault(picture.names[0], []).append(picture)
            names.setdefault(picture.source, {})[picture.names[0]] = None
        if not self._pictures[False] or not self._pictures[True]:
            raise TaskError("captions: there must be pictures on both sides, to train on and held out")
        sources = sorted(names, key=lambda source: (len(names[source]), source))
        in_order = [name for source in sources for name in sorted(names[source])]
        self._names = list(dict.fromkeys(in_order))

    def sample(self, seed: int, difficulty: int, split: Split = "train") -> Example:
        """Draw a name and one of its pictures, and ask for the name and one more question."""
        rng = generator(self.name, seed, difficulty, split)
        side = self._pictures[split != "train"]
        known = self._names[: CLASSES[difficulty]]
        able = [name for name in known if name in side]
        able = [name for name in able if name in self._pictures[False]] or able or list(side)
        picture = rng.choice(side[rng.choice(able)])
        other = rng.choice([name for name in known if name not in picture.names] or ["nothing"])
        questions = [_name(picture, len(able), rng), (_choose if rng.random() < 0.5 else _whether)(picture, other, rng)]
        rng.shuffle(questions)
        context = Document((Part(_lay_out(picture.load(), split, rng), "user"),))
        return Example(self.name, seed, difficulty, split, context, tuple(questions))

    def score(self, example: Example, reply: str, index: int = 0) -> Score:
        """Accept any of the picture's names; case, punctuation and a leading article do not matter."""
        question = example.questions[index]
        if plain(reply) in {plain(name) for name in question.facts.get("names", (question.answer,))}:
            return Score(1.0)
        return Score(0.0, f"expected {question.answer!r}, got {reply.strip()[:100]!r}")

    def trace(self, example: Example, *, acting: bool = False) -> Document:
        """Return the picture, the questions and their answers."""
        return trace(example, acting=acting)


def plain(name: str) -> str:
    """Return `name` in lower case without punctuation, doubled spaces and a leading article."""
    return re.sub(r"^(a|an|the) ", "", " ".join(re.findall(r"\w+", name.lower().replace("'", ""))))


def with_article(name: str) -> str:
    """Return `name` with ``a`` or ``an``; a plural (as far as its last letter shows) stays alone."""
    if name.endswith("s") and not name.endswith("ss"):
        return name
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def _name(picture: Picture, classes: int, rng: random.Random) -> Question:
    wording = rng.choice(WORDINGS["name"])
    return Question(wording, picture.names[0], "name", chance=1 / classes, facts={"names": list(picture.names)})


def _choose(picture: Picture, other: str, rng: random.Random) -> Question:
    pair = [with_article(picture.names[0]), with_article(other)]
    rng.shuffle(pair)
    wording = rng.choice(WORDINGS["choose"]).format(one=pair[0], other=pair[1])
    wording = wording[0].upper() + wording[1:]
    return Question(wording, picture.names[0], "choose", chance=0.5, facts={"names": list(picture.names)})


def _whether(picture: Picture, other: str, rng: random.Random) -> Question:
    yes = rng.random() < 0.5
    wording = rng.choice(WORDINGS["whether"]).format(one=with_article(picture.names[0] if yes else other))
    return Question(wording, "yes" if yes else "no", "whether", chance=0.5)


def _lay_out(pixels_HWC: np.ndarray, split: Split, rng: random.Random) -> Image:
    """Shrink the picture if it is large and lay it on a ground of whole patches: at random in training, else amid."""
    if max(pixels_HWC.shape[:2]) > LONGEST_SIDE:
        small = pillow.fromarray(pixels_HWC)
        small.thumbnail((LONGEST_SIDE, LONGEST_SIDE), pillow.Resampling.LANCZOS, reducing_gap=3.0)
        pixels_HWC = np.asarray(small)
    if split == "out_of_range":
        pixels_HWC = 255 - pixels_HWC[::-1]
    height, width = pixels_HWC.shape[:2]
    ground_HWC = np.empty((-(-height // PATCH) * PATCH, -(-width // PATCH) * PATCH, 3), np.uint8)
    ground_HWC[:] = pixels_HWC[0, 0]
    down, across = ground_HWC.shape[0] - height, ground_HWC.shape[1] - width
    top, left = (rng.randint(0, down), rng.randint(0, across)) if split == "train" else (down // 2, across // 2)
    ground_HWC[top : top + height, left : left + width] = pixels_HWC
    return Image(ground_HWC)
