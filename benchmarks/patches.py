"""What leaving out empty patches saves: FLOPs per question, and accuracy after equal steps on equal documents.

    python benchmarks/patches.py            four families, about half an hour
    python benchmarks/patches.py --quick    charts alone, fewer steps

For every family two models are trained from the same start on the same documents, one that is given every patch and
one without patches that equal their background; both are examined on the same held-out questions.
"""

import dataclasses
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
from harness import finish, options

from castalia.data.catalog import build_task
from castalia.data.mixture import Mixture
from castalia.engine.engine import Engine
from castalia.evals.examine import examine
from castalia.model import Decoder
from castalia.model.flops import StepShape, step_flops
from castalia.perception.packing import Batch, Packer, collate
from castalia.perception.perceive import Perception
from castalia.perception.sequence import Kind, Sequence
from castalia.recipes import load_recipe
from castalia.training.memory import keep_freed_memory
from castalia.training.recipe import Recipe
from castalia.training.run import create_run, load_perception
from castalia.training.trainer import Trainer

FAMILIES = ("charts", "digits", "mazes", "scenes")
DOCUMENTS = 32
"""Documents a step, whatever their length."""
LONGEST = 512


def main() -> None:
    """Measure and print."""
    arguments = options(__doc__ or "").parse_args()
    keep_freed_memory()
    steps, questions = (150, 40) if arguments.quick else (600, 200)
    figures: dict[str, float] = {}
    for family in FAMILIES[:1] if arguments.quick else FAMILIES:
        flops, accuracy = {}, {}
        for drop in (False, True):
            flops[drop], accuracy[drop] = learn(family, drop, steps, questions)
        ratio = flops[False] / flops[True]
        print(
            f"{family}: {flops[True] / 1e6:,.0f} MFLOP a question without empty patches, "
            f"{flops[False] / 1e6:,.0f} with: {ratio:.2f} times; "
            f"accuracy after {steps} steps {accuracy[True]:.1%} without, {accuracy[False]:.1%} with",
            flush=True,
        )
        figures |= {
            f"flops_ratio_{family}": ratio,
            f"accuracy_without_{family}": accuracy[True],
            f"accuracy_with_{family}": accuracy[False],
        }
    finish("patches", figures, arguments)


def learn(family: str, drop: bool, steps: int, questions: int) -> tuple[float, float]:
    """Train on one family; return training FLOPs a question (padding and optimizer left out) and held-out accuracy."""
    torch.compiler.reset()  # else the graphs of every model so far count against the compiler's limit
    recipe = load_recipe("pocket").override({"data.mixture": f"{family}:1", "training.steps": str(steps)})
    recipe = dataclasses.replace(recipe, perception=dataclasses.replace(recipe.perception, drop_empty_patches=drop))
    directory = Path(tempfile.mkdtemp()) / "run"
    recipe = create_run(recipe, directory)
    perception = load_perception(directory)
    model = Decoder(recipe.model).initialise(recipe.training.seed)
    mixture = Mixture(recipe.data, build_task, perception=recipe.perception)
    Trainer(model, recipe.training, directory).train(batches(mixture, perception))
    examined = examine(
        Engine(model, perception), {family: build_task(family)}, difficulties=recipe.data.difficulties, n=questions
    )
    return flops_per_question(recipe, mixture, perception), examined.to_json()["accuracy"]


def batches(mixture: Mixture, perception: Perception) -> Iterator[Batch]:
    """Yield batches of `DOCUMENTS` documents in as few rows as they fit."""
    index = 0
    while True:
        packer = Packer(DOCUMENTS, LONGEST, perception.special["pad"])
        for _ in range(DOCUMENTS):
            packer.add(perception(mixture.document(index)))
            index += 1
        yield collate([row for row in packer.filled if row], LONGEST, perception.special["pad"])


def flops_per_question(recipe: Recipe, mixture: Mixture, perception: Perception, documents: int = 500) -> float:
    """Return the operations of learning one question, averaged over the first documents."""
    total = answers = 0
    for index in range(documents):
        sequence: Sequence = perception(mixture.document(index))
        patches, frames = (int((sequence.kinds_T == kind).sum()) for kind in (Kind.PATCH, Kind.FRAME))
        learned = int((sequence.weights_T[1:] != 0).sum())
        shape = StepShape(1, len(sequence), patches, frames, learned)
        total += step_flops(recipe.model, shape, muon=False)
        answers += int(((sequence.tokens_T == perception.special["end"]) & (sequence.weights_T != 0)).sum())
    return total / answers


if __name__ == "__main__":
    main()
