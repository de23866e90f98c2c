"""Counts of parameters and operations are exact: those of the model itself, and of PyTorch's own counter."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from castalia.model.config import ModelConfig
from castalia.model.decoder import Decoder, ModelInput
from castalia.model.flops import StepShape, forward_flops, optimizer_flops, parameters, step_flops
from castalia.perception.packing import Batch, collate
from castalia.perception.sequence import Sequence
from castalia.training.config import TrainingConfig
from castalia.training.optimizers import build_optimizers
from castalia.training.trainer import Trainer

MakeDecoder = Callable[[ModelConfig], Decoder]


@pytest.fixture
def batch(sequence: Callable[..., Sequence]) -> Batch:
    """Return two rows of 32 positions with an image, a sound and padding."""
    first = sequence(1, ("text", 6), ("image", 7), ("text", 5))
    second = sequence(2, ("sound", 5), ("text", 8))
    return collate([[first, sequence(3, ("text", 9))], [second]], 32, 0)


def shape_of(batch: Batch) -> StepShape:
    rows, length = batch.tokens_BT.shape
    return StepShape(rows, length, len(batch.patch_at_N), len(batch.frame_at_M), len(batch.learn_at_L), batch.pairs)


def counted(work: Callable[[], object]) -> int:
    """Return what PyTorch counts.

    It has no formula for the CPU's fused attention kernel and counts it as nothing, so attention is made to run as the
    two plain products it consists of (backward: four), over all keys of the row, masked ones too.
    """
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


def test_parameters_are_as_many_as_the_model_has_part_by_part(small: ModelConfig, settings: dict) -> None:
    config = replace(small, **settings)
    count = parameters(config)
    parts: dict[str, int] = dict.fromkeys(count, 0)
    for name, parameter in Decoder(config).named_parameters():
        parts[name.split(".")[0]] += parameter.numel()
        parts["total"] += parameter.numel()
    assert count == parts


@pytest.mark.parametrize("layers", [1, 2, 5])
@pytest.mark.parametrize("width", [32, 64])
def test_parameters_are_counted_in_every_size(small: ModelConfig, layers: int, width: int) -> None:
    config = replace(small, layers=layers, width=width)
    assert parameters(config)["total"] == sum(p.numel() for p in Decoder(config).parameters())


def test_operations_of_a_forward_pass_are_those_pytorch_counts(
    small: ModelConfig, settings: dict, decoder: MakeDecoder, batch: Batch
) -> None:
    config = replace(small, **settings)
    model, inputs, at_L = decoder(config), ModelInput.of(batch), torch.from_numpy(batch.learn_at_L)
    expected = forward_flops(config, shape_of(batch))
    assert counted(lambda: model(inputs, at_L)) == expected["total"]
    assert sum(count for part, count in expected.items() if part != "total") == expected["total"]


@pytest.mark.parametrize("part", ["patches", "frames"])
def test_operations_of_one_part_follow_what_is_in_the_batch(small: ModelConfig, part: str) -> None:
    shape = StepShape(2, 32, patches=4, frames=3, logits=9)
    without = forward_flops(small, replace(shape, **{part: 0}))
    assert without[part] == 0
    assert without == forward_flops(small, shape) | {part: 0, "total": without["total"]}


def test_positions_without_logits_cost_no_head_and_less_of_the_last_block(small: ModelConfig) -> None:
    every, none = (forward_flops(small, StepShape(2, 32, logits=logits)) for logits in (64, 0))
    assert none["head"] == 0
    assert 0 < every["matrices"] - none["matrices"] < every["matrices"] / small.layers


def test_operations_of_a_step_are_those_pytorch_counts_backward_and_optimizer_too(
    small: ModelConfig, settings: dict, decoder: MakeDecoder, batch: Batch, tmp_path: Path
) -> None:
    config = replace(small, **settings)
    for optimizer in ("muon", "adamw"):
        training = TrainingConfig(steps=10, optimizer=optimizer, compile=False)
        trainer = Trainer(decoder(config), training, tmp_path)
        expected = step_flops(config, shape_of(batch), muon=optimizer == "muon")
        assert counted(lambda trainer=trainer: trainer.step(batch)) == expected


def test_a_batch_without_images_and_sound_costs_what_pytorch_counts(
    small: ModelConfig, decoder: MakeDecoder, sequence: Callable[..., Sequence], tmp_path: Path
) -> None:
    text = collate([[sequence(1, ("text", 20))]], 24, 0)
    trainer = Trainer(decoder(small), TrainingConfig(steps=10, compile=False), tmp_path)
    assert counted(lambda: trainer.step(text)) == step_flops(small, shape_of(text))


def test_newton_schulz_products_of_muon_are_those_pytorch_counts(small: ModelConfig, settings: dict) -> None:
    config = replace(small, **settings)
    model = Decoder(config).initialise(0)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter) * torch.from_numpy(np.array(0.1, np.float32))
    muon, adamw = build_optimizers(model, TrainingConfig(steps=10))
    assert counted(muon.step) == optimizer_flops(config)
    assert counted(adamw.step) == 0
