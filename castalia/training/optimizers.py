"""Which parameter is trained by which optimizer."""

import torch
from torch import nn

from castalia.training.config import TrainingConfig


def build_optimizers(model: nn.Module, config: TrainingConfig) -> list[torch.optim.Optimizer]:
    """Return Muon for the blocks' matrices (or AdamW, by config) and AdamW for everything else.

    Muon (torch.optim.Muon; Jordan et al. 2024) orthogonalises the momentum of a matrix; embeddings, the head and the
    input projections act on one-hot or raw inputs, for which AdamW is the field's choice.
    """
    matrices, others = [], []
    for name, parameter in model.named_parameters():
        inside = parameter.ndim == 2 and name.startswith("blocks.") and "gate" not in name and "router" not in name
        (matrices if inside else others).append(parameter)
    adam = {"betas": config.betas, "eps": 1e-10, "weight_decay": config.weight_decay, "fused": True}
    if config.optimizer == "adamw":
        groups = [{"params": matrices, "lr": config.matrix_lr}, {"params": others, "lr": config.other_lr}]
        optimizers: list[torch.optim.Optimizer] = [torch.optim.AdamW(groups, **adam)]
    else:
        muon = torch.optim.Muon(
            matrices, lr=config.matrix_lr, momentum=config.momentum, weight_decay=config.weight_decay
        )
        optimizers = [muon, torch.optim.AdamW(others, lr=config.other_lr, **adam)]
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["peak_lr"] = group["lr"]
    return optimizers


def set_rates(optimizers: list[torch.optim.Optimizer], factor: float) -> None:
    """Set every group's learning rate to `factor` times its peak."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["peak_lr"] * factor
