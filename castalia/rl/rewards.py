"""From what the verifier says to what is rewarded: acting, when it helped, and thinking no longer than needed."""

from itertools import pairwise

import numpy as np

from castalia.document import Call, Part
from castalia.rl.homework import ActingConfig
from castalia.rl.penalty import shaped
from castalia.rl.rollouts import Group, Rollout

MOST_QUICKER = 0.5
"""Share of the longest path that agents can be rewarded for saving."""


def reward(group: Group, acting: ActingConfig, weight: float) -> None:
    """Set the rewards of one prompt's rollouts; `weight` is the penalty's on length."""
    lengths_G = np.array([critical_path(rollout) for rollout in group.rollouts], float)
    rewards_G = shaped(group.values(), lengths_G, weight)
    for rollout, rewarded in zip(group.rollouts, rewards_G, strict=True):
        rollout.reward = float(rewarded) - rollout.fine
        if rollout.value == 1:
            rollout.reward += acting.used * has_acted(rollout) + acting.quicker * saved(rollout)


def has_acted(rollout: Rollout) -> bool:
    """Say whether one of its calls came back without an error."""
    parts = rollout.reply.document.parts
    return any(
        isinstance(before.content, Call) and after.author == "tool" and not _is_error(after)
        for before, after in pairwise(parts)
    )


def _is_error(part: Part) -> bool:
    return isinstance(part.content, str) and part.content.startswith("error:")


def critical_path(rollout: Rollout) -> int:
    """Return the tokens written one after another: its own, and those of the agent that wrote most."""
    return rollout.length + max((len(agent.tokens) for agent in rollout.agents), default=0)


def saved(rollout: Rollout) -> float:
    """Return the share of all tokens that agents side by side have saved, at most a half (ThreadWeaver's, capped)."""
    written = sum(len(reply.tokens) for reply in rollout.replies)
    return min(MOST_QUICKER, 1 - critical_path(rollout) / max(1, written))
