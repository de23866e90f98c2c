"""Held-out loss, of all that a run learns and by task family: what is forecast, and what accuracy follows from."""

from dataclasses import replace
from pathlib import Path

import torch

from castalia.model.decoder import Decoder, ModelInput
from castalia.training.pretrain import held_out_batches
from castalia.training.recipe import Recipe
from castalia.training.run import load_recipe_of


def held_out_losses(directory: Path, model: Decoder, documents: int) -> tuple[float, dict[str, float]]:
    """Return the mean loss of the `model` of a run, in nats a learned token: on the recipe's mixture, and by family.

    `documents` are taken of every family, and twice as many of the mixture; the same whatever the seed, so that runs of
    several seeds compare.
    """
    recipe = load_recipe_of(directory)
    recipe = replace(recipe, data=replace(recipe.data, seed=0))
    alone = {
        family: replace(recipe, data=replace(recipe.data, mixture={family: 1.0}))
        for family in sorted(recipe.data.mixture)
    }
    losses = {family: _loss(one, directory, model, documents) for family, one in alone.items()}
    return _loss(recipe, directory, model, 2 * documents), losses


@torch.no_grad()
def _loss(recipe: Recipe, directory: Path, model: Decoder, documents: int) -> float:
    total = weight = 0.0
    for batch in held_out_batches(recipe, directory, documents):
        at_L, targets_L, weights_L = map(torch.from_numpy, (batch.learn_at_L, batch.targets_L, batch.weights_L))
        nll_L = model(ModelInput.of(batch), at_L, targets_M=targets_L)
        total += float((nll_L * weights_L).sum())
        weight += float(weights_L.sum())
    return total / max(1e-8, weight)
