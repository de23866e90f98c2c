"""Questions about charts: what can be asked of one, in which words, and what is looked up on the way to the answer."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from castalia.document import Call
from castalia.tasks.steps import mark
from castalia.tasks.task import Question

SERIES = "XYZ"
"""Names of the series of a chart with several."""

WORDINGS: dict[str, tuple[str, ...]] = {
    "read": ("What is {a}{of}?", "How much is {a}{of}?", "Read {a}{of}.", "The value of {a}{of}?"),
    "compare": (
        "Which is larger{of}, {a} or {b}?",
        "{a} or {b}{of}: which is more?",
        "Which has more{of}, {a} or {b}?",
        "Is {a} or {b} larger{of}?",
    ),
    "largest": (
        "Which is largest{of}?",
        "What is the largest{of}?",
        "Which has the most{of}?",
        "Where is the top{of}?",
    ),
    "smallest": (
        "Which is smallest{of}?",
        "What is the smallest{of}?",
        "Which has the least{of}?",
        "Where is the bottom{of}?",
    ),
    "sum": (
        "What is {a} plus {b}{of}?",
        "Add {a} and {b}{of}.",
        "{a} and {b} together{of}?",
        "The sum of {a} and {b}{of}?",
    ),
    "difference": (
        "How much more is {a} than {b}{of}?",
        "What is {a} minus {b}{of}?",
        "By how much is {a} above {b}{of}?",
        "Take {b} from {a}{of}.",
    ),
    "total": (
        "What is the total{of}?",
        "Add them all up{of}.",
        "What is the sum of all{of}?",
        "How much is it in all{of}?",
    ),
    "reckon": (
        "What is {a} plus {b} minus {c}{of}?",
        "Add {a} and {b}, take away {c}{of}.",
        "{a} and {b} without {c}{of}?",
        "{a} plus {b} less {c}{of}?",
    ),
    "above": (
        "How many are above {v}{of}?",
        "How many exceed {v}{of}?",
        "Count those above {v}{of}.",
        "How many are over {v}{of}?",
    ),
    "trend": (
        "From {a} to {b}{of}: rising or falling?",
        "Is it rising or falling from {a} to {b}{of}?",
        "Rising or falling between {a} and {b}{of}?",
        "Going from {a} to {b}{of}, rising or falling?",
    ),
    "count": ("How many {things} are there?", "Count the {things}.", "How many {things}?", "The number of {things}?"),
}
THINGS = {"bars": "bars", "line": "points", "pie": "slices", "percents": "slices", "points": "points"}
FROM_DIFFICULTY = {"difference": 2, "trend": 2, "above": 4, "total": 3, "reckon": 8}


@dataclass(frozen=True)
class Chart:
    """What a chart says: its `kind`, the `labels` of its categories, and per series a value (steps × `step`) for each.

    `naming` says how categories are told apart: by letters, days, words, colours, or (``points``) by their place x.
    A value is one of `levels`, all alike; the categories are one of `counts` numbers: what a blind guess must hit.
    """

    kind: str
    naming: str
    labels: tuple[str, ...]
    values: tuple[tuple[int, ...], ...]
    step: int
    levels: int
    counts: int

    def identity(self) -> str:
        """Return the canonical content: two charts that show the same data in the same way have the same identity."""
        return f"{self.kind} {','.join(self.labels)} {self.values}"


Spot = tuple[int, int]
"""Where on the picture a value is read: x and y in pixels."""


@dataclass(frozen=True)
class View:
    """What one question looks at: names, values and their spots; `of` says in words which part of the chart it is."""

    names: Sequence[str]
    values: Sequence[int]
    spots: Sequence[Spot]
    of: str = ""


def ask(
    chart: Chart, spots: list[list[Spot]], questions: int, difficulty: int, rng: random.Random
) -> tuple[Question, ...]:
    """Return `questions` questions (or as many kinds as there are) about `chart`, of different kinds, in random order.

    `spots` says where each of the chart's values is read; `difficulty` (1 to 10) which kinds of question there are.
    """
    kinds = [kind for kind in _kinds(chart) if FROM_DIFFICULTY.get(kind, 1) <= difficulty]
    if "largest" in kinds:
        kinds.remove(rng.choice(("largest", "smallest")))  # two of a sort would crowd out the others
    chosen = rng.sample(kinds, min(questions, len(kinds)))
    return tuple(_question(kind, chart, spots, rng) for kind in chosen)


def _kinds(chart: Chart) -> list[str]:
    if chart.kind == "pie":  # without numbers there is nothing to read or add
        return ["compare", "largest", "smallest", "count"]
    if chart.kind == "points":
        return ["read", "sum", "difference", "count", "above", "reckon", "trend"]
    kinds = ["read", "compare", "largest", "smallest", "sum", "difference", "above", "reckon"]
    if len(chart.values) == 1:
        kinds.append("count")
    if chart.kind != "percents":  # where the total is always 100
        kinds.append("total")
    if chart.kind == "line":
        kinds.append("trend")
    return kinds


def _view(chart: Chart, spots: list[list[Spot]], kind: str, rng: random.Random) -> View:
    if len(chart.values) == 1:
        return View(chart.labels, chart.values[0], spots[0])
    if kind in ("read", "compare", "sum", "difference") and rng.random() < 0.5:
        column = rng.randrange(len(chart.labels))
        across = tuple(row[column] for row in chart.values)
        if len(set(across)) == len(across):
            return View(SERIES[: len(across)], across, [row[column] for row in spots], f" at {chart.labels[column]}")
    row = rng.randrange(len(chart.values))
    return View(chart.labels, chart.values[row], spots[row], f" in {SERIES[row]}")


def _question(kind: str, chart: Chart, spots: list[list[Spot]], rng: random.Random) -> Question:
    view = _view(chart, spots, kind, rng)
    places = _subject(kind, view, rng)
    names, values = [view.names[place] for place in places], [view.values[place] for place in places]
    bound = rng.choice(view.values)
    between = ": " if names[0].isdigit() else " "
    read = [f"{name}{between}{value}" for name, value in zip(names, values, strict=True)]
    read = [f"{said}{so_far}" for said, so_far in zip(read, _so_far(kind, names, values, bound), strict=True)]
    answer, thoughts = _answer(kind, names, values, bound, ", ".join(read))
    steps: tuple[str | Call, ...] = ()
    if chart.kind == "pie":
        thoughts = ""  # its values are not to be seen
    elif kind == "read":
        steps = (mark(*view.spots[places[0]]),)
    elif thoughts:  # the same, with a mark before each value; what follows from the values goes with the last
        rest = thoughts.removeprefix(", ".join(read))
        read[-1] += rest
        marks = [mark(*view.spots[place]) for place in places]
        steps = tuple(step for pair in zip(marks, read, strict=True) for step in pair)
    spoken = [f"y at {name}" for name in names] if chart.kind == "points" and kind != "trend" else names
    a, b, c = ([*spoken, "", ""])[:3]
    wording = rng.choice(WORDINGS[kind])
    text = wording.format(a=a, b=b, c=c, v=bound, of=view.of, things=THINGS[chart.kind])
    options = ["rising", "falling"] if kind == "trend" else names
    chance = _chance(kind, chart, len(names))
    return Question(text, answer, kind, thoughts, chance, {"options": options}, steps)


def _so_far(kind: str, names: list[str], values: list[int], bound: int) -> list[str]:
    """Return what is kept in mind after each value: which is the largest or smallest, or how many are above `bound`."""
    said = []
    for count in range(1, len(values) + 1):
        seen = values[:count]
        if kind in ("largest", "smallest"):
            said.append(f" ({names[seen.index((max if kind == 'largest' else min)(seen))]})")
        else:
            said.append(f" ({sum(value > bound for value in seen)})" if kind == "above" else "")
    return said


def _subject(kind: str, view: View, rng: random.Random) -> list[int]:
    """Return which of the view's values a question of `kind` is about, in the order it mentions them."""
    mentioned = {"read": 1, "compare": 2, "sum": 2, "difference": 2, "trend": 2, "reckon": 3}
    places = list(range(len(view.names)))
    if kind in mentioned:
        places = rng.sample(places, mentioned[kind])
    if kind == "trend":
        places.sort()
    elif kind == "difference":
        places.sort(key=lambda place: -view.values[place])
    elif kind == "reckon":  # the least is taken away, so that nothing falls below zero
        least = min(places, key=lambda place: view.values[place])
        places = [place for place in places if place != least] + [least]
    return places


def _answer(kind: str, names: list[str], values: list[int], bound: int, listed: str) -> tuple[str, str]:
    """Return the answer and the thoughts that lead to it, the `listed` names and values first."""
    if kind == "read":
        return str(values[0]), ""
    if kind == "count":
        return str(len(names)), ""
    if kind in ("compare", "largest"):
        return names[values.index(max(values))], listed
    if kind == "smallest":
        return names[values.index(min(values))], listed
    if kind == "trend":
        return "rising" if values[0] < values[1] else "falling", listed
    if kind == "above":
        return str(sum(value > bound for value in values)), listed
    if kind == "difference":
        values[1] = -values[1]
    elif kind == "reckon":
        values[2] = -values[2]
    if len(values) < 3:
        return str(sum(values)), f"{listed} = {sum(values)}"
    running = values[0]
    steps = []
    for value in values[1:]:
        steps.append(f"{running}{value:+}={running + value}")
        running += value
    return str(running), f"{listed}; {', '.join(steps)}"


def _chance(kind: str, chart: Chart, named: int) -> float:
    """Return how often the best blind guess is right; `named` is how many things the question is about."""
    if kind in ("compare", "trend"):
        return 1 / 2
    if kind in ("largest", "smallest", "above"):
        return 1 / named
    if kind == "count":
        return 1 / chart.counts
    if kind == "read":
        return 1 / chart.levels
    if kind == "difference":
        return 2 / chart.levels
    # Sums of k of n different numbers are about normal; this is the density at their mean (finite population).
    deviation = math.sqrt(named * (chart.levels**2 - 1) / 12 * max(1, chart.levels - named) / (chart.levels - 1))
    return min(1.0, 1 / (math.sqrt(2 * math.pi) * deviation))
