"""A recipe: everything that makes a run, as one typed value."""

from dataclasses import dataclass, field, replace

from castalia.data.mixture import DataConfig
from castalia.data.stream import Feed
from castalia.model.config import ModelConfig
from castalia.perception.perceive import PerceptionConfig
from castalia.settings import Settings
from castalia.training.config import TrainingConfig


@dataclass(frozen=True)
class Recipe(Settings):
    """What a run is made of. `vocab_size` is what the tokenizer aims at; the model takes the size it got."""

    name: str
    vocab_size: int = 1024
    perception: PerceptionConfig = field(default_factory=PerceptionConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    feed: Feed = field(default_factory=lambda: Feed(rows=16, length=256, streams=2))
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def resolved(self, vocab_size: int | None = None) -> "Recipe":
        """Return it with what the model takes from the tokenizer (of `vocab_size`; as aimed at) and from perception."""
        sizes = {
            "vocab_size": -(-(vocab_size or self.vocab_size) // 64) * 64,
            "patch_values": self.perception.patch_values,
            "frame_values": self.perception.frame_values,
        }
        return replace(self, model=replace(self.model, **sizes))
