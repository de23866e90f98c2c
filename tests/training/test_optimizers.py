"""Muon for the matrices of blocks and those that read patches and frames, AdamW for all else; each once."""

import pytest
import torch

from castalia.model.config import ModelConfig
from castalia.model.decoder import Decoder
from castalia.training.config import TrainingConfig
from castalia.training.optimizers import build_optimizers, set_rates

SMALL = ModelConfig(vocab_size=64, patch_values=12, frame_values=10, width=32, layers=2, heads=4)
CONFIGS = {
    "dense": SMALL,
    "swiglu, kv_heads": ModelConfig(64, 12, 10, 32, 2, 4, 2, activation="swiglu"),
    "experts": ModelConfig(64, 12, 10, 32, 2, 4, experts=3),
    "tied": ModelConfig(64, 12, 10, 32, 2, 4, tied_head=True, value_embeddings=False, gated_attention=False),
}
MATRICES = {"query", "key", "value", "output", "up", "down", "patch_embedding", "frame_embedding"}


def names_by_optimizer(model: Decoder, optimizers: list[torch.optim.Optimizer]) -> list[list[str]]:
    names = {parameter: name for name, parameter in model.named_parameters()}
    return [[names[p] for group in each.param_groups for p in group["params"]] for each in optimizers]


@pytest.mark.parametrize("name", CONFIGS)
def test_matrices_that_multiply_what_is_dense_go_to_muon_and_all_else_to_adamw(name: str) -> None:
    model = Decoder(CONFIGS[name])
    muon, adamw = names_by_optimizer(model, build_optimizers(model, TrainingConfig(steps=1)))
    assert sorted(muon + adamw) == sorted(name for name, _ in model.named_parameters())
    assert {name.split(".")[-2] for name in muon} == MATRICES
    assert not {name.split(".")[-2] for name in adamw} & MATRICES


def test_by_adamw_alone_matrices_keep_their_own_rate() -> None:
    model = Decoder(SMALL)
    config = TrainingConfig(steps=1, optimizer="adamw", matrix_lr=0.5, other_lr=0.25)
    optimizers = build_optimizers(model, config)
    (names,) = names_by_optimizer(model, optimizers)
    assert sorted(names) == sorted(name for name, _ in model.named_parameters())
    rates = {p: group["lr"] for group in optimizers[0].param_groups for p in group["params"]}
    assert rates[model.blocks[0].query.weight] == 0.5
    assert rates[model.embedding.weight] == rates[model.head.weight] == rates[model.blocks[0].gate.weight] == 0.25


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_rates_are_shares_of_each_groups_peak(optimizer: str) -> None:
    config = TrainingConfig(steps=1, optimizer=optimizer, matrix_lr=0.5, other_lr=0.25)
    optimizers = build_optimizers(Decoder(SMALL), config)
    for factor in (0.5, 0.0, 1.0):
        set_rates(optimizers, factor)
        assert {group["lr"] for each in optimizers for group in each.param_groups} == {0.5 * factor, 0.25 * factor}


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_at_rate_nothing_nothing_moves_and_at_its_peak_everything_with_a_gradient(optimizer: str) -> None:
    model = Decoder(SMALL).initialise(0)
    optimizers = build_optimizers(model, TrainingConfig(steps=1, optimizer=optimizer))
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)
    for factor in (0.0, 1.0):
        set_rates(optimizers, factor)
        for each in optimizers:
            each.step()
        still = {name for name, parameter in model.named_parameters() if torch.equal(parameter, before[name])}
        assert still == (set(before) if factor == 0 else set())


def test_muon_moves_a_matrix_equally_in_all_directions() -> None:
    model = Decoder(SMALL).initialise(0)
    muon, _ = build_optimizers(model, TrainingConfig(steps=1))
    weight = model.blocks[0].mlp.up.weight
    before = weight.detach().clone()
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)
    # A gradient with one direction a hundred times as strong as the others.
    weight.grad += 100 * torch.outer(torch.ones(len(weight)), torch.ones(32)) / 32
    muon.step()
    strengths = torch.linalg.svdvals(weight.detach() - before)
    assert strengths.max() / strengths.min() < 2
