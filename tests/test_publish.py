"""A published run answers as the run did, weighs half as much, tells what it is, and can be examined and audited."""

from pathlib import Path

import pytest

import castalia
from castalia import shipped
from castalia.errors import CheckpointError
from castalia.evals.audit import trained_documents
from castalia.evals.exam import sit
from castalia.publish import CARD, Published, publish
from castalia.recipes import load_recipe
from castalia.training.pretrain import pretrain

QUESTIONS = ("Make 10 from 2, 5.", "Is 3 more than 4?", "What is this?")


@pytest.fixture(scope="module")
def examined(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run of a few steps that has sat an exam."""
    directory = tmp_path_factory.mktemp("trained") / "run"
    small = {"model.width": "32", "model.heads": "2", "model.layers": "2", "training.compile": "false"}
    data = {"data.mixture": "digits:1,countdown:1", "training.steps": "3"}
    pretrain(load_recipe("pocket").override(small | data), directory)
    sit(directory, ["countdown"], 2, audited=False)
    return directory


@pytest.fixture(scope="module")
def published(examined: Path, tmp_path_factory: pytest.TempPathFactory) -> Published:
    return publish(examined, tmp_path_factory.mktemp("published") / "small", questions=2)


def test_it_answers_as_the_run_and_weighs_half(examined: Path, published: Published) -> None:
    whole = max(path.stat().st_size for path in examined.glob("checkpoints/*/model.safetensors"))
    assert 0.4 * whole < published.weight_bytes < 0.6 * whole
    before, after = castalia.load(examined), castalia.load(published.directory)
    assert [before.ask(question) for question in QUESTIONS] == [after.ask(question) for question in QUESTIONS]
    assert published.asked > 0 and published.changed <= 0.1 * published.asked


def test_its_card_tells_what_it_was_made_of_and_what_it_can_do(published: Published) -> None:
    card = (published.directory / CARD).read_text()
    assert card.startswith("# small\n")
    assert "BSD-3-Clause" in card and "right by difficulty" in card and "| countdown |" in card
    assert f"half precision changes {published.changed} of {published.asked} answers" in card


def test_what_it_has_learned_from_is_still_known(examined: Path, published: Published) -> None:
    assert sum(1 for _ in trained_documents(published.directory)) == sum(1 for _ in trained_documents(examined))


def test_its_exam_is_that_of_the_run(examined: Path, published: Published, tmp_path: Path) -> None:
    again = sit(published.directory, ["countdown"], 2, audited=False)
    assert again["asked"] == sit(examined, ["countdown"], 2, audited=False)["asked"]
    elsewhere = sit(published.directory, ["countdown"], 1, audited=False, kept=tmp_path)
    assert elsewhere["asked"]["n"] == 1 and (tmp_path / "exam.json").exists()
    assert sit(published.directory, ["countdown"], 2, audited=False) == again


def test_a_run_without_an_exam_is_not_published(examined: Path, tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    for name in ("recipe.json", "tokenizer.json", "metrics.jsonl", "checkpoints"):
        (tmp_path / "bare" / name).symlink_to(examined / name)
    with pytest.raises(CheckpointError, match="has not sat an exam"):
        publish(tmp_path / "bare", tmp_path / "published")
    assert not (tmp_path / "published").exists()


def test_names_mean_directories_first_and_models_of_the_package_then(
    published: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipped, "MODELS", published.directory.parent)
    monkeypatch.chdir(tmp_path)
    assert shipped.shipped() == ["small"]
    assert shipped.find_run("small") == published.directory and shipped.is_run("small")
    (tmp_path / "small").mkdir()
    assert shipped.find_run("small") == Path("small")
    assert not shipped.is_run("Make 10 from 2, 5.")
    with pytest.raises(CheckpointError, match=r"none is not a run: .*\(small\)"):
        shipped.find_run("none")
    monkeypatch.setattr(shipped, "DEFAULT", "small")
    assert shipped.find_run() == Path("small")
