"""What is merged is where voting fails; what agents concluded is read, and not learned."""

from castalia.actions.catalog import build_actions
from castalia.engine.request import Sampling
from castalia.rl.algorithms import build_algorithm
from castalia.rl.homework import Homework, PracticeConfig
from castalia.rl.merging import where_voting_fails
from castalia.rl.practice import Practice, way_to_think
from castalia.rl.rollouts import Prompt, Rollout
from castalia.tasks.countdown import Countdown
from castalia.tasks.merging import BRIEFS
from tests.rl.conftest import reply

TASKS = {"countdown": Countdown()}


def rolled(right: dict[int, int]):
    """Return a roll in which so many of eight agents are right by the prompt's seed; others agree on something else."""

    def roll(prompts: list[Prompt], count: int, sampling: Sampling) -> list[list[Rollout]]:
        seen: dict[int, int] = {}
        made = []
        for prompt in prompts:
            seed = prompt.example.seed
            nth = seen[seed] = seen.get(seed, 0) + 1
            is_right = nth <= right[seed]
            made.append([Rollout(reply([1, 2], answer=prompt.question.answer if is_right else "1+1"))] * count)
        return made

    return roll


def prompts_of(seeds: list[int]) -> list[Prompt]:
    return [Prompt("countdown", TASKS["countdown"].sample(seed, 1), merges=True) for seed in seeds]


def test_sets_stay_in_which_the_majority_is_wrong() -> None:
    failed = where_voting_fails(rolled({0: 8, 1: 5, 2: 3, 3: 0}), TASKS, prompts_of([0, 1, 2, 3]), 8, Sampling(1.0))
    assert [prompt.example.seed for prompt in failed] == [2, 3]
    right = failed[0].question.answer
    assert failed[0].found.parts[0].content == f"5: 1+1; 3: {right}"
    assert failed[0].found.parts[0].author == "tool"


def test_agents_have_a_brief_each() -> None:
    tried: list[Prompt] = []

    def roll(prompts: list[Prompt], count: int, sampling: Sampling) -> list[list[Rollout]]:
        tried.extend(prompts)
        return [[Rollout(reply([1], answer=""))] * count for _ in prompts]

    assert where_voting_fails(roll, TASKS, prompts_of([0]), 4, Sampling(1.0)) == []
    assert [prompt.found.parts[0].content for prompt in tried] == ["agent 1", "agent 2", "agent 3", "agent 4"]


def test_a_way_that_merges_is_practised_on_what_was_found() -> None:
    tried: list[Prompt] = []

    def roll(prompts: list[Prompt], count: int, sampling: Sampling) -> list[list[Rollout]]:
        merging = count > 1
        tried.extend(prompts if merging else [])
        answers = [p.question.answer if merging and i % 2 else "1+1" for p in prompts for i in range(count)]
        rollouts = [Rollout(reply([1, 2], answer=answer)) for answer in answers]
        return [rollouts[start : start + count] for start in range(0, len(rollouts), count)]

    homework = Homework("a", PracticeConfig({"countdown": 1.0}, (1,), {"low merge": 1.0}, prompts=4, rollouts=4))
    practice = Practice(homework, roll, 0, TASKS, build_algorithm("mean_baseline"))
    assert next(practice)
    assert practice.metrics["outvoted"] == 1.0
    assert all(prompt.found.parts[0].content == "8: 1+1" for prompt in tried) and len(tried) == 4


def test_merging_is_no_action() -> None:
    assert way_to_think("low merge", build_actions(("agents",))).actions is None


def test_more_agents_than_there_are_briefs_are_all_heard() -> None:
    (failed,) = where_voting_fails(rolled({0: 3}), TASKS, prompts_of([0]), len(BRIEFS) + 4, Sampling(1.0))
    assert failed.found.parts[0].content.startswith(f"{len(BRIEFS) + 1}: 1+1; 3: ")
