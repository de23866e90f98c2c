"""A run as it is published: weights in half precision, what they were made by, what they can do, and a model card."""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from castalia.data.catalog import TASKS, build_task
from castalia.data.sources import Source, find
from castalia.engine.engine import Engine
from castalia.errors import CheckpointError
from castalia.evals.audit import PRACTISED
from castalia.evals.exam import EXAM, read_exam
from castalia.evals.examine import examine
from castalia.evals.sheets import Sheet, sheets_of
from castalia.forecast.forecast import FORECAST, Forecast, read_forecasts
from castalia.forecast.ladder import RUNG
from castalia.forecast.outcome import checks_of, read_outcome
from castalia.forecast.tables import duration
from castalia.model.flops import parameters
from castalia.rl.measure import before_and_after
from castalia.training.checkpoint import list_checkpoints, replace_file, save_checkpoint
from castalia.training.metrics import read_metrics
from castalia.training.run import HOMEWORK, load_model, load_recipe_of, load_state, load_weights

CARD = "README.md"
KEPT = ("recipe.json", "tokenizer.json", EXAM, FORECAST, RUNG, "metrics.jsonl")
"""What is copied of a run beside its weights, where there is such a file."""
METRICS_LINES = 400
"""Lines of metrics that are kept at most, evenly spaced: what curves are drawn of."""


@dataclass(frozen=True)
class Published:
    """Where a model was published, how large its weights are, and how many answers are others in half precision."""

    directory: Path
    weight_bytes: int
    asked: int
    changed: int


def publish(run: Path, directory: Path, questions: int = 20) -> Published:
    """Write the model of `run`, as it is after all its education, to `directory`, which then is itself a run.

    So many `questions` of every family and difficulty are asked of both, to see whether half precision changes answers.
    Raises CheckpointError if the run has not sat an exam, which is what its card tells of.
    """
    found = read_exam(run)
    if not found.get("levels"):
        raise CheckpointError(f"{run} has not sat an exam: castalia exam {run}")
    weights = load_weights(run)
    directory.mkdir(parents=True, exist_ok=True)
    for name in KEPT:
        if (run / name).exists():
            shutil.copyfile(run / name, directory / name)
    lines = read_metrics(run / "metrics.jsonl")
    thin = lines[:: -(-len(lines) // METRICS_LINES)]
    replace_file(directory / "metrics.jsonl", "".join(json.dumps(line) + "\n" for line in [*thin, *lines[-1:]]))
    (directory / HOMEWORK).mkdir(exist_ok=True)
    for name in ("homework.json", "metrics.jsonl"):
        if (run / HOMEWORK / name).exists():
            shutil.copyfile(run / HOMEWORK / name, directory / HOMEWORK / name)
    halved = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in weights.items()}
    path = save_checkpoint(directory / "checkpoints", lines[-1]["step"], {"model": halved}, _learned(run), keep=1)
    asked, changed = _changed(run, directory, questions)
    made = Published(directory, (path / "model.safetensors").stat().st_size, asked, changed)
    replace_file(directory / CARD, card(run, made))
    return made


def _learned(run: Path) -> dict[str, Any]:
    """Return what an audit asks of a run's state: how far it has come in its data, at school and at homework."""
    practised = list_checkpoints(run / HOMEWORK / "checkpoints")
    drawn = load_state(run / HOMEWORK)["data"]["practice"]["drawn"] if practised else 0
    return {"data": load_state(run)["data"], PRACTISED: drawn}


def _changed(run: Path, directory: Path, questions: int) -> tuple[int, int]:
    """Return how many questions were asked of both models, and how many were answered otherwise."""
    recipe = load_recipe_of(run)
    tasks = {name: build_task(name) for name in sorted(recipe.data.mixture)}
    answers = [
        [
            one.verdict.answer
            for one in examine(
                Engine(*load_model(at)), tasks, difficulties=recipe.data.difficulties, n=questions
            ).answered
        ]
        for at in (run, directory)
    ]
    return len(answers[0]), sum(one != other for one, other in zip(*answers, strict=True))


def card(run: Path, made: Published) -> str:
    """Return the model card of a published run, all of it from what its run has recorded."""
    recipe, found, lines = load_recipe_of(run), read_exam(run), read_metrics(run / "metrics.jsonl")
    last, homework = lines[-1], read_metrics(run / HOMEWORK / "metrics.jsonl")
    practised = f", then {duration(homework[-1]['clock']['seconds'] / 3600)} of homework" if homework else ""
    flops = last["flops"] + (homework[-1]["flops"] if homework else 0)
    name = made.directory.name
    size = parameters(recipe.model)["total"]
    about = [
        f"# {name}",
        "A small model that comes with Castalia: one transformer that reads text, pictures and speech as one sequence. "
        f"It was made from nothing by `castalia run {recipe.name}`; this card was written by `castalia publish` from "
        "what that run has recorded.",
        f"- {size:,} parameters: width {recipe.model.width}, {recipe.model.layers} layers, {recipe.model.heads} heads, "
        f"{recipe.model.vocab_size} tokens; {made.weight_bytes / 1e6:.1f} MB in half precision",
        f"- educated for {duration(last['clock']['seconds'] / 3600)} of school ({last['step']:,} steps, "
        f"{last['positions']:,} positions, {last['documents']:,} documents){practised}; {flops:.3g} FLOPs in all; "
        f"seed {recipe.training.seed}; the whole recipe is in `recipe.json`",
        f"- half precision changes {made.changed} of {made.asked} answers",
    ]
    parts = ["\n\n".join([*about[:2], "\n".join(about[2:])])]
    parts.append("## What it can do\n\n" + "\n\n".join(sheet.markdown() for sheet in sheets_of(found)))
    if practised:
        parts.append("## Homework\n\n" + homework_sheet(before_and_after(homework)).markdown())
    if forecasts := read_forecasts(run / FORECAST):
        parts.append("## What was foretold\n\n" + forecast_sheet(forecasts, run).markdown())
    parts.append("## What it was made of\n\n" + data_sheet(recipe.data.mixture).markdown())
    parts.append("## Limits\n\n" + _limits(found))
    return "\n\n".join(parts) + "\n"


def homework_sheet(rates: dict[str, dict[str, tuple[float, float]]]) -> Sheet:
    """Return pass@k before and after homework."""
    ks = list(dict.fromkeys(k for passes in rates.values() for k in passes))
    rows = [
        (task, *(f"{before:.0%} → {after:.0%}" for before, after in passes.values())) for task, passes in rates.items()
    ]
    return Sheet("one of k replies right, before and after, held out", ("family", *(f"pass@{k}" for k in ks)), rows)


def forecast_sheet(forecasts: Sequence[Forecast], run: Path) -> Sheet:
    """Return what small runs foretold of school, and what it gave."""
    checks, rows = checks_of(forecasts, read_outcome(run)), []
    for one in forecasts:
        expected = checks[one.of].expected if one.of in checks else one.targets[0]
        write = "{:.0%}".format if one.in_points else "{:.3f}".format
        row = [one.of, write(expected.value), f"{write(expected.low)} to {write(expected.high)}"]
        if one.of in checks:
            check = checks[one.of]
            row += [write(check.measured), f"{check.error:+.1f}{' points' if one.in_points else ' %'}"]
        rows.append([*row, "", ""][:5])
    title = f"written {forecasts[0].written[:10]}, before school began"
    return Sheet(title, ("", "expected", f"{forecasts[0].share:.0%} interval", "measured", "error"), rows)


def data_sheet(mixture: Mapping[str, float]) -> Sheet:
    """Return what a mixture is made of: families, and the sources of what is real in them, with their licences."""
    rows = [
        (family, f"{share / sum(mixture.values()):.0%}", source.what, source.licence, source.attribution)
        for family, share in sorted(mixture.items())
        for source in _sources(family)
    ]
    rows += [
        (family, f"{share / sum(mixture.values()):.0%}", f"{TASKS[family].what}, made by Castalia", "Apache-2.0", "")
        for family, share in sorted(mixture.items())
        if family in TASKS and not TASKS[family].sources
    ]
    return Sheet("data, and whose it is", ("family", "share", "what", "licence", "by"), rows)


def _sources(family: str) -> Iterator[Source]:
    """Yield the sources that a family is trained on."""
    names = TASKS[family].sources if family in TASKS else ()
    yield from (source for source in map(find, names) if not source.evaluation_only)


def _limits(found: dict[str, Any]) -> str:
    """Return what it should not be used for, by what the exam has found."""
    levels: dict[str, dict[str, dict[str, float]]] = found["levels"]
    means = {family: sum(cell["accuracy"] for cell in row.values()) / len(row) for family, row in levels.items()}
    weakest = sorted(means, key=means.__getitem__)[:3]
    guessing = [
        f"{family} from {level} on"
        for family, row in levels.items()
        for level in [next((at for at, cell in row.items() if cell["accuracy"] <= cell["chance"] + 0.1), "")]
        if level.isdigit()
    ]
    return "\n".join([
        "- It knows its families of questions and nothing else of the world; it has been taught to say so, and does "
        "not always.",
        "- It reads pictures and sounds such as its families have: drawn charts, scenes and mazes, handwritten digits, "
        "small pictures, single words and rows of digits, mostly by the speakers it was trained on.",
        f"- Weakest over all difficulties: {', '.join(f'{family} ({means[family]:.0%})' for family in weakest)}.",
        f"- Little better than guessing: {', '.join(guessing) or 'nothing at any difficulty'}.",
        "- It is a teaching and testing model: nothing should depend on its answers.",
    ])  # fmt: skip
