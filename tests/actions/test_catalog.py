"""Names to actions, and plugins: real packages, installed as pip leaves them."""

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from castalia.actions.action import Session, State
from castalia.actions.catalog import build_actions, builtin_actions
from castalia.document import Call, Document
from castalia.errors import ActionError

CANVAS = ["mark", "draw", "crop", "erase", "relate"]
TOOLS = ["calculator", "python"]

SHOUT = """
from castalia.actions.action import said

class Shout:
    name = "{name}"
    about = "say it louder"
    parameters = ()

    def run(self, arguments, state):
        return said("AHOY")
"""

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Return a function that installs a package of one module, with an entry point: its name and what it points at."""

    def put(source: str, point: str, module: str) -> None:
        (tmp_path / f"{module}.py").write_text(textwrap.dedent(source))
        info = tmp_path / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[castalia.actions]\n{point}\n")

    monkeypatch.syspath_prepend(str(tmp_path))
    return put


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["canvas"], CANVAS),
        (["tools"], TOOLS),
        (["tools", "canvas"], TOOLS + CANVAS),
        (["python", "mark"], ["python", "mark"]),
        (["tools", "calculator", "tools"], TOOLS),
        ([], []),
        (["agents"], ["spawn"]),
        (None, [*CANVAS, *TOOLS, "spawn"]),
    ],
)
def test_names_and_groups_give_actions_by_name(names: list[str] | None, expected: list[str]) -> None:
    actions = build_actions(names)
    assert list(actions) == expected
    assert all(action.name == name for name, action in actions.items())


def test_a_misspelt_name_is_told_with_the_nearest() -> None:
    with pytest.raises(ActionError, match=r"there is no action 'calculater': did you mean 'calculator'\?"):
        build_actions(["mark", "calculater"])


def test_every_action_says_what_it_is_and_takes_its_own_defaults() -> None:
    for action in build_actions().values():
        assert action.about and "\n" not in action.about
        assert [p.required for p in action.parameters] == sorted((p.required for p in action.parameters), reverse=True)
    assert set(builtin_actions()) == {"canvas", "tools", "agents", *CANVAS, *TOOLS, "spawn"}


def test_a_plugin_is_found_and_runs(install: Install) -> None:
    install(SHOUT.format(name="shout"), "shout = aloud_one:Shout", "aloud_one")
    assert list(build_actions(["shout"])) == ["shout"]
    assert list(build_actions()) == [*CANVAS, *TOOLS, "spawn", "shout"]
    document = Session(build_actions(["tools", "shout"]), State()).act(Call("shout"))
    assert isinstance(document, Document) and document.text() == "AHOY"


def test_a_plugin_may_make_several_actions_and_is_then_a_group(install: Install) -> None:
    several = "\ndef several():\n    quiet = Shout()\n    quiet.name = 'whisper'\n    return [Shout(), quiet]\n"
    install(SHOUT.format(name="shout") + several, "voices = aloud_two:several", "aloud_two")
    assert list(build_actions(["voices", "mark"])) == ["mark", "shout", "whisper"]
    with pytest.raises(ActionError, match="there is no action 'whisper'"):
        build_actions(["whisper"])


@pytest.mark.parametrize(
    ("source", "point", "message"),
    [
        ("raise OSError('no disk')", "bad = {}:make", r"the plugin 'bad' \(\w+:make\) cannot be loaded: OSError: no"),
        ("", "bad = {}:make", "cannot be loaded: AttributeError"),
        ("def make():\n    return 3\n", "bad = {}:make", "an object of type int without name, about, parameters, run"),
        (SHOUT.format(name="two words"), "bad = {}:Shout", "an action 'two words': a name is one word"),
        (SHOUT.format(name="mark"), "bad = {}:Shout", "takes a name that is taken: 'mark'"),
        (SHOUT.format(name="other"), "tools = {}:Shout", "takes a name that is taken: 'tools'"),
    ],
)
def test_a_plugin_that_is_wrong_is_named(
    install: Install, tmp_path: Path, source: str, point: str, message: str
) -> None:
    module = tmp_path.name  # differs from test to test, as modules stay imported
    install(source, point.format(module), module)
    with pytest.raises(ActionError, match=message):
        build_actions()
    assert "mark" in build_actions(["mark"]), "who does not ask for it is not bothered"
