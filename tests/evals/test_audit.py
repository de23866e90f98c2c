"""The audit finds what was trained on, also where it was changed a little, and nothing else."""

from pathlib import Path

import numpy as np
import pytest

from castalia.document import Document, Image, Part, Speech
from castalia.evals.audit import audit, audit_run, to_json
from castalia.evals.learned import Learned
from castalia.recipes import load_recipe
from castalia.tasks.asking import spoken
from castalia.tasks.charts import Charts
from castalia.tasks.countdown import Countdown
from castalia.tasks.material import Passage
from castalia.tasks.mazes import Mazes
from castalia.tasks.prose import Prose
from castalia.tasks.task import Split, Task
from castalia.training.pretrain import pretrain


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


def test_what_is_found_is_told_by_family() -> None:
    items = [(task.sample(seed, 3, "held_out").prompt(), task.name) for task in (Charts(), Mazes()) for seed in (1, 2)]
    documents, families = zip(*items, strict=True)
    found = audit(documents, [documents[2]], families)
    assert {row: (it.items, it.exact) for row, it in found.items()} == {
        "charts, picture": (2, 0),
        "mazes, picture": (2, 1),
    }


@pytest.mark.parametrize("asked", [True, False])
def test_a_passage_is_found_with_its_end_whether_that_was_asked_or_read_and_not_by_how_it_begins(asked: bool) -> None:
    things = ("birds", "boats", "hills", "roads", "men", "eyes")
    ends = [f"{one} {other}" for one in ("red", "low", "old", "wet", "hot") for other in things]
    task = Prose([Passage("nouns", str(n), f"thing {n}", f"a name of {end}", n % 2 == 0) for n, end in enumerate(ends)])
    examples = [task.sample(seed, 1, "held_out") for seed in range(60)]
    items = [Document((*one.prompt(0), Part(one.questions[0].answer, "assistant"))) for one in examples]

    def learned(split: Split) -> list[Document]:
        return [task.trace(task.sample(seed, 1, split)) for seed in range(1600) if (seed % 8 == 0) == asked]

    (clean,) = audit(items, learned("train")).values()
    assert clean.items > 10 and clean.exact == 0
    (found,) = audit(items, learned("held_out")).values()
    assert found.exact == found.items == clean.items


def test_what_a_run_has_learned_is_audited_as_it_was_written_by_a_process_a_core(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = {"data.mixture": "countdown:1", "data.media": "voice:1,picture:1", "data.reworded": "1"}
    small = {"model.width": "32", "model.heads": "2", "model.layers": "2", "training.compile": "false"}
    pretrain(load_recipe("pocket").override(small | data | {"training.steps": "2"}), tmp_path)
    documents = list(Learned(tmp_path))
    assert documents
    assert not any(isinstance(part.content, Image | Speech) for document in documents for part in document)
    items = [Document(tuple(part for part in document if part.author == "user")) for document in documents[:10]]
    items += [Countdown().sample(seed, 3, "held_out").prompt() for seed in range(10)]
    monkeypatch.setattr("castalia.evals.audit.SHARE", len(documents) // 3)
    done: list[float] = []
    found = audit_run(items, tmp_path, progress=done.append)
    assert found["text"].exact == 10
    assert found == audit(items, Learned(tmp_path))
    assert len(done) >= 3 and done[-1] == 1
