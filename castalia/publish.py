"""A run as it is published: weights, half as precise if answers stay, what made them, what they can do, and a card."""

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from castalia.actions.catalog import build_actions
from castalia.data.catalog import TASKS, tasks_of
from castalia.data.sources import Source, find
from castalia.engine.engine import Engine
from castalia.errors import CheckpointError
from castalia.evals.exam import EXAM, PARTS, digest_of, read_exam
from castalia.evals.examine import examine
from castalia.evals.learned import PRACTISED, practised
from castalia.evals.sheets import Sheet, sheets_of
from castalia.evals.ways import usual_way
from castalia.forecast.forecast import FORECAST, read_forecasts
from castalia.forecast.ladder import RUNG
from castalia.forecast.outcome import checks_of, read_outcome
from castalia.forecast.tables import duration, forecast_sheet
from castalia.model.flops import parameters
from castalia.origin import joined
from castalia.rl.measure import before_and_after
from castalia.rl.run import is_outdated
from castalia.training.checkpoint import list_checkpoints, replace_file, save_checkpoint
from castalia.training.metrics import read_metrics
from castalia.training.run import (
    HOMEWORK,
    SOURCES,
    STRETCHES,
    load_model,
    load_recipe_of,
    load_sources_of,
    load_state,
    load_stretches_of,
    load_weights,
)

CARD = "README.md"
KEPT = ("recipe.json", "tokenizer.json", SOURCES, STRETCHES, EXAM, FORECAST, RUNG)
"""What is copied of a run beside its weights and metrics, where there is such a file."""
VOICE = "spoken by eSpeak NG, a program under GPL-3.0-or-later (of which nothing is in the weights or the package)"
"""Who asks where questions are asked by voice."""
CHANGED = (
    "School went on with other documents, or for longer, than this was foretold for: the same law, beside what came of "
    "it, is no test of the forecast."
)
"""What is said below a forecast of a run whose code has changed on the way."""
METRICS_LINES = 400
"""Lines of metrics that are kept at most, evenly spaced: what curves are drawn of."""


@dataclass(frozen=True)
class Published:
    """Where a model was published, how large its weights are, and how many answers are others in half precision.

    If any is, the weights are `whole`, in single precision.
    """

    directory: Path
    weight_bytes: int
    asked: int
    changed: int

    @property
    def whole(self) -> bool:
        """Whether the weights are in single precision."""
        return self.changed > 0

    @property
    def precision(self) -> str:
        """In what precision the weights are, and why."""
        of = f"{self.changed} of {self.asked} answers"
        return f"single precision, as half changes {of}" if self.whole else f"half precision, which changes {of}"


def publish(run: Path, directory: Path, questions: int = 20) -> Published:
    """Write the model of `run`, as it is after all its education, to `directory`, which then is itself a run.

    So many `questions` of every family and difficulty are asked of both, to see whether half precision changes answers;
    if it does, weights are written in single precision. An earlier publication is replaced, whole. Raises
    CheckpointError if the run has not sat a whole exam with these weights, which is what its card tells of, if it is of
    homework alone, or if `directory` holds anything else.
    """
    _check(run, directory)
    partial = directory.with_name(f".publishing-{directory.name}")
    old = directory.with_name(f".replaced-{directory.name}")
    shutil.rmtree(partial, ignore_errors=True)  # of one that was killed
    try:
        partial.mkdir(parents=True)
        made = Published(directory, *_write(run, partial, questions))
        replace_file(partial / CARD, card(partial, made))
        if directory.exists():  # moved aside, not deleted, until the new one stands in its place
            shutil.rmtree(old, ignore_errors=True)
            os.replace(directory, old)
        os.replace(partial, directory)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        if old.exists() and not directory.exists():
            os.replace(old, directory)
    return made


def _check(run: Path, directory: Path) -> None:
    if (run / "homework.json").exists():
        inside = f"castalia rl with --out RUN/{HOMEWORK} puts it there"
        raise CheckpointError(f"{run} is homework alone: publish the run that it is in ({inside})")
    if directory.resolve() == run.resolve():
        raise CheckpointError(f"{run} cannot be published onto itself: choose another name, or --out")
    if directory.exists() and not (directory / CARD).exists():
        raise CheckpointError(f"{directory} is something else than a published model: choose another name, or --out")
    found, again = read_exam(run), f"castalia exam {run}"
    if not found:
        raise CheckpointError(f"{run} has not sat an exam: {again}")
    if found["asked"]["model"] != digest_of(load_weights(run)):
        raise CheckpointError(f"{run} has learned since its exam: {again}")
    if is_outdated(run / HOMEWORK, run):
        raise CheckpointError(f"{run} has been to school since its homework: repeat it, or delete {run / HOMEWORK}")
    if (run / FORECAST).exists() and not (run / RUNG).exists():
        raise CheckpointError(f"{run} was forecast, and nobody has checked it: castalia forecast check {run}")
    mixture = load_recipe_of(run).data.mixture
    if any(TASKS[name].sources for name in mixture if name in TASKS) and not load_sources_of(run):
        raise CheckpointError(
            f"{run} has not written down what it was made of, so that nobody could be named: school it anew"
        )
    families = set(tasks_of(mixture))
    if missing := [*(families - set(found["asked"]["tasks"])), *(part for part in PARTS if part not in found)]:
        raise CheckpointError(f"the exam of {run} lacks {', '.join(missing)}: {again}")


def _write(run: Path, directory: Path, questions: int) -> tuple[int, int, int]:
    """Write all but the card; return the size of the weights, how many questions were asked and answers changed."""
    for name in KEPT:
        if (run / name).exists():
            shutil.copyfile(run / name, directory / name)
    state, weights = load_state(run), load_weights(run)
    known = {name: state[name] for name in ("data", "progress")} | {PRACTISED: practised(run)}
    _keep_metrics(run, directory, state["progress"]["step"])
    if list_checkpoints(run / HOMEWORK / "checkpoints"):
        (directory / HOMEWORK).mkdir()
        shutil.copyfile(run / HOMEWORK / "homework.json", directory / HOMEWORK / "homework.json")
        progress = load_state(run / HOMEWORK)["progress"]
        _keep_metrics(run / HOMEWORK, directory / HOMEWORK, progress["step"])
        known[HOMEWORK] = progress
    elif HOMEWORK in state:  # of a published run
        shutil.copytree(run / HOMEWORK, directory / HOMEWORK)
        known[HOMEWORK] = state[HOMEWORK]
    step = state["progress"]["step"]
    halved = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in weights.items()}
    path = save_checkpoint(directory / "checkpoints", step, {"model": halved}, known, keep=1)
    if (counts := _changed(run, directory, questions))[1]:
        shutil.rmtree(path)
        path = save_checkpoint(directory / "checkpoints", step, {"model": weights}, known, keep=1)
    return (path / "model.safetensors").stat().st_size, *counts


def _keep_metrics(run: Path, directory: Path, step: int) -> None:
    """Copy the metrics up to the step of the weights, thinned out; lines of evaluations are all kept."""
    lines = [line for line in read_metrics(run / "metrics.jsonl") if line["step"] <= step]
    every = -(-len(lines) // METRICS_LINES) or 1
    kept = [
        line
        for number, line in enumerate(lines)
        if number % every == 0 or "held_out_loss" in line or "pass" in line or number == len(lines) - 1
    ]
    replace_file(directory / "metrics.jsonl", "".join(json.dumps(line) + "\n" for line in kept))


def _changed(run: Path, directory: Path, questions: int) -> tuple[int, int]:
    """Return how many questions were asked of both models, and how many were answered otherwise."""
    data = load_recipe_of(run).data
    tasks, way = tasks_of(data.mixture), usual_way(data, build_actions(("canvas", "tools")))
    answers = [
        [
            one.verdict.answer
            for one in examine(
                Engine(*load_model(at)), tasks, difficulties=data.difficulties, n=questions, strategy=way
            ).answered
        ]
        for at in (run, directory)
    ]
    return len(answers[0]), sum(one != other for one, other in zip(*answers, strict=True))


def card(directory: Path, made: Published) -> str:
    """Return the model card of what is in `directory`, to be published, all of it from what its run has recorded."""
    recipe, found, state = load_recipe_of(directory), read_exam(directory), load_state(directory)
    homework: dict[str, Any] | None = state.get(HOMEWORK)
    sat = joined(found["origins"].values())
    school, model = state["progress"], recipe.model
    then = f", then for {duration(homework['seconds'] / 3600)} of homework" if homework else ""
    flops = school["flops"] + (homework["flops"] if homework else 0)
    about = [
        f"- {parameters(model)['total']:,} parameters: width {model.width}, {model.layers} layers, {model.heads} "
        f"heads, {model.vocab_size} tokens; {made.weight_bytes / 1e6:.1f} MB in {made.precision}",
        f"- educated for {duration(school['seconds'] / 3600)} of school ({school['step']:,} steps, "
        f"{school['positions']:,} positions, {school['documents']:,} documents){then}: {flops:.3g} FLOPs, optimizer "
        f"and all, but for what homework's rollouts took; seed {recipe.training.seed}; `recipe.json` and "
        "`homework/homework.json` are the whole recipe",
        *_made_by(load_stretches_of(directory)),
        "- weights: Apache-2.0, as Castalia; what they were made of has the licences below",
        f"- examined with `{sat['command']}` on {sat['date']}, commit {sat['commit']}, {sat['machine']}",
    ]
    parts = [
        f"# {made.directory.name}",
        f"A small model made from nothing by the recipe `{recipe.name}` of Castalia: one transformer that has learned "
        f"{', '.join(sorted(recipe.data.mixture))}. This card was written by `castalia publish` from what its run has "
        "recorded.",
        "\n".join(about),
        f"## What it can do\n\nThe exam: {found['asked']['n']} held-out questions a family and difficulty.",
        *(sheet.markdown() for sheet in sheets_of(found)),
    ]
    if rates := before_and_after(read_metrics(directory / HOMEWORK / "metrics.jsonl")):
        parts.append("## Homework\n\n" + homework_sheet(rates).markdown())
    if forecasts := read_forecasts(directory / FORECAST):
        sheet = forecast_sheet(forecasts, checks_of(forecasts, read_outcome(directory)))
        parts.append("## What was foretold before school began\n\n" + sheet.markdown())
        if load_stretches_of(directory)[1:]:
            parts.append(CHANGED)
    made_of = data_sheet(recipe.data.mixture, load_sources_of(directory))
    parts.append("## What it was made of\n\n" + made_of.markdown())
    if spoken := recipe.data.media.get("voice", 0.0):
        parts.append(f"Questions of {spoken / sum(recipe.data.media.values()):.0%} of the documents were {VOICE}.")
    parts.append("## Limits\n\n" + _limits(found))
    return "\n\n".join(parts) + "\n"


def _made_by(stretches: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a line on the code that a model's school was trained by, and how to repeat it; none if nobody knows."""
    if not stretches:
        return []
    first, *others = stretches
    line = f"- trained by commit {first['commit']}"
    for stretch in others:
        again = f", with a new optimizer and all that {stretch['source']} had learned," if "source" in stretch else ""
        line += f", from step {stretch['step']:,} on{again} by {stretch['commit']}"
    more = ", whose documents are others: to repeat it, go on with one after the other" if others else ""
    return [line + more]


def homework_sheet(rates: dict[str, dict[str, tuple[float, float]]]) -> Sheet:
    """Return pass@k before and after homework."""
    ks = list(dict.fromkeys(k for passes in rates.values() for k in passes))
    rows = [
        (task, *(f"{before:.0%} → {after:.0%}" for before, after in passes.values())) for task, passes in rates.items()
    ]
    return Sheet("one of k replies right, before and after, held out", ("family", *(f"pass@{k}" for k in ks)), rows)


def data_sheet(mixture: Mapping[str, float], used: Mapping[str, Sequence[str]]) -> Sheet:
    """Return what a mixture is made of: families, and what is real in them, of the sources `used`, with licences."""
    rows: list[tuple[str, ...]] = []
    for family, share in sorted(mixture.items()):
        part = f"{share / sum(mixture.values()):.0%}"
        if not (sources := list(_sources(used.get(family, ())))):
            drawn = f"{TASKS[family].what}, made by Castalia" if family in TASKS else "own documents, or another set"
            rows.append((family, part, drawn, "Apache-2.0" if family in TASKS else "", ""))
        for number, source in enumerate(sources):
            first = ("", "") if number else (family, part)
            rows.append((*first, source.what, source.licence, source.attribution))
    return Sheet("families, and whose data they are made of", ("family", "documents", "what", "licence", "by"), rows)


def _sources(names: Iterable[str]) -> Iterator[Source]:
    """Yield those sources that are trained on, with what they need."""
    for source in map(find, names):
        if not source.evaluation_only:
            yield from (source, *map(find, source.needs))


def _limits(found: dict[str, Any]) -> str:
    """Return what it should not be used for, by what the exam has found."""
    levels: dict[str, dict[str, dict[str, float]]] = found["levels"]
    means = {family: sum(cell["accuracy"] for cell in row.values()) / len(row) for family, row in levels.items()}
    weakest = sorted(means, key=means.__getitem__)[:3]
    guessed = [f"{family} from {level} on" for family, row in levels.items() if (level := _guessed_from(row))]
    return "\n".join([
        "- It knows its families of questions, the pictures and sounds that these have, and nothing else of the world.",
        f"- Weakest over all difficulties: {', '.join(f'{family} ({means[family]:.0%})' for family in weakest)}.",
        f"- Little better than guessing: {', '.join(guessed) or 'nothing'}.",
        "- It is a model to learn and to test with: nothing should depend on its answers.",
    ])  # fmt: skip


def _guessed_from(row: dict[str, dict[str, float]]) -> str | None:
    """Return the difficulty from which on answers are hardly better than guessing at any; None if there is none."""
    weak = None
    for level, cell in reversed([(at, cell) for at, cell in row.items() if at.isdigit()]):
        if cell["accuracy"] > cell["chance"] + 0.1:
            break
        weak = level
    return weak
