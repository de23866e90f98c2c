"""Document -> Sequence: every part becomes positions of one kind of sequence."""

from dataclasses import dataclass

import numpy as np

from castalia.document import Call, Document, Image, Part, Speech
from castalia.perception.image import fit, patchify
from castalia.perception.sequence import ImageSpan, Kind, Sequence
from castalia.perception.speech import FEATURES, frames
from castalia.perception.text import SPECIAL, Tokenizer


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

        Every turn opens with its author's mark. An assistant's turn closes with ``<|end|>``; its thoughts stand
        between ``<|think|>`` and ``<|/think|>``, its calls between ``<|call|>`` and ``<|/call|>``.
        """
        builder = _Builder(self)
        builder.token("document")
        for index, part in enumerate(document):
            following = document.parts[index + 1] if index + 1 < len(document) else None
            before = document.parts[index - 1] if index else None
            if before is None or before.author != part.author or _is_answer(before):
                builder.token(part.author)
            builder.part(part, before, following)
            if part.author == "assistant" and (_is_answer(part) or following is None or following.author == "user"):
                builder.token("end", float(part.learned))
        if reply:
            builder.token("assistant")
        return builder.build()


def _is_answer(part: Part) -> bool:
    """An assistant's plain words end its turn; thoughts and calls go on."""
    return part.author == "assistant" and not part.thought and not isinstance(part.content, Call)


class _Builder:
    """Positions in the making."""

    def __init__(self, perception: Perception) -> None:
        self.perception = perception
        self.config = perception.config
        self.special = perception.special
        self.time = 0
        self.kinds: list[int] = []
        self.tokens: list[int] = []
        self.weights: list[float] = []
        self.images: list[int] = []
        self.places: list[tuple[int, int, int]] = []
        self.patches: list[np.ndarray] = []
        self.frames: list[np.ndarray] = []
        self.spans: list[ImageSpan] = []

    def token(self, name: str, weight: float = 0.0) -> None:
        """Append one special token."""
        self.text([self.special[name]], weight)

    def text(self, ids: list[int], weight: float) -> None:
        """Append text tokens, one step of time each."""
        count = len(ids)
        self._append(Kind.TEXT, ids, weight, [(self.time + i, 0, 0) for i in range(count)])
        self.time += count

    def part(self, part: Part, before: Part | None, following: Part | None) -> None:
        """Append one part with the marks around it."""
        weight, content = float(part.learned), part.content
        thinking = part.thought and part.author == "assistant"
        if thinking and not (before and before.thought and before.author == "assistant"):
            self.token("think", weight)
        if isinstance(content, str):
            self.text(self.perception.tokenizer.encode(content), weight)
        elif isinstance(content, Image):
            self.image(content)
        elif isinstance(content, Speech):
            self.speech(content)
        else:
            self.token("call", weight)
            self.text(self.perception.tokenizer.encode(f"{content.name} {content.arguments}"), weight)
            self.token("/call", weight)
        if thinking and not (following and following.thought and following.author == "assistant"):
            self.token("/think", weight)

    def image(self, image: Image) -> None:
        """Append ``<|image|>``, one patch of bare background at the corner past the grid, then the patches.

        The background patch says how large the grid is (by its place) and what the dropped patches look like, so
        nothing is lost by dropping them. All patches share one moment.
        """
        patches = patchify(fit(image, self.config.max_side), self.config.patch_size)
        self.token("image")
        start = len(self.tokens)
        background_P = np.tile(patches.background_3, self.config.patch_size**2)
        kept_NP, places_N2 = patches.patches_NP, patches.places_N2
        if not self.config.drop_empty_patches:
            kept_NP, places_N2 = _all_patches(patches.rows, patches.columns, background_P, kept_NP, places_N2)
        places = [(self.time, patches.rows, patches.columns)]
        places += [(self.time, row, column) for row, column in places_N2.tolist()]
        self.patches.append(np.concatenate((background_P[None], kept_NP)))
        self._append(Kind.PATCH, [self.special["patch"]] * len(places), 0.0, places, len(self.spans))
        self.spans.append(ImageSpan(start, len(self.tokens), patches.height, patches.width))
        self.time += 1

    def speech(self, speech: Speech) -> None:
        """Append ``<|speech|>`` and one position per 80 ms of sound or per silence."""
        heard = frames(speech)
        self.token("speech")
        silent = heard.is_silence_S.tolist()
        for is_silence in silent:
            kind, name = (Kind.TEXT, "silence") if is_silence else (Kind.FRAME, "frame")
            self._append(kind, [self.special[name]], 0.0, [(self.time, 0, 0)])
            self.time += 1
        self.frames.append(heard.features_MF)

    def _append(
        self, kind: Kind, ids: list[int], weight: float, places: list[tuple[int, int, int]], image: int = -1
    ) -> None:
        count = len(ids)
        self.kinds += [int(kind)] * count
        self.tokens += ids
        self.weights += [weight] * count
        self.images += [image] * count
        self.places += places

    def build(self) -> Sequence:
        """Return the finished sequence."""
        return Sequence(
            kinds_T=np.array(self.kinds, np.uint8),
            tokens_T=np.array(self.tokens, np.int32),
            places_T3=np.array(self.places, np.int32).reshape(-1, 3),
            images_T=np.array(self.images, np.int32),
            weights_T=np.array(self.weights, np.float32),
            patches_NP=_stack(self.patches, self.config.patch_values, np.uint8),
            frames_MF=_stack(self.frames, self.config.frame_values, np.float32),
            spans=tuple(self.spans),
        )


def _stack(arrays: list[np.ndarray], width: int, dtype: type) -> np.ndarray:
    return np.concatenate(arrays).astype(dtype, copy=False) if arrays else np.zeros((0, width), dtype)


def _all_patches(
    rows: int, columns: int, background_P: np.ndarray, kept_NP: np.ndarray, places_N2: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Put the dropped patches back, in reading order."""
    full = np.tile(background_P, (rows * columns, 1))
    full[places_N2[:, 0] * columns + places_N2[:, 1]] = kept_NP
    places = np.stack(np.divmod(np.arange(rows * columns), columns), -1)
    return full, places
