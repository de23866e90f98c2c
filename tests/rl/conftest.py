"""Replies that nobody had to make, and a small run that has learned how an answer looks."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from castalia.document import Document
from castalia.engine.request import Reply
from castalia.perception.sequence import Sequence
from castalia.recipes import load_recipe
from castalia.rl.rollouts import Group, Prompt, Rollout
from castalia.tasks.countdown import Countdown
from castalia.training.pretrain import pretrain

Grouped = Callable[..., Group]


def reply(tokens: list[int], prompt: int = 3, stopped: Any = "end", answer: str = "") -> Reply:
    """Return a reply of these tokens to a prompt of so many positions."""
    T = prompt + len(tokens)
    time = np.arange(T, dtype=np.int32)
    sequence = Sequence(
        kinds_T=np.zeros(T, np.uint8),
        tokens_T=np.array([0] * prompt + tokens, np.int32),
        places_T3=np.stack([time, 0 * time, 0 * time], 1),
        images_T=np.full(T, -1, np.int32),
        weights_T=np.array([0.0] * prompt + [1.0] * len(tokens), np.float32),
        patches_NP=np.zeros((0, 3), np.int16),
        frames_MF=np.zeros((0, 4), np.float32),
        logprobs_T=np.full(T, -0.5, np.float32),
    )
    return Reply(tokens, [-0.5] * len(tokens), stopped, "", answer, Document(), sequence, prompt, 0, 0.1)


@pytest.fixture
def grouped() -> Grouped:
    """Return a function that makes a group of rollouts of such values and lengths."""

    def make(values: list[float], lengths: list[int] | None = None, **settings: Any) -> Group:
        rollouts = [
            Rollout(reply(list(range(length)), **settings), value=value, reward=value)
            for value, length in zip(values, lengths or [4] * len(values), strict=True)
        ]
        return Group(Prompt("countdown", Countdown().sample(0, 1)), rollouts)

    return make


@pytest.fixture(scope="session")
def schooled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run that has learned how an answer looks, and is right now and then."""
    small = {"model.width": "48", "model.heads": "2", "model.layers": "2", "training.compile": "false"}
    data = {"data.mixture": "countdown:1", "data.difficulties": "1", "training.steps": "150", "feed.length": "128"}
    directory = tmp_path_factory.mktemp("schooled") / "small"
    pretrain(load_recipe("pocket").override(small | data), directory)
    return directory
