"""`ladder`: school alone, every modality and prose: the recipe whose sizes are forecast and compared."""

from castalia.data.mixture import DataConfig
from castalia.data.stream import Feed
from castalia.model.config import ModelConfig
from castalia.perception.perceive import PerceptionConfig
from castalia.training.config import TrainingConfig
from castalia.training.recipe import Recipe


def recipe() -> Recipe:
    """Return the recipe at its full size: half an hour on one core."""
    return Recipe(
        name="ladder",
        vocab_size=512,
        perception=PerceptionConfig(patch_size=16),
        model=ModelConfig(width=96, layers=4, heads=3),
        data=DataConfig(
            mixture={"digits": 1.0, "speech": 1.0, "charts": 1.4, "mazes": 1.2, "countdown": 0.9, "prose": 1.5},
            difficulties=(1, 2, 3),
        ),
        feed=Feed(rows=16, length=128, streams=2),
        training=TrainingConfig(steps=10_000, other_lr=0.01),
    )
