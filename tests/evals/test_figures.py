import json
from pathlib import Path

import pytest

from castalia.errors import DataError
from castalia.evals.figures import record_run, write_figures

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
    with pytest.raises(DataError, match=r"no figures are recorded in .*data\.json"):
        write_figures(readme, tmp_path)
    assert readme.read_text() == README


def test_a_run_is_recorded_with_its_metrics_and_three_times_chance_as_the_goal(tmp_path: Path) -> None:
    run = tmp_path / "pocket"
    run.mkdir()
    row = {"n": 100, "correct": 40, "accuracy": 0.4, "chance": 0.2, "kinds": {}}
    evaluation = {"families": {"mazes": {"1": row, "2": row}}, "means": {"mazes": 0.4}, "accuracy": 0.4}
    (run / "evaluation.json").write_text(json.dumps(evaluation))
    for name in ("metrics.jsonl", "recipe.json"):
        (run / name).write_text("{}")
    figures = tmp_path / "figures"
    figures.mkdir()
    said = json.loads(record_run(run, figures, tmp_path / "results", RECORD).read_text())
    assert said["figures"] == {"mazes": 0.4, "average": 0.4}
    assert said["about"]["mazes"] == ["200 questions, by difficulty 40%, 40%; guessing gives 20%", "≥ 0.60"]
    assert (tmp_path / "results" / "pocket" / "metrics.jsonl").read_text() == "{}"
