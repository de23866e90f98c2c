"""Own documents: what is good is kept and comes back the same, what is wrong is named by file and line."""

import base64
import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from castalia.data import media
from castalia.data.build import DocumentDataset, build
from castalia.document import Image, Part, Speech
from castalia.errors import DataError

Make = Callable[..., bytes]


def line(*content: object, answer: str = "yes", **more: object) -> str:
    messages = [{"role": "user", "content": list(content)}, {"role": "assistant", "content": answer}]
    return json.dumps({"messages": messages, **more})


def text(words: str) -> dict:
    return {"type": "text", "text": words}


def picture(address: str) -> dict:
    return {"type": "image_url", "image_url": {"url": address}}


def sound(address: str) -> dict:
    return {"type": "audio_url", "audio_url": {"url": address}}


def write(directory: Path, *lines: str) -> Path:
    file = directory / "mine.jsonl"
    file.write_text("\n".join(lines) + "\n")
    return file


def test_documents_come_back_as_they_were_in_any_order(tmp_path: Path, png: Make, wav: Make) -> None:
    (tmp_path / "p.png").write_bytes(png(77))
    (tmp_path / "s.wav").write_bytes(wav())
    file = write(
        tmp_path,
        line(text("what?"), picture("p.png"), text("and this?"), sound("s.wav"), source="me", license="CC0"),
        line(text("second")),
    )
    built = build(file, tmp_path / "out")
    assert (built.documents, built.skipped, built.images, built.sounds) == (2, 0, 1, 1)
    documents = DocumentDataset(tmp_path / "out")
    assert len(documents) == 2 and documents[1].parts == (Part("second"), Part("yes", "assistant", learned=True))
    for copy in (documents, pickle.loads(pickle.dumps(documents))):
        what, image, _, speech, answer = copy[0].parts
        assert what == Part("what?") and answer == Part("yes", "assistant", learned=True)
        assert isinstance(image.content, Image) and (image.content.pixels_HWC == [77, 0, 0]).all()
        assert isinstance(speech.content, Speech) and speech.content.seconds == pytest.approx(0.5)
        assert np.abs(speech.content.samples).max() == pytest.approx(9000 / 32768, abs=1e-3)
    assert documents.provenance(0) == {"source": "me", "licence": "CC0", "line": 1}
    assert [len(document) for document in documents] == [5, 2]
    with pytest.raises(IndexError):
        documents[2]


def test_every_kind_of_error_is_named_by_line_and_the_rest_goes_on(tmp_path: Path, png: Make) -> None:
    (tmp_path / "bad.png").write_bytes(png()[:30])
    (tmp_path / "bad.ogg").write_bytes(b"junk")
    lines = {
        "not JSON": '{"messages": [',
        "must be an object": "[1]",
        'a field "messages"': '{"message": []}',
        "must be a list": '{"messages": "hello"}',
        "unknown part type 'video'": line({"type": "video"}),
        "missing.png: there is no such file": line(picture("missing.png")),
        "bad.png": line(picture("bad.png")),
        "bad.ogg": line(sound("bad.ogg")),
        "not a file": line(picture(".")),
        "/dev/zero: it is not a file": line(picture("/dev/zero")),
        "cannot be read": line(picture("http://[")),
        "half a character": line(text("\ud800")),
        "source must be text that can be written": line(text("said")).replace("{", '{"source": "\\ud800", ', 1),
        "refused": line(picture("http://127.0.0.1:9/x.png")),
        "nothing to learn": json.dumps({"messages": [{"role": "user", "content": "hello"}]}),
        "unknown role": json.dumps({"messages": [{"role": "human", "content": "hello"}]}),
        "nested too deeply|recursion": "[" * 100_000,
        "not JSON: ": "\udcff",
    }
    file = tmp_path / "mine.jsonl"
    good = [line(text("first")), "", *lines.values(), line(text("last"))]
    file.write_bytes("\n".join(good).encode("utf-8", "surrogateescape"))
    built = build(file, tmp_path / "out")
    assert (built.documents, built.skipped) == (2, len(lines))
    for number, (cause, problem) in enumerate(zip(lines, built.problems, strict=True), 3):
        assert problem.startswith(f"mine.jsonl line {number}: ") and "\n" not in problem
        assert any(words in problem for words in cause.split("|")), (cause, problem)
    assert f"{len(lines)} lines skipped" in built.summary()
    assert [document.parts[0].content for document in DocumentDataset(tmp_path / "out")] == ["first", "last"]


def test_exact_duplicates_are_dropped_and_media_kept_once(tmp_path: Path, png: Make) -> None:
    (tmp_path / "a.png").write_bytes(png())
    (tmp_path / "same.png").write_bytes(png())
    file = write(tmp_path, *[line(text(words), picture(f"{name}.png")) for words in "xy" for name in ("a", "same")])
    built = build(file, tmp_path / "out")
    assert (built.documents, built.duplicates, built.images) == (2, 2, 1)


def test_media_spread_over_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, png: Make) -> None:
    monkeypatch.setattr(media, "SHARD_BYTES", 100)
    file = write(
        tmp_path, *[line(picture(f"data:image/png;base64,{base64.b64encode(png(n)).decode()}")) for n in range(5)]
    )
    build(file, tmp_path / "out")
    assert len(list((tmp_path / "out/media").iterdir())) > 1
    shades = [document.parts[0].content.pixels_HWC[0, 0, 0] for document in DocumentDataset(tmp_path / "out")]
    assert shades == list(range(5))


def test_a_file_without_one_good_line_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="line 1: not JSON"):
        build(write(tmp_path, "{"), tmp_path / "out")
    with pytest.raises(DataError, match="cannot be read"):
        build(tmp_path / "missing.jsonl", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.jsonl"]


def test_building_again_replaces_and_something_else_is_never_overwritten(tmp_path: Path) -> None:
    out = tmp_path / "out"
    build(write(tmp_path, line(text("old"))), out)
    build(write(tmp_path, line(text("new"))), out)
    assert DocumentDataset(out)[0].parts[0].content == "new"
    with pytest.raises(DataError):
        build(write(tmp_path, "{"), out)
    assert DocumentDataset(out)[0].parts[0].content == "new"
    (tmp_path / "else").mkdir()
    (tmp_path / "else/letter.txt").write_text("dear")
    with pytest.raises(DataError, match="something else"):
        build(write(tmp_path, line(text("new"))), tmp_path / "else")
    assert (tmp_path / "else/letter.txt").read_text() == "dear"


def test_what_is_not_a_dataset_is_an_error_in_words(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="castalia data build"):
        DocumentDataset(tmp_path)
