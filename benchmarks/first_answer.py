"""How long whoever has just installed Castalia waits for an answer: README's questions to the model that comes with it.

    python benchmarks/first_answer.py            a minute
    python benchmarks/first_answer.py --quick    each question once

Every line of README that begins with `castalia ask "` is run in a process of its own, first from an empty home, where
nothing has been compiled or cached, then thrice from there. Seconds are from the command to its end.
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

REPOSITORY = Path(__file__).parents[1]


def main() -> None:
    """Measure and print."""
    arguments = options(__doc__ or "").parse_args()
    first: list[float] = []
    later: list[float] = []
    for words in examples((REPOSITORY / "README.md").read_text("utf-8")):
        with tempfile.TemporaryDirectory() as home:
            cold, answer = ask(words, home)
            warm = [] if arguments.quick else [ask(words, home)[0] for _ in range(3)]
        first.append(cold)
        later += [statistics.median(warm)] if warm else []
        print(f"{shlex.join(words)}\n  {cold:.1f} s: {answer.splitlines()[-1]}", flush=True)
    figures = {"first_answer_seconds": max(first)} | ({"later_answer_seconds": max(later)} if later else {})
    finish("first_answer", figures, arguments)


def examples(readme: str) -> list[list[str]]:
    """Return the arguments of every command of README that asks the model that comes with Castalia."""
    lines = [line for line in readme.splitlines() if line.startswith('castalia ask "')]
    return [shlex.split(line, comments=True)[1:] for line in lines]


def ask(words: list[str], home: str) -> tuple[float, str]:
    """Return how many seconds it took, and what was said."""
    environment = {"PATH": os.environ["PATH"], "HOME": home}
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "castalia", *words],
        cwd=REPOSITORY, env=environment, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return time.perf_counter() - started, done.stdout


if __name__ == "__main__":
    main()
