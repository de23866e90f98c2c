"""Examining: every answer is judged by its own question, and counted by family, difficulty and kind."""

from typing import Any

from castalia.document import Document
from castalia.evals.examine import examine
from castalia.reasoning.strategies import Verdict
from castalia.tasks.countdown import Countdown
from castalia.tasks.sums import Sums


class Reckoner:
    """Answers what Python can work out, except every third; of the others it knows nothing."""

    def answer(self, engine: Any, prompts: list[Document], seed: int = 0) -> list[Verdict]:
        return [Verdict(self._of(str(prompt.parts[-1].content), at), (), 0.0) for at, prompt in enumerate(prompts)]

    def _of(self, question: str, at: int) -> str:
        expression = question.strip("What is?=")
        return str(eval(expression)) if at % 3 and set(expression) <= set("0123456789+-*/%") else "?"


def test_single_answers_are_those_of_their_family_and_difficulty() -> None:
    found = examine(None, {"sums": Sums(), "countdown": Countdown()}, n=30, strategy=Reckoner())
    families = found.to_json()["families"]
    for levels in families.values():
        for level in levels.values():
            assert level["n"] == len(level["right"]) == 30 and level["right"].count("1") == level["correct"]
    for level in families["sums"].values():
        assert 5 < level["correct"] < 21 and set(level["right"][::3]) == {"0"}
    assert all(level["right"] == "0" * 30 for level in families["countdown"].values())
