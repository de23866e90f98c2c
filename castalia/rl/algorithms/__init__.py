"""Algorithms by name: how rewards become advantages, and what a position with an advantage adds to the loss."""

from castalia.errors import RecipeError, nearest
from castalia.rl.algorithms.algorithm import Algorithm
from castalia.rl.algorithms.best_of_k import BestOfK
from castalia.rl.algorithms.cispo import Cispo
from castalia.rl.algorithms.grpo import Grpo
from castalia.rl.algorithms.maxrl import MaxRL
from castalia.rl.algorithms.mean_baseline import MeanBaseline

ALGORITHMS: dict[str, type[Algorithm]] = {
    "mean_baseline": MeanBaseline,
    "grpo": Grpo,
    "maxrl": MaxRL,
    "cispo": Cispo,
    "best_of_k": BestOfK,
}


def build_algorithm(name: str) -> Algorithm:
    """Return the algorithm called `name`. Raises RecipeError with the nearest right name."""
    if name not in ALGORITHMS:
        raise RecipeError(f"no algorithm {name!r}: {nearest(name, ALGORITHMS)}")
    return ALGORITHMS[name]()
