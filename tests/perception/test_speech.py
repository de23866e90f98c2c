"""Sounds of every kind to 16 kHz mono, and samples to frames and silence marks."""

import io
import struct
import time
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from castalia.document import SAMPLE_RATE, Speech
from castalia.errors import SpeechError
from castalia.perception.speech import BANDS, FEATURES, FRAME_SECONDS, HOP, HOPS, frames, load_speech


def tone(seconds: float, rate: int = SAMPLE_RATE, hertz: float = 440, peak: float = 0.5) -> np.ndarray:
    return (peak * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def wav(data: bytes, rate: int = SAMPLE_RATE, bits: int = 16, channels: int = 1, *, floating: bool = False) -> bytes:
    frame = channels * bits // 8
    form = struct.pack("<IHHIIHH", 16, 3 if floating else 1, channels, rate, rate * frame, frame, bits)
    return (
        b"RIFF" + struct.pack("<I", 36 + len(data)) + b"WAVEfmt " + form + b"data" + struct.pack("<I", len(data)) + data
    )


def pcm(samples: np.ndarray, bits: int) -> bytes:
    if bits == 8:
        return np.round(samples * 127 + 128).astype(np.uint8).tobytes()
    whole = np.round(samples.astype(np.float64) * (2 ** (bits - 1) - 1)).astype("<i4")
    return whole.view(np.uint8).reshape(-1, 4)[:, : bits // 8].tobytes()


def encoded(container: str, codec: str, rate: int, layout: str = "mono", seconds: float = 1.0) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate, layout=layout)
        channels = av.AudioLayout(layout).nb_channels
        samples = np.tile(tone(seconds, rate), (channels, 1))
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=layout)
        frame.sample_rate = rate
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            output.mux(packet)
    return file.getvalue()


def assert_is_tone(speech: Speech, hertz: float = 440, seconds: float = 1.0, peak: float = 0.5) -> None:
    assert speech.seconds == pytest.approx(seconds, abs=0.06)
    middle = speech.samples[len(speech.samples) // 4 : -len(speech.samples) // 4]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    assert spectrum.argmax() * SAMPLE_RATE / len(middle) == pytest.approx(hertz, abs=4)
    assert np.sqrt(2 * np.mean(middle**2)) == pytest.approx(peak, rel=0.05)


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("bits", [8, 16, 24, 32])
def test_waves_of_every_rate_and_depth_become_16_khz(rate: int, bits: int) -> None:
    assert_is_tone(load_speech(wav(pcm(tone(1, rate), bits), rate, bits)))


@pytest.mark.parametrize("bits", [32, 64])
def test_float_waves_are_read(bits: int) -> None:
    data = tone(1).astype(f"<f{bits // 8}").tobytes()
    np.testing.assert_array_equal(load_speech(wav(data, bits=bits, floating=True)).samples, tone(1))


@pytest.mark.parametrize(
    ("container", "codec", "rate", "layout", "name"),
    [
        ("webm", "libopus", 48_000, "mono", "voice.webm"),
        ("webm", "libopus", 48_000, "stereo", "voice.webm"),
        ("ogg", "libopus", 16_000, "mono", "voice.ogg"),
        ("g722", "g722", 16_000, "mono", "voice.g722"),
        ("g722", "g722", 16_000, "mono", "VOICE.G722"),
        ("flac", "flac", 96_000, "stereo", "voice.flac"),
        ("flac", "flac", 48_000, "5.1", "voice.flac"),
        ("mp3", "libmp3lame", 44_100, "stereo", "voice.mp3"),
        ("mp4", "aac", 44_100, "mono", "voice.m4a"),
        ("adts", "aac", 48_000, "mono", "voice.aac"),
        ("wav", "pcm_mulaw", 8_000, "mono", "voice.wav"),
        ("mulaw", "pcm_mulaw", 8_000, "mono", "voice.ulaw"),
        ("alaw", "pcm_alaw", 8_000, "mono", "voice.alaw"),
        ("s16le", "pcm_s16le", 8_000, "mono", "voice.sln"),
        ("s16le", "pcm_s16le", 16_000, "mono", "voice.sln16"),
        ("wav", "adpcm_ms", 22_050, "mono", "voice.wav"),
        ("aiff", "pcm_s24be", 44_100, "mono", "voice.aiff"),
    ],
)
def test_every_container_and_codec_is_read_from_files_and_from_bytes(
    container: str, codec: str, rate: int, layout: str, name: str, tmp_path: Path
) -> None:
    data = encoded(container, codec, rate, layout)
    (tmp_path / name).write_bytes(data)
    speech = load_speech(tmp_path / name)
    assert_is_tone(speech)
    np.testing.assert_array_equal(load_speech(data, name=name).samples, speech.samples)
    np.testing.assert_array_equal(load_speech(str(tmp_path / name)).samples, speech.samples)


def test_gsm_files_are_read() -> None:
    # FFmpeg decodes GSM but cannot write it: 50 frames of 33 bytes, each with GSM's signature and no signal, last 1 s.
    speech = load_speech((b"\xd0" + bytes(32)) * 50, name="tone.gsm")
    assert speech.seconds == pytest.approx(1.0, abs=0.01)


def test_stereo_is_averaged_and_never_leaves_full_scale() -> None:
    left, right = tone(1, peak=0.8), np.zeros(SAMPLE_RATE, np.float32)
    assert_is_tone(load_speech(wav(pcm(np.stack([left, right], 1).ravel(), 16), channels=2)), peak=0.4)
    assert_is_tone(load_speech(wav(pcm(np.stack([left, left], 1).ravel(), 16), channels=2)), peak=0.8)


@pytest.mark.parametrize("channels", [3, 6, 7, 9, 17, 64])
def test_any_number_of_channels_is_averaged(channels: int) -> None:
    assert_is_tone(load_speech(wav(pcm(np.repeat(tone(1), channels), 16), channels=channels)))


def test_float_samples_beyond_full_scale_are_scaled_down_to_it() -> None:
    samples = load_speech(wav((tone(1, peak=3.0)).tobytes(), bits=32, floating=True)).samples
    assert np.abs(samples).max() == 1
    np.testing.assert_allclose(samples, tone(1, peak=1.0), atol=1e-3)


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_finite_are_refused(poison: float) -> None:
    samples = tone(1, 48_000)
    samples[-10] = poison
    with pytest.raises(SpeechError, match=r"^take\.wav .*not finite numbers$"):
        load_speech(wav(samples.tobytes(), 48_000, 32, floating=True), name="take.wav")


def test_an_empty_file_and_one_without_samples_are_refused(tmp_path: Path) -> None:
    (tmp_path / "nothing.wav").touch()
    for source in (tmp_path / "nothing.wav", str(tmp_path / "nothing.wav")):
        with pytest.raises(SpeechError, match=r"^nothing\.wav .*the file is empty$"):
            load_speech(source)
    with pytest.raises(SpeechError, match=r"^the sound .*the file is empty$"):
        load_speech(b"")
    with pytest.raises(SpeechError, match="holds no samples"):
        load_speech(wav(b""))


def test_what_is_missing_or_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpeechError, match=r"^gone\.wav cannot be read: No such file"):
        load_speech(tmp_path / "gone.wav")
    with pytest.raises(SpeechError, match="directory"):
        load_speech(tmp_path)


@pytest.mark.parametrize("data", [b"hello, I am text. " * 50, bytes(5000), wav(b"")[:30], b"OggS"])
def test_what_is_not_a_sound_is_refused(data: bytes) -> None:
    with pytest.raises(SpeechError, match=r"^note\.txt is not a sound, or damaged"):
        load_speech(data, name="note.txt")


def test_a_film_without_sound_is_refused() -> None:
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as output:
        stream = output.add_stream("ffv1", rate=5, width=16, height=16, pix_fmt="yuv420p")
        frame = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24").reformat(format="yuv420p")
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            output.mux(packet)
    with pytest.raises(SpeechError, match="no sound track"):
        load_speech(file.getvalue())


def test_playlists_reach_neither_files_nor_the_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("secret.wav").write_bytes(wav(pcm(tone(1), 16)))
    session = b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n"
    started = time.perf_counter()
    for playlist in (b"ffconcat version 1.0\nfile secret.wav\n", b"#EXTM3U\n#EXTINF:1,\nsecret.wav\n", session):
        with pytest.raises(SpeechError):
            load_speech(playlist)
    for address in ("concat:secret.wav", "file:secret.wav", "http://127.0.0.1:9/secret.wav"):
        with pytest.raises(SpeechError, match="No such file"):
            load_speech(address)
    assert time.perf_counter() - started < 5


def test_an_hour_is_refused_before_it_is_read_through(tmp_path: Path) -> None:
    path = tmp_path / "lecture.wav"
    header = wav(b"", 16_000, 16)[:40]
    size = 3600 * 16_000 * 2
    with path.open("wb") as file:
        file.write(header + struct.pack("<I", size))
        file.truncate(44 + size)  # an hour of zeros that takes no room on the disk
    started = time.perf_counter()
    with pytest.raises(SpeechError, match=r"^lecture\.wav is too long: at most 30 seconds"):
        load_speech(path, max_seconds=30)
    assert time.perf_counter() - started < 1
    with pytest.raises(SpeechError, match=r"^lecture\.wav is too long: at most 600 seconds"):
        load_speech(path)


def test_the_limit_itself_is_accepted_and_a_lying_header_is_not_believed() -> None:
    data = wav(pcm(tone(2), 16))
    assert load_speech(data, max_seconds=2).seconds == 2
    with pytest.raises(SpeechError, match=r"at most 1.9 seconds"):
        load_speech(data, max_seconds=1.9)
    boastful = data[:40] + struct.pack("<I", 0x7FFFFFF0) + data[44:]
    assert load_speech(boastful).seconds == pytest.approx(2)


def test_a_header_with_an_absurd_rate_does_not_fill_the_memory() -> None:
    with pytest.raises(SpeechError, match="its rate is 1 Hz"):
        load_speech(wav(pcm(tone(1), 16), rate=1))


def test_a_truncated_sound_gives_what_is_there() -> None:
    assert load_speech(wav(pcm(tone(1), 16))[:20_044]).seconds == pytest.approx(0.625, abs=0.01)
    opus = encoded("webm", "libopus", 48_000, seconds=2)
    assert 0.5 < load_speech(opus[: len(opus) // 2]).seconds < 1.5


@settings(deadline=None, max_examples=50)
@given(st.data())
def test_damaged_files_are_read_or_refused_but_never_crash(data: st.DataObject) -> None:
    file = bytearray(data.draw(st.sampled_from(DAMAGEABLE)))
    for _ in range(data.draw(st.integers(1, 6))):
        file[data.draw(st.integers(0, len(file) - 1))] = data.draw(st.integers(0, 255))
    try:
        samples = load_speech(bytes(file), max_seconds=5).samples
        assert np.isfinite(samples).all() and np.abs(samples).max() <= 1
    except SpeechError as error:
        assert str(error).startswith("the sound")


def noise(seconds: float, peak: float = 0.3) -> np.ndarray:
    return (np.random.default_rng(0).uniform(-peak, peak, round(seconds * SAMPLE_RATE))).astype(np.float32)


def silence(seconds: float) -> np.ndarray:
    return np.zeros(round(seconds * SAMPLE_RATE), np.float32)


def marks(*pieces: np.ndarray) -> str:
    """Return the positions of a sound as text: ``f`` for a frame, ``-`` for a silence mark."""
    cut = frames(Speech(np.concatenate(pieces)))
    assert cut.features_MF.shape == ((~cut.is_silence_S).sum(), FEATURES) and cut.features_MF.dtype == np.float32
    assert np.isfinite(cut.features_MF).all() and cut.is_silence_S.dtype == bool
    return "".join("-" if silent else "f" for silent in cut.is_silence_S)


def test_a_position_is_80_ms() -> None:
    assert FRAME_SECONDS == 0.08 and FEATURES == 320 and HOP * HOPS == 1280
    assert marks(noise(0.8)) == "f" * 10
    assert marks(noise(0.81)) == "f" * 11
    assert marks(noise(0.001)) == "f"


def test_silence_at_both_ends_is_left_out() -> None:
    assert marks(silence(1), noise(0.32), silence(2)) == "ffff"
    assert marks(silence(0.01), noise(0.32), silence(0.01)) == "ffff"


def test_a_long_pause_becomes_one_mark_and_a_short_one_stays() -> None:
    assert marks(noise(0.16), silence(0.24), noise(0.16)) == "f" * 7
    assert marks(noise(0.16), silence(0.25), noise(0.16)) == "ff-ff"
    assert marks(noise(0.16), silence(9), noise(0.16), silence(0.5), noise(0.08)) == "ff-ff-f"


@pytest.mark.parametrize("samples", [silence(3), silence(0), noise(1, 1e-5), silence(0.01)])
def test_a_sound_of_nothing_but_silence_is_one_mark(samples: np.ndarray) -> None:
    assert marks(samples) == "-"


@pytest.mark.parametrize("level", [1.0, 0.1, 0.01])
def test_silence_is_judged_relative_to_the_loudness_of_the_clip(level: float) -> None:
    hiss = noise(1, 0.001)
    assert marks(level * hiss, level * noise(0.16), level * hiss, level * noise(0.16), level * hiss) == "ff-ff"


def test_features_do_not_depend_on_the_volume() -> None:
    loud, soft = frames(Speech(noise(1))), frames(Speech(noise(1) * np.float32(0.05)))
    np.testing.assert_allclose(loud.features_MF, soft.features_MF, atol=1e-3)


def test_the_bands_follow_the_pitch_and_the_spectra_follow_time() -> None:
    def loudest_band(hertz: float) -> int:
        return int(frames(Speech(tone(0.8, hertz=hertz))).features_MF[5].reshape(HOPS, BANDS)[3].argmax())

    bands = [loudest_band(hertz) for hertz in (150, 300, 600, 1200, 2400, 4800, 7500)]
    assert bands == sorted(set(bands)) and bands[0] < 4 and bands[-1] > 36
    rising = tone(0.16) * np.repeat(np.linspace(0.1, 1, 16, dtype=np.float32), HOP)
    loudness = frames(Speech(rising)).features_MF.reshape(-1, BANDS).max(axis=1)
    assert (np.diff(loudness[1:-1]) > 0).all()


def test_each_window_is_centred_on_its_hop() -> None:
    clicks = silence(0.08)
    clicks[[HOP // 2, 3 * HOP + HOP // 2]] = 0.5
    spectra = frames(Speech(clicks)).features_MF.reshape(HOPS, BANDS)
    np.testing.assert_allclose(spectra[1], spectra[2], atol=0.02)  # as far after the one as before the other
    assert (spectra[0] > spectra[1] + 0.5).all()


def test_frames_after_a_pause_begin_anew() -> None:
    word = noise(0.16)
    cut = frames(Speech(np.concatenate([silence(0.05), word, silence(0.5), word, silence(0.05)])))
    np.testing.assert_allclose(cut.features_MF[:2], cut.features_MF[2:], atol=1e-4)


def test_features_are_roughly_standardised_on_a_voice() -> None:
    # A glottal pulse train through four formants, its pitch and loudness wandering: what a vowel is made of.
    time_N = np.arange(3 * SAMPLE_RATE) / SAMPLE_RATE
    pitch = 120 + 20 * np.sin(2 * np.pi * 0.7 * time_N)
    phase = 2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE
    formants = sum(
        np.sin(harmonic * phase)
        * sum(1 / (1 + ((harmonic * 120 - f) / 90) ** 2) for f in (500, 1500, 2500, 3500))
        / harmonic
        for harmonic in range(1, 60)
    )
    voice = formants * (0.1 + np.sin(2 * np.pi * 2 * time_N) ** 2) + 1e-3 * noise(3)
    features_MF = frames(Speech((voice / np.abs(voice).max()).astype(np.float32))).features_MF
    assert abs(features_MF.mean()) < 1 and 0.4 < features_MF.std() < 1.6


@given(st.lists(st.tuples(st.booleans(), st.floats(0.01, 0.6)), min_size=1, max_size=6))
def test_no_two_marks_stand_together_and_none_at_an_end(pieces: list[tuple[bool, float]]) -> None:
    positions = marks(*(noise(seconds) if sounding else silence(seconds) for sounding, seconds in pieces))
    assert positions == "-" or (positions.strip("-") == positions and "--" not in positions)
    assert positions.count("f") >= 0.9 * sum(seconds for sounding, seconds in pieces if sounding) / FRAME_SECONDS - 1


def test_cutting_is_hundreds_of_times_faster_than_listening() -> None:
    speech = Speech(noise(120))
    frames(speech)
    started = time.perf_counter()
    cut = frames(speech)
    assert time.perf_counter() - started < 0.12 * 3  # thrice the target, for a busy machine
    assert len(cut) == 1500


DAMAGEABLE = [
    wav(pcm(tone(0.2), 16)),
    encoded("webm", "libopus", 48_000, seconds=0.2),
    encoded("ogg", "libopus", 48_000, seconds=0.2),
    encoded("flac", "flac", 16_000, seconds=0.2),
]
