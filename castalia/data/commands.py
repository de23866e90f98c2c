"""What `castalia data` does, for the command line: fetch, ls, sample, build."""

import json as jsonlib
import shlex
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from castalia.console import console
from castalia.data.build import Built
from castalia.data.build import build as build_documents
from castalia.data.cache import marker
from castalia.data.catalog import build_task
from castalia.data.fetch import Outcome, attempt, located, wanted_sources
from castalia.data.parsers import decode, decoded_directory
from castalia.data.sources import SOURCES, Source
from castalia.document import Image, Speech
from castalia.errors import DataError
from castalia.tasks.task import Example


def fetch(sources: list[str] | None = None, cache: Path | None = None) -> list[Outcome]:
    """Fetch and decode sources (default: all that are not optional); print one line for each that is left out.

    Returns what became of each. Raises DataError for an unknown name.
    """
    chosen = wanted_sources(sources)
    outcomes: list[Outcome] = []
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("looking", total=None)
        for number, source in enumerate(chosen, 1):
            place = f"({number} of {len(chosen)}) {source.name}"
            outcome = attempt(source, cache, lambda words, at=place: progress.update(bar, description=f"{at}: {words}"))
            progress.update(bar, description=f"{place}: decoding")
            outcome = _decoded(outcome, cache)
            outcomes.append(outcome)
            if outcome.path is None:
                _say(f"{source.name} is left out: {outcome.note}")
            elif outcome.note:
                _say(f"{source.name}: {outcome.note}")
    here = sum(outcome.path is not None for outcome in outcomes)
    _say(f"{here} of {len(outcomes)} data sources are here")
    return outcomes


def ls(json: bool = False, cache: Path | None = None) -> list[dict[str, Any]]:
    """Print all sources with version, licence, number of items, size and state; with `json` as one line of JSON."""
    rows = [_row(source, cache) for source in SOURCES.values()]
    if json:
        print(jsonlib.dumps(rows, ensure_ascii=False))
        return rows
    table = Table("name", "what", "from", "version", "licence", box=None, header_style="bold", pad_edge=False)
    for column in ("count", "size"):
        table.add_column(column, justify="right")
    table.add_column("state")
    for row in rows:
        size = f"{row['bytes'] / 1e6:,.0f} MB" if row["bytes"] else ""
        count = f"{row['count']:,}" if row["count"] is not None else ""
        table.add_row(
            row["name"], row["what"], row["registry"], row["version"], row["licence"], count, size, row["state"]
        )
    # Into a pipe or a file the table is as wide as it needs to be.
    (console if console.is_terminal else Console(width=240)).print(table)
    return rows


def sample(
    family: str, difficulty: int, seed: int, split: Any, out: Path, cache: Path | None = None, *, json: bool = False
) -> Example:
    """Write the picture or sound of an example of a task family into `out`; print its questions and their answers.

    Raises TaskError for a family, difficulty or split that there is none of, DataError if its sources are not here.
    """
    example = build_task(family, cache).sample(seed, difficulty, split)
    files: list[Path] = []
    for content in (part.content for part in example.context):
        if not isinstance(content, Image | Speech):
            continue
        kind, data = ("png", content.png()) if isinstance(content, Image) else ("wav", content.wav())
        files.append(out / f"{family.replace(':', '_')}-{difficulty}-{seed}{f'-{len(files)}' if files else ''}.{kind}")
        out.mkdir(parents=True, exist_ok=True)
        files[-1].write_bytes(data)
    if json:
        questions = [{name: getattr(q, name) for name in ("text", "answer", "thoughts")} for q in example.questions]
        context = example.context.text()
        print(jsonlib.dumps({"files": [*map(str, files)], "context": context, "questions": questions}))
        return example
    given = [word for file in files for word in ("--image" if file.suffix == ".png" else "--speech", str(file))]
    for question in example.questions:
        _say(f"question: {question.text}")
        if question.thoughts:
            _say(f"thoughts: {question.thoughts}")
        _say(f"answer:   {question.answer}")
        asked = " ".join(part for part in (example.context.text(), question.text) if part)
        _say(f"  castalia ask {shlex.join([asked, *given])}")
    return example


def build(file: Path, out: Path) -> Built:
    """Make the documents of `file` trainable in `out`; print what was skipped and why, then one line of summary.

    Raises DataError if no document could be used.
    """
    built = build_documents(file, out)
    for problem in built.problems:
        _say(problem)
    _say(built.summary())
    return built


def _decoded(outcome: Outcome, cache: Path | None) -> Outcome:
    if outcome.path is None or not outcome.source.parser:
        return outcome
    try:
        decode(outcome.source, cache)
    except DataError as error:
        return Outcome(outcome.source, None, outcome.version, " ".join(str(error).split()))
    return outcome


def _row(source: Source, cache: Path | None) -> dict[str, Any]:
    path = located(source, cache)
    fetched = (marker(path) if path else None) or {}
    decoded = decoded_directory(source, cache) if source.parser else None
    count = (marker(decoded) or {}).get("count") if decoded else None
    # A package that is installed is not ours to count.
    size = (_bytes(path) if fetched else 0) + (_bytes(decoded) if decoded else 0)
    state = "not fetched"
    if path is not None:
        state = "ready" if count is not None or not source.parser else "fetched"
    return {
        "name": source.name, "what": source.what, "kind": source.kind, "registry": source.registry,
        "package": source.package, "version": fetched.get("version", source.version), "licence": source.licence,
        "attribution": source.attribution, "evaluation_only": source.evaluation_only, "optional": source.optional,
        "count": count, "bytes": size, "state": state,
    }  # fmt: skip


def _bytes(directory: Path | None) -> int:
    if directory is None or not directory.is_dir():
        return 0
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def _say(line: str) -> None:
    # Whole lines: wrapped ones cannot be searched for, and brackets are not markup.
    console.print(line, markup=False, highlight=False, soft_wrap=True)
