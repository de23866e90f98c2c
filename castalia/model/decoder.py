"""The decoder: one stack of pre-norm blocks over text, patches and frames alike."""

import math
from dataclasses import dataclass, fields
from types import MethodType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from castalia.model.attention import Cache, attention_masks, rotary_angles
from castalia.model.block import Block, norm
from castalia.model.config import ModelConfig
from castalia.model.vision import VisionEncoder
from castalia.perception.packing import Batch

PATCH_SCALE = 73.0
"""Pixels are divided by this: about their standard deviation."""


@dataclass
class ModelInput:
    """What the decoder reads: B rows of T positions, N patches and M frames among them.

    `patch_at_N` and `frame_at_M` are flat indices into B·T. `documents_BT` is -1 on padding; `images_BT` is -1 outside
    images; where `masks` are given, only what it says of patches counts. `masks` (window, global) replace the ones made
    from documents and images, where a cache needs others; a pair of None means plainly causal.
    """

    tokens_BT: Tensor
    places_BT3: Tensor
    documents_BT: Tensor
    images_BT: Tensor
    patches_NP: Tensor
    patch_at_N: Tensor
    frames_MF: Tensor
    frame_at_M: Tensor
    masks: tuple[Tensor | None, Tensor | None] | None = None

    def pictures(self) -> Tensor:
        """Return of which picture each patch is, [N]: numbers that differ from one to the next."""
        T = self.tokens_BT.shape[1]
        return self.patch_at_N // T * T + self.images_BT.flatten()[self.patch_at_N]

    @classmethod
    def of(cls, batch: Batch, device: torch.device | str = "cpu") -> "ModelInput":
        """Put a packed batch on `device`."""
        names = [f.name for f in fields(cls) if f.name != "masks"]
        tensors: dict[str, Any] = {name: torch.from_numpy(getattr(batch, name)).to(device) for name in names}
        tensors["patches_NP"] = tensors["patches_NP"].float() / PATCH_SCALE
        return cls(**tensors)


class Decoder(nn.Module):
    """Embeds positions of any kind, runs the blocks, and gives logits over the vocabulary."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        D, V = config.width, config.vocab_size
        self.embedding = nn.Embedding(V, D)
        self.patch_embedding = nn.Linear(config.patch_values, D, bias=False)
        self.frame_embedding = nn.Linear(config.frame_values, D, bias=False)
        self.place_embedding = nn.Embedding(2 * config.grid, D) if config.grid else None
        self.vision = VisionEncoder(config) if config.vision_layers else None
        kv = config.key_value_heads * config.head_dim
        self.value_embedding = nn.Embedding(V, kv) if config.value_embeddings else None
        self.blocks = nn.ModuleList(Block(config, layer) for layer in range(config.layers))
        self.head = None if config.tied_head else nn.Linear(D, V, bias=False)

    def initialise(self, seed: int) -> "Decoder":
        """Fill every parameter from `seed`, in one fixed order; returns self."""
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                if parameter.ndim < 2:
                    continue
                outward = name.endswith(("output.weight", "down.weight", "head.weight"))
                if (outward and self.config.zero_init) or name.startswith("place"):
                    parameter.zero_()
                elif "embedding.weight" in name and not name.startswith(("patch", "frame")):
                    scale = self.config.width**-0.5 if self.config.tied_head else 1.0
                    parameter.normal_(0, scale, generator=generator)
                else:
                    bound = math.sqrt(3) * 0.5 * parameter.shape[1] ** -0.5
                    parameter.uniform_(-bound, bound, generator=generator)
        return self

    def compile_parts(self) -> None:
        """Compile the block, once for all layers of a kind and all sizes of batches, and the loss."""
        compiled = torch.compile(Block.forward, dynamic=True)
        for block in [*self.blocks, *(self.vision.blocks if self.vision is not None else [])]:
            block.forward = MethodType(compiled, block)  # under __call__, so that FSDP's hooks still run
        self.nll = MethodType(torch.compile(Decoder.nll, dynamic=True), self)

    def forward(
        self,
        batch: ModelInput,
        at_M: Tensor | None = None,
        cache: Cache | None = None,
        targets_M: Tensor | None = None,
    ) -> Tensor:
        """Return logits [M, V] at the flat positions `at_M` of B·T (all of them, if None).

        With `targets_M`, return -log p [M] of these tokens instead.
        """
        hidden_MD = self.hidden(batch, at_M, cache)
        return self.logits(hidden_MD) if targets_M is None else self.nll(hidden_MD, targets_M)

    def embed(self, batch: ModelInput) -> Tensor:
        """Return the embeddings [B, T, D]; patches and frames stand in for their placeholder's."""
        x_BTD = self.embedding(batch.tokens_BT)
        flat = x_BTD.flatten(0, 1)
        if len(batch.patch_at_N):
            patches_ND = self.patch_embedding(batch.patches_NP)
            if self.place_embedding is not None:
                places_N2 = batch.places_BT3.flatten(0, 1)[batch.patch_at_N, 1:].clamp(max=self.config.grid - 1)
                patches_ND = patches_ND + self.place_embedding(
                    places_N2 + self.config.grid * torch.arange(2, device=flat.device)
                ).sum(1)
            if self.vision is not None:
                places_N3 = batch.places_BT3.flatten(0, 1)[batch.patch_at_N]
                patches_ND = self.vision(patches_ND, places_N3, batch.pictures())
            flat = flat.index_copy(0, batch.patch_at_N, patches_ND.to(flat.dtype))
        elif self.training:
            flat = flat + _nothing(self.patch_embedding, self.place_embedding, self.vision)
        if len(batch.frame_at_M):
            flat = flat.index_copy(0, batch.frame_at_M, self.frame_embedding(batch.frames_MF).to(flat.dtype))
        elif self.training:
            flat = flat + _nothing(self.frame_embedding)
        return norm(flat.view_as(x_BTD))

    def hidden(self, batch: ModelInput, at_M: Tensor | None = None, cache: Cache | None = None) -> Tensor:
        """Return the normed residual stream after the last block, [M, D], at the flat positions `at_M`."""
        x_BTD = self.embed(batch)
        rotary = rotary_angles(batch.places_BT3, self.config)
        # Layers without positions turn by nothing, so that the same compiled block serves them.
        still = torch.ones_like(rotary[0]), torch.zeros_like(rotary[1])
        masks = batch.masks or attention_masks(batch.documents_BT, batch.images_BT, self.config, x_BTD.dtype)
        values = self.value_embedding(batch.tokens_BT) if self.value_embedding is not None else None
        for layer, block in enumerate(self.blocks):
            x_BTD = block(
                x_BTD,
                rotary if self.config.is_rotary(layer) else still,
                masks[1] if self.config.is_global(layer) else masks[0],
                values if self.config.has_value_embedding(layer) else None,
                cache,
                at_M if layer == self.config.layers - 1 else None,
            )
        return norm(x_BTD if x_BTD.ndim == 2 else x_BTD.flatten(0, 1))

    def nll(self, hidden_MD: Tensor, targets_M: Tensor) -> Tensor:
        """Return -log p [M] of `targets_M` after hidden states [M, D]."""
        return F.cross_entropy(self.logits(hidden_MD), targets_M, reduction="none")

    def logits(self, hidden_MD: Tensor) -> Tensor:
        """Return soft-capped fp32 logits [M, V]."""
        weight = self.embedding.weight if self.head is None else self.head.weight
        logits_MV = F.linear(hidden_MD, weight).float()
        cap = self.config.softcap
        return cap * torch.tanh(logits_MV / cap) if cap else logits_MV


def _nothing(*modules: nn.Module | None) -> Tensor:
    """Return 0, in which all parameters of `modules` have a part.

    So a batch without pictures or sounds has gradients of all parameters, of zero: FSDP sums what processes send it in
    one piece, and ends them where one sends less than another.
    """
    return 0 * sum((p.sum() for module in modules if module is not None for p in module.parameters()), torch.zeros(()))
