"""Homework: everything that a run of reinforcement learning is made of, as one typed value."""

from dataclasses import dataclass, field, replace
from typing import Any

from castalia.rl.defences import DefenceConfig
from castalia.rl.guards import GuardConfig
from castalia.rl.penalty import PenaltyConfig
from castalia.settings import Settings, require
from castalia.tasks.task import Split
from castalia.training.config import TrainingConfig


@dataclass(frozen=True)
class PracticeConfig:
    """What is tried, how often, and how it is learned from."""

    tasks: dict[str, float] = field(default_factory=dict)
    """Share of prompts by task."""
    difficulties: tuple[int, ...] = (1, 2, 3)
    ways: dict[str, float] = field(default_factory=lambda: {"medium": 1.0})
    """Share of prompts by way of thinking: an effort, and after it ``act`` or ``agents`` if the model may, or ``merge``
    if it is to merge what others concluded, where voting fails."""
    prompts: int = 32
    """Prompts a step."""
    rollouts: int = 8
    """Replies that are tried for each prompt."""
    agents: int = 8
    """Agents whose conclusions are merged, in ways that merge."""
    tokens: int | None = None
    """Tokens a reply may have; None: what its effort allows."""
    algorithm: str = "mean_baseline"
    curriculum: bool = True
    """Whether what succeeds about half of the time is practised most; otherwise all tasks and difficulties alike."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.rollouts < 2:
            raise ValueError("a prompt needs 2 rollouts or more to be compared")
        if not self.difficulties:
            raise ValueError("difficulties must name one or more")
        require(self, 1, "prompts", "agents")


@dataclass(frozen=True)
class MeasureConfig:
    """How pass@k is measured (every `training.evaluate_every` steps), in the first of `practice.ways` by its name."""

    splits: tuple[Split, ...] = ("held_out",)
    questions: int = 50
    """Questions a task, split and difficulty."""
    samples: int = 16
    """Replies to each question, at temperature 1."""
    passes: tuple[int, ...] = (1, 4, 16)

    def __post_init__(self) -> None:
        require(self, 1, "questions", "samples")
        if self.passes and max(self.passes) > self.samples:
            raise ValueError(f"pass@{max(self.passes)} needs {max(self.passes)} samples, not {self.samples}")


@dataclass(frozen=True)
class ActingConfig:
    """What acting earns beside the answer; nothing for acting alone, and nothing if the answer is wrong."""

    used: float = 0.0
    """For a right answer that was found with a call that worked."""
    quicker: float = 0.0
    """For a right answer that agents found, by how much their longest path is shorter than all they wrote."""


def steady(minutes: float, **settings: Any) -> TrainingConfig:
    """Return how homework is trained: at small rates that stay as they are, every step told. `settings` are others."""
    steadily = TrainingConfig(
        minutes=minutes,
        matrix_lr=0.001,
        other_lr=0.0003,
        decay_share=0.0,
        warmup_steps=5,
        log_every=1,
        evaluate_every=20,
    )
    return replace(steadily, **settings)


@dataclass(frozen=True)
class Homework(Settings):
    """What is practised, rewarded, watched and measured. A batch is packed into `rows` of `length` positions."""

    name: str
    practice: PracticeConfig = field(default_factory=PracticeConfig)
    penalty: PenaltyConfig = field(default_factory=PenaltyConfig)
    acting: ActingConfig = field(default_factory=ActingConfig)
    defences: DefenceConfig = field(default_factory=DefenceConfig)
    guards: GuardConfig = field(default_factory=GuardConfig)
    measure: MeasureConfig = field(default_factory=MeasureConfig)
    rows: int = 6
    length: int = 384
    training: TrainingConfig = field(default_factory=lambda: steady(4))

    def __post_init__(self) -> None:
        require(self, 1, "rows", "length")
