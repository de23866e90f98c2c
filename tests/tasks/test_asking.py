"""The same question by voice or inside a picture: only what the user writes changes."""

import random
import sys
from types import ModuleType

import numpy as np
import pytest

from castalia.document import Document, Image, Part, Speech
from castalia.errors import TaskError
from castalia.tasks.asking import LARGEST, VOICES, ask_by_voice, present, spoken

PICTURE = Image(np.zeros((32, 32, 3), np.uint8))
TRACE = Document(
    (
        Part(PICTURE, "user"),
        Part("Which digit is this?", "user"),
        Part("7", "assistant", learned=True),
        Part("Is it odd?", "user"),
        Part("7 is odd", "assistant", learned=True, thought=True),
        Part("yes", "assistant", learned=True),
    )
)


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Image, str]]:
    """Stand in for the drawing of text: remember what is written where; the picture changes colour."""
    calls: list[tuple[Image, str]] = []

    def write_text(image: Image, text: str) -> Image:
        calls.append((image, text))
        return Image(image.pixels_HWC ^ np.uint8(1))

    drawing = ModuleType("castalia.tasks.drawing")
    drawing.write_text = write_text
    monkeypatch.setitem(sys.modules, "castalia.tasks.drawing", drawing)
    return calls


def test_text_changes_nothing_and_an_unknown_medium_is_an_error() -> None:
    assert present(TRACE, "text", random.Random(0)) is TRACE
    with pytest.raises(TaskError, match="did you mean 'voice'"):
        present(TRACE, "voise", random.Random(0))


def test_by_picture_the_first_question_is_in_the_picture_and_others_get_their_own(
    written: list[tuple[Image, str]],
) -> None:
    shown = present(TRACE, "picture", random.Random(0))
    assert [text for _, text in written] == ["Which digit is this?", "Is it odd?"]
    assert written[0][0] is PICTURE
    assert [type(part.content) for part in shown] == [Image, str, Image, str, str]
    assert [part.content for part in shown if part.learned] == ["7", "7 is odd", "yes"]


def test_by_picture_nothing_is_written_into_a_picture_too_large_to_be_seen_at_its_size(
    written: list[tuple[Image, str]],
) -> None:
    large = Image(np.zeros((LARGEST + 1, 32, 3), np.uint8))
    shown = present(Document((Part(large), Part("Which?"))), "picture", random.Random(0))
    assert shown.parts[0].content is large and [type(part.content) for part in shown] == [Image, Image]
    assert written[0][0].height < LARGEST


def test_by_picture_a_prompt_without_picture_gets_one(written: list[tuple[Image, str]]) -> None:
    (part,) = present(Document((Part("Make 24 from 3, 8.", "user"),)), "picture", random.Random(0))
    assert isinstance(part.content, Image) and part.author == "user" and not part.learned


def test_the_assistants_and_the_systems_words_are_never_replaced(written: list[tuple[Image, str]]) -> None:
    document = Document((Part("Be brief.", "system"), Part("Hello.", "assistant", learned=True)))
    assert present(document, "picture", random.Random(0)).parts == document.parts
    assert present(document, "voice", random.Random(0)).parts == document.parts


def test_by_voice_questions_become_synthetic_speech_and_answers_stay() -> None:
    pytest.importorskip("espeakng_loader")
    shown, again = (present(TRACE, "voice", random.Random(1)) for _ in range(2))
    assert [type(part.content) for part in shown] == [Image, Speech, str, Speech, str, str]
    assert all(part.content.synthetic for part in shown if isinstance(part.content, Speech))
    voiced, repeated = ([p.content.samples for p in d if isinstance(p.content, Speech)] for d in (shown, again))
    assert all(np.array_equal(one, other) for one, other in zip(voiced, repeated, strict=True))
    assert [part.learned for part in shown] == [part.learned for part in TRACE]


@pytest.mark.parametrize("voice", VOICES)
def test_every_voice_speaks_audibly(voice: str) -> None:
    pytest.importorskip("espeakng_loader")
    speech = ask_by_voice("Make 24 from 3, 8, 6.", random.Random(0), voice)
    assert 1 < speech.seconds < 5 and 0.2 < np.abs(speech.samples).max() <= 1


def test_a_text_is_spoken_alike_whatever_was_spoken_before() -> None:
    pytest.importorskip("espeakng_loader")
    first = spoken.__wrapped__("Which digits are these?", VOICES[0], 160)
    spoken.__wrapped__("Something else.", VOICES[2], 180)
    assert np.array_equal(first, spoken.__wrapped__("Which digits are these?", VOICES[0], 160))


def test_errors_are_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("espeakng_loader")
    with pytest.raises(TaskError, match="no voice 'en-uk'"):
        ask_by_voice("Hello.", random.Random(0), "en-uk")
    with pytest.raises(TaskError, match="nothing to be heard"):
        ask_by_voice("", random.Random(0))
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(TaskError, match="pip install"):
        ask_by_voice("A sentence said for the first time.", random.Random(0))


def test_what_cannot_be_said_stays_written() -> None:
    document = Document((Part("?!", "user"), Part("What is 3 plus 4?", "user")))
    written, said = present(document, "voice", random.Random(0))
    assert written.content == "?!" and isinstance(said.content, Speech)
