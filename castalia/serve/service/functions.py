"""The client's own functions: how the model is told of them, and calls that are held to what they take."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from castalia.actions.action import Outcome
from castalia.document import Call, Document, Part
from castalia.engine.constraints import Answer, Constraints
from castalia.engine.request import Actor, Grammar, State

ToolChoice = str | Literal["none", "auto", "required"]
"""Whether functions may or must be called; any other text is the name of the one that must be."""

MOST_CALLS = 8
"""Calls of functions in one reply."""


@dataclass(frozen=True)
class Function:
    """A function of the client's: its name, what it does, and the JSON schema of its arguments."""

    name: str
    description: str = ""
    parameters: dict[str, Any] = field(default_factory=lambda: {"type": "object"})


@dataclass(frozen=True)
class Functions:
    """What may be called in one reply: in its answer, functions of the client's; in its thoughts, what acts here."""

    functions: tuple[Function, ...] = ()
    choice: ToolChoice = "auto"
    parallel: bool = True

    @property
    def callable(self) -> tuple[Function, ...]:
        """Functions that may be called: none, all, or the one that must be."""
        if self.choice == "none":
            return ()
        if self.choice in ("auto", "required"):
            return self.functions
        return tuple(function for function in self.functions if function.name == self.choice)

    def told(self, prompt: Document) -> Document:
        """Return the prompt with what can be called before it."""
        lines = [f"{f.name} {json.dumps(f.parameters)} {f.description}".rstrip() for f in self.callable]
        return Document((Part("\n".join(lines), "system"),)) + prompt if lines else prompt

    def actor(self, acting: Actor | None) -> Actor | None:
        """Return an actor that leaves calls of functions to the client."""
        return Leaving(acting, {function.name for function in self.functions}) if acting and self.functions else acting

    def grammar(
        self, constraints: Constraints, schema: dict[str, Any] | None, acts: bool
    ) -> Callable[[], Grammar] | None:
        """Return a grammar of answers: held to `schema`, if there is one, or calls that fit their functions.

        Raises EngineError if a schema cannot be used.
        """
        answer = None if schema is None else constraints.json_schema(schema or None)
        if not self.callable:
            return answer
        rules = [f"call{n}: {json.dumps(f.name + ' ')} arguments{n}" for n, f in enumerate(self.callable)]
        rules += [
            f"arguments{n}: %json {json.dumps({'type': 'object'} | f.parameters | {'x-guidance': COMPACT})}"
            for n, f in enumerate(self.callable)
        ]
        start = "start: " + " | ".join(f"call{n}" for n in range(len(self.callable)))
        call = constraints.lark("\n".join([start, *rules]), subject="a function's JSON schema")
        must, most = self.choice != "auto", MOST_CALLS if self.parallel else 1
        return lambda: Calls(constraints, call, answer() if answer else None, must, most, acts)


COMPACT = {"whitespace_pattern": " ?"}


@dataclass
class Leaving:
    """Carries out with `acting` all calls but those `called` so, which are the client's to carry out."""

    acting: Actor
    called: set[str]

    def act(self, call: Call) -> Outcome | None:
        """Carry out a call, or leave it."""
        return None if call.name in self.called else self.acting.act(call)

    def fork(self) -> Actor:
        """Return the actor of an agent, which has nobody to leave calls to."""
        return self.acting.fork()


class Calls:
    """The grammar of one reply that may (or `must`) call functions, at most so many, instead of an answer."""

    def __init__(
        self,
        constraints: Constraints,
        call: Callable[[], Grammar],
        answer: Grammar | None,
        must: bool,
        most: int,
        acts: bool,
    ) -> None:
        self.constraints, self.call, self.answer = constraints, call, answer
        self.must, self.left, self.acts = must, most, acts
        self.has_called = self.begun = self.has_thought = False
        self.writing: Answer | None = None

    def mask(self, state: State) -> np.ndarray | None:
        """Return what may come next, as booleans [V]; None is anything."""
        special = self.constraints.special
        if state == "thinking":
            allowed_V = self.constraints.thinking_V.copy()
            allowed_V[special["call"]] = self.acts
            return allowed_V
        if state == "calling":
            if self.writing is None:  # among the thoughts
                return self.constraints.calling_V
            allowed_V = self.writing.allowed()
            allowed_V[special["/call"]], allowed_V[special["end"]] = allowed_V[special["end"]], False
            return allowed_V
        if self.has_called or (self.must and not self.begun):
            allowed_V = np.zeros(self.constraints.vocabulary, bool)
            allowed_V[special["end"]] = self.has_called
            allowed_V[special["call"]] = self.left > 0
            allowed_V[special["think"]] = not self.has_called and not self.has_thought
            return allowed_V
        allowed_V = np.ones(self.constraints.vocabulary, bool) if self.answer is None else self.answer.mask(state)
        assert allowed_V is not None
        allowed_V[special["call"]] = not self.begun
        # Who is made to end its thoughts would open them again, over and over.
        allowed_V[special["think"]] &= not (self.begun or self.has_thought)
        return allowed_V

    def accept(self, token: int, state: State) -> bool:
        """Take note of a token; return whether the reply is whole and nothing can follow."""
        special = self.constraints.special
        self.has_thought |= token == special["/think"]
        if state == "answering" and token == special["call"]:
            made = self.call()
            assert isinstance(made, Answer)
            self.writing, self.left = made, self.left - 1
        elif state == "calling" and self.writing is not None:
            if token == special["/call"]:
                self.writing, self.has_called = None, True
                return self.left <= 0
            self.writing.matcher.consume_token(token)
        elif state == "answering" and token != special["think"]:
            self.begun = True
            return self.answer is not None and self.answer.accept(token, state)
        return False
