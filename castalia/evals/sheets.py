"""What an exam has found, as tables and as a picture: for the terminal, the README and the model's card."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from castalia.evals.exam import BEYOND

TITLES = {
    "levels": "exactly right by difficulty",
    "media": "the same questions by text, by voice and in the picture, difficulties 1 to 3",
    "words": "the same questions in words that were not in training, difficulties 1 to 3",
    "ways": "by way of thinking, difficulties 1 to 3",
}
"""Parts of an exam that are accuracies, and what they are called."""


@dataclass(frozen=True)
class Sheet:
    """A table: its title, its columns, its rows."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def beside(self, column: str, cells: Sequence[str]) -> "Sheet":
        """Return it with one more column."""
        rows = [(*row, cell) for row, cell in zip(self.rows, cells, strict=True)]
        return Sheet(self.title, (*self.columns, column), rows)

    def table(self) -> Table:
        """Return it for the terminal."""
        table = Table(title=self.title, title_justify="left")
        for number, name in enumerate(self.columns):
            table.add_column(name, justify="right" if number else "left")
        for row in self.rows:
            table.add_row(*row)
        return table

    def markdown(self) -> str:
        """Return it as Markdown, its title above it."""
        lines = [self.columns, ["---", *["--:"] * (len(self.columns) - 1)], *self.rows]
        return "\n".join([f"**{self.title}**", "", *(f"| {' | '.join(line)} |" for line in lines)])


def sheets_of(found: dict[str, Any]) -> list[Sheet]:
    """Return the tables of an exam: `castalia.evals.exam.sit` says what there is."""
    sheets = [
        _accuracies(f"{title}; {_surely(found[part])}", by_family(found, part))
        for part, title in TITLES.items()
        if found.get(part)
    ]
    if levels := found.get("levels"):
        chances = {family: sum(cell["chance"] for cell in row.values()) / len(row) for family, row in levels.items()}
        sheets[0] = sheets[0].beside("guessing, mean", [f"{chances[row[0]]:.0%}" for row in sheets[0].rows])
    columns = ("model", "family", "difficulty", "it", "ours")
    sheets.append(Sheet("beside reference models", columns, [*_references(found)]))
    if "audit" in found:
        columns = ("what was asked about", "different ones", "trained on", "the same", "nearly the same")
        rows = [
            (what, *(f"{row[name]:,}" for name in ("items", "trained", "exact", "near")))
            for what, row in found["audit"].items()
        ]
        sheets.append(Sheet("contamination audit", columns, rows))
    return sheets


def by_family(found: dict[str, Any], part: str) -> dict[str, dict[str, float]]:
    """Return the accuracies of one part, by family and column."""
    cells = found[part] if part == "levels" else _turned(found[part])
    return {family: {name: cell["accuracy"] for name, cell in row.items()} for family, row in cells.items()}


def _surely(cells: dict[str, dict[str, Any]]) -> str:
    """Return how many questions a cell stands for, and how sure that makes it."""
    n = min(cell["n"] for row in cells.values() for cell in row.values())
    return f"{n} questions each, so ±{100 * 1.96 * (0.25 / n) ** 0.5:.0f} points at most, of 95 in 100, if all differ"


def _accuracies(title: str, table: dict[str, dict[str, float]]) -> Sheet:
    columns = list(dict.fromkeys(name for row in table.values() for name in row))
    rows = [(family, *(f"{row[name]:.0%}" if name in row else "" for name in columns)) for family, row in table.items()]
    return Sheet(title, ("family", *columns), rows)


def _references(found: dict[str, Any]) -> Iterable[Sequence[str]]:
    for name, rows in found.get("references", {}).items():
        if "missing" in rows:
            yield name, f"not installed: {', '.join(rows['missing'])}", "", "", ""
            continue
        if "failed" in rows:
            yield name, f"failed: {rows['failed']}", "", "", ""
            continue
        for family, row in rows.items():
            levels = ", ".join(map(str, row["difficulties"]))
            kinds = f" ({', '.join(row['kinds'])})" if row["kinds"] else ""
            yield name, family + kinds, levels, f"{row['accuracy']:.0%}", f"{row['ours']:.0%}"


def _turned(cells: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return rows as columns."""
    names = dict.fromkeys(name for row in cells.values() for name in row)
    return {name: {row: of[name] for row, of in cells.items() if name in of} for name in names}


def draw(found: dict[str, Any], path: Path) -> None:
    """Draw accuracy over difficulty, a panel a family, with chance; and the other parts as bars."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    levels = found["levels"]
    bars = {part: by_family(found, part) for part in ("media", "words", "ways") if found.get(part)}
    columns = 3
    above = -(-len(levels) // columns)
    figure = pyplot.figure(figsize=(11, 2.1 * above + 2.6 * len(bars)), layout="constrained")
    grid = figure.add_gridspec(above + len(bars), columns, height_ratios=[1] * above + [1.25] * len(bars))
    for number, (family, row) in enumerate(levels.items()):
        ax = figure.add_subplot(grid[number // columns, number % columns])
        known = {int(level): cell for level, cell in row.items() if level != BEYOND}
        ax.plot([*known], [100 * cell["accuracy"] for cell in known.values()], marker="o", markersize=3)
        ax.plot([*known], [100 * cell["chance"] for cell in known.values()], color="#999999", linewidth=1)
        if BEYOND in row:
            ax.plot([len(known) + 1], [100 * row[BEYOND]["accuracy"]], marker="s", color="#dd6600")
        ax.set_xticks([1, 3, 5, 7, 9, len(known) + 1], ["1", "3", "5", "7", "9", "beyond"], fontsize=7)
        ax.set_ylim(0, 102)
        ax.set_title(family, fontsize=9, loc="left")
        ax.grid(alpha=0.25)
    for number, (part, table) in enumerate(bars.items()):
        ax = figure.add_subplot(grid[above + number, :])
        names = list(dict.fromkeys(name for row in table.values() for name in row))
        for place, name in enumerate(names):
            at = [index + 0.8 * (place - (len(names) - 1) / 2) / len(names) for index in range(len(table))]
            ax.bar(at, [100 * row.get(name, 0.0) for row in table.values()], 0.8 / len(names), label=name)
        ax.set_xticks(range(len(table)), [*table], fontsize=8)
        ax.set_title(TITLES[part], fontsize=9, loc="left")
        ax.legend(fontsize=7, frameon=False, ncols=len(names), loc="upper right", bbox_to_anchor=(1, 1.14))
        ax.set_ylim(0, 102)
        ax.grid(alpha=0.25, axis="y")
    figure.supylabel("exactly right, per cent", fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
