"""`looking_closer`: large pictures whose details must be looked at closer, for benchmarks/visual_thought.py."""

from castalia.data.mixture import DataConfig
from castalia.data.stream import Feed
from castalia.model.config import ModelConfig
from castalia.perception.perceive import PerceptionConfig
from castalia.training.config import TrainingConfig
from castalia.training.recipe import Recipe


def recipe() -> Recipe:
    """Return a recipe for pictures in which the first look does not show what is asked for."""
    return Recipe(
        name="looking_closer",
        vocab_size=512,
        perception=PerceptionConfig(patch_size=16, max_side=256),
        model=ModelConfig(width=128, layers=6, heads=4),
        data=DataConfig(
            mixture={"search": 1.0},
            difficulties=(1, 2, 3, 4),
            efforts={"high": 1.0},
        ),
        feed=Feed(rows=16, length=256, streams=2),
        training=TrainingConfig(minutes=12, other_lr=0.01),
    )
