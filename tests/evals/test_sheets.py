"""Sheets of an exam: every accuracy stands in its row and column, in the terminal, as Markdown, and in the README."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as pillow

from castalia.evals.exam import BEYOND, EXAM
from castalia.evals.figures import record_exam, write_figures
from castalia.evals.sheets import sheets_of

ORIGIN = {"command": "castalia exam mine", "commit": "abc", "machine": "here"}


def cell(accuracy: float) -> dict[str, Any]:
    return {"accuracy": accuracy, "n": 10, "chance": 0.1}


@pytest.fixture
def found() -> dict[str, Any]:
    families = {"charts": cell(0.5), "mazes": cell(0.25), "all": cell(0.375)}
    levels = {str(level): cell(1 - level / 20) for level in range(1, 11)} | {BEYOND: cell(0.11)}
    row = {"accuracy": 0.6, "ours": 0.7, "n": 10, "difficulties": [1, 2], "kinds": ["read"]}
    return {
        "levels": {"charts": levels, "mazes": levels},
        "media": {"text": families, "voice": families},
        "words": {"as in training": families, "otherwise": {**families, "charts": cell(0.44)}},
        "ways": {},
        "references": {"Reader": {"charts": row}, "Other": {"missing": ["other_package"]}},
        "audit": {"picture": {"items": 20, "trained": 12345, "exact": 1, "near": 2}},
        "origins": {part: ORIGIN | {"date": date} for part, date in (("levels", "today"), ("audit", "tomorrow"))},
    }


def test_rows_are_families_and_columns_what_was_tried(found: dict[str, Any]) -> None:
    levels, media, words, references, audit = sheets_of(found)
    assert levels.columns == ("family", *map(str, range(1, 11)), BEYOND, "guessing, mean")
    assert (
        levels.title
        == "exactly right by difficulty; 10 questions each, so ±31 points at most, of 95 in 100, if all differ"
    )
    assert levels.rows[1][:3] == ("mazes", "95%", "90%") and levels.rows[1][-2:] == ("11%", "10%")
    assert media.rows == [("charts", "50%", "50%"), ("mazes", "25%", "25%"), ("all", "38%", "38%")]
    assert words.rows[0] == ("charts", "50%", "44%")
    assert references.rows[0] == ("Reader", "charts (read)", "1, 2", "60%", "70%")
    assert "other_package" in references.rows[1][1]
    assert audit.rows == [("picture", "20", "12,345", "1", "2")]
    assert all(len(row) == len(sheet.columns) for sheet in sheets_of(found) for row in sheet.rows)
    assert levels.table().row_count == 2


def test_the_readme_gets_figures_a_plot_and_what_comes_first_and_a_page_has_all_tables(
    found: dict[str, Any], tmp_path: Path
) -> None:
    found["ways"] = {"4 agents": {"mazes": cell(0.7), "all": cell(0.7)}}
    run, docs, readme = tmp_path / "mine", tmp_path / "docs", tmp_path / "README.md"
    run.mkdir()
    (docs / "figures").mkdir(parents=True)
    readme.write_text("before\n<!-- figures: exam -->\n<!-- end -->\nafter\n")
    record_exam(run, found, docs)
    assert write_figures(readme, docs / "figures") == ["exam"]
    written = readme.read_text()
    assert "| `mazes` | mazes: exactly right at difficulties 1 to 3 | ≥ 90 | 90.0 |" in written
    assert "| `media_gap` |" in written and "| ≤ 5 | 0.0 |" in written
    assert (
        "| `mazes_agents` | mazes: exactly right at difficulties 1 to 3, agents that contemplate |  | 70.0 |" in written
    )
    assert "| mazes | 95% | 90% |" in written
    assert "`castalia exam mine` · today, tomorrow · commit abc · here" in written
    assert written.startswith("before\n") and written.endswith("after\n")
    with pillow.open(docs / "images" / "exam-mine.png") as picture:
        assert picture.width > 800
    assert json.loads((docs / "results" / "mine" / EXAM).read_text()) == found
    tables = (docs / "results" / "mine" / "exam.md").read_text()
    assert all(sheet.title in tables for sheet in sheets_of(found)) and "docs/results/mine/exam.md" in written
