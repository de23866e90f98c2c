"""Document -> Sequence: every part becomes positions of one kind of sequence."""

from dataclasses import dataclass, replace

import numpy as np

from castalia.document import Call, Document, Image, Part, Speech
from castalia.perception.image import changed, fit, patchify
from castalia.perception.sequence import ImageSpan, Kind, Sequence
from castalia.perception.speech import FEATURES, frames
from castalia.perception.text import SPECIAL, Tokenizer

MID_GREY = 128
"""What the bare background of a picture is taken relative to."""


@dataclass(frozen=True)
class PerceptionConfig:
    """How documents are cut into positions."""

    patch_size: int = 16
    """Side of a square patch, in pixels."""
    max_side: int = 512
    """Longest side of a picture in pixels; larger ones are scaled down."""
    drop_empty_patches: bool = True
    """Leave out patches that equal their background; their places are kept by position."""

    @property
    def patch_values(self) -> int:
        """Values of one patch."""
        return self.patch_size**2 * 3

    @property
    def frame_values(self) -> int:
        """Features of one 80 ms frame of sound."""
        return FEATURES


class Perception:
    """Turns documents into sequences with one tokenizer and one configuration."""

    def __init__(self, tokenizer: Tokenizer, config: PerceptionConfig | None = None) -> None:
        self.tokenizer = tokenizer
        self.config = config or PerceptionConfig()
        self.special = {name.strip("<|>"): tokenizer.special(name) for name in SPECIAL}

    def __call__(self, document: Document, *, reply: bool = False) -> Sequence:
        """Return the document's sequence; with `reply` it ends with the mark after which the assistant speaks.

        Every turn opens with its author's mark. An assistant's turn closes with ``<|end|>`` after its words, or after
        what it calls then; its thoughts stand between ``<|think|>`` and ``<|/think|>``, its calls between ``<|call|>``
        and ``<|/call|>``. What a tool returns to a call among the thoughts stands among them too.
        """
        builder = _Builder(self)
        builder.token("document")
        author: str | None = None  # whose turn it is
        for part, following in zip(document, (*document.parts[1:], None), strict=False):
            if part.author != author:
                builder.token(part.author)
                author = part.author
            builder.part(part)
            if author == "assistant" and _is_last(part, following):
                builder.end(float(part.learned))
                author = None
        if reply:
            builder.token("assistant")
        return builder.build()

    def observation(self, document: Document) -> Sequence:
        """Return the positions that follow a call: the tool's mark, what it returned, and the assistant's mark.

        Times count from 0; nothing is learned. As a part of a whole document the same positions come out.
        """
        builder = _Builder(self)
        builder.token("tool")
        for part in document.unlearned():
            builder.part(replace(part, author="tool", thought=False))
        builder.token("assistant")
        return builder.build()


def _is_last(part: Part, following: Part | None) -> bool:
    """An assistant's plain words end its turn, unless it calls something after them; thoughts and calls go on."""
    if following is None or following.author == "user":
        return True
    calls_next = following.author == "assistant" and isinstance(following.content, Call)
    return not (part.thought or isinstance(part.content, Call) or calls_next)


class _Builder:
    """Positions in the making: token ids one by one; of all else, where it differs from unlearned text."""

    def __init__(self, perception: Perception) -> None:
        self.perception = perception
        self.config = perception.config
        self.special = perception.special
        self.tokens: list[int] = []
        self.learned: list[tuple[int, int, float]] = []  # start, stop and weight
        self.patches: list[np.ndarray] = []
        self.grids: list[np.ndarray] = []  # row and column of each patch, image by image
        self.frames: list[np.ndarray] = []
        self.spans: list[ImageSpan] = []
        self.thinking: float | None = None  # the weight of the thought that is open

    def token(self, name: str, weight: float = 0.0) -> None:
        """Append one special token."""
        self.text([self.special[name]], weight)

    def text(self, ids: list[int], weight: float) -> None:
        """Append text tokens."""
        if weight:
            self.learned.append((len(self.tokens), len(self.tokens) + len(ids), weight))
        self.tokens += ids

    def part(self, part: Part) -> None:
        """Append one part with the marks before it."""
        weight, content = float(part.learned), part.content
        if part.author == "assistant":
            if not part.thought:
                self.close_thoughts()
            elif self.thinking is None:
                self.token("think", weight)
            self.thinking = weight if part.thought else None
        if isinstance(content, str):
            tokenizer = self.perception.tokenizer
            self.text(tokenizer.spell(content) if part.spelled else tokenizer.encode(content), weight)
        elif isinstance(content, Image):
            self.image(content)
        elif isinstance(content, Speech):
            self.speech(content)
        else:
            self.token("call", weight)
            self.text(self.perception.tokenizer.encode(f"{content.name} {content.arguments}"), weight)
            self.token("/call", weight)

    def close_thoughts(self) -> None:
        """Append the mark that ends the thoughts, if they are open."""
        if self.thinking is not None:
            self.token("/think", self.thinking)
        self.thinking = None

    def end(self, weight: float) -> None:
        """End the assistant's turn."""
        self.close_thoughts()
        self.token("end", weight)

    def image(self, image: Image) -> None:
        """Append ``<|image|>``, one patch of bare background at the corner past the grid, then the patches.

        The background patch says how large the grid is (by its place) and what the dropped patches look like, so
        nothing is lost by dropping them. All patches share one moment. Pixels are taken relative to the background, so
        that what is drawn looks alike to the model on whatever paper, and paper itself is nothing. Of a picture that
        was seen before only the patches that have changed are appended, empty ones among them.
        """
        patches = patchify(fit(image, self.config.max_side), self.config.patch_size)
        since = None if image.since is None else fit(image.since, self.config.max_side)
        before = None if since is None else patchify(since, self.config.patch_size)
        self.token("image")
        start = len(self.tokens)
        background_1P = np.empty((1, self.config.patch_values), np.uint8)
        background_1P.reshape(-1, 3)[:] = before.background_3 if before is not None else patches.background_3
        kept_NP, places_N2 = patches.patches_NP, patches.places_N2
        if before is not None:
            kept_NP, places_N2 = changed(before, patches)
        elif not self.config.drop_empty_patches:
            kept_NP, places_N2 = _all_patches(patches.rows, patches.columns, background_1P, kept_NP, places_N2)
        relative_NP = kept_NP.astype(np.int16)
        relative_NP -= background_1P
        self.patches += [background_1P.astype(np.int16) - MID_GREY, relative_NP]
        self.grids += [np.array([[patches.rows, patches.columns]]), places_N2]
        self.tokens += [self.special["patch"]] * (1 + len(places_N2))
        self.spans.append(ImageSpan(start, len(self.tokens), patches.height, patches.width))

    def speech(self, speech: Speech) -> None:
        """Append ``<|speech|>`` and one position per 80 ms of sound or per silence."""
        heard = frames(speech)
        self.token("speech")
        self.tokens += np.where(heard.is_silence_S, self.special["silence"], self.special["frame"]).tolist()
        self.frames.append(heard.features_MF)

    def build(self) -> Sequence:
        """Return the finished sequence."""
        tokens_T = np.array(self.tokens, np.int32)
        kinds_T, steps_T = np.zeros(len(tokens_T), np.uint8), np.ones(len(tokens_T), np.int32)
        images_T, places_T3 = np.full(len(tokens_T), -1, np.int32), np.zeros((len(tokens_T), 3), np.int32)
        weights_T = np.zeros(len(tokens_T), np.float32)
        for start, stop, weight in self.learned:
            weights_T[start:stop] = weight
        if self.frames:
            # No text is ever encoded as a special token, so all of these are frames.
            kinds_T[tokens_T == self.special["frame"]] = Kind.FRAME
        for image, span in enumerate(self.spans):
            kinds_T[span.start : span.stop] = Kind.PATCH
            images_T[span.start : span.stop] = image
            steps_T[span.start : span.stop - 1] = 0
        if self.spans:
            places_T3[images_T >= 0, 1:] = np.concatenate(self.grids)
        places_T3[1:, 0] = np.cumsum(steps_T[:-1])
        return Sequence(
            kinds_T=kinds_T,
            tokens_T=tokens_T,
            places_T3=places_T3,
            images_T=images_T,
            weights_T=weights_T,
            patches_NP=_stack(self.patches, self.config.patch_values, np.int16),
            frames_MF=_stack(self.frames, self.config.frame_values, np.float32),
            spans=tuple(self.spans),
        )


def _stack(arrays: list[np.ndarray], width: int, dtype: type) -> np.ndarray:
    return np.concatenate(arrays).astype(dtype, copy=False) if arrays else np.zeros((0, width), dtype)


def _all_patches(
    rows: int, columns: int, background_1P: np.ndarray, kept_NP: np.ndarray, places_N2: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Put the dropped patches back, in reading order."""
    full = np.tile(background_1P, (rows * columns, 1))
    full[places_N2[:, 0] * columns + places_N2[:, 1]] = kept_NP
    places = np.stack(np.divmod(np.arange(rows * columns), columns), -1)
    return full, places
