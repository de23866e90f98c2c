"""One engine, asked by many at once, whether a thread of its own steps it or an event loop."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from castalia.document import Document, Part
from castalia.engine.engine import Engine
from castalia.engine.request import Budget, Sampling
from castalia.engine.shared import Mailbox, Seat, SharedEngine
from castalia.errors import EngineError
from castalia.model.config import ModelConfig
from castalia.reasoning.contemplate import Contemplate
from castalia.reasoning.effort import Thinking
from castalia.reasoning.strategies import Majority, OneChain


def prompt(text: str) -> Document:
    return Document((Part(text, "user"),))


@pytest.fixture(params=["thread", "loop"])
def shared(
    request: pytest.FixtureRequest, make_engine: Callable[[ModelConfig], Engine], config: ModelConfig
) -> Iterator[SharedEngine]:
    made = SharedEngine(make_engine(config), threaded=request.param == "thread")
    loop = threading.Thread(target=lambda: asyncio.run(made.drive()), daemon=True)
    if request.param == "loop":
        loop.start()
    yield made
    made.close()
    if request.param == "loop":
        loop.join(20)
        assert not loop.is_alive()


def test_many_threads_get_what_each_would_get_alone(
    make_engine: Callable[[ModelConfig], Engine], config: ModelConfig, shared: SharedEngine
) -> None:
    engine = make_engine(config)
    questions = [f"question {number}" for number in range(24)]
    ways = [OneChain(), Majority(3, temperature=1.0), Contemplate(3, Thinking("low"), 1.0, briefs=())]
    alone = [[way.answer(engine, [prompt(question)], seed=7)[0].answer for way in ways] for question in questions]

    def ask(question: str) -> list[str]:
        return [way.answer(shared.seat(), [prompt(question)], seed=7)[0].answer for way in ways]

    with ThreadPoolExecutor(12) as threads:
        assert list(threads.map(ask, questions)) == alone


def test_a_seat_sees_its_own_events_only(shared: SharedEngine) -> None:
    one, other = shared.seat(), shared.seat()
    requests = {seat: seat.submit(prompt("a"), Sampling(), Budget(5)) for seat in (one, other)}
    for seat, request in requests.items():
        seen = set()
        while request.stopped is None or request not in seen:
            seen |= {event.request for event in seat.step()}
        assert seen == {request}


def test_cancelling_frees_memory_at_once(shared: SharedEngine) -> None:
    pool = shared.engine.pool
    free, seat = pool.free, shared.seat()
    request = seat.submit(prompt("a"), Sampling(min_tokens=100_000), Budget(100_000))
    seat.step()
    reply = seat.cancel(request)
    assert reply is not None and reply.stopped == "cancelled"
    assert shared.ask(lambda: pool.free) == free
    assert seat.cancel(request) is None


def test_a_step_that_fails_is_told_to_those_being_answered_and_others_are_served(
    shared: SharedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    seat = shared.seat()
    failed = threading.Event()
    step = shared.engine.step

    def broken() -> Any:
        if not failed.is_set():
            failed.set()
            raise RuntimeError("a defect")
        return step()

    monkeypatch.setattr(shared.engine, "step", broken)
    with pytest.raises(RuntimeError, match="a defect"):
        OneChain().answer(seat, [prompt("a")])
    assert shared.ask(lambda: shared.engine.idle)
    assert OneChain().answer(shared.seat(), [prompt("a")])[0].rounds


def test_who_was_done_in_the_step_that_has_failed_is_told_too(
    shared: SharedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = shared.engine.step

    def broken() -> Any:
        if any(event.reply is not None for event in step()):
            monkeypatch.setattr(shared.engine, "step", step)
            raise RuntimeError("a defect at its end")
        return []

    monkeypatch.setattr(shared.engine, "step", broken)
    with pytest.raises(RuntimeError, match="at its end"):
        OneChain().answer(shared.seat(), [prompt("a")])


def test_who_is_told_what_happens_is_told_again_of_an_error_that_comes_after_it() -> None:
    rings: list[str] = []
    box = Mailbox[str](lambda: rings.append("there is something"), lambda: True)
    box.give(["a word"])
    box.give([], EngineError("no more"))
    assert len(rings) == 1
    assert box.take() == ["a word"] and len(rings) == 2
    with pytest.raises(EngineError, match="no more"):
        box.take()


def test_a_prompt_that_does_not_fit_is_refused_where_it_is_asked(shared: SharedEngine) -> None:
    with pytest.raises(EngineError, match="does not fit"):
        shared.seat().submit(prompt("a b " * 400_000))


def test_after_closing_nobody_waits(shared: SharedEngine) -> None:
    seat = shared.seat()
    request = seat.submit(prompt("a"), Sampling(min_tokens=100_000), Budget(100_000))
    seat.step()
    shared.close()
    with pytest.raises(EngineError, match="closed"):
        drain(seat)
    assert request.stopped == "cancelled"
    with pytest.raises(EngineError, match="closed"):
        seat.submit(prompt("b"))


def drain(seat: Seat) -> None:
    while True:
        seat.step()
