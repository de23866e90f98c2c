"""What a person sees in the terminal: progress of training, and tables of results."""

import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

console = Console()


@contextmanager
def training_progress(what: str = "training") -> Generator[Any]:
    """Show a bar for training, or `what` it is; yields the function that takes every line of metrics."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=False) as progress:
        bar = progress.add_task(f"{what}: warming up", total=1.0)
        interactive = console.is_terminal
        last_shown = 0.0
        begun: tuple[float, float] | None = None

        def report(line: dict[str, Any]) -> None:
            nonlocal begun, last_shown
            clock = line["clock"]
            done, seconds = clock["done"], clock["seconds"]
            begun = begun or (done, seconds)
            pace = (seconds - begun[1]) / (done - begun[0]) if done > begun[0] else 0.0
            left = round(pace * (1 - done))
            ending = f" · {left // 60}:{left % 60:02d} left" if pace else ""
            peak = f" · {clock['peak_share']:.0%} of peak" if clock["peak_share"] else ""
            if "accuracy" in line:
                how = f"{line['accuracy']:.0%} right · {line['length']:.0f} tokens each"
            else:
                how = f"loss {line['loss']:.3f}"
            text = f"step {line['step']} · {how} · {clock['tokens_per_second']:,.0f} tokens/s{peak}{ending}"
            progress.update(bar, completed=min(1.0, done), description=text)
            # A log file gets a line every half a minute instead of a bar.
            if not interactive and clock["seconds"] - last_shown >= 30:
                last_shown = clock["seconds"]
                print(text, file=sys.stderr, flush=True)

        yield report


def accuracy_table(evaluation: dict[str, Any], kinds: bool = False) -> Table:
    """Return the table of accuracy by family and difficulty, with the chance level beside it; and by kind of question,
    if `kinds`.
    """
    families = evaluation["families"]
    difficulties = sorted({int(d) for rows in families.values() for d in rows})
    table = Table(title="held-out answers exactly right", title_justify="left")
    table.add_column("family")
    for difficulty in difficulties:
        table.add_column(f"difficulty {difficulty}", justify="right")
    table.add_column("mean", justify="right", style="bold")
    table.add_column("chance", justify="right", style="dim")
    for name, rows in families.items():
        cells = [f"{rows[str(d)]['accuracy']:.0%}" if str(d) in rows else "" for d in difficulties]
        chance = sum(row["chance"] for row in rows.values()) / len(rows)
        table.add_row(name, *cells, f"{evaluation['means'][name]:.1%}", f"{chance:.0%}")
        if kinds:
            _add_kinds(table, rows, difficulties)
    if families:
        table.add_section()
        table.add_row("average", *[""] * len(difficulties), f"{evaluation['accuracy']:.1%}", "")
    return table


def _add_kinds(table: Table, rows: dict[str, Any], difficulties: list[int]) -> None:
    """Add a row for every kind of question: how many were right, of how many."""
    for kind in sorted({kind for row in rows.values() for kind in row["kinds"]}):
        found = [rows.get(str(d), {"kinds": {}})["kinds"].get(kind) for d in difficulties]
        asked = [tally for tally in found if tally]
        n, correct = (sum(tally[of] for tally in asked) for of in ("n", "correct"))
        chance = sum(tally["chance"] * tally["n"] for tally in asked)
        cells = [f"{tally['correct']:g} of {tally['n']}" if tally else "" for tally in found]
        table.add_row(f"  {kind}", *cells, f"{correct / n:.0%}", f"{chance / n:.0%}", style="dim")


def ways_table(ways: dict[str, dict[str, Any]]) -> Table:
    """Return the table of accuracy by family and way of thinking."""
    table = Table(title="by effort, with actions, and by agents that contemplate", title_justify="left")
    table.add_column("family")
    for way in ways:
        table.add_column(way, justify="right")
    for family in next(iter(ways.values())):
        table.add_row(family, *(f"{rows[family]['accuracy']:.0%}" for rows in ways.values()))
    table.add_section()
    table.add_row("mean", *(f"{sum(r['accuracy'] for r in rows.values()) / len(rows):.0%}" for rows in ways.values()))
    return table


def passes_table(rates: dict[str, dict[str, tuple[float, float]]]) -> Table:
    """Return the table of pass@k before and after homework, by task: ``{task: {k: (first, last)}}``."""
    table = Table(title="one of k replies exactly right, before and after", title_justify="left")
    table.add_column("task")
    for k in next(iter(rates.values()), ()):
        table.add_column(f"pass@{k}", justify="right")
    for name, passes in rates.items():
        table.add_row(name, *(f"{first:.0%} → {last:.0%}" for first, last in passes.values()))
    return table
