"""The trainer learns by weights alone: nothing where they are 0, in proportion elsewhere, away where negative."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from castalia.errors import CheckpointError
from castalia.model.config import ModelConfig
from castalia.model.decoder import Decoder, ModelInput
from castalia.perception.packing import Batch, collate
from castalia.perception.sequence import Sequence
from castalia.training.config import TrainingConfig
from castalia.training.trainer import Trainer

MODEL = ModelConfig(vocab_size=40, patch_values=3, frame_values=4, width=32, layers=2, heads=2, zero_init=False)
CONFIG = TrainingConfig(steps=1000, warmup_steps=1, compile=False, clip=1e9)


def text(seed: int, weights: list[float]) -> Sequence:
    T = len(weights)
    time = np.arange(T, dtype=np.int32)
    return Sequence(
        kinds_T=np.zeros(T, np.uint8),
        tokens_T=np.random.default_rng(seed).integers(1, 40, T, dtype=np.int32),
        places_T3=np.stack([time, 0 * time, 0 * time], 1),
        images_T=np.full(T, -1, np.int32),
        weights_T=np.array(weights, np.float32),
        patches_NP=np.zeros((0, MODEL.patch_values), np.int16),
        frames_MF=np.zeros((0, MODEL.frame_values), np.float32),
    )


def batch(*rows: list[float], length: int = 16) -> Batch:
    return collate([[text(seed, weights)] for seed, weights in enumerate(rows)], length, 0)


@pytest.fixture
def trainer(tmp_path: Path) -> Callable[..., Trainer]:
    """Return a function that makes a trainer of one and the same model."""
    return lambda **settings: Trainer(Decoder(MODEL).initialise(5), replace(CONFIG, **settings), tmp_path)


def gradients(trainer: Trainer, batch: Batch) -> dict[str, torch.Tensor]:
    """Return the gradients of the weighted sum of -log p."""
    trainer.model.zero_grad(set_to_none=True)
    trainer.loss(batch)[0].backward()
    return {name: p.grad.clone() for name, p in trainer.model.named_parameters() if p.grad is not None}


def assert_close(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor], factor: float = 1.0) -> None:
    assert ours.keys() == theirs.keys()
    for name, gradient in ours.items():
        torch.testing.assert_close(gradient, factor * theirs[name], rtol=1e-4, atol=1e-6, msg=name)


def logprob(trainer: Trainer, batch: Batch) -> float:
    """Return the mean log-probability of what the batch holds a weight on."""
    with torch.no_grad():
        logits_LV = trainer.model(ModelInput.of(batch), torch.from_numpy(batch.learn_at_L))
        logprobs_LV = logits_LV.log_softmax(-1)
        return float(logprobs_LV.gather(1, torch.from_numpy(batch.targets_L)[:, None]).mean())


def test_the_loss_is_the_weighted_mean_of_minus_log_p(trainer: Callable[..., Trainer]) -> None:
    one = trainer()
    weighted = batch([0, 1, 2, 0, 0.5], [0, 0, -1, 3])
    logits = one.model(ModelInput.of(weighted)).detach().view(2, 16, -1).log_softmax(-1)
    expected = weight = 0.0
    for row, weights in enumerate(([0, 1, 2, 0, 0.5], [0, 0, -1, 3])):
        for t in range(1, len(weights)):
            expected -= weights[t] * float(logits[row, t - 1, weighted.tokens_BT[row, t]])
            weight += abs(weights[t])
    total, absolute, *_ = one.loss(weighted)
    assert float(total.detach()) == pytest.approx(expected, rel=1e-5)
    assert float(absolute) == weight == 7.5
    assert one.step(weighted)["loss"] == pytest.approx(expected / weight, rel=1e-5)


def test_a_position_of_weight_nothing_has_no_influence_on_any_gradient(trainer: Callable[..., Trainer]) -> None:
    one = trainer()
    ours = batch([0, 1, 1, 0, 0], [0, 0, 1])
    last = batch([0, 1, 1, 0, 0], [0, 0, 1])
    # Tokens after the last learned one are read by nobody and taught to nobody.
    last.tokens_BT[0, 3:5] = 40 - last.tokens_BT[0, 3:5]
    assert_close(gradients(one, last), gradients(one, ours))
    shorter = collate([[text(0, [0, 1, 1, 0, 0]).first(3)], [text(1, [0, 0, 1])]], 16, 0)
    assert_close(gradients(one, shorter), gradients(one, ours))


def test_gradients_are_linear_in_the_weights(trainer: Callable[..., Trainer]) -> None:
    one = trainer()
    first, second, both = batch([0, 1, 0, 0]), batch([0, 0, 0, 1]), batch([0, 2, 0, -3])
    a, b = gradients(one, first), gradients(one, second)
    assert_close(gradients(one, both), {name: 2 * a[name] - 3 * b[name] for name in a})


def test_doubling_every_weight_changes_no_step(trainer: Callable[..., Trainer]) -> None:
    states = []
    for factor in (1, 2):
        one = trainer()
        one.step(batch([0, factor, 0.5 * factor], [0, 0, factor]))
        states.append(one.model.state_dict())
    for name, tensor in states[0].items():
        torch.testing.assert_close(tensor, states[1][name], rtol=1e-5, atol=1e-6, msg=name)


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_positive_weights_make_what_was_said_likelier_and_negative_ones_less_likely(
    trainer: Callable[..., Trainer], optimizer: str, sign: float
) -> None:
    one = trainer(optimizer=optimizer, matrix_lr=1e-3, other_lr=1e-3)
    said = batch([0, *[sign] * 9], [0, *[sign] * 5])
    before = logprob(one, said)
    for _ in range(3):
        result = one.step(said)
    assert np.isfinite(list(result.values())).all()
    assert sign * (logprob(one, said) - before) > 0.01


def test_of_two_replies_the_one_with_the_advantage_gains_on_the_other(trainer: Callable[..., Trainer]) -> None:
    one = trainer(matrix_lr=1e-3, other_lr=1e-3)
    good, bad = batch([0, *[1.0] * 6]), collate([[text(1, [0, *[-1.0] * 6])]], 16, 0)
    both = batch([0, *[1.0] * 6], [0, *[-1.0] * 6])
    before = logprob(one, good) - logprob(one, bad)
    for _ in range(3):
        one.step(both)
    assert logprob(one, good) - logprob(one, bad) > before + 0.02


def test_in_bf16_it_learns_as_in_fp32_and_keeps_its_weights_whole(trainer: Callable[..., Trainer]) -> None:
    learned = batch([1.0] * 12, [1.0] * 9)
    whole, half = trainer(other_lr=0.01), trainer(other_lr=0.01, precision="bf16")
    before = [one.evaluate([learned]) for one in (whole, half)]
    assert before[1] == pytest.approx(before[0], rel=0.01) and before[0] != before[1]
    for one in (whole, half):
        for _ in range(20):
            one.step(learned)
    after = [one.evaluate([learned]) for one in (whole, half)]
    assert after[0] < 0.5 * before[0] and after[1] == pytest.approx(after[0], rel=0.15)
    assert {parameter.dtype for parameter in half.model.parameters()} == {torch.float32}


def test_a_batch_in_which_nothing_is_learned_moves_nothing_and_has_no_loss(trainer: Callable[..., Trainer]) -> None:
    one = trainer()
    before = {name: tensor.clone() for name, tensor in one.model.state_dict().items()}
    result = one.step(batch([0, 0, 0, 0]))
    assert np.isfinite(list(result.values())).all()
    assert all(torch.equal(tensor, before[name]) for name, tensor in one.model.state_dict().items())


def test_a_gradient_that_is_no_number_ends_training_before_it_changes_a_weight(trainer: Callable[..., Trainer]) -> None:
    one = trainer()
    before = {name: tensor.clone() for name, tensor in one.model.state_dict().items()}
    with pytest.raises(CheckpointError, match=r"gradient of step 1 is nan.*newest checkpoint is as it was"):
        one.step(batch([0, float("nan"), 1.0]))
    assert all(torch.equal(tensor, before[name]) for name, tensor in one.model.state_dict().items())


def test_gradients_are_scaled_down_to_the_norm_allowed(trainer: Callable[..., Trainer]) -> None:
    moved = []
    for clip in (1e9, 1e-3):
        one = trainer(clip=clip)
        before = one.model.embedding.weight.detach().clone()
        result = one.step(batch([0, *[1.0] * 9]))
        assert result["grad_norm"] > 1e-3, "what is reported is the norm before"
        states = [state for each in one.optimizers for state in each.state.values()]
        norms = [state["exp_avg"].norm() for state in states if "exp_avg" in state]
        moved.append(float(sum(norm**2 for norm in norms)) ** 0.5)
        assert not torch.equal(one.model.embedding.weight, before)
    assert moved[1] <= (1 - CONFIG.betas[0]) * 1e-3 * 1.001 < moved[0]


def test_evaluating_learns_nothing_and_leaves_the_model_learning(trainer: Callable[..., Trainer]) -> None:
    one = trainer()
    before = {name: tensor.clone() for name, tensor in one.model.state_dict().items()}
    rows = [batch([0, 1, 1]), batch([0, 1, 1, 1], [0, 0, 2])]
    sums = [one.loss(each) for each in rows]
    expected = sum(float(total.detach()) for total, *_ in sums) / sum(float(weight) for _, weight, *_ in sums)
    assert one.evaluate(rows) == pytest.approx(expected, rel=1e-6)
    assert one.model.training
    assert all(parameter.grad is None for parameter in one.model.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in one.model.state_dict().items())


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_who_looks_at_versions_notices_that_every_weight_has_changed(
    trainer: Callable[..., Trainer], optimizer: str
) -> None:
    one = trainer(optimizer=optimizer)
    before = [parameter._version for parameter in one.model.parameters()]
    one.step(batch([0, 1, 1]))
    assert all(p._version > old for p, old in zip(one.model.parameters(), before, strict=True))


def test_a_machine_without_a_compiler_is_told_so_once_and_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", str(tmp_path / "no-compiler"))
    said: list[str] = []
    trainer = Trainer(Decoder(MODEL).initialise(5), replace(CONFIG, compile=True), tmp_path, warn=said.append)
    before = logprob(trainer, batch([1.0] * 8))
    trainer.step(batch([1.0] * 8))
    assert len(said) == 1 and "no C++ compiler" in said[0]
    assert logprob(trainer, batch([1.0] * 8)) > before
