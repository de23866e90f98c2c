"""Acting earns only what it helped to get right, and agents only what they saved."""

from dataclasses import replace

import pytest

from castalia.document import Call, Document, Part
from castalia.rl.homework import ActingConfig
from castalia.rl.rewards import critical_path, reward, saved
from castalia.rl.rollouts import Rollout
from tests.rl.conftest import Grouped, reply

CALLED = Part(Call("calculator", '["2+3"]'), "assistant", thought=True)


def acted(rollout: Rollout, said: str) -> None:
    """Let a rollout have called the calculator, which said something."""
    rollout.reply = replace(rollout.reply, document=Document((CALLED, Part(said, "tool"))))


@pytest.mark.parametrize(
    ("value", "said", "expected"), [(1, "5", 1.3), (0, "5", 0), (1, "error: division by zero", 1), (1, "", 1.3)]
)
def test_only_a_call_that_worked_on_the_way_to_a_right_answer_pays(
    grouped: Grouped, value: float, said: str, expected: float
) -> None:
    group = grouped([value, 0])
    acted(group.rollouts[0], said)
    reward(group, ActingConfig(used=0.3), 0.0)
    assert group.rewards().tolist() == pytest.approx([expected, 0])


def test_not_acting_costs_nothing_and_pays_nothing(grouped: Grouped) -> None:
    group = grouped([1, 0])
    reward(group, ActingConfig(used=0.3, quicker=0.5), 0.0)
    assert group.rewards().tolist() == [1, 0]


@pytest.mark.parametrize(("agents", "share"), [([6, 6], 6 / 16), ([6], 0.0), ([6] * 8, 0.5), ([], 0.0)])
def test_agents_save_what_is_not_on_the_longest_path_a_half_at_most(
    grouped: Grouped, agents: list[int], share: float
) -> None:
    rollout = grouped([1], [4]).rollouts[0]
    rollout.agents = [reply(list(range(length))) for length in agents]
    assert saved(rollout) == pytest.approx(share)
    assert critical_path(rollout) == 4 + max(agents, default=0)


def test_the_penalty_counts_the_longest_path_and_not_all_that_agents_wrote(grouped: Grouped) -> None:
    group = grouped([1, 1], [4, 12])
    group.rollouts[0].agents = [reply(list(range(6))) for _ in range(3)]
    reward(group, ActingConfig(), 0.4)
    assert group.rewards().tolist() == pytest.approx([1.2, 0.8])
