import json
from pathlib import Path

import pytest

from castalia.errors import DataError
from castalia.evals.figures import record_run, write_figures
from castalia.evals.goals import HEADLINES, described

RECORD = {"command": "python benchmarks/data.py", "commit": "abc", "machine": "two cores", "date": "2026-01-01"}
README = "# T\n\n<!-- figures: data -->\nold\n<!-- end -->\n\nafter\n"


def test_a_block_is_replaced_by_what_was_recorded_and_all_else_stays(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(README)
    (tmp_path / "data.json").write_text(json.dumps(RECORD | {"figures": {"feed_ratio": 6.5, "other": 1234.0}}))
    assert write_figures(readme, tmp_path) == ["data"]
    text = readme.read_text()
    assert text.startswith("# T\n\n<!-- figures: data -->\n| figure |") and text.endswith("<!-- end -->\n\nafter\n")
    assert "| `feed_ratio` | tokens made by one worker over tokens the trainer uses | ≥ 5 times | 6.5 |" in text
    assert "| `other` |  |  | 1,234.0 |" in text and "python benchmarks/data.py" in text and "old" not in text
    write_figures(readme, tmp_path)
    assert readme.read_text() == text


def test_a_block_without_a_record_is_an_error_and_nothing_is_written(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(README)
    with pytest.raises(DataError, match=r"there is no .*data\.json"):
        write_figures(readme, tmp_path)
    assert readme.read_text() == README


def test_a_run_is_recorded_with_its_metrics_and_three_times_chance_as_the_goal(tmp_path: Path) -> None:
    run = tmp_path / "pocket"
    run.mkdir()
    row = {"n": 100, "correct": 40, "accuracy": 0.4, "chance": 0.2, "kinds": {}}
    evaluation = {"families": {"mazes": {"1": row, "2": row}}, "means": {"mazes": 0.4}, "accuracy": 0.4}
    evaluation["origin"] = RECORD
    (run / "evaluation.json").write_text(json.dumps(evaluation))
    for name in ("metrics.jsonl", "recipe.json"):
        (run / name).write_text("{}")
    figures = tmp_path / "figures"
    figures.mkdir()
    said = json.loads(record_run(run, figures, tmp_path / "results").read_text())
    assert said.items() >= RECORD.items()
    assert said["figures"] == {"mazes": 0.4, "average": 0.4}
    assert said["about"]["mazes"] == ["200 questions, by difficulty 40%, 40%; guessing gives 20%", "≥ 0.60"]
    assert (tmp_path / "results" / "pocket" / "metrics.jsonl").read_text() == "{}"


def test_a_run_that_was_examined_nobody_knows_when_is_not_recorded(tmp_path: Path) -> None:
    (tmp_path / "evaluation.json").write_text(json.dumps({"families": {}, "means": {}, "accuracy": 0.0}))
    with pytest.raises(DataError, match="before it was written down when and by what"):
        record_run(tmp_path, tmp_path, tmp_path / "results")


def test_a_figure_is_told_by_what_stands_in_its_name_and_by_its_record() -> None:
    assert described("training", "hf_ratio_256") == (
        "tokens trained per second over Hugging Face's Llama, dense tokens, width 256",
        "≥ 1.15 times",
    )
    assert described("training", "hf_ratio_128")[0].endswith("Llama, width 128")
    assert described("decoding", "hf_ratio_192_b64")[0].endswith("Hugging Face's, width 192, batch 64")
    made, learned = (described(record, "documents_per_second")[0] for record in ("data", "training"))
    assert "made" in made and "learned" in learned
    assert described("training", "unheard_of") == ("", "")


def test_all_that_is_recorded_is_described() -> None:
    records = {
        path.stem: json.loads(path.read_text()) for path in (Path(__file__).parents[2] / "docs/figures").iterdir()
    }
    unknown = [
        (name, figure)
        for name, record in records.items()
        for figure in record.get("figures", {})
        if figure not in record.get("about", {}) and not described(name, figure)[0]
    ]
    assert not unknown


def test_the_headlines_are_what_was_recorded_each_with_its_benchmark(tmp_path: Path) -> None:
    for name, figures in HEADLINES.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(RECORD | {"figures": dict.fromkeys(figures, 7.25)}))
    readme = tmp_path / "README.md"
    readme.write_text("<!-- figures: headline -->\n<!-- end -->\n")
    assert write_figures(readme, tmp_path) == ["headline"]
    by = "[visual_thought.py](docs/figures.md#visual-thought)"
    assert f"| mazes: points of the canvas above text thoughts | ≥ 20 | 7.25 | {by} |" in readme.read_text()
    (tmp_path / "rl.json").write_text(json.dumps(RECORD | {"figures": {}}))
    with pytest.raises(DataError, match=r"rl\.json has no trl_ratio"):
        write_figures(readme, tmp_path)
