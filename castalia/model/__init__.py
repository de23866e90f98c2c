"""Batch -> logits: configuration, decoder, attention, mixture of experts, exact counts. Knows no task, no optimizer."""

from castalia.model.config import ModelConfig
from castalia.model.decoder import Decoder

__all__ = ["Decoder", "ModelConfig"]
