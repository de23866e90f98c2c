"""Asking otherwise: the same question by (synthetic) voice, or written inside the picture."""

import contextlib
import ctypes
import math
import random
import threading
from dataclasses import replace
from functools import lru_cache
from typing import Any, Literal, TypeGuard

import numpy as np
from scipy.signal import resample_poly

from castalia.document import SAMPLE_RATE, Content, Document, Image, Part, Speech
from castalia.errors import TaskError, nearest


class InaudibleError(TaskError):
    """There is nothing in a text that could be heard."""


Medium = Literal["text", "voice", "picture"]
MEDIA: tuple[Medium, ...] = ("text", "voice", "picture")

VOICES = ("en-us", "en-gb-x-rp", "en-us+f2", "en-us+m3", "en-gb-x-rp+f4", "en-gb-scotland+m7")
"""Voices of eSpeak NG: accent, then a variant of the speaker."""

LARGEST = 512
"""Longest side, in pixels, of pictures that are written into; a larger one is seen smaller, and the text with it."""

SLOWEST, FASTEST = 140, 200
"""Words a minute."""

# espeak-ng/speak_lib.h
_OUTPUT_SYNCHRONOUS = 2
_DO_NOT_EXIT = 0x8000
_RATE = 1
_UTF8 = 1


def ask_by_voice(question_text: str, rng: random.Random, voice: str | None = None) -> Speech:
    """Return `question_text` spoken by eSpeak NG, labelled synthetic.

    `rng` draws the speed, and the voice if none is given. Raises TaskError if the optional package ``espeakng-loader``
    is not installed, or has no such voice.
    """
    speed = rng.randrange(SLOWEST, FASTEST + 1, 10)
    return Speech(spoken(question_text, voice or rng.choice(VOICES), speed), synthetic=True)


def present(document: Document, medium: Medium, rng: random.Random) -> Document:
    """Return `document` with what the user writes said by voice or written inside a picture; ``text`` changes nothing.

    Works for prompts and for whole traces: only the user's texts change. One voice asks all questions of a document.
    By ``picture``, the first question is written into the picture just before it; without one, if it is larger than
    `LARGEST`, and for every further question, a blank picture holds the text. Raises TaskError for an unknown medium.
    """
    if medium not in MEDIA:
        raise TaskError(f"unknown medium {medium!r}: {nearest(medium, MEDIA)}")
    if medium == "text":
        return document
    return _by_voice(document, rng) if medium == "voice" else _in_picture(document)


def _by_voice(document: Document, rng: random.Random) -> Document:
    voice = rng.choice(VOICES)
    parts: list[Part] = []
    for part in document:
        if (question := _question_of(part)) is not None:
            with contextlib.suppress(InaudibleError):  # what cannot be said stays written
                part = replace(part, content=ask_by_voice(question, rng, voice))
        parts.append(part)
    return Document(tuple(parts))


def _in_picture(document: Document) -> Document:
    from castalia.tasks.drawing import write_text

    parts: list[Part] = []
    fresh: Image | None = None  # the picture just before, if nothing is written in it yet
    for part in document:
        question = _question_of(part)
        if question is None:
            parts.append(part)
            fresh = part.content if part.author == "user" and _can_be_written_into(part.content) else None
        elif fresh is not None:
            parts[-1] = replace(parts[-1], content=write_text(fresh, question))
            fresh = None
        else:
            parts.append(replace(part, content=write_text(blank(), question)))
    return Document(tuple(parts))


def _can_be_written_into(content: Content) -> TypeGuard[Image]:
    return isinstance(content, Image) and max(content.height, content.width) <= LARGEST


def _question_of(part: Part) -> str | None:
    asked = part.author == "user" and not part.learned
    return part.content if asked and isinstance(part.content, str) else None


def blank(width: int = 160, height: int = 16) -> Image:
    """Return a white picture, for text to be written in."""
    return Image(np.full((height, width, 3), 255, np.uint8))


@lru_cache(maxsize=512)
def spoken(text: str, voice: str, words_a_minute: int) -> np.ndarray:
    """Return `text` spoken by the eSpeak NG voice: float32 samples at 16 kHz, read-only, silence at the ends cut off.

    Raises TaskError if ``espeakng-loader`` is not installed or the voice unknown, InaudibleError if there is nothing to
    be heard in `text`.
    """
    with _one_at_a_time:
        samples = _synthesise(text, voice, words_a_minute)
    loud = np.flatnonzero(np.abs(samples) > 0.01)
    if not len(loud):
        raise InaudibleError(f"nothing to be heard in {text!r}")
    samples = samples[loud[0] : loud[-1] + 1]
    samples.flags.writeable = False
    return samples


_one_at_a_time = threading.Lock()  # the library keeps its state in the process


def _synthesise(text: str, voice: str, words_a_minute: int) -> np.ndarray:
    """Speak through a freshly loaded library, 5 ms: one that has spoken before says the same a little differently."""
    try:
        import espeakng_loader
    except ImportError as error:
        raise TaskError("questions by voice need espeakng-loader: pip install espeakng-loader") from error
    pieces: list[np.ndarray] = []

    def receive(wave: Any, count: int, events: int | None) -> int:
        if wave and count > 0:
            pieces.append(np.ctypeslib.as_array(wave, (count,)).copy())
        return 0

    callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)(receive)
    data = text.replace("\0", " ").encode("utf-8", "replace") + b"\0"
    library = ctypes.CDLL(str(espeakng_loader.get_library_path()))
    try:
        data_path = str(espeakng_loader.get_data_path()).encode()
        rate = library.espeak_Initialize(_OUTPUT_SYNCHRONOUS, 0, data_path, _DO_NOT_EXIT)
        if rate <= 0:
            raise TaskError("eSpeak NG does not start: the package espeakng-loader lacks its data")
        library.espeak_SetSynthCallback(callback)
        if library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise TaskError(f"eSpeak NG has no voice {voice!r}: {nearest(voice, VOICES)}")
        library.espeak_SetParameter(_RATE, words_a_minute, 0)
        library.espeak_Synth(data, ctypes.c_size_t(len(data)), 0, 0, 0, _UTF8, None, None)
    finally:
        library.espeak_Terminate()
        _unload(library)
    samples = np.concatenate([np.zeros(0, np.int16), *pieces]).astype(np.float32) / 32768
    common = math.gcd(SAMPLE_RATE, rate)
    return resample_poly(samples, SAMPLE_RATE // common, rate // common).astype(np.float32).clip(-1, 1)


def _unload(library: ctypes.CDLL) -> None:
    import _ctypes  # ctypes offers no public way to let a library go

    unload = getattr(_ctypes, "dlclose" if hasattr(_ctypes, "dlclose") else "FreeLibrary")
    unload(library._handle)
