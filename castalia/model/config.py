"""The model's configuration: every modern part is a switch, so that ablations are honest."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class ModelConfig:
    """Shape and parts of a decoder. Immutable; stored whole in every run and checkpoint."""

    vocab_size: int = 1024
    patch_values: int = 768
    """Values of one image patch: patch_size² · 3."""
    frame_values: int = 320
    """Features of one 80 ms frame of sound."""
    width: int = 192
    layers: int = 4
    heads: int = 6
    kv_heads: int | None = None
    """Heads of keys and values; None means as many as `heads`."""
    mlp_width: int | None = None
    """Hidden width of the MLP; None means 4 · width for squared ReLU and 8/3 · width for SwiGLU (equal FLOPs)."""
    activation: Literal["relu2", "swiglu"] = "relu2"
    parallel_blocks: bool = True
    """Attention and MLP read the same norm and share their products: two fat products a block instead of four."""
    qk_norm: bool = True
    gated_attention: bool = True
    """A sigmoid gate per head on the attention output (arXiv 2505.06708)."""
    rope_axes: Literal[1, 3] = 3
    """Rotary positions over time only, or over time, row and column."""
    rope_base: float = 1000.0
    window: int = 128
    """Positions a sliding-window layer sees; 0 makes every layer global."""
    global_every: int = 4
    """One layer in this many is global and without positions; the others slide and are rotary."""
    global_positions: bool = False
    """Give global layers rotary positions too."""
    bidirectional_images: bool = True
    grid: int = 64
    """Rows, and columns, of patches with a learned embedding that is added to the patch, from which its place can be
    read (rotary positions only say how far two things are apart); what lies beyond shares the last. 0 means none."""
    vision_layers: int = 0
    """Layers of a separate encoder, in which the patches of a picture see one another before they are projected into
    the sequence; 0: patches go straight in."""
    value_embeddings: bool = True
    """Add a learned embedding of the token to the values of the first and the last layer."""
    softcap: float = 20.0
    """Logits are capped to ±softcap by tanh; 0 switches it off."""
    zero_init: bool = True
    """Projections back into the residual stream, and the head, start at zero."""
    tied_head: bool = False
    experts: int = 0
    """Routed experts of the MLP; 0 means a dense MLP."""
    experts_per_token: int = 1
    shared_expert: bool = True

    def __post_init__(self) -> None:
        for name in ("vocab_size", "patch_values", "frame_values", "width", "layers", "heads", "global_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("window", "grid", "vision_layers", "experts"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be 0 (none) or more, got {getattr(self, name)}")
        if self.width % self.heads or self.head_dim % 8:
            raise ValueError(f"width {self.width} must be heads {self.heads} times a multiple of 8")
        if self.heads % self.key_value_heads:
            raise ValueError(f"heads {self.heads} must be a multiple of kv_heads {self.kv_heads}")
        if self.experts and not 1 <= self.experts_per_token <= self.experts:
            raise ValueError(f"experts_per_token {self.experts_per_token} must be from 1 to experts {self.experts}")

    @property
    def head_dim(self) -> int:
        """Width of one head."""
        return self.width // self.heads

    @property
    def key_value_heads(self) -> int:
        """Heads of keys and values."""
        return self.kv_heads or self.heads

    @property
    def hidden(self) -> int:
        """Hidden width of one MLP."""
        if self.mlp_width:
            return self.mlp_width
        return 4 * self.width if self.activation == "relu2" else round(8 * self.width / 3 / 32) * 32

    def is_global(self, layer: int) -> bool:
        """Say whether `layer` (from 0) attends to everything before it rather than to a window."""
        return self.window == 0 or (layer + 1) % self.global_every == 0

    def is_rotary(self, layer: int) -> bool:
        """Say whether `layer` has rotary positions."""
        return self.global_positions or self.window == 0 or not self.is_global(layer)

    def has_value_embedding(self, layer: int) -> bool:
        """Say whether `layer` adds token embeddings to its values."""
        return self.value_embeddings and layer in (0, self.layers - 1)
