"""Answers of a given form: JSON that fits a schema, or text of a grammar, through llguidance."""

import json
from collections.abc import Callable
from typing import Any

import llguidance
import llguidance.numpy
import numpy as np

from castalia.engine.request import Grammar, State
from castalia.errors import EngineError
from castalia.perception.perceive import Perception


def json_schema(perception: Perception, schema: dict[str, Any]) -> Callable[[], Grammar]:
    """Return what makes a fresh grammar for each reply: its answer is JSON that fits `schema`.

    Raises EngineError if the schema is none, or uses what is not supported.
    """
    return _constrained(perception, llguidance.LLMatcher.grammar_from_json_schema(json.dumps(schema)), "JSON schema")


def lark(perception: Perception, grammar: str) -> Callable[[], Grammar]:
    """Return the same for a context-free grammar in llguidance's variant of Lark. Raises EngineError if it is none."""
    return _constrained(perception, llguidance.LLMatcher.grammar_from_lark(grammar), "grammar")


def _constrained(perception: Perception, grammar: str, called: str) -> Callable[[], Grammar]:
    tokenizer = llguidance.LLTokenizer(perception.tokenizer.to_json(), eos_token=perception.special["end"])
    wrong = llguidance.LLMatcher(tokenizer, grammar, log_level=0).get_error()
    if wrong:
        raise EngineError(f"the {called} cannot be used: {wrong.strip().splitlines()[0]}")
    opening = tuple(perception.special[name] for name in ("think", "call"))
    return lambda: Constrained(llguidance.LLMatcher(tokenizer, grammar, log_level=0), tokenizer.vocab_size, opening)


class Constrained:
    """Allows what the grammar allows in the answer; thoughts and calls, which may come before it, are free."""

    def __init__(self, matcher: llguidance.LLMatcher, vocabulary: int, opening: tuple[int, ...]) -> None:
        self.matcher, self.opening, self.begun = matcher, opening, False
        self.bits = llguidance.numpy.allocate_token_bitmask(1, vocabulary)

    def mask(self, state: State) -> np.ndarray | None:
        """Return a boolean array [V] of the tokens that may come next, None for any."""
        if state != "answering":
            return None
        llguidance.numpy.fill_next_token_bitmask(self.matcher, self.bits)
        allowed_V = np.unpackbits(self.bits.view(np.uint8)[0], bitorder="little").astype(bool)
        if not self.begun:
            allowed_V[list(self.opening)] = True
        return allowed_V

    def accept(self, token: int, state: State) -> bool:
        """Take note of the token that was written; return whether the text is complete and must end."""
        if state != "answering" or token in self.opening:
            return False
        self.begun = True
        return not self.matcher.consume_token(token) or self.matcher.is_stopped()
