"""Constraints: answers held to a JSON schema, a Lark grammar or a regular expression; thoughts and calls stay free."""

import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np
from llguidance import LLMatcher, LLParserLimits, LLTokenizer
from llguidance.numpy import allocate_token_bitmask, fill_next_token_bitmask

from castalia.engine.request import Grammar, State
from castalia.errors import EngineError
from castalia.perception.perceive import Perception
from castalia.perception.text import SPECIAL

WHITESPACE = " ?"
"""Between the tokens of JSON: what `json.dumps` writes, or nothing. A model cannot lose itself in blanks."""

# What may hold "<" in a Lark grammar: comments, strings and regular expressions. Elsewhere it names a special token.
LARK_TEXT = re.compile(r"""(?://|\#)[^\n]*|"(?:\\.|[^"\\])*"|/(?:\\.|[^/\\])+/""")


class Constraints:
    """Makes grammars for `Sampling.grammar` with one perception's tokenizer, which is read once.

    A grammar holds the answer alone: before it begins the model may open thoughts and calls, and write in them what it
    likes so long as it closes them. `Reply.stopped` is "end" only where the answer is whole. If that cannot be, by the
    tokens that are left or by a grammar that leads nowhere or grows too complex on the way, the reply fills its budget
    and stops with "length".
    """

    def __init__(self, perception: Perception) -> None:
        self.vocabulary = perception.tokenizer.vocab_size
        self.special = perception.special
        self.blank = perception.tokenizer.encode(" ")[0]
        # As in people's texts, names of special tokens are plain text: an answer may have to spell one.
        plain = json.loads(perception.tokenizer.to_json()) | {"added_tokens": []}
        self.tokenizer = LLTokenizer(json.dumps(plain), eos_token=self.special["end"])
        # A reply that ends in its thoughts has no answer, and a call that is not closed reads as one.
        tokens_V = np.arange(self.vocabulary)
        self.thinking_V = tokens_V != self.special["end"]
        self.calling_V = (tokens_V >= len(SPECIAL)) | (tokens_V == self.special["/call"])

    def json_schema(self, schema: dict[str, Any] | str | None = None) -> Callable[[], Grammar]:
        """Hold answers to a JSON schema, a dict or JSON text; with None, to any JSON object.

        Raises EngineError if it is not a schema, asks for what cannot be kept, or nothing satisfies it.
        """
        subject = "the JSON schema"
        try:
            read = json.loads(schema) if isinstance(schema, str) else {"type": "object"} if schema is None else schema
            text = json.dumps(read, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise EngineError(f"{subject} is not JSON: {error}") from error
        if not isinstance(read, dict):
            raise EngineError(f"{subject} must be an object, got {text[:40]}")
        return self._made(subject, text, _from_json_schema)

    def lark(self, grammar: str, subject: str = "the Lark grammar") -> Callable[[], Grammar]:
        """Hold answers to a Lark grammar, as llguidance understands it, of text alone.

        Raises EngineError, about the `subject`, if it is malformed, names special tokens, or nothing satisfies it.
        """
        if "<" in LARK_TEXT.sub("", grammar):
            raise EngineError(f"{subject} names special tokens (<...>), but answers are text; quote a plain <")
        return self._made(subject, grammar, LLMatcher.grammar_from_lark)

    def regex(self, pattern: str) -> Callable[[], Grammar]:
        """Hold answers, from first to last character, to a regular expression as Rust's crate `regex` understands it.

        Raises EngineError if it is malformed, looks around or back, or nothing matches it.
        """
        return self._made("the regular expression", pattern, LLMatcher.grammar_from_regex)

    def _made(self, subject: str, text: str, read: Callable[[str], str]) -> Callable[[], Grammar]:
        # The library's own account of its state is no sentence for a person.
        limits = LLParserLimits(verbose_errors=False)
        try:
            matcher = LLMatcher(self.tokenizer, read(text), log_level=0, limits=limits)
        except ValueError as error:  # nested too deep, or half a surrogate pair
            raise EngineError(f"{subject} cannot be read: {error}") from error
        if matcher.is_error():
            raise EngineError(f"{subject} cannot be used: {_sentence(matcher.get_error())}")
        # Some are found to lead nowhere, or to be too complex, only when the first token is about to be written.
        tokens = np.flatnonzero(Answer(self, matcher).allowed())
        if not len(tokens):
            raise EngineError(f"{subject} cannot be used: nothing satisfies it")
        trial = matcher.deep_copy()
        if not trial.consume_token(int(tokens[-1])):
            raise EngineError(f"{subject} cannot be used: {_sentence(trial.get_error())}")
        return lambda: Answer(self, matcher.deep_copy())


class Answer:
    """The grammar of one reply's answer; follows what is written in `matcher`."""

    def __init__(self, constraints: Constraints, matcher: LLMatcher) -> None:
        self.constraints, self.matcher = constraints, matcher
        self.begun = False
        self.has_thought = False

    def mask(self, state: State) -> np.ndarray:
        """Return what may come next, as booleans [V]."""
        if state != "answering":
            return self.constraints.thinking_V if state == "thinking" else self.constraints.calling_V
        allowed_V, special = self.allowed(), self.constraints.special
        if not self.begun:
            # Who is made to end its thoughts would open them again, or act instead, over and over.
            allowed_V[[special["call"], special["think"]]] = not self.has_thought
        elif not allowed_V.any():
            # It leads nowhere. The end would say that the answer is whole.
            allowed_V[self.constraints.blank] = True
        return allowed_V

    def allowed(self) -> np.ndarray:
        """Return how the answer may go on, as booleans [V]; the end is allowed where it is whole."""
        vocabulary, end = self.constraints.vocabulary, self.constraints.special["end"]
        bits = allocate_token_bitmask(1, self.constraints.tokenizer.vocab_size)
        fill_next_token_bitmask(self.matcher, bits)
        allowed_V = np.unpackbits(bits.view(np.uint8), bitorder="little", count=vocabulary).view(bool)
        allowed_V[: len(SPECIAL)] = False
        allowed_V[end] = self.matcher.is_accepting()
        return allowed_V

    def accept(self, token: int, state: State) -> bool:
        """Take note of a token; return whether the answer is whole and nothing can follow."""
        special = self.constraints.special
        self.has_thought |= token == special["/think"]
        if state != "answering" or (not self.begun and token in (special["think"], special["call"])):
            return False
        self.begun = True
        self.matcher.consume_token(token)
        return self.matcher.is_stopped() and self.matcher.is_accepting()


def _from_json_schema(text: str) -> str:
    return LLMatcher.grammar_from_json_schema(text, overrides={"whitespace_pattern": WHITESPACE})


def _sentence(message: str) -> str:
    """Return the gist of an error of several lines: its first line, and what the parser below it says is wrong."""
    gist = re.sub(r"^at \S+ (?=invalid regex)", "", message.partition("\n")[0]).removesuffix("regex parse error:")
    fault = re.search(r"^error: (.*)$", message, re.MULTILINE)
    return (gist + fault[1] if fault else gist)[:300]
