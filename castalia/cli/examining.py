"""Commands that examine a model: eval, exam."""

import json as jsonlib
from pathlib import Path

import tyro


def evaluate(
    run: tyro.conf.Positional[Path],
    /,
    task: tuple[str, ...] = (),
    difficulty: tuple[int, ...] = (),
    n: int = 100,
    split: str = "held_out",
    json: bool = False,
) -> None:
    """Examine a run on held-out questions.

    Example: castalia eval runs/pocket --task charts mazes --difficulty 1 2 3 --n 200

    Args:
        run: run directory.
        task: task families (default: those it was trained on).
        difficulty: difficulties from 1 to 10 (default: those it was trained on).
        n: questions a family and difficulty.
        split: held_out, out_of_range or train.
        json: print one line of JSON instead of a table.
    """
    from castalia.console import accuracy_table, console
    from castalia.education import examine_run

    examination = examine_run(
        run, tasks=list(task) or None, difficulties=tuple(difficulty) or None, questions=n, split=split
    )
    evaluation = examination.to_json()
    print(jsonlib.dumps(evaluation)) if json else console.print(accuracy_table(evaluation))


def exam(
    run: tyro.conf.Positional[Path],
    /,
    task: tuple[str, ...] = (),
    n: int = 100,
    audit: bool = True,
    record: bool = False,
    json: bool = False,
) -> None:
    """Examine a run in every way: all difficulties, by text, voice and picture, in other words, by effort, and audited.

    Example: castalia exam runs/pocket --n 50
    Example: castalia exam runs/pocket --task countdown --no-audit --json

    Reference models are asked the same questions, where they are installed and can do the task. The audit looks for
    every question among all that the run has learned from; it takes as long as making that anew. Every part is kept in
    the run's exam.json when it is done: the same command goes on from there.

    Args:
        run: run directory.
        task: task families (default: those it was trained on).
        n: questions a family and difficulty.
        audit: look for the questions among what was trained on.
        record: write the tables and a plot into README.md and docs/, of the directory that is worked in.
        json: print one line of JSON instead of tables.
    """
    from castalia.console import console
    from castalia.evals.exam import EXAM, sit
    from castalia.evals.sheets import sheets_of

    with console.status("exam") as status:
        found = sit(run, task, n, audited=audit, progress=lambda part: status.update(f"exam: {part}"))
    if record:
        from castalia.evals.figures import origin, record_exam, write_figures

        record_exam(run, Path("docs"), origin(f"castalia exam {run}"))
        write_figures(Path("README.md"), Path("docs/figures"))
    if json:
        print(jsonlib.dumps(found))
        return
    for sheet in sheets_of(found):
        console.print(sheet.table())
    console.print(f"kept in {run / EXAM}", soft_wrap=True)
