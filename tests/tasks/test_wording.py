"""Other words: what must stay stays, and held-out questions have something that training never has."""

import random

import pytest

from castalia.document import Document, Image, Part
from castalia.tasks.asking import blank
from castalia.tasks.wording import CLOSINGS, OPENINGS, reword, reworded

QUESTIONS = ("Which is larger, A or B?", "How many steps from S to G?", "Make 24 from 2, 3, 4.", "72-32=", "Read E.")


@pytest.mark.parametrize("text", QUESTIONS)
@pytest.mark.parametrize("split", ["train", "held_out"])
def test_numbers_and_names_stay(text: str, split: str) -> None:
    kept = [word.strip("?.,=").upper() for word in text.split() if word.strip("?.,").isdigit() or len(word) <= 2]
    for seed in range(100):
        other = reworded(text, random.Random(seed), split).upper()
        assert all(word in other for word in kept), other


def test_the_same_draws_give_the_same_words_and_others_others() -> None:
    asked = [reworded(QUESTIONS[0], random.Random(seed)) for seed in range(50)]
    assert asked == [reworded(QUESTIONS[0], random.Random(seed)) for seed in range(50)]
    assert len(set(asked)) > 15


def test_held_out_words_are_never_those_of_training() -> None:
    fresh, trained = ({word.lower() for words in (OPENINGS, CLOSINGS) for word in words[side]} for side in (1, 0))
    assert not fresh & trained
    for seed in range(200):
        practised = reworded(QUESTIONS[1], random.Random(seed)).lower()
        assert not any(practised.startswith(words) or practised.endswith(words) for words in fresh)


def test_only_what_the_user_writes_changes() -> None:
    picture = Image(blank().pixels_HWC)
    document = Document(
        (Part(picture, "user"), Part("Is there a way from S to G?", "user"), Part("yes", "assistant", learned=True))
    )
    changed = [reword(document, random.Random(seed)) for seed in range(20)]
    assert any(parts.parts[1].content != document.parts[1].content for parts in changed)
    assert all((parts.parts[0], parts.parts[2]) == (document.parts[0], document.parts[2]) for parts in changed)
