"""Effort: the model is told, and the engine holds it to it."""

import pytest

from castalia.actions.catalog import build_actions
from castalia.document import Document
from castalia.engine.engine import Engine
from castalia.engine.request import Sampling
from castalia.errors import EngineError
from castalia.reasoning.effort import ANSWER, Thinking
from castalia.tasks.effort import EFFORTS, THINKING

CANVAS = build_actions(("canvas",))


@pytest.mark.parametrize("effort", EFFORTS)
def test_thoughts_never_exceed_the_effort_and_an_answer_may_follow(
    engine: Engine, questions: list[Document], effort: str
) -> None:
    thinking = Thinking(effort)
    prompts = [thinking.told(question) for question in questions * 4]
    special = engine.perception.special
    for reply in engine.generate(prompts, Sampling(1.5, seed=3), thinking.budget):
        thought, inside = 0, False
        for token in reply.tokens:
            inside = (inside or token == special["think"]) and token != special["/think"]
            thought += inside and token != special["think"]
        assert thought <= THINKING[effort]
        assert len(reply.tokens) <= THINKING[effort] + ANSWER


def test_the_model_is_told_of_all_but_what_goes_without_saying(questions: list[Document]) -> None:
    def told(thinking: Thinking) -> list[object]:
        return [part.content for part in thinking.told(questions[0]) if part.author == "system"]

    assert told(Thinking()) == []
    assert told(Thinking("low")) == ["low"]
    assert told(Thinking("high", CANVAS)) == ["high act"]
    assert told(Thinking(actions=CANVAS)) == ["act"]
    assert told(Thinking(actions=build_actions(("agents",)))) == ["agents"]
    assert told(Thinking("high", build_actions(("tools", "agents")))) == ["high act agents"]
    assert told(Thinking("none", CANVAS)) == ["none"], "without thoughts there is nothing to act in"


def test_an_unknown_effort_is_refused_with_the_nearest() -> None:
    with pytest.raises(EngineError, match="did you mean 'high'"):
        Thinking("hihg")
