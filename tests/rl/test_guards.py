"""A collapse of any kind stops the run after a few steps, with the last step at which all was well."""

import pickle
from typing import Any

import pytest

from castalia.rl.guards import CollapseError, GuardConfig, Guards, repetition, vital_signs
from tests.rl.conftest import Grouped

WELL: dict[str, Any] = {
    "accuracy": 0.5, "entropy": 0.3, "repetition": 0.01, "limited": 0.02, "length": 40.0, "sampler_gap": 1e-7,
}  # fmt: skip


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"entropy": 0.0}, "entropy is below"),
        ({"entropy": 5.0}, "entropy is above"),
        ({"repetition": 0.9}, "repeats"),
        ({"limited": 0.9}, "come to no end"),
        ({"sampler_gap": 0.1}, "sampler and trainer differ"),
        ({"accuracy": 0.05}, "accuracy is below"),
        ({"entropy": float("nan")}, "entropy is not finite"),
        ({"sampler_gap": float("inf")}, "sampler_gap is not finite"),
    ],
)
def test_what_stays_wrong_stops_the_run(wrong: dict[str, float], said: str) -> None:
    guards = Guards(GuardConfig(patience=3))
    for step in range(1, 21):
        guards.look(step, WELL)
    with pytest.raises(CollapseError, match=said) as stopped:
        for step in range(21, 60):
            guards.look(step, WELL | wrong)
    assert 20 <= stopped.value.good < 40


def test_what_gets_better_in_time_stops_nothing() -> None:
    guards = Guards(GuardConfig(patience=3))
    for step in range(1, 40):
        guards.look(step, WELL | ({"limited": 0.9} if step % 3 else {}))


def test_the_error_of_one_process_is_told_to_others_as_it_is() -> None:
    told = pickle.loads(pickle.dumps(CollapseError("replies are noise", 37)))
    assert (type(told), str(told), told.good) == (CollapseError, "replies are noise", 37)


def test_they_go_on_from_their_state() -> None:
    guards = Guards(GuardConfig(patience=3))
    for step, limited in enumerate((0.0, 0.9, 0.9), 1):
        guards.look(step, WELL | {"limited": limited})
    with pytest.raises(CollapseError, match="for 3 steps on end") as stopped:
        Guards(GuardConfig(patience=3), guards.state()).look(4, WELL | {"limited": 0.9})
    assert stopped.value.good == 1


@pytest.mark.parametrize(
    ("tokens", "expected"), [(list(range(40)), 0.0), ([1, 2, 3], 0.0), ([7] * 40, 35 / 37), ([1, 2, 3, 4] * 2, 0.0)]
)
def test_repetition_is_what_is_said_a_third_time(tokens: list[int], expected: float) -> None:
    assert repetition(tokens) == pytest.approx(expected)


def test_the_signs_of_rollouts(grouped: Grouped) -> None:
    signs = vital_signs([grouped([1, 0], [2, 4]), grouped([0, 0], [6, 8], stopped="length")])
    assert signs == pytest.approx({"accuracy": 0.25, "length": 5.0, "entropy": 0.5, "repetition": 0.0, "limited": 0.5})
