"""How long whoever has just installed Castalia waits for an answer: README's questions to the model that comes with it.

    python benchmarks/first_answer.py            two minutes
    python benchmarks/first_answer.py --quick    each question once

Every line of README that begins with `castalia ask "` is run in a process of its own, about the samples that README
draws before: first from an empty home, where nothing has been compiled or cached, then thrice from there. Seconds are
from the command to its end.
"""

import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness import finish, options

README = Path(__file__).parents[1] / "README.md"


def main() -> None:
    """Measure and print."""
    arguments = options(__doc__ or "").parse_args()
    first: list[float] = []
    later: list[float] = []
    with tempfile.TemporaryDirectory() as at:
        for words in commands("castalia data sample "):
            run(words, Path(at))
        for words in commands('castalia ask "'):
            with tempfile.TemporaryDirectory() as home:
                cold, said = run(words, Path(at), {"PATH": os.environ["PATH"], "HOME": home})
                first.append(cold)
                if not arguments.quick:
                    warm = [run(words, Path(at), {"PATH": os.environ["PATH"], "HOME": home})[0] for _ in range(3)]
                    later.append(statistics.median(warm))
            print(f"{shlex.join(words)}\n  {cold:.1f} s: {said.splitlines()[-1]}", flush=True)
    figures = {"first_answer_seconds": max(first)} | ({"later_answer_seconds": max(later)} if later else {})
    finish("first_answer", figures, arguments)


def commands(beginning: str) -> list[list[str]]:
    """Return the arguments of every command of README that begins so."""
    lines = [line for line in README.read_text("utf-8").splitlines() if line.startswith(beginning)]
    return [shlex.split(line, comments=True)[1:] for line in lines]


def run(words: list[str], at: Path, environment: dict[str, str] | None = None) -> tuple[float, str]:
    """Run the command in the directory `at`; return how many seconds it took, and what it printed."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "castalia", *words]
    done = subprocess.run(command, cwd=at, env=environment, check=True, capture_output=True, text=True)
    return time.perf_counter() - started, done.stdout


if __name__ == "__main__":
    main()
