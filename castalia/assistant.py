"""A loaded model as people use it from Python: questions with pictures and sounds in, answers out."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from castalia.actions.action import Action
from castalia.actions.catalog import build_actions
from castalia.document import Content, Document, Image, Part, Speech
from castalia.engine.engine import Engine, Event
from castalia.errors import EngineError, SpeechError
from castalia.perception.image import load_image
from castalia.perception.speech import load_speech
from castalia.reasoning.contemplate import MOST_AGENTS, Contemplate
from castalia.reasoning.effort import Thinking
from castalia.reasoning.strategies import OneChain, Strategy, Verdict
from castalia.tasks.effort import Effort
from castalia.tasks.merging import BRIEFS
from castalia.training.run import load_model, load_recipe_of

Picture = str | Path | bytes | np.ndarray | Image
Sound = str | Path | bytes | np.ndarray | Speech


@dataclass(frozen=True)
class Assistant:
    """A model in its engine, with the actions it has learned; see `castalia.load`."""

    engine: Engine
    actions: dict[str, Action] = field(default_factory=dict)
    briefs: tuple[str, ...] = ()
    """What its agents are told, where it has learned to be one of several."""

    @classmethod
    def load(cls, path: Path, actions: Iterable[str] | None = None) -> "Assistant":
        """Load the newest checkpoint of the run at `path`, to take `actions` (by default: what it has learned).

        Raises ActionError for an unknown action.
        """
        engine, data = Engine(*load_model(path)), load_recipe_of(path).data
        learned = ("canvas", "tools") if data.acts else ()
        return cls(engine, build_actions(learned if actions is None else actions), BRIEFS if data.merging else ())

    def ask(
        self,
        question: str = "",
        *,
        image: Picture | list[Picture] | None = None,
        speech: Sound | list[Sound] | None = None,
        effort: Effort = "medium",
        contemplate: int = 0,
        seconds: float | None = None,
        max_tokens: int | None = None,
        temperature: float | None = None,
        seed: int = 0,
    ) -> str:
        """Return the answer to `question` about pictures and sounds.

        A picture is a file, its bytes, a uint8 array [height, width, 3] or an `Image`; a sound is a file, its bytes,
        samples at 16 kHz (floats in [-1, 1] or signed integers) or a `Speech`. `effort` says how much thought it may
        take, `contemplate` how many agents think about it, `seconds` when there must be an answer, `max_tokens` how
        long a reply may be. Raises ImageError or SpeechError if one cannot be read, EngineError for an unknown effort,
        and as `strategy` does.
        """
        thinking = Thinking(effort, self.actions, seconds, max_tokens)
        strategy = self.strategy(thinking, contemplate, temperature)
        return self.answer(as_prompt(question, image=image, speech=speech), strategy, seed).answer

    def strategy(
        self,
        thinking: Thinking,
        contemplate: int = 0,
        temperature: float | None = None,
        watch: Callable[[Event], None] = lambda event: None,
    ) -> Strategy:
        """Return one chain of thought (by default the likeliest), or so many agents that contemplate.

        Raises EngineError for what nobody could answer by: other than 0 to 64 agents, no time, no tokens.
        """
        if not 0 <= contemplate <= MOST_AGENTS:
            raise EngineError(f"contemplate takes from 0 to {MOST_AGENTS} agents, not {contemplate}")
        if not (temperature is None or temperature >= 0):
            raise EngineError(f"temperature is 0 or more, not {temperature}")
        if not (thinking.seconds is None or thinking.seconds > 0):
            raise EngineError(f"an answer takes time: seconds above 0, not {thinking.seconds}")
        if not (thinking.tokens is None or thinking.tokens > 0):
            raise EngineError(f"an answer takes tokens: 1 or more, not {thinking.tokens}")
        if contemplate > 1:
            contemplating = Contemplate(contemplate, thinking, watch=watch, briefs=self.briefs)
            return contemplating if temperature is None else replace(contemplating, temperature=temperature)
        return OneChain(1, thinking, temperature or 0.0, watch)

    def answer(self, prompt: Document, strategy: Strategy, seed: int = 0) -> Verdict:
        """Return the answer to a whole document, with every reply that it was made of."""
        return strategy.answer(self.engine, [prompt], seed)[0]


def as_prompt(
    question: str = "",
    *,
    image: Picture | list[Picture] | None = None,
    speech: Sound | list[Sound] | None = None,
) -> Document:
    """Return pictures, sounds and the question as one document of the user's. Raises ValueError if there is nothing."""
    contents: list[Content] = [_picture(item) for item in _list(image)]
    contents += [_sound(item) for item in _list(speech)]
    contents += [question] if question else []
    if not contents:
        raise ValueError("ask something: a question, an image or speech")
    return Document(tuple(Part(content, "user") for content in contents))


def _list(items: object) -> list:
    return items if isinstance(items, list) else [] if items is None else [items]


def _picture(item: Picture) -> Image:
    if isinstance(item, Image):
        return item
    return Image(item) if isinstance(item, np.ndarray) else load_image(item)


def _sound(item: Sound) -> Speech:
    if isinstance(item, Speech):
        return item
    if not isinstance(item, np.ndarray):
        return load_speech(item)
    if np.issubdtype(item.dtype, np.signedinteger):
        item = item / -float(np.iinfo(item.dtype).min)
    if not np.issubdtype(item.dtype, np.floating):
        raise SpeechError(f"samples of sound are floats in [-1, 1] or signed integers, not {item.dtype}")
    return Speech(item.astype(np.float32))
