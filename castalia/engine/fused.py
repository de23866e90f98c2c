"""The model's step on a processor, fused: all blocks are one call of C.

The arithmetic is that of `castalia.model.decoder.Decoder` in another order: rows are scaled to norm 1 after a product
instead of before it. Small operations called one by one from Python would take longer than the products.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from castalia.engine.kernel import PANEL, LayerInC, Reach, StackInC, compiled, pointer
from castalia.model.attention import rotary_angles
from castalia.model.block import Block, norm
from castalia.model.decoder import Decoder, ModelInput
from castalia.model.mlp import MLP


def can_fuse(model: Decoder, pages: Tensor) -> bool:
    """Say whether this model, with this memory, has a fused step."""
    config = model.config
    dense = config.parallel_blocks and config.activation == "relu2" and not config.experts
    return dense and compiled(pages) is not None


def panels(weight_KI: Tensor) -> Tensor:
    """Return weights as products in C read them: [I / PANEL, K, PANEL], filled up with zeros."""
    padded_KI = F.pad(weight_KI, (0, -weight_KI.shape[1] % PANEL))
    return padded_KI.unflatten(1, (-1, PANEL)).transpose(0, 1).contiguous()


class FusedStep:
    """A model's weights as the fused step takes them: copies, to be made anew when the weights have changed."""

    def __init__(self, model: Decoder, pages: Tensor) -> None:
        """Copy the weights; `pages` is the cache's memory [layers, 2, pages, G, PAGE, d]."""
        self.model, self.pages = model, pages
        self.weights: list[Tensor] = []
        layers = []
        for layer, block in enumerate(model.blocks):
            assert isinstance(block, Block) and isinstance(block.mlp, MLP)
            inward = [block.query.weight, block.key.weight, block.value.weight, block.mlp.up.weight]
            if block.gate is not None:
                inward.append(block.gate.weight)
            outward = torch.cat((block.output.weight, block.mlp.down.weight), 1)
            weights = panels(torch.cat(inward).T), panels(outward.T)
            self.weights += weights
            mix = 0.0 if block.value_mix is None else block.value_mix.item()
            config = model.config
            flags = config.is_rotary(layer), not config.is_global(layer), config.has_value_embedding(layer)
            layers.append(LayerInC(*map(pointer, (*weights, *pages[layer])), mix, *flags))
        self.layers = (LayerInC * len(layers))(*layers)

    def __call__(self, inputs: ModelInput, at_M: Tensor, reach: Reach) -> Tensor:
        """Return logits [M, V] at positions `at_M`."""
        model, config = self.model, self.model.config
        x_ND = model.embed(inputs)[0]
        cos, sin = (angles[0, :, 0].contiguous() for angles in rotary_angles(inputs.places_BT3, config))
        embedded_NK = model.value_embedding(inputs.tokens_BT)[0] if model.value_embedding is not None else None
        library = compiled(self.pages)
        assert library is not None
        outer = config.heads * config.head_dim + config.hidden
        inner = outer + 2 * config.key_value_heads * config.head_dim + config.heads * config.gated_attention
        room = x_ND.new_empty(len(x_ND), inner), x_ND.new_empty(len(x_ND), outer)
        sizes, per_position = (config.layers, config.width, config.hidden), map(pointer, (cos, sin, embedded_NK))
        stack = StackInC(*sizes, *per_position, config.qk_norm, config.gated_attention)
        library.blocks(
            *map(pointer, (x_ND, *room)), stack, self.layers, reach.in_c(self.pages[0], reach.lo_N, config.heads)
        )
        return model.logits(norm(x_ND[at_M]))
