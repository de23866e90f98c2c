"""The tables of README and docs/figures.md, written from what benchmarks and runs have recorded under docs/figures/."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

from castalia.errors import DataError
from castalia.evals.exam import EXAM
from castalia.evals.examine import EASY
from castalia.evals.goals import HEADLINES, described
from castalia.evals.sheets import draw, sheets_of
from castalia.evals.ways import AGENTS
from castalia.origin import joined
from castalia.rl.measure import before_and_after
from castalia.training.metrics import read_metrics
from castalia.training.run import HOMEWORK

BLOCK = re.compile(r"(<!-- figures: ([a-z_-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
"""What is replaced: ``<!-- figures: training -->`` ... ``<!-- end -->`` holds the table of ``training.json``."""

HEADLINE = "headline"
"""The block that holds `HEADLINES`, a line each."""


def blocks_of(readme: Path) -> list[str]:
    """Return the names of the blocks of a file; [] where there is none."""
    return [name for _, name, _ in BLOCK.findall(readme.read_text("utf-8"))] if readme.exists() else []


def write_figures(readme: Path, directory: Path) -> list[str]:
    """Fill every block of `readme` with the table recorded in `directory`; return the names of the blocks.

    Raises DataError if a block has no record, or a record cannot be read.
    """
    names: list[str] = []

    def table(match: re.Match[str]) -> str:
        names.append(match[2])
        if match[2] == HEADLINE:
            made = headline_table(directory)
        else:
            made = as_table(_read(directory / f"{match[2]}.json"), match[2])
        return f"{match[1]}{made}\n{match[3]}"

    text = readme.read_text("utf-8")
    written = BLOCK.sub(table, text)
    if written != text:
        readme.write_text(written, "utf-8")
    return names


HOMEWORK_GOALS = {"1": "≥ 10", "16": "≥ 0"}
"""Points of pass@k that homework is to give."""


def record_run(run: Path, directory: Path, results: Path) -> Path:
    """Record the exam of a run as ``directory/NAME.json`` and keep its metrics and recipe under ``results/NAME``.

    Raises DataError if the run is not examined, or was before it was written down by what.
    """
    evaluation = _read(run / "evaluation.json")
    if "origin" not in evaluation:
        raise DataError(f"{run} was examined before it was written down when and by what: castalia run does it again")
    figures, about = {}, {}
    for family, rows in evaluation["families"].items():
        chance = sum(row["chance"] for row in rows.values()) / len(rows)
        asked = sum(row["n"] for row in rows.values())
        each = ", ".join(f"{row['accuracy']:.0%}" for _, row in sorted(rows.items(), key=lambda item: int(item[0])))
        figures[family] = round(evaluation["means"][family], 3)
        goal = f"≥ {3 * chance:.2f}" if 0 < 3 * chance < 1 else ""
        about[family] = f"{asked} questions, by difficulty {each}; guessing gives {chance:.0%}", goal
    figures["average"] = round(evaluation["accuracy"], 3)
    about["average"] = "mean over families", "≥ 0.60"
    kept = results / run.resolve().name
    kept.mkdir(parents=True, exist_ok=True)
    for name in ("metrics.jsonl", "recipe.json", "evaluation.json"):
        shutil.copyfile(run / name, kept / name)
    if practised := read_metrics(run / HOMEWORK / "metrics.jsonl"):
        shutil.copyfile(run / HOMEWORK / "metrics.jsonl", kept / "homework.jsonl")
    for task, passes in before_and_after(practised).items():
        for k, (before, after) in passes.items():
            figures[name := f"homework_{task}_{k}"] = round(100 * (after - before), 1)
            what = f"points of pass@{k} by homework, held out: {before:.1%} → {after:.1%}"
            about[name] = what, HOMEWORK_GOALS.get(k, "")
    path = directory / f"{run.resolve().name}.json"
    path.write_text(
        json.dumps(evaluation["origin"] | {"figures": figures, "about": about}, indent=2, ensure_ascii=False) + "\n"
    )
    return path


def record_exam(run: Path, found: dict[str, Any], docs: Path) -> Path:
    """Record what the exam of a run has `found` as ``docs/figures/exam.json``, with its plot, and keep it under
    ``docs/results/NAME``, with all its tables."""
    name = run.resolve().name
    kept = docs / "results" / name
    kept.mkdir(parents=True, exist_ok=True)
    (kept / EXAM).write_text(json.dumps(found, indent=1) + "\n")
    draw(found, docs / "images" / f"exam-{name}.png")
    sheets = sheets_of(found)
    said = joined(found["origins"].values())
    tables = "\n\n".join([f"# The exam of {name}", *(sheet.markdown() for sheet in sheets), _origin_line(said)])
    (kept / "exam.md").write_text(tables + "\n")
    picture = f"![Exactly right by difficulty, medium, words and way of thinking](docs/images/exam-{name}.png)"
    more = f"[All its tables](docs/results/{name}/exam.md): media, words, ways of thinking, reference models, audit."
    path = docs / "figures" / "exam.json"
    recorded = {"figures": exam_figures(found), "markdown": "\n\n".join([picture, sheets[0].markdown(), more])}
    path.write_text(json.dumps(said | recorded, indent=2, ensure_ascii=False) + "\n")
    return path


def exam_figures(found: dict[str, Any]) -> dict[str, float]:
    """Return the figures of an exam, in per cent and points: families at difficulties 1 to 3, agents, media."""
    levels, media = found["levels"], [row["all"]["accuracy"] for row in found["media"].values()]
    figures = {family: sum(row[str(level)]["accuracy"] for level in EASY) / len(EASY) for family, row in levels.items()}
    agents = found["ways"].get(f"{AGENTS} agents", {})
    figures |= {f"{family}_agents": cell["accuracy"] for family, cell in agents.items() if family in levels}
    return {name: round(100 * share, 1) for name, share in (figures | {"media_gap": max(media) - min(media)}).items()}


def as_table(record: dict[str, Any], name: str = "") -> str:
    """Return a record (command, commit, machine, date, figures) as a Markdown table with its origin below it.

    The record may say what its figures are ``about``, each with a goal; else `described` does. Below them there may be
    more, in Markdown.
    """
    rows = ["| figure | what it is | goal | measured |", "|---|---|---|---|"]
    for figure, value in record["figures"].items():
        what, goal = record.get("about", {}).get(figure) or described(name, figure)
        rows.append(f"| `{figure}` | {what} | {goal} | {value:,} |")
    more = [record["markdown"]] if "markdown" in record else []
    return "\n\n".join(["\n".join(rows), *more, _origin_line(record)])


def headline_table(directory: Path) -> str:
    """Return the `HEADLINES` of what is recorded in `directory` as a Markdown table, each with the command it is from.

    Raises DataError if one is not recorded.
    """
    rows = ["| | goal | measured | by |", "|---|---|---|---|"]
    for name, figures in HEADLINES.items():
        record = _read(directory / f"{name}.json")
        for figure in figures:
            if figure not in record["figures"]:
                raise DataError(f"{directory / name}.json has no {figure}: run benchmarks/{name}.py with --record")
            what, goal = described(name, figure)
            at = f"docs/figures.md#{name.replace('_', '-')}"
            by = "[castalia exam](#what-it-can-do)" if name == "exam" else f"[{name}.py]({at})"
            rows.append(f"| {what} | {goal} | {record['figures'][figure]:,} | {by} |")
    return "\n".join(rows)


def _origin_line(record: dict[str, Any]) -> str:
    return f"`{record['command']}` · {record['date']} · commit {record['commit']} · {record['machine']}"


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise DataError(f"there is no {path}: castalia run writes it, or a benchmark with --record") from error
    except ValueError as error:
        raise DataError(f"{path} is not JSON: {error}") from error
