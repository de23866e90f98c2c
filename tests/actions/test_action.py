"""The contract of every action: arguments are read and checked, and whatever goes wrong stays inside the session."""

import json
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from castalia.actions.action import Allowance, Branches, Parameter, Session, State, check, parse_arguments, said
from castalia.document import Call, Document, Image, Part
from castalia.errors import ActionError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@dataclass(frozen=True)
class Probe:
    """An action that gives whatever `outcome` makes of its arguments."""

    outcome: Callable[[dict[str, Any]], Any] = lambda arguments: said(repr(arguments))
    name: str = "probe"
    about: str = "for tests"
    parameters: tuple[Parameter, ...] = (
        Parameter("word", {"type": "string", "maxLength": 5}),
        Parameter("size", {"type": "number", "minimum": 0, "maximum": 9}, 1),
        Parameter("places", {"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 3}, None),
    )

    def run(self, arguments: dict[str, Any], state: State) -> Any:
        return self.outcome(arguments)


def session(outcome: Callable[[dict[str, Any]], Any]) -> Session:
    return Session({"probe": Probe(outcome)}, State())


def told(outcome: Any) -> str:
    document = outcome.result(timeout=5) if isinstance(outcome, Future) else outcome
    assert isinstance(document, Document)
    return document.text()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"word": "a", "size": 2.5, "places": [1, 2]}', {"word": "a", "size": 2.5, "places": [1, 2]}),
        ('{"places": [3], "word": "a"}', {"word": "a", "size": 1, "places": [3]}),
        ('["a"]', {"word": "a", "size": 1, "places": None}),
        ('["a", 0, [7]]', {"word": "a", "size": 0, "places": [7]}),
        ('{"word": "a", "size": null, "places": null}', {"word": "a", "size": 1, "places": None}),
    ],
)
def test_arguments_are_an_object_by_name_or_an_array_in_order(text: str, expected: dict[str, Any]) -> None:
    assert parse_arguments(Probe(), text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON"),
        ("word=a", "not JSON"),
        ('{"word": "a"', "not JSON"),
        ('{"word": "a"} and more', "not JSON"),
        ('{"word": "a", "size": NaN}', "not JSON"),
        ('{"word": "a", "size": -Infinity}', "not JSON"),
        ('{"word": "a", "size": 1e999}', "not JSON"),
        ("[" * 100_000, "not JSON"),
        ('{"size": ' + "9" * 5000 + "}", "not JSON"),
        ('"a"', "a JSON object or array"),
        ("null", "a JSON object or array"),
        ('["a", 1, [2], 4]', "at most 3 arguments, got 4"),
        ('{"word": "a", "seize": 1}', "no argument 'seize': did you mean 'size'?"),
        ("{}", "probe needs word"),
        ("[]", "probe needs word"),
        ('{"word": null}', "word of probe must be of type string"),
        ('{"word": 3}', "word of probe must be of type string"),
        ('{"word": "letters"}', "word of probe is longer than 5 characters"),
        ('{"word": "a", "size": "2"}', "size of probe must be of type number"),
        ('{"word": "a", "size": true}', "size of probe must be of type number"),
        ('{"word": "a", "size": -1}', "size of probe must be from 0 to 9"),
        ('{"word": "a", "places": [1, 2.5]}', "an item of places of probe must be of type integer"),
        ('{"word": "a", "places": []}', "places of probe must have 1 to 3 items"),
        ('{"word": "a", "places": [1, 2, 3, 4]}', "places of probe must have 1 to 3 items"),
        ('{"word": "' + "a" * 1_000_000 + '"}', "longer than 100000 characters"),
    ],
)
def test_wrong_arguments_are_refused_with_a_sentence(text: str, message: str) -> None:
    with pytest.raises(ActionError, match=message.replace("?", r"\?")):
        parse_arguments(Probe(), text)


@pytest.mark.parametrize(
    ("value", "schema", "fits"),
    [
        (None, {"type": "null"}, True),
        (None, {"type": ["string", "null"]}, True),
        ("a", {"type": ["string", "null"]}, True),
        (1, {"type": ["string", "null"]}, False),
        (False, {"type": "boolean"}, True),
        (0, {"type": "boolean"}, False),
        ([1, "a"], {"type": "array", "items": True}, True),
        ([1, "a"], {"type": "array", "items": [{"type": "number"}, {"type": "string"}]}, True),
        ([1, "a", None], {"type": "array", "items": [{"type": "number"}, {"type": "string"}]}, True),
        ({"a": 1}, {"type": "object"}, True),
        ("b", {"enum": ["a", "b"]}, True),
        ("c", {"enum": ["a", "b"]}, False),
        (1_700_000_000_000, {"type": "integer"}, True),
        (10**400, {"type": "integer"}, False),
        (object(), {}, True),
    ],
)
def test_values_are_checked_against_a_schema(value: Any, schema: dict[str, Any], fits: bool) -> None:
    if fits:
        check(value, schema, "it")
    else:
        with pytest.raises(ActionError, match=r"^it must be"):
            check(value, schema, "it")


def test_items_of_an_array_are_checked_each_against_its_own_schema() -> None:
    pair = {"type": "array", "items": [{"type": "number"}, {"type": "string"}]}
    with pytest.raises(ActionError, match=r"^an item of it must be of type string"):
        check([1, 2], pair, "it")


@given(st.text() | JSON.map(json.dumps))
def test_no_arguments_make_a_session_raise(text: str) -> None:
    assert told(session(lambda arguments: said("done")).act(Call("probe", text)))


def test_an_action_that_is_not_there_is_told_with_the_nearest() -> None:
    text = told(session(lambda arguments: said("")).act(Call("prob")))
    assert text == "error: there is no action 'prob': did you mean 'probe'? (there are: probe)"
    assert len(told(session(lambda arguments: said("")).act(Call("prob" * 100_000)))) < 600


@pytest.mark.parametrize("outcome", [None, "text", Part("a"), 3])
def test_an_action_that_returns_no_document_is_told(outcome: Any) -> None:
    assert told(session(lambda arguments: outcome).act(Call("probe", '["a"]'))) == "error: probe failed: TypeError"
    later: Future = Future()
    later.set_result(outcome)
    assert told(session(lambda arguments: later).act(Call("probe", '["a"]'))) == "error: probe failed: TypeError"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ActionError("the shelf is empty"), "error: the shelf is empty"),
        (ZeroDivisionError("secret"), "error: probe failed: ZeroDivisionError"),
        (ActionError("a" * 10_000), "error: " + "a" * 493 + " …"),
    ],
)
def test_an_action_that_fails_now_or_later_is_told(error: Exception, text: str) -> None:
    def fail(arguments: dict[str, Any]) -> None:
        raise error

    assert told(session(fail).act(Call("probe", '["a"]'))) == text
    later: Future = Future()
    later.set_exception(error)
    assert told(session(lambda arguments: later).act(Call("probe", '["a"]'))) == text


def test_what_comes_later_is_passed_on_and_cancelled_both_ways() -> None:
    later: Future = Future()
    outcome = session(lambda arguments: later).act(Call("probe", '["a"]'))
    assert isinstance(outcome, Future) and not outcome.done()
    later.set_result(said("at last"))
    assert told(outcome) == "at last"

    given_up: Future = Future()
    outcome = session(lambda arguments: given_up).act(Call("probe", '["a"]'))
    assert isinstance(outcome, Future) and outcome.cancel()
    assert given_up.cancelled()

    vanished: Future = Future()
    outcome = session(lambda arguments: vanished).act(Call("probe", '["a"]'))
    vanished.cancel()
    assert told(outcome) == "error: probe failed: CancelledError"


def test_agents_to_be_sent_out_are_passed_on() -> None:
    branches = Branches((said("left"),), lambda documents: documents[0], tokens=9)
    assert session(lambda arguments: branches).act(Call("probe", '["a"]')) is branches


def test_what_is_said_is_cut_and_can_always_be_encoded() -> None:
    assert said("a" * 99, limit=10).text() == "a" * 10 + " …"
    assert said("a" * 10, limit=10).text() == "a" * 10
    assert said("a\ud800b").text().encode() == b"a?b"


def test_a_forked_session_leaves_its_parent_as_it_was() -> None:
    image = Image(np.full((16, 16, 3), 255, np.uint8))
    state = State.of(Document((Part(image),)), allowance=Allowance(4), depth=2)
    parent = Session({"probe": Probe()}, state)
    child = parent.fork()
    child.state.canvases.append(image)
    child.state.marks["A"] = 0
    child.state.relations.append(("A", "above", "A"))
    assert (len(state.canvases), state.marks, state.relations) == (1, {}, [])
    child.state.allowance.agents -= 1
    assert (child.state.depth, state.depth) == (1, 2)
    assert state.allowance.agents == 3, "how many agents there may be is counted over all of them"
