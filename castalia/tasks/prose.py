"""Prose: what people have written, in passages: what a word means, and which words its definition ends with."""

from collections.abc import Sequence
from dataclasses import replace

from castalia.document import Document, Part
from castalia.errors import TaskError
from castalia.tasks.material import Passage
from castalia.tasks.task import Example, Question, Score, Split, generator, score_exact, trace

ENDING, SHORTEST = 2, 5
"""Words that are left out at the end of a passage, and words it must have at least."""
LONGEST = 140
"""Characters: longer passages are cut after a word."""
ASKED = 3
"""Of so many passages one is asked about where they are learned from; the others are just read to their end."""


class Prose:
    """Passages under their headings, learned as a whole; a question asks which end, of several, a passage has.

    There are as many other endings as the difficulty says, of other passages. The held-out split has passages whose
    words training has nowhere; ``out_of_range`` gives such ones without their heading.
    """

    name = "prose"

    def __init__(self, passages: Sequence[Passage]) -> None:
        """Sort the passages by side; short ones are left out. Raises TaskError if a side has too few."""
        self._sides: dict[bool, list[tuple[str, list[str]]]] = {False: [], True: []}
        for passage in passages:
            words = _cut(passage.text).split()
            if len(words) >= SHORTEST:
                self._sides[passage.held_out].append((passage.heading, words))
        endings = [{_end(words) for _, words in side} for side in self._sides.values()]
        if min(map(len, endings)) < 12:
            raise TaskError("prose: there must be passages on both sides, to train on and held out")

    def sample(self, seed: int, difficulty: int, split: Split = "train") -> Example:
        """Draw a passage, and ask which of several endings it has."""
        rng = generator(self.name, seed, difficulty, split)
        side = self._sides[split != "train"]
        heading, words = rng.choice(side)
        answer = _end(words)
        endings = [answer]
        while len(endings) <= difficulty:
            other = _end(rng.choice(side)[1])
            if other not in endings:
                endings.append(other)
        rng.shuffle(endings)
        named = (Part(f"{heading}:", "user"),) if split != "out_of_range" else ()
        context = Document((*named, Part(" ".join(words[:-ENDING]), "assistant", learned=True)))
        question = Question(f"Which end: {', '.join(endings)}?", answer, "end", chance=1 / len(endings))
        return Example(self.name, seed, difficulty, split, context, (question,))

    def score(self, example: Example, reply: str, index: int = 0) -> Score:
        """Accept the very words; case and a full stop do not matter."""
        return score_exact(example.questions[index], reply)

    def trace(self, example: Example, *, acting: bool = False) -> Document:
        """Return the passage to its end; of some the end is asked for."""
        if example.seed % ASKED == 0:
            return trace(example, acting=acting)
        *named, start = example.context.parts
        return Document((*named, replace(start, content=f"{start.content} {example.questions[0].answer}")))


def _cut(text: str) -> str:
    """Return as many whole words of a passage as are not too long."""
    return text if len(text) <= LONGEST else text[: LONGEST + 1].rpartition(" ")[0]


def _end(words: Sequence[str]) -> str:
    return " ".join(words[-ENDING:]).strip('.,;:"')
