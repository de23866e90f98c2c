"""Rotary places, masks, and attention over queries, keys and values."""

from functools import lru_cache
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from castalia.model.config import ModelConfig


class Cache(Protocol):
    """What the engine hands to the model to remember keys and values of earlier positions."""

    def attend(self, layer: int, q_BTHd: Tensor, k_BTGd: Tensor, v_BTGd: Tensor) -> Tensor:
        """Store new keys and values of `layer`; return attention [B, T, H, d] over old and new ones."""
        ...


def rotary_angles(places_BT3: Tensor, config: ModelConfig) -> tuple[Tensor, Tensor]:
    """Return cosines and sines [B, T, 1, d/2] for places (time, row, column).

    With three axes half of the pairs turn with time, a quarter with the row, a quarter with the column.
    """
    rates_3p = _rotary_rates(config).to(places_BT3.device)
    angles_BTp = (places_BT3[..., None].float() * rates_3p).sum(-2)[:, :, None]
    return angles_BTp.cos(), angles_BTp.sin()


@lru_cache(maxsize=8)
def _rotary_rates(config: ModelConfig) -> Tensor:
    """Return by how much every pair turns at one step along every axis, [3, d/2]."""
    pairs = config.head_dim // 2
    split = (pairs,) if config.rope_axes == 1 else (pairs - 2 * (pairs // 4), pairs // 4, pairs // 4)
    rates_3p = torch.zeros(3, pairs)
    start = 0
    for axis, count in enumerate(split):
        rates_3p[axis, start : start + count] = config.rope_base ** -(torch.arange(count) / count)
        start += count
    return rates_3p


def rotate(x_BTHd: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn the pairs (i, i + d/2) of every head by their angle."""
    a, b = x_BTHd.chunk(2, -1)
    return torch.cat((a * cos - b * sin, a * sin + b * cos), -1)


def attention_masks(
    documents_BT: Tensor, images_BT: Tensor, config: ModelConfig, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Return additive masks (window, global) of shape [B, 1, T, T]: 0 where attention is allowed, -inf elsewhere.

    A position sees earlier positions of its own document and, inside one image, later patches too. Padding
    (document -1) sees itself only, so that no row of the softmax is empty.
    """
    T = documents_BT.shape[1]
    order = torch.arange(T, device=documents_BT.device)
    distance_TT = order[:, None] - order[None, :]
    allowed = (documents_BT[:, :, None] == documents_BT[:, None, :]) & (documents_BT >= 0)[:, :, None]
    seen = distance_TT >= 0
    same_image = torch.zeros((), dtype=torch.bool, device=documents_BT.device)
    if config.bidirectional_images:
        same_image = (images_BT[:, :, None] == images_BT[:, None, :]) & (images_BT >= 0)[:, :, None]
    itself = distance_TT == 0
    everything = (allowed & (seen | same_image)) | itself
    window = (allowed & ((seen & (distance_TT < (config.window or T))) | same_image)) | itself
    return additive(window, dtype)[:, None], additive(everything, dtype)[:, None]


def additive(allowed: Tensor, dtype: torch.dtype) -> Tensor:
    """Return 0 where `allowed`, -inf elsewhere."""
    return torch.zeros(allowed.shape, dtype=dtype, device=allowed.device).masked_fill_(~allowed, float("-inf"))


def attend(q_BTHd: Tensor, k_BTGd: Tensor, v_BTGd: Tensor, mask: Tensor | None) -> Tensor:
    """Return softmax(q k / sqrt(d)) v as [B, T, H, d]; `mask` None means plainly causal."""
    q_BHTd, k_BHSd, v_BHSd = (x.transpose(1, 2) for x in (q_BTHd, k_BTGd, v_BTGd))
    groups = q_BHTd.shape[1] // k_BHSd.shape[1]
    if groups > 1:
        k_BHSd, v_BHSd = k_BHSd.repeat_interleave(groups, 1), v_BHSd.repeat_interleave(groups, 1)
    y = F.scaled_dot_product_attention(q_BHTd, k_BHSd, v_BHSd, attn_mask=mask, is_causal=mask is None)
    return y.transpose(1, 2)
