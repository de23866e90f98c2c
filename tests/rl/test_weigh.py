"""What the model wrote carries its advantage; prompts and what agents were sent out with carry nothing."""

from dataclasses import replace

import numpy as np
import pytest

from castalia.rl.algorithms import build_algorithm
from castalia.rl.weigh import weigh
from tests.rl.conftest import Grouped, reply

MEAN = build_algorithm("mean_baseline")


def test_weights_are_advantages_over_all_that_the_group_has_written(grouped: Grouped) -> None:
    sequences = weigh(grouped([1, 0, 0, 0], [2, 3, 5, 10]), MEAN)
    assert [sorted(set(s.weights_T.tolist())) for s in sequences] == [
        pytest.approx(sorted([0, advantage / 20])) for advantage in (0.75, -0.25, -0.25, -0.25)
    ]
    assert all((sequence.weights_T[:3] == 0).all() for sequence in sequences)


def test_every_prompt_counts_alike_however_long_its_replies_are(grouped: Grouped) -> None:
    short, long = (weigh(grouped([1, 0], [n, n]), MEAN) for n in (3, 300))
    sizes = [sum(float(np.abs(s.weights_T).sum()) for s in sequences) for sequences in (short, long)]
    assert sizes[0] == pytest.approx(sizes[1], rel=1e-5)


@pytest.mark.parametrize("values", [[0, 0, 0], [1, 1, 1], [0.5, 0.5, 0.5]])
def test_a_group_that_does_alike_teaches_nothing(grouped: Grouped, values: list[float]) -> None:
    assert weigh(grouped(values), MEAN) == []


def test_agents_are_rewarded_with_whoever_sent_them_for_what_they_wrote_themselves(grouped: Grouped) -> None:
    group = grouped([1, 0], [4, 4])
    agent = reply([7, 8], prompt=5)
    inherited = replace(agent.sequence, weights_T=np.array([0, 0, 0, 1, 1, 1, 1], np.float32))
    group.rollouts[0].agents.append(replace(agent, sequence=inherited))
    sent, agents, alone = (sequence.weights_T for sequence in weigh(group, MEAN))
    assert agents.tolist() == pytest.approx([0] * 5 + [0.5 / 10] * 2)
    assert sent[-1] == pytest.approx(0.5 / 10) and alone[-1] == pytest.approx(-0.5 / 10)
