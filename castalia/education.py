"""The whole education of one model: fetch, school, homework, exam, report. What `castalia run` does."""

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from castalia.actions.catalog import build_actions
from castalia.console import accuracy_table, console, training_progress, ways_table
from castalia.data.catalog import tasks_of
from castalia.document import Document, Image, Speech
from castalia.engine.engine import Engine
from castalia.errors import RecipeError
from castalia.evals.examine import Answered, Examination, examine
from castalia.evals.report import write_report
from castalia.evals.ways import compare_ways, learned_ways, usual_way
from castalia.forecast.before import Climb, forecast_run, in_steps, ladder_of, read_budget, seconds_to_train
from castalia.forecast.forecast import FORECAST, read_forecasts
from castalia.forecast.outcome import checks_of, measure_outcome, read_outcome
from castalia.forecast.scaling import scaling_html
from castalia.forecast.tables import forecast_sheet, unforetold
from castalia.origin import origin
from castalia.rl.guards import CollapseError
from castalia.rl.homework import Homework
from castalia.rl.run import is_outdated, practise
from castalia.training.metrics import read_metrics
from castalia.training.pretrain import measure_peak_flops, pretrain
from castalia.training.recipe import Recipe
from castalia.training.run import HOMEWORK, load_model, load_recipe_of

EXAMPLES_PER_FAMILY = 12
"""Held-out examples a family that the report shows."""
SHARE = 1 / 8
"""Small runs take this share of the time of school, all together."""


@dataclass(frozen=True)
class Education:
    """What came out of a run: its directory, the exam's results, and how long each part took in seconds."""

    directory: Path
    evaluation: dict[str, Any]
    seconds: dict[str, float]


def educate(
    recipe: Recipe,
    directory: Path,
    homework: Homework | None = None,
    *,
    questions: int = 100,
    forecast: bool = False,
) -> Education:
    """Train `recipe` in `directory` (or go on with it), give it `homework`, examine it on held-out input, report.

    `questions` are put a family and difficulty. With `forecast`, small runs foretell before what school will give.
    Every part that is already done is not done again.
    """
    seconds: dict[str, float] = {}
    started = time.perf_counter()
    if forecast and not (directory / "metrics.jsonl").exists() and not (directory / FORECAST).exists():
        foretell(recipe, directory)
        seconds["forecast"] = time.perf_counter() - started
    started = time.perf_counter()
    with training_progress() as report:
        pretrain(recipe, directory, report=report, warn=console.print)
    seconds["school"] = time.perf_counter() - started
    if (directory / FORECAST).exists():
        with console.status("what school gave, beside its forecast"):
            measure_outcome(directory)
    if homework is not None:
        started = time.perf_counter()
        practise_in(homework, directory)
        seconds["homework"] = time.perf_counter() - started
    started = time.perf_counter()
    with console.status("exam: held-out questions"):
        examination = examine_run(directory, questions=questions)
    seconds["exam"] = time.perf_counter() - started
    evaluation = examination.to_json()
    started = time.perf_counter()
    with console.status("exam: ways to think") as status:
        ways = examine_ways(directory, max(1, questions // 5), lambda way: status.update(f"exam: {way}"))
    evaluation |= {"ways": ways, "origin": origin(f"castalia run {recipe.name}")}
    if ways:
        seconds["ways to think"] = time.perf_counter() - started
    (directory / "evaluation.json").write_text(json.dumps(evaluation, indent=2))
    examples = [to_report(answered) for answered in _choose(examination)]
    practised = read_metrics(directory / HOMEWORK / "metrics.jsonl")
    metrics = read_metrics(directory / "metrics.jsonl")
    write_report(directory, metrics, evaluation, examples, practised, scaling_html(directory))
    return Education(directory, evaluation, seconds)


def practise_in(homework: Homework, directory: Path) -> None:
    """Give the model of a run homework, kept inside its directory; one that collapses stays as it last was well."""
    if is_outdated(directory / HOMEWORK, directory):
        console.print("school has gone on since: homework begins anew")
        shutil.rmtree(directory / HOMEWORK)
    actions = build_actions(("canvas", "tools", "agents"))
    with training_progress("homework") as report:
        try:
            practise(homework, directory, directory / HOMEWORK, actions=actions, report=report, warn=console.print)
        except CollapseError as error:
            console.print(f"homework: {error}")


def school_minutes(recipe: Recipe) -> float:
    """Return about how many minutes a recipe's school takes on this machine."""
    peak_flops = measure_peak_flops()
    return seconds_to_train(in_steps(recipe, peak_flops), peak_flops) / 60


def foretell(recipe: Recipe, directory: Path) -> None:
    """Write a forecast of what school will give, from small runs that take a share of its time."""
    with console.status("small runs") as status:

        def report(name: str, line: dict[str, Any]) -> None:
            status.update(f"small run {name}: step {line['step']}, loss {line['loss']:.3f}")

        minutes = read_budget(ladder_of(directory)).get("minutes", SHARE * school_minutes(recipe))
        try:
            forecasts = forecast_run(recipe, directory, minutes, Climb(questions=20), report)
        except RecipeError as error:
            console.print(f"school is not forecast: {error}")
        else:
            console.print(forecast_sheet(forecasts).table())
            if said := unforetold(forecasts):
                console.print(said, soft_wrap=True)


def examine_run(
    directory: Path,
    *,
    tasks: list[str] | None = None,
    difficulties: tuple[int, ...] | None = None,
    questions: int = 100,
    split: Any = "held_out",
) -> Examination:
    """Examine the newest checkpoint of a run on `tasks` (default: those it was trained on)."""
    recipe = load_recipe_of(directory)
    built, engine = tasks_of(tasks or recipe.data.mixture), Engine(*load_model(directory))
    strategy = usual_way(recipe.data, build_actions(("canvas", "tools")))
    chosen = difficulties or recipe.data.difficulties
    return examine(engine, built, difficulties=chosen, n=questions, split=split, strategy=strategy)


def examine_ways(directory: Path, questions: int, progress: Callable[[str], None] | None = None) -> dict[str, Any]:
    """Return the accuracy of the newest checkpoint of a run by way of thinking, for all ways that it has learned."""
    recipe = load_recipe_of(directory)
    ways = learned_ways(recipe.data, build_actions(("canvas", "tools")))
    if not ways:
        return {}
    engine, difficulties = Engine(*load_model(directory)), recipe.data.difficulties
    return compare_ways(
        engine, tasks_of(recipe.data.mixture), ways, difficulties=difficulties, n=questions, progress=progress
    )


def _choose(examination: Examination) -> list[Answered]:
    """Take the first answers of every family, difficulties mixed; nothing is picked for looking good."""
    chosen: list[Answered] = []
    for family in dict.fromkeys(a.example.family for a in examination.answered):
        mine = [a for a in examination.answered if a.example.family == family]
        chosen += mine[:: max(1, len(mine) // EXAMPLES_PER_FAMILY)][:EXAMPLES_PER_FAMILY]
    return chosen


def to_report(answered: Answered) -> dict[str, Any]:
    """Return one answered question as the report shows it, with picture and sound as files' bytes."""
    question = answered.example.questions[answered.index]
    return {
        "family": answered.example.family,
        "difficulty": answered.example.difficulty,
        "kind": question.kind,
        "question": question.text,
        "thoughts": answered.reply.thoughts,
        "answer": answered.reply.answer,
        "reference": question.answer,
        "correct": answered.value == 1.0,
        "image_png": _png(answered.example.context),
        "seen_png": _seen(answered.reply.document),
        "audio_wav": _wav(answered.example.context),
    }


def _png(document: Document) -> bytes | None:
    return next((part.content.png() for part in document if isinstance(part.content, Image)), None)


def _wav(document: Document) -> bytes | None:
    return next((part.content.wav() for part in document if isinstance(part.content, Speech)), None)


def _seen(document: Document) -> list[bytes]:
    """Return what a reply looked at closer, and its canvas as it was in the end."""
    images = [part.content for part in document if isinstance(part.content, Image)]
    canvases = [image for image in images if image.since is not None]
    seen = [*(image for image in images if image.since is None), *canvases[-1:]]
    return [image.png() for image in seen]


def summarise(education: Education) -> None:
    """Print the table, where the report is, and the command that asks the model a question."""
    console.print(accuracy_table(education.evaluation))
    if forecasts := read_forecasts(education.directory / FORECAST):
        console.print(forecast_sheet(forecasts, checks_of(forecasts, read_outcome(education.directory))).table())
    if education.evaluation["ways"]:
        console.print(ways_table(education.evaluation["ways"]))
    times = ", ".join(f"{name} {int(s) // 60}:{int(s) % 60:02d}" for name, s in education.seconds.items())
    console.print(f"time: {times}")
    console.print(f"report: {education.directory / 'report.html'}", soft_wrap=True)
    console.print("ask it something:")
    console.print(f'  castalia ask {education.directory} "Make 10 from 2, 5."', highlight=False, soft_wrap=True)
