"""Effort: how much the model may think before it answers. It is told, and the engine holds it to it."""

from collections.abc import Mapping
from dataclasses import dataclass

from castalia.actions.action import Action, Session, State
from castalia.document import Document
from castalia.engine.request import Actor, Budget
from castalia.errors import EngineError, nearest
from castalia.perception.perceive import Perception
from castalia.tasks.effort import THINKING, Effort, tell

ACTIONS: dict[Effort, int] = {"none": 0, "minimal": 0, "low": 4, "medium": 32, "high": 64}
"""Actions at most, by effort."""
SENDING = {"spawn"}
"""Actions that send out agents; all others make a model act for itself."""
ANSWER = 96
"""Tokens an answer may take beyond the thoughts."""


@dataclass(frozen=True)
class Thinking:
    """A way to think: how much effort, with which actions, for how many seconds and (in all) tokens at most."""

    effort: Effort = "medium"
    actions: Mapping[str, Action] | None = None
    seconds: float | None = None
    tokens: int | None = None

    def __post_init__(self) -> None:
        if self.effort not in THINKING:
            raise EngineError(f"unknown effort {self.effort!r}: {nearest(self.effort, THINKING)}")

    @property
    def acts(self) -> bool:
        """Whether the model may act: there are actions, and effort enough for them."""
        return bool(self.actions) and ACTIONS[self.effort] > 0

    @property
    def budget(self) -> Budget:
        """What a reply may cost."""
        thinking = THINKING[self.effort]
        tokens = thinking + ANSWER if self.tokens is None else self.tokens
        return Budget(tokens, thinking, self.seconds, ACTIONS[self.effort] if self.acts else 0)

    def told(self, prompt: Document) -> Document:
        """Return the prompt with what the model is told of effort and actions before it."""
        names = set(self.actions or ()) if self.acts else set()
        return tell(self.effort, acting=bool(names - SENDING), agents=bool(names & SENDING)) + prompt

    def actor(self, prompt: Document, perception: Perception) -> Actor | None:
        """Return whoever carries out the calls of one reply to `prompt`; None if it may not act."""
        if not self.acts or self.actions is None:
            return None
        config = perception.config
        return Session(self.actions, State.of(prompt, cell=config.patch_size, max_side=config.max_side))
