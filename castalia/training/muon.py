"""Muon: momentum whose matrices are made orthogonal before they are applied; small matrices in one batched product."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor

COEFFICIENTS = (
    (8.2987, -24.4305, 18.0903),
    (3.9152, -2.9211, 0.5592),
    (3.1746, -2.3804, 0.4978),
    (2.1895, -1.5672, 0.4079),
)
"""Of one odd quintic a·x + b·x³ + c·x⁵ an iteration, each the best one for what the one before leaves (Polar Express,
arXiv 2505.16932): singular values from 0.005 to 1 end within 0.09 of 1. Five iterations with the one quintic of Jordan
et al. leave them within 0.35."""


class Muon(torch.optim.Optimizer):
    """Muon (Jordan et al. 2024; https://kellerjordan.github.io/posts/muon/) with the semantics of `torch.optim.Muon`.

    It differs in how it computes, which is what counts at small widths: in fp32 (on processors without bf16 products
    PyTorch's own takes seconds a step), all matrices of a group at once, the iterations on their small Gram matrices
    rather than on themselves, and the heads of attention each for themselves (a group's ``split`` says whether heads
    are parts of its ``rows`` or ``columns``, ``heads`` how many there are). All matrices of a group have one shape,
    some of them turned.

    Under FSDP every process gathers the gradients and computes the same update, of which it applies its share.
    """

    def __init__(self, groups: list[dict[str, Any]], lr: float, momentum: float, weight_decay: float = 0.0) -> None:
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "split": None, "heads": 1}
        super().__init__(groups, defaults)

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Take one step; `closure`, if given, computes the loss anew, which is returned."""
        loss = None if closure is None else torch.enable_grad()(closure)()
        for group in self.param_groups:
            trained = [p for p in group["params"] if p.grad is not None]
            if not trained:
                continue
            momenta = []
            for parameter in trained:
                state = self.state[parameter]
                if "momentum_buffer" not in state:
                    state["momentum_buffer"] = torch.zeros_like(parameter)
                momenta.append(state["momentum_buffer"])
            gradients = [p.grad for p in trained]
            torch._foreach_lerp_(momenta, gradients, 1 - group["momentum"])
            nesterov = torch._foreach_lerp(gradients, momenta, group["momentum"])
            turned = [group["split"] == "columns" or p.shape[0] > p.shape[1] for p in trained]
            wide = [_whole(n).mT if turn else _whole(n) for n, turn in zip(nesterov, turned, strict=True)]
            updates = orthogonalise(torch.stack(wide), group["heads"])
            if group["weight_decay"]:
                torch._foreach_mul_(trained, 1 - group["lr"] * group["weight_decay"])
            for parameter, update, turn in zip(trained, updates, turned, strict=True):
                rows, columns = parameter.shape
                rate = group["lr"] * math.sqrt(max(1, rows / columns))
                parameter.add_(_share(update.mT if turn else update, parameter), alpha=-rate)
        return loss


def orthogonalise(x_KNM: Tensor, heads: int = 1) -> Tensor:
    """Return K matrices with all singular values near 1 and the singular vectors of `x_KNM`, N ≤ M.

    Of `heads` that share the N rows each is made orthogonal for itself. Every iterate is a polynomial in X Xᵀ times X,
    so the iterations need N × N matrices only.
    """
    x = x_KNM.unflatten(1, (heads, -1)).flatten(0, 1)
    gram = x @ x.mT
    scale = gram.diagonal(dim1=1, dim2=2).sum(-1).clamp(min=1e-14)[:, None, None].rsqrt()  # 1 / ||X||
    gram *= scale.square()
    product: Tensor | None = None
    for iteration, (a, b, c) in enumerate(COEFFICIENTS, 1):
        factor = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        factor.diagonal(dim1=1, dim2=2).add_(a)
        product = factor if product is None else factor @ product
        if iteration < len(COEFFICIENTS):
            gram = factor @ gram @ factor
    assert product is not None
    return ((product * scale) @ x).view_as(x_KNM)


def _whole(tensor: Tensor) -> Tensor:
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def _share(update: Tensor, parameter: Tensor) -> Tensor:
    if not isinstance(parameter, DTensor):
        return update
    return distribute_tensor(update, parameter.device_mesh, parameter.placements, src_data_rank=None)
