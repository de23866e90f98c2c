"""Rates rise, stay and fall; the end of a run in minutes is decided once."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from castalia.training.config import TrainingConfig
from castalia.training.schedule import Schedule


def factors(config: TrainingConfig) -> list[float]:
    return [Schedule(config).factor(step) for step in range(config.steps or 0)]


def test_warm_up_is_linear_then_stable_then_linear_to_nothing() -> None:
    rates = factors(TrainingConfig(steps=100, warmup_steps=10, decay_share=0.4))
    assert rates[:10] == pytest.approx([0.1 * (i + 1) for i in range(10)])
    assert rates[10:61] == [1.0] * 51
    assert rates[60:] == pytest.approx([(100 - step) / 40 for step in range(60, 100)])


def test_cosine_falls_from_one_to_nothing_along_half_a_wave() -> None:
    rates = factors(TrainingConfig(steps=200, warmup_steps=1, schedule="cosine"))
    assert rates[0] == 1
    assert rates[100] == pytest.approx(0.5)
    assert rates[199] == pytest.approx(0, abs=1e-3)
    assert all(a > b for a, b in itertools.pairwise(rates))


def test_inverse_square_root_has_fallen_by_the_square_root_of_two_after_its_timescale() -> None:
    rates = factors(TrainingConfig(steps=400, warmup_steps=1, schedule="inverse_sqrt", timescale=50, decay_share=0.0))
    assert rates[0] == 1
    assert rates[50] == pytest.approx(0.5**0.5)
    assert rates[350] == pytest.approx(8**-0.5)


def test_a_run_of_fixed_steps_ends_after_them_whatever_the_clock_says() -> None:
    schedule = Schedule(TrainingConfig(steps=7))
    schedule.observe(3, seconds=1e9)
    assert schedule.last_step == 7
    assert not schedule.done(6)
    assert schedule.done(7)


@given(
    st.floats(0.01, 100),
    st.floats(0.001, 5),
    st.sampled_from(["wsd", "cosine", "inverse_sqrt"]),
    st.sampled_from([0.0, 0.2, 0.4, 0.9, 1.0]),
)
def test_a_run_of_minutes_ends_near_them_and_its_rates_never_jump(
    minutes: float, seconds_a_step: float, schedule: str, decay_share: float
) -> None:
    seconds_a_step = max(seconds_a_step, minutes * 60 / 3000)
    config = TrainingConfig(minutes=minutes, warmup_steps=1, schedule=schedule, decay_share=decay_share)
    plan, step, rates = Schedule(config), 0, []
    while not plan.done(step):
        rates.append(plan.factor(step))
        step += 1
        plan.observe(step, step * seconds_a_step)
        assert step < 4000
    assert all(0 <= rate <= 1 for rate in rates)
    assert rates[0] == 1
    wanted = minutes * 60 / seconds_a_step
    # The end is reckoned from whole steps: half a step of a tenth of the run, at worst, and one step more.
    assert abs(step - wanted) <= 12
    if step > 100 and decay_share:
        assert max(abs(a - b) for a, b in itertools.pairwise(rates)) < 0.15
        assert rates[-1] < 0.2


def test_the_end_once_decided_stays_and_is_what_a_resumed_run_is_given() -> None:
    config = TrainingConfig(minutes=1, decay_share=0.4)
    schedule = Schedule(config)
    schedule.observe(59, 35.9)
    assert schedule.last_step is None
    schedule.observe(60, 36.0)
    assert schedule.last_step == 100
    schedule.observe(61, 50.0)
    assert schedule.last_step == 100
    resumed = Schedule(config, last_step=100)
    assert [resumed.factor(step) for step in range(100)] == [schedule.factor(step) for step in range(100)]
