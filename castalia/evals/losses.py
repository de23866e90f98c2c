"""Held-out loss by task family: what accuracy follows from."""

from dataclasses import replace
from pathlib import Path

import torch

from castalia.model.decoder import Decoder, ModelInput
from castalia.training.pretrain import held_out_batches
from castalia.training.run import load_recipe_of


@torch.no_grad()
def family_losses(directory: Path, model: Decoder, documents: int = 128) -> dict[str, float]:
    """Return the mean loss of the `model` of a run, in nats a learned token, on `documents` of every family."""
    recipe = load_recipe_of(directory)
    losses: dict[str, float] = {}
    for family in sorted(recipe.data.mixture):
        alone = replace(recipe, data=replace(recipe.data, mixture={family: 1.0}))
        total = weight = 0.0
        for batch in held_out_batches(alone, directory, documents):
            at_L, targets_L, weights_L = map(torch.from_numpy, (batch.learn_at_L, batch.targets_L, batch.weights_L))
            nll_L = model(ModelInput.of(batch), at_L, targets_M=targets_L)
            total += float((nll_L * weights_L).sum())
            weight += float(weights_L.sum())
        losses[family] = total / max(1e-8, weight)
    return losses
