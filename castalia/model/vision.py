"""A separate encoder of pictures, stitched on by a projector: how it was done before one sequence held all."""

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from castalia.model.attention import additive, rotary_angles
from castalia.model.block import Block, norm
from castalia.model.config import ModelConfig


class VisionEncoder(nn.Module):
    """Blocks like the decoder's in which the patches of one picture see each other, then a projector of two layers."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = encoder_config(config)
        self.blocks = nn.ModuleList(Block(self.config, layer) for layer in range(config.vision_layers))
        self.up = nn.Linear(config.width, 4 * config.width, bias=False)
        self.down = nn.Linear(4 * config.width, config.width, bias=False)

    def forward(self, patches_ND: Tensor, places_N3: Tensor, pictures_N: Tensor) -> Tensor:
        """Map the patches of all pictures, one after the other, to [N, D]; `pictures_N` says of which each is."""
        counts_I = torch.unique_consecutive(pictures_N, return_counts=True)[1]
        real_IP = torch.arange(int(counts_I.max()), device=counts_I.device) < counts_I[:, None]
        x_IPD = patches_ND.new_zeros(*real_IP.shape, patches_ND.shape[1])
        x_IPD[real_IP] = norm(patches_ND)
        places_IP3 = places_N3.new_zeros(*real_IP.shape, 3)
        places_IP3[real_IP] = places_N3
        rotary = rotary_angles(places_IP3, self.config)
        mask = additive(real_IP, x_IPD.dtype)[:, None, None, :].expand(-1, 1, real_IP.shape[1], -1)
        for block in self.blocks:
            x_IPD = block(x_IPD, rotary, mask)
        return self.down(F.gelu(self.up(norm(x_IPD[real_IP]))))


def encoder_config(config: ModelConfig) -> ModelConfig:
    """Return what a block of the encoder is made by: as the decoder's, dense, and without what tokens bring."""
    return replace(
        config,
        layers=max(1, config.vision_layers),
        vision_layers=0,
        window=0,
        bidirectional_images=True,
        value_embeddings=False,
        experts=0,
    )
