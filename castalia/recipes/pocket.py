"""`pocket`: every modality, real handwriting and real voices, in twelve minutes on two cores."""

from castalia.data.mixture import DataConfig
from castalia.data.stream import Feed
from castalia.model.config import ModelConfig
from castalia.perception.perceive import PerceptionConfig
from castalia.rl.homework import Homework, MeasureConfig, PracticeConfig, steady
from castalia.training.config import TrainingConfig
from castalia.training.recipe import Recipe


def recipe() -> Recipe:
    """Return the recipe of the main job."""
    return Recipe(
        name="pocket",
        vocab_size=512,
        perception=PerceptionConfig(patch_size=16),
        model=ModelConfig(width=128, layers=4, heads=4),
        data=DataConfig(
            mixture={"digits": 0.9, "speech": 0.9, "charts": 1.2, "mazes": 1.4, "countdown": 1.4},
            difficulties=(1, 2, 3),
            acting=0.4,
            acting_in=("mazes", "countdown"),
            efforts={"none": 0.1, "minimal": 0.05, "low": 0.1, "medium": 0.6, "high": 0.15},
            merging=0.1,
        ),
        feed=Feed(rows=6, length=384, streams=2),
        training=TrainingConfig(minutes=8.5, other_lr=0.01),
    )


def homework() -> Homework:
    """Return what the model practises after school."""
    return Homework(
        name="pocket",
        practice=PracticeConfig(tasks={"countdown": 1.0, "mazes": 1.0}, ways={"medium act": 1.0}, algorithm="maxrl"),
        measure=MeasureConfig(questions=20),
        training=steady(3.5, matrix_lr=0.002, other_lr=0.0005, evaluate_every=1_000_000, checkpoint_seconds=30),
    )
