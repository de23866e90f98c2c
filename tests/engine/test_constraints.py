"""Constrained answers are what the schema or grammar says; thoughts, calls and neighbours are not touched by it."""

import json
import random
import re
from collections.abc import Callable
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from castalia.actions.action import Outcome
from castalia.document import Call, Document, Part
from castalia.engine.constraints import Constraints
from castalia.engine.engine import Engine
from castalia.engine.request import Actor, Budget, Grammar, Reply, Sampling, State
from castalia.errors import EngineError
from castalia.perception.perceive import Perception
from castalia.perception.text import SPECIAL

Prompts = Callable[..., list[Document]]
Make = Callable[[], Grammar] | None
Opening = Callable[..., Make]

WORDS = st.text('abcdeé日🙂<|>" \\\n', max_size=5)


def _integers(bounds: list[int]) -> dict[str, Any]:
    return {"type": "integer", "minimum": min(bounds), "maximum": max(bounds)}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    needed = sorted(properties)[:2]
    return {"type": "object", "properties": properties, "required": needed, "additionalProperties": False}


LEAVES = st.one_of(
    st.builds(lambda options: {"enum": options}, st.lists(WORDS | st.integers(-99, 99), min_size=1, max_size=3)),
    st.builds(_integers, st.lists(st.integers(-999, 999), min_size=2, max_size=2)),
    st.builds(lambda longest: {"type": "string", "maxLength": longest}, st.integers(0, 6)),
    st.sampled_from([{"type": "boolean"}, {"type": "null"}]),
)
SCHEMAS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(_object, st.dictionaries(WORDS, inner, max_size=3)),
        st.builds(lambda items, most: {"type": "array", "items": items, "maxItems": most}, inner, st.integers(0, 3)),
    ),
    max_leaves=5,
)
"""Schemas that every answer comes to the end of."""

ADDITION = 'start: number ("+" number){1,3}\nnumber: /0|[1-9][0-9]?/'
DEAD_END = 'start: "x" NOTHING\nNOTHING: /a/ & /b/'


class Begins:
    """Makes a reply begin with given tokens; what comes then is up to another grammar, if there is one."""

    def __init__(self, tokens: list[int], vocabulary: int, grammar: Grammar | None) -> None:
        self.tokens, self.vocabulary, self.grammar, self.at = tokens, vocabulary, grammar, 0

    def mask(self, state: State) -> np.ndarray | None:
        if self.at < len(self.tokens):
            return np.arange(self.vocabulary) == self.tokens[self.at]
        return self.grammar.mask(state) if self.grammar else None

    def accept(self, token: int, state: State) -> bool:
        self.at += 1
        return self.grammar is not None and self.grammar.accept(token, state)


class Oracle:
    """An actor that always gives one answer and keeps what it was asked."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def act(self, call: Call) -> Outcome:
        self.calls.append(call)
        return Document((Part("three", "tool"),))

    def fork(self) -> "Oracle":
        return self


@pytest.fixture(scope="module")
def constraints(perception: Perception) -> Constraints:
    return Constraints(perception)


@pytest.fixture(scope="module")
def begins(perception: Perception) -> Opening:
    """Return a function that makes replies begin with texts and <marks> before `make`'s grammar takes over."""

    def begin(make: Make, *items: str) -> Make:
        special, encode = perception.special, perception.tokenizer.encode
        tokens = [t for item in items for t in ([special[item[1:-1]]] if item[1:-1] in special else encode(item))]
        return lambda: Begins(tokens, perception.tokenizer.vocab_size, make() if make else None)

    return begin


def replies(
    engine: Engine,
    prompts: list[Document],
    makes: list[Make],
    budget: Budget,
    *,
    only: int | None = None,
    actor: Actor | None = None,
    temperature: float = 1.0,
) -> list[Reply]:
    """Answer prompt i under the grammar i, all in one batch; or only one of them, as if the others were there."""
    requests = [
        engine.submit(prompt, Sampling(temperature, seed=3, grammar=make), budget, actor, index)
        for index, (prompt, make) in enumerate(zip(prompts, makes, strict=True))
        if only is None or index == only
    ]
    found = {}
    while any(request.stopped is None for request in requests):
        found |= {event.request.index: event.reply for event in engine.step() if event.reply}
    return [found[request.index] for request in requests]


def ended(found: list[Reply]) -> list[str]:
    """Return the answers that were written to their end."""
    return [reply.answer for reply in found if reply.stopped == "end"]


def walk(grammar: Grammar, perception: Perception, rng: random.Random, longest: int = 400) -> tuple[str, bool]:
    """Write an answer of tokens chosen evenly of all that are allowed; return it, and whether it came to its end."""
    written: list[int] = []
    for _ in range(longest):
        allowed_V = grammar.mask("answering")
        assert allowed_V is not None and allowed_V.shape == (perception.tokenizer.vocab_size,)
        allowed = set(np.flatnonzero(allowed_V).tolist())
        marks = {perception.special[name] for name in ("end", *(() if written else ("think", "call")))}
        assert not {token for token in allowed if token < len(SPECIAL)} - marks
        token = rng.choice(sorted(allowed - {perception.special["think"], perception.special["call"]}))
        if token == perception.special["end"]:
            assert grammar.accept(token, "answering")
            return perception.tokenizer.decode(written), True
        written.append(token)
        if grammar.accept(token, "answering"):
            return perception.tokenizer.decode(written), True
    return perception.tokenizer.decode(written), False


@settings(max_examples=60)
@given(schema=SCHEMAS, seed=st.integers(0, 2**32))
def test_whatever_is_chosen_of_what_a_schema_allows_parses_and_validates(
    perception: Perception, constraints: Constraints, schema: dict, seed: int
) -> None:
    text, done = walk(constraints.json_schema(schema)(), perception, random.Random(seed))
    assert done
    jsonschema.validate(json.loads(text), schema)


@settings(max_examples=30)
@given(schema=SCHEMAS, seed=st.integers(0, 2**32))
def test_what_json_writes_of_a_valid_value_is_allowed_spaced_or_compact(
    perception: Perception, constraints: Constraints, schema: dict, seed: int
) -> None:
    text, _ = walk(constraints.json_schema(schema)(), perception, random.Random(seed))
    for separators in ((", ", ": "), (",", ":")):
        grammar = constraints.json_schema(schema)()
        spelled = json.dumps(json.loads(text), separators=separators, ensure_ascii=False)
        for token in perception.tokenizer.encode(spelled):
            allowed_V = grammar.mask("answering")
            assert allowed_V is not None and allowed_V[token]
            grammar.accept(token, "answering")


def test_every_answer_that_a_random_model_ends_parses_and_validates(
    engine: Engine, prompts: Prompts, constraints: Constraints, begins: Opening
) -> None:
    schemas = [
        {"enum": ["one", 2, None]},
        {"type": "integer", "minimum": -7, "maximum": 120},
        {"type": "string", "maxLength": 6},
        {"type": "array", "items": {"enum": ["red", "green"]}, "minItems": 1, "maxItems": 3},
        _object({"size": _integers([0, 9]), "words": {"type": "array", "items": {"type": "string"}, "maxItems": 0}}),
        _object({"at": _object({"é": {"type": "boolean"}}), "to": {"type": "null"}}),
    ] * 10
    free = [constraints.json_schema(schema) for schema in schemas]
    makes = [*free[:30], *(begins(make, "<think>") for make in free[30:])]
    found = replies(engine, prompts(60), makes, Budget(100, thinking=6))
    whole = [(schema, reply) for schema, reply in zip(schemas, found, strict=True) if reply.stopped == "end"]
    for schema, reply in whole:
        jsonschema.validate(json.loads(reply.answer), schema)
    assert len(whole) > 12
    assert len({json.dumps(schema) for schema, _ in whole}) > 3
    assert any(reply.thoughts for _, reply in whole)


def test_json_is_written_with_one_blank_at_most_between_its_tokens(
    constraints: Constraints, perception: Perception
) -> None:
    make = constraints.json_schema({"type": "array", "items": {"type": "boolean"}, "maxItems": 4})
    found = [walk(make(), perception, random.Random(seed))[0] for seed in range(40)]
    assert any(" " in text for text in found)
    assert not any(re.search(r"\s\s|[^\S ]", text) for text in found)


@pytest.mark.parametrize("schema", [{"enum": ["one", "two"]}, '{"enum": ["one", "two"]}'])
def test_a_schema_may_be_text(constraints: Constraints, perception: Perception, schema: dict | str) -> None:
    make = constraints.json_schema(schema)
    assert {walk(make(), perception, random.Random(seed)) for seed in range(20)} == {('"one"', True), ('"two"', True)}


def test_without_a_schema_any_object_is_an_answer_and_nothing_else(
    constraints: Constraints, perception: Perception
) -> None:
    found = [walk(constraints.json_schema()(), perception, random.Random(seed)) for seed in range(60)]
    parsed = [json.loads(text) for text, done in found if done]
    assert all(text.startswith("{") for text, _ in found)
    assert any(parsed) and all(isinstance(value, dict) for value in parsed)


@pytest.mark.parametrize(
    "pattern", ["(é|日本|🙂|ß){1,4}", "[0-9]{3}-[0-9]{2}", "(red|green|blue)( and (red|green))?", "[^a]{1,5}"]
)
def test_a_regular_expression_is_kept_from_first_to_last_character(
    constraints: Constraints, perception: Perception, pattern: str
) -> None:
    make = constraints.regex(pattern)
    found = {walk(make(), perception, random.Random(seed)) for seed in range(40)}
    assert len(found) > 5
    for text, done in found:
        assert done and re.fullmatch(pattern, text)


def test_grammars_are_kept_by_a_random_model(engine: Engine, prompts: Prompts, constraints: Constraints) -> None:
    makes = [constraints.lark(ADDITION), constraints.regex("(one|two|three){2}")] * 12
    found = replies(engine, prompts(24), makes, Budget(24, thinking=4))
    for start, pattern in ((0, r"\d{1,2}(\+\d{1,2}){1,3}"), (1, "(one|two|three){2}")):
        answers = ended(found[start::2])
        assert len(set(answers)) > 3
        assert all(re.fullmatch(pattern, answer) for answer in answers)


def test_an_empty_answer_is_the_end_at_once(constraints: Constraints, perception: Perception) -> None:
    assert walk(constraints.regex("")(), perception, random.Random(0)) == ("", True)


def test_special_tokens_never_show_up_in_answers(
    engine: Engine, prompts: Prompts, constraints: Constraints, begins: Opening
) -> None:
    makes = [begins(constraints.regex("(?s).+"), "a")] * 24
    found = replies(engine, prompts(24), makes, Budget(24))
    assert sum(len(reply.tokens) for reply in found) > 200
    for reply in found:
        ends = [engine.perception.special["end"]] if reply.stopped == "end" else []
        assert [token for token in reply.tokens if token < len(SPECIAL)] == ends


def test_a_call_is_closed_before_anything_else_comes(
    engine: Engine, prompts: Prompts, constraints: Constraints, begins: Opening
) -> None:
    close = engine.perception.special["/call"]
    makes = [begins(constraints.json_schema(), "<call>")] * 24
    found = replies(engine, prompts(24), makes, Budget(24))
    for reply in found:
        closed = [i for i, token in enumerate(reply.tokens) if token == close] or [len(reply.tokens)]
        assert all(token >= len(SPECIAL) for token in reply.tokens[1 : closed[0]])
        assert closed[0] < len(reply.tokens) or (reply.stopped, len(reply.tokens)) == ("length", 24)


@pytest.mark.parametrize("name", SPECIAL)
def test_an_answer_may_spell_the_name_of_a_special_token_in_plain_text(
    constraints: Constraints, perception: Perception, name: str
) -> None:
    assert walk(constraints.json_schema({"const": name})(), perception, random.Random(0)) == (f'"{name}"', True)
    assert walk(constraints.lark(f'start: "{name}" // <comment>')(), perception, random.Random(0)) == (name, True)


def test_thoughts_before_the_answer_are_those_of_a_model_that_is_free(
    engine: Engine, prompts: Prompts, constraints: Constraints, begins: Opening
) -> None:
    special, thoughts = engine.perception.special, Budget(9, thinking=8)
    kept, free = (
        replies(engine, prompts(24), [begins(make, "<think>")] * 24, thoughts, temperature=0.0)
        for make in (constraints.json_schema({"type": "boolean"}), None)
    )
    compared = 0
    for constrained, unconstrained in zip(kept, free, strict=True):
        # Only the end of a reply without an answer is not free.
        until = [*unconstrained.tokens, special["end"]].index(special["end"])
        assert constrained.tokens[:until] == unconstrained.tokens[:until]
        compared += until
    assert compared > 60
    assert len({reply.thoughts for reply in kept}) > 12


def test_thoughts_are_closed_not_ended_and_not_opened_again_at_once(
    engine: Engine, prompts: Prompts, constraints: Constraints, begins: Opening
) -> None:
    special = engine.perception.special
    makes = [begins(constraints.json_schema({"type": "boolean"}), "<think>", "one two")] * 24
    found = replies(engine, prompts(24), makes, Budget(40, thinking=4))
    for reply in found:
        closed = [i for i, token in enumerate(reply.tokens[:-1]) if token == special["/think"]]
        assert closed
        assert all(reply.tokens[i + 1] != special["think"] for i in closed)
    assert len(ended(found)) > 6
    assert {*ended(found)} == {"true", "false"}


def test_calls_before_the_answer_are_carried_out(
    engine: Engine, prompts: Prompts, constraints: Constraints, begins: Opening
) -> None:
    oracle, schema = Oracle(), constraints.json_schema({"type": "integer", "minimum": 1, "maximum": 3})
    make = begins(schema, "<call>", 'look {"at": "red"}', "</call>", "<think>", "a", "</think>", "2")
    found = replies(engine, prompts(3), [make] * 3, Budget(40), actor=oracle)
    assert oracle.calls == [Call("look", '{"at": "red"}')] * 3
    assert [(reply.answer, reply.stopped, reply.thoughts) for reply in found] == [("2", "end", "a")] * 3


def test_constrained_and_free_replies_share_a_batch_and_do_not_move_each_other(
    engine: Engine, prompts: Prompts, constraints: Constraints
) -> None:
    kinds = [constraints.json_schema({"type": "array", "items": {"type": "integer"}}), None, constraints.lark(ADDITION)]
    asked, makes, budget = prompts(12), kinds * 4, Budget(30)
    together = replies(engine, asked, makes, budget)
    assert [r.tokens for r in replies(engine, asked, makes, budget)] == [r.tokens for r in together]
    for index in range(12):
        (alone,) = replies(engine, asked, makes, budget, only=index)
        assert (alone.tokens, alone.stopped) == (together[index].tokens, together[index].stopped)
    free = replies(engine, asked, [None] * 12, budget)
    assert [r.tokens for r in free[1::3]] == [r.tokens for r in together[1::3]]
    assert [r.tokens for r in free[::3]] != [r.tokens for r in together[::3]]


def test_each_reply_has_a_grammar_of_its_own(constraints: Constraints, perception: Perception) -> None:
    make = constraints.regex("ab")
    first, second = make(), make()
    a, b = (perception.tokenizer.encode(letter)[0] for letter in "ab")
    assert not first.accept(a, "answering")
    for grammar, token in ((first, b), (second, a), (make(), a)):
        allowed_V = grammar.mask("answering")
        assert allowed_V is not None and allowed_V[token] and not allowed_V[a + b - token]


def test_an_answer_that_cannot_be_whole_within_its_budget_stops_with_its_length(
    engine: Engine, prompts: Prompts, constraints: Constraints, begins: Opening
) -> None:
    long, longer, nowhere = (
        constraints.regex("(one ){400}"),
        constraints.regex("1{40}[a-z]"),
        constraints.lark(DEAD_END),
    )
    for make, begun, kept in ((long, "one", "(one ?)+"), (longer, "1", "1+"), (nowhere, "x", "x")):
        for reply in replies(engine, prompts(6), [begins(make, begun)] * 6, Budget(20)):
            assert (reply.stopped, len(reply.tokens)) == ("length", 20)
            assert re.fullmatch(kept, reply.answer)


@pytest.mark.parametrize(
    ("kind", "asked", "reason"),
    [
        ("json_schema", "{", "is not JSON"),
        ("json_schema", "[" * 100_000, "is not JSON"),
        ("json_schema", {"maximum": float("nan")}, "is not JSON"),
        ("json_schema", "[]", "must be an object"),
        ("json_schema", "null", "must be an object"),
        ("json_schema", {"type": "nonsense"}, "nonsense"),
        ("json_schema", {"type": "object", "properties": 3}, "properties"),
        ("json_schema", {"type": "string", "pattern": "("}, "unclosed group"),
        ("json_schema", {"not": {"type": "string"}}, '"not"'),
        ("json_schema", {"$ref": "https://example.org/schema"}, "example.org"),
        ("json_schema", {"$ref": "#"}, "nothing satisfies it"),
        ("json_schema", {"type": "integer", "minimum": 5, "maximum": 3}, "Unsatisfiable"),
        ("json_schema", json.dumps({"items": {}}).replace("{}", '{"items":' * 200 + "{}" + "}" * 200), "recursion"),
        ("lark", "", "Empty grammar"),
        ("lark", 'start: "a" | other', "unknown name"),
        ("lark", "start: /(/", "unclosed group"),
        ("lark", "start: start", "nothing satisfies it"),
        ("lark", 'start: "a" start', "Too many items"),
        ("lark", "start: <|document|>", "special tokens"),
        ("lark", 'start: "a<" <[3]>', "special tokens"),
        ("regex", "(", "unclosed group"),
        ("regex", "a(?=b)", "look-around"),
        ("regex", r"(a)\1", "backreferences"),
        ("regex", r"[^\x00-\x{10FFFF}]", "nothing satisfies it"),
        ("regex", "\ud800", "surrogates"),
    ],
)
def test_what_cannot_be_kept_is_refused_in_one_sentence_when_it_is_given(
    constraints: Constraints, kind: str, asked: dict | str, reason: str
) -> None:
    with pytest.raises(EngineError, match=rf"^the (JSON schema|Lark grammar|regular expression) .*{reason}") as raised:
        getattr(constraints, kind)(asked)
    assert "\n" not in str(raised.value)
