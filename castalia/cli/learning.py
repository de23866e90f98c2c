"""Commands that make a model: run, pretrain, rl; and figures."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from castalia.errors import CastaliaError
from castalia.shipped import find_run

if TYPE_CHECKING:
    from castalia.training.recipe import Recipe

RUNS = Path("runs")
Set = Annotated[tuple[str, ...], tyro.conf.arg(name="set", metavar="FIELD=VALUE")]


def run(
    recipe: tyro.conf.Positional[str] = "pocket",
    /,
    minutes: float | None = None,
    steps: int | None = None,
    out: Path | None = None,
    questions: int = 100,
    forecast: bool = True,
    overrides: Set = (),
) -> None:
    """Educate a model: fetch data, forecast, pre-train, give homework, examine on held-out input, write the report.

    $ castalia run pocket --minutes 10

    Run it again after an interruption and it goes on where it was.

    Args:
        recipe: name of a recipe, or path of a .py file with a function recipe().
        minutes: wall-clock budget of school and homework together (default: the recipe's).
        steps: optimizer steps of school instead; homework takes one for every twenty.
        out: run directory (default: runs/RECIPE).
        questions: exam questions a family and difficulty.
        forecast: write down before school, from small runs of an eighth of its time, what it will give.
        overrides: fields of the recipe, as model.width=256.
    """
    from castalia.data import commands
    from castalia.education import educate, school_minutes, summarise
    from castalia.recipes import find_homework, load_recipe

    made, homework = load_recipe(recipe), find_homework(recipe)
    if minutes is not None and homework is not None:
        share = homework.training.minutes / (homework.training.minutes + school_minutes(made))
        homework = homework.override({"training.minutes": str(share * minutes)})
        minutes = (1 - share) * minutes
    if steps is not None and homework is not None:
        homework = homework.override({"training.steps": str(max(1, steps // 20))})
    made = made.override(settings_of(minutes, steps, overrides))
    commands.fetch()
    summarise(educate(made, out or RUNS / made.name, homework, questions=questions, forecast=forecast))


def pretrain(
    recipe: tyro.conf.Positional[str] = "pocket",
    /,
    source: Annotated[Path | None, tyro.conf.arg(name="from", metavar="RUN")] = None,
    minutes: float | None = None,
    steps: int | None = None,
    out: Path | None = None,
    overrides: Set = (),
) -> None:
    """Pre-train a recipe; go on with the run if it was interrupted. Works under torchrun.

    $ castalia pretrain pocket --minutes 5 --set model.width=256 data.mixture=mazes:1
    $ castalia pretrain nano --from nano --steps 2000 --set data.mixture=charts:1,mazes:1 --out runs/mine
    $ torchrun --nproc-per-node 2 -m castalia pretrain pocket --steps 1000

    Args:
        recipe: name of a recipe, or path of a .py file with a function recipe().
        source: run whose weights, of the same shape, are begun with, and whose count of steps goes on: a directory, or
            a model of the package.
        minutes: wall-clock budget (default: the recipe's).
        steps: optimizer steps instead of minutes; those of --from not counted.
        out: run directory (default: runs/RECIPE).
        overrides: fields of the recipe, as model.width=256.
    """
    from castalia.console import console, training_progress
    from castalia.training.pretrain import pretrain as train

    made = _recipe(recipe, minutes, steps, overrides)
    directory = out or RUNS / made.name
    with training_progress() as report:
        trainer = train(made, directory, source=find_run(source) if source else None, report=report, warn=console.print)
    if trainer.processes.is_first:
        console.print(
            f"trained {trainer.progress.step} steps in {directory}; examine it: castalia eval {directory}",
            soft_wrap=True,
        )


def rl(
    recipe: tyro.conf.Positional[str] = "pocket",
    /,
    source: Annotated[Path | None, tyro.conf.arg(name="from", metavar="RUN")] = None,
    minutes: float | None = None,
    steps: int | None = None,
    out: Path | None = None,
    workers: int = 0,
    worker_gpus: float = 0.0,
    overrides: Set = (),
) -> None:
    """Give a trained model homework: it tries, replies are scored, and what scored well is learned.

    $ castalia rl pocket --from runs/pocket --minutes 10
    $ castalia rl pocket --from runs/pocket --set practice.tasks=countdown:1 penalty.arm=constant
    $ torchrun --nproc-per-node 8 -m castalia rl pocket --from runs/pocket --workers 16 --worker-gpus 0.5

    Run it again after an interruption and it goes on where it was.

    Args:
        recipe: name of a recipe, or path of a .py file, with a function homework().
        source: run directory of the model to begin with (default: runs/RECIPE).
        minutes: wall-clock budget (default: the recipe's).
        steps: optimizer steps instead of minutes.
        out: run directory (default: runs/RECIPE-homework).
        workers: Ray actors that make the rollouts (default: this process makes them).
        worker_gpus: GPUs of each of them.
        overrides: fields of the homework, as practice.algorithm=grpo.
    """
    from castalia.actions.catalog import build_actions
    from castalia.console import console, passes_table, training_progress
    from castalia.recipes import load_homework
    from castalia.rl.measure import before_and_after
    from castalia.rl.run import practise
    from castalia.training.metrics import read_metrics

    made = load_homework(recipe).override(settings_of(minutes, steps, overrides))
    directory = out or RUNS / f"{made.name}-homework"
    with training_progress() as report:
        actions = build_actions(("canvas", "tools", "agents"))
        trainer = practise(
            made,
            find_run(source) if source else RUNS / made.name,
            directory,
            workers=workers,
            worker_gpus=worker_gpus,
            actions=actions,
            report=report,
            warn=console.print,
        )
    if not trainer.processes.is_first:
        return
    console.print(passes_table(before_and_after(read_metrics(directory / "metrics.jsonl"))))
    console.print(
        f"practised {trainer.progress.step} steps in {directory}; examine it: castalia eval {directory}", soft_wrap=True
    )


def figures(readme: Path = Path("README.md"), docs: Path = Path("docs"), run: Path | None = None) -> None:
    """Write the tables of README and docs/figures.md from what benchmarks and runs have recorded.

    $ python benchmarks/training.py --record && castalia figures
    $ make run && castalia figures --run runs/pocket

    Args:
        readme: a file whose blocks are filled.
        docs: where figures.md, whose blocks are filled too, figures/ and results/ are.
        run: an examined run to be recorded first.
    """
    from castalia.console import console
    from castalia.evals.figures import record_run, write_figures

    records = docs / "figures"
    if run is not None:
        record_run(run, records, docs / "results")
    for file in (readme, *filter(Path.exists, [docs / "figures.md"])):
        names = write_figures(file, records)
        console.print(f"{file}: {', '.join(names) or 'no block of figures'}")


def _recipe(name: str, minutes: float | None, steps: int | None, overrides: tuple[str, ...]) -> "Recipe":
    from castalia.recipes import load_recipe

    return load_recipe(name).override(settings_of(minutes, steps, overrides))


def settings_of(minutes: float | None, steps: int | None, overrides: tuple[str, ...]) -> dict[str, str]:
    """Return a recipe's fields as the command line gives them. Raises CastaliaError for what is no FIELD=VALUE."""
    settings = {}
    for item in overrides:
        field, equals, value = item.partition("=")
        if not equals:
            raise CastaliaError(f"--set expects FIELD=VALUE, got {item!r}")
        settings[field] = value
    if minutes is not None:
        settings |= {"training.minutes": str(minutes), "training.steps": "none"}
    if steps is not None:
        settings["training.steps"] = str(steps)
    return settings
