"""Shorter is better only among equals, and only while the arm says so."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from castalia.rl.penalty import Penalty, PenaltyConfig, shaped

groups = st.lists(st.tuples(st.sampled_from([0.0, 1.0]), st.integers(1, 500)), min_size=2, max_size=16)


@given(groups, st.floats(0, 1))
def test_of_two_that_are_right_the_shorter_earns_more_and_nobody_earns_by_being_wrong(
    group: list[tuple[float, int]], weight: float
) -> None:
    values_G, lengths_G = (np.array(column, float) for column in zip(*group, strict=True))
    rewards_G = shaped(values_G, lengths_G, weight)
    right = values_G == 1
    for some in (right, ~right):
        assert (np.diff(rewards_G[some][np.argsort(lengths_G[some], kind="stable")]) <= 1e-12).all()
    assert (rewards_G[~right] <= 0).all()
    assert (np.abs(rewards_G - values_G) <= weight / 2 + 1e-12).all()


def test_where_nobody_is_right_length_has_no_price() -> None:
    values_G = np.zeros(3)
    assert shaped(values_G, np.array([5.0, 50.0, 500.0]), 1.0).tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("arm", "expected"),
    [("none", "000000000000"), ("constant", "001111111111"), ("alternating", "001110001110")],
)
def test_arms_that_go_by_the_step(arm: str, expected: str) -> None:
    penalty = Penalty(PenaltyConfig(arm, weight=0.3, begins=2, phase=3))
    assert "".join("1" if penalty.weight(step) == 0.3 else "0" for step in range(12)) == expected


def test_the_gate_is_open_only_near_the_best_accuracy() -> None:
    penalty = Penalty(PenaltyConfig("gated", margin=0.05))
    assert penalty.weight(0) == 0, "nothing is known yet"
    for accuracy, is_on in ((0.5, True), (0.6, True), (0.1, False), (0.1, False), (0.5, False), (0.9, True)):
        penalty.observe(accuracy)
        assert (penalty.weight(1) > 0) == is_on, accuracy


def test_it_goes_on_from_its_state() -> None:
    penalty = Penalty(PenaltyConfig("gated"))
    for accuracy in (0.3, 0.7, 0.65):
        penalty.observe(accuracy)
    other = Penalty(PenaltyConfig("gated"), penalty.state())
    for each in (penalty, other):
        each.observe(0.68)
    assert (other.weight(5), other.state()) == (penalty.weight(5), penalty.state())
