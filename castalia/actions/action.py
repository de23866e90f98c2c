"""The contract of every action, and the session that carries out what one reply writes."""

import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from castalia.document import Call, Document, Image, Part
from castalia.errors import ActionError, nearest


@dataclass(frozen=True)
class Branches:
    """Agents to be sent out: a brief for each, how their documents become one, and what each of them may spend."""

    briefs: tuple[Document, ...]
    join: Callable[[list[Document]], Document]
    tokens: int
    seconds: float | None = None


Outcome = Document | Future | Branches
"""What an action gives: what is perceived next, now or later (a future of a document), or agents to send out."""


@dataclass(frozen=True)
class Parameter:
    """One argument of an action: its name, the JSON schema of its values, and its default, if it need not be given."""

    name: str
    schema: dict[str, Any]
    default: Any = ...

    @property
    def required(self) -> bool:
        """Whether it must be given."""
        return self.default is ...


class Action(Protocol):
    """Something the model can write."""

    @property
    def name(self) -> str:
        """The first word of a call; no spaces."""
        ...

    @property
    def about(self) -> str:
        """What it does, in a sentence for the model."""
        ...

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The grammar of its arguments, in order."""
        ...

    def run(self, arguments: dict[str, Any], state: "State") -> Outcome:
        """Carry it out and return what is perceived next. Raises ActionError, which the model is told of."""
        ...


@dataclass
class Allowance:
    """What a reply and all its agents together may still take: agents sent out, and pixels of further pictures."""

    agents: int = 16
    pixels: int = 64_000_000


@dataclass
class State:
    """What the actions of one reply share: pictures as they were given and as they look now, relations, limits.

    `cell` is the side of a patch and `max_side` the longest side of a picture as it is perceived, in pixels. Agents may
    be sent out to a `depth` of that many generations.
    """

    cell: int = 16
    max_side: int = 512

    originals: list[Image] = field(default_factory=list)
    canvases: list[Image] = field(default_factory=list)
    relations: list[tuple[str, str, str]] = field(default_factory=list)
    marks: dict[str, int] = field(default_factory=dict)
    """By label, the number of the picture that is marked."""
    pen: tuple[float, float] | None = None
    allowance: Allowance = field(default_factory=Allowance)
    depth: int = 1

    @classmethod
    def of(cls, prompt: Document, **settings: Any) -> "State":
        """Return the state before anything is done: every picture of the prompt is a canvas."""
        images = [part.content for part in prompt if isinstance(part.content, Image)]
        return cls(originals=images.copy(), canvases=images, **settings)

    def cell_of(self, image: Image) -> float:
        """Return the side of one patch in pixels of `image`, which is perceived smaller if it is large."""
        return self.cell * max(1.0, max(image.height, image.width) / self.max_side)

    def keep(self, images: Sequence[Image]) -> None:
        """Number `images` after those there are. Raises ActionError if they have more pixels than are allowed."""
        pixels = sum(image.height * image.width for image in images)
        if pixels > self.allowance.pixels:
            raise ActionError(f"{pixels:,} pixels are too many: pictures may add {self.allowance.pixels:,} more")
        self.allowance.pixels -= pixels
        self.originals += images
        self.canvases += images

    def fork(self) -> "State":
        """Return the state of an agent that goes on from here on its own."""
        copies = {name: getattr(self, name).copy() for name in ("originals", "canvases", "relations", "marks")}
        return replace(self, **copies, depth=self.depth - 1)


class Session:
    """Carries out the calls of one reply with a set of actions; what goes wrong is said in the document it returns."""

    def __init__(self, actions: Mapping[str, Action], state: State) -> None:
        self.actions, self.state = actions, state

    def act(self, call: Call) -> Outcome:
        """Carry out one call. Never raises."""
        try:
            if call.name not in self.actions:
                name = call.name[:40]  # as long as it was written, looking for the nearest would take long
                raise ActionError(f"there is no action {name!r}: {nearest(name, self.actions)}")
            action = self.actions[call.name]
            outcome = action.run(parse_arguments(action, call.arguments), self.state)
            if isinstance(outcome, Future):
                return _settled(outcome, call.name)
            if not isinstance(outcome, Document | Branches):
                raise TypeError(f"{call.name} returned {type(outcome).__name__}, not a document")
            return outcome
        except Exception as error:  # an action of somebody else's must not end the engine
            return told(error, call.name)

    def fork(self) -> "Session":
        """Return the session of an agent that goes on from here on its own."""
        return Session(self.actions, self.state.fork())


def said(text: str, limit: int = 10_000) -> Document:
    """Return a document in which a tool says `text`, of which at most `limit` characters are kept."""
    return Document((Part(shortened(text, limit), "tool"),))


def shortened(text: str, limit: int) -> str:
    """Return at most the first `limit` characters of `text`, an ellipsis if there are more; all can be encoded."""
    # JSON can smuggle in half a surrogate pair, which no tokenizer takes.
    kept = text[:limit].encode("utf-8", "replace").decode()
    return kept if len(text) <= limit else f"{kept} …"


def told(error: BaseException, name: str) -> Document:
    """Return a document that tells the model what went wrong in the action called `name`."""
    if isinstance(error, ActionError):
        return said(f"error: {error}", limit=500)
    return said(f"error: {name} failed: {type(error).__name__}", limit=500)


def _settled(outcome: Future, name: str) -> Future:
    """Return a future that ends in a document however `outcome` ends; to cancel it is to cancel `outcome`."""
    settled: Future = Future()

    def settle(done: Future) -> None:
        if not settled.set_running_or_notify_cancel():
            return
        error = CancelledError() if done.cancelled() else done.exception()
        if error is None and not isinstance(done.result(), Document):
            error = TypeError(f"{name} ended in {type(done.result()).__name__}, not a document")
        settled.set_result(done.result() if error is None else told(error, name))

    outcome.add_done_callback(settle)
    settled.add_done_callback(lambda future: future.cancelled() and outcome.cancel())
    return settled


LONGEST_ARGUMENTS = 100_000
"""Characters of one call's arguments."""


def parse_arguments(action: Action, text: str) -> dict[str, Any]:
    """Read arguments: a JSON object by name, or a JSON array in order of the parameters.

    ``null`` for what need not be given is the same as not giving it. Raises ActionError if they are not JSON (which
    knows no NaN and no infinity), or one is unknown, missing or of the wrong type.
    """
    if len(text) > LONGEST_ARGUMENTS:
        raise ActionError(f"the arguments of {action.name} are longer than {LONGEST_ARGUMENTS} characters")
    try:
        values = json.loads(text, parse_float=_finite, parse_constant=_finite)
    except (ValueError, RecursionError) as error:
        raise ActionError(f"the arguments of {action.name} are not JSON") from error
    names = [parameter.name for parameter in action.parameters]
    if isinstance(values, list):
        if len(values) > len(names):
            raise ActionError(f"{action.name} takes at most {len(names)} arguments, got {len(values)}")
        values = dict(zip(names, values, strict=False))
    if not isinstance(values, dict):
        raise ActionError(f"the arguments of {action.name} are a JSON object or array")
    for name in values:
        if name not in names:
            raise ActionError(f"{action.name} has no argument {name[:40]!r}: {nearest(name, names)}")
    arguments = {}
    for parameter in action.parameters:
        value = values.get(parameter.name)
        if parameter.required and parameter.name not in values:
            raise ActionError(f"{action.name} needs {parameter.name}")
        if value is None and not parameter.required:
            arguments[parameter.name] = parameter.default
        else:
            check(value, parameter.schema, f"{parameter.name} of {action.name}")
            arguments[parameter.name] = value
    return arguments


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is not a number")
    return value


TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}


def check(value: Any, schema: dict[str, Any], name: str) -> None:
    """Raise ActionError unless `value` fits `schema`: type, enum, items, minItems, maxItems, maxLength, and bounds.

    What else a schema says is for the action itself to check.
    """
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(_is_a(value, kind) for kind in kinds):
        raise ActionError(f"{name} must be of type {' or '.join(kinds)}")
    if "enum" in schema and value not in schema["enum"]:
        raise ActionError(f"{name} must be one of {', '.join(map(str, schema['enum']))}")
    if isinstance(value, int | float) and not isinstance(value, bool):
        # An integer of JSON has no bounds of its own, but what is done with it may fail beyond what a float holds.
        least, most = schema.get("minimum", -sys.float_info.max), schema.get("maximum", sys.float_info.max)
        if not least <= value <= most:
            raise ActionError(f"{name} must be from {least:g} to {most:g}")
    if isinstance(value, str) and len(value) > schema.get("maxLength", 10_000):
        raise ActionError(f"{name} is longer than {schema.get('maxLength', 10_000)} characters")
    if isinstance(value, list):
        if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", 1_000):
            raise ActionError(f"{name} must have {schema.get('minItems', 0)} to {schema.get('maxItems', 1_000)} items")
        # Of one schema for all; or, before JSON Schema 2020-12, of one for each place; or of True, which says nothing.
        items = schema.get("items", {})
        schemas = items if isinstance(items, list) else [items] * len(value)
        for item, its in zip(value, schemas, strict=False):
            check(item, its if isinstance(its, dict) else {}, f"an item of {name}")


def _is_a(value: Any, kind: str) -> bool:
    return isinstance(value, TYPES.get(kind, ())) and (kind == "boolean" or not isinstance(value, bool))
