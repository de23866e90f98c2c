"""`school`: every task family at every difficulty, asked by text, by voice and inside the picture, for hours."""

from castalia.data.mixture import DataConfig
from castalia.data.stream import Feed
from castalia.model.config import ModelConfig
from castalia.training.config import TrainingConfig
from castalia.training.recipe import Recipe


def recipe() -> Recipe:
    """Return a recipe for a longer education on all that comes with Castalia."""
    families = ("digits", "speech", "charts", "scenes", "mazes", "countdown", "sums", "captions")
    return Recipe(
        name="school",
        vocab_size=1024,
        model=ModelConfig(width=256, layers=8, heads=8),
        data=DataConfig(
            mixture=dict.fromkeys(families, 1.0),
            difficulties=tuple(range(1, 11)),
            media={"text": 0.7, "voice": 0.15, "picture": 0.15},
        ),
        feed=Feed(rows=32, length=512, streams=4),
        training=TrainingConfig(minutes=600),
    )
