"""Reference models are asked what the exam asks, and what they cannot do costs nothing else."""

from collections.abc import Generator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from castalia.evals import references
from castalia.evals.references import Answering, Part, Reference, compare, in_words, reference_questions
from castalia.tasks.sums import Sums

TASKS = {"sums": Sums()}


def reference(asked: list[str], *, says: str | None = None, packages: tuple[str, ...] = ()) -> Reference:
    """Return one that writes down what it is asked, and answers rightly, or whatever it `says`."""

    @contextmanager
    def answering() -> Generator[Answering]:
        def answer(example: Any, index: int) -> str:
            asked.append(example.questions[index].text)
            if says == "nothing":
                raise OSError("it fell asleep")
            return says or example.questions[index].answer

        yield answer

    return Reference("Reader", packages, (Part("sums", (), (1, 2)),), answering)


def compared(one: Reference, monkeypatch: pytest.MonkeyPatch, known: Any = None, fails: bool = False) -> dict[str, Any]:
    class Chain:
        def answer(self, engine: Any, prompts: list[Any]) -> list[Any]:
            if fails:
                raise RuntimeError("the engine broke")
            return [SimpleNamespace(answer="?") for _ in prompts]

    monkeypatch.setattr(references, "REFERENCES", (one,))
    monkeypatch.setattr(references, "OneChain", Chain)
    engine: Any = None
    return compare(engine, TASKS, 4, 7, known)["Reader"]


def test_both_are_asked_the_same_questions_of_every_difficulty_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    rows = compared(reference(asked), monkeypatch)
    assert rows == {"sums": {"accuracy": 1.0, "ours": 0.0, "n": 4, "difficulties": [1, 2], "kinds": []}}
    expected = [(example.questions[at].text, example.difficulty) for _, example, at in reference_questions(TASKS, 4, 7)]
    assert [text for text, _ in expected] == asked and [level for _, level in expected] == [2, 1, 2, 1]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("7//2=", "What is 7 divided by 2, rounded down?"),
        ("17%5=", "What is the remainder of 17 divided by 5?"),
        ("What is 12*3?", "What is 12*3?"),
    ],
)
def test_signs_that_few_people_know_are_put_into_words(asked: str, said: str) -> None:
    assert in_words(asked) == said


def test_one_that_fails_says_so_and_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = compared(reference([], says="nothing"), monkeypatch)
    assert failed == {"failed": "OSError: it fell asleep"}
    assert compared(reference([]), monkeypatch, known={"Reader": failed})["sums"]["accuracy"] == 1.0


def test_one_that_is_not_installed_says_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    assert compared(reference([], packages=("no_such_package",)), monkeypatch) == {"missing": ["no_such_package"]}


def test_one_that_has_been_asked_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    known = {"sums": {"accuracy": 0.5}}
    assert compared(reference(asked), monkeypatch, known={"Reader": known}) == known and not asked


def test_what_our_engine_cannot_do_is_not_the_references_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RuntimeError, match="the engine broke"):
        compared(reference([]), monkeypatch, fails=True)
