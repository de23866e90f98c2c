"""Prose: what people have written, in passages: what a word means, and how its definition goes on."""

from collections.abc import Sequence

from castalia.document import Document, Part
from castalia.errors import TaskError
from castalia.tasks.material import Passage
from castalia.tasks.task import Example, Question, Score, Split, generator, score_exact, trace

LONGEST = 160
"""Characters: longer passages are cut after a word."""


class Prose:
    """Passages under their headings, learned as a whole; a question asks for the last words of one.

    As many words are left out as the difficulty says. Of passages that nobody has trained on (the held-out split, and
    ``out_of_range``, which gives them without their heading) the last words are often anybody's guess: it is the loss
    that tells how well prose is known.
    """

    name = "prose"

    def __init__(self, passages: Sequence[Passage]) -> None:
        """Sort the passages by side. Raises TaskError if a side has none."""
        self._sides = {side: [one for one in passages if one.held_out == side] for side in (False, True)}
        if not all(self._sides.values()):
            raise TaskError("prose: there must be passages on both sides, to train on and held out")

    def sample(self, seed: int, difficulty: int, split: Split = "train") -> Example:
        """Draw a passage, and ask how it goes on where its last words are left out."""
        rng = generator(self.name, seed, difficulty, split)
        passage = rng.choice(self._sides[split != "train"])
        words = _cut(passage.text).split(" ")
        kept = max(1, len(words) - difficulty)
        heading = (Part(f"{passage.heading}:", "user"),) if split != "out_of_range" else ()
        context = Document((*heading, Part(" ".join(words[:kept]), "assistant", learned=True)))
        question = Question("Go on.", " ".join(words[kept:]), "end")
        return Example(self.name, seed, difficulty, split, context, (question,))

    def score(self, example: Example, reply: str, index: int = 0) -> Score:
        """Accept the very words; case and a full stop do not matter."""
        return score_exact(example.questions[index], reply)

    def trace(self, example: Example, *, acting: bool = False) -> Document:
        """Return the passage, all of it learned."""
        return trace(example, acting=acting)


def _cut(text: str) -> str:
    """Return as many whole words of a passage as are not too long."""
    return text if len(text) <= LONGEST else text[: LONGEST + 1].rpartition(" ")[0]
