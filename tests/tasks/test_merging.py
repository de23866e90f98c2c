"""Several agents: what they conclude may be right, wrong or nothing; what is learned is always right."""

import json
import random
from collections.abc import Iterator

import pytest

from castalia.data.catalog import build_task
from castalia.document import Call, Document
from castalia.tasks.countdown import Countdown
from castalia.tasks.merging import AGENTS, BRIEFS, Explorer, delegated, merged, proposed, sending, sent
from castalia.tasks.task import Example, Question


def made(kind: object, n: int = 60, difficulty: int = 3) -> Iterator[tuple[Example, Document]]:
    for seed in range(n):
        example = Countdown().sample(seed, difficulty)
        index = (0,) if kind in (sent, delegated) else ()
        yield example, kind(Countdown(), example, *index, random.Random(seed))


def steps_hold(thoughts: str) -> bool:
    """Say whether every line works something out rightly and all but the last say that it is not what is wanted."""
    lines = thoughts.split("\n")
    for step in thoughts.replace(" no", "").replace("\n", ", ").split(", "):
        left, _, result = step.partition("=")
        assert eval(left) == eval(result)
    return all(line.endswith(" no") for line in lines[:-1])


@pytest.mark.parametrize("family", ["countdown", "mazes", "charts", "sums"])
def test_answers_are_right_whatever_agents_have_concluded(family: str) -> None:
    task = build_task(family)
    outvoted = unanimous = 0
    for seed in range(120):
        example = task.sample(seed, 3)
        document = merged(task, example, random.Random(seed))
        said = [part for part in document if isinstance(part.content, str)]
        question = next(part.content for part in said if part.author == "user")
        index = [q.text for q in example.questions].index(question)
        pooled = next(part.content for part in said if part.author == "tool")
        counts = {found: int(count) for count, found in (each.split(": ") for each in pooled.split("; "))}
        assert sum(counts.values()) in AGENTS and list(counts.values()) == sorted(counts.values(), reverse=True)
        answer = said[-1].content
        assert said[-1].learned and not said[-1].thought and task.score(example, answer, index).value == 1
        right = sum(count for found, count in counts.items() if task.score(example, found, index).value == 1)
        outvoted += right < sum(counts.values()) / 2
        unanimous += right == sum(counts.values())
    assert outvoted > 15 and unanimous > 10


def test_what_is_spelled_by_one_is_spelled_by_who_merges() -> None:
    question = Question("Which word is spelled?", "hix", "spell", "h i x", spelled=True, facts={"options": ["hex"]})
    example = Example("speech", 0, 1, "train", Document(), (question,))
    for kind in (merged, proposed):
        answer = kind(build_task("sums"), example, random.Random(1)).parts[-1]
        assert (answer.content, answer.spelled) == ("hix", True)


def test_countdown_works_out_what_others_concluded() -> None:
    for _, document in made(merged):
        assert steps_hold(next(part.content for part in document if part.thought))


def test_an_agent_concludes_what_it_found_or_says_that_there_was_nothing() -> None:
    nothing = 0
    for example, document in made(proposed):
        thoughts, answer = document.parts[-2].content, document.parts[-1].content
        assert document.parts[1].content in BRIEFS and steps_hold(thoughts)
        assert (answer == "-") == thoughts.endswith(" no")
        assert answer == "-" or Countdown().score(example, answer).value == 1
        nothing += answer == "-"
    assert 5 < nothing < 55


def test_an_agent_that_was_sent_out_begins_with_its_brief_and_learns_only_what_it_does_itself() -> None:
    for _, document in made(sent):
        spawning, brief, thoughts, _ = document.parts[-4:]
        assert isinstance(spawning.content, Call) and not spawning.learned and brief.author == "tool"
        assert brief.content in json.loads(spawning.content.arguments)[0]
        for line in thoughts.content.split("\n"):
            begun = line.split("=")[0]
            for sign in "+-*/":
                begun = begun.replace(sign, " ")
            assert sorted(begun.split()) == sorted(brief.content.split(", "))


def test_who_sends_out_agents_writes_all_briefs_and_answers_rightly_when_some_of_them_fail() -> None:
    failed = 0
    for example, document in made(delegated):
        spawning, found = document.parts[-4:-2]
        briefs = json.loads(spawning.content.arguments)[0]
        assert spawning.learned and tuple(briefs) == Countdown().briefs(example, 0)
        answers = found.content.split("; ")
        assert len(answers) == len(briefs)
        failed += answers.count("-")
        assert Countdown().score(example, document.parts[-1].content).value == 1
    assert failed > 30


def test_parts_of_a_sum_are_worked_out_apart_and_put_together() -> None:
    sums, joined = build_task("sums"), 0
    for seed in range(200):
        example = sums.sample(seed, 6)
        briefs = sums.briefs(example, 0)
        document = sending(sums, example, random.Random(seed))
        assert bool(briefs) == (len(example.questions[0].facts["parts"]) > 0)
        if len(briefs) > 1:
            found = [sums.explore(example, 0, number, random.Random(0))[1] for number in range(len(briefs))]
            assert [eval(brief) for brief in briefs] == [int(value) for value in found]
            thoughts, answer = sums.check(example, 0, found)
            assert all(eval(step.split("=")[0]) == int(step.split("=")[1]) for step in thoughts.split(", "))
            assert thoughts.endswith(f"={answer}") and sums.check(example, 0, found[1:])[1] == answer
            joined += 1
        else:
            assert document == sums.trace(example)
    assert joined > 30


def test_agents_that_act_do_so_after_their_brief_and_what_they_found_is_merged_at_once() -> None:
    mazes = build_task("mazes")
    for seed in range(30):
        example = mazes.sample(seed, 2)
        parts = proposed(mazes, example, random.Random(seed), acting=True).parts
        assert parts[2].content in BRIEFS and isinstance(parts[3].content, Call)
        assert not any(part.thought for part in merged(mazes, example, random.Random(seed), acting=True))


def test_only_families_that_can_explore_have_briefs() -> None:
    assert isinstance(build_task("countdown"), Explorer) and not isinstance(build_task("charts"), Explorer)
    example = build_task("charts").sample(0, 2)
    document = proposed(build_task("charts"), example, random.Random(0))
    assert sum(part.content in BRIEFS for part in document if isinstance(part.content, str)) == 1
