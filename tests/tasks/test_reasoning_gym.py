"""The adapter to reasoning-gym: its questions and verifiers behind our contract."""

import sys
from itertools import product

import pytest

from castalia.errors import TaskError
from castalia.tasks.reasoning_gym import ReasoningGym
from castalia.tasks.task import DIFFICULTIES, SPLITS

pytest.importorskip("reasoning_gym")
SETS = ("chain_sum", "spell_backward", "maze", "knights_knaves")


@pytest.mark.parametrize(("name", "split"), list(product(SETS, SPLITS)))
def test_examples_are_repeatable_and_answers_judged_by_the_set(name: str, split: str) -> None:
    task = ReasoningGym(name)
    for difficulty in DIFFICULTIES:
        example = task.sample(3, difficulty, split)
        assert example.family == task.name == f"gym-{name}"
        assert example.questions[0].text == task.sample(3, difficulty, split).questions[0].text
        assert task.score(example, example.questions[0].answer).value == 1.0
        assert task.score(example, "no idea").value < 1.0
        assert task.trace(example).parts[-1].content == example.questions[0].answer


def test_no_question_is_on_both_sides() -> None:
    task = ReasoningGym("chain_sum")
    train, held_out = ({task.sample(s, 1, split).questions[0].text for s in range(300)} for split in SPLITS[:2])
    assert not train & held_out


def test_difficulty_follows_the_curriculum() -> None:
    task = ReasoningGym("chain_sum")
    lengths = [sum(len(task.sample(s, d).questions[0].text) for s in range(50)) for d in (1, 10)]
    assert lengths[0] < lengths[1]


def test_a_set_without_reference_answer_teaches_none() -> None:
    task = ReasoningGym("graph_color")
    assert not any(part.learned for part in task.trace(task.sample(0, 1)))


@pytest.mark.parametrize("reply", ["", "9" * 1_000_000, "__import__('os')", "(" * 5000])
def test_hostile_replies_score_nothing(reply: str) -> None:
    task = ReasoningGym("chain_sum")
    assert task.score(task.sample(0, 1), reply).value == 0.0


def test_errors_are_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TaskError, match="did you mean 'chain_sum'"):
        ReasoningGym("chain_sun")
    with pytest.raises(TaskError, match="not deterministic"):
        ReasoningGym("codeio")
    with pytest.raises(TaskError, match="unknown split"):
        ReasoningGym("chain_sum").sample(0, 1, "test")
    monkeypatch.setitem(sys.modules, "reasoning_gym.factory", None)
    with pytest.raises(TaskError, match="pip install"):
        ReasoningGym("chain_sum")
