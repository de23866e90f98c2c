"""`visual_thought`: drawing in mazes on the way to an answer; what benchmarks/visual_thought.py examines."""

from castalia.data.mixture import DataConfig
from castalia.data.stream import Feed
from castalia.model.config import ModelConfig
from castalia.perception.perceive import PerceptionConfig
from castalia.training.config import TrainingConfig
from castalia.training.recipe import Recipe


def recipe() -> Recipe:
    """Return a recipe for mazes, half of them drawn in."""
    return Recipe(
        name="visual_thought",
        vocab_size=512,
        perception=PerceptionConfig(patch_size=16, max_side=256),
        model=ModelConfig(width=128, layers=6, heads=4),
        data=DataConfig(
            mixture={"mazes": 1.0},
            difficulties=(1, 2, 3, 4, 5),
            acting=0.5,
            efforts={"none": 0.1, "high": 0.9},
            merging=0.15,
        ),
        feed=Feed(rows=6, length=640, streams=2),
        training=TrainingConfig(minutes=45, other_lr=0.01),
    )
