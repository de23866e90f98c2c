"""Practising to merge: on sets of conclusions in which voting fails; where it does not, there is nothing to learn."""

from collections.abc import Mapping
from dataclasses import replace

from castalia.document import Document, Part
from castalia.engine.request import Sampling
from castalia.reasoning.strategies import conclusions, vote
from castalia.rl.rollouts import Prompt, Roll
from castalia.tasks.merging import BRIEFS, pool
from castalia.tasks.task import Task


def where_voting_fails(
    roll: Roll, tasks: Mapping[str, Task], prompts: list[Prompt], agents: int, sampling: Sampling
) -> list[Prompt]:
    """Let `agents` answer every prompt; return those whose majority is wrong, with what was concluded after them.

    A synthesiser that is trained where voting does as well learns to count (as PaCoRe trains its own). Prompts of which
    nothing was concluded are left out.
    """
    briefs = [Document((Part(BRIEFS[agent % len(BRIEFS)], "user"),)) for agent in range(agents)]
    sent = [replace(prompt, found=brief) for prompt in prompts for brief in briefs]
    replies = [its[0].reply for its in roll(sent, 1, sampling)]
    failed = []
    for number, prompt in enumerate(prompts):
        its = replies[number * agents : (number + 1) * agents]
        voted = tasks[prompt.task].score(prompt.example, vote(its), prompt.index).value
        if voted < 1 and (concluded := conclusions(its)):
            failed.append(replace(prompt, found=pool(concluded)))
    return failed
