"""Exact counts of parameters and floating-point operations.

A multiplication and an addition are two operations. Matrix products are counted (elementwise work is not, as in a
profiler's count); the backward pass of a product is two products of the same size.
"""

from dataclasses import dataclass

from castalia.model.config import ModelConfig
from castalia.model.mlp import up_width
from castalia.model.vision import encoder_config

NEWTON_SCHULZ = 4
"""Iterations of Muon's orthogonalisation."""


@dataclass(frozen=True)
class StepShape:
    """What one step runs over: rows of `length` positions, so many patches, frames, and positions with logits."""

    rows: int
    length: int
    patches: int = 0
    frames: int = 0
    logits: int = 0
    pairs: int = 0
    """Pairs of patches of one picture, which an encoder of pictures compares: the sum of their squared numbers."""

    @property
    def positions(self) -> int:
        """All positions, padding included: it is computed too."""
        return self.rows * self.length


def block_matrix_shapes(config: ModelConfig) -> list[tuple[int, int, int]]:
    """Return (rows, columns, heads) of every matrix of one block that Muon trains; the heads share the rows.

    The output projection, whose columns are shared by the heads, stands here turned over.
    """
    D, kv, H = config.width, config.key_value_heads * config.head_dim, config.heads
    mlp = [(up_width(config), D, 1), (D, config.hidden, 1)]
    copies = config.experts + config.shared_expert if config.experts else 1
    attention = [(D, D, H), (kv, D, config.key_value_heads), (kv, D, config.key_value_heads), (D, D, H)]
    return attention + mlp * copies


def parameters(config: ModelConfig) -> dict[str, int]:
    """Return the number of parameters by part, and their ``total``."""
    D, V, kv = config.width, config.vocab_size, config.key_value_heads * config.head_dim
    count = {
        "embedding": V * D,
        "value_embedding": V * kv if config.value_embeddings else 0,
        "patch_embedding": config.patch_values * D,
        "frame_embedding": config.frame_values * D,
        "place_embedding": 2 * config.grid * D,
        "vision": _vision_parameters(config),
        "head": 0 if config.tied_head else V * D,
        "blocks": config.layers * (sum(r * c for r, c, _ in block_matrix_shapes(config)) + _small(config))
        + sum(config.has_value_embedding(layer) for layer in range(config.layers)),
    }
    return count | {"total": sum(count.values())}


def _vision_parameters(config: ModelConfig) -> int:
    """Parameters of the encoder of pictures and its projector."""
    if not config.vision_layers:
        return 0
    of_block = sum(r * c for r, c, _ in block_matrix_shapes(encoder_config(config))) + _small(encoder_config(config))
    return config.vision_layers * of_block + 2 * config.width * 4 * config.width


def _small(config: ModelConfig) -> int:
    """Parameters of one block's attention gate and router."""
    return config.width * ((config.heads if config.gated_attention else 0) + config.experts)


def forward_flops(config: ModelConfig, shape: StepShape) -> dict[str, int]:
    """Return the operations of one forward pass by part, and their ``total``.

    With experts, every position pays for `experts_per_token` of them, the shared one and the router. In the last block
    positions without logits serve as keys and values only: they have no MLP and no output projection.
    """
    D, kv = config.width, config.key_value_heads * config.head_dim
    mlp = D * (up_width(config) + config.hidden)
    active = config.experts_per_token + config.shared_expert if config.experts else 1
    inward = D * D + 2 * D * kv + D * (config.heads if config.gated_attention else 0)
    outward = D * D + active * mlp + D * config.experts
    # Queries meet every key of their row: masked scores are computed too.
    attention = 2 * 2 * shape.length * D
    count = {
        "matrices": 2 * shape.positions * (config.layers * inward + (config.layers - 1) * outward)
        + 2 * shape.logits * outward,
        "attention": shape.positions * config.layers * attention,
        "patches": 2 * shape.patches * config.patch_values * D,
        "frames": 2 * shape.frames * config.frame_values * D,
        "vision": 2 * shape.patches * _vision_parameters(config) + 4 * shape.pairs * config.vision_layers * D,
        "head": 2 * shape.logits * config.vocab_size * D,
    }
    return count | {"total": sum(count.values())}


def optimizer_flops(config: ModelConfig) -> int:
    """Return the operations of Muon's Newton-Schulz iterations in one step; AdamW does no products.

    A matrix of n × m, n ≤ m, pays for its Gram matrix and for the last product (2n²m each); the iterations are products
    of n × n matrices (2n³ each): four, but three in the first and two in the last. Attention's matrices are made
    orthogonal head by head. In a step without patches or frames the gradient of their projection is zero, and pays.
    """
    total = 0
    inputs = [(config.width, config.patch_values, 1), (config.width, config.frame_values, 1)]
    if config.vision_layers:
        inputs += block_matrix_shapes(encoder_config(config)) * config.vision_layers
        inputs += [(4 * config.width, config.width, 1)] * 2
    for rows, columns, heads in block_matrix_shapes(config) * config.layers + inputs:
        n, m = sorted((rows // heads, columns))
        total += heads * (2 * 2 * n * n * m + (4 * NEWTON_SCHULZ - 3) * 2 * n**3)
    return total


def step_flops(config: ModelConfig, shape: StepShape, *, muon: bool = True) -> int:
    """Return the operations of one training step: forward, backward (input projections need no gradient of pixels)
    and optimizer."""
    forward = forward_flops(config, shape)
    projections = forward["patches"] + forward["frames"]
    return 3 * forward["total"] - projections + (optimizer_flops(config) if muon else 0)
