"""Small decoders in which every part speaks, and random sequences of text, images and sound."""

import zlib
from collections.abc import Callable

import numpy as np
import pytest
import torch

from castalia.model.config import ModelConfig
from castalia.model.decoder import Decoder, ModelInput
from castalia.perception.packing import collate
from castalia.perception.sequence import ImageSpan, Kind, Sequence

SMALL = ModelConfig(vocab_size=50, patch_values=12, frame_values=10, width=32, layers=4, heads=4, window=4, grid=3)

SWITCHES: dict[str, dict] = {
    "kv_heads": {"kv_heads": 2},
    "mlp_width": {"mlp_width": 48},
    "activation": {"activation": "swiglu"},
    "parallel_blocks": {"parallel_blocks": False},
    "qk_norm": {"qk_norm": False},
    "gated_attention": {"gated_attention": False},
    "rope_axes": {"rope_axes": 1},
    "rope_base": {"rope_base": 10.0},
    "window": {"window": 0},
    "global_every": {"global_every": 2},
    "global_positions": {"global_positions": True},
    "bidirectional_images": {"bidirectional_images": False},
    "grid": {"grid": 0},
    "vision_layers": {"vision_layers": 2},
    "value_embeddings": {"value_embeddings": False},
    "softcap": {"softcap": 0.0},
    "tied_head": {"tied_head": True},
    "experts": {"experts": 3},
    "experts_per_token": {"experts": 3, "experts_per_token": 2},
    "shared_expert": {"experts": 3, "shared_expert": False},
}
"""A setting other than SMALL's for every switch."""


@pytest.fixture(scope="session")
def small() -> ModelConfig:
    """Return the configuration that the tests vary."""
    return SMALL


@pytest.fixture(params=[{}, *SWITCHES.values()], ids=["as_it_is", *SWITCHES])
def settings(request: pytest.FixtureRequest) -> dict:
    """Return nothing to change, then each switch in its turn."""
    return request.param


@pytest.fixture(scope="session")
def switches() -> dict[str, dict]:
    """Return the settings by the switch they turn."""
    return SWITCHES


@pytest.fixture(scope="session")
def decoder() -> Callable[[ModelConfig], Decoder]:
    """Return a function that makes a decoder; parameters of one name and shape are the same in all of them."""
    return _decoder


def _decoder(config: ModelConfig) -> Decoder:
    model = Decoder(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * parameter.shape[-1:].numel() ** -0.5)
    return model


@pytest.fixture(scope="session")
def sequence() -> Callable[..., Sequence]:
    """Return a function that makes a random sequence: ``sequence(seed, ("text", 3), ("image", 4))``."""
    return _sequence


def _sequence(seed: int, *layout: tuple[str, int]) -> Sequence:
    rng = np.random.default_rng(seed)
    kinds, images, places, spans = [], [], [], []
    time = 0
    for name, count in layout:
        kinds += [{"text": Kind.TEXT, "image": Kind.PATCH, "sound": Kind.FRAME}[name]] * count
        images += [len(spans) if name == "image" else -1] * count
        if name == "image":
            spans.append(ImageSpan(len(places), len(places) + count, 8, 8))
            places += [(time, row, column) for row, column in rng.integers(0, 5, (count, 2))]
            time += 1
        else:
            places += [(time + i, 0, 0) for i in range(count)]
            time += count
    T, kinds_T = len(places), np.array(kinds, np.uint8)
    return Sequence(
        kinds_T=kinds_T,
        tokens_T=np.where(kinds_T == 0, rng.integers(3, SMALL.vocab_size, T), kinds_T).astype(np.int32),
        places_T3=np.array(places, np.int32).reshape(-1, 3),
        images_T=np.array(images, np.int32),
        weights_T=(kinds_T == 0).astype(np.float32),
        patches_NP=rng.integers(-255, 256, ((kinds_T == 1).sum(), SMALL.patch_values), dtype=np.int16),
        frames_MF=rng.standard_normal(((kinds_T == 2).sum(), SMALL.frame_values)).astype(np.float32),
        spans=tuple(spans),
    )


@pytest.fixture(scope="session")
def logits() -> Callable[..., torch.Tensor]:
    """Return a function that gives the logits [B, T, V] of rows of sequences."""
    return _logits


@torch.no_grad()
def _logits(model: Decoder, rows: list[list[Sequence]], length: int = 0, pad: int = 0) -> torch.Tensor:
    length = length or max(sum(map(len, row)) for row in rows)
    return model(ModelInput.of(collate(rows, length, pad))).view(len(rows), length, -1)
