"""Keys and values of earlier positions, one contiguous row a sequence."""

import torch
from torch import Tensor

from castalia.model.attention import additive
from castalia.model.config import ModelConfig


class DenseCache:
    """Keys and values for B sequences of up to S positions; row b is filled up to `lengths_B[b]`."""

    def __init__(
        self, config: ModelConfig, batch: int, capacity: int, device: torch.device, dtype: torch.dtype
    ) -> None:
        shape = (config.layers, 2, batch, config.key_value_heads, capacity, config.head_dim)
        self.config = config
        self.memory = torch.zeros(shape, device=device, dtype=dtype)
        self.lengths_B = torch.zeros(batch, dtype=torch.long, device=device)
        self.reach = 0

    def extend(self, layer: int, k_BHTd: Tensor, v_BHTd: Tensor) -> tuple[Tensor, Tensor]:
        """Store the T new keys and values of every row from its length on; return all up to the longest row."""
        new = k_BHTd.shape[2]
        rows = torch.arange(len(self.lengths_B), device=self.lengths_B.device)[:, None]
        slots = self.lengths_B[:, None] + torch.arange(new, device=self.lengths_B.device)
        keys, values = self.memory[layer]
        keys[rows, :, slots] = k_BHTd.transpose(1, 2)
        values[rows, :, slots] = v_BHTd.transpose(1, 2)
        return keys[:, :, : self.reach], values[:, :, : self.reach]

    def masks(self) -> tuple[Tensor, Tensor]:
        """Return additive masks (window, global) [B, 1, 1, S] for one new position in every row."""
        slots = torch.arange(self.reach, device=self.lengths_B.device)
        distance_BS = self.lengths_B[:, None] - slots
        seen = distance_BS >= 0
        near = seen & (distance_BS < (self.config.window or self.reach + 1))
        dtype = self.memory.dtype
        return additive(near, dtype)[:, None, None], additive(seen, dtype)[:, None, None]

    def keep(self, rows: Tensor) -> None:
        """Forget all sequences but `rows`."""
        self.memory = self.memory[:, :, rows]
        self.lengths_B = self.lengths_B[rows]
