"""Context: everything one request was given and has written so far, position by position."""

from dataclasses import dataclass, field
from hashlib import blake2b

import numpy as np

from castalia.perception.sequence import ImageSpan, Kind, Sequence

PAGE = 16
"""Positions of one page of the cache."""


@dataclass
class Context:
    """Positions that grow: observations are appended whole, written tokens one by one.

    ``first[p]`` and ``last[p]`` bound what position p sees beyond the positions before it: itself or, inside an image,
    the whole image. ``learned[p]`` is 1 where the model wrote the token itself, ``logprobs[p]`` how likely it was.
    """

    tokens: list[int] = field(default_factory=list)
    places: list[tuple[int, int, int]] = field(default_factory=list)
    first: list[int] = field(default_factory=list)
    last: list[int] = field(default_factory=list)
    learned: list[float] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    pieces: list[tuple[int, Sequence]] = field(default_factory=list)
    """What was appended whole, and the position where it begins."""
    keys: list[bytes] = field(default_factory=list)
    """Of every whole page: a digest of everything up to its end."""

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def time(self) -> int:
        """The moment of the next position."""
        return self.places[-1][0] + 1 if self.places else 0

    def append(self, sequence: Sequence) -> None:
        """Append what was perceived."""
        start, time, count = len(self), self.time, len(sequence)
        self.tokens += sequence.tokens_T.tolist()
        self.places += [(time + t, row, column) for t, row, column in sequence.places_T3.tolist()]
        positions = list(range(start, start + count))
        first, last = positions.copy(), positions
        for span in sequence.spans:
            inside = span.stop - span.start
            first[span.start : span.stop] = [start + span.start] * inside
            last[span.start : span.stop] = [start + span.stop - 1] * inside
        self.first += first
        self.last += last
        self.learned += [0.0] * count
        self.logprobs += [0.0] * count
        if len(sequence.patches_NP) or len(sequence.frames_MF):
            self.pieces.append((start, sequence))

    def write(self, token: int, logprob: float, learned: bool = True) -> None:
        """Append one token; `learned` says that the model chose it."""
        position = len(self)
        self.places.append((self.time, 0, 0))
        self.tokens.append(token)
        self.first.append(position)
        self.last.append(position)
        self.learned.append(float(learned))
        self.logprobs.append(logprob)

    def fork(self) -> "Context":
        """Return a copy that grows for itself; the cache recognises what both share."""
        names = ("tokens", "places", "first", "last", "learned", "logprobs", "pieces", "keys")
        return Context(**{name: getattr(self, name).copy() for name in names})

    def features(self, start: int, stop: int) -> list[tuple[str, np.ndarray, np.ndarray]]:
        """Return ("patches" or "frames", positions relative to `start`, values) of what lies in [start, stop)."""
        found = []
        for begin, sequence in self.pieces:
            if begin >= stop or begin + len(sequence) <= start:
                continue
            window = slice(max(0, start - begin), stop - begin)
            for name, kind, values in (
                ("patches", Kind.PATCH, sequence.patches_NP),
                ("frames", Kind.FRAME, sequence.frames_MF),
            ):
                is_kind_T = sequence.kinds_T == kind
                at_N = np.flatnonzero(is_kind_T[window])
                if len(at_N):
                    before = int(is_kind_T[: window.start].sum())
                    found.append((name, at_N + window.start + begin - start, values[before : before + len(at_N)]))
        return found

    def page_key(self, page: int) -> bytes:
        """Return the digest of everything up to the end of whole page `page`, pictures and sounds included.

        A page that holds part of an image depends on all of it, for patches see each other.
        """
        while len(self.keys) <= page:
            start = len(self.keys) * PAGE
            stop = start + PAGE
            digest = blake2b(self.keys[-1] if self.keys else b"", digest_size=16)
            digest.update(np.array(self.tokens[start:stop], np.int32).tobytes())
            digest.update(np.array(self.places[start:stop], np.int32).tobytes())
            for _, at_N, values in self.features(self.first[start], max(self.last[start:stop]) + 1):
                digest.update(at_N.tobytes())
                digest.update(np.ascontiguousarray(values).tobytes())
            self.keys.append(digest.digest())
        return self.keys[page]

    def sequence(self, patch_values: int, frame_values: int) -> Sequence:
        """Return all positions as one sequence: weights are 1 on what the model wrote, with its log-probabilities."""
        T = len(self)
        kinds_T, images_T = np.zeros(T, np.uint8), np.full(T, -1, np.int32)
        patches, frames, spans = [], [], []
        for begin, piece in self.pieces:
            kinds_T[begin : begin + len(piece)] = piece.kinds_T
            images_T[begin : begin + len(piece)] = np.where(piece.images_T >= 0, piece.images_T + len(spans), -1)
            spans += [ImageSpan(s.start + begin, s.stop + begin, s.height, s.width) for s in piece.spans]
            patches.append(piece.patches_NP)
            frames.append(piece.frames_MF)
        return Sequence(
            kinds_T=kinds_T,
            tokens_T=np.array(self.tokens, np.int32),
            places_T3=np.array(self.places, np.int32).reshape(-1, 3),
            images_T=images_T,
            weights_T=np.array(self.learned, np.float32),
            patches_NP=np.concatenate([np.zeros((0, patch_values), np.int16), *patches]),
            frames_MF=np.concatenate([np.zeros((0, frame_values), np.float32), *frames]),
            spans=tuple(spans),
            logprobs_T=np.array(self.logprobs, np.float32),
        )
