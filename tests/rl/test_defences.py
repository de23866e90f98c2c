"""A cheat earns until it is looked at in another guise; what needs no thought is not practised."""

from dataclasses import replace

import pytest

from castalia.engine.request import Sampling
from castalia.rl.algorithms import build_algorithm
from castalia.rl.defences import verify_again
from castalia.rl.homework import ActingConfig, Homework, PracticeConfig
from castalia.rl.practice import Practice
from castalia.rl.rewards import reward
from castalia.rl.rollouts import Prompt, Rollout, judge
from castalia.tasks.countdown import Countdown
from castalia.tasks.loophole import Loophole
from tests.rl.conftest import reply
from tests.tasks.test_loophole import cheat


def test_another_guise_takes_the_reward_from_a_cheat_and_leaves_it_to_what_is_right() -> None:
    tasks = {"loophole": Loophole()}
    examples = [example for seed in range(20) if cheat(example := tasks["loophole"].sample(seed, 4))]
    prompts = [Prompt("loophole", example) for example in examples]
    answers = [[p.question.answer, cheat(p.example)] for p in prompts]
    rollouts = [[Rollout(reply([1], answer=answer)) for answer in both] for both in answers]
    groups = judge(tasks, prompts, rollouts)
    assert all(group.values().tolist() == [1, 1] for group in groups)
    verify_again(tasks, groups, fine=0.5)
    for group in groups:
        right = [tasks["loophole"].truth(group.prompt.example, r.reply.answer).value for r in group.rollouts]
        assert group.values().tolist() == right
        reward(group, ActingConfig(), 0.0)
        assert group.rewards().tolist() == [1.0 if value else -0.5 for value in right]
    assert {tuple(group.values()) for group in groups} >= {(1.0, 0.0)}


@pytest.mark.parametrize("guesses", [0, 4])
def test_what_can_be_guessed_is_dropped_where_that_is_wanted(guesses: int) -> None:
    """Every second prompt is solved without thought; with thought, one rollout in two is right."""
    tried: list[Prompt] = []

    def roll(prompts: list[Prompt], count: int, sampling: Sampling) -> list[list[Rollout]]:
        thinks = prompts[0].thinking.effort != "none"
        tried.extend(prompts if thinks else [])
        right = [[index % 2 == 0 if thinks else number % 2 == 0 for index in range(count)]
                 for number, _ in enumerate(prompts)]  # fmt: skip
        return [
            [Rollout(reply([1, 2], answer=prompt.question.answer if is_right else "1")) for is_right in its]
            for prompt, its in zip(prompts, right, strict=True)
        ]

    homework = Homework("a", PracticeConfig({"countdown": 1.0}, prompts=8, rollouts=4))
    homework = replace(homework, defences=replace(homework.defences, guesses=guesses))
    practice = Practice(homework, roll, 0, {"countdown": Countdown()}, build_algorithm("mean_baseline"))
    assert next(practice)
    assert len(tried) == (4 if guesses else 8)
    assert practice.metrics["guessable"] == (0.5 if guesses else 0.0)
