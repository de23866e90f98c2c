"""A published run answers as the run did, weighs half as much, tells what it is, and can be examined and audited."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import castalia
from castalia import shipped
from castalia.errors import CheckpointError, DataError
from castalia.evals.exam import EXAM, sit
from castalia.evals.learned import Learned, practised
from castalia.forecast.forecast import FORECAST, Expectation, Forecast, write_forecasts
from castalia.forecast.ladder import RUNG
from castalia.forecast.outcome import measure_outcome
from castalia.publish import CARD, Published, publish
from castalia.recipes import load_recipe
from castalia.rl.homework import Homework, PracticeConfig
from castalia.training.checkpoint import save_checkpoint
from castalia.training.metrics import read_metrics
from castalia.training.pretrain import pretrain
from castalia.training.run import HOMEWORK, SOURCES, STRETCHES, load_recipe_of, load_state, load_weights

SMALL = {"model.width": "32", "model.heads": "2", "model.layers": "2", "training.compile": "false"}


@pytest.fixture(scope="module")
def examined(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run that was forecast, has been to school, done homework and sat an exam, all of a few steps."""
    directory = tmp_path_factory.mktemp("trained") / "run"
    directory.mkdir()
    data = {"data.mixture": "digits:1,countdown:1", "data.difficulties": "1,1,2", "training.steps": "3"}
    pretrain(load_recipe("pocket").override(SMALL | data), directory)
    expected = Expectation(read_metrics(directory / "metrics.jsonl")[-1]["flops"], 0.5, 0.4, 0.6)
    forecast = Forecast("loss", "FLOPs", "law", {}, 1.0, (), (expected,), (expected,), questions=2)
    write_forecasts(directory / FORECAST, [forecast])
    measure_outcome(directory)
    _practised(directory)
    sit(directory, n=2)
    return directory


def _practised(run: Path) -> None:
    """Put beside the school of a run what homework leaves: other weights, how far it has come, and what it measured."""
    homework = Homework("small", practice=PracticeConfig(tasks={"countdown": 1.0}, difficulties=(1,)))
    weights = {name: tensor + 0.25 for name, tensor in load_weights(run).items()}
    progress = load_state(run)["progress"] | {"step": 2, "seconds": 360.0}
    state = {"data": {"practice": {"drawn": 7}}, "progress": progress}
    save_checkpoint(run / HOMEWORK / "checkpoints", 2, {"model": weights}, state, keep=1)
    said = homework.to_json() | {"source": run.name, "schooled": 3}
    (run / HOMEWORK / "homework.json").write_text(json.dumps(said))
    lines = [
        {"step": step, "pass": {"held_out": {"countdown": {"1": rate, "16": 0.9}}}}
        for step, rate in ((0, 0.3), (2, 0.4), (9, 0.99))
    ]
    (run / HOMEWORK / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def write(path: Path, content: object) -> None:
    path.write_text(json.dumps(content))


@pytest.fixture(scope="module")
def published(examined: Path, tmp_path_factory: pytest.TempPathFactory) -> Published:
    return publish(examined, tmp_path_factory.mktemp("published") / "small", questions=2)


@pytest.fixture
def changed(examined: Path, tmp_path: Path) -> Callable[[str, Callable[[Path], object]], Path]:
    """Return a function that makes a copy of the run in which something is otherwise."""

    def make(name: str, change: Callable[[Path], object]) -> Path:
        shutil.copytree(examined, tmp_path / name)
        change(tmp_path / name)
        return tmp_path / name

    return make


def test_its_weights_are_those_after_homework_and_weigh_half(examined: Path, published: Published) -> None:
    before, after = load_weights(examined), load_weights(published.directory)
    schooled = load_weights(examined, after_school=True)
    assert before.keys() == after.keys()
    assert {tensor.dtype for tensor in after.values()} == {torch.float32 if published.whole else torch.float16}
    assert all(torch.equal(tensor.to(after[name].dtype), after[name]) for name, tensor in before.items())
    assert not all(torch.equal(tensor, before[name]) for name, tensor in schooled.items())
    assert published.weight_bytes < (4.2 if published.whole else 2.2) * sum(t.numel() for t in before.values())
    assert published.asked == 2 * 2 * 2 and 0 <= published.changed <= published.asked
    assert isinstance(castalia.load(published.directory).ask("Make 10 from 2, 5."), str)


def test_its_card_tells_what_it_was_made_of_and_what_it_can_do(examined: Path, published: Published) -> None:
    card = (published.directory / CARD).read_text()
    assert card.startswith("# small\n")
    row = next(line for line in card.splitlines() if line.startswith("| countdown |"))
    levels = json.loads((examined / EXAM).read_text())["levels"]["countdown"]
    assert [cell.strip() for cell in row.split("|")[2:13]] == [f"{cell['accuracy']:.0%}" for cell in levels.values()]
    assert "BSD-3-Clause" in card and "made by Castalia" in card
    assert "(3 steps" in card and "6 min of homework" in card and "| loss | 0.5000 | 0.4000 to 0.6000 |" in card
    assert "| countdown | 30% → 40% | 90% → 90% |" in card, "what came after the weights does not count"
    assert f"{published.changed} of {published.asked} answers" in card and "`castalia exam` on 20" in card


def test_its_card_tells_by_which_code_it_was_trained(changed: Callable[..., Path], tmp_path: Path) -> None:
    stretches = [
        {"step": 0, "commit": "abc"},
        {"step": 2000, "commit": "def"},
        {"step": 3000, "commit": "123", "source": "it"},
    ]
    for count, told in (
        (1, "- trained by commit abc\n"),
        (2, "by commit abc, from step 2,000 on by def, whose documents"),
        (3, "by def, from step 3,000 on, with a new optimizer and all that it had learned, by 123, whose documents"),
    ):
        run = changed(f"run{count}", lambda run, count=count: write(run / STRETCHES, stretches[:count]))
        card = (publish(run, tmp_path / f"published{count}", questions=1).directory / CARD).read_text()
        assert told in card and ("is no test of the forecast" in card) == (count > 1)


@pytest.mark.parametrize("others", [0, 1])
def test_half_precision_is_published_only_where_it_changes_no_answer(
    others: int, examined: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("castalia.publish._changed", lambda run, directory, questions: (9, others))
    made = publish(examined, tmp_path / "small")
    precision, dtype = ("single", torch.float32) if others else ("half", torch.float16)
    assert {tensor.dtype for tensor in load_weights(made.directory).values()} == {dtype}
    assert f"MB in {precision} precision" in (made.directory / CARD).read_text()


def test_a_published_run_cannot_go_on_nor_back_before_its_homework(published: Published, tmp_path: Path) -> None:
    run = Path(shutil.copytree(published.directory, tmp_path / "run"))
    with pytest.raises(CheckpointError, match="was published, without its optimizer: it cannot go on"):
        pretrain(load_recipe_of(run), run)
    with pytest.raises(CheckpointError, match="as it was after its homework, not before"):
        load_weights(run, after_school=True)
    assert load_weights(run)


def test_an_earlier_publication_outlives_one_that_fails(
    examined: Path, published: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Path(shutil.copytree(published.directory, tmp_path / "small"))

    def fail(source: Path, target: Path) -> None:
        if source.name.startswith(".publishing"):
            raise OSError("the disk is full")
        os.rename(source, target)

    monkeypatch.setattr("castalia.publish.os.replace", fail)
    with pytest.raises(OSError, match="the disk is full"):
        publish(examined, made, questions=1)
    assert [path.name for path in tmp_path.iterdir()] == ["small"] and load_weights(made)


def test_what_it_has_learned_from_is_still_known(examined: Path, published: Published, tmp_path: Path) -> None:
    assert practised(published.directory) == practised(examined) == 7
    documents = len(Learned(examined))
    assert len(Learned(published.directory)) == documents
    shutil.copyfile(examined / EXAM, published.directory / EXAM)
    again = publish(published.directory, tmp_path / "again", questions=1)
    assert practised(again.directory) == practised(examined)
    assert load_state(again.directory)[HOMEWORK] == load_state(examined / HOMEWORK)["progress"]


def test_its_exam_is_that_of_the_run(published: Published, tmp_path: Path) -> None:
    before = (published.directory / EXAM).read_text()
    assert sit(published.directory, n=2) == json.loads(before), "nothing is asked again of the same model"
    assert sit(published.directory, n=1, audited=False, kept=tmp_path)["asked"]["n"] == 1
    assert (tmp_path / EXAM).exists() and (published.directory / EXAM).read_text() == before


def test_a_fuller_exam_takes_the_place_of_one_of_a_few_families(changed: Callable[..., Path]) -> None:
    run = changed("again", lambda run: (run / EXAM).unlink())
    assert sit(run, ["countdown"], n=3, audited=False)["asked"]["tasks"] == ["countdown"]
    whole = sit(run, n=1, audited=False)
    assert json.loads((run / EXAM).read_text()) == whole and set(whole["asked"]["tasks"]) == {"countdown", "digits"}
    sit(run, ["digits"], n=9, audited=False)
    assert json.loads((run / EXAM).read_text()) == whole


def test_nothing_is_asked_if_it_cannot_be_audited_after(changed: Callable[..., Path]) -> None:
    def of_another(run: Path) -> None:
        (run / EXAM).unlink()
        (run / SOURCES).write_text(json.dumps({"digits": ["a source of old"]}))

    run = changed("other", of_another)
    with pytest.raises(DataError, match=r"cannot be audited: a source of old missing \(castalia data fetch\)"):
        sit(run, n=1)
    assert not (run / EXAM).exists()


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "without an exam": (lambda run: (run / EXAM).unlink(), "has not sat an exam"),
    "that has learned since": (
        lambda run: shutil.rmtree(run / HOMEWORK), "has learned since its exam"
    ),
    "whose exam was stopped": (
        lambda run: (run / EXAM).write_text(json.dumps({"asked": json.loads((run / EXAM).read_text())["asked"]})),
        "lacks levels, media, words, ways, references, audit",
    ),
    "of which nobody knows what it was made of": (lambda run: (run / SOURCES).unlink(), "has not written down"),
    "whose forecast nobody has checked": (lambda run: (run / RUNG).unlink(), "castalia forecast check"),
    "that went on to learn at school": (
        lambda run: (run / HOMEWORK / "homework.json").write_text(
            (run / HOMEWORK / "homework.json").read_text().replace('"schooled": 3', '"schooled": 2')
        ),
        "has been to school since its homework",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_run_is_not_published(case: str, changed: Callable[..., Path], tmp_path: Path) -> None:
    change, said = REFUSED[case]
    with pytest.raises(CheckpointError, match=said):
        publish(changed("run", change), tmp_path / "published")
    assert not (tmp_path / "published").exists()


def test_nothing_else_is_written_over(examined: Path, published: Published, changed: Callable[..., Path]) -> None:
    other = changed("other", lambda run: None)
    checkpoints = sorted(other.glob("checkpoints/*"))
    with pytest.raises(CheckpointError, match="is something else than a published model"):
        publish(examined, other)
    with pytest.raises(CheckpointError, match="onto itself"):
        publish(other, other)
    with pytest.raises(CheckpointError, match="is homework alone"):
        publish(examined / HOMEWORK, other)
    assert sorted(other.glob("checkpoints/*")) == checkpoints
    (published.directory / "old").touch()
    publish(examined, published.directory, questions=1)
    assert not (published.directory / "old").exists(), "an earlier publication is replaced whole"
    assert [path.name for path in published.directory.parent.iterdir()] == ["small"]


def test_names_mean_directories_first_and_models_of_the_package_then(
    published: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipped, "MODELS", published.directory.parent)
    monkeypatch.chdir(tmp_path)
    assert shipped.shipped() == ["small"]
    assert shipped.find_run("small") == published.directory and shipped.is_run("small")
    (tmp_path / "small").mkdir()
    assert shipped.find_run("small") == published.directory, "a directory that is no run does not stand for it"
    (tmp_path / "small" / "recipe.json").touch()
    assert shipped.find_run("small") == Path("small")
    (shipped.MODELS / ".publishing-other").mkdir()
    (shipped.MODELS / ".publishing-other" / "recipe.json").touch()
    assert shipped.shipped() == ["small"], "what is half made is no model"
    shutil.rmtree(shipped.MODELS / ".publishing-other")
    for question in ("Make 10 from 2, 5.", "What is 6/2?", "6/2", "Hello", "12 + " * 100):
        assert not shipped.is_run(question)
    assert shipped.is_run("runs/poket"), "a path that is mistyped is no question"
    with pytest.raises(CheckpointError, match=r"runs/poket is not a run: .*\(small\)"):
        shipped.find_run("runs/poket")
    monkeypatch.setattr(shipped, "DEFAULT", "small")
    assert shipped.find_run() == published.directory, "without a name no directory that happens to be here is meant"
