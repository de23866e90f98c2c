"""The exam: every family at every difficulty and beyond, by every medium, in other words, by every way of thinking.

All parts ask held-out questions that are judged exactly. The first asks everything, difficulties 1 to 10 and out of
range; the others ask difficulties 1 to 3, the same questions each time. `sit` adds reference models and the audit.
"""

import hashlib
import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

from torch import Tensor

from castalia.actions.catalog import build_actions
from castalia.data.catalog import sources_of, tasks_of
from castalia.document import Document, Part
from castalia.engine.engine import Engine
from castalia.errors import TaskError
from castalia.evals.audit import audit_run, to_json
from castalia.evals.examine import EASY, Examination, examine, questions
from castalia.evals.learned import check_sources
from castalia.evals.references import compare, is_lacking, reference_questions
from castalia.evals.ways import learned_ways, usual_way
from castalia.origin import origin
from castalia.reasoning.strategies import Strategy
from castalia.tasks.asking import MEDIA, Medium, present
from castalia.tasks.task import DIFFICULTIES, Example, Task
from castalia.tasks.wording import reword
from castalia.training.checkpoint import replace_file
from castalia.training.run import load_model, load_recipe_of, load_weights

EXAM, LESSER = "exam.json", "exam-lesser.json"
"""What an exam has found, in the directory of a run; one that asked less of the same model."""
PARTS = ("levels", "media", "words", "ways", "references", "audit")
SEED = 1_000_000
"""Where the exam's questions begin: those before are asked while a recipe is made, by ladders, runs and homework."""
BEYOND = "out of range"
Cells = dict[str, dict[str, Any]]
"""By row, by column: accuracy and number of questions."""


@dataclass(frozen=True)
class Exam:
    """A model before its examiners: its engine, the families, and how many questions a family and difficulty."""

    engine: Engine
    tasks: Mapping[str, Task]
    ways: Mapping[str, Strategy]
    usual: Strategy
    n: int = 100
    progress: Callable[[str], None] = lambda part: None

    def levels(self) -> Cells:
        """Return accuracy by family and difficulty, 1 to 10 and out of range."""
        self.progress("difficulties")
        result = self._ask(self.usual, tuple(DIFFICULTIES))
        beyond = self._ask(self.usual, (DIFFICULTIES[-1],), split="out_of_range")
        cells = {
            family: {level: _cell(row) for level, row in rows.items()}
            for family, rows in result.to_json()["families"].items()
        }
        for family, rows in beyond.to_json()["families"].items():
            cells[family][BEYOND] = _cell(rows[str(DIFFICULTIES[-1])])
        return cells

    def media(self, levels: Cells) -> Cells:
        """Return accuracy by medium and family: the same questions by text, by voice and written in a picture.

        By text they are those of `levels`.
        """

        def asked(medium: Medium, prompt: Document, rng: random.Random) -> Document:
            return present(prompt, medium, rng)

        others = [medium for medium in MEDIA if medium != "text"]
        spoken = {medium: self._means(f"by {medium}", put=partial(asked, medium)) for medium in others}
        return {"text": _mean_of_easy(levels)} | spoken

    def words(self) -> dict[str, Any]:
        """Return accuracy by family of the same questions in words that training never has."""
        return self._means("in other words", put=partial(reword, split="held_out"))

    def by_way(self, usual: dict[str, Any]) -> Cells:
        """Return accuracy by way of thinking and family; what the `usual` way gives is known already."""
        return {
            name: usual if strategy == self.usual else self._means(name, strategy=strategy)
            for name, strategy in self.ways.items()
        }

    def audit(self, directory: Path) -> dict[str, Any]:
        """Return which of all questions (media, words and ways ask those of `levels`) the run has learned from."""
        self.progress("audit")
        asked = [
            (_with_end(example, index), name)
            for name, task in self.tasks.items()
            for split, levels in (("held_out", DIFFICULTIES), ("out_of_range", DIFFICULTIES[-1:]))
            for level in levels
            for example, index in questions(task, level, self.n, split, SEED)
        ]
        asked += [(_with_end(example, at), name) for name, example, at in reference_questions(self.tasks, self.n, SEED)]
        items, families = zip(*asked, strict=True)
        return to_json(audit_run(items, directory, families, lambda share: self.progress(f"audit, {share:.0%}")))

    def _means(self, part: str, strategy: Strategy | None = None, **asking: Any) -> dict[str, Any]:
        self.progress(part)
        return _with_all(self._ask(strategy or self.usual, EASY, **asking).means())

    def _ask(self, strategy: Strategy, difficulties: tuple[int, ...], **asking: Any) -> Examination:
        asking |= {"difficulties": difficulties, "n": self.n, "strategy": strategy, "seed": SEED}
        return examine(self.engine, dict(self.tasks), **asking, kept=False)


def _cell(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("accuracy", "n", "chance", "right")}


def _mean_of_easy(levels: Cells) -> dict[str, Any]:
    cells = {family: [row[str(level)] for level in EASY] for family, row in levels.items()}
    return _with_all(
        {
            family: {"accuracy": fmean(cell["accuracy"] for cell in row), "n": sum(cell["n"] for cell in row)}
            for family, row in cells.items()
        }
    )


def _with_all(means: dict[str, dict[str, Any]]) -> dict[str, Any]:
    accuracy = fmean(cell["accuracy"] for cell in means.values())
    return means | {"all": {"accuracy": accuracy, "n": sum(cell["n"] for cell in means.values())}}


def _with_end(example: Example, index: int) -> Document:
    """Return what the audit looks for: the prompt, and where it is a passage whose end is asked for, that end."""
    prompt = example.prompt(index)
    begun = any(part.author == "assistant" for part in prompt)
    return Document((*prompt, Part(example.questions[index].answer, "assistant"))) if begun else prompt


def sit(
    directory: Path,
    tasks: Sequence[str] = (),
    n: int = 100,
    *,
    audited: bool = True,
    kept: Path | None = None,
    command: str = "castalia exam",
    progress: Callable[[str], None] = lambda part: None,
) -> dict[str, Any]:
    """Return the exam of the run at `directory`: ``{asked, origins, levels, media, words, ways, references, audit}``.

    `tasks` are families (default: those it was trained on). Every part is kept, when it is done, in the `EXAM` of the
    directory `kept` (default: the run's) with its origin, by which `command` it was made and when; it is not asked
    again of the same model. An exam that asks less than the one that is there does not replace it: it is kept as
    `LESSER`. Raises CheckpointError if there is no model yet, TaskError for less than one question, DataError, before
    anything is asked, if it is to be audited and was made of other sources than are here.
    """
    if n < 1:
        raise TaskError(f"an exam asks 1 question or more, not {n}")
    data, weights = load_recipe_of(directory).data, load_weights(directory)
    if not (built := tasks_of(sorted(tasks or data.mixture))):
        raise TaskError(f"{directory} has learned from documents alone: name families to ask by --task")
    if audited:
        check_sources(directory)
    asked = {"n": n, "tasks": [*built], "sources": sources_of(built), "model": digest_of(weights)}
    found: dict[str, Any] = {"asked": asked, "origins": {}}
    path = (kept or directory) / EXAM
    if _asks_less(asked, read_exam(path.parent).get("asked")):
        path = path.with_name(LESSER)
    if (known := read_exam(path.parent, path.name)).get("asked") == asked:
        found = known
    actions = build_actions(("canvas", "tools"))
    usual = usual_way(data, actions)
    exam = Exam(Engine(*load_model(directory)), built, learned_ways(data, actions), usual, n, progress)
    parts: dict[str, Callable[[], Any]] = {
        "levels": exam.levels,
        "media": lambda: exam.media(found["levels"]),
        "words": lambda: {"as in training": found["media"]["text"], "otherwise": exam.words()},
        "ways": lambda: exam.by_way(found["media"]["text"]),
        "references": lambda: compare(exam.engine, built, n, SEED, found.get("references"), progress),
    }
    if audited:
        parts["audit"] = lambda: exam.audit(directory)
    for name, part in parts.items():
        if name not in found or (name == "references" and any(map(is_lacking, found[name].values()))):
            found[name] = part()
            found["origins"][name] = origin(command)
            replace_file(path, json.dumps(found, indent=1) + "\n")
    return found


def _asks_less(asked: dict[str, Any], known: dict[str, Any] | None) -> bool:
    """Say whether an exam asks the same model about fewer families than one that is known, or as many with less."""
    if not known or known["model"] != asked["model"]:
        return False
    missing, more = ({*one["tasks"]} - {*other["tasks"]} for one, other in ((known, asked), (asked, known)))
    return bool(missing) or (not more and asked["n"] < known["n"])


def read_exam(directory: Path, name: str = EXAM) -> dict[str, Any]:
    """Return what is kept of the exam of a run; {} if there is nothing that can be read."""
    try:
        return json.loads((directory / name).read_text())
    except (OSError, ValueError):
        return {}


def digest_of(weights: Mapping[str, Tensor]) -> str:
    """Return what tells a model from others: it has the same in half precision."""
    digest = hashlib.sha256()
    for name, tensor in sorted(weights.items()):
        digest.update(name.encode() + tensor.half().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
