"""Benchmarks are run by hand, as their figures need a quiet machine; here, that they can be run at all."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


SHARED = ("harness", "llamacpp", "plots", "vllm_peer")
"""What benchmarks are made of, and none of them."""


@pytest.mark.parametrize("name", sorted(path.stem for path in BENCHMARKS.glob("*.py") if path.stem not in SHARED))
def test_every_benchmark_says_what_it_does_and_has_the_common_options(name: str) -> None:
    done = subprocess.run([sys.executable, BENCHMARKS / f"{name}.py", "--help"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"python benchmarks/{name}.py" in done.stdout
    assert all(option in done.stdout for option in ("--quick", "--json", "--record"))
