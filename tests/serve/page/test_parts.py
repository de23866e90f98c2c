"""What the page is made of, without a browser: relations, conclusions, curves, samples."""

import json
from pathlib import Path

import numpy as np
import pytest

from castalia.actions.action import Session, State
from castalia.actions.canvas import CANVAS
from castalia.assistant import as_prompt
from castalia.document import Call, Document, Image, Speech
from castalia.serve.page.curves import curves_html
from castalia.serve.page.lanes import conclusions
from castalia.serve.page.relations import scene_graph
from castalia.serve.page.samples import sample_questions
from castalia.serve.service.job import Choice
from castalia.serve.service.pieces import Acted, Done, Piece, Words
from castalia.serve.service.usage import Usage as Spent


def test_relations_are_those_that_the_canvas_takes() -> None:
    calls = [
        Call("mark", '[[1, 2], "a"]'),
        Call("mark", '{"at": [3, 4, 1, 1], "label": "b"}'),
        Call("relate", '["a", "above", "b"]'),
        Call("relate", '["a", "above", "c"]'),
        Call("relate", '["a", "beside", "b"]'),
        Call("mark", "not JSON"),
        Call("erase", '{"image": 1}'),
        Call("relate", '["a", "above", "b"]'),
        Call("erase", "[]"),
        Call("relate", '["b", "below", "a"]'),
    ]
    paper = np.full((96, 96, 3), 255, np.uint8)
    state = State.of(Document(as_prompt("?", image=[paper, paper]).parts))
    session = Session({action.name: action for action in CANVAS}, state)
    for call in calls:
        session.act(call)
    trail: list[Piece] = [Acted(call, number, thought=True) for number, call in enumerate(calls)]
    graph = scene_graph(trail)
    assert graph.edges == state.relations == [("a", "above", "b")] * 2
    assert graph.nodes == {"a": (2, 1), "b": (4.5, 3.5)}


def test_conclusions_are_counted_as_votes_are() -> None:
    def lane(answer: str, stopped: str = "end") -> Choice:
        choice = Choice()
        choice.add(Words("answer", answer))
        choice.add(Done(stopped, answer, Spent()))
        return choice

    lanes = {0: lane("Nine"), 1: lane("ten"), 2: lane("nine."), 3: lane("-"), 4: lane("nine", "length"), 5: Choice()}
    found = [(one.text, one.agents, one.chosen) for one in conclusions(lanes, "ten")]
    assert found == [("Nine", (1, 3), False), ("ten", (2,), True)]


@pytest.mark.parametrize("forecast", ["", "[]", '{"curve": 1}', '{"curve": {"positions": [1], "loss": ["x"]}}'])
def test_a_forecast_of_another_shape_is_not_drawn(tmp_path: Path, forecast: str) -> None:
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps({"step": n, "loss": 1 / n}) + "\n" for n in (1, 2)))
    (tmp_path / "forecast.json").write_text(forecast)
    drawn = curves_html(tmp_path)
    assert "Loss" in drawn and "forecast" not in drawn


def test_samples_are_of_what_was_learned() -> None:
    samples = sample_questions(("charts", "mazes", "countdown", "nothing"))
    pictured = [any(isinstance(a.content, Image) for a in sample.attachments) for sample in samples]
    assert pictured.count(True) == 4 and pictured.count(False) == 1
    assert not any(isinstance(a.content, Speech) for sample in samples for a in sample.attachments)
