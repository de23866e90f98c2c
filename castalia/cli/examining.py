"""Commands that examine a model: eval, exam."""

import json as jsonlib
from pathlib import Path

import tyro

from castalia.cli.learning import RUNS
from castalia.errors import CastaliaError
from castalia.shipped import MODELS, find_run

README = Path("README.md")
"""Where `--record` writes, in the directory that is worked in."""


def evaluate(
    run: tyro.conf.Positional[str | None] = None,
    /,
    task: tuple[str, ...] = (),
    difficulty: tuple[int, ...] = (),
    n: int = 100,
    split: str = "held_out",
    kinds: bool = False,
    json: bool = False,
) -> None:
    """Examine a run on held-out questions.

    $ castalia eval runs/pocket --task charts mazes --difficulty 1 2 3 --n 200
    $ castalia eval --task scenes --kinds

    Args:
        run: run directory, or a model that comes with the package (default: the one that does).
        task: task families (default: those it was trained on).
        difficulty: difficulties from 1 to 10 (default: those it was trained on).
        n: questions a family and difficulty.
        split: held_out, out_of_range or train.
        kinds: tell the kinds of a family's questions apart, too.
        json: print one line of JSON instead of a table.
    """
    from castalia.console import accuracy_table, console
    from castalia.education import examine_run

    if n < 1:
        raise CastaliaError(f"an examination asks 1 question or more, not {n}")
    directory = find_run(run)
    examination = examine_run(
        directory, tasks=list(task) or None, difficulties=tuple(difficulty) or None, questions=n, split=split
    )
    evaluation = examination.to_json()
    if not evaluation["families"]:
        raise CastaliaError(f"{directory} has learned from documents alone: name families to ask by --task")
    print(jsonlib.dumps(evaluation)) if json else console.print(accuracy_table(evaluation, kinds))


def exam(
    run: tyro.conf.Positional[str | None] = None,
    /,
    task: tuple[str, ...] = (),
    n: int = 100,
    audit: bool = True,
    record: bool = False,
    json: bool = False,
) -> None:
    """Examine a run in every way: all difficulties, by text, voice and picture, in other words, by effort, and audited.

    $ castalia exam nano
    $ castalia exam runs/pocket --n 50
    $ castalia exam runs/pocket --task countdown --no-audit --json

    Reference models are asked the same questions, where they are installed and can do the task. The audit looks for
    every question among all that the run has learned from; it takes as long as making that anew. Every part is kept
    when it is done, in the run's exam.json (of a model of the package, in runs/exams/NAME): the same command goes on.

    Args:
        run: run directory, or a model that comes with the package (default: the one that does).
        task: task families (default: those it was trained on).
        n: questions a family and difficulty.
        audit: look for the questions among what was trained on.
        record: write the tables and a plot into README.md and docs/, of the directory that is worked in.
        json: print one line of JSON instead of tables.
    """
    from castalia.console import console
    from castalia.evals.exam import read_exam, sit
    from castalia.evals.figures import blocks_of, record_exam, write_figures
    from castalia.evals.sheets import sheets_of

    if record and (task or not audit):
        raise CastaliaError("--record is for the whole exam: without --task, and audited")
    if record and "exam" not in blocks_of(README):
        raise CastaliaError(f"--record fills a block of {README} here, and it has none: <!-- figures: exam -->")
    directory = find_run(run)
    kept = RUNS / "exams" / directory.name if directory.resolve().parent == MODELS.resolve() else directory
    kept.mkdir(parents=True, exist_ok=True)
    with console.status("exam") as status:
        some = [*([run] if run else []), f"--n {n}", *([f"--task {' '.join(task)}"] if task else [])]
        found = sit(
            directory,
            task,
            n,
            audited=audit,
            kept=kept,
            command=" ".join(["castalia exam", *some]),
            progress=lambda part: status.update(f"exam: {part}"),
        )
    if record and read_exam(kept)["asked"] != found["asked"]:
        raise CastaliaError(f"{kept} holds an exam of more questions, and this one is not recorded: --n as there")
    if record:
        record_exam(kept, found, Path("docs"))
        write_figures(README, Path("docs/figures"))
    if json:
        print(jsonlib.dumps(found))
        return
    for sheet in sheets_of(found):
        console.print(sheet.table())
    console.print(f"kept in {kept}", soft_wrap=True)


def publish(run: tyro.conf.Positional[str], name: tyro.conf.Positional[str] = "", /, out: Path = MODELS) -> None:
    """Publish a run that has sat an exam: its weights, its recipe and results, and a model card.

    $ castalia publish runs/nano
    $ castalia publish runs/mine mine --out published

    What is published is itself a run: it can be asked, served, examined. In the package's models it goes by its name.

    Args:
        run: run directory.
        name: what it is called (default: as its directory).
        out: where to.
    """
    from castalia.console import console
    from castalia.publish import CARD, publish

    source = find_run(run)
    name = name or source.resolve().name
    if name.startswith(".") or Path(name).name != name:
        raise CastaliaError(f"{name!r} is no name for a model: letters and digits, and where it goes by --out")
    with console.status("publishing"):
        made = publish(source, out / name)
    size = f"{made.weight_bytes / 1e6:.1f} MB of weights"
    console.print(f"{made.directory}: {size} in {made.precision}; its card is {made.directory / CARD}", soft_wrap=True)
