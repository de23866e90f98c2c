"""The scene graph: what was marked in a picture, and the relations stated between marks, as a small drawing."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

from castalia.actions.action import Action, parse_arguments
from castalia.actions.canvas import Erase, Mark, Relate
from castalia.errors import ActionError
from castalia.serve.service.pieces import Acted, Piece

WIDTH, HEIGHT, MARGIN, TALL = 420, 200, 48, 15
APART = 118
"""Units that two things are apart at least, so that what is written between them can be read."""
ROUNDS = 80

Place = tuple[float, float]


@dataclass
class Graph:
    """Things by their labels, with the middle of their marks in cells (across, down), and relations between them."""

    nodes: dict[str, Place] = field(default_factory=dict)
    edges: list[tuple[str, str, str]] = field(default_factory=list)


def scene_graph(trail: Sequence[Piece]) -> Graph:
    """Return the relations that the calls in a trail have stated, as the canvas keeps them.

    A mark with a label makes a thing, `relate` an edge between two that are there; erasing all of a picture takes its
    marks back, not what was said of them. Calls that the canvas refuses change nothing.
    """
    marked: dict[str, Place] = {}
    pictures: dict[str, int] = {}
    graph = Graph()
    actions: dict[str, Action] = {action.name: action for action in (Mark(), Relate(), Erase())}
    for piece in trail:
        if not isinstance(piece, Acted) or piece.call.name not in actions:
            continue
        try:
            arguments = parse_arguments(actions[piece.call.name], piece.call.arguments)
        except ActionError:
            continue
        if piece.call.name == "mark" and arguments["label"]:
            at = arguments["at"]
            row, column, height, width = at if len(at) == 4 else (*at[:2], 0, 0)
            marked[arguments["label"]] = (column + width / 2, row + height / 2)
            pictures[arguments["label"]] = arguments["image"]
        elif piece.call.name == "relate" and arguments["one"] in marked and arguments["other"] in marked:
            for label in (arguments["one"], arguments["other"]):
                graph.nodes.setdefault(label, marked[label])
            graph.edges.append((arguments["one"], arguments["relation"], arguments["other"]))
        elif piece.call.name == "erase" and arguments["box"] is None:
            marked = {label: place for label, place in marked.items() if pictures[label] != arguments["image"]}
    return graph


def relations_svg(graph: Graph) -> str:
    """Return the graph as a figure: things about where they are in the picture, arrows between them."""
    places = _placed(graph.nodes)
    marks = []
    for one, relation, other in graph.edges:
        (x1, y1), (x2, y2) = places[one], places[other]
        length = math.hypot(x2 - x1, y2 - y1) or 1.0
        across, down = (x2 - x1) / length, (y2 - y1) / length
        near, far = _reach(one, across, down) + 2, _reach(other, across, down) + 8
        start, end = (x1 + near * across, y1 + near * down), (x2 - far * across, y2 - far * down)
        marks.append(
            f'<path class="edge" d="M{_point(start)}L{_point(end)}"/>'
            f'<path class="tip" transform="translate({_point(end)}) '
            f'rotate({math.degrees(math.atan2(down, across)):.0f})" d="M7 0L0 -4V4z"/>'
            f'<text class="relation" x="{(x1 + x2) / 2:.0f}" y="{(y1 + y2) / 2 - 6:.0f}">{escape(relation)}</text>'
        )
    marks += [
        f'<rect x="{x - _half(label):.0f}" y="{y - TALL:.0f}" width="{2 * _half(label):.0f}" height="{2 * TALL}" '
        f'rx="{TALL}"/><text x="{x:.0f}" y="{y + 4:.0f}">{escape(label)}</text>'
        for label, (x, y) in places.items()
    ]
    said = "; ".join(f"{one} {relation} {other}" for one, relation, other in graph.edges)
    return (
        f'<figure class="graph"><figcaption>Relations</figcaption><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(said)}">{"".join(marks)}</svg></figure>'
    )


def _half(label: str) -> float:
    """Return half the width of a thing, by its label."""
    return max(TALL, 4 * len(label) + 8)


def _reach(label: str, across: float, down: float) -> float:
    """Return how far a thing reaches in a direction, as if it were an ellipse."""
    return 1 / math.hypot(across / _half(label), down / TALL)


def _point(place: Place) -> str:
    return f"{place[0]:.0f} {place[1]:.0f}"


def _placed(nodes: dict[str, Place]) -> dict[str, Place]:
    """Scale places to the drawing, then push apart what stands too close."""
    columns, rows = zip(*nodes.values(), strict=True)
    wide, high = WIDTH - 2 * MARGIN, HEIGHT - 2 * MARGIN
    scale = min(wide / max(max(columns) - min(columns), 1e-6), high / max(max(rows) - min(rows), 1e-6))
    middle = (max(columns) + min(columns)) / 2, (max(rows) + min(rows)) / 2
    places = {
        label: [WIDTH / 2 + (column - middle[0]) * scale, HEIGHT / 2 + (row - middle[1]) * scale]
        for label, (column, row) in nodes.items()
    }
    for _ in range(ROUNDS):
        for number, one in enumerate(places.values()):
            for other in list(places.values())[number + 1 :]:
                dx, dy = other[0] - one[0], other[1] - one[1]
                distance = math.hypot(dx, dy)
                if distance >= APART:
                    continue
                # What stands at one place is pushed apart sideways, where there is most room.
                across, down = (dx / distance, dy / distance) if distance > 1 else (1.0, 0.1 * number)
                push = (APART - distance) / 4
                for place, sign in ((one, -1), (other, 1)):
                    place[0] = min(WIDTH - MARGIN, max(MARGIN, place[0] + sign * push * across))
                    place[1] = min(HEIGHT - MARGIN, max(MARGIN, place[1] + sign * push * down))
    return {label: (x, y) for label, (x, y) in places.items()}
