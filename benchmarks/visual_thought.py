"""Thinking in images: accuracy with the canvas, with thoughts in words only, without thoughts, and with false sights.

    castalia pretrain looking_closer                    the model that is examined on search, 12 minutes
    castalia pretrain visual_thought                    the one for mazes, 45 minutes
    python benchmarks/visual_thought.py --run runs/looking_closer runs/visual_thought
    python benchmarks/visual_thought.py --quick
    python benchmarks/visual_thought.py --picture shown.png      one question of each, as a picture

`search` asks for details that the first look cannot show; `mazes` are drawn in, dead ends are gone back from. Each is
asked at the largest trained size, of the first run that has learned it. Effort is high, with the canvas and without.
In the intervention test the model acts as ever, but what it then sees is replaced: ``blank`` shows an empty crop, or
a canvas on which nothing was drawn; ``shuffled`` has the pixels of what should be seen in random order; ``wrong``
shows what the same call brings forth in the picture of another question. If a gain comes from what is seen, it must
be gone then. Without acting the answer to a `search` question can only be guessed: `search_text` is what the model
reaches, and the gain is counted from the best blind guess where that is more.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from harness import finish, options, trained
from PIL import Image as pillow
from PIL import ImageDraw, ImageFont

from castalia.actions.action import Outcome
from castalia.actions.catalog import build_actions
from castalia.data.catalog import build_task
from castalia.document import Call, Document, Image
from castalia.engine.engine import Engine
from castalia.engine.request import Actor
from castalia.evals.examine import examine
from castalia.perception.perceive import Perception
from castalia.reasoning.effort import Thinking
from castalia.reasoning.strategies import OneChain, Strategy
from castalia.training.run import load_model, load_recipe_of

INTERVENTIONS = ("blank", "shuffled", "wrong")
FAMILIES = {"search": "search", "mazes": "maze"}
"""And what their figures are called."""


@dataclass(frozen=True)
class Intervened(Thinking):
    """Thinking whose actions show something else than they should."""

    how: str = ""
    seen: list[Document] = field(default_factory=list)

    def actor(self, prompt: Document, perception: Perception) -> Actor | None:
        """Return an actor that falsifies what is seen; ``wrong`` acts on the prompt before this one."""
        self.seen.append(prompt)
        acted_on = self.seen[-2:][0] if self.how == "wrong" else prompt
        actor = super().actor(acted_on, perception)
        return actor and Falsified(actor, self.how, np.random.default_rng(len(self.seen)))


@dataclass
class Falsified:
    """Carries out calls and replaces the pictures that come back."""

    actor: Actor
    how: str
    generator: np.random.Generator

    def act(self, call: Call) -> Outcome:
        """Carry out a call; return its document with other pictures in it."""
        outcome = self.actor.act(call)
        if not isinstance(outcome, Document) or self.how == "wrong":
            return outcome
        parts = [
            replace(part, content=self.falsify(part.content)) if isinstance(part.content, Image) else part
            for part in outcome
        ]
        return Document(tuple(parts))

    def fork(self) -> Actor:
        """Return the same for an agent."""
        return Falsified(self.actor.fork(), self.how, self.generator)

    def falsify(self, image: Image) -> Image:
        """Return what is seen instead."""
        pixels_HWC = image.pixels_HWC
        if self.how == "shuffled":
            return Image(self.generator.permutation(pixels_HWC.reshape(-1, 3)).reshape(pixels_HWC.shape), image.since)
        if image.since is not None:
            return Image(image.since.pixels_HWC, image.since)
        return Image(np.full_like(pixels_HWC, 255))


def main() -> None:
    """Measure and print; or draw."""
    parser = options(__doc__ or "", run=True)
    parser.add_argument("--picture", type=Path, help="measure nothing; draw how one question of each is answered")
    arguments = parser.parse_args()
    n = 60 if arguments.quick else 400
    actions = build_actions(("canvas",))
    ways: dict[str, Thinking] = {
        "canvas": Thinking("high", actions),
        "text": Thinking("high"),
        "none": Thinking("none"),
    } | {how: Intervened("high", actions, how=how) for how in INTERVENTIONS}
    examined: dict[str, tuple[Engine, int]] = {}
    for family in FAMILIES:
        run = trained(arguments, (family,))
        examined[family] = Engine(*load_model(run)), max(load_recipe_of(run).data.difficulties)
    if arguments.picture:
        draw(examined, OneChain(thinking=ways["canvas"]), arguments.picture)
        return
    figures: dict[str, float] = {}
    for family, name in FAMILIES.items():
        engine, largest = examined[family]
        accuracy = {}
        for way, thinking in ways.items():
            strategy = OneChain(thinking=thinking)
            table = examine(engine, {family: build_task(family)}, difficulties=(largest,), n=n, strategy=strategy)
            row = table.to_json()["families"][family][str(largest)]
            accuracy[way], chance = 100 * row["accuracy"], 100 * row["chance"]
            print(f"{family}, difficulty {largest}, {n} questions, {way}: {accuracy[way]:.1f} %", flush=True)
        without = max(accuracy["text"], chance) if family == "search" else accuracy["text"]
        figures |= {f"{name}_{way}": value for way, value in accuracy.items()}
        figures |= {f"{name}_chance": chance, f"{name}_difficulty": largest}
        figures[f"{name}_gain"] = accuracy["canvas"] - without
        figures[f"{name}_gain_intervened"] = max(accuracy[how] for how in INTERVENTIONS) - without
    finish("visual_thought", figures, arguments)


SIDE, TEXT = 300, 20
"""Pixels a side of what is shown, and of a line of text."""


def draw(examined: dict[str, tuple[Engine, int]], way: Strategy, path: Path) -> None:
    """Draw of each family the first held-out question of a kind that needs its canvas and is answered rightly."""
    rows = [answered(*examined[family], way, family, kind) for family, kind in (("mazes", "way"), ("search", "read"))]
    picture = pillow.new("RGB", (2 * SIDE + 260, 20 + len(rows) * (SIDE + 3 * TEXT)), "white")
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(TEXT - 4)
    for number, (question, images, answer) in enumerate(rows):
        top = 20 + number * (SIDE + 3 * TEXT)
        pen.text((20, top), question, "black", font)
        pen.text((2 * SIDE + 60, top + SIDE // 2), answer, "black", font)
        for place, image in enumerate(images):
            shown = pillow.fromarray(image.pixels_HWC)
            scale = SIDE / max(shown.size)
            size = round(shown.width * scale), round(shown.height * scale)
            shown = shown.resize(size, pillow.Resampling.NEAREST if scale > 1 else pillow.Resampling.LANCZOS)
            picture.paste(shown, (20 + place * (SIDE + 20), top + TEXT + 5))
    picture.save(path)


def answered(engine: Engine, difficulty: int, way: Strategy, family: str, kind: str) -> tuple[str, list[Image], str]:
    """Return a question, its picture and what was last seen of it, and the answer."""
    task = build_task(family)
    for seed in range(1000):
        example = task.sample(seed, difficulty, "held_out")
        for index, question in enumerate(example.questions):
            if question.kind != kind:
                continue
            verdict = way.answer(engine, [example.prompt(index)])[0]
            parts = verdict.replies[-1].document.parts
            seen = [part.content for part in parts if isinstance(part.content, Image)]
            if seen and task.score(example, verdict.answer, index).value == 1:
                first = next(part.content for part in example.context if isinstance(part.content, Image))
                return question.text, [first, seen[-1]], verdict.answer
    raise SystemExit(f"{family}: no question of kind {kind} was answered rightly")


if __name__ == "__main__":
    main()
