"""Which parameter is trained by which optimizer."""

from typing import Any

import torch
from torch import nn

from castalia.model import Decoder, ModelConfig
from castalia.training.config import TrainingConfig
from castalia.training.muon import Muon

MATRICES = ("blocks.", "vision.", "patch_embedding.", "frame_embedding.")
"""Beginnings of the names of what Muon trains, gates and routers left out."""
HEADS_IN = {"query": "rows", "key": "rows", "value": "rows", "output": "columns"}
"""Where the heads lie in each of attention's matrices."""


def build_optimizers(model: Decoder, config: TrainingConfig) -> list[torch.optim.Optimizer]:
    """Return Muon for matrices in blocks and for input projections (or AdamW, by config), AdamW for everything else.

    Raw pixels are many, alike and all at once: AdamW, which moves every weight by its rate, overthrows a projection of
    768 of them at each step, and pictures are never learned (docs/log.md). Embeddings and the head see one-hot vectors.
    """
    matrices: dict[str, nn.Parameter] = {}
    others: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if name.startswith(MATRICES) and parameter.ndim == 2 and "gate" not in name and "router" not in name:
            matrices[name] = parameter
        else:
            others.append(parameter)
    other_group = {"params": others, "lr": config.other_lr}
    if config.optimizer == "adamw":
        optimizers = [_adamw([{"params": list(matrices.values()), "lr": config.matrix_lr}, other_group], config)]
    else:
        groups = _muon_groups(matrices, model.config)
        muon = Muon(groups, config.matrix_lr, config.momentum, config.weight_decay)
        optimizers = [muon, _adamw([other_group], config)]
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["peak_lr"] = group["lr"]
    return optimizers


def set_rates(optimizers: list[torch.optim.Optimizer], factor: float) -> None:
    """Set every group's learning rate to `factor` times its peak."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["peak_lr"] * factor


def _muon_groups(matrices: dict[str, nn.Parameter], config: ModelConfig) -> list[dict[str, Any]]:
    """Put matrices of one shape, maybe turned, whose heads lie alike into one group: one product serves all."""
    groups: dict[tuple, dict[str, Any]] = {}
    for name, parameter in matrices.items():
        part = name.split(".")[-2]
        split = HEADS_IN.get(part)
        heads = config.key_value_heads if part in ("key", "value") else config.heads if split else 1
        group = {"params": [], "split": split, "heads": heads}
        groups.setdefault((*sorted(parameter.shape), split, heads), group)["params"].append(parameter)
    return list(groups.values())


def _adamw(groups: list[dict[str, Any]], config: TrainingConfig) -> torch.optim.Optimizer:
    return torch.optim.AdamW(groups, betas=config.betas, eps=1e-10, weight_decay=config.weight_decay, fused=True)
