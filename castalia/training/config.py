"""How a model is trained: steps or minutes, rates, schedule, checkpoints."""

from dataclasses import dataclass
from typing import Literal

from castalia.settings import require


@dataclass(frozen=True)
class TrainingConfig:
    """Everything the trainer needs to know beside the model and its data."""

    steps: int | None = None
    """Optimizer steps; None means that `minutes` decides."""
    minutes: float = 10.0
    """Wall-clock budget of training, where `steps` is None."""
    optimizer: Literal["muon", "adamw"] = "muon"
    """For matrices of blocks and input projections; everything else is always trained by AdamW."""
    matrix_lr: float = 0.02
    """Learning rate of the matrices."""
    other_lr: float = 0.003
    """Learning rate of embeddings, head, and all else that is no matrix."""
    momentum: float = 0.95
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.95)
    schedule: Literal["wsd", "cosine", "inverse_sqrt"] = "wsd"
    timescale: int = 60
    """Steps after which the rates of ``inverse_sqrt`` have fallen to 1/√2."""
    warmup_steps: int = 50
    decay_share: float = 0.4
    """Share of the run, at its end, over which rates fall linearly to nothing."""
    clip: float = 1.0
    """Gradients are scaled down to this norm."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """What products are computed in; weights, their gradients and the optimizer are fp32 in either case."""
    compile: bool = True
    threads: int = 0
    """CPU threads of one process; 0 means all cores."""
    log_every: int = 10
    evaluate_every: int = 200
    """Steps between two measurements of the held-out loss."""
    checkpoint_seconds: float = 60.0
    checkpoint_every: int = 0
    """Steps between two checkpoints; 0 means by time."""
    keep_checkpoints: int = 3
    tracker: Literal["none", "trackio", "tensorboard"] = "none"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.steps is not None and self.steps < 0:
            raise ValueError("there cannot be fewer than 0 steps")
        if self.steps is None and not self.minutes > 0:
            raise ValueError("minutes must be more than 0")
        if not 0 <= self.decay_share <= 1:
            raise ValueError("decay_share is a share from 0 to 1")
        if not all(0 <= beta < 1 for beta in (self.momentum, *self.betas)):
            raise ValueError("momentum and betas are from 0 to less than 1")
        if not self.clip > 0:
            raise ValueError("clip must be more than 0")
        require(self, 1, "timescale", "log_every", "evaluate_every", "keep_checkpoints")
        require(self, 0, "matrix_lr", "other_lr", "weight_decay", "warmup_steps", "threads", "checkpoint_every")
