"""Recorded speech: Asterisk's voice prompts with their transcripts, KLettres' letters."""

import gzip
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from castalia.data.sources import Source
from castalia.data.store import to_int16
from castalia.document import SAMPLE_RATE
from castalia.errors import DataError, SpeechError

Item = tuple[np.ndarray, dict[str, Any]]

NOT_SPEECH = re.compile(r"silence/|beep|.*-2tone$|tt-monkeys$|confbridge-(join|leave)$")
REMARK = re.compile(r"[\[\]<>()]|\ufffd|\?\s*[a-zà-ÿ]")
"""Remarks on the recording that nobody says, and letters lost to a wrong encoding (``pu? essere``)."""

MISPRINTED = {("es", "digits/0", "diez"): "digits/10"}
"""Lines of the transcripts whose name is wrong."""

SAID_BY_ALL = re.compile(r"digits/(\d+|day-\d|mon-\d+)$|letters/[a-z]$")
"""Prompts whose words are the same whoever speaks; longer ones every speaker has worded differently."""

ENDINGS = (".g722", ".wav", ".gsm")
QUIET = 0.01
"""Loudness of what is silence at a clip's ends, relative to its loudest 10 ms: -40 dB."""
MARGIN = SAMPLE_RATE // 50


def normalised(transcript: str) -> str:
    """Return the words alone, in lower case: equal for clips in which the same is said."""
    return " ".join(re.findall(r"[\w']+", transcript.lower()))


def asterisk(source: Source, root: Path, needs: dict[str, Path]) -> list[Item]:
    """Read one language's prompts. The speaker is the last word of the directory, as in ``en_US_f_Allison``."""
    transcripts = read_transcripts(needs[source.needs[0]], source.language)
    return [
        (samples, _record(key, transcripts[key], source.language, directory.name.rpartition("_")[2].lower()))
        for directory, key, samples in _recordings(root, transcripts)
    ]


def asterisk_second(source: Source, root: Path, needs: dict[str, Path]) -> list[Item]:
    """Read a further speaker's digits, days, months and letters, for which the first one's transcripts hold."""
    transcripts = read_transcripts(needs[source.needs[0]], source.language)
    transcripts = {key: text for key, text in transcripts.items() if SAID_BY_ALL.match(key)}
    return [
        (samples, _record(key, transcripts[key], source.language, source.speaker))
        for _, key, samples in _recordings(root, transcripts)
    ]


def klettres(source: Source, root: Path, needs: dict[str, Path]) -> list[Item]:
    """Read the spoken alphabets of our languages; speakers are called by their directory (``klettres-en_GB``)."""
    items = []
    for code in ("en", "en_GB", "es", "fr", "it", "ru"):
        base = root / "usr/share/klettres"
        try:
            alphabet = ElementTree.parse(base / code / "sounds.xml").getroot().find(".//alphabet")
        except (OSError, ElementTree.ParseError) as error:
            raise DataError(f"{source.name}: {code}/sounds.xml cannot be read: {error}") from error
        for sound in alphabet if alphabet is not None else ():
            letter = sound.attrib["name"].lower()
            samples = load_samples(base / sound.attrib["file"])
            if samples is not None:
                items.append((samples, _record(f"letters/{letter}", letter, code[:2], f"klettres-{code}")))
    return items


def read_transcripts(root: Path, language: str) -> dict[str, str]:
    """Return what is said by key (``digits/7``, ``phonetic/a``, ``vm-goodbye``), without what is not speech."""
    files = sorted(root.rglob("core-sounds-*.txt.gz"))
    if not files:
        raise DataError(f"there are no transcripts in {root.name}")
    transcripts: dict[str, str] = {}
    for line in gzip.decompress(files[0].read_bytes()).decode("utf-8-sig", "replace").splitlines():
        name, colon, text = line.partition(":")
        if line.startswith(";") or not colon:
            continue
        key, text = uniform_key(name), " ".join(text.split())
        key = MISPRINTED.get((language, key, text), key)
        if key.startswith("letters/"):
            # Signs are named and then shown: ``at [@]``.
            text = re.sub(r"\s*\[[^\]]*\]\s*", "", text)
        if key not in transcripts and not NOT_SPEECH.match(key) and normalised(text) and not REMARK.search(text):
            transcripts[key] = text
    return transcripts


def uniform_key(name: str) -> str:
    """Return the key that all speakers share: lower case, ``phonetic/a`` for ``phonetic/a_p``."""
    return re.sub(r"^(phonetic/\w)_p$", r"\1", name.strip().lower())


def load_samples(path: Path) -> np.ndarray | None:
    """Return a clip as int16 at 16 kHz, silence at its ends cut off; None if it cannot be read or is silent."""
    from castalia.perception.speech import load_speech

    try:
        samples = trimmed(load_speech(path).samples)
    except SpeechError:
        return None
    return to_int16(samples) if len(samples) else None


def trimmed(samples: np.ndarray) -> np.ndarray:
    """Cut off what is 40 dB below the loudest 10 ms at either end, but for 20 ms; empty if all is silence."""
    hop = SAMPLE_RATE // 100
    hops = np.pad(samples, (0, -len(samples) % hop)).reshape(-1, hop)
    loudness = np.sqrt(np.mean(hops**2, axis=1)) if len(hops) else np.zeros(1)
    if loudness.max() < 1e-4:
        return samples[:0]
    sounding = np.flatnonzero(loudness > QUIET * loudness.max())
    return samples[max(0, int(sounding[0]) * hop - MARGIN) : (int(sounding[-1]) + 1) * hop + MARGIN]


def _record(key: str, transcript: str, language: str, speaker: str) -> dict[str, Any]:
    return {"key": key, "transcript": transcript, "language": language, "speaker": speaker}


def _recordings(root: Path, transcripts: dict[str, str]) -> Iterator[tuple[Path, str, np.ndarray]]:
    base = root / "usr/share/asterisk/sounds"
    for directory in sorted(path for path in base.iterdir() if path.is_dir() and not path.is_symlink()):
        files = {uniform_key(str(f.relative_to(directory).with_suffix(""))): f for f in sorted(directory.rglob("*.*"))}
        for key, file in sorted(files.items()):
            if key in transcripts and file.suffix in ENDINGS and (samples := load_samples(file)) is not None:
                yield directory, key, samples
