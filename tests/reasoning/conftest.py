"""A small random model in its engine, and questions."""

import pytest
import torch

from castalia.document import Document, Part
from castalia.engine.engine import Engine
from castalia.model.config import ModelConfig
from castalia.model.decoder import Decoder
from castalia.perception.perceive import Perception
from castalia.perception.text import Tokenizer


@pytest.fixture(scope="session")
def engine() -> Engine:
    """Return the engine of a model that opens thoughts and ends replies often enough."""
    perception = Perception(Tokenizer.train(["What is one and two? three, none minimal low medium high act"], 300))
    config = ModelConfig(-(-perception.tokenizer.vocab_size // 64) * 64, width=64, heads=4, layers=2)
    model = Decoder(config).initialise(0)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            size = 0.3 if parameter.ndim < 2 else parameter.shape[-1] ** -0.5
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * size)
        for name in ("end", "think", "/think"):
            model.head.weight[perception.special[name]] *= 3
    return Engine(model, perception)


@pytest.fixture
def questions() -> list[Document]:
    return [Document((Part(text, "user"),)) for text in ("What is one?", "What is two and one?", "three?")]
