"""The code of docs/extending.md does what the page says."""

import re
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from castalia.actions import catalog
from castalia.actions.action import Session, State
from castalia.document import Call, Document
from castalia.recipes import load_homework, load_recipe
from castalia.training.pretrain import pretrain

PAGE = Path(__file__).parents[1] / "docs" / "extending.md"


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], Path]:
    """Return a function that writes the file of that name, as the page has it, and returns its path."""

    def write(name: str) -> Path:
        (code,) = re.findall(rf"```python\n(# {re.escape(name)}\n.*?)```", PAGE.read_text(), re.DOTALL)
        (tmp_path / name).write_text(code)
        return tmp_path / name

    return write


def test_its_recipe_trains_and_practises(written: Callable[[str], Path], tmp_path: Path) -> None:
    file = str(written("mine.py"))
    small = {"training.steps": "2", "training.compile": "false", "model.width": "48", "model.heads": "2"}
    trainer = pretrain(load_recipe(file).override(small), tmp_path / "run")
    assert trainer.progress.step == 2
    assert load_homework(file).practice.tasks == {"countdown": 1.0}


def test_its_action_is_found_as_a_plugin_and_rolls(
    written: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(written("dice.py").parent))
    ((name, value),) = re.findall(r'(\w+) = "(dice:\w+)"', PAGE.read_text())
    monkeypatch.setattr(catalog, "_plugins", lambda path: {name: EntryPoint(name, value, catalog.GROUP)})
    session = Session(catalog.build_actions(["dice"]), State())
    rolled, refused = (session.act(Call("dice", f"[{sides}]")) for sides in (6, 1))
    assert isinstance(rolled, Document) and rolled.text() in set("123456")
    assert isinstance(refused, Document) and not refused.text().isdigit()
