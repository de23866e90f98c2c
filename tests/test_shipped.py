"""The model that comes with the package: as good as its card says, small, whole, and there for whoever installs it."""

import os
import re
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

import castalia
from castalia import cli
from castalia.actions.catalog import build_actions
from castalia.data.catalog import sources_of, tasks_of
from castalia.data.sources import find
from castalia.engine.engine import Engine
from castalia.evals.exam import PARTS, SEED, digest_of, read_exam
from castalia.evals.examine import EASY, examine
from castalia.evals.goals import NANO
from castalia.evals.references import is_lacking
from castalia.evals.ways import usual_way
from castalia.forecast.forecast import FORECAST, read_forecasts
from castalia.publish import CARD
from castalia.shipped import find_run
from castalia.tasks.talk import UNABLE
from castalia.training.run import load_model, load_recipe_of, load_sources_of, load_weights

REPOSITORY = Path(__file__).parents[1]
README = REPOSITORY / "README.md"
ASKED, OTHERWISE = 12, 2
"""Questions a family and difficulty, the first of those that its exam has asked; how many of a family's may be answered
otherwise than then, by another processor's rounding."""


@pytest.fixture(scope="module")
def model() -> Path:
    return find_run()


@pytest.fixture(scope="module")
def found(model: Path) -> dict[str, Any]:
    return read_exam(model)


@pytest.fixture
def same_sources(found: dict[str, Any]) -> None:
    """Skip where other data is here than what the exam was made of: its questions, and samples, are others."""
    if sources_of(found["asked"]["tasks"]) != found["asked"]["sources"]:
        pytest.skip("other data is here than what the exam was made of: its questions are others")


@pytest.mark.usefixtures("same_sources")
def test_it_answers_as_its_exam_says(model: Path, found: dict[str, Any]) -> None:
    data = load_recipe_of(model).data
    tasks = tasks_of(sorted(data.mixture))
    way = usual_way(data, build_actions(("canvas", "tools")))
    engine = Engine(*load_model(model))
    asked = examine(engine, tasks, difficulties=EASY, n=ASKED, strategy=way, seed=SEED, kept=False)
    for family in tasks:
        now = "".join(asked.right[family, level] for level in EASY)
        then = "".join(found["levels"][family][str(level)]["right"][:ASKED] for level in EASY)
        assert sum(one != other for one, other in zip(now, then, strict=True)) <= OTHERWISE, family
    assert NANO.keys() <= tasks.keys()


def test_its_exam_is_whole_and_of_these_weights(model: Path, found: dict[str, Any]) -> None:
    assert found.keys() >= set(PARTS) and found["asked"]["model"] == digest_of(load_weights(model))
    assert not any(map(is_lacking, found["references"].values())), "it was compared with every reference"
    assert sum(row["exact"] for row in found["audit"].values()) == 0


def test_it_weighs_little_and_its_card_names_whose_data_it_was_made_of(model: Path) -> None:
    (weights,) = model.glob("checkpoints/*/model.safetensors")
    assert weights.stat().st_size <= 12e6
    card = (model / CARD).read_text()
    for names in load_sources_of(model).values():
        for source in map(find, names):
            assert source.evaluation_only or (source.what in card and source.licence in card)
    assert "loss" in {forecast.of for forecast in read_forecasts(model / FORECAST)} and "What was foretold" in card


@pytest.mark.parametrize(
    "question", ["What is the capital of Portugal?", "Write a poem about my car.", "When was Einstein born?"]
)
def test_what_is_beyond_it_it_says_it_cannot_tell(question: str) -> None:
    assert castalia.load().ask(question) == UNABLE


@pytest.mark.usefixtures("same_sources")
def test_it_answers_as_readme_says(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = re.findall(r"^castalia ((?:ask \"|data sample ).*?)\s+# (.+)$", README.read_text(), re.M)
    lines += [(words, "") for words in re.findall(r"^castalia (data sample [^#\n]*)$", README.read_text(), re.M)]
    asked = 0
    for words, answer in sorted(lines, key=lambda line: not line[0].startswith("data")):
        monkeypatch.setattr(sys, "argv", ["castalia", *shlex.split(words)])
        cli.main()
        said = capfd.readouterr().out.strip().splitlines()
        if words.startswith("ask"):
            asked += 1
            assert said[-1] == answer, words
    assert asked > 7


def test_whoever_installs_the_wheel_can_ask_it_without_anything_else(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "dist")]
    subprocess.run(build, cwd=REPOSITORY, check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(tmp_path / "site")}
    (empty := tmp_path / "empty").mkdir()
    program = "import castalia; print(castalia.__file__); from castalia.cli import main; main()"
    asked = [sys.executable, "-c", program, "ask", "What is 3+4?"]
    done = subprocess.run(asked, cwd=empty, env=environment, capture_output=True, text=True)
    assert done.stdout.splitlines() == [str(tmp_path / "site" / "castalia" / "__init__.py"), "7"], done.stderr
