"""Advantages add up to nothing and go with the rewards; losses are policy gradients, clipped where they say so."""

from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from castalia.errors import RecipeError
from castalia.rl.algorithms import ALGORITHMS, build_algorithm
from castalia.rl.algorithms.best_of_k import BestOfK

rewards = st.lists(st.floats(0, 1, width=16), min_size=2, max_size=16).map(np.array)
NAMES = sorted(ALGORITHMS)


@pytest.mark.parametrize("name", NAMES)
@given(rewards_G=rewards)
def test_advantages_of_a_group_add_up_to_nothing_and_go_with_the_rewards(name: str, rewards_G: np.ndarray) -> None:
    advantages_G = build_algorithm(name).advantages(rewards_G)
    assert abs(advantages_G.sum()) <= 1e-6 * (1 + np.abs(advantages_G).sum())
    order = np.argsort(rewards_G)
    assert (np.diff(advantages_G[order]) >= -1e-9).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_where_none_is_better_there_is_nothing_to_learn(name: str, value: float) -> None:
    assert (build_algorithm(name).advantages(np.full(8, value)) == 0).all()


def test_what_rarely_succeeds_counts_most_with_maxrl_and_alike_with_grpo() -> None:
    rare, common = np.eye(8)[0], 1 - np.eye(8)[0]
    best = {name: [build_algorithm(name).advantages(r).max() for r in (rare, common)] for name in NAMES}
    assert best["maxrl"][0] / best["maxrl"][1] == pytest.approx(49)
    assert best["mean_baseline"][0] / best["mean_baseline"][1] == pytest.approx(7)
    spread = [np.ptp(build_algorithm("grpo").advantages(r)) for r in (rare, common)]
    assert spread[0] == pytest.approx(spread[1], rel=1e-2)


@given(st.lists(st.floats(0, 1, width=16), min_size=4, max_size=9).map(np.array), st.integers(1, 4))
def test_best_of_k_is_the_gradient_of_the_mean_best_of_all_choices(rewards_G: np.ndarray, k: int) -> None:
    G, k = len(rewards_G), min(k, len(rewards_G) // 2)
    choices = list(combinations(range(G), k))
    overall = np.mean([rewards_G[list(c)].max() for c in choices])
    mine = [np.mean([rewards_G[list(c)].max() for c in choices if i in c]) - overall for i in range(G)]
    assert BestOfK(k).advantages(rewards_G) == pytest.approx(mine, abs=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_right_after_sampling_every_algorithm_is_the_same_policy_gradient(name: str) -> None:
    nll_L = torch.rand(10, requires_grad=True)
    advantages_L = torch.randn(10)
    losses_L = build_algorithm(name).losses(nll_L, advantages_L, -nll_L.detach())
    (gradient_L,) = torch.autograd.grad(losses_L.sum(), nll_L)
    torch.testing.assert_close(gradient_L, advantages_L)


@pytest.mark.parametrize(
    ("advantage", "moved", "expected"),
    [(1.0, 0.3, 0.0), (1.0, -0.3, 0.741), (-1.0, -0.3, 0.0), (-1.0, 0.3, -1.35), (1.0, 0.1, 1.105)],
)
def test_grpo_learns_no_further_what_has_moved_far_in_the_wanted_direction(
    advantage: float, moved: float, expected: float
) -> None:
    nll = torch.tensor([1.0], requires_grad=True)
    sampled = torch.tensor([-1.0 - moved])  # since then its log-probability has risen by `moved`
    build_algorithm("grpo").losses(nll, torch.tensor([advantage]), sampled).sum().backward()
    assert nll.grad is not None and float(nll.grad) == pytest.approx(expected, abs=1e-3)


def test_cispo_caps_the_ratio_and_cuts_off_no_gradient() -> None:
    nll_L = torch.tensor([1.0, 1.0, 1.0], requires_grad=True)
    sampled_L = torch.tensor([-1.0, -2.0, -9.0])
    build_algorithm("cispo").losses(nll_L, torch.ones(3), sampled_L).sum().backward()
    assert nll_L.grad is not None
    torch.testing.assert_close(nll_L.grad, torch.tensor([1.0, 2.7183, 5.0]), rtol=1e-4, atol=1e-4)


def test_a_misspelt_algorithm_is_told_the_nearest() -> None:
    with pytest.raises(RecipeError, match="did you mean 'grpo'"):
        build_algorithm("gppo")
