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
        data=DataConfig(mixture={"countdown": 1.0}, difficulties=(4, 5, 6, 7), efforts={"high": 1.0}),
        feed=Feed(rows=12, length=256, streams=2),
        training=TrainingConfig(minutes=4, other_lr=0.01),
    )


def homework() -> Homework:
    """Return an hour of those of four numbers, many replies to each: at first, after brief school, nearly all fail."""
    return Homework(
        name="countdown",
        practice=PracticeConfig(
            tasks={"countdown": 1.0},
            difficulties=(5, 6),
            ways={"high": 1.0},
            rollouts=16,
            tokens=256,
            algorithm="maxrl",
        ),
        measure=MeasureConfig(questions=100),
        rows=10,
        length=320,
        training=steady(64, schedule="inverse_sqrt", matrix_lr=0.0015, other_lr=0.00045, evaluate_every=100),
    )
