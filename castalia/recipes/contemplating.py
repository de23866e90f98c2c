"""`contemplating`: proposing, and merging what several agents found; what benchmarks/contemplating.py examines."""

from castalia.data.mixture import DataConfig
from castalia.data.stream import Feed
from castalia.model.config import ModelConfig
from castalia.perception.perceive import PerceptionConfig
from castalia.training.config import TrainingConfig
from castalia.training.recipe import Recipe


def recipe() -> Recipe:
    """Return a recipe for number problems and charts, two in five of them done by several agents."""
    return Recipe(
        name="contemplating",
        vocab_size=512,
        perception=PerceptionConfig(patch_size=16, max_side=256),
        model=ModelConfig(width=128, layers=4, heads=4),
        data=DataConfig(
            mixture={"countdown": 1.0, "charts": 1.0},
            difficulties=(2, 3, 4, 5),
            efforts={"minimal": 0.1, "low": 0.2, "medium": 0.5, "high": 0.2},
            merging=0.4,
        ),
        feed=Feed(rows=10, length=256, streams=2),
        training=TrainingConfig(minutes=25, other_lr=0.01),
    )
