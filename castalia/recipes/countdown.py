"""`countdown`: number problems alone, a few minutes of school and then an hour of homework; what RL is studied on."""

from castalia.data.mixture import DataConfig
from castalia.data.stream import Feed
from castalia.model.config import ModelConfig
from castalia.rl.homework import Homework, MeasureConfig, PracticeConfig, steady
from castalia.training.config import TrainingConfig
from castalia.training.recipe import Recipe


def recipe() -> Recipe:
    """Return a recipe for searching aloud, with up to two dead ends before the way that leads to the target."""
    return Recipe(
        name="countdown",
        vocab_size=512,
        model=ModelConfig(width=128, layers=4, heads=4),
        data=DataConfig(mixture={"countdown": 1.0}, difficulties=(2, 3, 4), efforts={"high": 1.0}),
        feed=Feed(rows=12, length=256, streams=2),
        training=TrainingConfig(minutes=4, other_lr=0.01),
    )


def homework() -> Homework:
    """Return an hour of the same problems, and some that are harder."""
    return Homework(
        name="countdown",
        practice=PracticeConfig(
            tasks={"countdown": 1.0}, difficulties=(2, 3, 4), ways={"high": 1.0}, tokens=160, algorithm="maxrl"
        ),
        measure=MeasureConfig(splits=("held_out",), questions=40),
        rows=10,
        length=256,
        training=steady(60),
    )
