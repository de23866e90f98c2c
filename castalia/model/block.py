"""One block: attention and a feed-forward half around a residual stream."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from castalia.model.attention import Cache, attend, rotate
from castalia.model.config import ModelConfig
from castalia.model.mlp import MLP, MixtureOfExperts, activate


def norm(x: Tensor) -> Tensor:
    """RMS norm without weights over the last dimension."""
    return F.rms_norm(x, (x.shape[-1],))


class Block(nn.Module):
    """Attention and MLP with residual connections, in parallel or one after the other."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.config, self.layer = config, layer
        D, kv = config.width, config.key_value_heads * config.head_dim
        self.qkv_widths = (D, kv, kv)
        self.query = nn.Linear(D, D, bias=False)
        self.key = nn.Linear(D, kv, bias=False)
        self.value = nn.Linear(D, kv, bias=False)
        self.gate = nn.Linear(D, config.heads, bias=False) if config.gated_attention else None
        self.output = nn.Linear(D, D, bias=False)
        self.mlp = MixtureOfExperts(config) if config.experts else MLP(config)
        self.value_mix = nn.Parameter(torch.full((1,), 0.5)) if config.has_value_embedding(layer) else None

    def forward(
        self,
        x_BTD: Tensor,
        rotary: tuple[Tensor, Tensor],
        mask: Tensor | None,
        values_BTK: Tensor | None = None,
        cache: Cache | None = None,
        at_M: Tensor | None = None,
    ) -> Tensor:
        """Map [B, T, D] to [B, T, D]; `values_BTK` are value embeddings, `cache` holds earlier keys and values.

        With flat positions `at_M` of B·T, return only those, [M, D]: the others serve as keys and values, and neither
        their MLP nor their projections are computed.
        """
        h = norm(x_BTD)
        fused = self.config.parallel_blocks and isinstance(self.mlp, MLP)
        inward = [self.query.weight, self.key.weight, self.value.weight]
        # One product in, one product out: at small widths fewer, fatter products are what a machine is good at.
        if fused and at_M is None:
            inward.append(self.mlp.up.weight)
        qkv, *hidden = F.linear(h, torch.cat(inward)).split((sum(self.qkv_widths), *map(len, inward[3:])), -1)
        attended = self.attention(h, qkv, rotary, mask, values_BTK, cache)
        if at_M is not None:
            x_BTD, h, attended = (t.flatten(0, 1).index_select(0, at_M) for t in (x_BTD, h, attended))
        if not fused:
            x_BTD = x_BTD + self.output(attended)
            return x_BTD + self.mlp(norm(x_BTD))
        active = activate(hidden[0] if hidden else self.mlp.up(h), self.config.activation)
        outward = torch.cat((self.output.weight, self.mlp.down.weight), 1)
        return x_BTD + F.linear(torch.cat((attended, active), -1), outward)

    def attention(
        self,
        h_BTD: Tensor,
        qkv: Tensor,
        rotary: tuple[Tensor, Tensor],
        mask: Tensor | None,
        values_BTK: Tensor | None,
        cache: Cache | None,
    ) -> Tensor:
        """Return the gated attention output [B, T, D] before its projection."""
        q, k, v = (part.unflatten(-1, (-1, self.config.head_dim)) for part in qkv.split(self.qkv_widths, -1))
        if self.config.qk_norm:
            q, k = norm(q), norm(k)
        q, k = rotate(q, *rotary), rotate(k, *rotary)
        if self.value_mix is not None and values_BTK is not None:
            v = v + self.value_mix * values_BTK.view_as(v)
        y = attend(q, k, v, mask) if cache is None else cache.attend(self.layer, q, k, v)
        if self.gate is not None:
            y = y * self.gate(h_BTD).sigmoid()[..., None]
        return y.flatten(-2)
