"""Charts: bars, lines, points and pies; read them, compare, add up, follow the trend."""

import math
import random
from dataclasses import dataclass, replace
from functools import lru_cache

from PIL import Image as pillow
from PIL import ImageDraw

from castalia.document import Document, Image, Part
from castalia.tasks.chart_questions import SERIES, Chart, Spot, ask
from castalia.tasks.drawing import INK, PALETTE, WHITE, Colour, canvas, draw_text, pen_for, to_image
from castalia.tasks.task import Example, Score, Split, generator, held_out, score_exact, trace

MARGIN = 16
"""Pixels left of the axis, for its numbers, and below it, for the labels."""

DAYS = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")
WORDS = ("ant", "bee", "cat", "dog", "elk", "fox", "hen", "owl", "pig", "yak")
PIES = ("pie", "percents")
LETTERS = "ABCDEFGHIJKLMNOPQRST"


@dataclass(frozen=True)
class Level:
    """How hard.

    `categories`: fewest and most; `top`: the greatest value in steps of the axis; `pixels` a step; a number at every
    `tick` steps; `steps`: what one step may be worth; `kinds` of chart; `namings` of the categories; how many
    `questions`; two `series` side by side.
    """

    categories: tuple[int, int]
    top: int
    pixels: int
    tick: int
    steps: tuple[int, ...]
    kinds: tuple[str, ...]
    namings: tuple[str, ...] = ("letters",)
    questions: int = 4
    series: int = 1


LEVELS = {
    1: Level((3, 4), 9, 8, 1, (1,), ("bars",)),
    2: Level((3, 5), 9, 8, 1, (1,), ("bars", "line")),
    3: Level((3, 6), 9, 8, 1, (1, 10), ("bars", "line", "pie"), ("letters", "colours")),
    4: Level((4, 6), 10, 8, 2, (1, 2, 5), ("bars", "line", "pie"), ("letters", "colours", "days")),
    5: Level((4, 7), 12, 8, 2, (1, 5), ("bars", "line", "pie", "points"), ("letters", "colours", "days"), 5),
    6: Level((4, 7), 15, 6, 5, (1, 2, 5), ("bars", "line", "pie", "points"), ("letters", "days", "words"), 5, 2),
    7: Level((4, 8), 20, 5, 5, (1, 2), ("bars", "line", "pie", "points"), ("letters", "colours", "words"), 5, 2),
    8: Level((5, 8), 24, 5, 4, (1, 2, 4), ("bars", "line", "percents", "points"), ("letters", "words"), 5, 2),
    9: Level((5, 8), 30, 4, 5, (1, 2), ("bars", "line", "percents", "points"), ("letters", "words"), 6, 2),
    10: Level((5, 9), 40, 3, 10, (1, 2), ("bars", "line", "percents", "points"), ("letters", "words"), 6, 2),
}


class Charts:
    """Small charts with four to six questions each, of different kinds.

    Difficulty 1 has three or four bars from 1 to 9 named by letters; then lines (2), pies and categories named by
    colours (3), coarser ticks (4), points over a numbered axis (5), two series with a legend (6), percents (8), up to
    nine categories with values to 80 and sums of several steps (10). The values of a series are all different. Splits
    differ in the data shown. ``out_of_range`` is level 10 with at least ten categories (up to 15 at difficulty 10),
    more than training ever has.
    """

    name = "charts"

    def sample(self, seed: int, difficulty: int, split: Split = "train") -> Example:
        """Make the chart of this seed and questions about it."""
        rng = generator(self.name, seed, difficulty, split)
        level = LEVELS[difficulty]
        if split == "out_of_range":
            most = 10 + (difficulty + 1) // 2
            level = replace(LEVELS[10], categories=(10, most), kinds=("bars", "line", "points"), namings=("letters",))
        while True:
            chart = _data(level, rng)
            if split == "out_of_range" or held_out(chart.identity()) == (split == "held_out"):
                break
        spots = _slice_labels(chart) if chart.kind in PIES else _tops(chart, level)
        questions = ask(chart, spots, level.questions, 10 if split == "out_of_range" else difficulty, rng)
        context = Document((Part(draw(chart, level, rng), "user"),))
        return Example(self.name, seed, difficulty, split, context, questions)

    def score(self, example: Example, reply: str, index: int = 0) -> Score:
        """Compare exactly; a per cent sign does not matter."""
        return score_exact(example.questions[index], reply.replace("%", ""))

    def trace(self, example: Example, *, acting: bool = False) -> Document:
        """Return the chart, the questions, the values looked up (if `acting`: marked) on the way, and the answers."""
        return trace(example, acting=acting)


def draw(chart: Chart, level: Level, rng: random.Random) -> Image:
    """Return the picture of `chart`, its colours drawn by `rng`."""
    if chart.naming == "colours":
        colours = [PALETTE[label] for label in chart.labels]
    else:
        colours = rng.sample(list(PALETTE.values()), len(PALETTE))
    return _draw_pie(chart, colours) if chart.kind in PIES else _draw_axes(chart, level, colours)


def _data(level: Level, rng: random.Random) -> Chart:
    kind, naming, step = rng.choice(level.kinds), rng.choice(level.namings), rng.choice(level.steps)
    fewest, most = level.categories
    if kind in PIES:
        return _pie_data(kind, "colours" if naming == "colours" else "letters", rng)
    if kind == "points":
        naming = "numbers"
    elif (naming == "colours" and kind == "line") or (naming == "days" and most > len(DAYS)):
        naming = "letters"
    count = rng.randint(fewest, most)
    if naming == "words" and count > 7:
        naming = "letters"  # words need wider columns, and the picture would grow too wide
    series = 1 if naming in ("colours", "numbers") or rng.random() < 0.5 else level.series
    values = tuple(tuple(v * step for v in rng.sample(range(1, level.top + 1), count)) for _ in range(series))
    return Chart(kind, naming, _labels(naming, count, most, rng), values, step, level.top, most - fewest + 1)


def _pie_data(kind: str, naming: str, rng: random.Random) -> Chart:
    count = rng.randint(3, 5)
    while True:  # twenty parts of 5 per cent, all slices different
        cuts = sorted(rng.sample(range(1, 20), count - 1))
        parts = [end - start for start, end in zip([0, *cuts], [*cuts, 20], strict=True)]
        if len(set(parts)) == count:
            break
    return Chart(kind, naming, _labels(naming, count, 5, rng), (tuple(5 * part for part in parts),), 5, 6, 3)


def _labels(naming: str, count: int, most: int, rng: random.Random) -> tuple[str, ...]:
    if naming == "colours":
        return tuple(rng.sample(list(PALETTE), count))
    if naming == "days":
        return tuple(DAYS[place] for place in sorted(rng.sample(range(len(DAYS)), count)))
    if naming == "words":
        return tuple(rng.sample(WORDS, count))
    if naming == "numbers":
        return tuple(str(x) for x in sorted(rng.sample(range(1, most + 3), count)))
    return tuple(sorted(rng.sample(LETTERS[: most + 2], count)))


def _column(chart: Chart) -> int:
    """Return the pixels from one category to the next."""
    return 24 if chart.naming == "words" else 16


def _foot(chart: Chart, level: Level) -> int:
    """Return the row of pixels in which the axes meet; a legend stands above."""
    return 16 * (len(chart.values) > 1) + -(-(level.top * level.pixels + 5) // 16) * 16


def _tops(chart: Chart, level: Level) -> list[list[Spot]]:
    """Return where every value of every series is read: at its point, or at the top of its category's bars."""
    column, foot = _column(chart), _foot(chart, level)
    places = [int(label) - 1 if chart.kind == "points" else place for place, label in enumerate(chart.labels)]
    centres = [MARGIN + place * column + column // 2 for place in places]
    return [
        [(x, foot - value // chart.step * level.pixels) for x, value in zip(centres, row, strict=True)]
        for row in chart.values
    ]


def _draw_axes(chart: Chart, level: Level, colours: list[Colour]) -> Image:
    """Draw bars, a line or points. Categories stand in columns of 16 pixels, or 24 under words."""
    column, foot = _column(chart), _foot(chart, level)
    columns = int(chart.labels[-1]) if chart.kind == "points" else len(chart.labels)
    height, spacing = level.top * level.pixels, level.tick * level.pixels
    picture = _axes(columns * column, foot, height, spacing, level.tick * chart.step).copy()
    pen = pen_for(picture)
    tops = _tops(chart, level)
    if chart.kind == "points":
        for place in range(columns):
            draw_text(pen, MARGIN + place * column + column // 2, foot + 5, str(place + 1), align="centre")
    elif chart.naming != "colours":
        for (centre, _), label in zip(tops[0], chart.labels, strict=True):
            draw_text(pen, centre, foot + 5, label, align="centre")
    for series, spots in enumerate(tops):
        if chart.kind == "bars":
            _draw_bars(pen, chart, series, spots, foot, colours)
        else:
            _draw_marks(pen, spots, colours[series], joined=chart.kind == "line")
        if len(tops) > 1:
            left = MARGIN + 16 * series
            pen.rectangle((left + 1, 4, left + 6, 9), fill=colours[series])
            draw_text(pen, left + 9, 4, SERIES[series])
    return to_image(picture)


@lru_cache(maxsize=256)
def _axes(width: int, foot: int, height: int, spacing: int, tick: int) -> pillow.Image:
    """Return axes `width` and `height` pixels long that meet at `foot`, a multiple of `tick` every `spacing` pixels."""
    # The lowest 16 rows hold the labels; the foot of the axis is their upper edge, so both share patches.
    picture, pen = canvas(MARGIN + -(-width // 16) * 16, foot + 16)
    pen.line((MARGIN - 1, foot - height, MARGIN - 1, foot), fill=INK)
    pen.line((MARGIN - 1, foot, MARGIN + width - 1, foot), fill=INK)
    for number, y in enumerate(range(foot - spacing, foot - height - 1, -spacing), 1):
        draw_text(pen, MARGIN - 3, y - 3, str(number * tick), align="right")
        pen.line((MARGIN - 2, y, MARGIN - 1, y), fill=INK)
    return picture


def _draw_bars(
    pen: ImageDraw.ImageDraw, chart: Chart, series: int, tops: list[Spot], foot: int, colours: list[Colour]
) -> None:
    for place, (centre, top) in enumerate(tops):
        left, right = (
            (centre - 5, centre + 4) if len(chart.values) == 1 else (centre - 6 + 6 * series, centre - 1 + 6 * series)
        )
        colour = colours[place if chart.naming == "colours" else series]
        pen.rectangle((left, top, right, foot - 1), fill=colour)


def _draw_marks(pen: ImageDraw.ImageDraw, marks: list[Spot], colour: Colour, *, joined: bool) -> None:
    if joined:
        pen.line(marks, fill=colour)
    for x, y in marks:
        pen.rectangle((x - 2, y - 2, x + 2, y + 2), fill=colour)


def _pie_size(chart: Chart) -> tuple[int, int]:
    """Return the side of the picture of a pie, and the pie's radius."""
    return (128, 40) if chart.kind == "percents" else (96, 32)


def _slice_labels(chart: Chart) -> list[list[Spot]]:
    """Return the middle of every slice's label, which stands outside it."""
    side, radius = _pie_size(chart)
    across, down = (13, 12) if chart.kind == "percents" else (8, 8)
    spots, start = [], 0
    for value in chart.values[0]:
        angle = math.radians(1.8 * (2 * start + value))
        x = side // 2 + round((radius + across) * math.sin(angle))
        spots.append((x, side // 2 - round((radius + down) * math.cos(angle))))
        start += value
    return [spots]


def _draw_pie(chart: Chart, colours: list[Colour]) -> Image:
    """Draw slices clockwise from the top, their names (and percents) around them."""
    side, radius = _pie_size(chart)
    picture, pen = canvas(side, side)
    middle, start = side // 2, 0
    box = (middle - radius, middle - radius, middle + radius - 1, middle + radius - 1)
    (spots,) = _slice_labels(chart)
    for label, value, colour, (x, y) in zip(chart.labels, chart.values[0], colours, spots, strict=False):
        end = start + value
        pen.pieslice(box, 3.6 * start - 90, 3.6 * end - 90, fill=colour, outline=WHITE)
        lines = [label] if chart.naming != "colours" else []
        lines += [f"{value}%"] if chart.kind == "percents" else []
        for row, line in enumerate(lines):
            draw_text(pen, x, y - 4 * len(lines) + 8 * row, line, align="centre")
        start = end
    return to_image(picture)
