"""Strategies: one interface, one answer a question, and an account of what it cost."""

from dataclasses import replace

import pytest

from castalia.document import Document
from castalia.engine.engine import Engine, Event
from castalia.reasoning.contemplate import Contemplate
from castalia.reasoning.effort import Thinking
from castalia.reasoning.strategies import BestOf, FirstToFinish, Majority, OneChain, Strategy, conclusions, vote

STRATEGIES: list[Strategy] = [
    OneChain(),
    Majority(4),
    Majority(4, weighted=True),
    FirstToFinish(4, enough=2),
    BestOf(4, score=lambda prompt, answer: len(answer)),
    Contemplate(4),
    Contemplate(3, refinements=1, briefs=("one", "two")),
]


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda s: type(s).__name__)
def test_every_question_gets_its_verdict_and_the_engine_is_left_empty(
    engine: Engine, questions: list[Document], strategy: Strategy
) -> None:
    verdicts = strategy.answer(engine, questions, seed=1)
    assert len(verdicts) == len(questions) and engine.idle and not any(engine.pool.users)
    for verdict in verdicts:
        assert verdict.tokens >= verdict.critical_tokens > 0 and verdict.seconds > 0
        assert verdict.tokens == sum(len(reply.tokens) for reply in verdict.replies)


@pytest.mark.parametrize("strategy", [Majority(4), Contemplate(4)], ids=["majority", "contemplating"])
def test_what_one_question_gets_does_not_depend_on_others(
    engine: Engine, questions: list[Document], strategy: Strategy
) -> None:
    together = strategy.answer(engine, questions, seed=5)
    for question, verdict in zip(questions, together, strict=True):
        alone = strategy.answer(engine, [question], seed=5)[0]
        assert [r.tokens for r in alone.replies] == [r.tokens for r in verdict.replies]


def test_the_best_is_the_one_the_verifier_prefers(engine: Engine, questions: list[Document]) -> None:
    for verdict in BestOf(6, score=lambda prompt, answer: len(answer)).answer(engine, questions):
        assert verdict.answer == max((r.answer for r in verdict.replies), key=len)


def test_agents_that_agree_enough_settle_a_question_without_a_synthesis(
    engine: Engine, questions: list[Document]
) -> None:
    for verdict in Contemplate(6, quorum=0.0).answer(engine, questions):
        found = conclusions(list(verdict.rounds[0]))
        assert (not verdict.rounds[1]) == any(answer != "-" for answer in found)
        assert not found or verdict.rounds[1] or verdict.answer == vote(list(verdict.rounds[0]))
    for verdict in Contemplate(6, quorum=1.1).answer(engine, questions):
        assert len(verdict.rounds[1]) == 1


def test_those_that_are_too_late_are_not_waited_for(engine: Engine, questions: list[Document]) -> None:
    for verdict in FirstToFinish(8, enough=2).answer(engine, questions):
        stopped = [reply.stopped for reply in verdict.replies]
        assert len(stopped) == 8 and stopped.count("cancelled") >= 5, "at most one more ended in the same step"


def test_a_deadline_is_kept_and_what_is_ready_is_merged(engine: Engine, questions: list[Document]) -> None:
    late = Contemplate(16, Thinking("high", seconds=0.001)).answer(engine, questions[:1])[0]
    assert late.answer == "" and {reply.stopped for reply in late.replies} == {"time"}
    verdict = Contemplate(16, Thinking("high", seconds=0.3), refinements=2).answer(engine, questions[:1])[0]
    found = [answer for replies in verdict.rounds for answer in conclusions(list(replies))]
    assert verdict.answer in found or not found


def test_whoever_watches_sees_every_token(engine: Engine, questions: list[Document]) -> None:
    seen: list[Event] = []
    verdict = Contemplate(3, watch=seen.append).answer(engine, questions[:1])[0]
    assert sum(event.token is not None for event in seen) == verdict.tokens


def test_a_vote_counts_answers_however_they_are_spelled_and_leaves_out_unfinished_ones(
    engine: Engine, questions: list[Document]
) -> None:
    reply = engine.generate(questions[:1])[0]
    said = [
        replace(reply, answer=a, stopped=s)
        for a, s in (("Red.", "end"), ("blue", "end"), ("red", "stop"), ("blue", "length"))
    ]
    assert vote(said) == "Red." and vote([]) == "" and conclusions(said) == ["Red.", "blue", "red"]
