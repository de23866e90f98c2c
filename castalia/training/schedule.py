"""Learning-rate schedules. The end of a run given in minutes is decided once, when its decay must begin."""

import math
from dataclasses import dataclass

from castalia.training.config import TrainingConfig


@dataclass
class Schedule:
    """Warm-up, stable, decay (arXiv 2404.06395); with ``inverse_sqrt``, 1/√(1 + step / timescale) in place of stable
    (arXiv 2106.04560), for runs whose length nobody knows; or warm-up and cosine.

    `last_step` is None until it is known: at once for a run of fixed `steps`; for a run of fixed minutes at the moment
    when the share of time left equals the decay's. It is part of every checkpoint, so that a resumed run decays alike.
    A run that began with another's weights counts steps and seconds of both, and plans from `first_step` and
    `first_seconds` on.
    """

    config: TrainingConfig
    last_step: int | None = None
    first_step: int = 0
    first_seconds: float = 0.0

    def __post_init__(self) -> None:
        if self.last_step is None and self.config.steps is not None:
            self.last_step = self.first_step + self.config.steps

    def observe(self, step: int, seconds: float) -> None:
        """Fix the end of the run once `seconds` of training say that the decay must begin."""
        # A tenth of the run, at least, has to tell how long a step takes.
        stable_share = max(0.1, 1 - self.config.decay_share) if self.config.schedule != "cosine" else 0.1
        if self.last_step is None and seconds - self.first_seconds >= 60 * self.config.minutes * stable_share:
            self.last_step = max(step + 1, self.first_step + round((step - self.first_step) / stable_share))

    def share(self, step: int, seconds: float) -> float:
        """Return how much of the run is done, from 0 to 1; by its minutes as long as its end is not known."""
        if self.last_step is None:
            return min(1.0, (seconds - self.first_seconds) / (60 * max(1e-9, self.config.minutes)))
        return (step - self.first_step) / max(1, self.last_step - self.first_step)

    def done(self, step: int) -> bool:
        """Say whether `step` steps are all."""
        return self.last_step is not None and step >= self.last_step

    def factor(self, step: int) -> float:
        """Return the multiplier in [0, 1] of the learning rates for the step after `step` steps."""
        step -= self.first_step
        warmup = min(1.0, (step + 1) / max(1, self.config.warmup_steps))
        if self.config.schedule == "inverse_sqrt":
            warmup /= math.sqrt(1 + step / self.config.timescale)
        if self.last_step is None:
            return warmup
        progress = step / (self.last_step - self.first_step)
        if self.config.schedule == "cosine":
            return warmup * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
        return warmup * max(0.0, min(1.0, (1 - progress) / max(1e-9, self.config.decay_share)))
