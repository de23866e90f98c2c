"""A small model in which every part speaks, its engine, and random prompts with pictures and sounds."""

import zlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from castalia.document import Document, Image, Part, Speech
from castalia.engine.engine import Engine
from castalia.model.config import ModelConfig
from castalia.model.decoder import Decoder
from castalia.perception.perceive import Perception
from castalia.perception.sequence import Sequence
from castalia.perception.text import Tokenizer

WORDS = "What is one and two, which of three is the largest? Red, green or blue."


@pytest.fixture(scope="session")
def perception() -> Perception:
    return Perception(Tokenizer.train([WORDS], 320))


@pytest.fixture(scope="session")
def config(perception: Perception) -> ModelConfig:
    sizes = (perception.config.patch_values, perception.config.frame_values)
    return ModelConfig(-(-perception.tokenizer.vocab_size // 64) * 64, *sizes, width=64, heads=4, window=8)


@pytest.fixture(scope="session")
def make_engine(perception: Perception) -> Callable[[ModelConfig], Engine]:
    """Return a function that makes the engine of a random model which ends its replies now and then."""

    def make(config: ModelConfig) -> Engine:
        model = Decoder(config)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
                size = 0.3 if parameter.ndim < 2 else parameter.shape[-1] ** -0.5
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * size)
            # The end is made likelier or less likely than anything else, so that some replies stop early.
            head = model.embedding if model.head is None else model.head
            head.weight[perception.special["end"]] *= 4
        return Engine(model, perception)

    return make


@pytest.fixture(scope="session")
def engine(make_engine: Callable[[ModelConfig], Engine], config: ModelConfig) -> Engine:
    return make_engine(config)


@pytest.fixture(scope="session")
def prompts() -> Callable[..., list[Document]]:
    """Return a function that makes `count` random prompts of text, pictures and sounds, of many lengths."""
    return lambda count, seed=0: [_prompt(np.random.default_rng((seed, i))) for i in range(count)]


def _prompt(rng: np.random.Generator) -> Document:
    parts = []
    for _ in range(rng.integers(1, 4)):
        kind = rng.choice(["text", "image", "sound"], p=[0.5, 0.3, 0.2])
        if kind == "text":
            start = rng.integers(0, len(WORDS) - 2)
            parts.append(Part(WORDS[start : start + rng.integers(1, 30)]))
        elif kind == "image":
            pixels_HWC = np.full((*rng.integers(1, 64, 2), 3), 255, np.uint8)
            corner = rng.integers(0, pixels_HWC.shape[0]), rng.integers(0, pixels_HWC.shape[1])
            pixels_HWC[corner[0] :, corner[1] :] = rng.integers(0, 256, 3)
            parts.append(Part(Image(pixels_HWC)))
        else:
            parts.append(Part(Speech(rng.uniform(-0.5, 0.5, rng.integers(100, 8000)).astype(np.float32))))
    return Document(tuple(parts))


@pytest.fixture(scope="session")
def continued() -> Callable[[Sequence, list[int]], Sequence]:
    """Return a function that appends learned tokens to a sequence."""
    return _continued


def _continued(prompt: Sequence, tokens: list[int]) -> Sequence:
    count = len(tokens)
    time = prompt.places_T3[-1, 0] + 1
    added = {
        "kinds_T": np.zeros(count),
        "tokens_T": np.array(tokens),
        "places_T3": np.stack([time + np.arange(count), np.zeros(count), np.zeros(count)], 1),
        "images_T": np.full(count, -1),
        "weights_T": np.ones(count),
    }
    joined = {name: np.concatenate((getattr(prompt, name), new)) for name, new in added.items()}
    return replace(prompt, **{name: array.astype(getattr(prompt, name).dtype) for name, array in joined.items()})
