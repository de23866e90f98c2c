"""Speech: what is said decides the side, a voice kept back never trains."""

from functools import partial
from itertools import product

import numpy as np
import pytest

from castalia.document import SAMPLE_RATE
from castalia.errors import TaskError
from castalia.tasks.material import Clip
from castalia.tasks.speech import HELD_BACK, LANGUAGES, LEVELS, WORDINGS, WORDS, SpokenPrompts
from castalia.tasks.task import DIFFICULTIES, SPLITS, Example

PHRASES = ("please hold", "your call", "try again later", "the line is busy", "good evening to all of you")


def tone(pitch: float, seconds: float) -> np.ndarray:
    return np.sin(np.arange(int(seconds * SAMPLE_RATE)) * pitch).astype(np.float32) * np.float32(0.5)


def clips_of(source: str, language: str, pitch: float) -> list[Clip]:
    said = {f"digits/{n}": str(n) for n in range(21)}
    said |= {f"letters/{letter}": letter for letter in "abcdefghijklmnopqrstuvwxyz"}
    said |= {f"phrase-{n}": phrase for n, phrase in enumerate(PHRASES)}
    return [
        Clip(source, key, text, language, source, key in ("phrase-0", "phrase-3"), partial(tone, pitch, 0.2))
        for key, text in said.items()
    ]


@pytest.fixture(scope="module")
def task() -> SpokenPrompts:
    trained = [clip for n, code in enumerate(LANGUAGES) for clip in clips_of(f"core-{code}", code, 0.1 + n / 50)]
    return SpokenPrompts(trained + clips_of(HELD_BACK[1], "fr", 0.5) + clips_of(HELD_BACK[2], "es", 0.6))


def samples(example: Example) -> np.ndarray:
    return example.context.parts[0].content.samples


@pytest.mark.parametrize(("difficulty", "split"), list(product(DIFFICULTIES, SPLITS)))
def test_examples_are_repeatable_and_reference_answers_right(task: SpokenPrompts, difficulty: int, split: str) -> None:
    for seed in range(25):
        example, again = (task.sample(seed, difficulty, split) for _ in range(2))
        assert np.array_equal(samples(example), samples(again)) and example.questions == again.questions
        assert samples(example).dtype == np.float32 and np.abs(samples(example)).max() <= 1
        assert task.trace(example).parts[-1].content == example.questions[-1].answer
        for index, question in enumerate(example.questions):
            assert task.score(example, question.answer, index).value == 1.0
            assert task.score(example, "nonsense", index).value == 0.0
            if question.kind == "read":
                assert LEVELS[difficulty].fewest <= len(question.answer.split()) <= LEVELS[difficulty].most
                assert task.score(example, question.answer.replace(" ", ""), index).value == 1.0


@pytest.mark.parametrize("difficulty", [1, 2, 3, 6])
def test_what_is_said_is_never_on_both_sides(task: SpokenPrompts, difficulty: int) -> None:
    said = {
        split: {
            question.answer
            for seed in range(400)
            for question in task.sample(seed, difficulty, split).questions
            if question.kind in ("read", "numbers", "spell", "transcribe")
        }
        for split in ("train", "held_out")
    }
    assert len(said["train"]) > 10 and len(said["held_out"]) > 5
    assert not said["train"] & said["held_out"]


def test_voices_kept_back_never_train_and_make_up_out_of_range() -> None:
    back = [Clip(c.source, c.key, c.transcript, c.language, c.speaker, False, _must_not_load) for c in
            clips_of(HELD_BACK[0], "it", 0.3)]  # fmt: skip
    task = SpokenPrompts(clips_of("core-en", "en", 0.1) + back)
    for difficulty, seed in product(DIFFICULTIES, range(20)):
        task.sample(seed, difficulty, "train")
        task.sample(seed, difficulty, "held_out")
    with pytest.raises(AssertionError, match="kept back"):
        task.sample(0, 1, "out_of_range")


def _must_not_load() -> np.ndarray:
    raise AssertionError("a clip kept back was loaded")


def test_material_that_lacks_a_split_is_a_clear_error() -> None:
    with pytest.raises(TaskError, match="no clips to train on"):
        SpokenPrompts([])
    with pytest.raises(TaskError, match="out_of_range"):
        SpokenPrompts(clips_of("core-en", "en", 0.1)).sample(0, 1, "out_of_range")


def test_one_language_alone_is_never_asked_for() -> None:
    task = SpokenPrompts(clips_of("core-en", "en", 0.1))
    kinds = {q.kind for d in DIFFICULTIES for seed in range(30) for q in task.sample(seed, d).questions}
    assert "language" not in kinds and "transcribe" in kinds


def test_all_kinds_and_wordings_occur(task: SpokenPrompts) -> None:
    questions = [q for d in (1, 2, 3, 5) for seed in range(500) for q in task.sample(seed, d).questions]
    for kind, wordings in WORDINGS.items():
        for wording in wordings:
            assert any(q.text.startswith(wording.split("{")[0]) for q in questions if q.kind == kind), wording


def test_training_varies_speed_and_loudness_and_examination_does_not(task: SpokenPrompts) -> None:
    peaks = {split: [np.abs(samples(task.sample(s, 1, split))).max() for s in range(30)] for split in SPLITS}
    assert np.ptp(peaks["train"]) > 0.3 and np.ptp(peaks["held_out"]) < 1e-3


def test_a_transcription_is_worth_its_share_of_right_words(task: SpokenPrompts) -> None:
    example, index = next(
        (example, index)
        for seed in range(1000)
        for example in [task.sample(seed, 5)]
        for index, question in enumerate(example.questions)
        if question.answer == "try again later"
    )
    assert task.score(example, "Try again, later!", index).value == 1.0
    assert task.score(example, "try again", index).value == pytest.approx(2 / 3)
    assert task.score(example, "", index).value == 0.0
    assert task.score(example, "try again later " * 10_000, index).value == 0.0


def test_words_are_learned_letter_by_letter_and_training_spells_what_is_no_word_too(task: SpokenPrompts) -> None:
    known = set(WORDS.split())
    for split, has_unknown in (("train", True), ("held_out", False)):
        spelled = [q for seed in range(200) for q in task.sample(seed, 1, split).questions if q.kind == "spell"]
        assert all(question.spelled and "".join(question.thoughts.split()) == question.answer for question in spelled)
        assert any(question.answer in known for question in spelled)
        assert any(question.answer not in known for question in spelled) == has_unknown
