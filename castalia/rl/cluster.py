"""Homework on many machines: rollouts by Ray actors, and a trainer of several processes that share what they teach."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

from castalia.actions.action import Action
from castalia.actions.catalog import build_actions
from castalia.engine.engine import Engine
from castalia.engine.request import Sampling
from castalia.errors import RecipeError
from castalia.model.decoder import Decoder
from castalia.perception.packing import Batch
from castalia.rl.guards import Guards
from castalia.rl.practice import Practice
from castalia.rl.rollouts import Prompt, Rollout, roll_out
from castalia.training.distribution import Processes
from castalia.training.run import load_perception, load_recipe_of


class RayRollouts:
    """Rolls out with `workers` Ray actors, each with an engine of its own for the model of the run at `directory`.

    Prompts are shared out in order; every reply is the one that a single engine would draw. Ray is started if nobody
    has; each actor takes a core and `gpus` GPUs. Raises RecipeError if Ray is not installed, or has too few cores.
    """

    def __init__(self, directory: Path, workers: int, memory: int, *, gpus: float = 0.0) -> None:
        try:
            import ray
        except ModuleNotFoundError as error:
            raise RecipeError("rollouts by several workers need Ray: pip install 'castalia[cluster]'") from error
        self.ray: Any = ray
        if not ray.is_initialized():
            ray.init(log_to_driver=False, include_dashboard=False)
        if (cores := int(ray.cluster_resources().get("CPU", 0))) < workers:  # they would be waited for without end
            raise RecipeError(f"{workers} workers need as many cores, and Ray has {cores}")
        make: Any = ray.remote(num_gpus=gpus, num_cpus=1)(_Roller)
        self.rollers: list[Any] = [make.remote(directory.resolve(), memory) for _ in range(workers)]

    def load(self, weights: dict[str, torch.Tensor]) -> None:
        """Give all workers these weights, whole: they are put into Ray's store once."""
        stored = self.ray.put({name: tensor.cpu().numpy() for name, tensor in weights.items()})
        self.ray.get([roller.load.remote(stored) for roller in self.rollers])

    def __call__(self, prompts: list[Prompt], count: int, sampling: Sampling) -> list[list[Rollout]]:
        """Return `count` rollouts of every prompt."""
        edges = np.linspace(0, len(prompts), len(self.rollers) + 1).astype(int).tolist()
        # Actions hold what cannot be sent, as sandboxes: workers make their own, by name.
        bare = [
            (replace(p, thinking=replace(p.thinking, actions=None)), tuple(p.thinking.actions or ())) for p in prompts
        ]
        shares = [
            roller.roll.remote(bare[start:stop], count, sampling, start)
            for roller, (start, stop) in zip(self.rollers, pairwise(edges), strict=True)
        ]
        return [rollouts for share in self.ray.get(shares) for rollouts in share]

    def close(self) -> None:
        """End the workers."""
        for roller in self.rollers:
            self.ray.kill(roller)


class _Roller:
    """One worker, in a process of its own."""

    def __init__(self, directory: Path, memory: int) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model = Decoder(load_recipe_of(directory).model).to(self.device).eval()
        self.engine = Engine(self.model, load_perception(directory), memory=memory, positions=2048)
        self.actions: dict[tuple[str, ...], dict[str, Action]] = {}

    def load(self, weights: dict[str, np.ndarray]) -> None:
        self.model.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in weights.items()})

    def roll(
        self, bare: list[tuple[Prompt, tuple[str, ...]]], count: int, sampling: Sampling, first: int
    ) -> list[list[Rollout]]:
        for names in {names for _, names in bare if names} - self.actions.keys():
            self.actions[names] = build_actions(names)
        prompts = [replace(p, thinking=replace(p.thinking, actions=self.actions.get(names))) for p, names in bare]
        return roll_out(self.engine, prompts, count, sampling, first)


class Dealt(Iterator[list[Batch]]):
    """What each step learns from, dealt out to all processes: the first one practises, for all of them.

    `refresh` is called in every process before each step, so that rollouts are made with the weights as they are now.
    What `guards` have seen is kept beside the practice's state.
    """

    def __init__(self, practice: Practice, guards: Guards, processes: Processes, refresh: Callable[[], None]) -> None:
        self.practice, self.guards, self.processes, self.refresh = practice, guards, processes, refresh

    def state(self, gather: Callable[[Any], list]) -> dict[str, Any]:
        """Return what must be kept to go on, as the first process has it."""
        return gather({"practice": self.practice.state(), "guards": self.guards.state()})[0]

    @property
    def metrics(self) -> dict[str, Any]:
        """How the last step's rollouts did."""
        return self.practice.metrics

    @property
    def seconds(self) -> dict[str, float]:
        """How long its parts took."""
        return self.practice.seconds

    def __next__(self) -> list[Batch]:
        self.refresh()
        if self.processes.world == 1:
            return next(self.practice)
        dealt: Any = None
        if self.processes.is_first:
            try:
                dealt = next(self.practice)
            except Exception as raised:  # the others must not wait for it
                dealt = raised
        dealt = self.processes.gather(dealt)[0]
        if isinstance(dealt, Exception):
            raise dealt
        return deal(dealt, self.processes.rank, self.processes.world)


def deal(batches: list[Batch], rank: int, world: int) -> list[Batch]:
    """Return one process's share: all have equally many, filled up with batches that teach nothing."""
    idle = [replace(batches[0], weights_L=np.zeros_like(batches[0].weights_L))] * (-len(batches) % world)
    return [*batches, *idle][rank::world]
