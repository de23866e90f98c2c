"""The house has floors: no import runs upwards, none runs sideways between packages, none in a circle."""

import ast
import graphlib
from collections.abc import Iterator
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[1] / "castalia"

FLOORS: tuple[tuple[str, ...], ...] = (
    ("document", "errors", "console", "plot", "settings", "shipped", "origin", "processes"),
    ("perception", "actions", "tasks"),
    ("model", "data"),
    ("training", "engine"),
    ("reasoning",),
    ("rl",),
    ("assistant", "watching"),
    ("chat",),
    ("recipes", "evals"),
    ("forecast",),
    ("education", "serve", "publish"),
    ("cli",),
    ("__init__", "__main__"),
)
"""From the ground up; rooms of one floor do not know each other. A name is a package or a module of `castalia`."""

FLOOR_OF = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
GROUND = FLOORS[0]


def files(house: Path) -> list[Path]:
    return sorted(house.rglob("*.py"))


def module_name(file: Path, house: Path) -> str:
    parts = file.relative_to(house).with_suffix("").parts
    return ".".join(("castalia", *(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)))


def imported(file: Path, house: Path) -> Iterator[tuple[int, str]]:
    """Yield line and module of every import of ours in `file`, also those inside functions and for types alone."""
    package = ["castalia", *file.relative_to(house).parts[:-1]]
    for node in ast.walk(ast.parse(file.read_text(), str(file))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            names = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            if name.split(".")[0] == "castalia":
                yield node.lineno, existing(name, house)


def existing(name: str, house: Path) -> str:
    """Cut a dotted name down to the module that it is or is in; plain ``castalia`` is ``castalia.__init__``."""
    parts = name.split(".")[1:]
    while parts:
        path = house.joinpath(*parts)
        if path.with_suffix(".py").is_file() or path.is_dir():
            return ".".join(("castalia", *parts))
        parts.pop()
    return "castalia.__init__"


def collisions(house: Path) -> list[str]:
    """Return one sentence for every import that the floors do not allow."""
    found = []
    for file in files(house):
        here = module_name(file, house).split(".")[1]
        for line, module in imported(file, house):
            there = module.split(".")[1]
            if here == there:
                continue
            place = f"{file.relative_to(house.parent)}:{line}: {here} imports {there}"
            if FLOOR_OF[there] > FLOOR_OF[here]:
                found.append(f"{place}, which is above it")
            elif FLOOR_OF[there] == FLOOR_OF[here] and here not in GROUND:
                found.append(f"{place}, which is on the same floor")
    return found


def test_every_room_has_a_floor() -> None:
    rooms = {module_name(file, HOUSE).split(".")[1] for file in files(HOUSE)}
    assert rooms <= FLOOR_OF.keys(), f"say in FLOORS where these belong: {sorted(rooms - FLOOR_OF.keys())}"


def test_no_import_runs_upwards_or_sideways() -> None:
    found = collisions(HOUSE)
    assert not found, "\n" + "\n".join(found)


def test_no_imports_run_in_a_circle() -> None:
    graph = {module_name(file, HOUSE): {name for _, name in imported(file, HOUSE)} for file in files(HOUSE)}
    for module, others in graph.items():
        others.discard(module)
    assert tuple(graphlib.TopologicalSorter(graph).static_order())


@pytest.mark.parametrize(
    ("file", "line", "expected"),
    [
        ("model/decoder.py", "from castalia.training import trainer", "above"),
        ("model/decoder.py", "import castalia.training.trainer", "above"),
        ("model/decoder.py", "from ..training.trainer import Trainer", "above"),
        ("model/decoder.py", "from castalia import load", "above"),
        ("model/decoder.py", "def f():\n    from castalia import training", "above"),
        ("training/trainer.py", "from castalia.engine import engine", "same floor"),
        ("training/trainer.py", "from castalia.model.decoder import Decoder", ""),
        ("training/trainer.py", "from .other import x", ""),
        ("document.py", "from castalia.errors import DocumentError", ""),
    ],
)
def test_collisions_are_seen(tmp_path: Path, file: str, line: str, expected: str) -> None:
    house = tmp_path / "castalia"
    for name in ("model/decoder.py", "training/trainer.py", "training/other.py", "engine/engine.py", "errors.py"):
        (house / name).parent.mkdir(parents=True, exist_ok=True)
        (house / name).write_text("")
    (house / file).write_text(line)
    found = collisions(house)
    assert [expected in sentence for sentence in found] == ([True] if expected else [])
