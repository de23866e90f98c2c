"""The report of a run: one HTML file that opens offline, with curves, the accuracy table and held-out examples."""

import base64
import datetime
import math
import os
import platform
from collections.abc import Sequence
from html import escape
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from castalia.errors import CheckpointError
from castalia.evals.curves import curves_html
from castalia.evals.homework import homework_html
from castalia.model.flops import parameters
from castalia.training.run import load_recipe_of

OPEN_THOUGHTS = 240
"""Thoughts of up to so many characters are shown at once; longer ones wait behind their heading."""


def write_report(
    run_dir: Path,
    metrics: list[dict[str, Any]],
    evaluation: dict[str, Any],
    examples: list[dict[str, Any]],
    homework: Sequence[dict[str, Any]] = (),
    scaling: str = "",
) -> Path:
    """Write ``report.html`` into `run_dir` and return its path; whatever was there before is replaced at once.

    `metrics` are the lines of ``metrics.jsonl``, `homework` those of its homework, `scaling` a section of HTML on what
    was forecast; `evaluation` is what
    `Examination.to_json` returns, perhaps with ways; an example has family, difficulty, kind, question, thoughts,
    answer, reference, correct, image_png and audio_wav (bytes or None), and perhaps seen_png (a list of bytes: what was
    drawn or looked at closer). Nothing of it is trusted: text is escaped, and the page may neither load nor send
    anything.
    """
    assets = resources.files("castalia.evals")
    page = Template((assets / "report.html").read_text("utf-8")).substitute(
        style=(assets / "report.css").read_text("utf-8"),
        script=(assets / "report.js").read_text("utf-8"),
        name=escape(run_dir.resolve().name),
        headline=_headline(evaluation),
        facts=_facts(run_dir, metrics),
        curves=curves_html(metrics) or '<p class="dim">No curve yet: the run has fewer than two lines of metrics.</p>',
        homework=homework_html(homework),
        scaling=scaling,
        table=_table(evaluation.get("families", {})),
        kinds=_kinds(evaluation.get("families", {})),
        ways=_ways(evaluation.get("ways") or {}),
        filters=_filters(examples),
        examples="\n".join(_example(example) for example in examples) or '<p class="dim">No examples.</p>',
    )
    path = run_dir / "report.html"
    partial = path.with_suffix(".partial")
    partial.write_text(page, "utf-8")
    os.replace(partial, path)
    return path


def wilson(correct: float, n: int, z: float = 1.959964) -> tuple[float, float]:
    """Return the 95 % interval of a share, by Wilson (1927), JASA 22:209-212; (0, 1) if nothing was asked."""
    if not n:
        return 0.0, 1.0
    share, scale = correct / n, 1 + z * z / n
    centre = (share + z * z / (2 * n)) / scale
    half = z / scale * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def _headline(evaluation: dict[str, Any]) -> str:
    rows = [row for by_difficulty in evaluation.get("families", {}).values() for row in by_difficulty.values()]
    asked = sum(row["n"] for row in rows)
    if not asked:
        return "Not examined yet."
    accuracy = evaluation.get("accuracy", sum(row["correct"] for row in rows) / asked)
    chance = sum(row["chance"] * row["n"] for row in rows) / asked
    return f"<b>{accuracy:.1%}</b> of held-out answers right, where guessing gives {chance:.0%}."


def _facts(run_dir: Path, metrics: Sequence[dict[str, Any]]) -> str:
    facts: dict[str, str] = {}
    try:
        recipe = load_recipe_of(run_dir)
        facts["recipe"] = recipe.name
        facts["parameters"] = f"{parameters(recipe.model)['total']:,}"
    except CheckpointError:
        pass  # A report of figures alone, without the run they came from, is a report too.
    if metrics:
        last = metrics[-1] | (metrics[-1].get("clock") or {})
        facts["steps"] = f"{last['step']:,}"
        tokens = last.get("tokens", last.get("positions"))
        if tokens is not None:
            facts["tokens"] = f"{tokens:,}"
        if "seconds" in last:
            facts["training"] = f"{int(last['seconds']) // 60} min {int(last['seconds']) % 60:02d} s"
    facts["date"] = f"{datetime.datetime.now():%Y-%m-%d %H:%M}"
    facts["machine"] = f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}"
    return "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts.items())


def _table(families: dict[str, Any]) -> str:
    if not families:
        return '<p class="dim">No examination.</p>'
    difficulties = sorted({int(difficulty) for rows in families.values() for difficulty in rows})
    head = "".join(f'<th scope="col">difficulty {difficulty}</th>' for difficulty in difficulties)
    body = "".join(
        f'<tr><th scope="row">{escape(name)}</th>'
        + "".join(_cell(rows.get(str(difficulty))) for difficulty in difficulties)
        + "</tr>"
        for name, rows in families.items()
    )
    return f'<table class="heat"><thead><tr><th scope="col">family</th>{head}</tr></thead><tbody>{body}</tbody></table>'


def _cell(row: dict[str, Any] | None) -> str:
    if not row or not row["n"]:
        return "<td>–</td>"
    accuracy = row["correct"] / row["n"]
    low, high = wilson(row["correct"], row["n"])
    # Colour starts at chance: what guessing gives is not warm.
    heat = max(0.0, (accuracy - row["chance"]) / (1 - row["chance"])) if row["chance"] < 1 else 0.0
    return (
        f'<td style="--heat:{heat:.2f}"><b>{accuracy:.0%}</b> '
        f"<small>{100 * low:.0f}–{100 * high:.0f}%</small>"
        f"<small>{row['correct']:g} of {row['n']} · chance {row['chance']:.0%}</small></td>"
    )


def _kinds(families: dict[str, Any]) -> str:
    rows = []
    for name, by_difficulty in families.items():
        for difficulty, row in sorted(by_difficulty.items(), key=lambda item: int(item[0])):
            for kind, tally in row.get("kinds", {}).items():
                low, high = wilson(tally["correct"], tally["n"])
                share = tally["correct"] / max(1, tally["n"])
                cells = (name, difficulty, kind, f"{tally['correct']:g} of {tally['n']}", f"{share:.0%}")
                written = "".join(f"<td>{escape(str(cell))}</td>" for cell in cells)
                rows.append(f"<tr>{written}<td>{100 * low:.0f}–{100 * high:.0f}%</td></tr>")
    if not rows:
        return ""
    head = "".join(f'<th scope="col">{name}</th>' for name in ("family", "difficulty", "kind", "right", "share", "95%"))
    return (
        f"<details><summary>By kind of question</summary>"
        f'<div class="scroll" tabindex="0" role="region" aria-label="Accuracy by kind of question">'
        f'<table class="kinds"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div></details>'
    )


def _ways(ways: dict[str, Any]) -> str:
    """Return the table by way of thinking as `compare_ways` makes it, with its heading; "" if there is none."""
    if not ways:
        return ""
    head = "".join(f'<th scope="col">{escape(way)}</th>' for way in ways)
    body = "".join(
        f'<tr><th scope="row">{escape(family)}</th>'
        + "".join(
            f'<td style="--heat:{rows[family]["accuracy"]:.2f}"><b>{rows[family]["accuracy"]:.0%}</b> '
            f"<small>of {rows[family]['n']}</small></td>"
            for rows in ways.values()
        )
        + "</tr>"
        for family in next(iter(ways.values()))
    )
    return (
        '<section aria-labelledby="ways"><h2 id="ways">Ways to think</h2>'
        '<div class="scroll" tabindex="0" role="region" aria-labelledby="ways">'
        f'<table class="heat"><thead><tr><th scope="col">family</th>{head}</tr></thead><tbody>{body}</tbody></table>'
        '</div><p class="dim">The same held-out questions by effort, with actions, and by agents that contemplate.</p>'
        "</section>"
    )


def _filters(examples: Sequence[dict[str, Any]]) -> str:
    families = list(dict.fromkeys(str(example["family"]) for example in examples))
    return _buttons("family", "Family", {"": "all", **{name: name for name in families}}) + _buttons(
        "verdict", "Verdict", {"": "all", "right": "right", "wrong": "wrong"}
    )


def _buttons(what: str, label: str, values: dict[str, str]) -> str:
    buttons = "".join(
        f'<button type="button" data-filter="{what}" data-value="{escape(value)}" '
        f'aria-pressed="{"false" if value else "true"}">{escape(text)}</button>'
        for value, text in values.items()
    )
    return f'<div role="group" aria-label="{label}">{buttons}</div>'


def _example(example: dict[str, Any]) -> str:
    verdict = "right" if example["correct"] else "wrong"
    thoughts = str(example.get("thoughts") or "")
    shown = " open" if len(thoughts) <= OPEN_THOUGHTS else ""
    parts = [
        f"<header><span>{escape(str(example['family']))} · {escape(str(example['kind']))} · difficulty "
        f'{escape(str(example["difficulty"]))}</span><span class="verdict">{verdict}</span></header>'
    ]
    if example.get("image_png"):
        parts.append(
            f'<img alt="The picture that is asked about" src="{_data_url("image/png", example["image_png"])}">'
        )
    if example.get("audio_wav"):
        url = _data_url("audio/wav", example["audio_wav"])
        parts.append(f'<audio controls preload="metadata" aria-label="What is heard" src="{url}"></audio>')
    if example["question"]:
        parts.append(f'<p class="question">{escape(str(example["question"]))}</p>')
    seen = [_data_url("image/png", png) for png in example.get("seen_png") or ()]
    if thoughts or seen:
        pictures = "".join(f'<img alt="What was seen on the way" src="{url}">' for url in seen)
        parts.append(f"<details{shown}><summary>Thoughts</summary><p>{escape(thoughts)}</p>{pictures}</details>")
    answer = escape(str(example["answer"])) or '<span class="dim">(nothing)</span>'
    parts.append(
        f"<dl><div><dt>Model</dt><dd>{answer}</dd></div>"
        f"<div><dt>Right answer</dt><dd>{escape(str(example['reference']))}</dd></div></dl>"
    )
    return (
        f'<article class="{verdict}" data-family="{escape(str(example["family"]))}" data-verdict="{verdict}">'
        f"{''.join(parts)}</article>"
    )


def _data_url(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
