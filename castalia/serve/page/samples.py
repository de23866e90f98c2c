"""Sample questions, one click each, drawn from the task families that a model has learned."""

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from pathlib import Path

from castalia.data.catalog import build_task
from castalia.document import Image, Speech
from castalia.errors import CastaliaError
from castalia.serve.page.question import Attachment, Question
from castalia.serve.page.thoughts import picture_html
from castalia.training.run import load_recipe_of

MOST = 7


@dataclass(frozen=True)
class Wanted:
    """A sample: of which family, how hard, with which seed; `kind` is the sort of question, if there is one."""

    family: str
    difficulty: int
    seed: int
    kind: str = ""


WANTED = (
    Wanted("charts", 3, 6, "difference"),
    Wanted("mazes", 3, 1, "way"),
    Wanted("countdown", 2, 7),
    Wanted("speech", 1, 1, "sum"),
    Wanted("digits", 3, 6, "sum"),
    Wanted("charts", 2, 9, "largest"),
    Wanted("mazes", 3, 12, "length"),
    Wanted("search", 1, 1),
    Wanted("scenes", 2, 1),
)
EVERYBODY = ("charts", "mazes", "countdown", "speech")
"""Families to ask a model about of which nothing is known."""


def families_of(run: Path | None) -> tuple[str, ...]:
    """Return the families that a run has learned."""
    try:
        return tuple(load_recipe_of(run).data.mixture) if run else EVERYBODY
    except CastaliaError:
        return EVERYBODY


def sample_questions(families: Iterable[str]) -> list[Question]:
    """Return held-out questions of these families; those whose material is not on this machine are left out."""
    known, samples = set(families), []
    for wanted in WANTED:
        if wanted.family not in known or len(samples) == MOST:
            continue
        try:
            example = build_task(wanted.family).sample(wanted.seed, wanted.difficulty, "held_out")
        except CastaliaError:
            continue
        # The sort that is wanted, else the one that takes most thought.
        asked = max(example.questions, key=lambda question: (question.kind == wanted.kind, len(question.thoughts)))
        contents = [part.content for part in example.context]
        attached = tuple(Attachment.of(content) for content in contents if isinstance(content, Image | Speech))
        samples.append(Question(asked.text, attached))
    return samples


def samples_html(samples: list[Question], *, is_open: bool = True) -> str:
    """Return the samples as buttons, folded away unless they are `open`."""
    if not samples:
        return ""
    buttons = "".join(
        f'<li><button type="button" data-sample="{number}">{_face(sample)}'
        f"<span>{escape(sample.text)}</span></button></li>"
        for number, sample in enumerate(samples)
    )
    return (
        f'<details class="samples"{" open" if is_open else ""}><summary>Samples</summary><ul>{buttons}</ul></details>'
    )


def _face(sample: Question) -> str:
    for attachment in sample.attachments:
        if isinstance(attachment.content, Image):
            return picture_html(attachment.content, "", {})
        heights = _loudness(attachment.content)
        bars = "".join(f'<rect x="{4 * n}" y="{20 - h:.1f}" width="2.4" height="{2 * h:.1f}" rx="1"/>'
                       for n, h in enumerate(heights))  # fmt: skip
        return f'<svg class="wave" viewBox="0 0 {4 * len(heights)} 40" role="img" aria-label="A sound">{bars}</svg>'
    return '<b class="glyph" aria-hidden="true">±×÷</b>'


def _loudness(speech: Speech, bars: int = 20) -> list[float]:
    """Return how loud a sound is along the way, as half heights of up to 18."""
    size = max(1, len(speech.samples) // bars)
    peaks = [float(abs(speech.samples[n * size : (n + 1) * size]).max(initial=0)) for n in range(bars)]
    return [max(1.0, 18 * peak / (max(peaks) or 1)) for peak in peaks]
