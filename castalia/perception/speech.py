"""Sound: any file to 16 kHz mono samples, and samples to frames of 80 ms. Long silences become one mark each."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO

import av
import av.error
import numpy as np
import scipy.fft
from numpy.lib.stride_tricks import sliding_window_view

from castalia.document import SAMPLE_RATE, Speech
from castalia.errors import SpeechError

HOP = SAMPLE_RATE // 100
"""Samples from one spectrum to the next: 10 ms."""
HOPS = 8
"""Spectra in a frame."""
BANDS = 40
"""Mel bands in a spectrum."""
FEATURES = HOPS * BANDS
"""Features of a frame: its spectra, one after the other."""
FRAME_SECONDS = HOPS * HOP / SAMPLE_RATE
"""What one position holds, in seconds: 0.08."""
LONGEST_PAUSE = 24
"""Hops: an inner silence longer than this (240 ms) becomes a mark."""

WINDOW = 400  # samples a spectrum looks at: 25 ms, the usual choice for speech
TRANSFORM = 512  # samples of the Fourier transform
CHUNK = 4096  # spectra computed at a time, so that ten minutes of sound need no more memory than forty seconds
SILENCE_BELOW = 1e-4  # power of a silent hop, relative to the loudest 80 ms: -40 dB
INAUDIBLE = 1e-8  # power below which all is silence, whatever the clip's loudness: -80 dB of full scale
SPECTRUM_FLOOR = 1e-7  # power, relative to the loudest 80 ms, added to each band: below it lies only coding noise
LOWEST_RATE = 1000  # Hz: a header that claims less would blow a small file up to gigabytes
FEATURE_MEAN, FEATURE_DEVIATION = -9.9, 3.7  # measured on 18 minutes of voice prompts in five languages

# Sounds without a header, by the ending of their name (Asterisk's): FFmpeg's demuxer, and options for it.
HEADERLESS: dict[str, tuple[str, dict[str, str]]] = {
    ".g722": ("g722", {}),
    ".gsm": ("gsm", {}),
    ".ulaw": ("mulaw", {"sample_rate": "8000"}),
    ".alaw": ("alaw", {"sample_rate": "8000"}),
    ".sln": ("s16le", {"sample_rate": "8000"}),
    ".sln16": ("s16le", {"sample_rate": "16000"}),
}


@dataclass(frozen=True, eq=False)
class Frames:
    """A sound as S positions: M frames of 80 ms, the others silence marks.

    - ``features_MF`` float32: features of the frames, in order; F = `FEATURES`
    - ``is_silence_S`` bool: per position, whether it is a silence mark (else it is the next frame)
    """

    features_MF: np.ndarray
    is_silence_S: np.ndarray

    def __len__(self) -> int:
        return len(self.is_silence_S)


def load_speech(source: str | Path | bytes, *, name: str | None = None, max_seconds: float = 600) -> Speech:
    """Read a sound of any container, codec, rate and channels from a path or a file's bytes, as 16 kHz mono.

    Channels are averaged; of a film the first sound track is taken. A sound whose peak exceeds full scale (float
    files) is scaled down to it. A file without header (`HEADERLESS`, G.722 among them) is known by the ending of
    `name`, by default the file's own name. Damaged packets are skipped, as players do.

    Raises `SpeechError`, calling the sound `name`, if it is missing, empty, not a sound, mostly damaged, holds values
    that are not finite numbers, or lasts longer than `max_seconds` (reading stops there).
    """
    if name is None:
        name = "the sound" if isinstance(source, bytes) else Path(source).name
    if isinstance(source, bytes):
        return _read(io.BytesIO(source), name, max_seconds)
    try:
        # Never a path for FFmpeg to open: it would take "http:" and "concat:" for orders.
        with open(source, "rb") as file:
            return _read(file, name, max_seconds)
    except (OSError, ValueError) as error:
        raise SpeechError(f"{name} cannot be read: {getattr(error, 'strerror', None) or error}") from error


def frames(speech: Speech) -> Frames:
    """Cut `speech` into frames of 80 ms: 8 log-mel spectra, one each 10 ms, of 40 bands, relative to its loudness.

    Silence at either end is left out; inner silence longer than 240 ms becomes one silence mark; a sound that is
    nothing but silence is one mark. Frames begin anew after each mark, and the last of a run is filled up with what
    follows. Features have roughly zero mean and unit variance on recorded speech.
    """
    samples = speech.samples
    hops = -(-len(samples) // HOP)
    padded = np.zeros((hops + HOPS) * HOP + WINDOW, np.float32)
    start = (WINDOW - HOP) // 2  # centres each window on its hop
    padded[start : start + len(samples)] = samples
    blocks = padded[start : start + hops * HOP].reshape(hops, HOP)
    powers = np.einsum("th,th->t", blocks, blocks) / HOP
    loudest = _loudest_frame(powers)
    runs = _sounding_runs(powers > max(loudest * SILENCE_BELOW, INAUDIBLE))
    if not runs:
        return Frames(np.zeros((0, FEATURES), np.float32), np.ones(1, bool))
    lengths = [-(-(stop - start) // HOPS) for start, stop in runs]
    wanted = np.concatenate([np.arange(start, start + n * HOPS) for (start, _), n in zip(runs, lengths, strict=True)])
    features_MF = _log_mel(padded, wanted, loudest).reshape(-1, FEATURES)
    is_silence_S = np.zeros(len(features_MF) + len(runs) - 1, bool)
    is_silence_S[np.cumsum(lengths[:-1], dtype=int) + np.arange(len(runs) - 1)] = True
    return Frames(features_MF, is_silence_S)


def _read(file: IO[bytes], name: str, max_seconds: float) -> Speech:
    if not file.read(1):
        raise SpeechError(f"{name} cannot be read as a sound: the file is empty")
    file.seek(0)
    pieces: list[np.ndarray] = []
    try:
        for piece in _resampled(file, name, max_seconds):
            if not np.isfinite(piece).all():
                raise SpeechError(f"{name} cannot be read as a sound: it holds samples that are not finite numbers")
            pieces.append(piece)
    except (av.error.FFmpegError, ValueError) as error:
        reason = "it ends too early" if isinstance(error, EOFError) else getattr(error, "strerror", None) or error
        raise SpeechError(f"{name} is not a sound, or damaged, or of a format that is not known: {reason}") from error
    samples = np.concatenate([np.zeros(0, np.float32), *pieces])
    if not len(samples):
        raise SpeechError(f"{name} cannot be read as a sound: it holds no samples")
    peak = float(np.abs(samples).max())
    return Speech(samples / np.float32(peak) if peak > 1 else samples)


def _resampled(file: IO[bytes], name: str, max_seconds: float) -> Iterator[np.ndarray]:
    demuxer, options = HEADERLESS.get(Path(name).suffix.lower(), (None, {}))
    # A playlist names other files and addresses, and a stranger's must not make us open them: no protocol is allowed.
    # (PyAV's `io_open` hook does not see what FFmpeg's concat demuxer opens.)
    options = {**options, "protocol_whitelist": "none"}
    with av.open(file, "r", format=demuxer, options=options, metadata_errors="ignore") as container:
        if not container.streams.audio:
            raise SpeechError(f"{name} cannot be read as a sound: it has no sound track")
        stream = container.streams.audio[0]
        resampler: av.AudioResampler | None = None
        setup = None
        good = damaged = 0
        seconds = 0.0
        for packet in container.demux(stream):
            try:
                decoded = packet.decode()
                good += 1
            except av.error.FFmpegError:
                damaged += 1
                continue
            for frame in decoded:
                if frame.sample_rate < LOWEST_RATE:
                    raise SpeechError(f"{name} cannot be read as a sound: its rate is {frame.sample_rate} Hz")
                # Counted from what is decoded: what the header says of the duration may be missing, guessed or a lie.
                seconds += frame.samples / frame.sample_rate
                if seconds > max_seconds + 1e-6:  # the sum's rounding is not the sound's length
                    raise SpeechError(f"{name} is too long: at most {max_seconds:g} seconds of sound are accepted")
                if resampler is None or setup != (frame.format.name, frame.layout.name, frame.sample_rate):
                    # Chained streams may change rate or channels midway.
                    yield from _mono(resampler, None)
                    setup = (frame.format.name, frame.layout.name, frame.sample_rate)
                    resampler = av.AudioResampler("flt", frame.layout, SAMPLE_RATE)
                yield from _mono(resampler, frame)
        yield from _mono(resampler, None)
        if damaged > good:
            raise SpeechError(f"{name} cannot be read as a sound: most of it is damaged")


def _mono(resampler: av.AudioResampler | None, frame: av.AudioFrame | None) -> Iterator[np.ndarray]:
    # The resampler's own downmix adds float channels up without dividing: loud stereo would leave [-1, 1]. Interleaved
    # ("flt"), because PyAV reads past the end of memory when a frame has more than eight planes.
    for resampled in resampler.resample(frame) if resampler else ():
        yield resampled.to_ndarray().reshape(resampled.samples, -1).mean(axis=1, dtype=np.float32)


def _loudest_frame(powers: np.ndarray) -> float:
    if len(powers) < HOPS:
        return float(powers.mean()) if len(powers) else 0.0
    sums = np.concatenate(([0.0], np.cumsum(powers, dtype=np.float64)))
    return float((sums[HOPS:] - sums[:-HOPS]).max() / HOPS)


def _sounding_runs(sounding: np.ndarray) -> list[tuple[int, int]]:
    """Return [start, stop) hops of what sounds, pauses no longer than `LONGEST_PAUSE` included."""
    places = np.flatnonzero(sounding)
    if not len(places):
        return []
    breaks = np.flatnonzero(np.diff(places) > LONGEST_PAUSE + 1)
    starts = places[np.concatenate(([0], breaks + 1))]
    stops = places[np.concatenate((breaks, [len(places) - 1]))] + 1
    return list(zip(starts.tolist(), stops.tolist(), strict=True))


def _log_mel(padded: np.ndarray, wanted: np.ndarray, loudest: float) -> np.ndarray:
    windows = sliding_window_view(padded, WINDOW)[::HOP]
    taper, mel_KB = _taper_and_mel()
    output = np.empty((len(wanted), BANDS), np.float32)
    for start in range(0, len(wanted), CHUNK):
        chosen = wanted[start : start + CHUNK]
        tapered = np.zeros((len(chosen), TRANSFORM), np.float32)
        np.multiply(windows[chosen], taper, out=tapered[:, :WINDOW])
        squares = np.asarray(scipy.fft.rfft(tapered, axis=1)).view(np.float32)  # real and imaginary parts in turn
        np.square(squares, out=squares)
        output[start : start + CHUNK] = (squares[:, ::2] + squares[:, 1::2]) @ mel_KB
    output /= np.float32(loudest)
    output += np.float32(SPECTRUM_FLOOR)
    np.log(output, out=output)
    return (output - np.float32(FEATURE_MEAN)) / np.float32(FEATURE_DEVIATION)


@lru_cache(maxsize=1)
def _taper_and_mel() -> tuple[np.ndarray, np.ndarray]:
    """Return the Hann window [`WINDOW`] and the mel filters [`TRANSFORM` // 2 + 1, `BANDS`] (HTK scale, 20 Hz up)."""
    taper = np.hanning(WINDOW + 1)[:-1]
    low, high = (2595 * np.log10(1 + hertz / 700) for hertz in (20.0, SAMPLE_RATE / 2))
    corners = 700 * (10 ** (np.linspace(low, high, BANDS + 2) / 2595) - 1)
    bins_K1 = np.fft.rfftfreq(TRANSFORM, 1 / SAMPLE_RATE)[:, None]
    rising = (bins_K1 - corners[:-2]) / (corners[1:-1] - corners[:-2])
    falling = (corners[2:] - bins_K1) / (corners[2:] - corners[1:-1])
    mel_KB = np.clip(np.minimum(rising, falling), 0, None)
    # Dividing by the window's energy and the transform's length makes a band's output a power, like `loudest`.
    return taper.astype(np.float32), (mel_KB * 2 / (TRANSFORM * (taper**2).sum())).astype(np.float32)
