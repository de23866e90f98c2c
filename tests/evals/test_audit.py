"""The audit finds what was trained on, also where it was changed a little, and nothing else."""

import numpy as np
import pytest

from castalia.document import Document, Image, Part, Speech
from castalia.evals.audit import audit, to_json
from castalia.tasks.asking import spoken
from castalia.tasks.charts import Charts
from castalia.tasks.countdown import Countdown
from castalia.tasks.mazes import Mazes
from castalia.tasks.task import Task


def shown(content: Image | Speech) -> Document:
    return Document((Part(content, "user"), Part("What is this?", "user")))


@pytest.mark.parametrize("task", [Charts(), Mazes(), Countdown()])
def test_held_out_questions_are_clean_and_planted_ones_are_found(task: Task) -> None:
    items = [task.sample(seed, 3, "held_out").prompt() for seed in range(30)]
    trained = [task.trace(task.sample(seed, 3)) for seed in range(300)]
    (clean,) = audit(items, trained).values()
    assert clean.exact == 0 and clean.items == 30 and clean.trained > 200
    (found,) = audit(items, [*trained, *items[:5]]).values()
    assert found.exact == 5 and sorted(found.nearest)[-5:] == pytest.approx([1.0] * 5, abs=1e-3)


def test_a_picture_under_noise_is_nearly_the_same() -> None:
    noise = np.random.default_rng(0)
    pictures = [Charts().sample(seed, 3, "held_out").context.parts[0].content for seed in range(20)]
    assert all(isinstance(picture, Image) for picture in pictures)
    noisy = [
        Image((picture.pixels_HWC + noise.normal(0, 4, picture.pixels_HWC.shape)).clip(0, 255).astype(np.uint8))
        for picture in pictures
    ]
    found = audit([shown(picture) for picture in pictures], [shown(picture) for picture in noisy])["picture"]
    assert (found.exact, found.near) == (0, 20)


def test_a_sound_louder_and_later_is_nearly_the_same_and_another_is_not() -> None:
    said = [spoken(text, "en-us", 160) for text in ("one two three", "a shortest way", "seven")]
    other = [np.concatenate([np.zeros(1600, np.float32), 0.5 * samples]) for samples in said]
    items = [shown(Speech(samples.copy())) for samples in said]
    found = audit(items, [shown(Speech(samples)) for samples in other])["sound"]
    assert (found.exact, found.near) == (0, 3)
    assert audit(items[:1], [shown(Speech(spoken("quite another thing", "en-us", 160).copy()))])["sound"].near == 0


def test_words_are_compared_without_case_and_what_is_missing_is_said() -> None:
    asked, typed = (Document((Part(text, "user"),)) for text in ("Make 24 from 2, 3, 4.", "make 24   from 2, 3, 4."))
    assert to_json(audit([asked], [typed]))["text"]["exact"] == 1
    assert audit([asked], [])["text"].trained == 0
