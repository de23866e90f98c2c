"""Reference thoughts that keep within an effort, and are told of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from castalia.data.catalog import build_task
from castalia.document import Call, Document
from castalia.tasks.effort import EFFORTS, THINKING, Effort, limit


def thought(document: Document) -> list[int]:
    """Return the bytes of thought before each answer."""
    spent = [0]
    for part in document:
        if part.author == "user":
            spent.append(0)
        elif part.thought and isinstance(part.content, str):
            spent[-1] += len(part.content.encode())
    return spent


@given(st.integers(0, 10_000), st.sampled_from(EFFORTS), st.sampled_from(("countdown", "sums", "mazes")))
def test_thoughts_end_where_the_effort_does_and_answers_stay(seed: int, effort: Effort, family: str) -> None:
    task = build_task(family)
    whole = task.trace(task.sample(seed, 3))
    limited = limit(whole, effort)
    assert max(thought(limited)) <= THINKING[effort]
    answers = [
        [part.content for part in d if part.author == "assistant" and not part.thought] for d in (whole, limited)
    ]
    assert answers[0] == answers[1]
    if max(thought(whole)) <= THINKING[effort]:
        assert limited.parts == whole.parts


def test_what_is_said_when_thoughts_are_unfinished_is_said_only_then() -> None:
    task = build_task("countdown")
    for seed in range(40):
        whole = task.trace(task.sample(seed, 5))
        limited = limit(whole, "low", "-")
        cut = max(thought(whole)) > THINKING["low"]
        assert limited.parts[-1].content == ("-" if cut else whole.parts[-1].content)


@pytest.mark.parametrize("effort", ["minimal", "low"])
def test_that_thoughts_were_cut_is_not_learned(effort: Effort) -> None:
    task = build_task("sums")
    cut = 0
    for seed in range(40):
        whole = task.trace(task.sample(seed, 10))
        limited = limit(whole, effort)
        ends = [part for part in limited if part.thought and part.content == ""]
        cut += len(ends)
        assert not any(part.learned for part in ends)
        assert bool(ends) == (max(thought(whole)) > THINKING[effort])
    assert cut


def test_calls_that_do_not_fit_are_left_out_with_what_they_return() -> None:
    from castalia.actions.catalog import build_actions
    from castalia.actions.enact import enact

    task = build_task("mazes")
    for seed in range(20):
        whole = enact(task.trace(task.sample(seed, 5), acting=True), build_actions(("canvas",)), cell=16, max_side=256)
        limited = limit(whole, "low")
        calls = sum(isinstance(part.content, Call) for part in limited)
        assert calls == sum(part.author == "tool" for part in limited)
