"""Held-out loss by task family, and of all that a run learns: what is forecast, and what accuracy follows from."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from castalia.model.decoder import Decoder, ModelInput
from castalia.training.pretrain import held_out_batches
from castalia.training.run import load_recipe_of


@dataclass(frozen=True)
class Losses:
    """Mean losses in nats a learned token: of every family, and of the mixture, of whose tokens each has its share."""

    by_family: dict[str, float]
    shares: dict[str, float]

    @property
    def mean(self) -> float:
        """Loss of the mixture."""
        return sum(self.shares[family] * loss for family, loss in self.by_family.items())


@torch.no_grad()
def held_out_losses(directory: Path, model: Decoder, documents: int) -> Losses:
    """Return the losses of the `model` of a run on so many held-out `documents` of every family.

    They are the same documents whatever the run's seed, so that runs of several seeds compare.
    """
    recipe = load_recipe_of(directory)
    losses: dict[str, float] = {}
    tokens: dict[str, float] = {}
    for family, share in sorted(recipe.data.mixture.items()):
        alone = replace(recipe, data=replace(recipe.data, mixture={family: 1.0}, seed=0))
        total = weight = 0.0
        for batch in held_out_batches(alone, directory, documents):
            at_L, targets_L, weights_L = map(torch.from_numpy, (batch.learn_at_L, batch.targets_L, batch.weights_L))
            nll_L = model(ModelInput.of(batch), at_L, targets_M=targets_L)
            total += float((nll_L * weights_L).sum())
            weight += float(weights_L.sum())
        losses[family], tokens[family] = total / max(1e-8, weight), share * weight
    return Losses(losses, {family: of / sum(tokens.values()) for family, of in tokens.items()})
