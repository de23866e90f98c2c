"""pass@k while practising: how often one of k replies is right, without bias, on questions nobody practised."""

from collections.abc import Callable, Mapping, Sequence
from math import comb
from typing import Any

from castalia.engine.request import Sampling
from castalia.reasoning.effort import Thinking
from castalia.rl.homework import MeasureConfig
from castalia.rl.rollouts import Group, Prompt, Roll, judge
from castalia.tasks.task import Example, Score, Task

SEED = 1_000_003
"""Of the samples: the same at every measurement, so that two of them differ by the weights alone."""


def pass_at(k: int, samples: int, right: int) -> float:
    """Return the probability that one of `k` replies is right, from `right` of `samples` that were.

    1 - C(n-c, k) / C(n, k), which has no bias (Chen et al., arXiv 2107.03374).
    """
    return 1.0 - comb(samples - right, k) / comb(samples, k)


def measure(
    roll: Roll,
    tasks: Mapping[str, Task],
    config: MeasureConfig,
    difficulties: tuple[int, ...],
    thinking: Thinking,
) -> dict[str, Any]:
    """Return ``{"pass": {split: {task: {k: mean}}}, "right": {split: {task: counts}}, "samples": …, "tokens": …}``.

    The counts say of how many `samples` each question was answered right; the questions are always the same. For a task
    whose verifier can be cheated, what is right is what its ``truth`` says; ``"hacked"`` is the share of replies to
    impossible questions that are rewarded wrongly, ``"honest"`` that of replies to possible ones that are right.
    """
    passes: dict[str, Any] = {}
    counts: dict[str, Any] = {}
    tokens: dict[str, Any] = {}
    hacked: dict[str, Any] = {}
    honest: dict[str, Any] = {}
    for split in config.splits:
        for name, task in tasks.items():
            prompts = [
                Prompt(name, example, seed % len(example.questions), thinking)
                for difficulty in difficulties
                for seed in range(config.questions)
                for example in [task.sample(seed, difficulty, split)]
            ]
            groups = judge(tasks, prompts, roll(prompts, config.samples, Sampling(1.0, seed=SEED)))
            if (truth := getattr(task, "truth", None)) is not None:
                hacked.setdefault(split, {})[name], honest.setdefault(split, {})[name] = _true(groups, truth)
            right = [int((group.values() == 1).sum()) for group in groups]
            passes.setdefault(split, {})[name] = {
                str(k): sum(pass_at(k, config.samples, c) for c in right) / len(right) for k in config.passes
            }
            counts.setdefault(split, {})[name] = right
            written = [rollout.length for group in groups for rollout in group.rollouts]
            tokens.setdefault(split, {})[name] = sum(written) / len(written)
    found = {"pass": passes, "right": counts, "samples": config.samples, "tokens": tokens}
    return found | ({"hacked": hacked, "honest": honest} if hacked else {})


def before_and_after(metrics: Sequence[dict[str, Any]]) -> dict[str, dict[str, tuple[float, float]]]:
    """Return ``{task: {k: (first, last)}}`` of what a run's metrics say of pass@k; {} if it was never measured.

    The split is named beside the task where it is not the held-out one.
    """
    measured = [line["pass"] for line in metrics if "pass" in line]
    found = {}
    for split, tasks in (measured[-1] if measured else {}).items():
        for task, rates in tasks.items():
            name = task if split == "held_out" else f"{task}, {split.replace('_', ' ')}"
            found[name] = {k: (measured[0][split][task][k], rate) for k, rate in rates.items()}
    return found


def _true(groups: list[Group], truth: Callable[[Example, str, int], Score]) -> tuple[float, float]:
    """Let what is right be what `truth` says. Returns the shares of replies that were rewarded and are not right, to
    impossible questions, and that are right, to possible ones."""
    hacked, honest = [], []
    for group in groups:
        for rollout in group.rollouts:
            rewarded = rollout.value
            if rewarded:
                rollout.value = truth(group.prompt.example, rollout.reply.answer, group.prompt.index).value
            if group.prompt.question.kind == "impossible":
                hacked.append(rewarded - rollout.value)
            else:
                honest.append(rollout.value)
    return sum(hacked) / max(1, len(hacked)), sum(honest) / max(1, len(honest))
