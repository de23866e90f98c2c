"""Which task at which difficulty is practised next."""

import random

from castalia.rl.homework import PracticeConfig

MEMORY = 0.9
"""How much of a pass rate is kept when the next is measured."""
LEAST = 0.05
"""What is mastered, or out of reach, is still tried as if p (1 - p) were this."""


class Curriculum:
    """Draws tasks by their share, then a difficulty: the more often, the nearer its pass rate is to a half.

    A group in which all succeed or all fail teaches nothing: p (1 - p) is how much a rollout tells.
    """

    def __init__(self, config: PracticeConfig, rates: dict[str, float] | None = None) -> None:
        self.config = config
        self.rates = rates or {}
        """Pass rate so far by ``task/difficulty``; what was never tried counts as a half."""

    def choose(self, rng: random.Random) -> tuple[str, int]:
        """Return a task and a difficulty."""
        tasks, shares = zip(*sorted(self.config.tasks.items()), strict=True)
        task, difficulties = rng.choices(tasks, shares)[0], self.config.difficulties
        if not self.config.curriculum:
            return task, rng.choice(difficulties)
        rates = [self.rates.get(f"{task}/{difficulty}", 0.5) for difficulty in difficulties]
        return task, rng.choices(difficulties, [rate * (1 - rate) + LEAST for rate in rates])[0]

    def observe(self, task: str, difficulty: int, rate: float) -> None:
        """Take note of the pass rate of one prompt's rollouts."""
        key = f"{task}/{difficulty}"
        self.rates[key] = MEMORY * self.rates.get(key, 0.5) + (1 - MEMORY) * rate
