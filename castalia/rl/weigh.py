"""Advantages to sequences: what the model wrote carries its rollout's advantage, all else carries nothing."""

from dataclasses import replace

import numpy as np

from castalia.perception.sequence import Sequence
from castalia.rl.algorithms.algorithm import Algorithm
from castalia.rl.rollouts import Group


def weigh(group: Group, algorithm: Algorithm) -> list[Sequence]:
    """Return the sequences to learn from one prompt's rollouts, their agents' too; none if no rollout is better.

    Every prompt counts alike, however much was written to it (ScaleRL, arXiv 2510.13786): advantages are divided by
    the number of positions that the whole group has written.
    """
    advantages_G = algorithm.advantages(group.rewards())
    if np.abs(advantages_G).max() < 1e-8:
        return []
    sequences, advantages = [], []
    for rollout, advantage in zip(group.rollouts, advantages_G, strict=True):
        for reply in rollout.replies:
            weights_T = reply.sequence.weights_T.copy()
            weights_T[: reply.prompt_tokens] = 0  # what an agent was sent out with is its sender's
            sequences.append(replace(reply.sequence, weights_T=weights_T))
            advantages.append(advantage)
    written = sum(float(sequence.weights_T.sum()) for sequence in sequences)
    return [
        replace(sequence, weights_T=(sequence.weights_T * (advantage / written)).astype(np.float32))
        for sequence, advantage in zip(sequences, advantages, strict=True)
        if advantage
    ]
