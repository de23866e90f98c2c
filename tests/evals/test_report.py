"""The report: one file, offline, nothing in it trusted."""

import io
import math
import re
import wave
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from castalia.evals.report import wilson, write_report
from castalia.plot import MOST_POINTS, series, thinned, ticks

HOSTILE = "</script><script>alert(1)</script><img src=http://evil.example/x onerror=alert(2)>\" ' & ${name} $style"


class Page(HTMLParser):
    """Collects tags with their attributes, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == name]


def png() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), "navy").save(buffer, "PNG")
    return buffer.getvalue()


def sound() -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(bytes(3200))
    return buffer.getvalue()


def example(**changes: Any) -> dict[str, Any]:
    plain = {"family": "digits", "difficulty": 1, "kind": "read", "question": "Which digit?", "thoughts": "A loop."}
    return {**plain, "answer": "6", "reference": "8", "correct": False, "image_png": None, "audio_wav": None, **changes}


def metrics(n: int = 50) -> list[dict[str, Any]]:
    lines = [{"step": 10 * i, "loss": 3 * math.exp(-i / 20) + 1, "lr_factor": 1 - i / n} for i in range(1, n + 1)]
    for line in lines:
        line["clock"] = {"seconds": line["step"] / 5, "tokens_per_second": 20_000 + line["step"], "peak_share": None}
    lines[-1]["held_out_loss"] = lines[n // 2]["held_out_loss"] = 1.5
    return lines


def evaluation(name: str = "digits") -> dict[str, Any]:
    row = {"n": 100, "correct": 61.0, "accuracy": 0.61, "chance": 0.1, "kinds": {"read": {"n": 100, "correct": 61.0}}}
    return {"families": {name: {"1": row, "3": row}}, "means": {name: 0.61}, "accuracy": 0.61}


def written(tmp_path: Path, *arguments: Any) -> str:
    path = write_report(tmp_path, *arguments)
    assert path == tmp_path / "report.html"
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]
    return path.read_text("utf-8")


def test_it_holds_table_curves_and_examples(tmp_path: Path) -> None:
    examples = [example(image_png=png(), audio_wav=sound()), example(answer="8", correct=True)]
    page = Page(written(tmp_path, metrics(), evaluation(), examples))
    assert "61%" in page.text
    assert "51–70%" in page.text
    assert "61 of 100 · chance 10%" in page.text
    labels = [svg["aria-label"] or "" for svg in page.all("svg")]
    assert [label.split(" over ")[0] for label in labels] == [
        "Loss",
        "Learning rate, share of its peak",
        "Tokens a second",
    ]
    assert "held out 1.5" in labels[0]
    assert [article["data-verdict"] for article in page.all("article")] == ["wrong", "right"]
    assert (page.all("img")[0]["src"] or "").startswith("data:image/png;base64,")
    assert (page.all("audio")[0]["src"] or "").startswith("data:audio/wav;base64,")
    assert {button["data-value"] for button in page.all("button")} == {"", "digits", "right", "wrong"}


def test_ways_to_think_and_what_was_seen_on_the_way_are_shown(tmp_path: Path) -> None:
    ways = {"low": {"digits": {"accuracy": 0.25, "n": 60}}, "acting": {"digits": {"accuracy": 0.75, "n": 60}}}
    seen = example(seen_png=[png(), png()], thoughts="")
    page = Page(written(tmp_path, metrics(), evaluation() | {"ways": ways}, [seen]))
    assert "25%" in page.text and "75%" in page.text and "acting" in page.text and "of 60" in page.text
    assert [image["alt"] for image in page.all("img")] == ["What was seen on the way"] * 2
    without = Page(written(tmp_path, metrics(), evaluation(), [example()]))
    assert "Ways to think" not in without.text


def test_it_loads_nothing_from_anywhere(tmp_path: Path) -> None:
    page = Page(written(tmp_path, metrics(), evaluation(), [example(image_png=png(), audio_wav=sound())]))
    references = [value for _, attributes in page.tags for name, value in attributes.items() if name in {"src", "href"}]
    assert references
    assert all((value or "").startswith("data:") for value in references)
    assert not page.all("link")
    assert not re.search(r"https?://|url\(|@import", (tmp_path / "report.html").read_text("utf-8"))


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    hostile = example(**dict.fromkeys(("family", "kind", "question", "thoughts", "answer", "reference"), HOSTILE))
    page = Page(written(tmp_path, metrics(), evaluation(HOSTILE), [hostile]))
    assert len(page.all("script")) == 1
    assert not page.all("img")
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert page.text.count(HOSTILE) >= 6
    assert page.all("article")[0]["data-family"] == HOSTILE


@pytest.mark.parametrize(
    "lines", [[], metrics(1), [{"step": 1, "loss": math.nan}, {"step": 2, "loss": None}, {"step": 2, "loss": 1}]]
)
def test_a_run_of_little_has_a_report_too(tmp_path: Path, lines: list[dict[str, Any]]) -> None:
    page = Page(written(tmp_path, lines, {"families": {}}, []))
    assert not page.all("svg")
    assert "Not examined yet." in page.text


def test_curves_are_thinned_but_keep_their_end() -> None:
    points = thinned(series([{"step": step, "loss": step / 7} for step in range(12_345)], "loss"))
    assert len(points) <= MOST_POINTS + 1
    assert points[0] == (0, 0)
    assert points[-1] == (12_344, 12_344 / 7)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (1.02, 1.03), (-3, 40_000), (0, 3e-5), (999.5, 1000)])
def test_ticks_are_few_round_and_inside(low: float, high: float) -> None:
    found = ticks(low, high)
    assert 2 <= len(found) <= 6
    assert low - 1e-9 <= found[0] < found[-1] <= high + 1e-9


@pytest.mark.parametrize(
    ("correct", "n", "low", "high"), [(0, 10, 0.0, 0.2775), (61, 100, 0.5120, 0.6998), (10, 10, 0.7225, 1.0)]
)
def test_wilson_agrees_with_the_published_formula(correct: float, n: int, low: float, high: float) -> None:
    assert wilson(correct, n) == pytest.approx((low, high), abs=1e-4)
    assert wilson(0, 0) == (0.0, 1.0)
