"""Other words: what must stay stays, and held-out questions have something that training never has."""

import random

import pytest

from castalia.document import Document, Image, Part
from castalia.tasks.asking import blank
from castalia.tasks.wording import CLOSINGS, OPENINGS, restated, reword, reworded

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


def test_what_is_to_be_chosen_from_stays_as_it_is_written() -> None:
    options = "angina pectoris, the wound?"
    for seed in range(100):
        for split in ("train", "held_out"):
            assert options.rstrip("?") in reworded(f"Which end: {options}", random.Random(seed), split)


def test_thoughts_begin_with_the_plain_question_once_it_is_asked_otherwise() -> None:
    question, other = Part("Which digit is this?", "user"), Part("Add 2 to it.", "user")
    thought, answers = Part("7+2=9", "assistant", True, True), [Part(x, "assistant", True) for x in ("7", "9")]
    picture = Part(blank(), "user")
    document = Document((picture, question, answers[0], other, thought, answers[1]))
    plain = [Part(f"{part.content}\n", "assistant", learned=True, thought=True) for part in (question, other)]
    made = restated(document).parts
    assert made == (picture, question, plain[0], answers[0], other, plain[1], thought, answers[1])
    assert [part for part in reword(Document(made), random.Random(0)) if part.author == "assistant"] == [
        plain[0], answers[0], plain[1], thought, answers[1],
    ]  # fmt: skip


def test_the_heading_of_what_is_read_is_no_question() -> None:
    heading, passage = Part("abacus:", "user"), Part("a frame of rods", "assistant", learned=True)
    question, answer = Part("Which end: of rods, of fur?", "user"), Part("of rods", "assistant", learned=True)
    plain = Part(f"{question.content}\n", "assistant", learned=True, thought=True)
    made = restated(Document((heading, passage, question, answer)), context=2)
    assert made.parts == (heading, passage, question, plain, answer)


def test_in_training_there_is_always_something_never_read_before() -> None:
    asked = [reworded("Read E.", random.Random(seed)) for seed in range(4000)]
    assert len(set(asked[2000:]) - set(asked[:2000])) > 100 and not any("{" in text for text in asked)


def test_a_prompt_has_nothing_restated() -> None:
    document = Document((Part(blank(), "user"), Part("Which digit is this?", "user")))
    assert restated(document).parts == document.parts
