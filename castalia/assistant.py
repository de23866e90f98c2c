"""A loaded model as people use it from Python: questions with pictures and sounds in, answers out."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from castalia.document import Content, Document, Image, Part, Speech
from castalia.engine.engine import Engine
from castalia.engine.request import Budget, Reply, Sampling
from castalia.model.decoder import Decoder
from castalia.perception.image import load_image
from castalia.perception.perceive import Perception
from castalia.perception.speech import load_speech
from castalia.training.run import load_model

Picture = str | Path | bytes | np.ndarray | Image
Sound = str | Path | bytes | np.ndarray | Speech


@dataclass(frozen=True)
class Assistant:
    """A model and its perception; see `castalia.load`."""

    model: Decoder
    perception: Perception

    @classmethod
    def load(cls, path: Path) -> "Assistant":
        """Load the newest checkpoint of the run at `path`."""
        return cls(*load_model(path))

    def ask(
        self,
        question: str = "",
        *,
        image: Picture | list[Picture] | None = None,
        speech: Sound | list[Sound] | None = None,
        max_tokens: int = 256,
        temperature: float = 0.0,
        seed: int = 0,
    ) -> str:
        """Return the answer to `question` about pictures and sounds.

        A picture is a file, its bytes, a uint8 array [height, width, 3] or an `Image`; a sound is a file, its bytes,
        float32 samples at 16 kHz or a `Speech`. Raises ImageError or SpeechError if one cannot be read.
        """
        sampling, budget = Sampling(temperature=temperature, seed=seed), Budget(max_tokens)
        return self.reply(question, image=image, speech=speech, sampling=sampling, budget=budget).answer

    def reply(
        self,
        question: str = "",
        *,
        image: Picture | list[Picture] | None = None,
        speech: Sound | list[Sound] | None = None,
        sampling: Sampling | None = None,
        budget: Budget | None = None,
    ) -> Reply:
        """Like `ask`, but return thoughts, tokens and log-probabilities too."""
        contents: list[Content] = [_picture(item) for item in _list(image)]
        contents += [_sound(item) for item in _list(speech)]
        contents += [question] if question else []
        if not contents:
            raise ValueError("ask something: a question, an image or speech")
        document = Document(tuple(Part(content, "user") for content in contents))
        return Engine(self.model, self.perception).generate([document], sampling, budget)[0]


def _list(items: object) -> list:
    return items if isinstance(items, list) else [] if items is None else [items]


def _picture(item: Picture) -> Image:
    if isinstance(item, Image):
        return item
    return Image(item) if isinstance(item, np.ndarray) else load_image(item)


def _sound(item: Sound) -> Speech:
    if isinstance(item, Speech):
        return item
    return Speech(item.astype(np.float32)) if isinstance(item, np.ndarray) else load_speech(item)
