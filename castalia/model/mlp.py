"""The feed-forward half of a block: dense, or a mixture of experts with a shared one."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from castalia.model.config import ModelConfig


def activate(hidden: Tensor, activation: str) -> Tensor:
    """Squared ReLU (arXiv 2109.08668), or SwiGLU (arXiv 2002.05202) of a hidden of twice the width."""
    if activation == "relu2":
        return F.relu(hidden).square()
    gate, up = hidden.chunk(2, -1)
    return F.silu(gate) * up


def up_width(config: ModelConfig) -> int:
    """Output width of the first product: the hidden width, twice that for SwiGLU."""
    return config.hidden * (2 if config.activation == "swiglu" else 1)


class MLP(nn.Module):
    """Two products with an activation between them."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.activation = config.activation
        self.up = nn.Linear(config.width, up_width(config), bias=False)
        self.down = nn.Linear(config.hidden, config.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map [..., D] to [..., D]."""
        return self.down(activate(self.up(x), self.activation))


class MixtureOfExperts(nn.Module):
    """Every position goes to its `experts_per_token` best experts, and to the shared one.

    Routing weights are sigmoids, so that experts do not compete, as in Llama 4; the load is balanced by a bias on the
    choice that rises for experts that are used too little (arXiv 2408.15664), which needs no auxiliary loss.
    """

    balance_E: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.per_token = config.experts_per_token
        self.router = nn.Linear(config.width, config.experts, bias=False)
        self.experts = nn.ModuleList(MLP(config) for _ in range(config.experts))
        self.shared = MLP(config) if config.shared_expert else None
        self.register_buffer("balance_E", torch.zeros(config.experts))

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Map [B, T, D] to [B, T, D]."""
        x_ND = x_BTD.flatten(0, -2)
        scores_NE = self.router(x_ND).sigmoid()
        chosen_NK = (scores_NE + self.balance_E).topk(self.per_token, -1).indices
        y_ND = self.shared(x_ND) if self.shared is not None else torch.zeros_like(x_ND)
        for index, expert in enumerate(self.experts):
            rows = (chosen_NK == index).any(-1).nonzero().squeeze(-1)
            found_RD = expert(x_ND[rows]) * scores_NE[rows, index, None]
            y_ND = y_ND.index_add(0, rows, found_RD.to(y_ND.dtype))
        if self.training:
            with torch.no_grad():
                load_E = torch.bincount(chosen_NK.flatten(), minlength=len(self.experts)).float()
                self.balance_E.add_((load_E.mean() - load_E).sign(), alpha=0.001)
        return y_ND.view_as(x_BTD)
