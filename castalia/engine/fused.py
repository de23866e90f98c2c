"""The model's step on a processor, fused: of a block, two products are left to PyTorch, all else is one call of C.

The arithmetic is that of `castalia.model.decoder.Decoder` in another order: rows are scaled to norm 1 after a product
instead of before it. Small operations called one by one from Python would take longer than the products.
"""

import torch
from torch import Tensor

from castalia.engine.kernel import InsideInC, compiled, pointer
from castalia.engine.paged import PagedCache
from castalia.model.attention import rotary_angles
from castalia.model.config import ModelConfig
from castalia.model.decoder import Block, Decoder, ModelInput, norm
from castalia.model.mlp import MLP


def can_fuse(model: Decoder, pages: Tensor) -> bool:
    """Say whether this model, with this memory, has a fused step."""
    config = model.config
    dense = config.parallel_blocks and config.activation == "relu2" and not config.experts
    return dense and compiled(pages) is not None


class FusedStep:
    """A model's weights as the fused step takes them: copies, to be made anew when the weights have changed."""

    def __init__(self, model: Decoder) -> None:
        self.model = model
        self.blocks: list[tuple[Tensor, Tensor, float]] = []
        for block in model.blocks:
            assert isinstance(block, Block) and isinstance(block.mlp, MLP)
            inward = [block.query.weight, block.key.weight, block.value.weight, block.mlp.up.weight]
            if block.gate is not None:
                inward.append(block.gate.weight)
            mix = 0.0 if block.value_mix is None else block.value_mix.item()
            outward = torch.cat((block.output.weight, block.mlp.down.weight), 1)
            self.blocks.append((torch.cat(inward).T, outward.T, mix))

    def __call__(self, inputs: ModelInput, at_M: Tensor, cache: PagedCache) -> Tensor:
        """Return logits [M, V] at positions `at_M`."""
        model, config = self.model, self.model.config
        x_ND = model.embed(inputs)[0]
        cos, sin = (angles[0, :, 0].contiguous() for angles in rotary_angles(inputs.places_BT3, config))
        values_NK = model.value_embedding(inputs.tokens_BT)[0] if model.value_embedding is not None else None
        library = compiled(cache.pool.memory[0])
        assert library is not None
        for layer, (inward_DI, outward_ID, mix) in enumerate(self.blocks):
            inner_NI = x_ND @ inward_DI
            outer_NI = x_ND.new_empty(len(x_ND), len(outward_ID))
            rotary = (cos, sin) if config.is_rotary(layer) else (None, None)
            embedded = values_NK if config.has_value_embedding(layer) else None
            inside = _inside(config, rotary, embedded, mix)
            library.block(*map(pointer, (x_ND, inner_NI, outer_NI)), cache.in_c(layer), inside)
            x_ND = torch.addmm(x_ND, outer_NI, outward_ID)
        return model.logits(norm(x_ND[at_M]))


def _inside(
    config: ModelConfig, rotary: tuple[Tensor | None, Tensor | None], embedded_NK: Tensor | None, mix: float
) -> InsideInC:
    pointers = map(pointer, (*rotary, embedded_NK))
    return InsideInC(config.width, config.hidden, *pointers, mix, config.qk_norm, config.gated_attention)
