"""`nano`: every family, asked in every way and in other words, for hours on two cores."""

from castalia.data.mixture import DataConfig
from castalia.data.stream import Feed
from castalia.model.config import ModelConfig
from castalia.perception.perceive import PerceptionConfig
from castalia.rl.homework import Homework, MeasureConfig, PracticeConfig, steady
from castalia.training.config import TrainingConfig
from castalia.training.recipe import Recipe


def recipe() -> Recipe:
    """Return the recipe: four or five hours on two cores, of the shape that a plan gives so many operations."""
    return Recipe(
        name="nano",
        vocab_size=1024,
        perception=PerceptionConfig(patch_size=16),
        model=ModelConfig(width=160, layers=4, heads=5),
        data=DataConfig(
            mixture={
                "digits": 1.8, "speech": 1.5, "charts": 1.8, "scenes": 1.8, "mazes": 2.0, "countdown": 1.6, "sums": 0.9,
                "captions": 0.7, "talk": 1.0, "prose": 0.4,
            },
            difficulties=(1, 1, 2, 2, 3, 3, 3, 4),
            media={"text": 0.68, "voice": 0.17, "picture": 0.15},
            reworded=0.3,
            acting=0.4,
            acting_in=("mazes", "countdown", "sums"),
            efforts={"none": 0.08, "minimal": 0.04, "low": 0.08, "medium": 0.6, "high": 0.2},
            merging=0.1,
        ),
        feed=Feed(rows=8, length=384, streams=2),
        training=TrainingConfig(steps=28_000, other_lr=0.01),
    )  # fmt: skip


def homework() -> Homework:
    """Return what the model practises after school: every family that it is not always right in, as it is examined."""
    return Homework(
        name="nano",
        practice=PracticeConfig(
            tasks={
                "countdown": 1.0, "mazes": 1.0, "scenes": 1.0, "digits": 0.7, "charts": 0.5, "captions": 0.5,
                "speech": 0.3, "sums": 0.3,
            },
            ways={"medium": 0.3, "medium act": 0.7},
            difficulties=(1, 2, 3, 4),
            algorithm="maxrl",
        ),
        measure=MeasureConfig(questions=10),
        training=steady(10, matrix_lr=0.0005, other_lr=0.000125, evaluate_every=50, checkpoint_seconds=120),
    )  # fmt: skip
